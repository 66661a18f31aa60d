//! A recording as its event describes it: the call, the chunks and the times. Pure.

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

/// A finished recording, as one `RecordingFileStatusUpdated` event describes it.
///
/// <https://learn.microsoft.com/azure/event-grid/communication-services-voice-video-events>
#[derive(Clone, Debug)]
pub struct Recording {
    /// The id of the event: the same in every delivery of it.
    pub(crate) event_id: EventId,
    /// The time of the event.
    pub(crate) event_time: Option<Timestamp>,
    /// The start of the recording.
    pub(crate) started: Option<Timestamp>,
    /// The ACS resource: the event's `topic` (Event Grid schema) or `source` (CloudEvents), in any
    /// letter case.
    pub(crate) topic: String,
    /// `/recording/call/{callId}`, which more segments may follow.
    pub(crate) subject: String,
    /// The format of the media.
    pub format: Format,
    /// The `storageType`: the storage that ACS has written the recording to, or has tried to.
    pub(crate) storage_type: Option<String>,
    /// The duration in milliseconds, pauses included.
    pub(crate) duration_ms: Option<u64>,
    /// `false` if the last chunk ended before the session: then further chunks come in further
    /// events.
    pub(crate) is_last: bool,
    /// The chunks, sorted by index: at least one, no two equal.
    pub chunks: Vec<Chunk>,
    /// The bytes of the event as they came.
    pub event: Box<RawValue>,
}

/// An element of `recordingChunks`. Chunks sort by their index first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Chunk {
    /// The place in the recording.
    pub index: u64,
    /// The id by which the 2021 preview downloads the chunk, and which stands in the keys.
    pub document_id: String,
    /// The URL of the media; absent in the 2021 form.
    pub content_location: Option<String>,
    /// The URL of the metadata; absent in the 2021 form.
    pub metadata_location: Option<String>,
}

impl Recording {
    /// The time from which the age of the recording counts and by which pending events sort: that
    /// of the event, else the start of the recording.
    #[must_use]
    pub fn time(&self) -> Option<Timestamp> {
        self.event_time.or(self.started)
    }

    /// The id of the call, fit for a key; made of the full subject if the subject names no call.
    #[must_use]
    pub fn call_id(&self) -> Cow<'_, str> {
        let named = self
            .subject
            .strip_prefix("/recording/call/")
            .and_then(|rest| rest.split('/').next())
            .filter(|id| !id.is_empty());
        key_id(named.unwrap_or(&self.subject), named.is_some())
    }

    /// Returns `true` if the event lists the recording from its first chunk to its last.
    pub(crate) fn is_all(&self) -> bool {
        self.is_last && self.chunks.first().is_some_and(|chunk| chunk.index == 0)
    }

    /// The class of the storage that holds the recording, according to the event.
    #[must_use]
    pub fn storage(&self) -> StorageClass {
        StorageClass::of(self.storage_type.as_deref(), &self.chunks)
    }
}

impl Chunk {
    /// The documentId, fit for a key.
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
