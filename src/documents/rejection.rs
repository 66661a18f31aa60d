//! The rejection of a recording.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{StoredObject, VERSION, if_readable};

/// `{eventId}-{identity}.rejected.json`, written if an object is missing, or the manifest cannot be
/// written, and no later attempt can help.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rejection<'a> {
    version: u32,
    /// The version of the program that wrote the document; older documents have none.
    #[serde(
        default,
        deserialize_with = "if_readable",
        skip_serializing_if = "Option::is_none"
    )]
    pub(crate) archiver: Option<Cow<'a, str>>,
    /// The reason, if no chunk gives it.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Cow<'a, str>>,
    /// The event as it came.
    #[serde(borrow)]
    pub event: &'a RawValue,
    /// The chunks of the recording.
    pub chunks: Vec<RejectedChunk<'a>>,
}

/// A chunk of a rejected recording.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RejectedChunk<'a> {
    /// The place in the recording.
    pub index: u64,
    /// The documentId, as the event has it.
    #[serde(borrow)]
    pub document_id: Cow<'a, str>,
    /// The outcome of the media.
    pub media: ObjectOutcome<'a>,
    /// The outcome of the metadata.
    pub metadata: ObjectOutcome<'a>,
}

/// The outcome of one object of a chunk.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "camelCase")]
pub enum ObjectOutcome<'a> {
    /// The object is archived.
    #[serde(borrow)]
    Archived(StoredObject<'a>),
    /// The object cannot be archived.
    Rejected {
        /// The failure.
        reason: String,
        /// The parts that S3 still holds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        upload: Option<UnfinishedUpload<'a>>,
    },
    /// The object could not be archived for two days.
    Expired {
        /// The failure of the last attempt.
        reason: String,
        /// The parts that S3 still holds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        upload: Option<UnfinishedUpload<'a>>,
    },
}

/// An unfinished upload that a rejection leaves in S3, so that a person can still complete it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnfinishedUpload<'a> {
    /// The key of the object.
    #[serde(borrow)]
    pub(crate) key: Cow<'a, str>,
    /// The id of the upload.
    #[serde(borrow)]
    pub(crate) upload_id: Cow<'a, str>,
    /// The number of parts that S3 holds.
    pub(crate) parts: u64,
    /// The number of parts of the object; `null` if its length is unknown.
    pub(crate) planned_parts: Option<u32>,
    /// The bytes of the parts that S3 holds.
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

    /// Adds a reason that no chunk gives.
    pub(crate) fn because(self, reason: &'a str) -> Self {
        let reason = Some(reason.into());
        Self { reason, ..self }
    }
}
