//! An ACS resource and its access key, the two parts of a connection string. Pure.

use std::fmt;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use ring::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use ring::hmac::{HMAC_SHA256, Key, sign};
use url::Url;

use crate::locations::is_private;

/// An ACS resource's access key. `Debug` does not print it.
#[derive(Clone)]
pub struct AccessKey {
    key: Key,
    /// The key's hash, to compare keys by: the library's type has no comparison.
    digest: [u8; SHA256_OUTPUT_LEN],
}

impl PartialEq for AccessKey {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Eq for AccessKey {}

impl AccessKey {
    /// Reads a key in base64, as in a connection string.
    pub(crate) fn from_base64(text: &str) -> Option<Self> {
        let bytes = BASE64_STANDARD
            .decode(text)
            .ok()
            .filter(|bytes| !bytes.is_empty())?;
        let mut hash = [0; SHA256_OUTPUT_LEN];
        hash.copy_from_slice(digest(&SHA256, &bytes).as_ref());
        Some(Self {
            key: Key::new(HMAC_SHA256, &bytes),
            digest: hash,
        })
    }

    /// Returns the signature: the base64 of the HMAC-SHA256 of `string_to_sign`.
    pub(crate) fn signature(&self, string_to_sign: &str) -> String {
        BASE64_STANDARD.encode(sign(&self.key, string_to_sign.as_bytes()))
    }
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessKey(…)")
    }
}

/// An ACS resource, known by its endpoint.
#[derive(Clone, PartialEq, Eq)]
pub struct Resource {
    endpoint: Url,
    host: String,
}

/// The reason why an endpoint is refused. It never repeats the endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EndpointError {
    /// The text is not a URL of a scheme and a host alone.
    #[error("must be a URL with a scheme (https) and a host, and nothing behind them")]
    Form,
    /// The scheme is plain http, and the host is not this machine.
    #[error("must be https, or http to a loopback address (127.0.0.1, [::1])")]
    NotHttps,
}

/// The reason why a connection string is refused. It never repeats the string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ConnectionStringError {
    /// A part of the string is missing.
    #[error("must be `endpoint=https://…;accesskey=…`, as the Azure portal shows it under Keys")]
    Form,
    /// The endpoint is refused.
    #[error("endpoint {0}")]
    Endpoint(EndpointError),
    /// The access key is not base64.
    #[error("accesskey must be base64")]
    AccessKey,
}

impl Resource {
    /// Reads an endpoint: `https://contoso.communication.azure.com/`.
    pub(crate) fn from_endpoint(text: &str) -> Result<Self, EndpointError> {
        let endpoint = Url::parse(text).map_err(|_| EndpointError::Form)?;
        let bare =
            endpoint.path() == "/" && endpoint.query().is_none() && endpoint.fragment().is_none();
        let userinfo = !endpoint.username().is_empty() || endpoint.password().is_some();
        let host = endpoint
            .host_str()
            .filter(|_| bare && !userinfo && matches!(endpoint.scheme(), "http" | "https"));
        let host = host.ok_or(EndpointError::Form)?;
        // Signatures and tokens go to the endpoint.
        if !is_private(&endpoint) {
            return Err(EndpointError::NotHttps);
        }
        let host = endpoint
            .port()
            .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        Ok(Self { endpoint, host })
    }

    /// Reads a connection string: `endpoint=https://contoso.communication.azure.com/;accesskey=…`.
    pub(crate) fn from_connection_string(
        text: &str,
    ) -> Result<(Self, AccessKey), ConnectionStringError> {
        let part = |wanted: &str| {
            let mut parts = text.split(';').filter_map(|part| part.split_once('='));
            parts
                .find(|(name, _)| name.trim().eq_ignore_ascii_case(wanted))
                .map(|(_, value)| value.trim())
        };
        let endpoint = part("endpoint").ok_or(ConnectionStringError::Form)?;
        let access_key = part("accesskey").ok_or(ConnectionStringError::Form)?;
        let access_key =
            AccessKey::from_base64(access_key).ok_or(ConnectionStringError::AccessKey)?;
        let resource = Self::from_endpoint(endpoint).map_err(ConnectionStringError::Endpoint)?;
        Ok((resource, access_key))
    }

