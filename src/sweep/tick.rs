//! The work of one tick: events side by side, each claimed first, until none is due or time runs
//! out.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::value::RawValue;
use tokio::sync::{Mutex, RwLock};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tracing::{Instrument as _, error, warn};

use super::backlog::{Backlog, Candidate};
use super::listing::{self, Seen};
use crate::archive::attempt::Attempt;
use crate::archive::{Archive, Claimed, Intake};
use crate::clock;
use crate::error_chain::error_chain;
use crate::event_grid;
use crate::limits::Limits;
use crate::outcome::Outcome;
use crate::recording::Recording;
use crate::store;
use crate::transfer::{Lane, Order, Run};

/// One tick at work.
#[derive(Debug)]
pub(super) struct Tick {
    archive: Arc<Archive>,
    limits: Arc<Limits>,
    run: Arc<Run>,
    events: Mutex<Events>,
    /// Read-locked by each event at work, and write-locked by an event that has ended processes, so
    /// that it ends nobody else's work if it does so again.
    beside: RwLock<()>,
    taken: AtomicUsize,
    finished: AtomicUsize,
    /// The consecutive failures on our side.
    failures: AtomicUsize,
}

/// The due events of a tick, and those that it has seen.
#[derive(Debug)]
struct Events {
    backlog: Backlog,
    seen: Seen,
}

/// The end of the work on one event.
struct Ended {
    outcome: Outcome,
    /// `true` if a fault on our side kept the event from its end.
    ours: bool,
}

impl From<Outcome> for Ended {
    fn from(outcome: Outcome) -> Self {
        let ours = !outcome.is_final();
        Self { outcome, ours }
    }
}

impl Tick {
    pub(super) fn new(
        archive: &Arc<Archive>,
        limits: &Arc<Limits>,
        run: Arc<Run>,
        backlog: Backlog,
        seen: Seen,
    ) -> Arc<Self> {
        Arc::new(Self {
            archive: Arc::clone(archive),
            limits: Arc::clone(limits),
            run,
            events: Mutex::new(Events { backlog, seen }),
            beside: RwLock::new(()),
            taken: AtomicUsize::new(0),
            finished: AtomicUsize::new(0),
            failures: AtomicUsize::new(0),
        })
    }

    /// The number of claimed events.
    pub(super) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// The number of claimed events that are no longer pending.
    pub(super) fn finished(&self) -> usize {
        self.finished.load(Ordering::Relaxed)
    }

    /// Works on events side by side, one in each lane. A `cautious` tick, after an outage, begins
    /// with one event, and goes on only if the outage is over.
    pub(super) async fn work(self: &Arc<Self>, cautious: bool) {
        let mut lanes = self.archive.lanes(&self.run);
        let Some(first) = lanes.pop() else { return };
        if cautious {
            let found = self.work_on_next(&first).await;
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
            let work = async move { while tick.work_on_next(&lane).await.is_some() {} };
            working.spawn(work.in_current_span());
        }
        // After the deadline, each task has the time to write down how its event ended.
        let end = self.run.deadline() + 2 * self.limits.conclusion;
        loop {
            match timeout_at(end, working.join_next()).await {
                Ok(None) => return,
                Ok(Some(Ok(()))) => {}
                Ok(Some(Err(_))) => error!("a pending event's work broke off"),
                Err(_) => {
                    warn!("pending events were abandoned: S3 did not answer in time");
                    return;
                }
            }
        }
    }

