//! The layout of the buckets: every object key that this function reads or writes, in one place.
//! Pure.
//!
//! Every key depends on the event alone, so that all deliveries of an event agree on it without
//! communication. The hashes in a key separate the work on one event from that on any other:
//! `{identity}` is a hash of everything in an event that decides where its recording comes from and
//! where it goes; `{location}` is a hash of the host and path that a document is fetched from. The
//! module `identity` says why no event can take another's hash.

mod canonical;
mod identity;
mod key;
mod place;
mod prefix;
mod recording;

pub use key::{Bucket, Key};
pub use place::{ChunkName, Kind, Place};
pub use prefix::Prefix;
pub use recording::RecordingKeys;

use url::Url;

use crate::recording::{Recording, Timestamp, sha256_hex};
use canonical::canonical;
use identity::{fingerprint, identity};

/// The place of `pending/`.
///
/// A setting decides it when the function starts: the function does not look for pending work in
/// the other place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pending {
    /// The root of the work bucket, whatever the prefix of the recordings is.
    OwnBucket,
    /// The recordings bucket, under the prefix.
    UnderPrefix,
}

/// The layout of both buckets.
#[derive(Clone, Debug)]
pub struct Layout {
    prefix: Prefix,
    pending: String,
    endpoint: Url,
}

impl Layout {
    /// A layout with recordings under `prefix`. A document without a location in the event is
    /// located at the ACS resource at `endpoint`.
    #[must_use]
    pub fn new(prefix: Prefix, pending: Pending, endpoint: &Url) -> Self {
        let pending = match pending {
            Pending::OwnBucket => "pending/".to_owned(),
            Pending::UnderPrefix => format!("{prefix}pending/"),
        };
        Self {
            prefix,
            pending,
            endpoint: endpoint.clone(),
        }
    }

    /// The prefix of every key in the recordings bucket.
    #[must_use]
    pub fn prefix(&self) -> &Prefix {
        &self.prefix
    }

    /// The folder of all pending events.
    #[must_use]
    pub fn pending(&self) -> Key {
        Key::work(self.pending.clone())
    }

    /// A key for a trial of the store; another `number` gives another key. The key is that of an
    /// attempt without an event, so that a tick clears the object if the trial leaves it behind.
    pub(crate) fn trial(&self, number: u64) -> Key {
        let (pending, time) = (&self.pending, Timestamp::EPOCH.compact());
        Key::work(format!("{pending}{time}-trial-{number:016x}/{ATTEMPT}"))
    }

    /// The folder of all events that are set aside.
    #[must_use]
    pub fn rejected(&self) -> Key {
        Key::recordings(format!("{}rejected/", self.prefix))
    }

    /// The folder of all recordings that started on a day. These folders sort by day, and before
    /// all other keys under the prefix.
    #[must_use]
    pub fn day(&self, day: Timestamp) -> Key {
        Key::recordings(format!("{}{}/", self.prefix, day.day()))
    }

    /// The key under which an element of a delivery is set aside: a hash of its canonical form, or
    /// of its bytes if they are no JSON.
    pub(crate) fn set_aside(&self, bytes: &[u8]) -> Key {
        let form = canonical(bytes);
        let hash = sha256_hex(form.as_ref().map_or(bytes, String::as_bytes));
        Key::recordings(format!("{}rejected/{hash}.json", self.prefix))
    }

    /// The keys of one recording.
    #[must_use]
    pub fn keys(&self, recording: &Recording) -> RecordingKeys {
        let ordered = recording.time().unwrap_or(Timestamp::EPOCH);
        let started = recording
            .started
            .or(recording.event_time)
            .unwrap_or(Timestamp::EPOCH);
        let fingerprint = fingerprint(recording);
        let event = format!("{}-{}", recording.event_id, identity(&fingerprint));
        let call_id = recording.call_id();
        RecordingKeys {
            pending: format!("{}{}-{event}/", self.pending, ordered.compact()),
            archive: format!("{}{call_id}/{}/", self.day(started), started.clock()),
            event,
            fingerprint,
            extension: recording.format.extension(),
            endpoint: self.endpoint.clone(),
        }
    }
}

