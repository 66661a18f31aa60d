//! A world of the tests: a function with small limits between two emulators, and its recordings.

use std::ops::Deref;
use std::time::{Duration, SystemTime};

use acs_recording_archiver::function::{Answer, Function, TickError};
use acs_recording_archiver::limits::{Limits, RefreshPolicy};
use acs_recording_archiver::sweep::Swept;
use emulators::acs::{Document, Fault, Kind, Request};
use emulators::media::{Format, Media};
use emulators::s3;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::contract::{self, Keys};
use crate::embedded::{Embedded, Response, Setup, delivery, function};
use crate::steady::steady;

/// The prefix of all keys, which is the function's default.
pub const PREFIX: &str = "recordings/";
/// The media host of the emulated ACS, unless a test sets another.
pub const MEDIA_HOST: &str = "eus-prod.asm.skype.com";
/// Bytes of a part in the tests.
pub const PART: u64 = 64 * 1024;
/// The topic of all events.
pub const TOPIC: &str = "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/\
    calls/providers/Microsoft.Communication/communicationServices/contoso";

/// A tick of the schedule, as `EventBridge` sends it.
pub const TICK: &str = include_str!("../../../events/schedule-rule.json");

/// A function between two emulators.
#[derive(Clone)]
pub struct World(Embedded);

impl Deref for World {
    type Target = Embedded;

    fn deref(&self) -> &Embedded {
        &self.0
    }
}

/// The limits of the tests: small sizes and pauses, and timeouts that a busy machine does not
/// reach.
pub fn limits() -> Limits {
    Limits {
        part_size: PART,
        backoff: Duration::from_millis(1),
        upload_pause: Duration::ZERO,
        not_ready_pause: Duration::from_millis(5),
        retry_after: Duration::from_secs(1),
        source_stall: Duration::from_secs(30),
        store_stall: Duration::from_secs(40),
        store_call: Duration::from_secs(30),
        entra_token: RefreshPolicy {
            timeout: Duration::from_secs(30),
            ..Limits::default().entra_token
        },
        ..Limits::default()
    }
}

/// The set-up of tests with sources that stall, with a short stall limit.
pub fn impatient() -> Setup {
    let mut impatient = setup();
    impatient.limits.source_stall = Duration::from_secs(1);
    impatient
}

/// The set-up of the tests: small parts, and three entries a page.
pub fn setup() -> Setup {
    Setup {
        s3: s3::Settings {
            min_part_size: PART,
            page_size: 3,
            ..s3::Settings::default()
        },
        limits: limits(),
        ..Setup::default()
    }
}

/// The bucket of unfinished work, in the tests that have one.
pub const WORK: &str = "unfinished-work";

/// The set-up of the tests, with a bucket for unfinished work.
pub fn setup_with_work() -> Setup {
    let mut setup = setup();
    setup.s3.more_buckets = vec![WORK.to_owned()];
    setup.variables = vec![("WORK_BUCKET", WORK.to_owned())];
    setup
}

impl World {
    /// Makes ACS answer 503 to every part of media but the first.
    pub fn break_off(&self) {
        self.acs.inject(|request| {
            let first = request
                .range
                .as_deref()
                .is_some_and(|range| range.starts_with("bytes=0-"));
            (request.kind == Kind::Media && !first).then(|| Fault::answer(503, "no"))
        });
    }

    /// Starts a world with the set-up of the tests.
    pub async fn start() -> Self {
        Self::with(setup()).await
    }

    /// Starts a world with this set-up.
    pub async fn with(setup: Setup) -> Self {
        steady();
        Self(Embedded::start(setup).await)
    }

    /// The same emulators with another function, like another instance or version of it.
    pub fn over(world: &Self, function: Function) -> Self {
        Self(Embedded {
            function,
            ..world.0.clone()
        })
    }

