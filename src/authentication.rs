//! Who may deliver: a secret in the query string or in a header, compared in constant time.
//!
//! Event Grid signs nothing, so a secret that only it and the operator know is what tells its deliveries from anyone
//! else's.

use std::fmt;

use lambda_http::http::HeaderMap;
use ring::hmac::{HMAC_SHA256, Key, Tag, sign, verify};
use ring::rand::SystemRandom;
use url::form_urlencoded;

/// The query parameter that a webhook URL carries its secret in.
const QUERY_PARAMETER: &str = "code";
/// The header ("delivery property") that may carry it instead.
const HEADER: &str = "x-webhook-secret";
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

    /// Whether a request carries one of the secrets; nothing of it but the query string and the headers is looked at.
    #[must_use]
    pub fn admit(&self, query: &str, headers: &HeaderMap) -> bool {
        let in_query =
            form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == QUERY_PARAMETER);
        let in_headers = headers.get_all(HEADER).iter();
        let presented = in_query.map(|(_, secret)| self.knows(secret.as_bytes()));
        presented
            .chain(in_headers.map(|secret| self.knows(secret.as_bytes())))
            .fold(false, |known, this| known | this)
    }

    fn knows(&self, presented: &[u8]) -> bool {
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
    use lambda_http::http::{HeaderName, HeaderValue};

    const FIRST: &str = "0123456789abcdef";
    const SECOND: &str = "second-secret_ABC";

    fn admitted(query: &str, headers: &[(&str, &str)]) -> bool {
        let pair = |(name, value): &(&str, &str)| {
            (
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            )
        };
        let headers = headers.iter().map(pair).collect();
        Secrets::parse(&format!("{FIRST},{SECOND}"))
            .unwrap()
            .admit(query, &headers)
    }

    #[test]
    fn any_live_secret_lets_in_from_query_or_header() {
        for (query, headers) in [
            ("code=0123456789abcdef", vec![]),
            ("code=second-secret_ABC", vec![]),
            ("a=b&code=second%2Dsecret_ABC", vec![]),
            ("code=wrong&code=second-secret_ABC", vec![]),
            ("", vec![("x-webhook-secret", FIRST)]),
            ("code=wrong", vec![("X-Webhook-Secret", SECOND)]),
        ] {
            assert!(admitted(query, &headers), "{query}");
        }
    }

    #[test]
    fn anything_else_does_not() {
        let long = format!("code={}", "a".repeat(100_000));
        for (query, headers) in [
            ("", vec![]),
            ("code=", vec![]),
            ("code", vec![]),
            ("code=0123456789abcde", vec![]),
            ("code=0123456789abcdef0", vec![]),
            ("code=0123456789ABCDEF", vec![]),
            ("code=0123456789abcdef%2Csecond-secret_ABC", vec![]),
            ("Code=0123456789abcdef", vec![]),
            ("?code=0123456789abcdef", vec![]),
            (long.as_str(), vec![]),
            ("", vec![("x-webhook-secret", "wrong")]),
            ("", vec![("authorization", FIRST)]),
        ] {
            assert!(!admitted(query, &headers), "{query}");
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
