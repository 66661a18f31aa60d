//! The last attempt at a pending event, as `attempt.json` beside it says. Pure.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

/// The shortest pause between two attempts. A delivery that has stored an event, and a run that
/// claims one, are left alone for as long.
const SHORTEST_PAUSE: Duration = Duration::from_mins(2);
const LONGEST_PAUSE: Duration = Duration::from_mins(15);
/// From this age on, only a fault on our side keeps an event pending, which a person has to mend.
const LASTING: Duration = Duration::from_hours(48);
const LASTING_PAUSE: Duration = Duration::from_hours(6);
/// Attempts in a row that ended with their process, from which on an event is taken alone.
const DEADLY: u32 = 2;

/// An `attempt.json`, as a listing shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its ETag.
    pub etag: String,
    /// When it was written, by S3's clock.
    pub written: SystemTime,
    /// `true` if it is empty: a run was at work, and has released the event.
    pub is_empty: bool,
}

/// The moment from which on a run may take an event that was stored at `stored`. Read off a listing
/// alone, so that an event that is not due costs no call.
#[must_use]
pub fn due(stored: SystemTime, attempt: Option<&Listed>) -> SystemTime {
    let Some(attempt) = attempt else {
        return stored + SHORTEST_PAUSE;
    };
    if attempt.is_empty {
        return attempt.written;
    }
    let age = attempt.written.duration_since(stored).unwrap_or_default();
    let pause = if age >= LASTING {
        LASTING_PAUSE
    } else {
        (age / 4).clamp(SHORTEST_PAUSE, LONGEST_PAUSE)
    };
    attempt.written + pause
}

/// The contents of `attempt.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Attempt {
    /// The run that wrote it.
    pub(super) run: String,
    /// The number of times that the run has written it. No two writes are alike, so no two have the same ETag.
    pub(super) beat: u64,
    /// `true` if the run was at work when it wrote it.
    pub(super) at_work: bool,
    /// Attempts by the schedule, this one included.
    pub(super) attempts: u32,
    /// Attempts in a row, before this one, that ended with their process.
    pub(super) deaths: u32,
    /// The seconds for which ACS asked to be left alone, or for which another attempt would cost
    /// more than it can bring.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) retry_after_seconds: Option<u64>,
    /// Why the last attempt failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) failure: Option<String>,
}

impl Attempt {
    /// Reads the contents. An attempt that cannot be read is one of which nothing is known.
    pub(crate) fn parse(json: &[u8]) -> Self {
        serde_json::from_slice(json).unwrap_or_default()
    }

    /// The attempt that follows this one, by `run`. A claim that has run out while its run was at
    /// work was that of a process that died.
    pub(crate) fn next(self, run: &str) -> Self {
        Self {
            run: run.to_owned(),
            beat: 0,
            at_work: true,
            attempts: self.attempts.saturating_add(1),
            deaths: self.deaths.saturating_add(u32::from(self.at_work)),
            retry_after_seconds: None,
            failure: self.failure,
        }
    }

    /// Returns `true` if the run that wrote it was at work.
    pub(crate) fn is_at_work(&self) -> bool {
        self.at_work
    }

    /// Why the last attempt failed, if that is known.
    pub(crate) fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// Returns `true` if the event has ended so many processes that nothing may be at work beside
    /// it.
    pub(crate) fn is_deadly(&self) -> bool {
        self.deaths >= DEADLY
    }

    /// The moment from which on ACS may be asked again, if this was written at `written`.
    pub(crate) fn resumes(&self, written: SystemTime) -> SystemTime {
        let asked = Duration::from_secs(self.retry_after_seconds.unwrap_or_default());
        written + asked.min(LASTING_PAUSE)
    }

    pub(super) fn to_json(&self) -> Vec<u8> {
        // Strings and numbers: serialising them cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    #[test]
    fn an_event_is_due_by_what_a_listing_shows() {
        let stored = SystemTime::UNIX_EPOCH + Duration::from_hours(400_000);
        let attempt = |minutes: u64, is_empty| Listed {
            etag: "e".into(),
            written: stored + Duration::from_mins(minutes),
            is_empty,
        };
        for (attempt, minutes) in [
            (None, 2),
            (Some(attempt(0, true)), 0),
            (Some(attempt(7, true)), 7),
            (Some(attempt(0, false)), 2),
            (Some(attempt(4, false)), 6),
            (Some(attempt(8, false)), 10),
            (Some(attempt(20, false)), 25),
            (Some(attempt(60, false)), 75),
            (Some(attempt(600, false)), 615),
            (Some(attempt(48 * 60 - 1, false)), 48 * 60 + 14),
            (Some(attempt(48 * 60, false)), 54 * 60),
        ] {
            let due = due(stored, attempt.as_ref());
            assert_eq!(due.duration_since(stored).unwrap(), MINUTE * minutes);
        }
        // By clocks that disagree.
        let before = Listed {
            written: stored - MINUTE,
            ..attempt(0, false)
        };
        assert_eq!(due(stored, Some(&before)), stored + MINUTE);
    }

    #[test]
    fn a_claim_that_ran_out_while_at_work_is_a_death() {
        let first = Attempt::default().next("a");
        assert_eq!((first.attempts, first.deaths), (1, 0));
        let second = first.next("b");
        assert!(!second.is_deadly());
        let third = second.next("c");
        assert_eq!((third.attempts, third.deaths), (3, 2));
        assert!(third.is_deadly());
        let ended = Attempt {
            at_work: false,
            deaths: 0,
            ..third
        };
        assert!(!ended.next("d").is_deadly());
    }

    #[test]
    fn contents_survive_json_and_garbage_says_nothing() {
        let attempt = Attempt {
            retry_after_seconds: Some(300),
            failure: Some("no".into()),
            ..Attempt::default().next("a")
        };
        assert_eq!(Attempt::parse(&attempt.to_json()), attempt);
        let five_minutes = SystemTime::UNIX_EPOCH + 5 * MINUTE;
        assert_eq!(attempt.resumes(SystemTime::UNIX_EPOCH), five_minutes);
        for json in [
            "",
            "[]",
            "{\"deaths\": -1}",
            "{\"retryAfterSeconds\": \"x\"}",
        ] {
            assert_eq!(
                Attempt::parse(json.as_bytes()),
                Attempt::default(),
                "{json}"
            );
        }
        let long = Attempt::parse(br#"{"retryAfterSeconds": 18446744073709551615}"#);
        let six_hours = SystemTime::UNIX_EPOCH + 360 * MINUTE;
        assert_eq!(long.resumes(SystemTime::UNIX_EPOCH), six_hours);
    }
}
