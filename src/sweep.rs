//! The schedule's entry: a tick, which works on pending events until Lambda's deadline.
//!
//! The schedule is the dispatcher. A tick starts every minute, and ticks overlap: each takes other
//! events by claiming them, so a backlog spreads over as many instances as there are ticks at work.
//! Which events are due is read off a listing.

mod backlog;
mod trouble;

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::{Mutex, RwLock};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::{Instrument as _, error, info, warn};

use crate::archive::attempt::Attempt;
use crate::archive::{Archive, Intake, Taken};
use crate::chain::chain;
use crate::clock;
use crate::event_grid;
use crate::finality::EXPIRY;
use crate::keys::Key;
use crate::limits::Limits;
use crate::metrics::Measured;
use crate::outcome::Outcome;
use crate::recording::Recording;
use crate::store;
use crate::transfer::{Lane, LastPart, Order, Run};
use backlog::{Backlog, Candidate};

/// What a tick found and did.
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
pub struct Sweep {
    archive: Arc<Archive>,
    limits: Arc<Limits>,
    /// Whether the last tick of this instance ended in an outage of ours.
    outage: Arc<AtomicBool>,
}

/// One tick at work.
#[derive(Debug)]
struct Tick {
    archive: Arc<Archive>,
    limits: Arc<Limits>,
    run: Arc<Run>,
    events: Mutex<Events>,
    /// Held to be read by each event at work, and alone by one that has ended processes.
    beside: RwLock<()>,
    taken: AtomicUsize,
    finished: AtomicUsize,
    /// Failures of ours in a row.
    failures: AtomicUsize,
}

/// The events that a tick goes through.
#[derive(Debug)]
struct Events {
    backlog: Backlog,
    seen: Seen,
}

/// The events that a tick has looked at, none of which it takes twice: their hashes, since there
/// may be many.
#[derive(Debug, Default)]
struct Seen {
    hashes: HashSet<u64>,
    hasher: RandomState,
}

impl Seen {
    fn contains(&self, event: &Key) -> bool {
        self.hashes.contains(&self.hasher.hash_one(event))
    }

    /// Whether it was not there before.
    fn insert(&mut self, event: &Key) -> bool {
        self.hashes.insert(self.hasher.hash_one(event))
    }
}

impl Sweep {
    /// A sweep over what is pending in `archive`.
    #[must_use]
    pub fn new(archive: Arc<Archive>, limits: Arc<Limits>) -> Self {
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
    /// Where what is pending cannot even be listed.
    pub async fn tick(&self, deadline: Instant) -> Result<Swept, store::Error> {
        let started = Instant::now();
        let seen = Seen::default();
        let mut backlog = backlog(&self.archive, &self.limits, deadline, &seen).await?;
        let now = clock::now();
        let oldest = backlog.oldest;
        let oldest = oldest.and_then(|stored| now.duration_since(stored).ok());
        let hours_left = backlog.oldest_source.map(hours_left);
        Measured::tick(backlog.pending, backlog.in_trouble, hours_left).say();
        let (pending, left_over) = (backlog.pending, backlog.left_over());
        let (troubled, more) = backlog.troubled();

        let tick = Arc::new(Tick {
            archive: Arc::clone(&self.archive),
            limits: Arc::clone(&self.limits),
            run: self.archive.run(deadline, LastPart::Kept),
            events: Mutex::new(Events { backlog, seen }),
            beside: RwLock::new(()),
            taken: AtomicUsize::new(0),
            finished: AtomicUsize::new(0),
            failures: AtomicUsize::new(0),
        });
        let left_over = Some(left_over).filter(|_| is_time_to_tidy(now, &self.limits));
        let tidy = self.tidy(left_over.unwrap_or_default(), deadline);
        let tell = trouble::tell(&self.archive, troubled, more, deadline);
        let work = tick.work(self.outage.load(Ordering::Relaxed));
        let work = async { tokio::join!(tell, work, tidy) };
        let beats = beats(self.limits.heartbeat);
        tokio::select! {
            _ = work => {}
            () = beats => {}
        }
        self.outage.store(tick.is_outage(), Ordering::Relaxed);
        let swept = Swept {
            pending,
            taken: tick.taken.load(Ordering::Relaxed),
            finished: tick.finished.load(Ordering::Relaxed),
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
                    warn!(%key, error = chain(&error), "what a run left over is not cleared yet");
                }
                Err(_) => return,
            }
        }
    }
}

impl Tick {
    /// Works on events side by side: one a lane, another when one ends. After an outage it begins
    /// with one alone, and goes on only if the outage is over.
    async fn work(self: &Arc<Self>, cautious: bool) {
        let mut lanes = self.archive.lanes(&self.run);
        let Some(first) = lanes.pop() else { return };
        if cautious {
            let found = self.one(&first).await;
            if self.failures.load(Ordering::Relaxed) > 0 {
                self.failures.store(self.limits.outage, Ordering::Relaxed);
            }
            if found.is_none() || self.is_outage() {
                return;
            }
        }
        let mut working = JoinSet::new();
        for lane in lanes.into_iter().chain([first]) {
            let tick = Arc::clone(self);
            let work = async move { while tick.one(&lane).await.is_some() {} };
            working.spawn(work.in_current_span());
        }
        // After the deadline, each has the time to write down how its event ended.
        let end = self.run.deadline() + 2 * self.limits.conclusion;
        loop {
            match timeout_at(end, working.join_next()).await {
                Ok(None) => return,
                Ok(Some(Ok(()))) => {}
                Ok(Some(Err(_))) => error!("a pending event's work broke off"),
                Err(_) => {
                    warn!("S3 took too long over pending events");
                    return;
                }
            }
        }
    }

