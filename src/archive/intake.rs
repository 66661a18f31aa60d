//! The storage of delivered events, before any work on them.

use std::time::SystemTime;

use tokio::time::Instant;
use tracing::info;

use super::attempt::{self, Attempt};
use super::claim::Claim;
use super::documents::Documents;
use super::event::{KeyedRecording, StoredEvent};
use super::{Archive, unstored, within};
use crate::clock;
use crate::finality::SETTLED;
use crate::keys::{ATTEMPT, Key};
use crate::metrics::{Measured, Metric};
use crate::outcome::{Outcome, Report};
use crate::recording::{Recording, StorageClass};
use crate::store::{self, JSON, StoredDocument, Written};

/// A stored event, and the claim of this run on it.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(super) event: StoredEvent,
    pub(super) claim: Claim,
}

/// The result of storing an event.
#[derive(Debug)]
pub(crate) enum Intake {
    /// The event is stored, and this run may work on it.
    Pending(Box<Pending>),
    /// There is no work on the event.
    Done(Report),
}

/// The result of storing an event, without its recording.
enum Stored {
    ToWorkOn {
        since: SystemTime,
        first: bool,
        claim: Box<Claim>,
    },
    Done(Outcome),
}

impl Archive {
    /// Stores a delivered event before any work on it, by `deadline`.
    pub(crate) async fn admit(&self, recording: Box<Recording>, deadline: Instant) -> Intake {
        let started = Instant::now();
        let recorded = KeyedRecording::new(recording, &self.layout);
        let outcome = match self.store_delivered(&recorded, deadline).await {
            Stored::Done(outcome) => outcome,
            Stored::ToWorkOn {
                since,
                first,
                claim,
            } => {
                let event = StoredEvent {
                    key: recorded.keys.pending_event(),
                    recorded,
                    since,
                    first,
                };
                let claim = *claim;
                return Intake::Pending(Box::new(Pending { event, claim }));
            }
        };
        Intake::Done(recorded.report(outcome, 0, started))
    }

    async fn store_delivered(&self, recorded: &KeyedRecording, deadline: Instant) -> Stored {
        let KeyedRecording { recording, .. } = recorded;
        if let Some(reason) = self.foreign(&recording.topic) {
            let aside = self.write_set_aside(recorded.id(), &recording.event, reason, deadline);
            return Stored::Done(aside.await);
        }
        if recording.storage() == StorageClass::Customer {
            Measured::once(Metric::RecordingsInCustomerStorage).emit();
            let id = recorded.id();
            info!(event = %id, "ACS has written this recording to the customer's own storage");
            return Stored::Done(Outcome::Ignored);
        }
        let stored = self.documents(recorded).store_event();
        match within(deadline, stored).await {
            Ok(stored) => stored,
            Err(failure) => Stored::Done(unstored(recorded.id(), &failure)),
        }
    }

    /// The reason not to archive events of `topic`, if there is one.
    pub(super) fn foreign(&self, topic: &str) -> Option<&'static str> {
        let ours = self.topics.accepts(topic);
        (!ours).then_some("event is of another topic than EVENT_GRID_TOPICS")
    }
}

impl Documents<'_> {
    /// Stores the event, unless it is archived already or another run is at work on it.
    ///
    /// # Errors
    ///
    /// [`store::Error::Foreign`] if the key holds another event: then this one is not stored.
    async fn store_event(self) -> Result<Stored, store::Error> {
        let archive = self.archive;
        archive.verify_store().await?;
        let event = self.of.keys.pending_event();
        if self.has_manifest().await? {
            // A run that ended between the manifest and the deletion has left the event pending.
            archive.end_pending(&event).await?;
            return Ok(Stored::Done(Outcome::AlreadyArchived));
        }
        let first = self.create_event(&event).await?;
        let (mut since, mut there) = (clock::now(), None);
        if !first {
            match archive.store.read(&event).await? {
                Some(stored) if !self.is_pending(&stored.bytes) => {
                    return Err(store::Error::Foreign);
                }
                Some(stored) => since = stored.last_modified.unwrap_or(since),
                // Deleted since the write was refused: another run has finished the event, or
                // somebody has deleted it. Only work on the event finds out which, so it is stored
                // again.
                None => {
                    self.create_event(&event).await?;
                }
            }
            there = archive.store.read(&event.beside(ATTEMPT)).await?;
            if there.as_ref().is_some_and(|there| is_live(since, there)) {
                info!(event = %self.of.id(), "another run is at work on this event");
                return Ok(Stored::Done(Outcome::Suspended));
            }
        }
        let attempt = event.beside(ATTEMPT);
        let etag = there.map(|there| there.etag);
        let claim = Claim::later(&archive.store, attempt, etag, archive.limits.heartbeat);
        // The run that created the event has nothing to resume, unless the event is so old that it
        // may have been rejected before: then its upload may still be there.
        let age = self.of.recording.time();
        let age = age.map(|time| time.age(clock::now()));
        Ok(Stored::ToWorkOn {
            since,
            first: first && age.is_some_and(|age| age < SETTLED),
            claim: Box::new(claim),
        })
    }

    /// Creates the pending event. Returns `false` if it was there.
    async fn create_event(self, key: &Key) -> Result<bool, store::Error> {
        let json = self.of.recording.event.get().to_owned();
        let written = self.archive.store.create(key, json, JSON, None).await?;
        Ok(matches!(written, Written::Here(_)))
    }
}

impl Archive {
    /// Deletes the claim and the pending event of a recording that is found to be archived.
    async fn end_pending(&self, event: &Key) -> Result<(), store::Error> {
        // A deletion leaves a marker in a versioned bucket, even of an object that is not there.
        // These objects are mostly gone, so a look comes first:
        // <https://docs.aws.amazon.com/AmazonS3/latest/userguide/DeleteMarker.html>
        for key in [&event.beside(ATTEMPT), event] {
            if self.store.find(key).await?.is_some() {
                self.store.delete(key).await?;
            }
        }
        Ok(())
    }
}

/// Returns `true` if `there` is the claim of a run that is at work now.
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