    /// Another instance of the function over the same emulators.
    pub async fn another(&self, limits: Limits, variables: &[(&'static str, String)]) -> Self {
        Self::over(self, function(&self.s3, &self.acs, limits, variables).await)
    }

    /// Invokes the function with a tick of the schedule.
    pub async fn tick(&self) -> Swept {
        self.try_tick()
            .await
            .expect("the pending events can be listed")
    }

    /// Invokes the function with a tick of the schedule, which may fail.
    pub async fn try_tick(&self) -> Result<Swept, TickError> {
        let payload = RawValue::from_string(TICK.to_owned()).unwrap();
        match self
            .function
            .invoke(&payload, SystemTime::UNIX_EPOCH)
            .await?
        {
            Answer::Tick(swept) => Ok(swept),
            Answer::Http(response) => panic!("{response:?} is no answer to a tick"),
        }
    }

    /// Makes every pending event due, and then invokes the function with a tick.
    pub async fn tick_when_due(&self) -> Swept {
        self.make_due();
        self.tick().await
    }

    /// Delivers events as Event Grid does at the first attempt.
    pub async fn deliver(&self, events: &Value) -> Response {
        self.deliver_again(events, 0).await
    }

    /// Delivers events as Event Grid does after `count` attempts.
    pub async fn deliver_again(&self, events: &Value, count: u32) -> Response {
        self.call(&delivery(&events.to_string(), count)).await
    }

    /// Asserts that Event Grid's first retry archives a recording that was not archived before.
    pub async fn assert_archived_by_retry(&self, recording: &Recording) {
        let response = self.deliver_again(&recording.event(self), 1).await;
        response.assert_outcome(200, "archived");
        self.assert_archived(recording);
    }

    /// Asserts that ACS received no request.
    #[track_caller]
    pub fn assert_acs_uncalled(&self) {
        let requests = self.acs.requests();
        assert!(requests.is_empty(), "{requests:?}");
    }

    /// Asserts that neither ACS nor S3 was called.
    #[track_caller]
    pub fn assert_uncalled(&self) {
        self.assert_acs_uncalled();
        let calls = self.s3.calls();
        assert!(calls.is_empty(), "{calls:?}");
    }

    /// The keys in the bucket.
    pub fn keys(&self) -> Vec<String> {
        self.s3.objects().into_keys().collect()
    }

    /// The keys of unfinished work in the bucket.
    pub fn pending_keys(&self) -> Vec<String> {
        let mut keys = self.keys();
        keys.retain(|key| key.contains("/pending/"));
        keys
    }

    /// The JSON document under a key.
    #[track_caller]
    pub fn json(&self, key: &str) -> Value {
        let object = self.s3.object(key).expect(key);
        serde_json::from_slice(&object.body).unwrap()
    }

    /// The bytes of media that ACS sent for a recording.
    pub fn sent(&self, recording: &Recording) -> u64 {
        let chunks = recording.chunks.iter();
        chunks.map(|chunk| self.acs.sent(&chunk.document_id)).sum()
    }

    /// The requests that ACS received for media.
    pub fn media_requests(&self) -> Vec<Request> {
        let mut requests = self.acs.requests();
        requests.retain(|request| request.kind == Kind::Media);
        requests
    }

    /// Asserts that a recording is archived byte for byte, and that nothing else is left.
    pub fn assert_archived(&self, recording: &Recording) {
        self.assert_complete(recording);
        assert_eq!(
            self.keys().len(),
            2 * recording.chunks.len() + 1,
            "{:?}",
            self.keys()
        );
        assert!(self.s3.uploads().is_empty(), "no upload is left");
    }

    /// Asserts that a recording is archived byte for byte, with its manifest.
    pub fn assert_complete(&self, recording: &Recording) {
        for chunk in &recording.chunks {
            let media = self
                .s3
                .object(&recording.media_key(chunk))
                .expect("the media is there");
            assert!(
                media.body == chunk.media.bytes(0..chunk.media.length()),
                "chunk {} differs",
                chunk.index
            );
            assert_eq!(
                media.crc64nvme.as_deref(),
                Some(chunk.media.crc64nvme().as_str())
            );
            let metadata = self
                .s3
                .object(&recording.metadata_key(chunk))
                .expect("the metadata is there");
            assert_eq!(metadata.body, chunk.metadata());
        }
        let manifest = self.json(&recording.manifest_key());
        assert_eq!(manifest["event"]["id"], recording.event_id);
        let listed = manifest["chunks"].as_array().unwrap();
        assert_eq!(listed.len(), recording.chunks.len());
        for chunk in &recording.chunks {
            let key = recording.media_key(chunk);
            assert!(listed.iter().any(|chunk| chunk["media"]["key"] == key));
            let key = recording.metadata_key(chunk);
            assert!(listed.iter().any(|chunk| chunk["metadata"]["key"] == key));
        }
    }

    /// Makes all unfinished work look older by `age`.
    pub fn age_pending(&self, age: Duration) {
        let mut buckets = vec![self.s3.clone()];
        if self.s3.has(WORK) {
            buckets.push(self.s3.of(WORK));
        }
        for bucket in buckets {
            for (key, object) in bucket.objects() {
                if key.contains("pending/") {
                    bucket.set_last_modified(&key, object.last_modified - age);
                }
            }
        }
    }

    /// Makes every pending event due.
    pub fn make_due(&self) {
        self.age_pending(Duration::from_mins(20));
    }

    /// Empties the bucket, and forgets the requests to both emulators.
    pub fn clear(&self) {
        for key in self.keys() {
            self.s3.remove(&key);
        }
        for upload in self.s3.uploads() {
            self.s3.abort(&upload.upload_id);
        }
        self.s3.clear_calls();
        self.acs.clear_requests();
    }

    /// The number of S3 calls of this operation.
    pub fn count(&self, operation: &str) -> usize {
        self.s3
            .calls()
            .iter()
            .filter(|call| call.operation == operation)
            .count()
    }
}

/// A recording, and the event that announces it.
#[derive(Clone)]
pub struct Recording {
    /// The id of the event.
    pub event_id: String,
    /// The id of the call, from the event's subject.
    pub call_id: String,
    /// The time of the event.
    pub event_time: Option<SystemTime>,
    /// The start of the recording.
    pub started: Option<SystemTime>,
    /// The form of the event.
    pub form: Form,
    /// The chunks, in the order of the event.
    pub chunks: Vec<Chunk>,
    /// The event, if it is not made from the other fields.
    pub told: Option<Value>,
}

/// A form of the event.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The form of 2021, without locations: documents are downloaded by their ids.
    Preview2021,
    /// The current form, with the locations of content and metadata.
    Current,
}

/// A chunk of a recording.
#[derive(Clone)]
pub struct Chunk {
    /// The index in the recording.
    pub index: u64,
    /// The id of the document in ACS.
    pub document_id: String,
    /// The media.
    pub media: Media,
}

impl Chunk {
    /// The metadata document.
    pub fn metadata(&self) -> String {
        format!(
            "{{ \"resourceId\": \"{}\",\r\n  \"chunkIndex\": {} }}\n",
            self.document_id, self.index
        )
    }
}

impl Recording {
    /// A recording that has just ended, with a chunk of each of these lengths.
    pub fn of(lengths: &[u64]) -> Self {
        let chunks = lengths.iter().zip(0..).map(|(length, index)| Chunk {
            index,
            document_id: format!("0-eus-d{index}-801b3f3fc462fe8a01e6810cbff729b8"),
            media: Media::new(Format::Mp4, *length, index),
        });
        #[expect(clippy::disallowed_methods, reason = "a recording that has just ended")]
        let now = SystemTime::now();
        Self {
            event_id: "831e1650-001e-001b-66ab-eeb76e069631".into(),
            call_id: "08fab1f6-2e0c-4a3f-95b8-c6b3a0e8b0d5".into(),
            event_time: Some(now),
            started: Some(now - Duration::from_mins(10)),
            form: Form::Current,
            chunks: chunks.collect(),
            told: None,
        }
    }

