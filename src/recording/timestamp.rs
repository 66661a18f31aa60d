//! Times of events and recordings. Pure.

use std::time::{Duration, SystemTime};

use time::format_description::BorrowedFormatItem;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime, UtcOffset};

/// A moment in UTC, in the years 0 to 9999. So each written form has a fixed width, and the longest
/// sorts by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(OffsetDateTime);

const COMPACT: &[BorrowedFormatItem<'_>] =
    format_description!("[year][month][day]T[hour][minute][second].[subsecond digits:7]Z");
const DAY: &[BorrowedFormatItem<'_>] = format_description!("[year]/[month]/[day]");
const CLOCK: &[BorrowedFormatItem<'_>] = format_description!("[hour][minute][second]Z");

impl From<SystemTime> for Timestamp {
    fn from(moment: SystemTime) -> Self {
        Self(moment.into())
    }
}

impl Timestamp {
    /// The Unix epoch, which stands in the keys of an event without any time.
    pub(crate) const EPOCH: Self = Self(OffsetDateTime::UNIX_EPOCH);

    /// Parses a time of RFC 3339 with any offset and any number of fractional digits. A time
    /// without an offset is in UTC, and a space may stand for the `T`.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc3339#section-5.6>
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (date, clock) = text.trim().split_once(['T', 't', ' '])?;
        let has_offset = clock.contains(['Z', 'z', '+', '-']);
        let offset = if has_offset { "" } else { "Z" };
        let utc = OffsetDateTime::parse(&format!("{date}T{clock}{offset}"), &Rfc3339)
            .ok()?
            .checked_to_offset(UtcOffset::UTC)?;
        (0..=9999).contains(&utc.year()).then_some(Self(utc))
    }

    /// Parses the form that [`compact`](Self::compact) writes, and no other.
    pub(crate) fn parse_compact(text: &str) -> Option<Self> {
        let utc = PrimitiveDateTime::parse(text, COMPACT).ok()?.assume_utc();
        Some(Self(utc)).filter(|time| time.compact() == text)
    }

    /// `20261123T152034.2199328Z`.
    #[must_use]
    pub fn compact(self) -> String {
        self.written(COMPACT)
    }

    /// `2026/11/23`.
    #[must_use]
    pub fn day(self) -> String {
        self.written(DAY)
    }

    /// `152034Z`.
    pub(crate) fn clock(self) -> String {
        self.written(CLOCK)
    }

    /// The time from this moment until `now`; zero if the moment is still to come.
    #[must_use]
    pub fn age(self, now: SystemTime) -> Duration {
        self.until(now).unwrap_or_default()
    }

    /// The time from this moment until `then`; `None` if `then` is earlier.
    #[must_use]
    pub fn until(self, then: SystemTime) -> Option<Duration> {
        then.duration_since(self.0.into()).ok()
    }

    /// The moment as a time of the system clock.
    #[must_use]
    pub fn instant(self) -> SystemTime {
        self.0.into()
    }

    fn written(self, form: &[BorrowedFormatItem<'_>]) -> String {
        // A date in these years has every component of the forms, so formatting cannot fail.
        self.0.format(form).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_are_written_in_utc_with_a_fixed_width() {
        for (text, compact) in [
            ("2026-11-23T15:20:34.2199328Z", "20261123T152034.2199328Z"),
            ("2026-11-23T15:20:34Z", "20261123T152034.0000000Z"),
            ("2026-11-23T15:20:34.219932899Z", "20261123T152034.2199328Z"),
            ("2026-11-23t01:20:34.5+02:00", "20261122T232034.5000000Z"),
            ("0001-01-01T00:00:00Z", "00010101T000000.0000000Z"),
            // Without an offset, in UTC.
            ("2026-11-23T15:20:34.2199328", "20261123T152034.2199328Z"),
            ("2026-11-23T15:20:34", "20261123T152034.0000000Z"),
            ("2026-11-23 15:20:34.5", "20261123T152034.5000000Z"),
            ("2026-11-23 15:20:34Z", "20261123T152034.0000000Z"),
            ("2026-11-23t15:20:34z", "20261123T152034.0000000Z"),
            ("2026-11-23 15:20:34+02:00", "20261123T132034.0000000Z"),
            (" 2026-11-23T15:20:34 ", "20261123T152034.0000000Z"),
        ] {
            let time = Timestamp::parse(text).unwrap();
            assert_eq!(time.compact(), compact, "{text}");
            let read = Timestamp::parse_compact(compact).unwrap();
            assert_eq!(read.compact(), compact);
        }
        for text in [
            "",
            "yesterday",
            "2026-11-23",
            "2026-11-23T15:20",
            "2026-11-23  15:20:34",
            "2026-11-23T15:20:34 ZZ",
            "2026-11-23T15:20:34.",
            "2026-11-2315:20:34",
            "9999-12-31T23:59:59-01:00",
            "0000-01-01T00:00:00+01:00",
        ] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
        let time = Timestamp::parse("2026-11-03T05:06:07Z").unwrap();
        assert_eq!(
            (time.day().as_str(), time.clock().as_str()),
            ("2026/11/03", "050607Z")
        );
    }

    proptest! {
        #[test]
        fn written_times_sort_by_time(a in 0_i64..250_000_000_000, b in 0_i64..250_000_000_000) {
            let time = |seconds| OffsetDateTime::from_unix_timestamp(seconds).unwrap();
            let written = |seconds| Timestamp(time(seconds)).compact();
            prop_assert_eq!(a.cmp(&b), written(a).cmp(&written(b)));
        }
    }
}
