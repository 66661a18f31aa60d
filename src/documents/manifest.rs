//! The manifest of a recording.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{StoredObject, VERSION, if_readable};
use crate::media::{Check, RecordingCheck};

/// `{eventId}-{identity}.manifest.json`, written once every chunk is archived.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest<'a> {
    version: u32,
    /// The version of the program that wrote the document; older documents have none.
    #[serde(
        default,
        deserialize_with = "if_readable",
        skip_serializing_if = "Option::is_none"
    )]
    pub(crate) archiver: Option<Cow<'a, str>>,
    /// The event as it came.
    #[serde(borrow)]
    pub event: &'a RawValue,
    /// The chunks of the recording.
    pub chunks: Vec<ManifestChunk<'a>>,
    /// The examination of all media together; older documents have none.
    #[serde(
        default,
        deserialize_with = "if_readable",
        skip_serializing_if = "Option::is_none"
    )]
    pub check: Option<RecordingCheck>,
}

/// An archived chunk.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManifestChunk<'a> {
    /// The place in the recording.
    pub index: u64,
    /// The documentId, as the event has it.
    #[serde(borrow)]
    pub document_id: Cow<'a, str>,
    /// The media.
    pub media: StoredObject<'a>,
    /// The metadata.
    pub metadata: StoredObject<'a>,
    /// The examination of the media; older documents have none.
    #[serde(
        default,
        deserialize_with = "if_readable",
        skip_serializing_if = "Option::is_none"
    )]
    pub check: Option<Cow<'a, Check>>,
}

impl<'a> Manifest<'a> {
    /// The manifest of the recording of `event`, all of whose chunks are archived.
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