    /// Works on one event. `None` if there is none to work on, or no time.
    async fn one(self: &Arc<Self>, lane: &Lane) -> Option<()> {
        // A last try is a real one: there must be time to find out that a source sends nothing.
        let room = self.run.has_room(self.limits.source_stall);
        if !room || self.is_outage() {
            return None;
        }
        let candidate = self.next().await?;
        // In a task of its own, so that a panic over one event ends no other.
        let (tick, event, lane) = (Arc::clone(self), candidate.event.clone(), lane.clone());
        let work = async move { tick.try_one(&candidate, &lane).await };
        let mut working = JoinSet::new();
        working.spawn(work.in_current_span());
        let ours = match working.join_next().await? {
            Ok(Ok(ours)) => ours,
            Ok(Err(error)) => {
                let error = chain(&error);
                warn!(key = %event, error, "a pending event could not be read or cleared");
                true
            }
            Err(_) => {
                error!(key = %event, "a pending event's work broke off");
                false
            }
        };
        if ours {
            self.failures.fetch_add(1, Ordering::Relaxed);
        } else {
            self.failures.store(0, Ordering::Relaxed);
        }
        Some(())
    }

    /// Whether S3, KMS, our permissions or credentials fail every event alike.
    fn is_outage(&self) -> bool {
        self.failures.load(Ordering::Relaxed) >= self.limits.outage
    }

    /// The next event that is due, by a new listing where those of the last one are used up.
    async fn next(&self) -> Option<Candidate> {
        let mut events = self.events.lock().await;
        loop {
            while let Some(candidate) = events.backlog.next() {
                // An event that is left for the next tick may be due again at once.
                if events.seen.insert(&candidate.event) {
                    return Some(candidate);
                }
            }
            if !events.backlog.overflows() {
                return None;
            }
            let deadline = self.run.deadline();
            let listed = backlog(&self.archive, &self.limits, deadline, &events.seen).await;
            match listed {
                Ok(backlog) => events.backlog = backlog,
                Err(error) => {
                    warn!(
                        error = chain(&error),
                        "what is pending could not be listed again"
                    );
                    return None;
                }
            }
        }
    }

    /// Takes one event as far as it gets, and returns whether a fault of ours kept it from its end.
    async fn try_one(&self, candidate: &Candidate, lane: &Lane) -> Result<bool, store::Error> {
        let deadline = self.run.deadline();
        let mut previous = Attempt::default();
        if let Some(listed) = candidate.attempt.as_ref().filter(|listed| !listed.is_empty) {
            previous = self.archive.last_attempt(&candidate.event).await?;
            if previous.resumes(listed.written) > clock::now() {
                return Ok(false);
            }
        }
        let deadly = previous.clone().next("").is_deadly();
        let (mut _together, mut _alone) = (None, None);
        if deadly {
            warn!(key = %candidate.event, "this event has ended several runs, and is taken alone");
            _alone = Some(self.beside.write().await);
        } else {
            _together = Some(self.beside.read().await);
        }
        let listed = candidate.attempt.as_ref();
        let Some(taken) = self
            .archive
            .take(&candidate.event, listed, previous)
            .await?
        else {
            return Ok(false);
        };
        self.taken.fetch_add(1, Ordering::Relaxed);
        let (outcome, ours) = match event_grid::recording(&taken.document.bytes) {
            Ok(recording) => self.finish(&recording, taken, lane).await?,
            Err(reason) => {
                let text = String::from_utf8_lossy(&taken.document.bytes).into_owned();
                let outcome = self.set_aside(text, &reason.to_string(), deadline).await;
                let outcome = self.archive.end_taken(taken, outcome).await?;
                (outcome, !outcome.is_final())
            }
        };
        self.finished
            .fetch_add(usize::from(outcome.is_final()), Ordering::Relaxed);
        Ok(ours)
    }

    async fn finish(
        &self,
        recording: &Recording,
        taken: Taken,
        lane: &Lane,
    ) -> Result<(Outcome, bool), store::Error> {
        let deadline = self.run.deadline();
        match self.archive.resume(recording, taken, deadline).await? {
            Intake::Done(report) => Ok((report.outcome, !report.outcome.is_final())),
            Intake::Pending(pending) => {
                let order = Order::FromBack;
                let work = self.archive.archive(recording, *pending, order, lane);
                let worked = work.await;
                Ok((worked.report.outcome, worked.ours))
            }
        }
    }

    async fn set_aside(&self, text: String, reason: &str, deadline: Instant) -> Outcome {
        // An event that is not even JSON is kept as a string.
        let raw = RawValue::from_string(text.clone())
            .or_else(|_| RawValue::from_string(serde_json::Value::from(text).to_string()));
        match raw {
            Ok(raw) => (self.archive.set_aside("", &raw, reason, deadline).await).outcome,
            Err(_) => Outcome::Suspended,
        }
    }
}

/// What is pending now.
async fn backlog(
    archive: &Archive,
    limits: &Limits,
    deadline: Instant,
    seen: &Seen,
) -> Result<Backlog, store::Error> {
    let mut backlog = Backlog::new(clock::now(), limits.remembered);
    let listing = archive.each_pending(|listed| {
        backlog.add(listed, archive.layout(), |event| seen.contains(event));
    });
    let listed = timeout_at(deadline, listing).await;
    listed.unwrap_or(Err(store::Error::Incomplete {
        operation: "ListObjectsV2",
        missing: "an end in time",
    }))?;
    backlog.end();
    Ok(backlog)
}

/// Says each minute that a tick is at work.
async fn beats(pause: Duration) {
    let mut next = Instant::now() + pause;
    loop {
        sleep_until(next).await;
        Measured::tick_at_work().say();
        next += pause;
    }
}

/// Whether this is the one tick of an hour that tidies.
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