    /// Returns the endpoint.
    #[must_use]
    pub fn endpoint(&self) -> &Url {
        &self.endpoint
    }

    /// Returns the endpoint's host, with the port unless it is the scheme's default. A request to
    /// another host, such as a media host, is signed with this one too.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }
}

impl fmt::Debug for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Resource({})", self.host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_are_not_base64_are_refused_and_none_prints() {
        assert!(AccessKey::from_base64("not base64!").is_none());
        assert!(AccessKey::from_base64("").is_none());
        let key = |text| AccessKey::from_base64(text).unwrap();
        assert!(key("AAECAw==") == key("AAECAw==") && key("AAECAw==") != key("AAECBA=="));
        assert_eq!(
            format!("{:?}", AccessKey::from_base64("AAECAw==").unwrap()),
            "AccessKey(…)"
        );
    }

    #[test]
    fn connection_strings_are_read_or_refused() {
        for (text, endpoint, host) in [
            (
                "endpoint=https://contoso.communication.azure.com/;accesskey=AAECAw==",
                "https://contoso.communication.azure.com/",
                "contoso.communication.azure.com",
            ),
            (
                "AccessKey=AAECAw==;Endpoint=https://contoso.communication.azure.com",
                "https://contoso.communication.azure.com/",
                "contoso.communication.azure.com",
            ),
            (
                " endpoint = https://CONTOSO.communication.azure.com:443/ ; accesskey = AAECAw== ;",
                "https://contoso.communication.azure.com/",
                "contoso.communication.azure.com",
            ),
            (
                "endpoint=http://127.0.0.1:9000;accesskey=AAECAw==",
                "http://127.0.0.1:9000/",
                "127.0.0.1:9000",
            ),
        ] {
            let (resource, _) = Resource::from_connection_string(text).unwrap();
            assert_eq!(
                (resource.endpoint().as_str(), resource.host()),
                (endpoint, host),
                "{text}"
            );
        }
        for (text, why) in [
            ("", ConnectionStringError::Form),
            (
                "endpoint=https://contoso.communication.azure.com/",
                ConnectionStringError::Form,
            ),
            ("accesskey=AAECAw==", ConnectionStringError::Form),
            (
                "endpoint=https://contoso/;accesskey=???",
                ConnectionStringError::AccessKey,
            ),
            (
                "endpoint=https://contoso/;accesskey=",
                ConnectionStringError::AccessKey,
            ),
            (
                "endpoint=contoso;accesskey=AAECAw==",
                ConnectionStringError::Endpoint(EndpointError::Form),
            ),
            (
                "endpoint=https://contoso/x;accesskey=AAECAw==",
                ConnectionStringError::Endpoint(EndpointError::Form),
            ),
            (
                "endpoint=https://contoso/?x;accesskey=AAECAw==",
                ConnectionStringError::Endpoint(EndpointError::Form),
            ),
            (
                "endpoint=https://u:p@contoso/;accesskey=AAECAw==",
                ConnectionStringError::Endpoint(EndpointError::Form),
            ),
            (
                "endpoint=ftp://contoso/;accesskey=AAECAw==",
                ConnectionStringError::Endpoint(EndpointError::Form),
            ),
            (
                "endpoint=http://contoso.communication.azure.com/;accesskey=AAECAw==",
                ConnectionStringError::Endpoint(EndpointError::NotHttps),
            ),
            (
                "endpoint=http://localhost:9000/;accesskey=AAECAw==",
                ConnectionStringError::Endpoint(EndpointError::NotHttps),
            ),
        ] {
            assert_eq!(
                Resource::from_connection_string(text).err(),
                Some(why),
                "{text}"
            );
        }
    }
}
