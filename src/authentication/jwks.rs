//! A tenant's published keys, a JSON Web Key Set.
//! <https://www.rfc-editor.org/rfc/rfc7517#section-5>

use jsonwebtoken::DecodingKey;
use reqwest::Client;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::cached::BoxError;

/// The longest key document that is read, in bytes; Entra's have about 10 KiB.
const MAX_DOCUMENT: usize = 1024 * 1024;

/// The keys of a tenant that can verify a token, by their ids.
#[derive(Debug)]
pub(super) struct TokenKeys(Vec<(String, DecodingKey)>);

/// The failure to read a tenant's keys.
#[derive(Debug, thiserror::Error)]
enum Error {
    /// The server answered with another status than 200; redirects are not followed.
    #[error("key server answered {0}")]
    Refused(reqwest::StatusCode),
    /// The server could not be connected to or verified, or its answer was not complete.
    #[error("request to the key server failed")]
    Http(#[source] reqwest::Error),
    /// The answer is too long to be a key document.
    #[error("key document is longer than 1 MiB")]
    TooLong,
    /// The answer is not JSON, or has no key that can verify a token.
    #[error("key document has no RSA key for signatures")]
    NoKeys,
}

/// The members of an RSA key.
/// <https://www.rfc-editor.org/rfc/rfc7518#section-6.3>
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
    /// Fetches the key document at `url`.
    pub(super) async fn fetch(http: Client, url: String) -> Result<Self, BoxError> {
        let failed = |error: reqwest::Error| Error::Http(error.without_url());
        let mut response = http.get(url).send().await.map_err(failed)?;
        if response.status() != reqwest::StatusCode::OK {
            return Err(Error::Refused(response.status()).into());
        }
        let mut document = Vec::new();
        // Read in pieces, since the length that a server states is not to be trusted.
        while let Some(bytes) = response.chunk().await.map_err(failed)? {
            document.extend_from_slice(&bytes);
            if document.len() > MAX_DOCUMENT {
                return Err(Error::TooLong.into());
            }
        }
        Ok(Self::parse(&document).ok_or(Error::NoKeys)?)
    }

    /// Parses a key document; `None` if it has no usable key. Keys of other types and uses are
    /// skipped.
    fn parse(document: &[u8]) -> Option<Self> {
        let document: Document = serde_json::from_slice(document).ok()?;
        // Parsed one by one, so that a key of another form does not make the others unusable.
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

    /// Finds a key by its id.
    pub(super) fn find(&self, id: &str) -> Option<&DecodingKey> {
        let mut keys = self.0.iter();
        keys.find(|(known, _)| known == id).map(|(_, key)| key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rsa_keys_for_signatures_are_taken_and_other_keys_are_no_fault() {
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
