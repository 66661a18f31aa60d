//! The rejection of a recording.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{StoredObject, VERSION, if_readable};

/// Written when nothing more can be done and something is missing: `{eventId}.rejected.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rejection<'a> {
    version: u32,
    /// The version of the program that wrote it; older documents have none.
    #[serde(
        default,
        deserialize_with = "if_readable",
        skip_serializing_if = "Option::is_none"
    )]
    pub(crate) archiver: Option<Cow<'a, str>>,
    /// Why the recording as a whole is rejected, where that is not the fate of a chunk.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Cow<'a, str>>,
    /// The event as it came.
    #[serde(borrow)]
    pub event: &'a RawValue,
    /// Its chunks.
    pub chunks: Vec<RejectedChunk<'a>>,
}

/// A chunk of a recording that could not be archived whole.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RejectedChunk<'a> {
    /// Its place in the recording.
    pub index: u64,
    /// Its documentId, as the event has it.
    #[serde(borrow)]
    pub document_id: Cow<'a, str>,
    /// What has become of its media.
    pub media: ObjectOutcome<'a>,
    /// What has become of its metadata.
    pub metadata: ObjectOutcome<'a>,
}

/// What has become of one object of such a chunk.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "camelCase")]
pub enum ObjectOutcome<'a> {
    /// It is there.
    #[serde(borrow)]
    Archived(StoredObject<'a>),
    /// It cannot be archived.
    Rejected {
        /// Why.
        reason: String,
        /// The parts of it that S3 still holds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        upload: Option<UnfinishedUpload<'a>>,
    },
    /// It could not be archived for two days.
    Expired {
        /// Why the last try failed.
        reason: String,
        /// The parts of it that S3 still holds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        upload: Option<UnfinishedUpload<'a>>,
    },
}

/// An unfinished upload that a rejection leaves in S3, so that a person can still complete it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnfinishedUpload<'a> {
    /// Its key.
    #[serde(borrow)]
    pub(crate) key: Cow<'a, str>,
    /// Its upload id.
    #[serde(borrow)]
    pub(crate) upload_id: Cow<'a, str>,
    /// The number of parts that S3 holds.
    pub(crate) parts: u64,
    /// The number of parts of the object; `null` where its length is not known.
    pub(crate) planned_parts: Option<u32>,
    /// The size of the parts that S3 holds, in bytes.
    pub(crate) bytes: u64,
}

impl<'a> Rejection<'a> {
    /// The rejection of the recording of `event`, for the reasons that `chunks` give.
    pub(crate) fn new(event: &'a RawValue, chunks: Vec<RejectedChunk<'a>>) -> Self {
        Self {
            version: VERSION,
            archiver: Some(crate::VERSION.into()),
            reason: None,
            event,
            chunks,
        }
    }

    /// The same, for a reason that no chunk gives.
    pub(crate) fn because(self, reason: &'a str) -> Self {
        let reason = Some(reason.into());
        Self { reason, ..self }
    }
}
