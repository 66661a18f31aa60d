//! The last attempt at a pending event, which `attempt.json` beside the event describes. Pure.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

/// The shortest pause between two attempts, and the least time for which an event is left alone
/// after a delivery has stored it or a run has written its claim. It is two heartbeats, so a run
/// may miss one.
const SHORTEST_PAUSE: Duration = Duration::from_mins(2);
/// The longest pause before the age of two days.
const LONGEST_PAUSE: Duration = Duration::from_mins(15);
/// The age from which on only a fault on our side keeps an event pending. An operator has to mend
/// the fault, so frequent attempts would only cost.
const LASTING: Duration = Duration::from_hours(48);
/// The pause from the age of two days on.
const LASTING_PAUSE: Duration = Duration::from_hours(6);
/// The consecutive attempts that ended with their process from which on nothing runs beside an
/// event.
const DEADLY: u32 = 2;

/// An `attempt.json`, as a listing shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The ETag.
    pub etag: String,
    /// The time of the last write, by S3's clock.
    pub written: SystemTime,
    /// `true` if the object is empty: the event was released to be tried at once.
    pub is_empty: bool,
}

/// The moment from which on a tick may claim an event that was stored at `stored`. A listing shows
/// all that decides, so an event that is not due costs no call.
#[must_use]
pub fn due(stored: SystemTime, attempt: Option<&Listed>) -> SystemTime {
    let Some(attempt) = attempt else {
        return stored + SHORTEST_PAUSE;
    };
    if attempt.is_empty {
        return attempt.written;
    }
    // The pause grows with the time that the event has been pending. It stays short while ACS keeps
    // the source, since each attempt may be the last that finds it.
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
    /// The id of the run that wrote the document.
    pub(super) run: String,
    /// The number of writes by the run. It makes each write different, so that its ETag is too: a
    /// conditional write by ETag could not tell two equal documents apart.
    pub(super) beat: u64,
    /// `true` if the run was at work at the time of the write.
    pub(super) at_work: bool,
    /// The number of attempts by the schedule, this one included.
    pub(super) attempts: u32,
    /// The number of consecutive attempts before this one that ended with their process.
    pub(super) deaths: u32,
    /// The pause that ACS asked for, or after which an attempt that fetches everything again may
    /// start, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) retry_after_seconds: Option<u64>,
    /// The failure of the last attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) failure: Option<String>,
}

impl Attempt {
    /// Parses the document. If it is invalid, nothing is known of the attempt.
    pub(crate) fn parse(json: &[u8]) -> Self {
        serde_json::from_slice(json).unwrap_or_default()
    }

    /// The attempt of `run` that follows this one. If this one still says that its run is at work,
    /// the process of that run has died: a living process writes how an attempt ended.
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

    /// Returns `true` if the run that wrote the document was at work.
    pub(crate) fn is_at_work(&self) -> bool {
        self.at_work
    }

    /// The failure of the last attempt, if it is known.
    pub(crate) fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// Returns `true` if the event has ended so many processes that nothing may run beside it.
    pub(crate) fn is_deadly(&self) -> bool {
        self.deaths >= DEADLY
    }

    /// The moment from which on ACS may be asked again, for a document of the time `written`.
    pub(crate) fn resumes(&self, written: SystemTime) -> SystemTime {
        let asked = Duration::from_secs(self.retry_after_seconds.unwrap_or_default());
        written + asked.min(LASTING_PAUSE)
    }

    pub(super) fn to_json(&self) -> Vec<u8> {
        // The document holds strings and numbers, so serialising it cannot fail.
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
    fn an_attempt_survives_json_and_garbage_counts_as_none() {
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
