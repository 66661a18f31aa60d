//! The webhook secrets, compared in constant time.

use std::fmt;

use ring::hmac::{HMAC_SHA256, Key, Tag, sign, verify};
use ring::rand::SystemRandom;

/// The shortest secret, in characters.
const MIN_LENGTH: usize = 16;

/// The secrets that admit a delivery. Several are valid at once, so that one can be rotated without
/// losing events.
///
/// Only tags of the secrets are held, under a random key of this process. To verify a tag takes the
/// same time for any presented text of the same length, and there is no secret to print.
pub(crate) struct Secrets {
    key: Key,
    tags: Vec<Tag>,
}

/// The position of a secret in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    /// The secret's number, from 1.
    pub(crate) number: usize,
    /// The number of secrets in the list.
    pub(crate) of: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "secret {} of {}", self.number, self.of)
    }
}

/// The reason why a list of secrets is refused. It never repeats a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    /// A secret is too short, or has other characters than `A-Za-z0-9_-`; or there is none.
    #[error(
        "each secret must be at least 16 characters of A-Z, a-z, 0-9, _ and -, separated by commas"
    )]
    Malformed,
    /// The system has no random numbers.
    #[error("the system gave no random numbers")]
    NoRandom,
}

impl Secrets {
    /// Reads a comma-separated list of secrets, and ignores empty entries. A secret must be long
    /// enough not to be guessed, and stand in a URL without escapes.
    pub(crate) fn parse(list: &str) -> Result<Self, Error> {
        let usable = |secret: &str| {
            secret.len() >= MIN_LENGTH
                && secret
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
        };
        let secrets: Vec<&str> = list
            .split(',')
            .map(str::trim)
            .filter(|secret| !secret.is_empty())
            .collect();
        if secrets.is_empty() || !secrets.iter().all(|secret| usable(secret)) {
            return Err(Error::Malformed);
        }
        let key = Key::generate(HMAC_SHA256, &SystemRandom::new()).map_err(|_| Error::NoRandom)?;
        let tags = secrets
            .iter()
            .map(|secret| sign(&key, secret.as_bytes()))
            .collect();
        Ok(Self { key, tags })
    }

    /// Finds a secret among the `presented` texts. Each text is compared with each secret, so the
    /// time does not tell which secret matched, or whether any did.
    pub(crate) fn find(
        &self,
        presented: impl IntoIterator<Item = impl AsRef<[u8]>>,
    ) -> Option<Position> {
        let mut found = 0;
        for presented in presented {
            for (number, tag) in (1..).zip(&self.tags) {
                let known = verify(&self.key, presented.as_ref(), tag.as_ref()).is_ok();
                found = found.max(number * usize::from(known));
            }
        }
        let of = self.tags.len();
        (found > 0).then_some(Position { number: found, of })
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({} live)", self.tags.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "0123456789abcdef";
    const SECOND: &str = "second-secret_ABC";

    #[test]
    fn any_live_secret_is_found_and_nothing_else() {
        let secrets = Secrets::parse(&format!("{FIRST},{SECOND}")).unwrap();
        for (number, known) in [(1, FIRST), (2, SECOND)] {
            let position = Some(Position { number, of: 2 });
            assert_eq!(secrets.find([known]), position, "{known}");
            assert_eq!(secrets.find(["wrong", known, ""]), position, "{known}");
        }
        assert_eq!(secrets.find([SECOND]).unwrap().to_string(), "secret 2 of 2");
        assert_eq!(secrets.find(Vec::<&str>::new()), None);
        let long = "a".repeat(100_000);
        for unknown in [
            "",
            "0123456789abcde",
            "0123456789abcdef0",
            "0123456789ABCDEF",
            "0123456789abcdef,second-secret_ABC",
            long.as_str(),
        ] {
            assert_eq!(secrets.find([unknown]), None, "{unknown}");
        }
    }

    #[test]
    fn secrets_that_could_be_guessed_or_broken_in_a_url_are_refused() {
        for list in [
            "",
            ",",
            " , ,",
            "short",
            "0123456789abcdef,short",
            "0123456789 abcdef",
            "0123456789abcdef%",
            "ä0123456789abcdef",
        ] {
            assert_eq!(
                Secrets::parse(list).unwrap_err(),
                Error::Malformed,
                "{list}"
            );
        }
    }

    #[test]
    fn a_stray_comma_or_white_space_is_no_fault() {
        for (list, of) in [
            ("0123456789abcdef, second-secret_ABC", 2),
            ("0123456789abcdef,", 1),
            (",,\n0123456789abcdef ,\t,", 1),
        ] {
            let secrets = Secrets::parse(list).unwrap();
            assert_eq!(secrets.find([FIRST]), Some(Position { number: 1, of }));
            assert_eq!(secrets.find([""]), None);
        }
    }

    #[test]
    fn a_secret_does_not_print() {
        assert_eq!(
            format!("{:?}", Secrets::parse(FIRST).unwrap()),
            "Secrets(1 live)"
        );
    }
}
