//! The failures, and the ages at which they are final. Pure.
//!
//! A failure is final if no later attempt can help. ACS does not delete a recording to the minute,
//! an outage may last longer than a day, and the parts in S3 may be the only copy. So unless a
//! failure is certain, attempts go on for twice the time that ACS keeps a recording. A fault on our
//! side is never final.

use std::time::{Duration, SystemTime};

use crate::acs::{self, InvalidSource};
use crate::recording::Timestamp;
use crate::transfer;

/// The time for which ACS keeps a recording:
/// <https://learn.microsoft.com/azure/communication-services/concepts/voice-video-calling/call-recording>
pub const EXPIRY: Duration = Duration::from_hours(24);
/// The age from which on a source that does not deliver is given up.
const LASTING: Duration = Duration::from_hours(48);
/// The least time for which attempts go on after an event was stored, however old the event is.
pub(crate) const SETTLED: Duration = Duration::from_hours(1);
/// The longest `Retry-After` that is obeyed.
const LONGEST_RETRY_AFTER: Duration = Duration::from_hours(1);

/// The reason that an object of a chunk is not archived.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The deadline of the run passed.
    #[error("out of time")]
    OutOfTime,
    /// The event names no source that can be asked.
    #[error(transparent)]
    InvalidSource(#[from] InvalidSource),
    /// The transfer failed.
    #[error(transparent)]
    Transfer(#[from] transfer::Error),
}

/// The ages of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ages {
    /// The time since the event's own time.
    event: Duration,
    /// The time since the event was stored, by S3's clock.
    stored: Duration,
}

impl Ages {
    /// The ages at `now` of an event of the time `event` that was stored at `stored`. Without a
    /// time, or with a future time, both ages count from `stored`.
    #[must_use]
    pub fn new(event: Option<Timestamp>, stored: SystemTime, now: SystemTime) -> Self {
        let stored = now.duration_since(stored).unwrap_or_default();
        let event = event.and_then(|time| time.until(now)).unwrap_or(stored);
        Self { event, stored }
    }

    /// The time since the event was stored.
    pub(crate) fn stored(self) -> Duration {
        self.stored
    }
}

/// The ages of the event from which on a failure is final.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Final {
    AtOnce,
    /// Once ACS may have deleted the source.
    WhenExpired,
    /// After two days, if S3 has received no part for an hour.
    WhenHopeless,
    Never,
}

impl Failure {
    /// Returns `true` if no later attempt can help an event of these `ages`. `last_part` is the age
    /// of the last part that S3 received of the object; `None` if S3 holds no part.
    #[must_use]
    pub fn is_final(&self, ages: Ages, last_part: Option<Duration>) -> bool {
        let settled = ages.stored >= SETTLED;
        match self.finality() {
            Final::AtOnce => true,
            Final::WhenExpired => settled && ages.event >= EXPIRY,
            Final::WhenHopeless => {
                let quiet = last_part.is_none_or(|age| age >= SETTLED);
                settled && quiet && ages.event >= LASTING
            }
            Final::Never => false,
        }
    }

    /// Returns `true` if the failure is final only because it lasts.
    pub(crate) fn is_expiry(&self) -> bool {
        self.finality() == Final::WhenHopeless
    }

    /// Returns `true` if the fault is on our side: S3, KMS, permissions, credentials.
    pub(crate) fn is_ours(&self) -> bool {
        self.finality() == Final::Never && !self.is_out_of_time()
    }

    /// Returns `true` if the attempt only ran out of time.
    pub(crate) fn is_out_of_time(&self) -> bool {
        let out_of_time = transfer::Error::is_out_of_time;
        match self {
            Self::OutOfTime => true,
            Self::Transfer(error) => out_of_time(error),
            Self::InvalidSource(_) => false,
        }
    }

    /// Returns `true` if the next attempt has to fetch everything again, in vain unless the source
    /// has become faster.
    pub(crate) fn costs_everything(&self) -> bool {
        matches!(self, Self::Transfer(transfer::Error::StreamTooLong))
    }

