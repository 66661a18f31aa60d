//! The head of a reply, held against what was asked. Pure.

use std::ops::Range;
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap, HeaderName,
    HeaderValue,
};

use super::{Document, Error};
use crate::clock;

/// What a verified reply's body is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Extent {
    /// The range that was asked for, cut at the document's end.
    Range {
        /// Half-open.
        range: Range<u64>,
        /// The document's length, in bytes.
        total: u64,
    },
    /// The whole document: no range was asked for, or it was ignored.
    Whole {
        /// In bytes, where the head says.
        length: Option<u64>,
    },
}

/// A reply's head, verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// What the body is.
    pub extent: Extent,
    /// The source's ETag, if it gave one.
    pub etag: Option<String>,
    /// The content type, if it gave one.
    pub content_type: Option<String>,
}

impl Head {
    /// Reads the head of a 200 or 206.
    ///
    /// # Errors
    ///
    /// Where it says anything but what was asked, or contradicts itself.
    pub fn verify(
        status: StatusCode,
        headers: &HeaderMap,
        asked: Option<&Range<u64>>,
        document: Document,
    ) -> Result<Self, Error> {
        let encoding = text(headers, &CONTENT_ENCODING).unwrap_or("identity");
        if !encoding.eq_ignore_ascii_case("identity") {
            return Err(Error::Encoded);
        }
        let content_type = text(headers, &CONTENT_TYPE);
        if let Some(content_type) =
            content_type.filter(|content_type| !may_be(document, content_type))
        {
            return Err(Error::WrongType {
                content_type: essence(content_type),
                document,
            });
        }
        let length = content_length(headers);
        let extent = match (status, asked) {
            (StatusCode::PARTIAL_CONTENT, Some(asked)) => covered(headers, asked, length)?,
            (StatusCode::PARTIAL_CONTENT, None) => {
                return Err(Error::Mismatch {
                    expected: "the whole".into(),
                    actual: "a range".into(),
                });
            }
            _ => Extent::Whole { length },
        };
        Ok(Self {
            extent,
            etag: text(headers, &ETAG)
                .filter(|etag| is_etag(etag))
                .map(str::to_owned),
            content_type: content_type.map(essence),
        })
    }

    /// The bytes that the body must have, where the head says.
    #[must_use]
    pub fn body_length(&self) -> Option<u64> {
        match &self.extent {
            Extent::Range { range, .. } => Some(range.end - range.start),
            Extent::Whole { length } => *length,
        }
    }

    /// The document's length, in bytes, where the head says.
    #[must_use]
    pub fn total(&self) -> Option<u64> {
        match self.extent {
            Extent::Range { total, .. } => Some(total),
            Extent::Whole { length } => length,
        }
    }
}

/// Whether this is how ACS says, right after the event, that the recording is not ready: a success without a body, or a
/// range that cannot be satisfied because there is nothing.
#[must_use]
pub fn is_empty(status: StatusCode, headers: &HeaderMap) -> bool {
    match status {
        StatusCode::NO_CONTENT => true,
        StatusCode::OK | StatusCode::PARTIAL_CONTENT => content_length(headers) == Some(0),
        StatusCode::RANGE_NOT_SATISFIABLE => unsatisfied(status, headers) == Some(0),
        _ => false,
    }
}

/// The document's length, where a range is beyond it: RFC 9110, 15.5.17.
#[must_use]
pub fn unsatisfied(status: StatusCode, headers: &HeaderMap) -> Option<u64> {
    let not_satisfiable = status == StatusCode::RANGE_NOT_SATISFIABLE;
    let range = text(headers, &CONTENT_RANGE).filter(|_| not_satisfiable)?;
    range.strip_prefix("bytes */").and_then(decimal)
}

/// A `Retry-After`, in seconds or as a date: RFC 9110, 10.2.3.
#[must_use]
pub fn retry_after(value: &HeaderValue) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    let date = || {
        httpdate::parse_http_date(text)
            .ok()
            .map(|at| at.duration_since(clock::now()).unwrap_or_default())
    };
    text.parse().ok().map(Duration::from_secs).or_else(date)
}

