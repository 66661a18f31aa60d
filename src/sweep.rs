//! The schedule's entry: a tick, which works on pending events until Lambda's deadline.
//!
//! The schedule is the dispatcher. A tick starts every minute, and ticks overlap: each takes other
//! events by claiming them, so a backlog spreads over as many instances as there are ticks at work.
//! Which events are due is read off a listing.

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

/// A tick's findings and its work.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Swept {
    /// Events that were pending.
    pub pending: usize,
    /// Events that this tick took.
    pub taken: usize,
    /// Of those, how many are no longer pending.
    pub finished: usize,
    /// Since when the oldest has been stored, in seconds.
    pub oldest_seconds: u64,
}

/// The schedule's entry.
#[derive(Debug)]
pub(crate) struct Sweep {
    archive: Arc<Archive>,
    limits: Arc<Limits>,
    /// Set if the last tick of this instance ended in an outage of ours.
    outage: Arc<AtomicBool>,
}

impl Sweep {
    /// A sweep over what is pending in `archive`.
    pub(crate) fn new(archive: Arc<Archive>, limits: Arc<Limits>) -> Self {
        Self {
            archive,
            limits,
            outage: Arc::default(),
        }
    }

    /// One tick, until `deadline` at most. It ends when nothing is due and nothing is at work.
    ///
    /// # Errors
    ///
    /// Where what is pending cannot even be listed, or [`store::Error::Ignores`].
    pub(crate) async fn tick(&self, deadline: Instant) -> Result<Swept, store::Error> {
        let started = Instant::now();
        let seen = Seen::default();
        let mut backlog = listing::list(&self.archive, &self.limits, deadline, &seen).await?;
        let now = clock::now();
        let oldest = backlog.oldest;
        let oldest = oldest.and_then(|stored| now.duration_since(stored).ok());
        let hours_left = backlog.oldest_source.map(hours_left);
        let (pending, left_over) = (backlog.pending, backlog.left_over());
        let (in_trouble, unfinished) = (backlog.in_trouble, backlog.unfinished);
        Measured::tick(pending, in_trouble, unfinished, hours_left).emit();
        // An outage is found out again by whatever is tried, as in any tick.
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
            "tick"
        );
        Ok(swept)
    }

    /// Clears what ended runs have left beside events that are no longer pending.
    async fn tidy(&self, left_over: Vec<Key>, deadline: Instant) {
        for key in left_over {
            let cleared = timeout_at(deadline, self.archive.clear_left_over(&key));
            match cleared.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    warn!(%key, error = error_chain(&error), "what a run left over is not cleared yet");
                }
                Err(_) => return,
            }
        }
    }
}

/// Says each minute that a tick is at work.
async fn beats(pause: Duration) {
    let mut next = Instant::now() + pause;
    loop {
        sleep_until(next).await;
        Measured::tick_at_work().emit();
        next += pause;
    }
}

/// Returns `true` in the one tick of an hour that tidies.
fn is_time_to_tidy(now: SystemTime, limits: &Limits) -> bool {
    const MINUTE: u64 = 60;
    let now = now.duration_since(UNIX_EPOCH);
    let minute = now.unwrap_or_default().as_secs() / MINUTE;
    let every = (limits.housekeeping.as_secs() / MINUTE).max(1);
    minute.is_multiple_of(every)
}

/// The hours for which ACS keeps the source of an event of this age; negative when they are over.
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
