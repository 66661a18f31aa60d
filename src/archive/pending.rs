//! Pending events: stored before any work, ended after all of it.

use std::time::SystemTime;

use super::Archive;
use crate::clock;
use crate::keys::{EVENT, Key, RecordingKeys};
use crate::recording::Recording;
use crate::store::{self, JSON, Listing, StoredDocument, Written};

/// An event that is stored.
pub(super) struct Admitted {
    /// Since when.
    pub(super) stored: SystemTime,
    /// Whether by this very run.
    pub(super) first: bool,
}

impl Archive {
    /// What is listed under `pending/`, in ascending order of the keys.
    ///
    /// # Errors
    ///
    /// [`store::Error`].
    pub async fn pending(&self, most: usize) -> Result<Listing, store::Error> {
        self.store.list(&self.layout.pending(), most).await
    }

    /// Reads a pending event, if it still is one.
    ///
    /// # Errors
    ///
    /// [`store::Error`].
    pub async fn read_pending(&self, key: &Key) -> Result<Option<StoredDocument>, store::Error> {
        self.store.read(key).await
    }

    /// Makes an event no longer pending whose outcome is final, under whatever name it was stored.
    ///
    /// # Errors
    ///
    /// [`store::Error`].
    pub async fn end_pending(&self, key: &Key) -> Result<(), store::Error> {
        // Each deletion leaves a marker in a versioned bucket, so what may well be gone is looked for first.
        if self.store.find(key).await?.is_some() {
            self.store.delete(key).await
        } else {
            Ok(())
        }
    }

    /// Ends a transfer whose event is no longer pending: somebody finished it while another was still at work.
    ///
    /// # Errors
    ///
    /// [`store::Error`].
    pub async fn end_orphan(&self, record: &Key) -> Result<(), store::Error> {
        // It may have been delivered once more since it was listed.
        if self.store.find(&record.beside(EVENT)).await?.is_some() {
            return Ok(());
        }
        self.transfers.end_orphan(record, &self.layout).await
    }

    /// Stores the event before any work on it; `None` if it is archived already.
    ///
    /// # Errors
    ///
    /// [`store::Error::Foreign`] where its key holds another event, so that this one is not stored.
    pub(super) async fn admit(
        &self,
        recording: &Recording,
        keys: &RecordingKeys,
    ) -> Result<Option<Admitted>, store::Error> {
        let pending = keys.pending_event();
        if self.has_manifest(recording, keys).await? {
            // Left over where a run ended between its last two steps.
            self.end_pending(&pending).await?;
            return Ok(None);
        }
        let event = recording.event.get().to_owned();
        let written = self.store.create(&pending, event, JSON, None).await?;
        let (mut stored, first) = (clock::now(), matches!(written, Written::Here(_)));
        // Gone again, another run has finished it; then there is nothing left to do but to see so.
        if !first && let Some(there) = self.store.read(&pending).await? {
            if !self.is_pending(&there.bytes, keys) {
                return Err(store::Error::Foreign);
            }
            stored = there.last_modified.unwrap_or(stored);
        }
        Ok(Some(Admitted { stored, first }))
    }
}
