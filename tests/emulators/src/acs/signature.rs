use std::time::SystemTime;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac as _};
use hyper::http::request::Parts;
use sha2::{Digest as _, Sha256};

use super::shared::Shared;
use crate::headers::one;
use crate::server::lock;

/// A form of signing a download.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `Date`, to the resource itself, as the preview of 2021 signs.
    Preview,
    /// `x-ms-date` and `x-ms-host`, to a media host.
    Current,
}

impl Form {
    fn date_header(self) -> &'static str {
        match self {
            Self::Preview => "date",
            Self::Current => "x-ms-date",
        }
    }
}

/// Checks the signature of a request in this form; an error is the reason.
///
/// <https://learn.microsoft.com/azure/communication-services/tutorials/hmac-header-tutorial>
pub(super) fn check(shared: &Shared, form: Form, request: &Parts) -> Result<(), String> {
    let headers = &request.headers;
    let date = one(headers, form.date_header())?;
    let content_hash = one(headers, "x-ms-content-sha256")?;
    let authorization = one(headers, "authorization")?;

    match (form, headers.get("x-ms-host")) {
        (Form::Preview, Some(_)) => return Err("x-ms-host has no place in this form".to_owned()),
        (Form::Current, _) => {
            let host = one(headers, "x-ms-host")?;
            if host != shared.resource {
                return Err(format!("x-ms-host is {host}, not {}", shared.resource));
            }
        }
        (Form::Preview, None) => {}
    }
    if content_hash != STANDARD.encode(Sha256::digest(b"")) {
        return Err("x-ms-content-sha256 is not that of an empty body".to_owned());
    }
    check_date(shared, date)?;

    let expected_start = format!(
        "HMAC-SHA256 SignedHeaders={};host;x-ms-content-sha256&Signature=",
        form.date_header()
    );
    let Some(actual) = authorization.strip_prefix(&expected_start) else {
        return Err(format!(
            "authorization does not begin with {expected_start}"
        ));
    };
    let path_and_query = request
        .uri
        .path_and_query()
        .map_or("", |path| path.as_str());
    let expected = |access_key: &Vec<u8>| {
        signature(
            access_key,
            request.method.as_str(),
            path_and_query,
            date,
            &shared.resource,
            content_hash,
        )
    };
    if lock(&shared.access_keys)
        .iter()
        .any(|key| actual == expected(key))
    {
        Ok(())
    } else {
        Err("the signature is wrong: another key, host, date, path or query was signed".to_owned())
    }
}

#[expect(clippy::disallowed_methods, reason = "a server has its own clock")]
fn check_date(shared: &Shared, date: &str) -> Result<(), String> {
    // `httpdate` also parses two older formats and lenient spellings of this one.
    let instant = httpdate::parse_http_date(date)
        .ok()
        .filter(|instant| httpdate::fmt_http_date(*instant) == date)
        .ok_or_else(|| format!("the date {date:?} is not in the format of RFC 1123"))?;
    let now = SystemTime::now();
    let skew = now
        .duration_since(instant)
        .unwrap_or_else(|error| error.duration());
    // The date is in whole seconds, so a signature made just now may be almost one second old.
    if skew.as_secs() > shared.settings.max_date_skew.as_secs() {
        return Err(format!("the date {date:?} is too far from now"));
    }
    Ok(())
}

/// The signature of the string to sign.
fn signature(
    access_key: &[u8],
    verb: &str,
    path_and_query: &str,
    date: &str,
    host: &str,
    content_hash: &str,
) -> String {
    let string_to_sign = format!("{verb}\n{path_and_query}\n{date};{host};{content_hash}");
    let mut mac =
        Hmac::<Sha256>::new_from_slice(access_key).expect("HMAC takes keys of any length");
    mac.update(string_to_sign.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "Tue, 27 Jul 2021 15:25:00 GMT";
    const HOST: &str = "contoso.communication.azure.com";
    const EMPTY: &str = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";

    #[test]
    fn known_answers() {
        let key: Vec<u8> = (0..32).collect();
        for (verb, path_and_query, expected) in [
            (
                "GET",
                "/v1/objects/0-eus-d12-801b3f3fc462fe8a01e6810cbff729b8/content/video",
                "gpcmxFjhIBvltDjP5FJBSjwfBCmKWMkNZTfSpIqqnzc=",
            ),
            (
                "DELETE",
                "/v1/objects/0-eus-d12-801b3f3fc462fe8a01e6810cbff729b8",
                "EZAt6RA1ONZLhmxH//mfhk/AK+rCJ4d7/lYAXq7MmOU=",
            ),
            (
                "GET",
                "/recording/download/0-eus-d12-801b3f3fc462fe8a01e6810cbff729b8\
                 ?api-version=2021-04-15-preview1",
                "0nP3cAFYnIPCg4qJ+RjEOrZ+vKFXaS7gMBO0rdLQbTo=",
            ),
        ] {
            let actual = signature(&key, verb, path_and_query, DATE, HOST, EMPTY);
            assert_eq!(actual, expected, "{verb} {path_and_query}");
        }
    }

    #[test]
    fn the_known_answer_with_a_body() {
        let key = STANDARD
            .decode("68810419818922fb0263dd6ee4b9c56537dbad914aa7324a119fce26778a286e")
            .unwrap();
        let body = r#"{"propName":"name", "propValue": "value"}"#;
        let content_hash = STANDARD.encode(Sha256::digest(body));
        assert_eq!(content_hash, "YjVxGFu++f6tLM9YEVQVRmchZiYyxQ+8Bi3PXTJz2C4=");
        let actual = signature(
            &key,
            "POST",
            "?id=b93a5ef4-f622-44d8-a80b-ff983122554e",
            "Wed, 07 Oct 2020 18:16:02 GMT",
            "localhost",
            &content_hash,
        );
        assert_eq!(actual, "KZD9UN4LsktsEX2e9cRp+LS2opjAtEVKqt+OzFCHh9o=");
    }

    #[test]
    fn content_hashes() {
        for (body, expected) in [
            ("", EMPTY),
            ("banana", "tJPUg2Sv5E0RwBZc9HCkFk0eJgmRHvmYvoaNRq3j3k4="),
            ("\u{1F600}", "8EQ6NCxe9UeDoRG1G6Vsk45HTDIyTZDDpgycjjo34tk="),
        ] {
            assert_eq!(STANDARD.encode(Sha256::digest(body)), expected, "{body}");
        }
    }
}
