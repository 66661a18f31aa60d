//! The documents of one recording in S3, each compared with the recording before it counts.
//!
//! The key of a document has the identity of the event. An object that is already there is from a
//! run on the same event, or from somebody else who writes to the bucket. Only its content tells:
//! the event in the document must have the keys under which the document was found.

use tracing::error;

use super::Archive;
use super::copied::Chunks;
use super::event::KeyedRecording;
use crate::documents::{Manifest, Rejection, SetAside, from_json, to_json};
use crate::event_grid;
use crate::keys::Key;
use crate::metrics::{Measured, Metric};
use crate::outcome::Outcome;
use crate::store::{self, JSON, MAX_DOCUMENT, Written};

/// The documents of one recording in S3.
#[derive(Clone, Copy, Debug)]
pub(super) struct Documents<'a> {
    pub(super) archive: &'a Archive,
    pub(super) of: &'a KeyedRecording,
}

impl Documents<'_> {
    /// Returns `true` if S3 has the manifest of this recording. A document of another event under
    /// its key does not count.
    pub(super) async fn has_manifest(self) -> Result<bool, store::Error> {
        let key = self.of.keys.manifest();
        let there = self.holds(&key, |json| self.is_manifest(json)).await?;
        if there == Some(false) {
            error!(event = %self.of.id(), %key, "the key of the manifest holds another document");
        }
        Ok(there == Some(true))
    }

    /// Writes a rejection of a recording whose every chunk is archived, but whose manifest cannot
    /// be written since its key holds another document.
    pub(super) async fn reject_unmanifested(
        self,
        chunks: &Chunks,
    ) -> Result<Outcome, store::Error> {
        let reason = "key of the manifest holds another document; every chunk is archived";
        let uploaded = vec![None; chunks.copied.len()];
        let rejection = chunks
            .rejection(&self.of.recording, &uploaded)
            .because(reason);
        self.write_rejection(to_json(&rejection)).await?;
        Measured::once(Metric::RecordingsRejected).emit();
        let key = self.of.keys.rejection();
        error!(event = %self.of.id(), %key, "recording has no manifest");
        Ok(Outcome::SetAside)
    }

    /// Writes a rejection. If its key holds another document, sets the event aside with that reason
    /// instead.
    ///
    /// # Errors
    ///
    /// [`store::Error::Foreign`] if another object is there too. Then the event must stay pending,
    /// or the bucket would have no trace of the recording.
    pub(super) async fn write_rejection(self, rejection: Vec<u8>) -> Result<(), store::Error> {
        let Self { archive, of } = self;
        let key = of.keys.rejection();
        let written = archive.store.create(&key, rejection, JSON, None).await?;
        if matches!(written, Written::Here(_)) {
            return Ok(());
        }
        let is_ours = |json: &[u8]| {
            let rejection: Option<Rejection<'_>> = from_json(json).ok();
            rejection.is_some_and(|there| self.is_of_event(there.event.get().as_bytes()))
        };
        // A rejection that was there and is gone counts as written: an operator has deleted it
        // since.
        if self.holds(&key, is_ours).await? != Some(false) {
            return Ok(());
        }
        let reason = "recording cannot be archived whole, \
            and the key of its rejection holds another document";
        let event = &of.recording.event;
        let key = archive.layout.set_aside(event.get().as_bytes());
        let document = to_json(&SetAside::new(event, reason));
        let written = archive.store.create(&key, document, JSON, None).await?;
        let is_ours = |json: &[u8]| {
            let there: Option<SetAside<'_>> = from_json(json).ok();
            there.is_some_and(|there| archive.layout.set_aside(there.event.get().as_bytes()) == key)
        };
        // The key is a hash of the event, so an object that is there is this event, or not ours.
        if written == Written::Taken && self.holds(&key, is_ours).await? != Some(true) {
            return Err(store::Error::Foreign);
        }
        error!(event = %of.id(), %key, reason, "event is set aside");
        Ok(())
    }

    /// Returns `true` if `event` is this event, with this time too: it has the same key under
    /// `pending/`.
    pub(super) fn is_pending(self, event: &[u8]) -> bool {
        let found = event_grid::recording(event);
        found.is_ok_and(|found| {
            let (found, keys) = (self.archive.layout.keys(&found), &self.of.keys);
            found.are_of_the_event_of(keys) && found.pending_event() == keys.pending_event()
        })
    }

    /// Returns `true` if `json` is a manifest of this event that names the objects of every chunk.
    fn is_manifest(self, json: &[u8]) -> bool {
        let Ok(manifest) = from_json::<Manifest<'_>>(json) else {
            return false;
        };
        let names = |media: &Key, metadata: &Key| {
            manifest.chunks.iter().any(|chunk| {
                chunk.media.key == media.as_str() && chunk.metadata.key == metadata.as_str()
            })
        };
        let keys = &self.of.keys;
        let mut chunks = self.of.recording.chunks.iter();
        self.is_of_event(manifest.event.get().as_bytes())
            && chunks.all(|chunk| names(&keys.media(chunk), &keys.metadata(chunk)))
    }

    /// Returns `true` if `event` has the id, identity and folder of this recording. Its time may
    /// differ, as in a replayed delivery.
    fn is_of_event(self, event: &[u8]) -> bool {
        let found = event_grid::recording(event);
        found.is_ok_and(|found| {
            let found = self.archive.layout.keys(&found);
            found.are_of_the_event_of(&self.of.keys)
        })
    }

    /// Returns `Some(true)` if the document at `key` is ours; `None` if there is no document.
    async fn holds(
        self,
        key: &Key,
        is_ours: impl Fn(&[u8]) -> bool,
    ) -> Result<Option<bool>, store::Error> {
        let store = &self.archive.store;
        let Some(object) = store.find(key).await? else {
            return Ok(None);
        };
        // Anybody may have written this object, so the size bounds the memory of reading it.
        if object.size > MAX_DOCUMENT {
            return Ok(Some(false));
        }
        let document = store.read(key).await?;
        Ok(document.map(|document| is_ours(&document.bytes)))
    }
}
