//! Pending events as a tick finds them: claimed by one run at a time, resumed, and ended.

use tokio::time::Instant;
use tracing::warn;

use super::Archive;
use super::attempt::{self, Attempt};
use super::claim::{Claim, Unfinished};
use super::event::{KeyedRecording, StoredEvent};
use super::intake::{Intake, Pending};
use crate::clock;
use crate::error_chain::error_chain;
use crate::keys::{ATTEMPT, EVENT, Key};
use crate::outcome::Outcome;
use crate::recording::{Recording, StorageClass};
use crate::store::{self, Listed, StoredDocument};

/// A pending event that this run has claimed.
#[derive(Debug)]
pub(crate) struct Claimed {
    pub(super) event: Key,
    pub(super) claim: Claim,
    /// The object with the event.
    pub(crate) document: StoredDocument,
}

impl Archive {
    /// Calls `see` with each key under `pending/`, in ascending order.
    pub(crate) async fn each_pending(&self, see: impl FnMut(Listed)) -> Result<(), store::Error> {
        self.store.each(&self.layout.pending(), see).await
    }

    /// Claims a pending event that was listed with this `attempt.json`. Returns `None` if the event
    /// is gone, or another run was first.
    pub(crate) async fn claim(
        &self,
        event: &Key,
        listed: Option<&attempt::Listed>,
        previous: Attempt,
    ) -> Result<Option<Claimed>, store::Error> {
        let etag = listed.map(|listed| listed.etag.clone());
        let beat = self.limits.heartbeat;
        let key = event.beside(ATTEMPT);
        // The claim comes before the event is read. So an outage of S3 or KMS that refuses writes
        // shows before the run fetches anything from ACS that it could not store.
        let Some(claim) = Claim::now(&self.store, key, etag, previous, beat).await? else {
            return Ok(None);
        };
        match self.store.read(event).await {
            Ok(Some(document)) => Ok(Some(Claimed {
                event: event.clone(),
                claim,
                document,
            })),
            // Another run has finished the event since the listing, and has deleted it. The claim
            // has created `attempt.json` again.
            Ok(None) => claim.end().await.map(|()| None),
            Err(error) => Err(failed(claim, error).await),
        }
    }

    /// The last attempt at an event; the default if there was none.
    pub(crate) async fn last_attempt(&self, event: &Key) -> Result<Attempt, store::Error> {
        let there = self.store.read(&event.beside(ATTEMPT)).await?;
        Ok(there.map_or_else(Attempt::default, |there| Attempt::parse(&there.bytes)))
    }

    /// Decides on a claimed event before the work on it: an event that must not be archived is set
    /// aside, and one that is already archived is ended.
    pub(crate) async fn resume(
        &self,
        recording: Box<Recording>,
        claimed: Claimed,
        deadline: Instant,
    ) -> Result<Intake, store::Error> {
        let started = Instant::now();
        let recorded = KeyedRecording::new(recording, &self.layout);
        let done = |outcome| Intake::Done(recorded.report(outcome, 0, started));
        let recording = &recorded.recording;
        // The event was stored as one to archive, so it is never dropped in silence: it is set
        // aside with the reason.
        let aside = if recording.storage() == StorageClass::Customer {
            Some("recording is in the customer's own storage, though its event is pending")
        } else {
            self.foreign(&recording.topic)
        };
        if let Some(reason) = aside {
            let outcome = self.write_set_aside(recorded.id(), &recording.event, reason, deadline);
            return Ok(done(self.end_claimed(claimed, outcome.await).await?));
        }
        match self.documents(&recorded).has_manifest().await {
            Ok(false) => {}
            Ok(true) => {
                let ended = self.end_claimed(claimed, Outcome::AlreadyArchived);
                return Ok(done(ended.await?));
            }
            Err(error) => return Err(failed(claimed.claim, error).await),
        }
        let event = StoredEvent {
            recorded,
            key: claimed.event,
            since: claimed.document.last_modified.unwrap_or_else(clock::now),
            first: false,
        };
        let claim = claimed.claim;
        Ok(Intake::Pending(Box::new(Pending { event, claim })))
    }

    /// Deletes a claimed event from `pending/` if `outcome` is final; else releases it.
    pub(crate) async fn end_claimed(
        &self,
        claimed: Claimed,
        outcome: Outcome,
    ) -> Result<Outcome, store::Error> {
        if outcome.is_final() {
            self.clear_pending(claimed.claim, &claimed.event).await?;
        } else {
            let left = Unfinished {
                failure: Some(format!("event is {}", outcome.name())),
                ..Unfinished::default()
            };
            claimed.claim.release(left).await?;
        }
        Ok(outcome)
    }

    /// Clears the object that a run has left at `key`, beside an event that is no longer pending.
    pub(crate) async fn clear_left_over(&self, key: &Key) -> Result<(), store::Error> {
        // The event may have been delivered again since the listing. Then the object is in use.
        if self.store.find(&key.beside(EVENT)).await?.is_some() {
            return Ok(());
        }
        if *key == key.beside(ATTEMPT) {
            return self.store.delete(key).await;
        }
        self.transfers.clear_left_over(key, &self.layout).await
    }
}

/// Releases a claim after a fault of S3. Otherwise the claim would count as one of a dead process.
async fn failed(claim: Claim, error: store::Error) -> store::Error {
    let left = Unfinished {
        failure: Some(error_chain(&error)),
        ..Unfinished::default()
    };
    if let Err(unreleased) = claim.release(left).await {
        warn!(
            error = error_chain(&unreleased),
            "claim could not be released after a fault"
        );
    }
    error
}
