//! One event, from stored to manifest or rejection; its chunks side by side.

pub mod attempt;
mod check;
mod chunk;
pub(crate) mod claim;
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

/// The archive: where recordings go, and by what rules.
#[derive(Clone, Debug)]
pub(crate) struct Archive {
    store: Store,
    acs: Client,
    transfers: Transfers,
    layout: Layout,
    topics: Topics,
    limits: Arc<Limits>,
    /// The examinations of media at the same time.
    checks: Arc<Semaphore>,
    /// The number of this instance's trial of the store. A trial that is repeated since an answer
    /// was lost meets its own object, and clears it.
    trial: u64,
}

/// The end of the work on one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Worked {
    /// The outcome of the event.
    pub(crate) report: Report,
    /// `true` if a fault on our side has kept it from its end: S3, KMS, permissions, credentials.
    pub(crate) ours: bool,
}

impl Archive {
    /// An archive by `layout` in the store's buckets, of events of `topics`.
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

    /// The layout of its buckets.
    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Makes sure, once in an instance, that the store can be worked with.
    ///
    /// # Errors
    ///
    /// [`store::Error::Ignores`] where it cannot; any other where that could not be found out.
    pub(crate) async fn verify_store(&self) -> Result<(), store::Error> {
        let trial = || self.layout.trial(self.trial);
        self.store.verify(trial).await
    }

    /// A run until `deadline`.
    pub(crate) fn run(&self, deadline: Instant, last: LastPart) -> Arc<Run> {
        Run::new(deadline, last, &self.limits)
    }

    /// The places in `run` for events that are worked on side by side: never more than there are
    /// slots, so that each has one.
    pub(crate) fn lanes(&self, run: &Arc<Run>) -> Vec<Lane> {
        let most = self.limits.events_at_once;
        let lanes = most.min(self.transfers.concurrency());
        (0..lanes).map(|_| run.lane(&self.transfers)).collect()
    }

    /// Works on a recording whose event is stored, as far as the run gets. May be dropped at any
    /// point.
    pub(crate) async fn archive(&self, pending: Pending, order: Order, lane: &Lane) -> Worked {
        let started = Instant::now();
        let Pending { event, mut claim } = pending;
        let work = Work {
            archive: self,
            event: &event,
            order,
            lane,
        };
        let chunks = claim.keep(work.copy()).await;
        let conclusion = work.conclude(claim, &chunks).await;
        let report = event
            .recorded
            .report(conclusion.outcome, chunks.bytes, started);
        Worked {
            report,
            ours: conclusion.ours,
        }
    }

    /// Sets an event aside that was not understood, with the reason.
    pub(crate) async fn set_aside(
        &self,
        event: &RawValue,
        reason: &str,
        deadline: Instant,
    ) -> Report {
        let id = EventId::default();
        let outcome = self.keep_aside(&id, event, reason, deadline).await;
        Report::of(id.to_string(), outcome)
    }

    fn documents<'a>(&'a self, of: &'a KeyedRecording) -> Documents<'a> {
        Documents { archive: self, of }
    }

    async fn keep_aside(
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

/// Why an event could not be stored.
#[derive(Debug, thiserror::Error)]
enum Unstored {
    #[error("out of time")]
    OutOfTime,
    #[error(transparent)]
    Store(#[from] store::Error),
}

async fn within<T>(
    deadline: Instant,
    work: impl Future<Output = Result<T, store::Error>>,
) -> Result<T, Unstored> {
    match timeout_at(deadline, work).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(Unstored::OutOfTime),
    }
}
