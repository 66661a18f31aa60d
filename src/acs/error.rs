//! The errors of requests to ACS.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use reqwest::StatusCode;
use serde::Deserialize;

use super::Document;
use super::reply::ContentRange;
use crate::locations::NotAllowed;
use crate::recording::is_plain_id;

/// A document that can never be requested, because the event names no valid source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSource {
    /// The location is not allowed.
    #[error(transparent)]
    Location(#[from] NotAllowed),
    /// The chunk has no location, and its documentId is invalid in a URL.
    #[error("chunk has no location, and its documentId is invalid")]
    DocumentId,
}

/// The bytes that a request asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// The complete document.
    Complete,
    /// A half-open range.
    Range(Range<u64>),
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Complete => f.write_str("the complete document"),
            Self::Range(range) => write!(f, "bytes {}..{}", range.start, range.end),
        }
    }
}

/// The bytes that a reply covers by its head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Covered {
    /// The range of its Content-Range.
    Range {
        /// The Content-Range.
        said: ContentRange,
        /// The length of the body by Content-Length, in bytes.
        body: Option<u64>,
    },
    /// Unknown, because of this flaw of the head.
    Unknown(&'static str),
}

impl fmt::Display for Covered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Range { said, body } => {
                write!(f, "{said}")?;
                body.map_or(Ok(()), |body| write!(f, " in {body} bytes"))
            }
            Self::Unknown(flaw) => write!(f, "unknown bytes ({flaw})"),
        }
    }
}

/// An error of a request to ACS. No variant holds a URL.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The reply was empty. ACS sends such replies for a while after the event.
    #[error("recording is not ready: the reply was empty")]
    NotReady,
    /// Any status except 200 and 206.
    #[error("ACS answered {status}{}", in_parentheses(trace_id.as_deref()))]
    Refused {
        /// The status.
        status: StatusCode,
        /// The trace id, which Microsoft's support asks for.
        trace_id: Option<String>,
        /// The time to wait, if ACS gave one.
        retry_after: Option<Duration>,
    },
    /// The head of the reply contradicts the request, or itself.
    #[error("reply covers {actual} instead of {expected}")]
    Mismatch {
        /// The bytes that were requested, cut at the end of the document.
        expected: Expected,
        /// The bytes that the head names.
        actual: Covered,
    },
    /// The range begins after the end of the document.
    #[error("range is beyond the document's {total} bytes")]
    BeyondEnd {
        /// The document's length, in bytes.
        total: u64,
    },
    /// A further reply to a range has another total length or ETag than the first.
    #[error("source changed between two replies to one range")]
    Changed,
    /// A range came in too many replies, each shorter than its request.
    #[error("source sends a range in too many pieces: {replies} further replies did not cover it")]
    Scraps {
        /// The limit.
        replies: u32,
    },
    /// The reply to a range is the complete document.
    #[error("reply ignores the range that was asked for")]
    RangeIgnored,
    /// The reply has a content type that no such document has, such as an error page with status
    /// 200.
    #[error("reply has the content type {content_type}, which is not {document:?}")]
    WrongType {
        /// The content type of the reply.
        content_type: String,
        /// The document that was requested.
        document: Document,
    },
    /// The reply has no length, and only the end of the connection marks the end of its body.
    #[error("reply has no length, and a body that only the end of the connection ends")]
    Unframed,
    /// The reply is compressed, although the request did not accept that.
    #[error("reply has a Content-Encoding, although the request asked for identity")]
    Encoded,
    /// A redirect to a location that is not allowed.
    #[error("ACS redirected to a location that is not allowed")]
    Redirect(#[source] NotAllowed),
    /// A redirect without a location, or too many redirects.
    #[error("ACS redirected too often or without a location")]
    RedirectLoop,
    /// No byte came for that long.
    #[error("source sent no byte for {} s", .0.as_secs_f32())]
    Stalled(Duration),
    /// The body ended before the length that the head or the plan gave.
    #[error("body ended {missing} bytes early")]
    Truncated {
        /// The number of bytes that did not come.
        missing: u64,
    },
    /// The body is longer than the length that the head gave.
    #[error("body is longer than its head says")]
    Excess,
    /// The document is longer than the limit for its kind.
    #[error("document is longer than {limit} bytes")]
    TooLong {
        /// The limit, in bytes.
        limit: u64,
    },
    /// No connection, no valid certificate, or an incomplete reply.
    #[error("request to ACS failed")]
    Http(#[source] reqwest::Error),
    /// The headers of the request cannot be built.
    #[error("request cannot be signed")]
    Unsignable,
    /// No token could be obtained. An earlier log line has the cause.
    #[error("there is no Microsoft Entra token to download with")]
    NoToken,
}

impl Error {
    /// Returns `true` if the range is at fault: the source ignored or refused it, or sent another
    /// range. A request without a range may succeed.
    pub(crate) fn is_about_ranges(&self) -> bool {
        match self {
            Self::Mismatch { .. }
            | Self::BeyondEnd { .. }
            | Self::RangeIgnored
            | Self::Changed
            | Self::Scraps { .. } => true,
            Self::Refused { status, .. } => matches!(status.as_u16(), 400 | 416),
            _ => false,
        }
    }

    pub(super) fn http(error: reqwest::Error) -> Self {
        Self::Http(error.without_url())
    }
}

/// A trace id, if any, to follow a status.
fn in_parentheses(trace_id: Option<&str>) -> String {
    trace_id.map_or_else(String::new, |id| format!(" (traceId {id})"))
}

/// The trace id in an error's body, if the body is JSON with one.
pub(super) fn trace_id(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Body {
        trace_id: String,
    }
    let body: Body = serde_json::from_slice(body).ok()?;
    Some(body.trace_id).filter(|id| is_plain_id(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trace_ids_are_taken_from_json_only() {
        assert_eq!(
            trace_id(br#"{"error":{"code":"Denied"},"traceId":"00-4bf92f"}"#).as_deref(),
            Some("00-4bf92f")
        );
        assert_eq!(trace_id(br#"{"traceId":"https://x/?sig=y"}"#), None);
        assert_eq!(trace_id(b"<html>"), None);
    }
}
