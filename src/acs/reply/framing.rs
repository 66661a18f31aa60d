//! The mark of a body's end. Pure.

use reqwest::Version;
use reqwest::header::{CONTENT_LENGTH, HeaderMap, TRANSFER_ENCODING};

use super::fields::{decimal, only};

/// The mark of a body's end.
///
/// <https://www.rfc-editor.org/rfc/rfc9112#section-6.3>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// A Content-Length, in bytes.
    Length(u64),
    /// The last chunk, or a frame of HTTP/2 or later. The length is unknown until the end.
    Marked,
    /// The end of the connection, which a proxy or a fault may cause as well.
    Close,
}

impl Framing {
    /// Reads the framing. The error is the flaw of the head.
    pub(super) fn of(version: Version, headers: &HeaderMap) -> Result<Self, &'static str> {
        let length = match only(headers, &CONTENT_LENGTH)? {
            Some(text) => Some(decimal(text).ok_or("malformed Content-Length")?),
            None => None,
        };
        let coding = only(headers, &TRANSFER_ENCODING)?;
        match (coding, length) {
            (Some(_), Some(_)) => Err("both Content-Length and Transfer-Encoding"),
            (Some(coding), None) if coding.trim().eq_ignore_ascii_case("chunked") => {
                Ok(Self::Marked)
            }
            (Some(_), None) => Err("Transfer-Encoding other than chunked"),
            (None, Some(length)) => Ok(Self::Length(length)),
            // A frame of HTTP/2 or later ends the body:
            // https://www.rfc-editor.org/rfc/rfc9113#section-8.1
            (None, None) if version > Version::HTTP_11 => Ok(Self::Marked),
            (None, None) => Ok(Self::Close),
        }
    }
}
