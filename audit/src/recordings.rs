//! The recordings of an archive: the facts of their events, and their states.

use acs_recording_archiver::event_grid;
use acs_recording_archiver::media::{Check, RecordingCheck};
use acs_recording_archiver::recording::{StorageClass, Timestamp};
use serde::{Serialize, Serializer};
use serde_json::Value;

/// A consumer of the recordings of an archive: pending ones first, then events set aside, then
/// all others in the order of their folders.
pub trait RecordingSink: Send {
    /// Adds the next recording.
    fn add(&mut self, recording: &Recording);
}

/// Discards the recordings.
impl RecordingSink for () {
    fn add(&mut self, _: &Recording) {}
}

/// Adds each recording to both sinks.
impl<A: RecordingSink, B: RecordingSink> RecordingSink for (A, B) {
    fn add(&mut self, recording: &Recording) {
        self.0.add(recording);
        self.1.add(recording);
    }
}

impl<S: RecordingSink> RecordingSink for Option<S> {
    fn add(&mut self, recording: &Recording) {
        if let Some(sink) = self {
            sink.add(recording);
        }
    }
}

/// The index and documentId of a chunk.
pub(crate) type ChunkId = (u64, String);

/// A recording, or the chunks of a recording that one event names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Recording {
    /// The key of the manifest, rejection or stored event.
    pub(crate) document: String,
    pub(crate) state: State,
    #[serde(flatten)]
    pub(crate) facts: Facts,
    /// The archived media and metadata, by chunk.
    pub(crate) objects: Vec<Archived>,
    /// The size of the media.
    pub(crate) bytes: u64,
    /// The number of findings about the recording.
    pub(crate) findings: usize,
    /// The verdicts on the media, if it was examined.
    pub(crate) media: Option<String>,
    /// The reason why the recording is not archived.
    pub(crate) reason: Option<String>,
    /// The time until ACS deletes the source of a pending recording.
    pub(crate) seconds_left: Option<u64>,
}

/// The state of a recording in the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum State {
    /// There is a manifest.
    Archived,
    /// The event is under `pending/`.
    Pending,
    /// There is a rejection.
    Rejected,
    /// The event is under `rejected/`.
    SetAside,
    /// ACS exported the recording to the customer's own storage.
    Exported,
}

/// An object of a chunk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Archived {
    pub(crate) index: u64,
    /// `true` for media, `false` for metadata.
    pub(crate) is_media: bool,
    pub(crate) key: String,
    pub(crate) size: u64,
    /// The checksum in base64, if the store has one.
    pub(crate) crc64nvme: Option<String>,
}

/// The facts of a recording, from its event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Facts {
    /// The call's id, as keys contain it.
    pub(crate) call: Option<String>,
    pub(crate) recording_id: Option<String>,
    #[serde(serialize_with = "moment")]
    pub(crate) started: Option<Timestamp>,
    pub(crate) duration_ms: Option<u64>,
    pub(crate) chunks: Vec<ChunkId>,
    /// `true` if ACS exported the recording to the customer's own storage.
    #[serde(skip)]
    pub(crate) exported: bool,
}

impl State {
    /// Returns the name in JSON and in texts.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Archived => "archived",
            Self::Pending => "pending",
            Self::Rejected => "rejected",
            Self::SetAside => "setAside",
            Self::Exported => "exported",
        }
    }
}

impl Facts {
    /// Reads the facts of an event, as far as the event can be understood.
    pub(crate) fn of(event_json: &[u8]) -> Self {
        let event: Value = serde_json::from_slice(event_json).unwrap_or_default();
        let data = event.get("data").unwrap_or(&Value::Null);
        let text = |value: &Value, name: &str| {
            let text = value.get(name).and_then(Value::as_str);
            text.filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let subject = text(&event, "subject").unwrap_or_default();
        let started = text(data, "recordingStartTime");
        let mut facts = Self {
            call: None,
            recording_id: segment(&subject, "recordingId").or_else(|| text(data, "recordingId")),
            started: started.as_deref().and_then(Timestamp::parse),
            duration_ms: data.get("recordingDurationMs").and_then(integer),
            chunks: vec![],
            exported: false,
        };
        if let Ok(recording) = event_grid::recording(event_json) {
            facts.call = Some(recording.call_id().into_owned());
            facts.exported = recording.storage() == StorageClass::Customer;
            let chunks = recording.chunks.into_iter();
            facts.chunks = chunks.map(|it| (it.index, it.document_id)).collect();
        } else {
            facts.call = segment(&subject, "call");
        }
        facts
    }
}

impl Recording {
    /// Creates a recording from the facts of its event.
    pub(crate) fn new(document: &str, state: State, facts: Facts) -> Self {
        Self {
            document: document.to_owned(),
            state: match state {
                State::SetAside if facts.exported => State::Exported,
                state => state,
            },
            facts,
            objects: vec![],
            bytes: 0,
            findings: 0,
            media: None,
            reason: None,
            seconds_left: None,
        }
    }

