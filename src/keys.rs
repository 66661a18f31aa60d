//! The layout of the bucket: every object key that this function reads or writes, in one place. Pure.
//!
//! Every key depends on the event alone, so that any number of deliveries agree on it without talking to each other.

mod place;

pub use place::{Kind, Place};

use std::fmt;

use crate::recording::{Chunk, Recording, Timestamp, safe_id, sha256_hex};

/// The longest prefix: with it, the longest key stays below S3's 1,024 bytes.
const MAX_PREFIX: usize = 512;

/// An object key, prefix included.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(String);

impl Key {
    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key of that name in the same folder.
    #[must_use]
    pub fn beside(&self, name: &str) -> Self {
        let folder = self.0.rfind('/').and_then(|slash| self.0.get(..=slash));
        Self(format!("{}{name}", folder.unwrap_or_default()))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What every key starts with: empty, or with a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix(String);

impl Prefix {
    /// A prefix; a final slash that is missing is added.
    ///
    /// # Errors
    ///
    /// Says what is wrong with one that S3 or a reader would trip over.
    pub fn new(text: &str) -> Result<Self, &'static str> {
        if text.len() > MAX_PREFIX {
            return Err("must be at most 512 bytes");
        }
        if text.starts_with('/')
            || text.contains("//")
            || text.split('/').any(|name| matches!(name, "." | ".."))
        {
            return Err("must not start with a slash, nor have an empty, `.` or `..` segment");
        }
        if text.chars().any(char::is_control) {
            return Err("must not have control characters");
        }
        let slash = if text.is_empty() || text.ends_with('/') {
            ""
        } else {
            "/"
        };
        Ok(Self(format!("{text}{slash}")))
    }

    /// Where all pending events are listed.
    #[must_use]
    pub fn pending(&self) -> Key {
        Key(format!("{self}pending/"))
    }

    /// A key as a listing gave it, if it is one under this prefix.
    #[must_use]
    pub fn listed(&self, key: &str) -> Option<Key> {
        key.starts_with(&self.0).then(|| Key(key.to_owned()))
    }

    /// Where all events are listed that are set aside.
    #[must_use]
    pub fn rejected(&self) -> Key {
        Key(format!("{self}rejected/"))
    }

    /// Where all recordings are that started on a day. These folders sort by day, and before all else under the prefix.
    #[must_use]
    pub fn day(&self, day: Timestamp) -> Key {
        Key(format!("{self}{}/", day.day()))
    }

    /// Where a body or an event is set aside that could not be understood.
    #[must_use]
    pub fn set_aside(&self, bytes: &[u8]) -> Key {
        Key(format!("{self}rejected/{}.json", sha256_hex(bytes)))
    }

    /// The keys of one recording.
    #[must_use]
    pub fn keys(&self, recording: &Recording) -> RecordingKeys {
        let event_id = safe_id(&recording.event_id);
        let ordered = recording.time().unwrap_or(Timestamp::EPOCH);
        let started = recording
            .started
            .or(recording.event_time)
            .unwrap_or(Timestamp::EPOCH);
        let call_id = recording.call_id();
        RecordingKeys {
            pending: format!("{self}pending/{}-{event_id}/", ordered.compact()),
            archive: format!("{}{call_id}/{}/", self.day(started), started.clock()),
            event_id: event_id.into_owned(),
            extension: recording.format.extension(),
        }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of the pending event in its folder; its folder holds the transfers' records beside it.
pub(crate) const EVENT: &str = "event.json";
/// The name of the last attempt at the event, beside it.
pub(crate) const ATTEMPT: &str = "attempt.json";

/// The keys of one recording, by the event that told of it.
#[derive(Clone, Debug)]
pub struct RecordingKeys {
    pending: String,
    archive: String,
    event_id: String,
    extension: &'static str,
}

impl RecordingKeys {
    /// The folder that the pending event and the records are in.
    #[must_use]
    pub fn pending(&self) -> Key {
        Key(self.pending.clone())
    }

    /// The event's bytes, from before any work until after all of it.
    #[must_use]
    pub fn pending_event(&self) -> Key {
        Key(format!("{}{EVENT}", self.pending))
    }

    /// The record of a chunk's transfer.
    #[must_use]
    pub fn record(&self, chunk: &Chunk) -> Key {
        Key(format!(
            "{}{:04}-{}.upload.json",
            self.pending,
            chunk.index,
            chunk.key_id()
        ))
    }

    /// A chunk's media.
    #[must_use]
    pub fn media(&self, chunk: &Chunk) -> Key {
        Key(format!(
            "{}{:04}-{}.{}",
            self.archive,
            chunk.index,
            chunk.key_id(),
            self.extension
        ))
    }

    /// A chunk's metadata.
    #[must_use]
    pub fn metadata(&self, chunk: &Chunk) -> Key {
        Key(format!(
            "{}{:04}-{}.metadata.json",
            self.archive,
            chunk.index,
            chunk.key_id()
        ))
    }

    /// What was archived.
    #[must_use]
    pub fn manifest(&self) -> Key {
        Key(format!("{}{}.manifest.json", self.archive, self.event_id))
    }

    /// Why not everything could be archived.
    #[must_use]
    pub fn rejection(&self) -> Key {
        Key(format!("{}{}.rejected.json", self.archive, self.event_id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event_grid;
    use proptest::prelude::*;
    use serde_json::json;

    fn recording(event: &serde_json::Value) -> Recording {
        event_grid::recording(event.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn keys_are_those_of_the_contract() {
        let recording = recording(&json!({
            "id": "831e1650", "topic": "/SUBSCRIPTIONS/x", "subject": "/recording/call/08fa/serverCallId/a/recordingId/b",
            "eventType": "Microsoft.Communication.RecordingFileStatusUpdated", "eventTime": "2026-11-23T15:20:34.2199328Z",
            "data": {
                "recordingStartTime": "2026-11-23T16:10:04.5+02:00", "recordingFormatType": "Wav",
                "recordingStorageInfo": {"recordingChunks": [{"documentId": "0-eus-d12", "index": 3}]},
            },
        }));
        let keys = Prefix::new("calls/eu").unwrap().keys(&recording);
        let chunk = &recording.chunks[0];
        for (key, expected) in [
            (
                keys.pending(),
                "calls/eu/pending/20261123T152034.2199328Z-831e1650/",
            ),
            (
                keys.pending_event(),
                "calls/eu/pending/20261123T152034.2199328Z-831e1650/event.json",
            ),
            (
                keys.record(chunk),
                "calls/eu/pending/20261123T152034.2199328Z-831e1650/0003-0-eus-d12.upload.json",
            ),
            (
                keys.media(chunk),
                "calls/eu/2026/11/23/08fa/141004Z/0003-0-eus-d12.wav",
            ),
            (
                keys.metadata(chunk),
                "calls/eu/2026/11/23/08fa/141004Z/0003-0-eus-d12.metadata.json",
            ),
            (
                keys.manifest(),
                "calls/eu/2026/11/23/08fa/141004Z/831e1650.manifest.json",
            ),
            (
                keys.rejection(),
                "calls/eu/2026/11/23/08fa/141004Z/831e1650.rejected.json",
            ),
        ] {
            assert_eq!(key.as_str(), expected);
        }
    }

    #[test]
    fn an_event_without_any_time_stands_at_the_epoch() {
        let recording = recording(&json!({
            "id": "1", "subject": "", "eventType": "Microsoft.Communication.RecordingFileStatusUpdated",
            "data": {"recordingStorageInfo": {"recordingChunks": [{"documentId": "d", "index": 0}]}},
        }));
        let keys = Prefix::new("").unwrap().keys(&recording);
        assert_eq!(
            keys.pending_event().as_str(),
            "pending/19700101T000000.0000000Z-1/event.json"
        );
        assert!(keys.manifest().as_str().starts_with("1970/01/01/x-"));
        assert!(
            keys.manifest()
                .as_str()
                .ends_with("/000000Z/1.manifest.json")
        );
    }

    #[test]
    fn the_folder_of_a_day_is_that_of_its_recordings() {
        let prefix = Prefix::new("calls").unwrap();
        let day = Timestamp::parse("2026-11-03T23:59:59Z").unwrap();
        assert_eq!(prefix.day(day).as_str(), "calls/2026/11/03/");
    }

    #[test]
    fn a_name_in_the_same_folder() {
        for (key, beside) in [("a/b/c", "a/b/x"), ("c", "x"), ("a/", "a/x")] {
            assert_eq!(Key(key.into()).beside("x").as_str(), beside);
        }
    }

    #[test]
    fn prefixes() {
        for (text, prefix) in [("", ""), ("a", "a/"), ("a/", "a/"), ("a/b", "a/b/")] {
            assert_eq!(Prefix::new(text).unwrap().to_string(), prefix);
        }
        for text in ["/a", "/", "a//b", "a/../b", "./a", "a\nb", &"a".repeat(513)] {
            assert!(Prefix::new(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_key_leaves_the_prefix_or_outgrows_s3(
            id in any::<String>(), subject in any::<String>(), document_id in any::<String>(), index in any::<u64>(),
        ) {
            let recording = recording(&json!({
                "id": id, "subject": subject, "eventType": "Microsoft.Communication.RecordingFileStatusUpdated",
                "data": {"recordingStorageInfo": {"recordingChunks": [{"documentId": document_id, "index": index}]}},
            }));
            let prefix = Prefix::new(&"p".repeat(512)).unwrap();
            let keys = prefix.keys(&recording);
            let chunk = &recording.chunks[0];
            for key in [keys.pending_event(), keys.record(chunk), keys.media(chunk), keys.metadata(chunk), keys.manifest(), keys.rejection()] {
                prop_assert!(key.as_str().len() <= 1024);
                prop_assert!(prefix.listed(key.as_str()).is_some());
                prop_assert!(!key.as_str().chars().any(char::is_control));
                prop_assert!(key.as_str().split('/').all(|name| !matches!(name, "" | "." | "..")));
            }
            let kind = |key: &Key| prefix.place(key.as_str()).map(|place| format!("{:?}", place.kind));
            // An empty id is none.
            let event_id = safe_id(if id.is_empty() { &recording.event_id } else { &id });
            for (key, expected) in [
                (keys.pending_event(), format!("PendingEvent {{ event_id: {event_id:?}, time: None }}")),
                (keys.record(chunk), "Record".to_owned()),
                (keys.media(chunk), "Media".to_owned()),
                (keys.metadata(chunk), "Metadata".to_owned()),
                (keys.manifest(), format!("Manifest {{ event_id: {event_id:?} }}")),
                (keys.rejection(), format!("Rejection {{ event_id: {event_id:?} }}")),
                (prefix.set_aside(id.as_bytes()), "SetAside".to_owned()),
            ] {
                prop_assert_eq!(kind(&key), Some(expected));
            }
        }
    }
}
