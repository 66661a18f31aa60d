//! Delivered events: stored before any work on them.

use std::time::SystemTime;

use tokio::time::Instant;
use tracing::info;

use super::attempt::{self, Attempt};
use super::claim::Claim;
use super::{Archive, report, unstored, within};
use crate::clock;
use crate::finality::{Ages, SETTLED};
use crate::keys::{ATTEMPT, Key, RecordingKeys};
use crate::metrics::{Measured, Metric};
use crate::outcome::{Outcome, Report};
use crate::recording::{Recording, StorageClass};
use crate::store::{self, JSON, StoredDocument, Written};

/// An event that is stored, to be worked on by this run.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(super) event: StoredEvent,
    pub(super) claim: Claim,
}

/// A stored event.
#[derive(Debug)]
pub(super) struct StoredEvent {
    /// The keys of its recording.
    pub(super) keys: RecordingKeys,
    /// The key that it was found under.
    pub(super) key: Key,
    /// When it was stored, by S3's clock.
    pub(super) since: SystemTime,
    /// `true` if nothing can have been left by an earlier run.
    pub(super) first: bool,
}

/// The end of storing an event.
#[derive(Debug)]
pub(crate) enum Intake {
    /// It is stored, and this run may work on it.
    Pending(Box<Pending>),
    /// There is nothing to work on.
    Done(Report),
}

impl StoredEvent {
    pub(super) fn ages(&self, recording: &Recording) -> Ages {
        Ages::new(recording.time(), self.since, clock::now())
    }
}

impl Archive {
    /// Stores a delivered event before any work on it, by `deadline`.
    pub(crate) async fn admit(&self, recording: &Recording, deadline: Instant) -> Intake {
        let (id, started) = (&recording.event_id, Instant::now());
        let done = |outcome| Intake::Done(report(recording, outcome, 0, started));
        if let Some(reason) = self.foreign(recording) {
            let outcome = self.keep_aside(id, &recording.event, reason, deadline);
            return done(outcome.await);
        }
        if recording.storage() == StorageClass::Customer {
            Measured::once(Metric::RecordingsInCustomerStorage).emit();
            info!(event = %id, "ACS has written this recording to the customer's own storage");
            return done(Outcome::Ignored);
        }
        match within(deadline, self.store_event(recording)).await {
            Ok(Ok(pending)) => Intake::Pending(Box::new(pending)),
            Ok(Err(outcome)) => done(outcome),
            Err(failure) => done(unstored(id, &failure)),
        }
    }

    /// Why a recording is none of ours to archive.
    pub(super) fn foreign(&self, recording: &Recording) -> Option<&'static str> {
        let ours = self.topics.take(&recording.topic);
        (!ours).then_some("event is of another topic than EVENT_GRID_TOPICS")
    }

    /// Stores an event, unless there is nothing to work on; then the error within is its outcome.
    ///
    /// # Errors
    ///
    /// [`store::Error::Foreign`] where its key holds another event, so that this one is not stored.
    async fn store_event(
        &self,
        recording: &Recording,
    ) -> Result<Result<Pending, Outcome>, store::Error> {
        self.verify_store().await?;
        let keys = self.layout.keys(recording);
        let event = keys.pending_event();
        if self.has_manifest(recording, &keys).await? {
            // Left over where a run ended between its last two steps.
            self.end_pending(&event).await?;
            return Ok(Err(Outcome::AlreadyArchived));
        }
        let first = self.create_event(recording, &event).await?;
        let (mut since, mut there) = (clock::now(), None);
        if !first {
            match self.store.read(&event).await? {
                Some(stored) if !self.is_pending(&stored.bytes, &keys) => {
                    return Err(store::Error::Foreign);
                }
                Some(stored) => since = stored.last_modified.unwrap_or(since),
                // Another run has finished it meanwhile, or somebody has deleted it: only a look
                // at everything tells.
                None => {
                    self.create_event(recording, &event).await?;
                }
            }
            there = self.store.read(&event.beside(ATTEMPT)).await?;
            if there.as_ref().is_some_and(|there| is_live(since, there)) {
                let id = &recording.event_id;
                info!(event = %id, "another run is at work on this event");
                return Ok(Err(Outcome::Suspended));
            }
        }
        let attempt = event.beside(ATTEMPT);
        let etag = there.map(|there| there.etag);
        let claim = Claim::later(&self.store, attempt, etag, self.limits.heartbeat);
        // An event of more than an hour ago may have been rejected, and its parts kept.
        let told = recording.time().map(|time| time.age(clock::now()));
        let event = StoredEvent {
            keys,
            key: event,
            since,
            first: first && told.is_some_and(|age| age < SETTLED),
        };
        Ok(Ok(Pending { event, claim }))
    }

    /// Stores an event, and returns whether it was this run that did.
    async fn create_event(&self, recording: &Recording, key: &Key) -> Result<bool, store::Error> {
        let json = recording.event.get().to_owned();
        let written = self.store.create(key, json, JSON, None).await?;
        Ok(matches!(written, Written::Here(_)))
    }

    /// Makes an event no longer pending that is found to be archived.
    async fn end_pending(&self, event: &Key) -> Result<(), store::Error> {
        // Each deletion leaves a marker in a versioned bucket, so what may well be gone is looked
        // for first.
        for key in [&event.beside(ATTEMPT), event] {
            if self.store.find(key).await?.is_some() {
                self.store.delete(key).await?;
            }
        }
        Ok(())
    }
}

/// Returns `true` if an `attempt.json` is the claim of a run that is at work now.
fn is_live(stored: SystemTime, there: &StoredDocument) -> bool {
    let Some(written) = there.last_modified else {
        return false;
    };
    let listed = attempt::Listed {
        etag: there.etag.clone(),
        written,
        is_empty: there.bytes.is_empty(),
    };
    let at_work = Attempt::parse(&there.bytes).is_at_work();
    at_work && clock::now() < attempt::due(stored, Some(&listed))
}
