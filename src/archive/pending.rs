//! Pending events: stored before any work, taken by one run at a time, ended after all of it.

use std::time::SystemTime;

use tokio::time::Instant;
use tracing::{info, warn};

use super::attempt::{self, Attempt};
use super::claim::{Claim, Unfinished};
use super::{Archive, report, unstored, within};
use crate::chain::chain;
use crate::clock;
use crate::finality::Ages;
use crate::keys::{ATTEMPT, EVENT, Key, RecordingKeys};
use crate::metrics::{Measured, Metric};
use crate::outcome::{Outcome, Report};
use crate::recording::{Recording, StorageClass, safe_id};
use crate::store::{self, JSON, Listed, StoredDocument, Written};

/// An event that is stored, to be worked on by this run.
#[derive(Debug)]
pub struct Pending {
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
    /// Since when it has been stored, by S3's clock.
    pub(super) since: SystemTime,
    /// Whether it was stored by this very run.
    pub(super) first: bool,
}

/// The end of storing an event.
#[derive(Debug)]
pub enum Intake {
    /// It is stored, and this run may work on it.
    Pending(Box<Pending>),
    /// There is nothing to work on.
    Done(Report),
}

/// A pending event that a run of the schedule has taken.
#[derive(Debug)]
pub struct Taken {
    pub(super) event: Key,
    pub(super) claim: Claim,
    /// The event's bytes.
    pub document: StoredDocument,
}

impl StoredEvent {
    pub(super) fn ages(&self, recording: &Recording) -> Ages {
        Ages::new(recording.time(), self.since, clock::now())
    }
}

impl Archive {
    /// Calls `see` with each key under `pending/`, in ascending order.
    ///
    /// # Errors
    ///
    /// [`store::Error`].
    pub async fn each_pending(&self, see: impl FnMut(Listed)) -> Result<(), store::Error> {
        self.store.each(&self.prefix.pending(), see).await
    }

    /// Stores a delivered event before any work on it, by `deadline`.
    pub async fn admit(&self, recording: &Recording, deadline: Instant) -> Intake {
        let (id, started) = (&recording.event_id, Instant::now());
        let done = |outcome| Intake::Done(report(recording, outcome, 0, started));
        if let Some(reason) = self.foreign(recording) {
            let outcome = self.keep_aside(id, &recording.event, reason, deadline);
            return done(outcome.await);
        }
        if recording.storage() == StorageClass::Customer {
            Measured::once(Metric::RecordingsInCustomerStorage).say();
            info!(event = %safe_id(id), "ACS has written this recording to the customer's own storage");
            return done(Outcome::Ignored);
        }
        match within(deadline, self.store_event(recording)).await {
            Ok(Ok(pending)) => Intake::Pending(Box::new(pending)),
            Ok(Err(outcome)) => done(outcome),
            Err(failure) => done(unstored(id, &failure)),
        }
    }