/// The name of a pending event in its folder, where the records of its transfers are too.
pub(crate) const EVENT: &str = "event.json";
/// The name of the document about the last attempt, beside the event.
pub(crate) const ATTEMPT: &str = "attempt.json";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event_grid;
    use proptest::prelude::*;
    use serde_json::json;

    fn layout(prefix: &str, pending: Pending) -> Layout {
        let endpoint = Url::parse("https://contoso.communication.azure.com").unwrap();
        Layout::new(Prefix::new(prefix).unwrap(), pending, &endpoint)
    }

    fn hash(text: &str) -> String {
        let mut hash = sha256_hex(text.as_bytes());
        hash.truncate(identity::DIGITS);
        hash
    }

    fn recording(event: &serde_json::Value) -> Recording {
        event_grid::recording(event.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn keys_are_those_of_the_contract() {
        let recording = recording(&json!({
            "id": "831e1650", "topic": "/SUBSCRIPTIONS/x",
            "subject": "/recording/call/08fa/serverCallId/a/recordingId/b",
            "eventType": "Microsoft.Communication.RecordingFileStatusUpdated",
            "eventTime": "2026-11-23T15:20:34.2199328Z",
            "data": {
                "recordingStartTime": "2026-11-23T16:10:04.5+02:00", "recordingFormatType": "Wav",
                "recordingStorageInfo": {
                    "recordingChunks": [{"documentId": "0-eus-d12", "index": 3}],
                },
            },
        }));
        let chunk = &recording.chunks[0];
        let identity = hash(concat!(
            r#"["/subscriptions/x","08fa","20261123T141004.5000000Z","wav","acs","#,
            r#"[[3,"0-eus-d12",null,null]]]"#,
        ));
        let media = hash("contoso.communication.azure.com/recording/download/0-eus-d12");
        let metadata =
            hash("contoso.communication.azure.com/recording/download/0-eus-d12/metadata");
        let event = format!("pending/20261123T152034.2199328Z-831e1650-{identity}/");
        let archive = "calls/eu/2026/11/23/08fa/141004Z/";
        for (place, pending) in [
            (Pending::OwnBucket, event.clone()),
            (Pending::UnderPrefix, format!("calls/eu/{event}")),
        ] {
            let keys = layout("calls/eu", place).keys(&recording);
            for (key, folder, name) in [
                (keys.pending_event(), &*pending, "event.json"),
                (
                    keys.pending_event().beside(ATTEMPT),
                    &pending,
                    "attempt.json",
                ),
                (
                    keys.record(chunk),
                    &pending,
                    "0003-0-eus-d12-{media}.upload.json",
                ),
                (keys.media(chunk), archive, "0003-0-eus-d12-{media}.wav"),
                (
                    keys.metadata(chunk),
                    archive,
                    "0003-0-eus-d12-{metadata}.metadata.json",
                ),
                (
                    keys.manifest(),
                    archive,
                    "831e1650-{identity}.manifest.json",
                ),
                (
                    keys.rejection(),
                    archive,
                    "831e1650-{identity}.rejected.json",
                ),
            ] {
                let name = name
                    .replace("{media}", &media)
                    .replace("{metadata}", &metadata);
                let name = name.replace("{identity}", &identity);
                assert_eq!(key.as_str(), format!("{folder}{name}"));
                assert_eq!(key.bucket() == Bucket::Work, folder == pending, "{key}");
            }
        }
    }

    #[test]
    fn two_locations_are_two_objects() {
        let at = |path: &str| {
            let location = format!("https://eus.asm.skype.com/{path}");
            json!({
                "documentId": "d", "index": 0,
                "contentLocation": location, "metadataLocation": location,
            })
        };
        let recording = recording(&json!({
            "id": "1", "subject": "/recording/call/c",
            "eventType": "Microsoft.Communication.RecordingFileStatusUpdated",
            "data": {"recordingStorageInfo": {"recordingChunks": [at("a"), at("b"), at("a")]}},
        }));
        let keys = layout("", Pending::UnderPrefix).keys(&recording);
        let [a, b] = &*recording.chunks else {
            panic!("the same chunk twice is one")
        };
        assert_ne!(keys.media(a), keys.media(b));
        assert_ne!(keys.metadata(a), keys.metadata(b));
        assert_ne!(keys.record(a), keys.record(b));
    }

    #[test]
    fn an_element_is_set_aside_by_its_canonical_form() {
        let layout = layout("calls", Pending::UnderPrefix);
        let key = |text: &str| layout.set_aside(text.as_bytes());
        let form = sha256_hex(br#"{"a":1,"b":[]}"#);
        assert_eq!(
            key(r#"{"b": [ ], "a": 1.0}"#).as_str(),
            format!("calls/rejected/{form}.json")
        );
        for same in [
            r#"{"a":1,"b":[]}"#,
            "{\n  \"a\": 10e-1,\n  \"\\u0062\": []\n}\n",
        ] {
            assert_eq!(key(same), key(r#"{"b": [ ], "a": 1.0}"#), "{same}");
        }
        for other in [r#"{"a":1.5,"b":[]}"#, r#"{"a":"1","b":[]}"#, r#"{"a":1}"#] {
            assert_ne!(key(other), key(r#"{"b": [ ], "a": 1.0}"#), "{other}");
        }
        let bytes = sha256_hex(b"no {JSON");
        assert_eq!(
            key("no {JSON").as_str(),
            format!("calls/rejected/{bytes}.json")
        );
    }

    #[test]
    fn a_trial_of_the_store_is_at_an_attempt_beside_no_event() {
        for place in [Pending::OwnBucket, Pending::UnderPrefix] {
            let layout = layout("calls", place);
            let key = layout.trial(7);
            assert_eq!(key.bucket(), Bucket::Work);
            let kind = layout
                .place(Bucket::Work, key.as_str())
                .map(|place| place.kind);
            assert_eq!(kind, Some(Kind::Attempt), "{key}");
            assert_ne!(key, layout.trial(8));
        }
    }

    #[test]
    fn an_event_without_any_time_stands_at_the_epoch() {
        let recording = recording(&json!({
            "id": "1", "subject": "",
            "eventType": "Microsoft.Communication.RecordingFileStatusUpdated",
            "data": {"recordingStorageInfo": {
                "recordingChunks": [{"documentId": "d", "index": 0}],
            }},
        }));
        let keys = layout("", Pending::UnderPrefix).keys(&recording);
        let pending = keys.pending_event();
        assert!(
            pending
                .as_str()
                .starts_with("pending/19700101T000000.0000000Z-1-")
        );
        let manifest = keys.manifest();
        assert!(manifest.as_str().starts_with("1970/01/01/x-"));
        assert!(manifest.as_str().contains("/000000Z/1-"), "{manifest}");
    }

    #[test]
    fn the_folder_of_a_day_is_that_of_its_recordings() {
        let layout = layout("calls", Pending::OwnBucket);
        let day = Timestamp::parse("2026-11-03T23:59:59Z").unwrap();
        assert_eq!(layout.day(day).as_str(), "calls/2026/11/03/");
    }

    proptest! {
        #[test]
        fn no_key_leaves_the_prefix_or_outgrows_s3(
            id in any::<String>(),
            subject in any::<String>(),
            document_id in any::<String>(),
            index in any::<u64>(),
        ) {
            let recording = recording(&json!({
                "id": id, "subject": subject,
                "eventType": "Microsoft.Communication.RecordingFileStatusUpdated",
                "data": {"recordingStorageInfo": {
                    "recordingChunks": [{"documentId": document_id, "index": index}],
                }},
            }));
            let layout = layout(&"p".repeat(512), Pending::UnderPrefix);
            let keys = layout.keys(&recording);
            let chunk = &recording.chunks[0];
            for key in [
                keys.pending_event(),
                keys.pending_event().beside(ATTEMPT),
                keys.record(chunk),
                keys.media(chunk),
                keys.metadata(chunk),
                keys.manifest(),
                keys.rejection(),
            ] {
                prop_assert!(key.as_str().len() <= 1024);
                prop_assert_eq!(layout.listed(key.bucket(), key.as_str()), Some(key.clone()));
                prop_assert!(key.as_str().starts_with(&layout.prefix().to_string()));
                prop_assert!(!key.as_str().chars().any(char::is_control));
                prop_assert!(key.as_str().split('/').all(|name| !matches!(name, "" | "." | "..")));
            }
            let event_id = &*recording.event_id.to_string();
            let fingerprint = fingerprint(&recording);
            let identity = identity(&fingerprint);
            let (media, metadata) = (keys.media_location(chunk), keys.metadata_location(chunk));
            let key_id = chunk.key_id();
            let name = |location| ChunkName { index, document_id: &key_id, location };
            for (key, expected) in [
                (keys.pending_event(), Kind::PendingEvent { event_id, identity, time: None }),
                (keys.pending_event().beside(ATTEMPT), Kind::Attempt),
                (keys.record(chunk), Kind::Record(name(&media))),
                (keys.media(chunk), Kind::Media(name(&media))),
                (keys.metadata(chunk), Kind::Metadata(name(&metadata))),
                (keys.manifest(), Kind::Manifest { event_id, identity }),
                (keys.rejection(), Kind::Rejection { event_id, identity }),
                (layout.set_aside(id.as_bytes()), Kind::SetAside),
            ] {
                let place = layout.place(key.bucket(), key.as_str());
                prop_assert_eq!(place.map(|place| place.kind), Some(expected));
                let other = match key.bucket() {
                    Bucket::Recordings => Bucket::Work,
                    Bucket::Work => Bucket::Recordings,
                };
                prop_assert_eq!(layout.place(other, key.as_str()), None);
            }
        }
    }
}
