//! What an event says about a recording: the call, its chunks and when it was. Pure.

mod format;
mod id;
mod storage;
mod timestamp;
mod topics;

pub use format::Format;
pub use id::{EventId, safe_id};
pub(crate) use id::{is_plain_id, sha256_hex};
pub use storage::StorageClass;
pub use timestamp::Timestamp;
pub(crate) use topics::Topics;

use std::borrow::Cow;

use serde_json::value::RawValue;

use id::key_id;

/// A finished recording, as one `RecordingFileStatusUpdated` event tells of it.
#[derive(Clone, Debug)]
pub struct Recording {
    /// The event's id: the same over all attempts at delivering it.
    pub(crate) event_id: EventId,
    /// When the event happened.
    pub(crate) event_time: Option<Timestamp>,
    /// When the recording started.
    pub(crate) started: Option<Timestamp>,
    /// The ACS resource: the event's `topic` (Event Grid schema) or `source` (CloudEvents), in any letter case.
    pub(crate) topic: String,
    /// `/recording/call/{callId}`, and perhaps more behind it.
    pub(crate) subject: String,
    /// The media's format.
    pub format: Format,
    /// The `storageType`: whose storage ACS has written the recording to, or has tried to.
    pub(crate) storage_type: Option<String>,
    /// Its duration in milliseconds, pauses included.
    pub(crate) duration_ms: Option<u64>,
    /// `true` unless its last chunk ended for another reason than the session's end: more chunks
    /// come as events of their own.
    pub(crate) is_last: bool,
    /// The chunks, by index; at least one, no two alike.
    pub chunks: Vec<Chunk>,
    /// The event itself, its bytes as they came.
    pub event: Box<RawValue>,
}

/// An element of `recordingChunks`. Chunks are ordered by their index first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Chunk {
    /// Its place in the recording.
    pub index: u64,
    /// What the 2021 preview downloads by, and what the object is named after.
    pub document_id: String,
    /// The URL of the media; absent in the 2021 form.
    pub content_location: Option<String>,
    /// The URL of the metadata; absent in the 2021 form.
    pub metadata_location: Option<String>,
}

impl Recording {
    /// The time that the recording's age is counted from and that orders the pending events: the event's, else the
    /// recording's start.
    #[must_use]
    pub fn time(&self) -> Option<Timestamp> {
        self.event_time.or(self.started)
    }

    /// The call's id, made fit for a key; derived from the whole subject where that names no call.
    #[must_use]
    pub fn call_id(&self) -> Cow<'_, str> {
        let named = self
            .subject
            .strip_prefix("/recording/call/")
            .and_then(|rest| rest.split('/').next())
            .filter(|id| !id.is_empty());
        key_id(named.unwrap_or(&self.subject), named.is_some())
    }

    /// Returns `true` if the event names the recording from its first chunk to its last.
    pub(crate) fn is_all(&self) -> bool {
        self.is_last && self.chunks.first().is_some_and(|chunk| chunk.index == 0)
    }

    /// The class of the storage that the event says the recording is in.
    #[must_use]
    pub fn storage(&self) -> StorageClass {
        StorageClass::of(self.storage_type.as_deref(), &self.chunks)
    }
}

impl Chunk {
    /// The document id, made fit for a key.
    #[must_use]
    pub fn key_id(&self) -> Cow<'_, str> {
        key_id(&self.document_id, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recording(subject: &str) -> Recording {
        Recording {
            event_id: EventId::default(),
            event_time: None,
            started: None,
            topic: String::new(),
            subject: subject.into(),
            format: Format::Mp4,
            storage_type: None,
            duration_ms: None,
            is_last: true,
            chunks: vec![],
            event: RawValue::from_string("{}".into()).unwrap(),
        }
    }

    #[test]
    fn the_call_is_named_by_the_subject() {
        for (subject, id) in [
            ("/recording/call/08fa-b1", "08fa-b1"),
            (
                "/recording/call/08fa/serverCallId/aHR0/recordingId/eyJQ",
                "08fa",
            ),
        ] {
            assert_eq!(recording(subject).call_id(), id);
        }
        for subject in [
            "",
            "/recording/call/",
            "/recording/call//x",
            "08fa",
            "/recording/call/..",
            "/recording/call/a b",
        ] {
            let id = recording(subject).call_id().into_owned();
            assert!(id.starts_with("x-") && id.len() == 34, "{subject}: {id}");
        }
    }
}
