//! Pending events as the schedule finds them: claimed by one run at a time, and ended.

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

/// A pending event that this tick has claimed.
#[derive(Debug)]
pub(crate) struct Claimed {
    pub(super) event: Key,
    pub(super) claim: Claim,
    /// The event's bytes.
    pub(crate) document: StoredDocument,
}

impl Archive {
    /// Calls `see` with each key under `pending/`, in ascending order.
    ///
    /// # Errors
    ///
    /// [`store::Error`].
    pub(crate) async fn each_pending(&self, see: impl FnMut(Listed)) -> Result<(), store::Error> {
        self.store.each(&self.layout.pending(), see).await
    }

    /// Claims a pending event that was listed with that `attempt.json`. `None` if there is nothing
    /// to do yet, or another run was first.
    ///
    /// # Errors
    ///
    /// [`store::Error`].
    pub(crate) async fn claim(
        &self,
        event: &Key,
        listed: Option<&attempt::Listed>,
        previous: Attempt,
    ) -> Result<Option<Claimed>, store::Error> {
        let etag = listed.map(|listed| listed.etag.clone());
        let beat = self.limits.heartbeat;
        let key = event.beside(ATTEMPT);
        // Before anything is fetched, S3 has taken a write in this run.
        let Some(claim) = Claim::now(&self.store, key, etag, previous, beat).await? else {
            return Ok(None);
        };
        match self.store.read(event).await {
            Ok(Some(document)) => Ok(Some(Claimed {
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
    pub(crate) async fn last_attempt(&self, event: &Key) -> Result<Attempt, store::Error> {
        let there = self.store.read(&event.beside(ATTEMPT)).await?;
        Ok(there.map_or_else(Attempt::default, |there| Attempt::parse(&there.bytes)))
    }

    /// Looks at a claimed event's recording before the work on it, by `deadline`.
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
        // It was acknowledged as one to be archived, so it is not dropped in silence.
        let aside = if recording.storage() == StorageClass::Customer {
            Some("recording is in the customer's own storage, though its event is pending")
        } else {
            self.foreign(&recording.topic)
        };
        if let Some(reason) = aside {
            let outcome = self.keep_aside(recorded.id(), &recording.event, reason, deadline);
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

    /// Makes a claimed event no longer pending if `outcome` is final; else releases it.
    ///
    /// # Errors
    ///
    /// [`store::Error`].
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

    /// Clears what a run has left at `key`, which is beside an event that is no longer pending.
    ///
    /// # Errors
    ///
    /// [`store::Error`].
    pub(crate) async fn clear_left_over(&self, key: &Key) -> Result<(), store::Error> {
        // The event may have been delivered once more since it was listed.
        if self.store.find(&key.beside(EVENT)).await?.is_some() {
            return Ok(());
        }
        if *key == key.beside(ATTEMPT) {
            return self.store.delete(key).await;
        }
        self.transfers.clear_left_over(key, &self.layout).await
    }
}

/// Releases a claim after a fault of S3, so that it does not look like that of a process that died.
async fn failed(claim: Claim, error: store::Error) -> store::Error {
    let left = Unfinished {
        failure: Some(error_chain(&error)),
        ..Unfinished::default()
    };
    if let Err(unreleased) = claim.release(left).await {
        warn!(
            error = error_chain(&unreleased),
            "a claim could not be released after a fault"
        );
    }
    error
}
