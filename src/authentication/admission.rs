//! The decision on a request, by the findings on its credentials. Pure.

use std::fmt;

use crate::access::Position;

/// The credentials that a delivery needs (`REQUIRE`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Require {
    /// A secret or a token.
    #[default]
    Any,
    /// A secret and a token.
    Both,
}

/// The credential that admitted a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Credential {
    /// A webhook secret.
    Secret(Position),
    /// An Entra ID token.
    Token,
    /// A webhook secret and an Entra ID token.
    SecretAndToken(Position),
}

impl fmt::Display for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret(position) => position.fmt(f),
            Self::Token => f.write_str("token"),
            Self::SecretAndToken(position) => write!(f, "{position} and token"),
        }
    }
}

/// The decision on a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// The request is admitted.
    Admitted(Credential),
    /// A credential that the request needs is missing or wrong.
    Refused,
    /// A credential that the request needs could not be verified: the source of secrets or keys
    /// could not be read.
    Unverified,
    /// The request needs a webhook secret, and none is set.
    NoSecret,
}

/// The decisions on a request. Its body, which is read afterwards, tells which decision counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Admission {
    /// The decision if the body is a delivery.
    pub(crate) delivery: Decision,
    /// The decision if the body is a handshake.
    pub(crate) handshake: Decision,
}

/// The finding on a request's credentials of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found<T> {
    /// A credential is right.
    Good(T),
    /// No credential is presented, or none is right.
    Bad,
    /// No credential is known to be right, and the source of secrets or keys could not be read.
    Unknown,
    /// The function accepts no credential of this kind.
    NotSet,
}

/// Returns `true` if the decision depends on the token as well.
pub(super) fn wants_token(require: Require, secret: Found<Position>) -> bool {
    match require {
        // One right credential is enough for `Any`; one wrong credential is enough for a refusal
        // by `Both`.
        Require::Any => !matches!(secret, Found::Good(_)),
        Require::Both => matches!(secret, Found::Good(_) | Found::Unknown),
    }
}

impl Admission {
    /// Decides by the finding on secrets and on the token.
    pub(super) fn of(require: Require, secret: Found<Position>, token: Found<()>) -> Self {
        let delivery = match require {
            Require::Any => any(secret, token),
            Require::Both => both(secret, token),
        };
        let handshake = match secret {
            Found::Good(position) => Decision::Admitted(Credential::Secret(position)),
            // Event Grid is documented to send the registered URL with a handshake, but no headers
            // or tokens: so the secret alone decides.
            Found::Bad => Decision::Refused,
            Found::Unknown => Decision::Unverified,
            Found::NotSet => delivery,
        };
        Self {
            delivery,
            handshake,
        }
    }
}

/// Decides on a delivery that needs one of the two credentials: the better finding counts.
fn any(secret: Found<Position>, token: Found<()>) -> Decision {
    match (secret, token) {
        (Found::NotSet, Found::NotSet) => Decision::NoSecret,
        (Found::Good(position), _) => Decision::Admitted(Credential::Secret(position)),
        (_, Found::Good(())) => Decision::Admitted(Credential::Token),
        (Found::Unknown, _) | (_, Found::Unknown) => Decision::Unverified,
        (Found::Bad | Found::NotSet, Found::Bad | Found::NotSet) => Decision::Refused,
    }
}

/// Decides on a delivery that needs both credentials: the worse finding counts.
fn both(secret: Found<Position>, token: Found<()>) -> Decision {
    match (secret, token) {
        (Found::NotSet, _) => Decision::NoSecret,
        (Found::Bad, _) | (_, Found::Bad | Found::NotSet) => Decision::Refused,
        (Found::Unknown, _) | (_, Found::Unknown) => Decision::Unverified,
        (Found::Good(position), Found::Good(())) => {
            Decision::Admitted(Credential::SecretAndToken(position))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_takes_the_better_and_both_the_worse_of_two_credentials() {
        use Decision::{NoSecret, Refused, Unverified};
        use Found::{Bad, Good, NotSet, Unknown};

        let position = Position { number: 1, of: 2 };
        let secret = Decision::Admitted(Credential::Secret(position));
        let token = Decision::Admitted(Credential::Token);
        let both = Decision::Admitted(Credential::SecretAndToken(position));
        for (of_secret, of_token, any, all, handshake) in [
            (Good(position), Good(()), secret, both, secret),
            (Good(position), Bad, secret, Refused, secret),
            (Good(position), Unknown, secret, Unverified, secret),
            (Good(position), NotSet, secret, Refused, secret),
            (Bad, Good(()), token, Refused, Refused),
            (Bad, Bad, Refused, Refused, Refused),
            (Bad, Unknown, Unverified, Refused, Refused),
            (Bad, NotSet, Refused, Refused, Refused),
            (Unknown, Good(()), token, Unverified, Unverified),
            (Unknown, Bad, Unverified, Refused, Unverified),
            (Unknown, Unknown, Unverified, Unverified, Unverified),
            (Unknown, NotSet, Unverified, Refused, Unverified),
            (NotSet, NotSet, NoSecret, NoSecret, NoSecret),
        ] {
            for (require, delivery) in [(Require::Any, any), (Require::Both, all)] {
                let admission = Admission::of(require, of_secret, of_token);
                let expected = Admission {
                    delivery,
                    handshake,
                };
                assert_eq!(admission, expected, "{of_secret:?} {of_token:?}");
            }
        }
        // With tokens alone, a handshake is as good as a delivery.
        for (of_token, decision) in [(Good(()), token), (Bad, Refused), (Unknown, Unverified)] {
            let admission = Admission::of(Require::Any, NotSet, of_token);
            assert_eq!(
                (admission.delivery, admission.handshake),
                (decision, decision)
            );
            let admission = Admission::of(Require::Both, NotSet, of_token);
            assert_eq!(
                (admission.delivery, admission.handshake),
                (NoSecret, NoSecret)
            );
        }
    }

    #[test]
    fn a_credential_prints_as_its_position_alone() {
        let position = Position { number: 1, of: 2 };
        for (credential, text) in [
            (Credential::Secret(position), "secret 1 of 2"),
            (Credential::Token, "token"),
            (
                Credential::SecretAndToken(position),
                "secret 1 of 2 and token",
            ),
        ] {
            assert_eq!(credential.to_string(), text);
        }
    }
}