    /// The time that ACS asked for before the next attempt, at most an hour.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Transfer(transfer::Error::Source(acs::Error::Refused {
                retry_after, ..
            })) => retry_after.map(|asked| asked.min(LONGEST_RETRY_AFTER)),
            _ => None,
        }
    }

    fn finality(&self) -> Final {
        use transfer::Error;

        let error = match self {
            Self::OutOfTime => return Final::Never,
            Self::InvalidSource(_) => return Final::AtOnce,
            Self::Transfer(error) => error,
        };
        match error {
            Error::Occupied => Final::AtOnce,
            Error::Source(acs::Error::Refused { status, .. })
                if matches!(status.as_u16(), 404 | 410) =>
            {
                Final::WhenExpired
            }
            Error::OutOfTime
            | Error::StreamTooLong
            | Error::Store(_)
            | Error::LeftOver(_)
            | Error::UploadGone
            | Error::Conflict
            | Error::PartsVanish
            | Error::Unsettled { .. }
            | Error::Source(acs::Error::Unsignable | acs::Error::NoToken) => Final::Never,
            Error::Source(_)
            | Error::SourceChanged
            | Error::RangesDisagree
            | Error::PartDiffers(_)
            | Error::SourceUnsettled { .. } => Final::WhenHopeless,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::locations::NotAllowed;
    use crate::store;
    use reqwest::StatusCode;

    const MOMENT: Duration = Duration::from_millis(1);

    fn refused(status: u16, retry_after: Option<Duration>) -> Failure {
        Failure::from(transfer::Error::Source(acs::Error::Refused {
            status: StatusCode::from_u16(status).unwrap(),
            trace_id: None,
            retry_after,
        }))
    }

    fn at(event: Duration, stored: Duration) -> Ages {
        Ages { event, stored }
    }

    #[test]
    fn each_failure_is_final_at_its_age() {
        let (zero, day, two_days) = (Duration::ZERO, EXPIRY, LASTING);
        let source = |error| Failure::from(transfer::Error::Source(error));
        for (failure, first_final_age) in [
            (InvalidSource::Location(NotAllowed::Host).into(), Some(zero)),
            (InvalidSource::DocumentId.into(), Some(zero)),
            (transfer::Error::Occupied.into(), Some(zero)),
            (refused(404, None), Some(day)),
            (refused(410, None), Some(day)),
            (refused(400, None), Some(two_days)),
            (refused(401, None), Some(two_days)),
            (refused(403, None), Some(two_days)),
            (refused(408, None), Some(two_days)),
            (refused(416, None), Some(two_days)),
            (refused(429, None), Some(two_days)),
            (refused(500, None), Some(two_days)),
            (refused(503, None), Some(two_days)),
            (source(acs::Error::NotReady), Some(two_days)),
            (source(acs::Error::Stalled(zero)), Some(two_days)),
            (transfer::Error::SourceChanged.into(), Some(two_days)),
            (transfer::Error::RangesDisagree.into(), Some(two_days)),
            (source(acs::Error::Unsignable), None),
            (source(acs::Error::NoToken), None),
            (transfer::Error::Store(store::Error::Contended).into(), None),
            (transfer::Error::Conflict.into(), None),
            (transfer::Error::Unsettled { uploads: 2 }.into(), None),
            (
                transfer::Error::SourceUnsettled { uploads: 2 }.into(),
                Some(two_days),
            ),
            (transfer::Error::OutOfTime.into(), None),
            (transfer::Error::StreamTooLong.into(), None),
            (Failure::OutOfTime, None),
        ] {
            let Some(age) = first_final_age else {
                let ages = at(100 * two_days, 100 * two_days);
                assert!(!failure.is_final(ages, None), "{failure:?}");
                assert_ne!(failure.is_ours(), failure.is_out_of_time(), "{failure:?}");
                continue;
            };
            assert!(!failure.is_ours(), "{failure:?}");
            assert!(failure.is_final(at(age, SETTLED), None), "{failure:?}");
            assert_eq!(failure.is_expiry(), age == two_days, "{failure:?}");
            if !age.is_zero() {
                let younger = at(age.saturating_sub(MOMENT), age);
                assert!(!failure.is_final(younger, None), "{failure:?}");
                let just_stored = at(2 * age, SETTLED.saturating_sub(MOMENT));
                assert!(!failure.is_final(just_stored, None), "{failure:?}");
            }
        }
    }

    #[test]
    fn a_lasting_failure_is_not_final_while_parts_arrive() {
        let ages = at(LASTING, LASTING);
        assert!(!refused(503, None).is_final(ages, Some(SETTLED.saturating_sub(MOMENT))));
        assert!(refused(503, None).is_final(ages, Some(SETTLED)));
        assert!(refused(404, None).is_final(ages, Some(MOMENT)));
    }

    #[test]
    fn an_event_ages_by_its_own_time_unless_that_is_still_to_come() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_hours(1_000_000 / 2);
        let stored = now - Duration::from_hours(2);
        let written = |time: SystemTime| {
            let time = time::OffsetDateTime::from(time);
            let text = time.format(&time::format_description::well_known::Rfc3339);
            Timestamp::parse(&text.unwrap())
        };
        let hours = |event, stored| at(Duration::from_hours(event), Duration::from_hours(stored));
        let past = written(now - Duration::from_hours(30));
        assert_eq!(Ages::new(past, stored, now), hours(30, 2));
        let future = written(now + Duration::from_hours(1));
        assert_eq!(Ages::new(future, stored, now), hours(2, 2));
        assert_eq!(Ages::new(None, stored, now), hours(2, 2));
        let ahead = now + Duration::from_secs(1);
        assert_eq!(Ages::new(None, ahead, now), hours(0, 0));
    }

    #[test]
    fn a_retry_after_is_obeyed_for_an_hour_at_most() {
        let minutes = Duration::from_mins;
        let asked = |asked| refused(429, Some(asked)).retry_after();
        assert_eq!(asked(minutes(5)), Some(minutes(5)));
        assert_eq!(asked(minutes(90)), Some(minutes(60)));
        assert_eq!(refused(503, None).retry_after(), None);
        assert_eq!(Failure::OutOfTime.retry_after(), None);
    }
}
