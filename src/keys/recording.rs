//! The keys of one recording. Pure.

use url::Url;

use super::identity::{media_location, metadata_location};
use super::{EVENT, Key};
use crate::recording::Chunk;

/// The keys of one recording, derived from its event.
#[derive(Clone, Debug)]
pub struct RecordingKeys {
    pub(super) pending: String,
    pub(super) archive: String,
    /// `{eventId}-{identity}`.
    pub(super) event: String,
    /// The complete hash whose first digits are the identity.
    pub(super) fingerprint: String,
    pub(super) extension: &'static str,
    pub(super) endpoint: Url,
}

impl RecordingKeys {
    /// The key of the event, which is there from before any work until after all work.
    #[must_use]
    pub fn pending_event(&self) -> Key {
        Key::work(format!("{}{EVENT}", self.pending))
    }

    /// The key of the record of a media transfer.
    pub(crate) fn record(&self, chunk: &Chunk) -> Key {
        let name = chunk_name(chunk, &self.media_location(chunk));
        Key::work(format!("{}{name}.upload.json", self.pending))
    }

    /// The key of a chunk's media.
    #[must_use]
    pub fn media(&self, chunk: &Chunk) -> Key {
        let name = chunk_name(chunk, &self.media_location(chunk));
        Key::recordings(format!("{}{name}.{}", self.archive, self.extension))
    }

    /// The key of a chunk's metadata.
    #[must_use]
    pub fn metadata(&self, chunk: &Chunk) -> Key {
        let name = chunk_name(chunk, &self.metadata_location(chunk));
        Key::recordings(format!("{}{name}.metadata.json", self.archive))
    }

    /// The location of a chunk's media, as it stands in keys.
    #[must_use]
    pub fn media_location(&self, chunk: &Chunk) -> String {
        media_location(chunk, &self.endpoint)
    }

    /// The location of a chunk's metadata, as it stands in keys.
    #[must_use]
    pub fn metadata_location(&self, chunk: &Chunk) -> String {
        metadata_location(chunk, &self.endpoint)
    }

    /// Returns `true` if `other` are the keys of the same event, by the complete hash too. The time
    /// of the event may differ, so `pending/` is not compared.
    pub(crate) fn are_of_the_event_of(&self, other: &Self) -> bool {
        self.archive == other.archive
            && self.event == other.event
            && self.fingerprint == other.fingerprint
    }

    /// The key of the manifest.
    #[must_use]
    pub fn manifest(&self) -> Key {
        Key::recordings(format!("{}{}.manifest.json", self.archive, self.event))
    }

    /// The key of the rejection.
    #[must_use]
    pub fn rejection(&self) -> Key {
        Key::recordings(format!("{}{}.rejected.json", self.archive, self.event))
    }
}

fn chunk_name(chunk: &Chunk, location: &str) -> String {
    format!("{:04}-{}-{location}", chunk.index, chunk.key_id())
}
