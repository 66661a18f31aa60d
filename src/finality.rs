//! When is a failure final? Pure.
//!
//! A failure is final where no later attempt can help. Everything else is tried again, until ACS has deleted the source.

use std::time::Duration;

use crate::acs::{self, NotAskable};
use crate::transfer;

/// ACS keeps a recording for this long.
pub const EXPIRY: Duration = Duration::from_hours(24);
/// For this long after the event, "not found" may still mean "not yet".
const GRACE: Duration = Duration::from_hours(1);

/// Why one object of a chunk is not there.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Time was up while bytes were arriving, or before ACS could even be asked.
    #[error("out of time")]
    OutOfTime,
    /// Time was up while ACS was asked and sent nothing.
    #[error("out of time, waiting for the first byte from ACS")]
    Silent,
    /// The event gives no place to ask at.
    #[error(transparent)]
    NotAskable(#[from] NotAskable),
    /// A transfer failed.
    #[error(transparent)]
    Transfer(#[from] transfer::Error),
}

/// From which age of the event on a failure is final.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Final {
    AtOnce,
    AfterAnHour,
    AfterADay,
    Never,
}

impl Failure {
    /// Whether no later attempt can help, `age` after the event.
    #[must_use]
    pub fn is_final(&self, age: Duration) -> bool {
        match self.finality() {
            Final::AtOnce => true,
            Final::AfterAnHour => age >= GRACE,
            Final::AfterADay => age >= EXPIRY,
            Final::Never => false,
        }
    }

    /// Whether, where it is final, it is so because the 24 hours are over that ACS keeps the source for.
    #[must_use]
    pub fn is_expiry(&self, age: Duration) -> bool {
        self.finality() == Final::AfterADay && age >= EXPIRY
    }

    fn finality(&self) -> Final {
        match self {
            Self::OutOfTime
            | Self::Transfer(transfer::Error::OutOfTime | transfer::Error::LeftOver(_)) => {
                Final::Never
            }
            Self::NotAskable(_) | Self::Transfer(transfer::Error::Occupied) => Final::AtOnce,
            Self::Transfer(transfer::Error::Source(acs::Error::Refused { status, .. }))
                if status.is_client_error()
                    && !matches!(status.as_u16(), 401 | 403 | 408 | 429) =>
            {
                Final::AfterAnHour
            }
            Self::Silent
            | Self::Transfer(
                transfer::Error::Source(_)
                | transfer::Error::Store(_)
                | transfer::Error::SourceChanged
                | transfer::Error::UploadGone
                | transfer::Error::Unsettled { .. },
            ) => Final::AfterADay,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::locations::NotAllowed;
    use reqwest::StatusCode;

    #[test]
    fn each_row_of_the_rule() {
        let refused = |status| {
            let status = StatusCode::from_u16(status).unwrap();
            Failure::from(transfer::Error::Source(acs::Error::Refused {
                status,
                trace_id: None,
                retry_after: None,
            }))
        };
        let (now, hour, day) = (Duration::ZERO, GRACE, EXPIRY);
        let just_before = |age: Duration| age.saturating_sub(Duration::from_millis(1));
        for (failure, first_final_age) in [
            (NotAskable::Location(NotAllowed::Host).into(), Some(now)),
            (NotAskable::DocumentId.into(), Some(now)),
            (transfer::Error::Occupied.into(), Some(now)),
            (refused(404), Some(hour)),
            (refused(410), Some(hour)),
            (refused(400), Some(hour)),
            (refused(416), Some(hour)),
            (refused(401), Some(day)),
            (refused(403), Some(day)),
            (refused(408), Some(day)),
            (refused(429), Some(day)),
            (refused(500), Some(day)),
            (refused(503), Some(day)),
            (
                transfer::Error::Source(acs::Error::NotReady).into(),
                Some(day),
            ),
            (transfer::Error::SourceChanged.into(), Some(day)),
            (Failure::Silent, Some(day)),
            (Failure::OutOfTime, None),
        ] {
            match first_final_age {
                Some(age) => {
                    assert!(failure.is_final(age), "{failure:?} at {age:?}");
                    assert!(
                        age.is_zero() || !failure.is_final(just_before(age)),
                        "{failure:?} before {age:?}"
                    );
                }
                None => assert!(!failure.is_final(day * 100), "{failure:?}"),
            }
            assert_eq!(
                failure.is_expiry(day),
                first_final_age == Some(day),
                "{failure:?}"
            );
        }
    }
}
