//! The headers that authorize a request: the string to sign and its HMAC, or a token. Pure.
//!
//! The signature:
//! <https://learn.microsoft.com/azure/communication-services/tutorials/hmac-header-tutorial>.
//! Downloads of recordings have two forms, which follow the requests of the official SDKs.

use std::time::SystemTime;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use httpdate::fmt_http_date;
use reqwest::header::{
    AUTHORIZATION, DATE, HeaderMap, HeaderName, HeaderValue, InvalidHeaderValue,
};
use ring::digest::{SHA256, digest};
use url::Position;

use crate::access::{AccessKey, Credential, Token};

const X_MS_CONTENT_SHA256: HeaderName = HeaderName::from_static("x-ms-content-sha256");
const X_MS_DATE: HeaderName = HeaderName::from_static("x-ms-date");
const X_MS_HOST: HeaderName = HeaderName::from_static("x-ms-host");

/// The form of a request: the names of the headers for its host and date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// `Date`, in a request to the resource itself, as in the 2021 preview.
    Preview2021,
    /// `x-ms-date` and `x-ms-host`, in a request to a media host. The resource's host is signed.
    Current,
}

impl Form {
    fn signed_headers(self) -> &'static str {
        match self {
            Self::Preview2021 => "date;host;x-ms-content-sha256",
            Self::Current => "x-ms-date;host;x-ms-content-sha256",
        }
    }
}

/// The content hash: the base64 of the body's SHA-256.
pub(crate) fn content_hash(body: &[u8]) -> String {
    BASE64_STANDARD.encode(digest(&SHA256, body))
}

/// The string to sign. `path_and_query` is as sent, `host` is the ACS resource's.
pub(crate) fn string_to_sign(
    verb: &str,
    path_and_query: &str,
    date: &str,
    host: &str,
    content_hash: &str,
) -> String {
    format!("{verb}\n{path_and_query}\n{date};{host};{content_hash}")
}

/// The headers of a GET of `url` that a credential authorizes, in `form`, for the resource at
/// `host`, made at `now`. Each attempt makes its own. Fails if `host` is invalid in a header.
pub(crate) fn authorized_get(
    credential: &Credential,
    form: Form,
    url: &url::Url,
    host: &str,
    now: SystemTime,
) -> Result<HeaderMap, InvalidHeaderValue> {
    match credential {
        Credential::AccessKey(key) => signed_get(key, form, url, host, now),
        Credential::Token(token) => bearer_get(token, form, host),
    }
}

/// The headers of a GET with a token. Date and content hash belong to a signature only.
fn bearer_get(token: &Token, form: Form, host: &str) -> Result<HeaderMap, InvalidHeaderValue> {
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, token.authorization().clone());
    if form == Form::Current {
        headers.insert(X_MS_HOST, HeaderValue::from_str(host)?);
    }
    Ok(headers)
}

