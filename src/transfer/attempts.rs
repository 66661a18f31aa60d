//! Attempts: retries within a run, their pauses and causes, and the watch for a stall.

use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};
use tracing::warn;

use super::{Error, Transfer};
use crate::acs;
use crate::acs::download::Download;
use crate::error_chain::error_chain;
use crate::limits::Limits;
use crate::metrics::{Cause, Measured};
use crate::store;

impl Transfer {
    /// Runs `attempt` until it succeeds, or fails for good.
    pub(super) async fn attempts<T, F>(&self, mut attempt: impl FnMut() -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let mut failures = 0;
        loop {
            let error = match attempt().await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            failures += 1;
            let Some((pause, cause)) = pause(&error, failures, &self.tools.limits) else {
                return Err(error);
            };
            Measured::retry(cause).emit();
            let key = &self.task.key;
            warn!(
                %key,
                failures,
                pause = ?pause,
                error = error_chain(&error),
                "attempt failed; trying again"
            );
            sleep(pause).await;
        }
    }

    /// Waits until the next `length` bytes of `download` are in S3. Fails if no byte moves for too
    /// long, or if the run drops the part. Tells a fault of the source from a fault of S3.
    pub(super) async fn watch<T>(
        &self,
        download: &Download,
        length: u64,
        sent: impl Future<Output = Result<T, store::Error>>,
    ) -> Result<T, Error> {
        let stall = self.tools.limits.store_stall;
        let run = self.lane.run();
        let in_flight = run.begin(length, download.received());
        tokio::pin!(sent);
        let result = loop {
            let until = download.moved() + stall;
            tokio::select! {
                result = &mut sent => break result,
                () = in_flight.dropped() => return Err(Error::OutOfTime),
                // Each waiting part judges for all, so a run needs no task for that.
                () = sleep(run.pause()) => run.judge(),
                () = sleep_until(until) => {
                    // Bytes may have moved while this slept.
                    if download.moved() + stall <= Instant::now() {
                        break Err(store::Error::Stalled(stall));
                    }
                }
            }
        };
        // If the body failed, S3's client reports an error too. The source's error is the cause.
        result.map_err(|error| {
            download
                .take_failure()
                .map_or(Error::Store(error), Error::Source)
        })
    }
}

/// The pause before the next attempt after `failures` failed ones, and the cause that the retry is
/// counted under; `None` if this run does not try again.
fn pause(error: &Error, failures: u32, limits: &Limits) -> Option<(Duration, Cause)> {
    let cause = cause(error)?;
    if cause == Cause::AcsNotReady {
        let again = failures < limits.not_ready_attempts;
        return again.then_some((limits.not_ready_pause, cause));
    }
    let asked = match error {
        Error::Source(acs::Error::Refused { retry_after, .. }) => retry_after.unwrap_or_default(),
        _ => Duration::ZERO,
    };
    if failures >= limits.attempts || asked > limits.retry_after {
        return None;
    }
    let backoff = jittered(limits.backoff * 2_u32.saturating_pow(failures - 1));
    Some((backoff.max(asked), cause))
}

/// The cause of a failure that the next attempt may not meet; `None` for any other failure.
fn cause(error: &Error) -> Option<Cause> {
    match error {
        Error::Source(error) => source_cause(error),
        Error::PartDiffers(_) => Some(Cause::AcsMismatched),
        Error::Store(error) if !error.may_pass() => None,
        Error::Store(store::Error::Stalled(_)) => Some(Cause::S3Stalled),
        Error::Store(error) if error.is_throttling() => Some(Cause::S3Throttled),
        Error::Store(_) | Error::Conflict => Some(Cause::S3Failed),
        Error::LeftOver(_)
        | Error::Occupied
        | Error::SourceChanged
        | Error::RangesDisagree
        | Error::StreamTooLong
        | Error::PartsVanish
        | Error::UploadGone
        | Error::OutOfTime
        | Error::SourceUnsettled { .. }
        | Error::Unsettled { .. } => None,
    }
}