    /// Works on the next event. Returns `None` if no event is due, or no time is left.
    async fn work_on_next(self: &Arc<Self>, lane: &Lane) -> Option<()> {
        // An attempt must leave the time to find out that a source sends nothing. Otherwise a
        // stalled source would look like a run that only ran out of time.
        let room = self.run.has_room(self.limits.source_stall);
        if !room || self.is_outage() {
            return None;
        }
        let candidate = self.next().await?;
        // In a task of its own, so that a panic over one event ends no other event's work.
        let (tick, event, lane) = (Arc::clone(self), candidate.event.clone(), lane.clone());
        let work = async move { tick.work_on(&candidate, &lane).await };
        let mut working = JoinSet::new();
        working.spawn(work.in_current_span());
        let ours = match working.join_next().await? {
            Ok(Ok(ours)) => ours,
            Ok(Err(error)) => {
                let error = error_chain(&error);
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

    /// Returns `true` if S3, KMS, our permissions or credentials fail every event alike.
    pub(super) fn is_outage(&self) -> bool {
        self.failures.load(Ordering::Relaxed) >= self.limits.outage
    }

    /// The next due event, from a new listing if the last one is used up and was not complete.
    async fn next(&self) -> Option<Candidate> {
        let mut events = self.events.lock().await;
        loop {
            while let Some(candidate) = events.backlog.next() {
                // An event that was released to be tried at once would be due again in this tick.
                if events.seen.insert(&candidate.event) {
                    return Some(candidate);
                }
            }
            if !events.backlog.overflows() {
                return None;
            }
            let deadline = self.run.deadline();
            let listed = listing::list(&self.archive, &self.limits, deadline, &events.seen).await;
            match listed {
                Ok(backlog) => events.backlog = backlog,
                Err(error) => {
                    warn!(
                        error = error_chain(&error),
                        "pending events could not be listed again"
                    );
                    return None;
                }
            }
        }
    }

    /// Claims an event and works on it. Returns `true` if a fault on our side kept it from its end.
    async fn work_on(&self, candidate: &Candidate, lane: &Lane) -> Result<bool, store::Error> {
        let deadline = self.run.deadline();
        // Only `attempt.json` has the pause that ACS asked for: the listing shows that the event is
        // due, not whether ACS may be asked.
        let mut previous = Attempt::default();
        if let Some(listed) = candidate.attempt.as_ref().filter(|listed| !listed.is_empty) {
            previous = self.archive.last_attempt(&candidate.event).await?;
            if previous.resumes(listed.written) > clock::now() {
                return Ok(false);
            }
        }
        // The claim that follows will count a previous run that is still said to be at work as
        // dead.
        let deadly = previous.clone().next("").is_deadly();
        let (mut _together, mut _alone) = (None, None);
        if deadly {
            let key = &candidate.event;
            warn!(%key, "event has ended several processes: the tick works on nothing beside it");
            _alone = Some(self.beside.write().await);
        } else {
            _together = Some(self.beside.read().await);
        }
        self.archive.verify_store().await?;
        let listed = candidate.attempt.as_ref();
        let claimed = self.archive.claim(&candidate.event, listed, previous);
        let Some(claimed) = claimed.await? else {
            return Ok(false);
        };
        self.taken.fetch_add(1, Ordering::Relaxed);
        let ended = match event_grid::recording(&claimed.document.bytes) {
            Ok(recording) => self.finish(Box::new(recording), claimed, lane).await?,
            Err(reason) => {
                let text = String::from_utf8_lossy(&claimed.document.bytes).into_owned();
                let outcome = self.set_aside(text, &reason.to_string(), deadline).await;
                self.archive.end_claimed(claimed, outcome).await?.into()
            }
        };
        self.finished
            .fetch_add(usize::from(ended.outcome.is_final()), Ordering::Relaxed);
        Ok(ended.ours)
    }

    async fn finish(
        &self,
        recording: Box<Recording>,
        claimed: Claimed,
        lane: &Lane,
    ) -> Result<Ended, store::Error> {
        let deadline = self.run.deadline();
        match self.archive.resume(recording, claimed, deadline).await? {
            Intake::Done(report) => Ok(report.outcome.into()),
            Intake::Pending(pending) => {
                let order = Order::FromBack;
                let worked = self.archive.archive(*pending, order, lane).await;
                Ok(Ended {
                    outcome: worked.report.outcome,
                    ours: worked.ours,
                })
            }
        }
    }

    async fn set_aside(&self, text: String, reason: &str, deadline: Instant) -> Outcome {
        // An event that is no JSON is kept as a JSON string.
        let raw = RawValue::from_string(text.clone())
            .or_else(|_| RawValue::from_string(serde_json::Value::from(text).to_string()));
        match raw {
            Ok(raw) => (self.archive.set_aside(&raw, reason, deadline).await).outcome,
            Err(_) => Outcome::Suspended,
        }
    }
}
