//! The ticks of the schedule, which work on pending events until Lambda's deadline.
//!
//! The schedule is the dispatcher. A tick starts every minute, and ticks overlap. Each tick claims
//! its events, so a backlog spreads over as many instances as there are ticks at work. A listing of
//! `pending/` shows which events are due.

mod backlog;
mod listing;
mod tick;
mod trouble;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::{info, warn};

use crate::archive::Archive;
use crate::clock;
use crate::error_chain::error_chain;
use crate::finality::EXPIRY;
use crate::keys::Key;
use crate::limits::Limits;
use crate::metrics::Measured;
use crate::store;
use crate::transfer::LastPart;
use listing::Seen;
use tick::Tick;

/// The findings and the work of a tick.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Swept {
    /// The events that were pending.
    pub pending: usize,
    /// The events that this tick claimed.
    pub taken: usize,
    /// The claimed events that are no longer pending.
    pub finished: usize,
    /// The age of the oldest pending event since it was stored, in seconds.
    pub oldest_seconds: u64,
}

/// The worker behind the ticks of one instance.
#[derive(Debug)]
pub(crate) struct Sweep {
    archive: Arc<Archive>,
    limits: Arc<Limits>,
    /// `true` if the last tick of this instance ended in an outage on our side.
    outage: Arc<AtomicBool>,
}

impl Sweep {
    pub(crate) fn new(archive: Arc<Archive>, limits: Arc<Limits>) -> Self {
        Self {
            archive,
            limits,
            outage: Arc::default(),
        }
    }

    /// Runs one tick until `deadline`, or until no event is due and no work is left.
    ///
    /// # Errors
    ///
    /// A failure of the listing, or [`store::Error::Ignores`].
    pub(crate) async fn tick(&self, deadline: Instant) -> Result<Swept, store::Error> {
        let started = Instant::now();
        let seen = Seen::default();
        let mut backlog = listing::list(&self.archive, &self.limits, deadline, &seen).await?;
        // Measured before any work, so that an alarm on the backlog does not depend on how the work
        // ends.
        let now = clock::now();
        let oldest = backlog.oldest;
        let oldest = oldest.and_then(|stored| now.duration_since(stored).ok());
        let hours_left = backlog.oldest_source.map(hours_left);
        let (pending, left_over) = (backlog.pending, backlog.take_left_over());
        let (in_trouble, unfinished) = (backlog.in_trouble, backlog.unfinished);
        Measured::tick(pending, in_trouble, unfinished, hours_left).emit();
        // Only a store that ignores conditions ends the tick. After any other error the tick goes
        // on, and the work on the first events shows whether there is an outage.
        if let Ok(Err(error @ store::Error::Ignores(_))) =
            timeout_at(deadline, self.archive.verify_store()).await
        {
            return Err(error);
        }
        let reports = backlog.take_in_trouble();

        let run = self.archive.run(deadline, LastPart::Kept);
        let tick = Tick::new(&self.archive, &self.limits, run, backlog, seen);
        let left_over = Some(left_over).filter(|_| is_time_to_tidy(now, &self.limits));
        let tidy = self.tidy(left_over.unwrap_or_default(), deadline);
        let report = trouble::report(&self.archive, reports, deadline);
        let work = tick.work(self.outage.load(Ordering::Relaxed));
        let work = async { tokio::join!(report, work, tidy) };
        let beats = beats(self.limits.heartbeat);
        tokio::select! {
            _ = work => {}
            () = beats => {}
        }
        self.outage.store(tick.is_outage(), Ordering::Relaxed);
        let swept = Swept {
            pending,
            taken: tick.taken(),
            finished: tick.finished(),
            oldest_seconds: oldest.unwrap_or_default().as_secs(),
        };
        info!(
            pending,
            taken = swept.taken,
            finished = swept.finished,
            oldest_seconds = swept.oldest_seconds,
            milliseconds = clock::milliseconds(started),
            "tick ended"
        );
        Ok(swept)
    }

    /// Clears the objects that ended runs have left beside events that are no longer pending.
    async fn tidy(&self, left_over: Vec<Key>, deadline: Instant) {
        for key in left_over {
            let cleared = timeout_at(deadline, self.archive.clear_left_over(&key));
            match cleared.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    let error = error_chain(&error);
                    warn!(%key, error, "an object that a run left behind could not be cleared");
                }
                Err(_) => return,
            }
        }
    }
}

/// Emits, at each heartbeat, the metric of a tick at work.
async fn beats(pause: Duration) {
    let mut next = Instant::now() + pause;
    loop {
        sleep_until(next).await;
        Measured::tick_at_work().emit();
        next += pause;
    }
}

/// Returns `true` in the one tick of each housekeeping interval that clears left-over objects.
fn is_time_to_tidy(now: SystemTime, limits: &Limits) -> bool {
    const MINUTE: u64 = 60;
    let now = now.duration_since(UNIX_EPOCH);
    let minute = now.unwrap_or_default().as_secs() / MINUTE;
    let every = (limits.housekeeping.as_secs() / MINUTE).max(1);
    minute.is_multiple_of(every)
}

/// The hours for which ACS still keeps the source of an event of this age; negative once they are
/// over.
fn hours_left(age: Duration) -> f64 {
    (EXPIRY.as_secs_f64() - age.as_secs_f64()) / 3600.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_kept_for_a_day() {
        for (age, hours) in [(0, 24.0), (13, 11.0), (25, -1.0)] {
            let left = hours_left(Duration::from_hours(age));
            assert!((left - hours).abs() < 1e-9, "{left}");
        }
    }

    #[test]
    fn one_tick_an_hour_tidies() {
        let tidies = |minute: &u64| {
            let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000 + 60 * minute + 7);
            is_time_to_tidy(now, &Limits::default())
        };
        assert_eq!((0..60 * 24).filter(tidies).count(), 24);
    }
}
