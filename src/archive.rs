//! The work on one event, from its storage under `pending/` to the manifest or the rejection.

pub mod attempt;
mod check;
mod chunk;
mod claim;
mod claimed;
mod conclude;
mod copied;
mod documents;
mod event;
mod intake;
mod work;

pub(crate) use claimed::Claimed;
pub(crate) use intake::{Intake, Pending};

use std::sync::Arc;

use serde_json::value::RawValue;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use tracing::{error, warn};

use crate::acs::Client;
use crate::documents::{SetAside, to_json};
use crate::error_chain::error_chain;
use crate::keys::Layout;
use crate::limits::Limits;
use crate::metrics::{Measured, Metric};
use crate::outcome::{Outcome, Report};
use crate::recording::{EventId, Topics};
use crate::store::{self, JSON, Store};
use crate::transfer::{Lane, LastPart, Order, Run, Transfers};
use documents::Documents;
use event::KeyedRecording;
use work::Work;

/// The archive: the places of recordings, and the rules by which they get there.
#[derive(Clone, Debug)]
pub(crate) struct Archive {
    store: Store,
    acs: Client,
    transfers: Transfers,
    layout: Layout,
    topics: Topics,
    limits: Arc<Limits>,
    /// The permits for examinations of media at the same time.
    checks: Arc<Semaphore>,
    /// The number of this instance's trial of the store. A trial that is repeated because an answer
    /// was lost finds its own object, and deletes it.
    trial: u64,
}

/// The end of the work on one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Worked {
    pub(crate) report: Report,
    /// `true` if a fault on our side (S3, KMS, permissions, credentials) kept the event from its
    /// end.
    pub(crate) ours: bool,
}

impl Archive {
    pub(crate) fn new(
        store: Store,
        acs: Client,
        transfers: Transfers,
        layout: Layout,
        topics: Topics,
        limits: Arc<Limits>,
    ) -> Self {
        Self {
            store,
            acs,
            transfers,
            layout,
            topics,
            checks: Arc::new(Semaphore::new(limits.media_checks)),
            trial: fastrand::u64(..),
            limits,
        }
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Makes sure, once in an instance, that the store obeys conditions.
    ///
    /// # Errors
    ///
    /// [`store::Error::Ignores`] if it does not; any other error if that is still unknown.
    pub(crate) async fn verify_store(&self) -> Result<(), store::Error> {
        let trial = || self.layout.trial(self.trial);
        self.store.verify(trial).await
    }

    /// A new run, until `deadline`.
    pub(crate) fn run(&self, deadline: Instant, last: LastPart) -> Arc<Run> {
        Run::new(deadline, last, &self.limits)
    }

    /// The lanes of `run`, for the events that it works on side by side: at most as many as there
    /// are slots for parts, so that each event has a slot.
    pub(crate) fn lanes(&self, run: &Arc<Run>) -> Vec<Lane> {
        let most = self.limits.events_at_once;
        let lanes = most.min(self.transfers.concurrency());
        (0..lanes).map(|_| run.lane(&self.transfers)).collect()
    }

    /// Works on a stored event until its end or the deadline of the run. The work may be dropped at
    /// any point: S3 has everything that the next run needs.
    pub(crate) async fn archive(&self, pending: Pending, order: Order, lane: &Lane) -> Worked {
        let started = Instant::now();
        let Pending { event, mut claim } = pending;
        let work = Work {
            archive: self,
            event: &event,
            order,
            lane,
        };
        let chunks = claim.renew_during(work.copy()).await;
        let conclusion = work.conclude(claim, &chunks).await;
        let report = event
            .recorded
            .report(conclusion.outcome, chunks.bytes, started);
        Worked {
            report,
            ours: conclusion.ours,
        }
    }

    /// Sets aside an event that was not understood, with the reason.
    pub(crate) async fn set_aside(
        &self,
        event: &RawValue,
        reason: &str,
        deadline: Instant,
    ) -> Report {
        let id = EventId::default();
        let outcome = self.write_set_aside(&id, event, reason, deadline).await;
        Report::of(id.to_string(), outcome)
    }

    fn documents<'a>(&'a self, of: &'a KeyedRecording) -> Documents<'a> {
        Documents { archive: self, of }
    }

    /// Writes an event under `rejected/`. An object that is already there counts as the same event,
    /// because the key is a hash of the event.
    async fn write_set_aside(
        &self,
        id: &EventId,
        event: &RawValue,
        reason: &str,
        deadline: Instant,
    ) -> Outcome {
        let key = self.layout.set_aside(event.get().as_bytes());
        let document = to_json(&SetAside::new(event, reason));
        let write = async {
            self.verify_store().await?;
            self.store.create(&key, document, JSON, None).await
        };
        match within(deadline, write).await {
            Ok(_) => {
                Measured::once(Metric::EventsSetAside).emit();
                warn!(event = %id, key = %key, reason, "event is set aside");
                Outcome::SetAside
            }
            Err(failure) => unstored(id, &failure),
        }
    }
}

fn unstored(id: &EventId, failure: &Unstored) -> Outcome {
    Measured::once(Metric::EventsUnstored).emit();
    error!(event = %id, error = error_chain(failure), "event could not be stored");
    Outcome::Unstored
}

/// The reason that an event could not be stored.
#[derive(Debug, thiserror::Error)]
enum Unstored {
    #[error("out of time")]
    OutOfTime,
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// Does work on S3 until `deadline`.
async fn within<T>(
    deadline: Instant,
    work: impl Future<Output = Result<T, store::Error>>,
) -> Result<T, Unstored> {
    match timeout_at(deadline, work).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(Unstored::OutOfTime),
    }
}
