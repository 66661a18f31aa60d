//! What was archived, or why not, as JSON.
//!
//! The manifest depends on the event and the objects alone, not on who wrote it or when: two deliveries that finish at
//! the same time write the same one.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::finality::Failure;
use crate::keys::Key;
use crate::recording::{Chunk, Recording};
use crate::store::Object;

/// The version of these documents' form.
const VERSION: u32 = 1;

/// Written when every chunk is there: `{eventId}.manifest.json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest<'a> {
    version: u32,
    event: &'a RawValue,
    chunks: Vec<ManifestChunk<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ManifestChunk<'a> {
    index: u64,
    document_id: &'a str,
    media: StoredObject<'a>,
    metadata: StoredObject<'a>,
}

/// An object as S3 reports it, so that an auditor can compare without a download.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct StoredObject<'a> {
    key: &'a str,
    size: u64,
    etag: &'a str,
    version_id: Option<&'a str>,
    /// Of the whole object, in base64; `null` where the store keeps none.
    crc64nvme: Option<&'a str>,
    content_type: Option<&'a str>,
}

/// Written when nothing more can be done and something is missing: `{eventId}.rejected.json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rejection<'a> {
    version: u32,
    event: &'a RawValue,
    chunks: Vec<RejectedChunk<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct RejectedChunk<'a> {
    index: u64,
    document_id: &'a str,
    media: Fate<'a>,
    metadata: Fate<'a>,
}

#[derive(Debug, Serialize)]
#[serde(tag = "outcome", rename_all = "camelCase")]
enum Fate<'a> {
    Archived(StoredObject<'a>),
    Rejected { reason: String },
    Expired { reason: String },
}

/// Written for what cannot be understood, or is not to be archived: `rejected/{sha256}.json`.
#[derive(Debug, Serialize)]
pub struct SetAside<'a> {
    version: u32,
    reason: &'a str,
    event: &'a RawValue,
}

/// What has become of one object of a chunk.
#[derive(Debug)]
pub struct Copied {
    /// Its key.
    pub key: Key,
    /// The object, or why it is not there.
    pub result: Result<Object, Failure>,
}

/// What has become of a chunk.
#[derive(Debug)]
pub struct CopiedChunk {
    /// The chunk.
    pub chunk: Chunk,
    /// Its media.
    pub media: Copied,
    /// Its metadata.
    pub metadata: Copied,
}

impl<'a> Manifest<'a> {
    /// The manifest of a recording; none as long as anything is missing.
    #[must_use]
    pub fn new(recording: &'a Recording, chunks: &'a [CopiedChunk]) -> Option<Self> {
        let chunks = chunks.iter().map(|copied| {
            Some(ManifestChunk {
                index: copied.chunk.index,
                document_id: &copied.chunk.document_id,
                media: StoredObject::new(&copied.media)?,
                metadata: StoredObject::new(&copied.metadata)?,
            })
        });
        Some(Self {
            version: VERSION,
            event: &recording.event,
            chunks: chunks.collect::<Option<_>>()?,
        })
    }
}

impl<'a> Rejection<'a> {
    /// The rejection of a recording, with what has become of each chunk. `expired` tells which failures are due to the
    /// source's deletion.
    #[must_use]
    pub fn new(
        recording: &'a Recording,
        chunks: &'a [CopiedChunk],
        expired: impl Fn(&Failure) -> bool,
    ) -> Self {
        let fate = |copied: &'a Copied| match &copied.result {
            Ok(object) => Fate::Archived(StoredObject::from((&copied.key, object))),
            Err(failure) if expired(failure) => Fate::Expired {
                reason: crate::chain::chain(failure),
            },
            Err(failure) => Fate::Rejected {
                reason: crate::chain::chain(failure),
            },
        };
        let chunks = chunks.iter().map(|copied| RejectedChunk {
            index: copied.chunk.index,
            document_id: &copied.chunk.document_id,
            media: fate(&copied.media),
            metadata: fate(&copied.metadata),
        });
        Self {
            version: VERSION,
            event: &recording.event,
            chunks: chunks.collect(),
        }
    }
}

impl<'a> SetAside<'a> {
    /// `event` as it came, and why it is not archived.
    #[must_use]
    pub fn new(event: &'a RawValue, reason: &'a str) -> Self {
        Self {
            version: VERSION,
            reason,
            event,
        }
    }
}

impl<'a> StoredObject<'a> {
    fn new(copied: &'a Copied) -> Option<Self> {
        copied
            .result
            .as_ref()
            .ok()
            .map(|object| Self::from((&copied.key, object)))
    }
}

impl<'a> From<(&'a Key, &'a Object)> for StoredObject<'a> {
    fn from((key, object): (&'a Key, &'a Object)) -> Self {
        Self {
            key: key.as_str(),
            size: object.size,
            etag: &object.etag,
            version_id: object.version_id.as_deref(),
            crc64nvme: object.crc64nvme.as_deref(),
            content_type: object.content_type.as_deref(),
        }
    }
}

/// The bytes of one of these documents.
#[must_use]
pub fn to_json(document: &impl Serialize) -> Vec<u8> {
    // Strings, numbers and JSON that was read: serialising them cannot fail.
    serde_json::to_vec_pretty(document).unwrap_or_default()
}
