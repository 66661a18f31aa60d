//! What goes wrong between ACS and us.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use reqwest::StatusCode;
use serde::Deserialize;

use super::Document;
use super::reply::ContentRange;
use crate::locations::NotAllowed;
use crate::recording::is_plain_id;

/// A chunk that cannot be asked for, now or ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSource {
    /// Its location fails the rule on where an event may send us.
    #[error(transparent)]
    Location(#[from] NotAllowed),
    /// It has no location, and its documentId cannot stand in a URL.
    #[error("chunk has no location, and a documentId that cannot be asked for")]
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
    /// Not known, for this flaw of the head.
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

/// What went wrong between us and ACS. No variant holds a URL.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The reply was empty, as it is for a while right after the event.
    #[error("recording is not ready: the reply was empty")]
    NotReady,
    /// Any status but 200 and 206.
    #[error("ACS answered {status}{}", .trace_id.as_ref().map(|id| format!(" (traceId {id})")).unwrap_or_default())]
    Refused {
        /// The status.
        status: StatusCode,
        /// What Microsoft's support asks for.
        trace_id: Option<String>,
        /// How long to wait, if ACS said.
        retry_after: Option<Duration>,
    },
    /// A reply whose head contradicts what was asked, or itself.
    #[error("reply covers {actual} instead of {expected}")]
    Mismatch {
        /// The bytes that were asked for, as far as the document has them.
        expected: Expected,
        /// The bytes that the head names.
        actual: Covered,
    },
    /// The range is beyond the document's end.
    #[error("range is beyond the document's {total} bytes")]
    BeyondEnd {
        /// The document's length, in bytes.
        total: u64,
    },
    /// The rest of a range is of another length or ETag than its beginning.
    #[error("source changed between two replies to one range")]
    Changed,
    /// A range came in too many replies, each shorter than what was asked for.
    #[error("range was not covered by {replies} further replies")]
    Scraps {
        /// The limit.
        replies: u32,
    },
    /// A range was asked for and the whole came.
    #[error("reply ignores the range that was asked for")]
    RangeIgnored,
    /// A reply of a type that no recording has, such as an error page with the status 200.
    #[error("reply is {content_type}, not {document:?}")]
    WrongType {
        /// What its head says.
        content_type: String,
        /// What was asked for.
        document: Document,
    },
    /// A reply without a length, whose body only the end of the connection ends.
    #[error("reply has no length, and a body that only the end of the connection ends")]
    Unframed,
    /// A compressed reply, though none was accepted.
    #[error("reply is encoded, though identity was asked for")]
    Encoded,
    /// A redirect that is not followed.
    #[error("ACS redirected to where no credential may go")]
    Redirect(#[source] NotAllowed),
    /// A redirect that leads nowhere, or in a circle.
    #[error("ACS redirected without end or without a location")]
    RedirectLoop,
    /// No byte came for that long.
    #[error("source sent no byte for {} s", .0.as_secs_f32())]
    Stalled(Duration),
    /// The body ended early.
    #[error("body ended {missing} bytes early")]
    Truncated {
        /// The bytes that did not come.
        missing: u64,
    },
    /// The body went on after the length that its head gave.
    #[error("body is longer than its head says")]
    Excess,
    /// More than is taken of a document.
    #[error("document is longer than {limit} bytes")]
    TooLong {
        /// The limit, in bytes.
        limit: u64,
    },
    /// No connection, no certificate that verifies, no whole answer.
    #[error("request to ACS failed")]
    Http(#[source] reqwest::Error),
    /// A request that cannot be made.
    #[error("request cannot be signed")]
    Unsignable,
    /// No token could be obtained; the log's line on that says from whom, and why.
    #[error("there is no Microsoft Entra token to download with")]
    NoToken,
}

impl Error {
    /// Returns `true` if the range that was asked for is at fault: it was ignored, refused, or
    /// answered by another. A document that is asked for without a range may come all the same.
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

/// The trace id of an error's body, if it is JSON that has one.
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
    fn trace_ids_are_taken_from_json_alone() {
        assert_eq!(
            trace_id(br#"{"error":{"code":"Denied"},"traceId":"00-4bf92f"}"#).as_deref(),
            Some("00-4bf92f")
        );
        assert_eq!(trace_id(br#"{"traceId":"https://x/?sig=y"}"#), None);
        assert_eq!(trace_id(b"<html>"), None);
    }
}
