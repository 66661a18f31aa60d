//! The times of an export: RFC 3339, or the format of the Azure portal's language. Pure.
//!
//! The portal writes times in its language, so `7/8/2022` may be in July or in August. Only the
//! other times of the file can tell.

use acs_recording_archiver::recording::Timestamp;

/// The time format of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Clock {
    order: Order,
}

/// The order of day and month.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    MonthFirst,
    DayFirst,
    /// No time of the file decides.
    Unknown,
    /// The times of the file contradict each other.
    Contradictory,
}

/// The fields of a time in the portal's format.
struct Written<'a> {
    first: u32,
    second: u32,
    year: u32,
    dotted: bool,
    clock: &'a str,
    afternoon: Option<bool>,
    /// The half of the day, as the file spells it.
    half: &'a str,
}

impl Clock {
    /// Derives the order of day and month from all times of a file.
    pub(crate) fn of<'a>(texts: impl Iterator<Item = &'a str>) -> Self {
        let (mut month_first, mut day_first) = (false, false);
        for written in texts.filter_map(Written::split) {
            // A number over 12 is no month. Languages that separate by dots write the day first.
            day_first |= written.first > 12 || written.dotted;
            month_first |= written.second > 12;
        }
        let order = match (month_first, day_first) {
            (true, true) => Order::Contradictory,
            (true, false) => Order::MonthFirst,
            (false, true) => Order::DayFirst,
            (false, false) => Order::Unknown,
        };
        Self { order }
    }

    /// Reads a time.
    pub(crate) fn read(self, text: &str) -> Result<Timestamp, &'static str> {
        const UNKNOWN: &str = "the format of the time is unknown; export JSON instead";
        if let Some(time) = Timestamp::parse(text) {
            return Ok(time);
        }
        let written = Written::split(text).ok_or(UNKNOWN)?;
        let order = match (self.order, written.afternoon) {
            // Only English of the United States writes AM and PM in capitals without periods, and
            // it writes the month first.
            (Order::Unknown, Some(_)) if written.is_american() => Order::MonthFirst,
            (order, _) => order,
        };
        let (month, day) = match order {
            Order::MonthFirst => (written.first, written.second),
            Order::DayFirst => (written.second, written.first),
            Order::Unknown | Order::Contradictory => {
                return Err("day and month cannot be told apart; export JSON instead");
            }
        };
        written.at(month, day).ok_or(UNKNOWN)
    }
}

impl<'a> Written<'a> {
    /// Splits `8/17/2022, 11:55:43.330 PM` or `17.8.2022, 23:55:43,330`.
    fn split(text: &'a str) -> Option<Self> {
        // Newer browsers write U+202F instead of a space before the half of the day.
        let (date, clock) = text.split_once(", ")?;
        let dotted = date.contains('.');
        let mut numbers = date.split(['/', '.']).map(str::trim);
        let mut number = || numbers.next()?.parse::<u32>().ok();
        let (first, second, year) = (number()?, number()?, number()?);
        let clock = clock.trim();
        let digits = clock.trim_end_matches(|other: char| !other.is_ascii_digit());
        let half = clock.get(digits.len()..)?;
        // Spanish writes `p. m.` or `p.m.`.
        let letters = half.replace(['.', ' ', '\u{a0}', '\u{202f}'], "");
        let afternoon = match letters.to_uppercase().as_str() {
            "" => None,
            "AM" => Some(false),
            "PM" => Some(true),
            _ => return None,
        };
        Some(Self {
            first,
            second,
            year,
            dotted,
            clock: digits,
            afternoon,
            half: half.trim(),
        })
    }

    /// Returns `true` if the half of the day is written as in the United States.
    fn is_american(&self) -> bool {
        matches!(self.half, "AM" | "PM")
    }

    fn at(&self, month: u32, day: u32) -> Option<Timestamp> {
        let (hour, rest) = self.clock.split_once(':')?;
        let hour: u32 = hour.parse().ok()?;
        let hour = match self.afternoon {
            Some(_) if !(1..=12).contains(&hour) => return None,
            Some(afternoon) => hour % 12 + if afternoon { 12 } else { 0 },
            None => hour,
        };
        let rest = rest.replace(',', ".");
        let year = self.year;
        Timestamp::parse(&format!("{year:04}-{month:02}-{day:02}T{hour:02}:{rest}Z"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_the_portal_are_read() {
        let moment = Timestamp::parse("2022-08-17T23:55:43.33Z").unwrap();
        for text in [
            "8/17/2022, 11:55:43.330 PM",
            "8/17/2022, 11:55:43.330\u{202f}PM",
            "17/08/2022, 23:55:43.330",
            "17.8.2022, 23:55:43,330",
            "17/08/2022, 11:55:43.330 pm",
            "17/8/2022, 11:55:43.330 p.m.",
            "17/8/2022, 11:55:43.330 p.\u{a0}m.",
            "2022-08-17T23:55:43.3300000Z",
            "2022-08-17 23:55:43.33",
        ] {
            assert_eq!(
                Clock::of([text].into_iter()).read(text),
                Ok(moment),
                "{text}"
            );
        }
        let noon = Timestamp::parse("2022-08-07T12:05:00Z").unwrap();
        let midnight = Timestamp::parse("2022-08-07T00:05:00Z").unwrap();
        let clock = Clock::of(["8/7/2022, 12:05:00 PM"].into_iter());
        assert_eq!(clock.read("8/7/2022, 12:05:00 PM"), Ok(noon));
        assert_eq!(clock.read("8/7/2022, 12:05:00 AM"), Ok(midnight));
        // Another row tells.
        let clock = Clock::of(["7/8/2022, 12:05:00", "17/8/2022, 12:05:00"].into_iter());
        assert_eq!(clock.read("7/8/2022, 12:05:00"), Ok(noon));
    }

    #[test]
    fn an_ambiguous_time_is_refused() {
        for texts in [
            vec!["7/8/2022, 12:05:00"],
            vec!["7/18/2022, 12:05:00 PM", "18/7/2022, 12:05:00 PM"],
            // Day first in Australia and in Mexico.
            vec!["11/05/2022, 11:55:43 pm"],
            vec!["11/5/2022, 11:55:43 p.m."],
        ] {
            let clock = Clock::of(texts.iter().copied());
            let refused = clock.read(texts[0]).unwrap_err();
            assert!(refused.contains("cannot be told apart"), "{texts:?}");
        }
        for text in [
            "",
            "x",
            "8/17/2022",
            "8/17/2022, ",
            "8/17/2022, 13:00:00 PM",
            "13/32/2022, 1:00:00",
            "17/8/2022, 11:55:43 Uhr",
        ] {
            assert!(Clock::of([text].into_iter()).read(text).is_err(), "{text}");
        }
    }
}