fn covered(headers: &HeaderMap, asked: &Range<u64>, length: Option<u64>) -> Result<Extent, Error> {
    let content_range = text(headers, &CONTENT_RANGE);
    let mismatch = |total: Option<u64>| Error::Mismatch {
        expected: format!(
            "bytes {}..{}",
            asked.start,
            total.map_or(asked.end, |total| asked.end.min(total))
        ),
        actual: match (content_range, length) {
            (None, _) => "a range without Content-Range".into(),
            (Some(range), length) => match (parse_content_range(range), length) {
                (None, _) => "a range that cannot be read".into(),
                (Some((range, total)), None) => said(&range, total),
                (Some((range, total)), Some(length)) => {
                    format!("{} in {length} bytes", said(&range, total))
                }
            },
        },
    };
    let (range, total) = content_range
        .and_then(parse_content_range)
        .ok_or_else(|| mismatch(None))?;
    let expected = asked.start..asked.end.min(total);
    if range != expected || length.is_some_and(|length| length != range.end - range.start) {
        return Err(mismatch(Some(total)));
    }
    Ok(Extent::Range { range, total })
}

fn said(range: &Range<u64>, total: u64) -> String {
    format!("bytes {}..{} of {total}", range.start, range.end)
}

/// `bytes 0-15/100`, both ends inclusive: RFC 9110, 14.4. A total that is not known (`*`) does not count.
fn parse_content_range(text: &str) -> Option<(Range<u64>, u64)> {
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last, total) = (decimal(first)?, decimal(last)?, decimal(total)?);
    (first <= last && last < total).then(|| (first..last + 1, total))
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    text(headers, &CONTENT_LENGTH).and_then(decimal)
}

