//! The names in a document: the objects of a chunk, and the keys that are the document's own.

use std::collections::BTreeSet;

use acs_recording_archiver::documents::StoredObject;
use acs_recording_archiver::keys::{Bucket as At, ChunkName, Key, Kind, Layout};
use acs_recording_archiver::recording::{self, Chunk, safe_id};

use crate::recordings::{Archived, ChunkId};

/// The role of an object in its chunk.
#[derive(Clone, Copy, Debug)]
pub(super) enum Role {
    Media,
    Metadata,
}

impl Role {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Media => "media",
            Self::Metadata => "metadata",
        }
    }

    pub(super) fn archived(self, object: &StoredObject<'_>, index: u64) -> Archived {
        Archived {
            index,
            is_media: matches!(self, Self::Media),
            key: object.key.to_string(),
            size: object.size,
            crc64nvme: object.crc64nvme.as_deref().map(str::to_owned),
        }
    }

    /// Returns the chunk's name in a key, if the key has this role.
    fn chunk_name(self, kind: Kind<'_>) -> Option<ChunkName<'_>> {
        match (self, kind) {
            (Self::Media, Kind::Media(name)) | (Self::Metadata, Kind::Metadata(name)) => Some(name),
            _ => None,
        }
    }
}

/// A document that is being parsed, in its folder.
#[derive(Clone, Copy)]
pub(super) struct Source<'a, 'l> {
    pub(super) layout: &'l Layout,
    pub(super) folder: &'l str,
    pub(super) document: &'a str,
}

impl Source<'_, '_> {
    /// Returns the key of an object if it is in this folder and is a key of that chunk and role.
    pub(super) fn own_key(
        self,
        key: &str,
        role: Role,
        (index, document_id): &ChunkId,
    ) -> Option<Key> {
        let place = self.layout.place(At::Recordings, key)?;
        let name = role.chunk_name(place.kind)?;
        let is_own = place.folder == self.folder
            && name.index == *index
            && name.document_id == safe_id(document_id);
        self.layout.listed(At::Recordings, key).filter(|_| is_own)
    }
}

/// The chunks and keys that one manifest names.
#[derive(Debug, Default)]
pub(super) struct ManifestNames {
    pub(super) chunks: BTreeSet<ChunkId>,
    pub(super) keys: BTreeSet<String>,
    pub(super) has_misplaced: bool,
}

impl ManifestNames {
    /// Returns the differences between the manifest and the event that it holds.
    pub(super) fn differences(
        &self,
        source: Source<'_, '_>,
        event: &recording::Recording,
    ) -> Vec<String> {
        let own = source.layout.keys(event);
        let has = |location: &Option<String>, key: Key| {
            // Without a location in the event, the key depends on the ACS resource, which the audit
            // does not know. A misplaced key is a finding already, so it is not reported twice.
            location.is_none() || self.has_misplaced || self.keys.contains(key.as_str())
        };
        let is_named = |chunk: &&Chunk| {
            let id = (chunk.index, chunk.document_id.clone());
            self.chunks.contains(&id)
                && has(&chunk.content_location, own.media(chunk))
                && has(&chunk.metadata_location, own.metadata(chunk))
        };
        let mut differences = Vec::new();
        if own.manifest().as_str() != source.document {
            differences.push("holds another event than that of its key".to_owned());
        }
        differences.extend(
            event
                .chunks
                .iter()
                .filter(|chunk| !is_named(chunk))
                .map(|chunk| {
                    let (index, id) = (chunk.index, &chunk.document_id);
                    format!("does not name chunk {index} ({id}) of its event")
                }),
        );
        differences
    }
}