    /// Why a recording is none of ours to archive.
    fn foreign(&self, recording: &Recording) -> Option<&'static str> {
        let ours = self.topics.take(&recording.topic);
        (!ours).then_some("event is of another topic than EVENT_GRID_TOPICS")
    }

    async fn store_event(
        &self,
        recording: &Recording,
    ) -> Result<Result<Pending, Outcome>, store::Error> {
        let keys = self.prefix.keys(recording);
        let event = keys.pending_event();
        if self.store.find(&keys.manifest()).await?.is_some() {
            // Left over where a run ended between its last two steps.
            self.end_pending(&event).await?;
            return Ok(Err(Outcome::AlreadyArchived));
        }
        let json = recording.event.get().to_owned();
        let written = self.store.create(&event, json, JSON, None).await?;
        let first = matches!(written, Written::Here(_));
        let (mut since, mut there) = (clock::now(), None);
        if !first {
            since = match self.store.find(&event).await? {
                Some(event) => event.last_modified.unwrap_or(since),
                // Another run has finished it meanwhile.
                None => return Ok(Err(Outcome::AlreadyArchived)),
            };
            there = self.store.read(&event.beside(ATTEMPT)).await?;
            if there.as_ref().is_some_and(|there| is_live(since, there)) {
                let id = safe_id(&recording.event_id);
                info!(event = %id, "another run is at work on this event");
                return Ok(Err(Outcome::Suspended));
            }
        }
        let attempt = event.beside(ATTEMPT);
        let etag = there.map(|there| there.etag);
        let claim = Claim::later(&self.store, attempt, etag, self.limits.heartbeat);
        let event = StoredEvent {
            keys,
            key: event,
            since,
            first,
        };
        Ok(Ok(Pending { event, claim }))
    }

    /// Takes a pending event that was listed with that `attempt.json`. `None` if there is nothing
    /// to do yet, or another run was first.
    ///
    /// # Errors
    ///
    /// [`store::Error`].
    pub async fn take(
        &self,
        event: &Key,
        listed: Option<&attempt::Listed>,
        previous: Attempt,
    ) -> Result<Option<Taken>, store::Error> {
        let etag = listed.map(|listed| listed.etag.clone());
        let beat = self.limits.heartbeat;
        let key = event.beside(ATTEMPT);
        // Before anything is fetched, S3 has taken a write in this run.
        let Some(claim) = Claim::take(&self.store, key, etag, previous, beat).await? else {
            return Ok(None);
        };
        match self.store.read(event).await {
            Ok(Some(document)) => Ok(Some(Taken {
                event: event.clone(),
                claim,
                document,
            })),
            // Deleted since it was listed: another run has finished it.
            Ok(None) => claim.end().await.map(|()| None),
            Err(error) => Err(failed(claim, error).await),
        }
    }

    /// The last attempt at an event, as the `attempt.json` beside it says.
    ///
    /// # Errors
    ///
    /// [`store::Error`].
    pub async fn last_attempt(&self, event: &Key) -> Result<Attempt, store::Error> {
        let there = self.store.read(&event.beside(ATTEMPT)).await?;
        Ok(there.map_or_else(Attempt::default, |there| Attempt::parse(&there.bytes)))
    }

    /// Looks at a taken event's recording before the work on it, by `deadline`.
    ///
    /// # Errors
    ///
    /// [`store::Error`].
    pub async fn resume(
        &self,
        recording: &Recording,
        taken: Taken,
        deadline: Instant,
    ) -> Result<Intake, store::Error> {
        let (id, started) = (&recording.event_id, Instant::now());
        let done = |outcome| Intake::Done(report(recording, outcome, 0, started));
        // It was acknowledged as one to be archived, so it is not dropped in silence.
        let aside = if recording.storage() == StorageClass::Customer {
            Some("recording is in the customer's own storage, though its event is pending")
        } else {
            self.foreign(recording)
        };
        if let Some(reason) = aside {
            let outcome = self.keep_aside(id, &recording.event, reason, deadline);
            return Ok(done(self.end_taken(taken, outcome.await).await?));
        }
        let keys = self.prefix.keys(recording);
        match self.store.find(&keys.manifest()).await {
            Ok(None) => {}
            Ok(Some(_)) => {
                return Ok(done(self.end_taken(taken, Outcome::AlreadyArchived).await?));
            }
            Err(error) => return Err(failed(taken.claim, error).await),
        }
        let event = StoredEvent {
            keys,
            key: taken.event,
            since: taken.document.last_modified.unwrap_or_else(clock::now),
            first: false,
        };
        let claim = taken.claim;
        Ok(Intake::Pending(Box::new(Pending { event, claim })))
    }

    /// Makes a taken event no longer pending if `outcome` is final; else releases it.
    ///
    /// # Errors
    ///
    /// [`store::Error`].
    pub async fn end_taken(&self, taken: Taken, outcome: Outcome) -> Result<Outcome, store::Error> {
        if outcome.is_final() {
            taken.claim.end().await?;
            self.store.delete(&taken.event).await?;
        } else {
            let left = Unfinished {
                failure: Some(format!("event is {}", outcome.name())),
                ..Unfinished::default()
            };
            taken.claim.release(left).await?;
        }
        Ok(outcome)
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

    /// Clears what a run has left at `key`, which is beside an event that is no longer pending.
    ///
    /// # Errors
    ///
    /// [`store::Error`].
    pub async fn clear_left_over(&self, key: &Key) -> Result<(), store::Error> {
        // The event may have been delivered once more since it was listed.
        if self.store.find(&key.beside(EVENT)).await?.is_some() {
            return Ok(());
        }
        if *key == key.beside(ATTEMPT) {
            return self.store.delete(key).await;
        }
        self.transfers.clear_left_over(key, &self.prefix).await
    }
}

/// Releases a claim after a fault of S3, so that it does not look like that of a process that died.
async fn failed(claim: Claim, error: store::Error) -> store::Error {
    let left = Unfinished {
        failure: Some(chain(&error)),
        ..Unfinished::default()
    };
    if let Err(unreleased) = claim.release(left).await {
        warn!(
            error = chain(&unreleased),
            "a claim could not be released after a fault"
        );
    }
    error
}

/// Whether an `attempt.json` is the claim of a run that is at work now.
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