    /// The same recording, announced by this event.
    pub fn told_by(mut self, event: &Value) -> Self {
        self.told = Some(event.clone());
        self
    }

    /// The same recording, older by `age`.
    pub fn aged(mut self, age: Duration) -> Self {
        self.event_time = self.event_time.map(|time| time - age);
        self.started = self.started.map(|time| time - age);
        self
    }

    /// The same recording, with an event in this form.
    pub fn in_form(mut self, form: Form) -> Self {
        self.form = form;
        self
    }

    /// Adds the documents to ACS.
    pub fn publish(&self, world: &Embedded) {
        for chunk in &self.chunks {
            world.acs.add(Self::document(chunk));
        }
    }

    /// The document of a chunk in ACS.
    pub fn document(chunk: &Chunk) -> Document {
        Document {
            metadata: chunk.metadata().into(),
            ..Document::new(&chunk.document_id, chunk.media.clone())
        }
    }

    /// Stores the event as a delivery does, `age` ago.
    pub fn store(&self, world: &Embedded, age: Duration) {
        let key = self.event_key();
        world.s3.put(&key, self.event(world).to_string());
        let now = world.s3.object(&key).unwrap().last_modified;
        world.s3.set_last_modified(&key, now - age);
    }

    /// The event, in the Event Grid schema.
    pub fn event(&self, world: &Embedded) -> Value {
        let mut event = self.cloud_event(world);
        let fields = event.as_object_mut().unwrap();
        for (cloud, grid) in [
            ("source", "topic"),
            ("type", "eventType"),
            ("time", "eventTime"),
        ] {
            if let Some(value) = fields.remove(cloud) {
                fields.insert(grid.to_owned(), value);
            }
        }
        fields.remove("specversion");
        fields.insert("dataVersion".to_owned(), "1.0".into());
        fields.insert("metadataVersion".to_owned(), "1".into());
        event
    }

    /// The event, in the `CloudEvents` schema.
    pub fn cloud_event(&self, world: &Embedded) -> Value {
        assert_eq!(world.acs.media_host(), MEDIA_HOST);
        self.tell()
    }

