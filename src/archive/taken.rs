//! Pending events as the schedule finds them: taken by one run at a time, and ended.

use tokio::time::Instant;
use tracing::warn;

use super::attempt::{self, Attempt};
use super::claim::{Claim, Unfinished};
use super::pending::{Intake, Pending, StoredEvent};
use super::{Archive, report};
use crate::clock;
use crate::error_chain::error_chain;
use crate::keys::{ATTEMPT, EVENT, Key};
use crate::outcome::Outcome;
use crate::recording::{Recording, StorageClass};
use crate::store::{self, Listed, StoredDocument};

/// A pending event that a run of the schedule has taken.
#[derive(Debug)]
pub(crate) struct Taken {
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

    /// Takes a pending event that was listed with that `attempt.json`. `None` if there is nothing
    /// to do yet, or another run was first.
    ///
    /// # Errors
    ///
    /// [`store::Error`].
    pub(crate) async fn take(
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
    pub(crate) async fn last_attempt(&self, event: &Key) -> Result<Attempt, store::Error> {
        let there = self.store.read(&event.beside(ATTEMPT)).await?;
        Ok(there.map_or_else(Attempt::default, |there| Attempt::parse(&there.bytes)))
    }

    /// Looks at a taken event's recording before the work on it, by `deadline`.
    ///
    /// # Errors
    ///
    /// [`store::Error`].
    pub(crate) async fn resume(
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
        let keys = self.layout.keys(recording);
        match self.has_manifest(recording, &keys).await {
            Ok(false) => {}
            Ok(true) => {
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
    pub(crate) async fn end_taken(
        &self,
        taken: Taken,
        outcome: Outcome,
    ) -> Result<Outcome, store::Error> {
        if outcome.is_final() {
            self.clear_pending(taken.claim, &taken.event).await?;
        } else {
            let left = Unfinished {
                failure: Some(format!("event is {}", outcome.name())),
                ..Unfinished::default()
            };
            taken.claim.release(left).await?;
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
