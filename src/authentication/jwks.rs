//! The keys that a tenant publishes.

use jsonwebtoken::DecodingKey;
use reqwest::Client;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::cached::BoxError;

/// Bytes of a key document that are read; Entra's have about 10 KiB.
const MAX_DOCUMENT: usize = 1024 * 1024;

/// The keys that a tenant publishes, those that can verify a token.
#[derive(Debug)]
pub(super) struct TokenKeys(Vec<(String, DecodingKey)>);

/// Why a tenant's keys could not be read.
#[derive(Debug, thiserror::Error)]
enum Error {
    /// Any status but 200; redirects are not followed.
    #[error("key server answered {0}")]
    Refused(reqwest::StatusCode),
    /// No connection, no certificate that verifies, no whole answer.
    #[error("request to the key server failed")]
    Http(#[source] reqwest::Error),
    /// More than a key document has.
    #[error("key document is longer than 1 MiB")]
    TooLong,
    /// No JSON, or nothing in it that could verify a token.
    #[error("key document has no RSA key for signatures")]
    NoKeys,
}

/// A JSON Web Key, as far as it matters: RFC 7517 and RFC 7518, 6.3.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: String,
    #[serde(rename = "use")]
    usage: Option<String>,
    n: String,
    e: String,
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<Box<RawValue>>,
}

impl TokenKeys {
    /// Fetches the document at `url`.
    pub(super) async fn fetch(http: Client, url: String) -> Result<Self, BoxError> {
        let failed = |error: reqwest::Error| Error::Http(error.without_url());
        let mut response = http.get(url).send().await.map_err(failed)?;
        if response.status() != reqwest::StatusCode::OK {
            return Err(Error::Refused(response.status()).into());
        }
        let mut document = Vec::new();
        while let Some(bytes) = response.chunk().await.map_err(failed)? {
            document.extend_from_slice(&bytes);
            if document.len() > MAX_DOCUMENT {
                return Err(Error::TooLong.into());
            }
        }
        Ok(Self::parse(&document).ok_or(Error::NoKeys)?)
    }

    fn parse(document: &[u8]) -> Option<Self> {
        let document: Document = serde_json::from_slice(document).ok()?;
        let usable = |key: &RawValue| {
            let key: Jwk = serde_json::from_str(key.get()).ok()?;
            let signs = key.usage.is_none_or(|usage| usage == "sig");
            let decoded = DecodingKey::from_rsa_components(&key.n, &key.e).ok();
            decoded
                .filter(|_| signs && key.kty == "RSA")
                .map(|decoded| (key.kid, decoded))
        };
        let keys: Vec<_> = document.keys.iter().filter_map(|key| usable(key)).collect();
        (!keys.is_empty()).then_some(Self(keys))
    }

    /// The keys of that id: one, or none that is known.
    pub(super) fn find(&self, id: &str) -> Option<&DecodingKey> {
        let mut keys = self.0.iter().filter(|(known, _)| known == id);
        keys.next().map(|(_, key)| key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rsa_keys_for_signatures_are_taken_and_the_others_are_no_fault() {
        let keys = TokenKeys::parse(
            br#"{"keys": [
                {"kty": "RSA", "use": "sig", "kid": "a", "n": "AQAB", "e": "AQAB", "x5c": ["MII"], "issuer": "https://x/"},
                {"kty": "RSA", "kid": "b", "n": "AQAB", "e": "AQAB"},
                {"kty": "RSA", "use": "enc", "kid": "c", "n": "AQAB", "e": "AQAB"},
                {"kty": "oct", "use": "sig", "kid": "d", "k": "AQAB"},
                {"kty": "EC", "use": "sig", "kid": "e", "crv": "P-256", "x": "AQAB", "y": "AQAB"},
                {"kty": "RSA", "use": "sig", "kid": "f", "n": "AQAB"},
                {"kty": "RSA", "use": "sig", "n": "AQAB", "e": "AQAB"},
                {"kty": "RSA", "use": "sig", "kid": "g", "n": "!", "e": "AQAB"},
                7]}"#,
        )
        .unwrap();
        let found: Vec<&str> = ["a", "b", "c", "d", "e", "f", "g", ""]
            .into_iter()
            .filter(|id| keys.find(id).is_some())
            .collect();
        assert_eq!(found, ["a", "b"]);
    }

    #[test]
    fn a_document_without_keys_is_refused() {
        for document in [
            "",
            "{}",
            "[]",
            r#"{"keys": []}"#,
            r#"{"keys": [{}]}"#,
            "<html>",
        ] {
            assert!(
                TokenKeys::parse(document.as_bytes()).is_none(),
                "{document}"
            );
        }
    }
}
