//! The webhook secrets, compared in constant time.

use std::fmt;

use ring::hmac::{HMAC_SHA256, Key, Tag, sign, verify};
use ring::rand::SystemRandom;

/// The shortest secret, in characters.
const MIN_LENGTH: usize = 16;

/// The secrets that let a delivery in. Several are live at once, so that one can be rotated without losing events.
///
/// What is kept are tags under a key of this process's own: verifying a tag takes the same time whatever was presented,
/// of whatever length, and there is no secret here to print.
pub struct Secrets {
    key: Key,
    tags: Vec<Tag>,
}

/// Why a list of secrets is not accepted. It never repeats a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// One is too short, or has other characters than `A-Za-z0-9_-`.
    #[error(
        "each secret must be at least 16 characters of A-Z, a-z, 0-9, _ and -, separated by commas"
    )]
    Malformed,
    /// The system has no random numbers.
    #[error("the system gave no random numbers")]
    NoRandom,
}

impl Secrets {
    /// Reads a comma-separated list of secrets.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] where any of them could not be carried in a URL as it is, or could be guessed.
    pub fn parse(list: &str) -> Result<Self, Error> {
        let usable = |secret: &str| {
            secret.len() >= MIN_LENGTH
                && secret
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
        };
        let secrets: Vec<&str> = list.split(',').map(str::trim).collect();
        if !secrets.iter().all(|secret| usable(secret)) {
            return Err(Error::Malformed);
        }
        let key = Key::generate(HMAC_SHA256, &SystemRandom::new()).map_err(|_| Error::NoRandom)?;
        let tags = secrets
            .iter()
            .map(|secret| sign(&key, secret.as_bytes()))
            .collect();
        Ok(Self { key, tags })
    }

    /// Whether `presented` is one of the secrets. It takes the same time whichever it is, or is not.
    #[must_use]
    pub fn know(&self, presented: &[u8]) -> bool {
        self.tags.iter().fold(false, |known, tag| {
            known | verify(&self.key, presented, tag.as_ref()).is_ok()
        })
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
    fn any_live_secret_is_known_and_nothing_else() {
        let secrets = Secrets::parse(&format!("{FIRST},{SECOND}")).unwrap();
        for known in [FIRST, SECOND] {
            assert!(secrets.know(known.as_bytes()), "{known}");
        }
        let long = "a".repeat(100_000);
        for unknown in [
            "",
            "0123456789abcde",
            "0123456789abcdef0",
            "0123456789ABCDEF",
            "0123456789abcdef,second-secret_ABC",
            long.as_str(),
        ] {
            assert!(!secrets.know(unknown.as_bytes()), "{unknown}");
        }
    }

    #[test]
    fn secrets_that_could_be_guessed_or_broken_in_a_url_are_refused() {
        for list in [
            "",
            ",",
            "short",
            "0123456789abcdef,",
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
        assert!(Secrets::parse("0123456789abcdef, second-secret_ABC").is_ok());
    }

    #[test]
    fn a_secret_does_not_print() {
        assert_eq!(
            format!("{:?}", Secrets::parse(FIRST).unwrap()),
            "Secrets(1 live)"
        );
    }
}