/// Digits alone: `u64::from_str` would take a plus sign as well.
fn decimal(text: &str) -> Option<u64> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())?
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// `type/subtype` in lower case, without what may follow it: a host that echoes what it was sent is not to be repeated.
fn essence(content_type: &str) -> String {
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
fn is_etag(text: &str) -> bool {
    let opaque = text.strip_prefix("W/").unwrap_or(text);
    let quoted = opaque
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    let opaque = quoted.unwrap_or(opaque);
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'"';
    opaque.len() <= 128 && opaque.bytes().all(plain)
}

/// Error pages are HTML or JSON whatever their status; recordings are neither, and metadata is not HTML.
fn may_be(document: Document, content_type: &str) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_str(value).unwrap(),
                )
            })
            .collect()
    }

    fn verify(
        status: u16,
        pairs: &[(&'static str, &str)],
        asked: Option<&Range<u64>>,
    ) -> Result<Head, Error> {
        Head::verify(
            StatusCode::from_u16(status).unwrap(),
            &headers(pairs),
            asked,
            Document::Media,
        )
    }

    #[test]
    fn a_range_is_what_was_asked() {
        for (content_range, asked, range, total) in [
            ("bytes 0-15/100", 0..16, 0..16, 100),
            ("bytes 96-99/100", 96..112, 96..100, 100),
            ("bytes 0-0/1", 0..16, 0..1, 1),
        ] {
            let head = verify(
                206,
                &[("content-range", content_range), ("etag", "\"a\"")],
                Some(&asked),
            )
            .unwrap();
            assert_eq!(head.extent, Extent::Range { range, total });
            assert_eq!(head.etag.as_deref(), Some("\"a\""));
        }
    }

    #[test]
    fn a_range_of_anything_else_is_a_mismatch() {
        for content_range in [
            "bytes 0-14/100",
            "bytes 1-16/100",
            "bytes 0-16/100",
            "bytes 0-15/*",
            "bytes */100",
            "bytes 0-15/10",
            "bytes 15-0/100",
            "bytes 0-15",
            "0-15/100",
            "bytes +0-15/100",
            "bytes 0-15/99999999999999999999",
            "items 0-15/100",
            "",
        ] {
            let result = verify(206, &[("content-range", content_range)], Some(&(0..16)));
            assert!(
                matches!(result, Err(Error::Mismatch { .. })),
                "{content_range}"
            );
        }
        assert!(matches!(
            verify(206, &[], Some(&(0..16))),
            Err(Error::Mismatch { .. })
        ));
        assert!(matches!(
            verify(206, &[("content-range", "bytes 0-15/100")], None),
            Err(Error::Mismatch { .. })
        ));
        let contradiction = [
            ("content-range", "bytes 0-15/100"),
            ("content-length", "17"),
        ];
        let error = verify(206, &contradiction, Some(&(0..16))).unwrap_err();
        assert_eq!(
            error.to_string(),
            "reply covers bytes 0..16 of 100 in 17 bytes instead of bytes 0..16"
        );
    }

    #[test]
    fn nothing_is_repeated_that_is_not_what_its_header_should_have() {
        let secret = "HMAC-SHA256 SignedHeaders=host&Signature=c2VjcmV0";
        let error = verify(206, &[("content-range", secret)], Some(&(0..16)));
        assert!(!error.unwrap_err().to_string().contains("c2VjcmV0"));
        for content_type in [
            secret,
            &format!("text/html; x={secret}"),
            &format!("text/{secret}"),
        ] {
            let head = verify(200, &[("content-type", content_type)], None);
            assert!(!format!("{head:?}").contains("c2VjcmV0"), "{head:?}");
        }
        for (etag, kept) in [
            ("\"0x8D4BCC2E4835CD0\"", true),
            ("W/\"a\"", true),
            ("0x8D4BCC2E4835CD0", true),
            ("\"half", false),
            ("\"HMAC-SHA256 Signature=c2VjcmV0\"", false),
            (&format!("\"{}\"", "a".repeat(129)), false),
        ] {
            let head = verify(200, &[("etag", etag)], None).unwrap();
            assert_eq!(head.etag.is_some(), kept, "{etag}");
        }
    }

    #[test]
    fn a_whole_reply_has_its_length_or_none() {
        assert_eq!(
            verify(200, &[("content-length", "7")], Some(&(0..16)))
                .unwrap()
                .total(),
            Some(7)
        );
        assert_eq!(verify(200, &[], Some(&(0..16))).unwrap().total(), None);
    }

    #[test]
    fn an_empty_reply_means_not_ready() {
        for (status, pairs, empty) in [
            (200, vec![("content-length", "0")], true),
            (206, vec![("content-length", "0")], true),
            (204, vec![], true),
            (416, vec![("content-range", "bytes */0")], true),
            (416, vec![("content-range", "bytes */10")], false),
            (200, vec![("content-length", "1")], false),
            (200, vec![], false),
            (404, vec![("content-length", "0")], false),
        ] {
            assert_eq!(
                is_empty(StatusCode::from_u16(status).unwrap(), &headers(&pairs)),
                empty,
                "{status} {pairs:?}"
            );
        }
    }

    #[test]
    fn a_range_beyond_the_end_tells_the_length() {
        for (status, content_range, total) in [
            (416, "bytes */10", Some(10)),
            (416, "bytes */*", None),
            (416, "", None),
            (404, "bytes */10", None),
        ] {
            let headers = headers(&[("content-range", content_range)]);
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(
                unsatisfied(status, &headers),
                total,
                "{status} {content_range}"
            );
        }
    }

    #[test]
    fn error_pages_are_not_documents() {
        for (content_type, media, metadata) in [
            ("video/mp4", true, true),
            ("application/octet-stream", true, true),
            ("text/html; charset=utf-8", false, false),
            ("TEXT/HTML", false, false),
            ("text/html charset=utf-8", false, false),
            ("text/html, text/html", false, false),
            ("text/", false, true),
            ("", true, true),
            ("application/json", false, true),
            ("application/problem+json", false, true),
            ("text/plain", false, true),
        ] {
            assert_eq!(
                (
                    may_be(Document::Media, content_type),
                    may_be(Document::Metadata, content_type)
                ),
                (media, metadata),
                "{content_type}"
            );
        }
        assert!(matches!(
            verify(200, &[("content-type", "text/html")], None),
            Err(Error::WrongType { .. })
        ));
        assert!(matches!(
            verify(200, &[("content-encoding", "gzip")], None),
            Err(Error::Encoded)
        ));
        assert!(verify(200, &[("content-encoding", "Identity")], None).is_ok());
    }

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

    proptest! {
        #[test]
        fn no_content_range_panics(text in "bytes [0-9*]{0,22}-[0-9]{0,22}/[0-9*]{0,22}") {
            if let Some((range, total)) = parse_content_range(&text) {
                prop_assert!(range.start < range.end && range.end <= total);
            }
        }
    }
}
