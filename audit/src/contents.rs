//! The contents of the manifests and rejections of a folder. Any writer of the bucket may have
//! written them, so no key is followed out of the folder.

mod source;

use std::borrow::Cow;
use std::collections::BTreeSet;

use acs_recording_archiver::documents::{
    Manifest, ObjectOutcome, Rejection, StoredObject, from_json,
};
use acs_recording_archiver::error_chain::error_chain;
use acs_recording_archiver::event_grid;
use acs_recording_archiver::keys::{Key, Layout};
use acs_recording_archiver::media::{Check, RecordingCheck};
use acs_recording_archiver::recording;

use super::documents::{DocumentKey, Documents};
use super::recordings::{ChunkId, Facts, Recording, State, checked};
use super::report::{Entry, EntryKind, first_reasons};
use source::{ManifestNames, Role, Source};

/// The contents of the documents of a folder.
#[derive(Debug, Default)]
pub(crate) struct Contents<'a> {
    /// The objects that a document names by a key of their own chunk.
    pub(crate) named: Vec<NamedObject<'a>>,
    pub(crate) entries: Vec<Entry>,
    /// The media of the recordings whose manifests name no misplaced key.
    pub(crate) media: Vec<RecordingMedia<'a>>,
    /// `true` if every document could be read.
    pub(crate) complete: bool,
    pub(crate) recordings: Vec<Recording>,
    /// The chunks that manifests name.
    chunks: BTreeSet<ChunkId>,
}

/// An object, and the document that names it.
#[derive(Debug)]
pub(crate) struct NamedObject<'a> {
    pub(crate) key: Key,
    pub(crate) object: StoredObject<'a>,
    pub(crate) document: &'a str,
    /// `false` for objects of a rejection whose recording was archived later.
    pub(crate) is_compared: bool,
}

/// The media of a recording, as its manifest names it.
#[derive(Debug)]
pub(crate) struct RecordingMedia<'a> {
    pub(crate) document: &'a str,
    pub(crate) recording: recording::Recording,
    /// The check of the whole recording, if the manifest has one.
    pub(crate) check: Option<RecordingCheck>,
    pub(crate) chunks: Vec<ChunkMedia<'a>>,
}

/// The media of a chunk, as a manifest names it.
#[derive(Debug)]
pub(crate) struct ChunkMedia<'a> {
    pub(crate) index: u64,
    pub(crate) object: StoredObject<'a>,
    pub(crate) check: Option<Check>,
}

