//! The header fields of a reply. Pure.

use std::time::Duration;

use reqwest::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue};

use crate::acs::Document;
use crate::clock;

/// The value of a header that must not be repeated. The error is the flaw of the head.
pub(super) fn only<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'a str>, &'static str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => match value.to_str() {
            Ok(value) => Ok(Some(value)),
            Err(_) => Err("header that is not text"),
        },
        (Some(_), Some(_)) => Err("repeated header"),
    }
}

pub(super) fn content_length(headers: &HeaderMap) -> Option<u64> {
    only(headers, &CONTENT_LENGTH).ok()?.and_then(decimal)
}

/// Parses digits only: `u64::from_str` would accept a plus sign as well.
pub(super) fn decimal(text: &str) -> Option<u64> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())?
}

pub(super) fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The `type/subtype` of a content type, in lower case. Any other text is not repeated, since a
/// host may echo the request.
pub(super) fn essence(content_type: &str) -> String {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let token = |text: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+-._".contains(&byte);
        (1..=64).contains(&text.len()) && text.bytes().all(plain)
    };
    match essence.split_once('/') {
        Some((kind, subtype)) if token(kind) && token(subtype) => essence.to_ascii_lowercase(),
        _ => "(malformed)".to_owned(),
    }
}

/// Returns `true` for an ETag, with or without its quotes, that is short enough for an object's
/// metadata.
///
/// <https://www.rfc-editor.org/rfc/rfc9110#section-8.8.3>
pub(super) fn is_etag(text: &str) -> bool {
    let opaque = text.strip_prefix("W/").unwrap_or(text);
    let quoted = opaque
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    let opaque = quoted.unwrap_or(opaque);
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'"';
    opaque.len() <= 128 && opaque.bytes().all(plain)
}

/// Returns `true` if a document may have this content type. Error pages are HTML or JSON, whatever
/// their status; media is neither, and metadata is not HTML.
pub(super) fn may_be(document: Document, content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default();
    let essence = essence.trim().to_ascii_lowercase();
    let html = essence.starts_with("text/html") || essence.starts_with("application/xhtml");
    let text =
        essence.starts_with("text/") || essence.ends_with("json") || essence.ends_with("xml");
    match document {
        Document::Media => !html && !text,
        Document::Metadata => !html,
    }
}

/// Parses a `Retry-After`, in seconds or as a date.
///
/// <https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3>
pub(crate) fn retry_after(value: &HeaderValue) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    let date = || {
        httpdate::parse_http_date(text)
            .ok()
            .map(|at| at.duration_since(clock::now()).unwrap_or_default())
    };
    text.parse().ok().map(Duration::from_secs).or_else(date)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let parse = |text: &str| retry_after(&HeaderValue::from_str(text).unwrap());
        assert_eq!(parse("7"), Some(Duration::from_secs(7)));
        assert_eq!(parse("Tue, 27 Jul 2021 15:25:00 GMT"), Some(Duration::ZERO));
        let soon = httpdate::fmt_http_date(clock::now() + Duration::from_secs(100));
        assert!(
            parse(&soon).is_some_and(
                |wait| wait > Duration::from_secs(90) && wait <= Duration::from_secs(100)
            )
        );
        assert_eq!(parse("soon"), None);
        assert_eq!(parse("-1"), None);
    }
}