    /// Adds an object of a chunk.
    pub(crate) fn add(&mut self, object: Archived) {
        if object.is_media {
            self.bytes = self.bytes.saturating_add(object.size);
        }
        self.objects.push(object);
    }

    /// Returns the day of the start, as `2026-11-23`.
    pub(crate) fn day(&self) -> Option<String> {
        self.facts.started.map(day)
    }
}

/// Joins the verdicts on the chunks, each once, and the doubts about the recording. Returns `None`
/// if the media was not examined.
pub(crate) fn checked<'a>(
    chunks: impl Iterator<Item = &'a Check>,
    recording: Option<&RecordingCheck>,
) -> Option<String> {
    let mut texts: Vec<String> = chunks
        .map(|check| check.verdict.name().to_owned())
        .collect();
    texts.sort();
    texts.dedup();
    texts.extend(recording.into_iter().flat_map(|check| check.doubts.clone()));
    (!texts.is_empty()).then(|| texts.join(", "))
}

/// Returns the segment after the segment `name` of a subject.
fn segment(subject: &str, name: &str) -> Option<String> {
    let mut segments = subject.split('/');
    segments.find(|segment| segment.eq_ignore_ascii_case(name))?;
    let id = segments.next().filter(|id| !id.is_empty());
    id.map(str::to_owned)
}

/// Returns a number without a fraction, from a JSON number or a text.
fn integer(value: &Value) -> Option<u64> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.trim().to_owned(),
        _ => return None,
    };
    let whole = text.split_once('.').map_or(&*text, |(whole, fraction)| {
        if fraction.bytes().all(|digit| digit == b'0') {
            whole
        } else {
            ""
        }
    });
    whole.parse().ok()
}

/// Formats the day of a time, as `2026-11-23`.
pub(crate) fn day(moment: Timestamp) -> String {
    moment.day().replace('/', "-")
}

/// Formats a time as `2026-11-23T15:20:34.219Z`.
#[must_use]
pub fn iso(moment: Timestamp) -> String {
    let compact = moment.compact();
    let digits = |range| compact.get(range).unwrap_or_default();
    format!(
        "{}T{}:{}:{}Z",
        day(moment),
        digits(9..11),
        digits(11..13),
        digits(13..19)
    )
}

#[expect(clippy::ref_option, reason = "the signature that serde requires")]
fn moment<S: Serializer>(moment: &Option<Timestamp>, to: S) -> Result<S::Ok, S::Error> {
    moment.map(iso).serialize(to)
}

#[cfg(test)]
mod tests {
    use acs_recording_archiver::media::Verdict;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_verdicts_of_a_manifest_in_one_line() {
        let of = |verdict| Check {
            verdict,
            ..Check::failed("as the test says")
        };
        let (complete, truncated) = (of(Verdict::Complete), of(Verdict::Truncated));
        let doubtful = RecordingCheck {
            duration_ms: None,
            recording_duration_ms: None,
            difference_ms: None,
            doubts: vec!["short".to_owned()],
        };
        for (chunks, whole, expected) in [
            (vec![&complete, &complete], None, Some("complete")),
            (
                vec![&complete, &truncated],
                Some(&doubtful),
                Some("complete, truncated, short"),
            ),
            (vec![], None, None),
        ] {
            let said = checked(chunks.into_iter(), whole);
            assert_eq!(said.as_deref(), expected);
        }
    }

    #[test]
    fn facts_of_an_incomplete_event_are_read() {
        let event = |subject: &str, data: Value| {
            let event = json!({"id": "e", "topic": "/t", "subject": subject, "data": data,
                "eventType": "Microsoft.Communication.RecordingFileStatusUpdated"});
            Facts::of(event.to_string().as_bytes())
        };
        let chunks = json!({"recordingChunks": [{"documentId": "d", "index": 0}]});
        let whole = event(
            "/recording/call/c/serverCallId/s/recordingId/r",
            json!({"recordingStartTime": "2026-11-23T15:20:34.2199328Z",
                "recordingDurationMs": "60000.0", "recordingStorageInfo": chunks}),
        );
        assert_eq!(whole.call.as_deref(), Some("c"));
        assert_eq!(whole.recording_id.as_deref(), Some("r"));
        assert_eq!(iso(whole.started.unwrap()), "2026-11-23T15:20:34.219Z");
        assert_eq!(whole.duration_ms, Some(60_000));
        assert_eq!(whole.chunks, [(0, "d".to_owned())]);

        let own = event(
            "/recording/call/c",
            json!({"recordingId": "r", "recordingDurationMs": 1.5}),
        );
        assert_eq!(own.call.as_deref(), Some("c"));
        assert_eq!(own.recording_id.as_deref(), Some("r"));
        assert_eq!((own.started, own.duration_ms), (None, None));
        for nothing in ["", "[]", "7", "{", "{\"subject\": 7, \"data\": []}"] {
            assert_eq!(Facts::of(nothing.as_bytes()), Facts::default(), "{nothing}");
        }
    }
}
