//! What the manifests and rejections of a folder say. They may have been written by anybody.

use std::borrow::Cow;
use std::collections::BTreeSet;

use acs_recording_archiver::error_chain::error_chain;
use acs_recording_archiver::event_grid;
use acs_recording_archiver::keys::{Bucket as At, ChunkName, Key, Kind, Layout};
use acs_recording_archiver::manifest::{Fate, Manifest, Rejection, StoredObject, from_json};
use acs_recording_archiver::media::{Check, RecordingCheck};
use acs_recording_archiver::recording::{self, Chunk, safe_id};

use super::documents::{DocumentKey, Documents};
use super::recordings::{Archived, Facts, Recording, State, checked};
use super::report::{Entry, EntryKind};

/// Reasons that a finding gives.
const MOST_REASONS: usize = 3;

/// What they say.
#[derive(Debug, Default)]
pub(crate) struct Contents<'a> {
    /// What is there by them.
    pub(crate) named: Vec<NamedObject<'a>>,
    pub(crate) entries: Vec<Entry>,
    /// What manifests say of the media of their recordings.
    pub(crate) media: Vec<RecordingMedia<'a>>,
    /// Whether all could be read.
    pub(crate) complete: bool,
    /// The recordings that they tell of.
    pub(crate) recordings: Vec<Recording>,
    /// The chunks that manifests name, by index and documentId.
    chunks: BTreeSet<(u64, String)>,
}

/// An object, and the document that names it.
#[derive(Debug)]
pub(crate) struct NamedObject<'a> {
    pub(crate) key: Key,
    pub(crate) object: StoredObject<'a>,
    pub(crate) document: &'a str,
    /// Not where a manifest has taken a rejection's place.
    pub(crate) is_compared: bool,
}

/// The media of a recording, as its manifest names it.
#[derive(Debug)]
pub(crate) struct RecordingMedia<'a> {
    pub(crate) document: &'a str,
    pub(crate) recording: recording::Recording,
    /// The verdict on all of it, if the manifest has one.
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

/// The role of an object in its chunk.
#[derive(Clone, Copy, Debug)]
enum Role {
    Media,
    Metadata,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::Media => "media",
            Self::Metadata => "metadata",
        }
    }

    /// An object of a chunk, as its document names it.
    fn archived(self, object: &StoredObject<'_>, index: u64) -> Archived {
        Archived {
            index,
            is_media: matches!(self, Self::Media),
            key: object.key.to_string(),
            size: object.size,
            crc64nvme: object.crc64nvme.as_deref().map(str::to_owned),
        }
    }

    /// The chunk's name in a key of this kind.
    fn named(self, kind: Kind<'_>) -> Option<ChunkName<'_>> {
        match (self, kind) {
            (Self::Media, Kind::Media(name)) | (Self::Metadata, Kind::Metadata(name)) => Some(name),
            _ => None,
        }
    }
}

impl<'a> Contents<'a> {
    /// What the manifests and then the rejections of `folder` say, as they were read in this order.
    pub(crate) fn parse(
        layout: &Layout,
        folder: &str,
        manifests: &'a [DocumentKey],
        rejections: &'a [DocumentKey],
        read: &'a Documents,
    ) -> Self {
        let mut contents = Self {
            entries: read.entries.clone(),
            complete: read.entries.is_empty(),
            ..Self::default()
        };
        let mut bytes = read.bytes.iter();
        for (document, bytes) in manifests.iter().zip(bytes.by_ref()) {
            if let Some(bytes) = bytes {
                contents.manifest(layout, folder, &document.key, bytes);
            }
        }
        for (document, bytes) in rejections.iter().zip(bytes) {
            let mut manifests = manifests.iter();
            let same = manifests.any(|manifest| manifest.event == document.event);
            if let Some(bytes) = bytes {
                contents.rejection(layout, folder, &document.key, bytes, same);
            }
        }
        contents
    }