/// The cause of a failure of the source; `None` if the next attempt would meet it too.
fn source_cause(error: &acs::Error) -> Option<Cause> {
    match error {
        acs::Error::NotReady => Some(Cause::AcsNotReady),
        acs::Error::Refused {
            status,
            retry_after,
            ..
        } => {
            // ACS answers single requests with a 4xx that the same request does not get again.
            let lasting = matches!(status.as_u16(), 401 | 403 | 404 | 410 | 416);
            let may_pass = status.is_server_error() || status.is_client_error() && !lasting;
            let throttled = status.as_u16() == 429 || retry_after.is_some();
            may_pass.then_some(if throttled {
                Cause::AcsThrottled
            } else {
                Cause::AcsFailed
            })
        }
        acs::Error::Stalled(_) => Some(Cause::AcsStalled),
        acs::Error::Http(_) | acs::Error::Truncated { .. } | acs::Error::Excess => {
            Some(Cause::AcsBroken)
        }
        acs::Error::Mismatch { .. }
        | acs::Error::RangeIgnored
        | acs::Error::Unframed
        | acs::Error::Changed
        | acs::Error::Scraps { .. }
        | acs::Error::WrongType { .. }
        | acs::Error::Encoded => Some(Cause::AcsMismatched),
        acs::Error::BeyondEnd { .. }
        | acs::Error::Redirect(_)
        | acs::Error::RedirectLoop
        | acs::Error::TooLong { .. }
        | acs::Error::Unsignable
        | acs::Error::NoToken => None,
    }
}

/// Between half of `pause` and all of it, so that parts that failed together do not retry together.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(0.5 + fastrand::f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::StatusCode;

    fn refused(status: u16, retry_after: Option<u64>) -> Error {
        Error::Source(acs::Error::Refused {
            status: StatusCode::from_u16(status).unwrap(),
            trace_id: None,
            retry_after: retry_after.map(Duration::from_secs),
        })
    }

    fn unstored(status: u16, code: &str) -> Error {
        Error::Store(store::Error::Refused {
            operation: "UploadPart",
            status,
            code: code.into(),
            message: String::new(),
        })
    }

    fn tries(error: &Error) -> usize {
        let limits = Limits::default();
        let again = |failures: &u32| pause(error, *failures, &limits).is_some();
        1 + (1..100).take_while(again).count()
    }

    #[test]
    fn the_number_of_attempts_by_failure() {
        for (error, expected) in [
            (refused(503, None), 5),
            (refused(500, None), 5),
            (refused(429, Some(60)), 5),
            (refused(408, None), 5),
            (refused(503, Some(61)), 1),
            (refused(404, None), 1),
            (refused(410, None), 1),
            (refused(400, None), 5),
            (refused(409, None), 5),
            (refused(421, None), 5),
            (refused(499, None), 5),
            (refused(416, None), 1),
            (refused(401, None), 1),
            (refused(403, None), 1),
            (Error::Source(acs::Error::NotReady), 3),
            (Error::Source(acs::Error::Excess), 5),
            (Error::Source(acs::Error::Stalled(Duration::ZERO)), 5),
            (Error::Source(acs::Error::RedirectLoop), 1),
            (Error::Source(acs::Error::NoToken), 1),
            (unstored(503, "SlowDown"), 5),
            (unstored(403, "AccessDenied"), 1),
            (Error::Occupied, 1),
        ] {
            assert_eq!(tries(&error), expected, "{error:?}");
        }
    }

    #[test]
    fn each_failure_is_counted_under_its_cause() {
        for (error, expected) in [
            (refused(429, None), Cause::AcsThrottled),
            (refused(503, Some(1)), Cause::AcsThrottled),
            (refused(503, None), Cause::AcsFailed),
            (refused(408, None), Cause::AcsFailed),
            (Error::Source(acs::Error::NotReady), Cause::AcsNotReady),
            (
                Error::Source(acs::Error::Stalled(Duration::ZERO)),
                Cause::AcsStalled,
            ),
            (Error::Source(acs::Error::Excess), Cause::AcsBroken),
            (Error::Source(acs::Error::Encoded), Cause::AcsMismatched),
            (unstored(503, "SlowDown"), Cause::S3Throttled),
            (unstored(429, "TooManyRequests"), Cause::S3Throttled),
            (unstored(500, "InternalError"), Cause::S3Failed),
            (
                Error::Store(store::Error::Stalled(Duration::ZERO)),
                Cause::S3Stalled,
            ),
        ] {
            let again = pause(&error, 1, &Limits::default());
            assert_eq!(again.map(|(_, cause)| cause), Some(expected), "{error:?}");
        }
    }

    #[test]
    fn pauses_double_and_honour_retry_after() {
        let limits = Limits::default();
        for failures in 1..5 {
            let full = limits.backoff * 2_u32.pow(failures - 1);
            let (pause, _) = pause(&refused(503, None), failures, &limits).unwrap();
            assert!(pause >= full / 2 && pause <= full, "{failures}: {pause:?}");
        }
        assert_eq!(
            pause(&refused(503, Some(7)), 1, &limits),
            Some((Duration::from_secs(7), Cause::AcsThrottled))
        );
        assert_eq!(
            pause(&Error::Source(acs::Error::NotReady), 1, &limits),
            Some((limits.not_ready_pause, Cause::AcsNotReady))
        );
    }
}
