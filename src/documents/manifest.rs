//! The manifest of a recording.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{StoredObject, VERSION, if_readable};
use crate::media::{Check, RecordingCheck};

/// Written when every chunk is there: `{eventId}.manifest.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest<'a> {
    version: u32,
    /// The version of the program that wrote it; older documents have none.
    #[serde(
        default,
        deserialize_with = "if_readable",
        skip_serializing_if = "Option::is_none"
    )]
    pub(crate) archiver: Option<Cow<'a, str>>,
    /// The event as it came.
    #[serde(borrow)]
    pub event: &'a RawValue,
    /// Its chunks.
    pub chunks: Vec<ManifestChunk<'a>>,
    /// The examination of all its media; older documents have none.
    #[serde(
        default,
        deserialize_with = "if_readable",
        skip_serializing_if = "Option::is_none"
    )]
    pub check: Option<RecordingCheck>,
}

/// A chunk that is there.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManifestChunk<'a> {
    /// Its place in the recording.
    pub index: u64,
    /// Its documentId, as the event has it.
    #[serde(borrow)]
    pub document_id: Cow<'a, str>,
    /// Its media.
    pub media: StoredObject<'a>,
    /// Its metadata.
    pub metadata: StoredObject<'a>,
    /// The examination of its media; older documents have none.
    #[serde(
        default,
        deserialize_with = "if_readable",
        skip_serializing_if = "Option::is_none"
    )]
    pub check: Option<Cow<'a, Check>>,
}

impl<'a> Manifest<'a> {
    /// The manifest of the recording of `event`, whose chunks are all there.
    pub(crate) fn new(
        event: &'a RawValue,
        chunks: Vec<ManifestChunk<'a>>,
        check: Option<RecordingCheck>,
    ) -> Self {
        Self {
            version: VERSION,
            archiver: Some(crate::VERSION.into()),
            event,
            chunks,
            check,
        }
    }
}
