//! The header fields of a reply. Pure.

use std::time::Duration;

use reqwest::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue};

use crate::acs::Document;
use crate::clock;

/// A header that may be there once: a second one contradicts the first, or repeats it to no end.
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

/// Digits alone: `u64::from_str` would take a plus sign as well.
pub(super) fn decimal(text: &str) -> Option<u64> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())?
}

pub(super) fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// `type/subtype` in lower case, without what may follow it: a host that echoes what it was sent is not to be repeated.
pub(super) fn essence(content_type: &str) -> String {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let token = |text: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+-._".contains(&byte);
        (1..=64).contains(&text.len()) && text.bytes().all(plain)
    };
    match essence.split_once('/') {
        Some((kind, subtype)) if token(kind) && token(subtype) => essence.to_ascii_lowercase(),
        _ => "a type that cannot be read".to_owned(),
    }
}

/// Whether this is an `ETag` as RFC 9110, 8.8.3 has it, its quotes forgotten or not, and of a length that an object's
/// metadata can hold.
pub(super) fn is_etag(text: &str) -> bool {
    let opaque = text.strip_prefix("W/").unwrap_or(text);
    let quoted = opaque
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    let opaque = quoted.unwrap_or(opaque);
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'"';
    opaque.len() <= 128 && opaque.bytes().all(plain)
}

/// Error pages are HTML or JSON whatever their status; recordings are neither, and metadata is not HTML.
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

/// A `Retry-After`, in seconds or as a date: RFC 9110, 10.2.3.
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