/// The headers of a signed GET of `url`, in `form`, for the resource at `host`, made at `now`. A
/// signature expires with its date, so each attempt makes its own.
pub(crate) fn signed_get(
    key: &AccessKey,
    form: Form,
    url: &url::Url,
    host: &str,
    now: SystemTime,
) -> Result<HeaderMap, InvalidHeaderValue> {
    let date = fmt_http_date(now);
    let hash = content_hash(b"");
    let path_and_query = &url[Position::BeforePath..Position::AfterQuery];
    let signature = key.signature(&string_to_sign("GET", path_and_query, &date, host, &hash));
    let authorization = format!(
        "HMAC-SHA256 SignedHeaders={}&Signature={signature}",
        form.signed_headers()
    );

    let mut headers = HeaderMap::new();
    let mut authorization = HeaderValue::from_str(&authorization)?;
    // `Debug` does not print a sensitive value.
    authorization.set_sensitive(true);
    headers.insert(AUTHORIZATION, authorization);
    headers.insert(X_MS_CONTENT_SHA256, HeaderValue::from_str(&hash)?);
    let date = HeaderValue::from_str(&date)?;
    match form {
        Form::Preview2021 => {
            headers.insert(DATE, date);
        }
        Form::Current => {
            headers.insert(X_MS_DATE, date);
            headers.insert(X_MS_HOST, HeaderValue::from_str(host)?);
        }
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};
    use url::Url;

    /// Known answers. The first was published with the tests of a Microsoft SDK; two official SDKs
    /// compute the others.
    #[derive(serde::Deserialize)]
    struct Vectors {
        signatures: Vec<Signed>,
        content_hashes: Vec<ContentHash>,
    }

    #[derive(serde::Deserialize)]
    struct Signed {
        key: String,
        verb: String,
        path_and_query: String,
        date: String,
        host: String,
        body: String,
        content_hash: String,
        signature: String,
    }

    #[derive(serde::Deserialize)]
    struct ContentHash {
        body: String,
        hash: String,
    }

    fn vectors() -> Vectors {
        serde_json::from_str(include_str!("../../tests/vectors.json")).unwrap()
    }

    #[test]
    fn known_signatures() {
        let vectors = vectors().signatures;
        assert_eq!(vectors.len(), 4);
        for vector in vectors {
            let key = AccessKey::from_base64(&vector.key).unwrap();
            let hash = content_hash(vector.body.as_bytes());
            assert_eq!(hash, vector.content_hash);
            let string = string_to_sign(
                &vector.verb,
                &vector.path_and_query,
                &vector.date,
                &vector.host,
                &hash,
            );
            assert_eq!(key.signature(&string), vector.signature, "{string}");
        }
    }

    #[test]
    fn known_content_hashes() {
        let vectors = vectors().content_hashes;
        assert_eq!(vectors.len(), 3);
        for vector in vectors {
            let hash = content_hash(vector.body.as_bytes());
            assert_eq!(hash, vector.hash, "{}", vector.body);
        }
    }

    #[test]
    fn a_token_is_sent_with_the_host_and_without_date_and_hash() {
        let now = UNIX_EPOCH + Duration::from_mins(1);
        let token = Token::new("a.b.c", Duration::from_hours(1), now).unwrap();
        let credential = Credential::Token(token);
        let url = Url::parse("https://eus-prod.asm.skype.com/v1/objects/x/content/video").unwrap();
        for (form, expected) in [
            (Form::Current, vec!["authorization", "x-ms-host"]),
            (Form::Preview2021, vec!["authorization"]),
        ] {
            let headers = authorized_get(&credential, form, &url, "contoso.example", now).unwrap();
            let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
            names.sort_unstable();
            assert_eq!(names, expected);
            assert_eq!(headers["authorization"], "Bearer a.b.c");
            assert!(headers["authorization"].is_sensitive());
        }
    }

    #[test]
    fn the_headers_of_both_forms() {
        let now = UNIX_EPOCH + Duration::from_mins(27_123_325);
        let [_, current, _, preview] = &*vectors().signatures else {
            panic!("four vectors")
        };
        let key = AccessKey::from_base64(&current.key).unwrap();
        let authorization = |date: &str, signature: &str| {
            format!(
                "HMAC-SHA256 SignedHeaders={date};host;x-ms-content-sha256&Signature={signature}"
            )
        };

        let url = format!("https://eus-prod.asm.skype.com{}", current.path_and_query);
        let url = Url::parse(&url).unwrap();
        let headers = signed_get(&key, Form::Current, &url, &current.host, now).unwrap();
        assert_eq!(headers["x-ms-date"], current.date);
        assert_eq!(headers["x-ms-host"], current.host);
        assert!(!headers.contains_key("date"));
        let expected = authorization("x-ms-date", &current.signature);
        assert_eq!(headers["authorization"], expected);

        let url = format!("https://{}{}", preview.host, preview.path_and_query);
        let url = Url::parse(&url).unwrap();
        let headers = signed_get(&key, Form::Preview2021, &url, &preview.host, now).unwrap();
        assert_eq!(headers["date"], preview.date);
        assert!(!headers.contains_key("x-ms-date") && !headers.contains_key("x-ms-host"));
        let expected = authorization("date", &preview.signature);
        assert_eq!(headers["authorization"], expected);
    }
}