    fn manifest(&mut self, layout: &Layout, folder: &str, document: &'a str, json: &'a [u8]) {
        let manifest: Manifest<'_> = match from_json(json) {
            Ok(manifest) => manifest,
            Err(unreadable) => return self.unreadable(document, &unreadable),
        };
        let facts = Facts::of(manifest.event.get().as_bytes());
        let mut recording = Recording::new(document, State::Archived, facts);
        let checks = manifest
            .chunks
            .iter()
            .filter_map(|chunk| chunk.check.as_deref());
        recording.media = checked(checks, manifest.check.as_ref());
        let (mut named, mut keys, mut placed) = (BTreeSet::new(), BTreeSet::new(), true);
        let mut media = Vec::new();
        for chunk in manifest.chunks {
            media.push(ChunkMedia {
                index: chunk.index,
                object: chunk.media.clone(),
                check: chunk.check.map(Cow::into_owned),
            });
            let place = (chunk.index, chunk.document_id.into_owned());
            for (object, role) in [(chunk.media, Role::Media), (chunk.metadata, Role::Metadata)] {
                keys.insert(object.key.to_string());
                recording.add(role.archived(&object, place.0));
                placed &= self.name(layout, folder, document, object, (role, &place), true);
            }
            named.insert(place);
        }
        let unnamed: Vec<String> = match event_grid::recording(manifest.event.get().as_bytes()) {
            Ok(recording) => {
                let own = layout.keys(&recording);
                let is_named = |chunk: &Chunk| {
                    let there = |location: &Option<String>, key: Key| {
                        // Without a location, the event does not tell the whole key. Of one that is
                        // misplaced enough is said already.
                        location.is_none() || !placed || keys.contains(key.as_str())
                    };
                    named.contains(&(chunk.index, chunk.document_id.clone()))
                        && there(&chunk.content_location, own.media(chunk))
                        && there(&chunk.metadata_location, own.metadata(chunk))
                };
                let unnamed = recording.chunks.iter().filter(|chunk| !is_named(chunk));
                let unnamed = unnamed.map(|chunk| {
                    let (index, id) = (chunk.index, &chunk.document_id);
                    format!("does not name chunk {index} ({id}) of its event")
                });
                let other = own.manifest().as_str() != document;
                let other = other.then(|| "holds another event than that of its key".to_owned());
                let unnamed: Vec<_> = other.into_iter().chain(unnamed).collect();
                if placed {
                    self.media.push(RecordingMedia {
                        document,
                        recording,
                        check: manifest.check,
                        chunks: media,
                    });
                }
                unnamed
            }
            Err(reason) => vec![format!(
                "holds an event that cannot be understood: {reason}"
            )],
        };
        if !unnamed.is_empty() {
            self.entries
                .push(Entry::new(EntryKind::Incomplete, document, few(&unnamed)));
        }
        self.chunks.extend(named);
        self.recordings.push(recording);
    }

    fn rejection(
        &mut self,
        layout: &Layout,
        folder: &str,
        document: &'a str,
        json: &'a [u8],
        same: bool,
    ) {
        let rejection: Rejection<'_> = match from_json(json) {
            Ok(rejection) => rejection,
            Err(unreadable) => return self.unreadable(document, &unreadable),
        };
        let mut chunks = rejection.chunks.iter();
        let named = |chunk: (u64, String)| self.chunks.contains(&chunk);
        let later = same
            || !rejection.chunks.is_empty()
                && chunks.all(|chunk| named((chunk.index, chunk.document_id.to_string())));
        let facts = Facts::of(rejection.event.get().as_bytes());
        let mut recording = Recording::new(document, State::Rejected, facts);
        let mut reasons: Vec<String> = rejection.reason.into_iter().map(Cow::into_owned).collect();
        for chunk in rejection.chunks {
            let (index, fates) = (chunk.index, [chunk.media, chunk.metadata]);
            let place = (index, chunk.document_id.into_owned());
            for (fate, role) in fates.into_iter().zip([Role::Media, Role::Metadata]) {
                let name = role.name();
                match fate {
                    Fate::Archived(object) => {
                        recording.add(role.archived(&object, index));
                        self.name(layout, folder, document, object, (role, &place), !later);
                    }
                    Fate::Rejected { reason, .. } => {
                        reasons.push(format!("chunk {index} {name} rejected: {reason}"));
                    }
                    Fate::Expired { reason, .. } => {
                        reasons.push(format!("chunk {index} {name} expired: {reason}"));
                    }
                }
            }
        }
        if later {
            let detail = "a manifest names its chunks";
            self.entries
                .push(Entry::new(EntryKind::ArchivedLater, document, detail));
        } else {
            let detail = few(&reasons);
            recording.reason = Some(detail.clone());
            self.recordings.push(recording);
            self.entries
                .push(Entry::new(EntryKind::Rejected, document, detail));
        }
    }

    /// Takes an object as named, if its key is one of that chunk in the folder; answers whether it
    /// is.
    fn name(
        &mut self,
        layout: &Layout,
        folder: &str,
        document: &'a str,
        object: StoredObject<'a>,
        (role, (index, document_id)): (Role, &(u64, String)),
        is_compared: bool,
    ) -> bool {
        let place = layout.place(At::Recordings, &object.key);
        let here = place.is_some_and(|place| {
            let name = role.named(place.kind);
            let same = |name: ChunkName<'_>| {
                name.index == *index && name.document_id == safe_id(document_id)
            };
            place.folder == folder && name.is_some_and(same)
        });
        let key = layout.listed(At::Recordings, &object.key);
        if let Some(key) = key.filter(|_| here) {
            self.named.push(NamedObject {
                key,
                object,
                document,
                is_compared,
            });
        } else {
            let detail = "is no key of this chunk in the folder of the document that names it";
            let entry = Entry::new(EntryKind::Misplaced, object.key, detail);
            self.entries.push(entry.named_by(document));
        }
        here
    }

    fn unreadable(&mut self, document: &str, unreadable: &dyn std::error::Error) {
        self.complete = false;
        let detail = error_chain(unreadable);
        self.entries
            .push(Entry::new(EntryKind::Unreadable, document, detail));
    }
}

pub(crate) fn few(reasons: &[String]) -> String {
    let mut text: Vec<&str> = reasons.iter().take(MOST_REASONS).map(|it| &**it).collect();
    let more = reasons.len().saturating_sub(MOST_REASONS);
    let more_text = format!("and {more} more");
    if more > 0 {
        text.push(&more_text);
    }
    text.join("; ")
}
