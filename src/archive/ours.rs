//! Documents under keys of ours, compared with what we know of them: no name decides alone.
//!
//! A key that carries an event's identity is found taken by a run on the same event, or by somebody
//! who writes to the bucket. Only the document itself tells: the event in it must have the very
//! keys that it was found under.

use tracing::error;

use super::Archive;
use super::copied::Chunks;
use crate::documents::{Manifest, Rejection, SetAside, from_json, to_json};
use crate::event_grid;
use crate::keys::{Key, RecordingKeys};
use crate::metrics::{Measured, Metric};
use crate::outcome::Outcome;
use crate::recording::Recording;
use crate::store::{self, JSON, MAX_DOCUMENT, Written};

impl Archive {
    /// Returns `true` if the manifest of this recording is there. A document of another event under
    /// its key is not.
    pub(super) async fn has_manifest(
        &self,
        recording: &Recording,
        keys: &RecordingKeys,
    ) -> Result<bool, store::Error> {
        let key = keys.manifest();
        let there = self.holds(&key, |json| self.is_manifest(json, recording, keys));
        let there = there.await?;
        if there == Some(false) {
            error!(event = %recording.event_id, key = %key, "the key of the manifest holds another document");
        }
        Ok(there == Some(true))
    }

    /// Writes a rejection for want of a manifest whose key holds another document, although every
    /// chunk is there.
    pub(super) async fn reject_unmanifested(
        &self,
        recording: &Recording,
        keys: &RecordingKeys,
        chunks: &Chunks,
    ) -> Result<Outcome, store::Error> {
        let reason = "key of the manifest holds another document; every chunk is archived";
        let kept = vec![None; chunks.copied.len()];
        let rejection = chunks.rejection(recording, &kept).because(reason);
        self.keep_rejection(recording, keys, to_json(&rejection))
            .await?;
        Measured::once(Metric::RecordingsRejected).emit();
        error!(event = %recording.event_id, key = %keys.rejection(), "recording has no manifest");
        Ok(Outcome::SetAside)
    }

    /// Writes a rejection. Where its key holds another document, the event is set aside with that
    /// reason instead.
    ///
    /// # Errors
    ///
    /// [`store::Error::Foreign`] where that place is taken too, so that the event must stay
    /// pending.
    pub(super) async fn keep_rejection(
        &self,
        recording: &Recording,
        keys: &RecordingKeys,
        rejection: Vec<u8>,
    ) -> Result<(), store::Error> {
        let key = keys.rejection();
        let written = self.store.create(&key, rejection, JSON, None).await?;
        if matches!(written, Written::Here(_)) {
            return Ok(());
        }
        let is_ours = |json: &[u8]| {
            let rejection: Option<Rejection<'_>> = from_json(json).ok();
            rejection.is_some_and(|there| self.is_event_of(there.event.get().as_bytes(), keys))
        };
        // Gone is as good as there: whoever may delete it has seen it.
        if self.holds(&key, is_ours).await? != Some(false) {
            return Ok(());
        }
        let reason = "recording cannot be archived whole, and the key of its rejection holds another document";
        let key = self.layout.set_aside(recording.event.get().as_bytes());
        let document = to_json(&SetAside::new(&recording.event, reason));
        let written = self.store.create(&key, document, JSON, None).await?;
        let is_ours = |json: &[u8]| {
            let there: Option<SetAside<'_>> = from_json(json).ok();
            there.is_some_and(|there| self.layout.set_aside(there.event.get().as_bytes()) == key)
        };
        if written == Written::Taken && self.holds(&key, is_ours).await? != Some(true) {
            return Err(store::Error::Foreign);
        }
        error!(event = %recording.event_id, key = %key, reason, "event is set aside");
        Ok(())
    }

    /// Returns `true` if these are the bytes of a pending event under the key of this recording.
    pub(super) fn is_pending(&self, event: &[u8], keys: &RecordingKeys) -> bool {
        let found = event_grid::recording(event);
        found.is_ok_and(|found| {
            let found = self.layout.keys(&found);
            found.are_of_the_event_of(keys) && found.pending_event() == keys.pending_event()
        })
    }

    fn is_manifest(&self, json: &[u8], recording: &Recording, keys: &RecordingKeys) -> bool {
        let Ok(manifest) = from_json::<Manifest<'_>>(json) else {
            return false;
        };
        let names = |media: &Key, metadata: &Key| {
            manifest.chunks.iter().any(|chunk| {
                chunk.media.key == media.as_str() && chunk.metadata.key == metadata.as_str()
            })
        };
        let mut chunks = recording.chunks.iter();
        self.is_event_of(manifest.event.get().as_bytes(), keys)
            && chunks.all(|chunk| names(&keys.media(chunk), &keys.metadata(chunk)))
    }

    /// Returns `true` if an event has the identity, id and folder of this recording; it may have
    /// been sent at another time.
    fn is_event_of(&self, event: &[u8], keys: &RecordingKeys) -> bool {
        let found = event_grid::recording(event);
        found.is_ok_and(|found| self.layout.keys(&found).are_of_the_event_of(keys))
    }

    /// Returns `Some(true)` if the document at `key` is ours; `None` if there is no document.
    async fn holds(
        &self,
        key: &Key,
        is_ours: impl Fn(&[u8]) -> bool,
    ) -> Result<Option<bool>, store::Error> {
        let Some(object) = self.store.find(key).await? else {
            return Ok(None);
        };
        if object.size > MAX_DOCUMENT {
            return Ok(Some(false));
        }
        let document = self.store.read(key).await?;
        Ok(document.map(|document| is_ours(&document.bytes)))
    }
}
