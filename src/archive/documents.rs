//! Documents under keys of ours, compared with what we know of them: no name decides alone.
//!
//! A key that carries an event's identity is found taken by a run on the same event, or by somebody
//! who writes to the bucket. Only the document itself tells: the event in it must have the very
//! keys that it was found under.

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

/// The documents in S3 about one recording.
#[derive(Clone, Copy, Debug)]
pub(super) struct Documents<'a> {
    pub(super) archive: &'a Archive,
    pub(super) of: &'a KeyedRecording,
}

impl Documents<'_> {
    /// Returns `true` if the manifest of this recording is there. A document of another event under
    /// its key is not.
    pub(super) async fn has_manifest(self) -> Result<bool, store::Error> {
        let key = self.of.keys.manifest();
        let there = self.holds(&key, |json| self.is_manifest(json)).await?;
        if there == Some(false) {
            error!(event = %self.of.id(), %key, "the key of the manifest holds another document");
        }
        Ok(there == Some(true))
    }

    /// Writes a rejection for want of a manifest whose key holds another document, although every
    /// chunk is there.
    pub(super) async fn reject_unmanifested(
        self,
        chunks: &Chunks,
    ) -> Result<Outcome, store::Error> {
        let reason = "key of the manifest holds another document; every chunk is archived";
        let kept = vec![None; chunks.copied.len()];
        let rejection = chunks.rejection(&self.of.recording, &kept).because(reason);
        self.keep_rejection(to_json(&rejection)).await?;
        Measured::once(Metric::RecordingsRejected).emit();
        let key = self.of.keys.rejection();
        error!(event = %self.of.id(), %key, "recording has no manifest");
        Ok(Outcome::SetAside)
    }

    /// Writes a rejection. Where its key holds another document, the event is set aside with that
    /// reason instead.
    ///
    /// # Errors
    ///
    /// [`store::Error::Foreign`] where that place is taken too, so that the event must stay
    /// pending.
    pub(super) async fn keep_rejection(self, rejection: Vec<u8>) -> Result<(), store::Error> {
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
        // Gone is as good as there: whoever may delete it has seen it.
        if self.holds(&key, is_ours).await? != Some(false) {
            return Ok(());
        }
        let reason = "recording cannot be archived whole, and the key of its rejection holds another document";
        let event = &of.recording.event;
        let key = archive.layout.set_aside(event.get().as_bytes());
        let document = to_json(&SetAside::new(event, reason));
        let written = archive.store.create(&key, document, JSON, None).await?;
        let is_ours = |json: &[u8]| {
            let there: Option<SetAside<'_>> = from_json(json).ok();
            there.is_some_and(|there| archive.layout.set_aside(there.event.get().as_bytes()) == key)
        };
        if written == Written::Taken && self.holds(&key, is_ours).await? != Some(true) {
            return Err(store::Error::Foreign);
        }
        error!(event = %of.id(), %key, reason, "event is set aside");
        Ok(())
    }

    /// Returns `true` if these are the bytes of a pending event under the key of this recording.
    pub(super) fn is_pending(self, event: &[u8]) -> bool {
        let found = event_grid::recording(event);
        found.is_ok_and(|found| {
            let (found, keys) = (self.archive.layout.keys(&found), &self.of.keys);
            found.are_of_the_event_of(keys) && found.pending_event() == keys.pending_event()
        })
    }

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

    /// Returns `true` if an event has the identity, id and folder of this recording; it may have
    /// been sent at another time.
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
        if object.size > MAX_DOCUMENT {
            return Ok(Some(false));
        }
        let document = store.read(key).await?;
        Ok(document.map(|document| is_ours(&document.bytes)))
    }
}
