//! The two files of a document, and the ranges of them that are sent.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG};

use super::body::Source;
use super::reply::Reply;
use super::{Document, Ranges};

/// The content or the metadata of a document.
pub(super) struct File<'a> {
    source: Source,
    length: u64,
    content_type: &'a str,
    etag: Option<&'a str>,
    ranges: Ranges,
}

impl<'a> File<'a> {
    /// The content, whose bytes are counted in `sent`.
    pub(super) fn content(document: &'a Document, sent: Arc<AtomicU64>) -> Self {
        let media = document.media.clone();
        let content_type = document.content_type.as_deref();
        Self {
            length: media.length(),
            content_type: content_type.unwrap_or_else(|| media.content_type()),
            source: Source::Media { media, sent },
            etag: document.etag.as_deref(),
            ranges: document.ranges,
        }
    }

    pub(super) fn metadata(document: &'a Document) -> Self {
        Self {
            source: Source::Bytes(document.metadata.clone()),
            length: document.metadata.len() as u64,
            content_type: "application/json",
            etag: None,
            ranges: document.ranges,
        }
    }

    /// The reply to a request with this `Range`, or without.
    pub(super) fn reply(self, range: Option<&str>) -> Reply {
        let (content_type, etag) = (self.content_type, self.etag);
        let reply = self.bytes(range);
        if !reply.status.is_success() {
            return reply;
        }
        let reply = reply.header(CONTENT_TYPE, content_type);
        match etag {
            Some(etag) => reply.header(ETAG, etag),
            None => reply,
        }
    }

    fn bytes(self, range: Option<&str>) -> Reply {
        let complete = 0..self.length;
        let range = match (self.ranges, range) {
            (Ranges::Honoured | Ranges::Shortened(_), Some(range)) => range,
            (Ranges::IgnoredWithoutLength, _) => {
                return Reply::new(StatusCode::OK, self.source, complete).without(&CONTENT_LENGTH);
            }
            (Ranges::Honoured | Ranges::Shortened(_) | Ranges::Ignored, _) => {
                return Reply::new(StatusCode::OK, self.source, complete);
            }
        };
        let length = self.length;
        match parse_range(range) {
            Some((start, _)) if start >= length => {
                let nothing = Source::Bytes(Bytes::new());
                Reply::new(StatusCode::RANGE_NOT_SATISFIABLE, nothing, 0..0)
                    .header(CONTENT_RANGE, &format!("bytes */{length}"))
            }
            Some((start, last)) => {
                let most = match self.ranges {
                    Ranges::Shortened(most) => most.max(1),
                    _ => u64::MAX,
                };
                let last = last.min(length - 1).min(start.saturating_add(most - 1));
                Reply::new(StatusCode::PARTIAL_CONTENT, self.source, start..last + 1)
                    .header(CONTENT_RANGE, &format!("bytes {start}-{last}/{length}"))
            }
            None => Reply::html(StatusCode::BAD_REQUEST),
        }
    }
}

/// The first and the last byte of `bytes=a-b` or `bytes=a-`.
///
/// <https://www.rfc-editor.org/rfc/rfc9110#name-byte-ranges>
fn parse_range(range: &str) -> Option<(u64, u64)> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let number = |digits: &str| {
        digits
            .bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| digits.parse().ok())?
    };
    let first = number(first)?;
    let last = if last.is_empty() {
        u64::MAX
    } else {
        number(last)?
    };
    (first <= last).then_some((first, last))
}
