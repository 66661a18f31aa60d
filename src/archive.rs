//! One event, from stored to manifest or rejection; its chunks side by side.

mod chunk;
mod ours;
mod pending;

use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tracing::{Instrument as _, error, info, warn};

use crate::acs::Client;
use crate::chain::chain;
use crate::clock;
use crate::finality::Failure;
use crate::keys::{Layout, RecordingKeys};
use crate::limits::Limits;
use crate::manifest::{CopiedChunk, Manifest, Rejection, SetAside, to_json};
use crate::metrics::{Measured, Metric};
use crate::outcome::{Outcome, Report};
use crate::recording::{Recording, Topics, safe_id};
use crate::store::{self, JSON, Store, Written};
use crate::transfer::{Order, Transfers};
use chunk::ChunkCopy;
use pending::Admitted;

/// The archive: where recordings go, and by what rules.
#[derive(Clone, Debug)]
pub struct Archive {
    store: Store,
    acs: Client,
    transfers: Transfers,
    layout: Layout,
    topics: Topics,
    limits: Arc<Limits>,
}

impl Archive {
    /// An archive by `layout` in the store's buckets, of events of `topics`.
    #[must_use]
    pub fn new(
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
            limits,
        }
    }

    /// Archives a recording, until `deadline` at most. May be dropped at any point.
    pub async fn archive(&self, recording: &Recording, order: Order, deadline: Instant) -> Report {
        let started = Instant::now();
        let (outcome, bytes) = self.outcome(recording, order, deadline).await;
        let report = Report {
            id: safe_id(&recording.event_id).into_owned(),
            outcome,
            bytes,
        };
        let lag = recording.event_time.map(|time| time.age(clock::now()));
        Measured::recording(outcome, lag, started.elapsed(), bytes).say();
        info!(
            event = report.id,
            call = %recording.call_id(),
            outcome = outcome.name(),
            chunks = recording.chunks.len(),
            bytes,
            milliseconds = clock::milliseconds(started),
            "event"
        );
        report
    }

    /// Sets an event aside that cannot be archived, with the reason.
    pub async fn set_aside(
        &self,
        id: &str,
        event: &RawValue,
        reason: &str,
        deadline: Instant,
    ) -> Report {
        let outcome = self.keep_aside(id, event, reason, deadline).await;
        Report::of(safe_id(id).into_owned(), outcome)
    }

    /// The layout of its buckets.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    async fn outcome(
        &self,
        recording: &Recording,
        order: Order,
        deadline: Instant,
    ) -> (Outcome, u64) {
        if !self.topics.take(&recording.topic) {
            let reason = "event is of another topic than EVENT_GRID_TOPICS";
            return (
                self.keep_aside(&recording.event_id, &recording.event, reason, deadline)
                    .await,
                0,
            );
        }
        if recording.is_in_customer_storage(self.acs.allowed()) {
            info!(event = %safe_id(&recording.event_id), "ACS has written this recording to the customer's own storage");
            return (Outcome::Ignored, 0);
        }
        let keys = self.layout.keys(recording);
        let Admitted { stored, first } = match within(deadline, self.admit(recording, &keys)).await
        {
            Ok(Some(admitted)) => admitted,
            Ok(None) => return (Outcome::AlreadyArchived, 0),
            Err(failure) => return (unstored(&recording.event_id, &failure), 0),
        };
        // Without time for it, the key is as old as it is.
        let _ = timeout_at(deadline, self.acs.renew()).await;
        let now = clock::now();
        let told = recording.time().map(|time| time.age(now));
        let kept = now.duration_since(stored).unwrap_or_default();
        let age = told.unwrap_or_default().max(kept);
        let (chunks, bytes) = self
            .copy_chunks(recording, &keys, order, first, deadline, age)
            .await;
        let conclusion = self.conclude(recording, &keys, &chunks, age);
        match within(deadline + self.limits.conclusion, conclusion).await {
            Ok(outcome) => (outcome, bytes),
            Err(failure) => {
                warn!(event = %safe_id(&recording.event_id), error = chain(&failure), "event is left unfinished");
                (Outcome::Suspended, bytes)
            }
        }
    }

    async fn copy_chunks(
        &self,
        recording: &Recording,
        keys: &RecordingKeys,
        order: Order,
        first: bool,
        deadline: Instant,
        age: Duration,
    ) -> (Vec<CopiedChunk>, u64) {
        let mut copying = JoinSet::new();
        let mut copied = Vec::new();
        let mut bytes = 0;
        let mut waiting = recording.chunks.iter();
        loop {
            while copying.len() < self.limits.chunks_at_once
                && let Some(chunk) = waiting.next()
            {
                let copy =
                    ChunkCopy::new(self, recording, keys, chunk, (order, first), deadline, age);
                copying.spawn(copy.run().in_current_span());
            }
            match copying.join_next().await {
                None => break,
                Some(Ok((chunk, fetched))) => {
                    copied.push(chunk);
                    bytes += fetched;
                }
                Some(Err(error)) => {
                    if let Ok(panic) = error.try_into_panic() {
                        resume_unwind(panic)
                    }
                }
            }
        }
        copied.sort_by_key(|copied| copied.chunk.index);
        (copied, bytes)
    }

    /// Writes the manifest, or the rejection where nothing more can be done; then the event is no longer pending.
    async fn conclude(
        &self,
        recording: &Recording,
        keys: &RecordingKeys,
        chunks: &[CopiedChunk],
        age: Duration,
    ) -> Result<Outcome, store::Error> {
        let outcome = if let Some(manifest) = Manifest::new(recording, chunks) {
            let (key, manifest) = (keys.manifest(), to_json(&manifest));
            match self.store.create(&key, manifest, JSON, None).await? {
                Written::Here(_) => Outcome::Archived,
                Written::Taken if self.has_manifest(recording, keys).await? => {
                    Outcome::AlreadyArchived
                }
                Written::Taken => self.reject_unmanifested(recording, keys, chunks).await?,
            }
        } else {
            let objects = chunks
                .iter()
                .flat_map(|copied| [&copied.media, &copied.metadata]);
            let mut failures = objects.filter_map(|copied| copied.result.as_ref().err());
            if !failures.all(|failure| failure.is_final(age)) {
                return Ok(Outcome::Suspended);
            }
            for copied in chunks.iter().filter(|copied| copied.media.result.is_err()) {
                let record = keys.record(&copied.chunk);
                self.transfers.abandon(&copied.media.key, &record).await?;
            }
            let expired = |failure: &Failure| failure.is_expiry(age);
            let rejection = to_json(&Rejection::new(recording, chunks, expired));
            let key = keys.rejection();
            self.keep_rejection(recording, keys, rejection).await?;
            // Also if there is one already: it may be this run's own, its answer lost, or one of a day that was forgotten.
            measure_rejection(chunks, expired);
            error!(event = %safe_id(&recording.event_id), key = %key, "recording cannot be archived whole");
            Outcome::SetAside
        };
        self.store.delete(&keys.pending_event()).await?;
        Ok(outcome)
    }

    async fn keep_aside(
        &self,
        id: &str,
        event: &RawValue,
        reason: &str,
        deadline: Instant,
    ) -> Outcome {
        let key = self.layout.set_aside(event.get().as_bytes());
        let document = to_json(&SetAside::new(event, reason));
        match within(deadline, self.store.create(&key, document, JSON, None)).await {
            Ok(_) => {
                Measured::once(Metric::EventsSetAside).say();
                warn!(event = %safe_id(id), key = %key, reason, "event is set aside");
                Outcome::SetAside
            }
            Err(failure) => unstored(id, &failure),
        }
    }
}

/// Counts a rejection, and the chunks that it is about.
fn measure_rejection(chunks: &[CopiedChunk], expired: impl Fn(&Failure) -> bool) {
    let failed = |copied: &CopiedChunk, is: &dyn Fn(&Failure) -> bool| {
        let results = [&copied.media.result, &copied.metadata.result];
        let mut failures = results
            .into_iter()
            .filter_map(|result| result.as_ref().err());
        failures.any(is)
    };
    let count = |is: &dyn Fn(&Failure) -> bool| {
        chunks.iter().filter(|copied| failed(copied, is)).count() as u64
    };
    let (all, expired) = (count(&|_| true), count(&expired));
    Measured::once(match expired {
        0 => Metric::RecordingsRejected,
        _ => Metric::RecordingsExpired,
    })
    .and_count(Metric::ChunksExpired, expired)
    .and_count(Metric::ChunksRejected, all - expired)
    .say();
}

fn unstored(id: &str, failure: &Unstored) -> Outcome {
    Measured::once(Metric::EventsUnstored).say();
    error!(event = %safe_id(id), error = chain(failure), "event could not be stored");
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
