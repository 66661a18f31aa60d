//! The emulators: an S3 with pending events, and an ACS with their recordings.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

use acs_recording_archiver::event_grid;
use acs_recording_archiver::keys::{Layout, Pending, Prefix};
use emulators::acs::{self, Acs, Document};
use emulators::media::{Format, Media};
use emulators::s3::{self, S3};
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The emulated S3 and ACS.
pub(crate) struct Servers {
    pub(crate) s3: S3,
    pub(crate) acs: Acs,
    authority: tempfile::NamedTempFile,
    recordings: u64,
    length: u64,
}

impl Servers {
    /// Starts the emulators with pending recordings of `length` bytes, and a rate limit for each
    /// connection to ACS in bytes a second.
    pub(crate) async fn start(recordings: u64, length: u64, rate: Option<u64>) -> Self {
        let s3 = S3::start(s3::Settings {
            min_part_size: 1,
            keep_bodies: false,
            ..s3::Settings::default()
        });
        let acs = Acs::start(acs::Settings {
            bytes_per_second: rate,
            ..acs::Settings::default()
        });
        let (s3, acs) = tokio::join!(s3, acs);
        let authority = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(authority.path(), acs.ca_pem()).expect("it can be written");
        let servers = Self {
            s3,
            acs,
            authority,
            recordings,
            length,
        };
        for number in 0..recordings {
            servers.store(number);
        }
        servers
    }

    /// Stores an event, as a delivery of five minutes ago did.
    fn store(&self, number: u64) {
        let id = document(number);
        let media = Media::new(Format::Mp4, self.length, number);
        self.acs.add(Document::new(&id, media));
        let at = OffsetDateTime::now_utc() - Duration::from_mins(5);
        let event = json!({
            "id": format!("event-{number}"),
            "topic": "/subscriptions/s/providers/Microsoft.Communication/communicationServices/c",
            "subject": format!("/recording/call/call-{number}"),
            "eventType": "Microsoft.Communication.RecordingFileStatusUpdated",
            "eventTime": at.format(&Rfc3339).expect("a time"),
            "data": {"recordingStorageInfo": {"recordingChunks": [{"documentId": id, "index": 0}]}},
        });
        let event = event.to_string();
        let recording = event_grid::recording(event.as_bytes()).expect("it is an event of ACS");
        let key = self.layout().keys(&recording).pending_event();
        let key = key.as_str();
        self.s3.put(key, event);
        let stored = SystemTime::now() - Duration::from_mins(5);
        self.s3.set_last_modified(key, stored);
    }

    fn layout(&self) -> Layout {
        let prefix = Prefix::new("recordings").expect("a prefix");
        let endpoint = self.acs.endpoint().parse().expect("it is a URL");
        Layout::new(prefix, Pending::UnderPrefix, &endpoint)
    }

    /// The environment of an instance between the emulators.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ENDPOINT_URL_S3", self.s3.endpoint()),
            ("AWS_ACCESS_KEY_ID", self.s3.access_key_id().to_owned()),
            (
                "AWS_SECRET_ACCESS_KEY",
                self.s3.secret_access_key().to_owned(),
            ),
            ("AWS_REGION", "eu-central-1".to_owned()),
            ("S3_FORCE_PATH_STYLE", "true".to_owned()),
            ("RECORDINGS_BUCKET", self.s3.bucket().to_owned()),
            ("WEBHOOK_SECRETS", "secret-of-the-benchmark".to_owned()),
            (
                "COMMUNICATION_SERVICES_CONNECTION_STRING",
                self.acs.connection_string(),
            ),
            (
                "SSL_CERT_FILE",
                self.authority.path().to_string_lossy().into_owned(),
            ),
        ]
    }

    /// The number of pending events.
    pub(crate) fn pending(&self) -> usize {
        let keys = self.s3.objects().into_keys();
        keys.filter(|key| key.ends_with("/event.json")).count()
    }

    /// Moves the write of each pending object 20 minutes into the past, so that the next tick does
    /// not wait for the pause between two attempts.
    pub(crate) fn skip_pauses(&self) {
        for (key, object) in self.s3.objects() {
            if key.contains("/pending/") {
                let earlier = object.last_modified - Duration::from_mins(20);
                self.s3.set_last_modified(&key, earlier);
            }
        }
    }

    /// The bytes of media that ACS has sent.
    pub(crate) fn fetched(&self) -> u64 {
        let sent = (0..self.recordings).map(|number| self.acs.sent(&document(number)));
        sent.sum()
    }

    /// The bytes of archived media.
    pub(crate) fn archived(&self) -> u64 {
        let objects = self.s3.objects();
        let is_media = |key: &str| Path::new(key).extension().is_some_and(|is| is == "mp4");
        let media = objects.iter().filter(|(key, _)| is_media(key));
        media.map(|(_, object)| object.size).sum()
    }

    /// The S3 calls since the last time, by operation.
    pub(crate) fn take_calls(&self) -> BTreeMap<&'static str, usize> {
        let mut calls = BTreeMap::new();
        for call in self.s3.calls() {
            *calls.entry(call.operation).or_default() += 1;
        }
        self.s3.clear_calls();
        calls
    }
}

fn document(number: u64) -> String {
    format!("0-eus-d{number}-801b3f3fc462fe8a01e6810cbff729b8")
}
