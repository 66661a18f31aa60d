//! The chunks that an event lists.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::fields::{number, text};
use super::{MAX_CHUNKS, NotUnderstood};
use crate::recording::Chunk;

/// The `endReason` of the last chunk of a recording.
const SESSION_ENDED: &str = "SessionEnded";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ChunkFields {
    #[serde(default, deserialize_with = "number")]
    index: Option<u64>,
    #[serde(default, deserialize_with = "text")]
    document_id: Option<String>,
    #[serde(default, deserialize_with = "text")]
    content_location: Option<String>,
    #[serde(default, deserialize_with = "text")]
    metadata_location: Option<String>,
    #[serde(default, deserialize_with = "text")]
    end_reason: Option<String>,
}

/// The chunks of one event, sorted by index.
pub(super) struct ChunkList {
    pub(super) chunks: Vec<Chunk>,
    /// `false` if the last chunk ended before the session.
    pub(super) is_last: bool,
}

impl ChunkList {
    /// Reads the chunks. A chunk that is listed twice is one chunk; two that differ in a location
    /// alone are two.
    pub(super) fn read(elements: Vec<&RawValue>) -> Result<Self, NotUnderstood> {
        if elements.len() > MAX_CHUNKS {
            return Err(NotUnderstood::TooManyChunks(elements.len()));
        }
        let fields = elements
            .into_iter()
            .map(|element| serde_json::from_str(element.get()));
        let fields: Vec<ChunkFields> = fields
            .collect::<Result<_, _>>()
            .map_err(|_| NotUnderstood::NoChunks)?;
        // Chunks may be listed in any order; without an index, a chunk has that of its place.
        let last = (0..).zip(&fields);
        let last = last.max_by_key(|(position, fields)| fields.index.unwrap_or(*position));
        let reason = last.and_then(|(_, fields)| fields.end_reason.as_deref());
        let is_last = reason
            .is_none_or(|reason| reason.is_empty() || reason.eq_ignore_ascii_case(SESSION_ENDED));
        let present = |location: Option<String>| location.filter(|location| !location.is_empty());
        let mut chunks: Vec<Chunk> = (0..)
            .zip(fields)
            .map(|(position, fields)| Chunk {
                index: fields.index.unwrap_or(position),
                document_id: fields.document_id.unwrap_or_default(),
                content_location: present(fields.content_location),
                metadata_location: present(fields.metadata_location),
            })
            .collect();
        chunks.sort();
        chunks.dedup();
        if chunks.is_empty() {
            Err(NotUnderstood::EmptyChunks)
        } else {
            Ok(Self { chunks, is_last })
        }
    }
}