impl<'a> Contents<'a> {
    /// Parses `documents`, which were read from the keys of `manifests` and then of `rejections`.
    pub(crate) fn parse(
        layout: &Layout,
        folder: &str,
        manifests: &'a [DocumentKey],
        rejections: &'a [DocumentKey],
        documents: &'a Documents,
    ) -> Self {
        let mut contents = Self {
            entries: documents.entries.clone(),
            complete: documents.entries.is_empty(),
            ..Self::default()
        };
        let source = |document: &'a DocumentKey| Source {
            layout,
            folder,
            document: &document.key,
        };
        let mut bytes = documents.bytes.iter();
        for (document, bytes) in manifests.iter().zip(bytes.by_ref()) {
            if let Some(bytes) = bytes {
                contents.add_manifest(source(document), bytes);
            }
        }
        // Rejections come last, because a manifest that names the same chunks resolves them.
        for (document, bytes) in rejections.iter().zip(bytes) {
            let is_same = |manifest: &DocumentKey| manifest.event == document.event;
            let has_manifest = manifests.iter().any(is_same);
            if let Some(bytes) = bytes {
                contents.add_rejection(source(document), bytes, has_manifest);
            }
        }
        contents
    }

    fn add_manifest(&mut self, source: Source<'a, '_>, json: &'a [u8]) {
        let manifest: Manifest<'_> = match from_json(json) {
            Ok(manifest) => manifest,
            Err(unreadable) => return self.add_unreadable(source, &unreadable),
        };
        let event = manifest.event.get().as_bytes();
        let mut recording = Recording::new(source.document, State::Archived, Facts::of(event));
        let checks = manifest.chunks.iter();
        let checks = checks.filter_map(|chunk| chunk.check.as_deref());
        recording.media = checked(checks, manifest.check.as_ref());
        let mut names = ManifestNames::default();
        let mut media = Vec::new();
        for chunk in manifest.chunks {
            media.push(ChunkMedia {
                index: chunk.index,
                object: chunk.media.clone(),
                check: chunk.check.map(Cow::into_owned),
            });
            let id = (chunk.index, chunk.document_id.into_owned());
            for (object, role) in [(chunk.media, Role::Media), (chunk.metadata, Role::Metadata)] {
                names.keys.insert(object.key.to_string());
                recording.add(role.archived(&object, id.0));
                names.has_misplaced |= !self.add_object(source, object, role, &id, true);
            }
            names.chunks.insert(id);
        }
        let differences = match event_grid::recording(event) {
            Ok(event) => {
                let differences = names.differences(source, &event);
                if !names.has_misplaced {
                    self.media.push(RecordingMedia {
                        document: source.document,
                        recording: event,
                        check: manifest.check,
                        chunks: media,
                    });
                }
                differences
            }
            Err(reason) => vec![format!(
                "holds an event that cannot be understood: {reason}"
            )],
        };
        if !differences.is_empty() {
            let detail = first_reasons(&differences);
            self.add_entry(EntryKind::Incomplete, source, detail);
        }
        self.chunks.extend(names.chunks);
        self.recordings.push(recording);
    }

    fn add_rejection(&mut self, source: Source<'a, '_>, json: &'a [u8], has_manifest: bool) {
        let rejection: Rejection<'_> = match from_json(json) {
            Ok(rejection) => rejection,
            Err(unreadable) => return self.add_unreadable(source, &unreadable),
        };
        let mut ids = rejection.chunks.iter();
        let is_archived = |id: ChunkId| self.chunks.contains(&id);
        let archived_later = has_manifest
            || !rejection.chunks.is_empty()
                && ids.all(|chunk| is_archived((chunk.index, chunk.document_id.to_string())));
        let facts = Facts::of(rejection.event.get().as_bytes());
        let mut recording = Recording::new(source.document, State::Rejected, facts);
        let mut reasons: Vec<String> = rejection.reason.into_iter().map(Cow::into_owned).collect();
        for chunk in rejection.chunks {
            let (index, fates) = (chunk.index, [chunk.media, chunk.metadata]);
            let id = (index, chunk.document_id.into_owned());
            for (fate, role) in fates.into_iter().zip([Role::Media, Role::Metadata]) {
                let name = role.name();
                match fate {
                    ObjectOutcome::Archived(object) => {
                        recording.add(role.archived(&object, index));
                        self.add_object(source, object, role, &id, !archived_later);
                    }
                    ObjectOutcome::Rejected { reason, .. } => {
                        reasons.push(format!("chunk {index} {name} rejected: {reason}"));
                    }
                    ObjectOutcome::Expired { reason, .. } => {
                        reasons.push(format!("chunk {index} {name} expired: {reason}"));
                    }
                }
            }
        }
        if archived_later {
            let detail = "a manifest names its chunks".to_owned();
            self.add_entry(EntryKind::ArchivedLater, source, detail);
        } else {
            let detail = first_reasons(&reasons);
            recording.reason = Some(detail.clone());
            self.recordings.push(recording);
            self.add_entry(EntryKind::Rejected, source, detail);
        }
    }

    /// Adds an object that a document names. Returns `false` if its key is misplaced: then the
    /// audit reports the key and does not look at it.
    fn add_object(
        &mut self,
        source: Source<'a, '_>,
        object: StoredObject<'a>,
        role: Role,
        id: &ChunkId,
        is_compared: bool,
    ) -> bool {
        let Some(key) = source.own_key(&object.key, role, id) else {
            let detail = "is no key of this chunk in the folder of the document that names it";
            let entry = Entry::new(EntryKind::Misplaced, object.key, detail);
            self.entries.push(entry.named_by(source.document));
            return false;
        };
        self.named.push(NamedObject {
            key,
            object,
            document: source.document,
            is_compared,
        });
        true
    }

    fn add_unreadable(&mut self, source: Source<'a, '_>, unreadable: &dyn std::error::Error) {
        self.complete = false;
        self.add_entry(EntryKind::Unreadable, source, error_chain(unreadable));
    }

    fn add_entry(&mut self, kind: EntryKind, source: Source<'a, '_>, detail: String) {
        self.entries.push(Entry::new(kind, source.document, detail));
    }
}
