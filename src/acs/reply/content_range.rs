//! The Content-Range of a reply. Pure.

use std::fmt;
use std::ops::Range;

use reqwest::StatusCode;
use reqwest::header::{CONTENT_RANGE, HeaderMap};

use super::fields::{decimal, only};

/// A Content-Range with its range.
///
/// <https://www.rfc-editor.org/rfc/rfc9110#section-14.4>
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentRange {
    /// The bytes that the body covers, half-open.
    pub(super) range: Range<u64>,
    /// The document's length, in bytes; `None` if the server does not know it.
    pub(super) total: Option<u64>,
}

impl ContentRange {
    /// Parses `bytes 0-15/100`: both ends inclusive, the unit in any letter case, and a total or
    /// `*`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (range, total) = of_bytes(text)?.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let (first, last) = (decimal(first)?, decimal(last)?);
        let total = match total {
            "*" => None,
            total => Some(decimal(total)?),
        };
        let end = last.checked_add(1)?;
        let possible = first < end && total.is_none_or(|total| end <= total);
        possible.then_some(Self {
            range: first..end,
            total,
        })
    }
}

impl fmt::Display for ContentRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Range { start, end } = self.range;
        match self.total {
            Some(total) => write!(f, "bytes {start}..{end} of {total}"),
            None => write!(f, "bytes {start}..{end} of an unknown length"),
        }
    }
}

/// The text after the unit of a Content-Range; `None` if the unit is not bytes.
fn of_bytes(text: &str) -> Option<&str> {
    let (unit, rest) = text.split_once(' ')?;
    unit.eq_ignore_ascii_case("bytes").then_some(rest)
}

/// Returns the document's length from a 416, whose range begins after the end.
///
/// <https://www.rfc-editor.org/rfc/rfc9110#section-15.5.17>
pub(crate) fn unsatisfied(status: StatusCode, headers: &HeaderMap) -> Option<u64> {
    let not_satisfiable = status == StatusCode::RANGE_NOT_SATISFIABLE;
    let range = only(headers, &CONTENT_RANGE).ok()?;
    let range = range.filter(|_| not_satisfiable)?;
    decimal(of_bytes(range)?.strip_prefix("*/")?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_content_range_panics(text in "bytes [0-9*]{0,22}-[0-9]{0,22}/[0-9*]{0,22}") {
            if let Some(ContentRange { range, total }) = ContentRange::parse(&text) {
                prop_assert!(range.start < range.end);
                prop_assert!(total.is_none_or(|total| range.end <= total));
            }
        }
    }
}