    fn tell(&self) -> Value {
        let chunks: Vec<Value> = self.chunks.iter().map(|chunk| self.chunk(chunk)).collect();
        let call = &self.call_id;
        let mut event = json!({
            "id": self.event_id,
            "source": TOPIC,
            "subject": format!("/recording/call/{call}/serverCallId/aHR0cHM/recordingId/eyJQbGF0"),
            "type": "Microsoft.Communication.RecordingFileStatusUpdated",
            "specversion": "1.0",
            "data": {
                "recordingStorageInfo": {"recordingChunks": chunks},
                "recordingDurationMs": 600_000,
                "sessionEndReason": "CallEnded",
            },
        });
        if let Some(time) = self.event_time {
            event["time"] = written(time).into();
        }
        if let Some(time) = self.started {
            event["data"]["recordingStartTime"] = written(time).into();
        }
        if self.form == Form::Current {
            event["data"]["recordingFormatType"] = "Mp4".into();
        }
        event
    }

    fn chunk(&self, chunk: &Chunk) -> Value {
        let id = &chunk.document_id;
        let mut fields =
            json!({"documentId": id, "index": chunk.index, "endReason": "SessionEnded"});
        if self.form == Form::Current {
            let document = format!("https://{MEDIA_HOST}/v1/objects/{id}");
            fields["contentLocation"] = format!("{document}/content/video").into();
            fields["metadataLocation"] = format!("{document}/content/acsmetadata").into();
            fields["deleteLocation"] = document.into();
        }
        fields
    }

    /// The keys of the contract.
    fn keys(&self) -> Keys {
        contract::keys(&self.told.clone().unwrap_or_else(|| self.tell()))
    }

    /// The names of a chunk's media and metadata, without their extensions.
    fn names(&self, chunk: &Chunk) -> (String, String) {
        let same = |one: &Chunk| one.index == chunk.index && one.document_id == chunk.document_id;
        if let Some(place) = self.chunks.iter().position(same) {
            return self.keys().chunks.swap_remove(place);
        }
        // A chunk of another recording, with the key that it would have in this one.
        let alone = Self {
            chunks: vec![chunk.clone()],
            told: None,
            ..self.clone()
        };
        alone.keys().chunks.swap_remove(0)
    }

    /// The folder of the archived objects.
    pub fn folder(&self) -> String {
        format!("{PREFIX}{}", self.keys().folder)
    }

    /// The folder of unfinished work.
    pub fn pending(&self) -> String {
        format!("{PREFIX}{}", self.keys().pending)
    }

    /// The key of the pending event.
    pub fn event_key(&self) -> String {
        format!("{}/event.json", self.pending())
    }

    /// The key of `attempt.json`.
    pub fn attempt_key(&self) -> String {
        format!("{}/attempt.json", self.pending())
    }

    /// The folder of unfinished work at the root of a bucket of its own.
    pub fn work(&self) -> String {
        self.keys().pending
    }

    /// The key of the record of a chunk's upload.
    pub fn record_key(&self, chunk: &Chunk) -> String {
        format!("{}/{}.upload.json", self.pending(), self.names(chunk).0)
    }

    /// The key of a chunk's media.
    pub fn media_key(&self, chunk: &Chunk) -> String {
        format!("{}/{}.mp4", self.folder(), self.names(chunk).0)
    }

    /// The key of a chunk's metadata.
    pub fn metadata_key(&self, chunk: &Chunk) -> String {
        format!("{}/{}.metadata.json", self.folder(), self.names(chunk).1)
    }

    /// The hash of a media location, which is part of the key.
    pub fn media_location(&self, chunk: &Chunk) -> String {
        let (media, _) = self.names(chunk);
        media[media.len() - 16..].to_owned()
    }

    /// The key of the manifest.
    pub fn manifest_key(&self) -> String {
        format!("{}/{}.manifest.json", self.folder(), self.keys().event)
    }

    /// The key of the rejection.
    pub fn rejection_key(&self) -> String {
        format!("{}/{}.rejected.json", self.folder(), self.keys().event)
    }
}

/// A recording with `name` in its ids.
pub fn named(name: &str, lengths: &[u64]) -> Recording {
    let mut recording = Recording::of(lengths);
    recording.event_id = name.into();
    recording.call_id = name.into();
    for chunk in &mut recording.chunks {
        chunk.document_id = format!("0-eus-{}-{name}", chunk.index);
    }
    recording
}

/// The nth of several recordings, with ids of its own.
pub fn numbered(number: u64, lengths: &[u64]) -> Recording {
    let mut recording = Recording::of(lengths);
    recording.event_id = format!("event-{number}");
    recording.call_id = format!("call-{number}");
    for chunk in &mut recording.chunks {
        chunk.document_id = format!("0-eus-{number}-{}", chunk.index);
    }
    recording
}

/// The time in the form of an event.
fn written(time: SystemTime) -> String {
    OffsetDateTime::from(time).format(&Rfc3339).unwrap()
}
