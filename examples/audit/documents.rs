//! What the manifests and rejections of a folder say. They may have been written by anybody.

use std::collections::BTreeSet;

use acs_recording_archiver::chain::chain;
use acs_recording_archiver::event_grid;
use acs_recording_archiver::keys::{Key, Kind, Place, Prefix};
use acs_recording_archiver::manifest::{Fate, Manifest, Rejection, StoredObject, from_json};

use super::bucket::{Bucket, Document};
use super::report::{Entry, What};

/// Reasons that a finding gives.
const MOST_REASONS: usize = 3;

/// A manifest or a rejection in a listing.
#[derive(Debug)]
pub struct Listed {
    pub key: String,
    pub event_id: String,
}

/// The documents of a folder as they were read.
#[derive(Debug, Default)]
pub struct Read {
    bytes: Vec<Option<Vec<u8>>>,
    entries: Vec<Entry>,
}

/// What they say.
#[derive(Debug, Default)]
pub struct Said<'a> {
    /// What is there by them.
    pub named: Vec<Named<'a>>,
    pub entries: Vec<Entry>,
    /// Whether all could be read.
    pub whole: bool,
    /// The chunks that manifests name, by index and documentId.
    chunks: BTreeSet<(u64, String)>,
}

/// An object, and the document that names it.
#[derive(Debug)]
pub struct Named<'a> {
    pub key: Key,
    pub object: StoredObject<'a>,
    pub document: &'a str,
    /// Not where a manifest has taken a rejection's place.
    pub counts: bool,
}

impl Read {
    /// Reads the documents, one after the other: a folder has one or two.
    pub async fn all(bucket: &Bucket, listed: impl Iterator<Item = &Listed>) -> Self {
        let mut read = Self::default();
        for document in listed {
            let key = &document.key;
            let (bytes, entry) = match bucket.read(key).await {
                Ok(Document::There(bytes)) => (Some(bytes), None),
                Ok(Document::TooLong) => {
                    let entry = Entry::new(What::Unreadable, key, "is longer than it can be");
                    (None, Some(entry))
                }
                Ok(Document::Gone) => {
                    let entry = Entry::new(What::Missing, key, "was listed and is gone");
                    (None, Some(entry))
                }
                Err(error) => (None, Some(Entry::new(What::Unread, key, chain(&error)))),
            };
            read.bytes.push(bytes);
            read.entries.extend(entry);
        }
        read
    }
}

impl<'a> Said<'a> {
    /// What the manifests and then the rejections of `folder` say, as they were read in this order.
    pub fn by(
        prefix: &Prefix,
        folder: &str,
        manifests: &'a [Listed],
        rejections: &'a [Listed],
        read: &'a Read,
    ) -> Self {
        let mut said = Self {
            entries: read.entries.clone(),
            whole: read.entries.is_empty(),
            ..Self::default()
        };
        let mut bytes = read.bytes.iter();
        for (document, bytes) in manifests.iter().zip(bytes.by_ref()) {
            if let Some(bytes) = bytes {
                said.manifest(prefix, folder, &document.key, bytes);
            }
        }
        for (document, bytes) in rejections.iter().zip(bytes) {
            let mut manifests = manifests.iter();
            let same = manifests.any(|manifest| manifest.event_id == document.event_id);
            if let Some(bytes) = bytes {
                said.rejection(prefix, folder, &document.key, bytes, same);
            }
        }
        said
    }

    fn manifest(&mut self, prefix: &Prefix, folder: &str, document: &'a str, json: &'a [u8]) {
        let manifest: Manifest<'_> = match from_json(json) {
            Ok(manifest) => manifest,
            Err(unreadable) => return self.unreadable(document, &unreadable),
        };
        let mut named = BTreeSet::new();
        for chunk in manifest.chunks {
            named.insert((chunk.index, chunk.document_id.into_owned()));
            for (object, kind) in [(chunk.media, Kind::Media), (chunk.metadata, Kind::Metadata)] {
                self.name(prefix, folder, document, object, kind, true);
            }
        }
        let unnamed: Vec<String> = match event_grid::recording(manifest.event.get().as_bytes()) {
            Ok(recording) => {
                let chunks = recording.chunks.into_iter();
                let chunks = chunks.map(|chunk| (chunk.index, chunk.document_id));
                let unnamed = chunks.filter(|chunk| !named.contains(chunk));
                unnamed
                    .map(|(index, id)| format!("does not name chunk {index} ({id}) of its event"))
                    .collect()
            }
            Err(reason) => vec![format!(
                "holds an event that cannot be understood: {reason}"
            )],
        };
        if !unnamed.is_empty() {
            self.entries
                .push(Entry::new(What::Incomplete, document, few(&unnamed)));
        }
        self.chunks.extend(named);
    }

    fn rejection(
        &mut self,
        prefix: &Prefix,
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
        let mut reasons = Vec::new();
        for chunk in rejection.chunks {
            let (index, fates) = (chunk.index, [chunk.media, chunk.metadata]);
            let kinds = [("media", Kind::Media), ("metadata", Kind::Metadata)];
            for (fate, (part, kind)) in fates.into_iter().zip(kinds) {
                match fate {
                    Fate::Archived(object) => {
                        self.name(prefix, folder, document, object, kind, !later);
                    }
                    Fate::Rejected { reason, .. } => {
                        reasons.push(format!("chunk {index} {part} rejected: {reason}"));
                    }
                    Fate::Expired { reason, .. } => {
                        reasons.push(format!("chunk {index} {part} expired: {reason}"));
                    }
                }
            }
        }
        self.entries.push(if later {
            Entry::new(What::ArchivedLater, document, "a manifest names its chunks")
        } else {
            Entry::new(What::Rejected, document, few(&reasons))
        });
    }

    fn name(
        &mut self,
        prefix: &Prefix,
        folder: &str,
        document: &'a str,
        object: StoredObject<'a>,
        kind: Kind<'_>,
        counts: bool,
    ) {
        let here = prefix.place(&object.key) == Some(Place { folder, kind });
        if let Some(key) = prefix.listed(&object.key).filter(|_| here) {
            self.named.push(Named {
                key,
                object,
                document,
                counts,
            });
        } else {
            let detail = "is no key of a chunk in the folder of the document that names it";
            let entry = Entry::new(What::Misplaced, object.key, detail);
            self.entries.push(entry.named_by(document));
        }
    }

    fn unreadable(&mut self, document: &str, unreadable: &dyn std::error::Error) {
        self.whole = false;
        let detail = chain(unreadable);
        self.entries
            .push(Entry::new(What::Unreadable, document, detail));
    }
}

fn few(reasons: &[String]) -> String {
    let mut text: Vec<&str> = reasons.iter().take(MOST_REASONS).map(|it| &**it).collect();
    let more = reasons.len().saturating_sub(MOST_REASONS);
    let more_text = format!("and {more} more");
    if more > 0 {
        text.push(&more_text);
    }
    text.join("; ")
}
