//! Reads the events of a delivery's body, each understood or with the reason that it is not. Pure.
//!
//! Both envelopes are read, whatever the headers say: an event of the Event Grid schema and one of
//! CloudEvents 1.0 differ in four field names. Fields that are not needed are skipped, and a field
//! of an unexpected type counts as absent: no recording is lost because its `recordingDurationMs`
//! has become a string.
//!
//! <https://learn.microsoft.com/azure/event-grid/event-schema>,
//! <https://learn.microsoft.com/azure/event-grid/cloud-event-schema>

mod chunks;
mod envelope;
mod fields;

use serde_json::value::RawValue;

use crate::recording::{EventId, Recording};
use envelope::{Envelope, ValidationFields};

/// <https://learn.microsoft.com/azure/event-grid/communication-services-voice-video-events>
const RECORDING_FILE_STATUS_UPDATED: &str = "Microsoft.Communication.RecordingFileStatusUpdated";
/// <https://learn.microsoft.com/azure/event-grid/end-point-validation-event-grid-events-schema>
const SUBSCRIPTION_VALIDATION: &str = "Microsoft.EventGrid.SubscriptionValidationEvent";

/// The most elements of one delivery. Event Grid sends no larger batch:
/// <https://learn.microsoft.com/azure/event-grid/delivery-and-retry#output-batching>
const MAX_EVENTS: usize = 5_000;
/// The most chunks of one recording. An event of the current form cannot list as many in 1 MiB.
const MAX_CHUNKS: usize = 2_000;

/// An element of a delivery.
#[derive(Debug)]
pub enum Event {
    /// The validation handshake of the Event Grid schema.
    Validation {
        /// The code that the answer must repeat.
        code: String,
    },
    /// A finished recording.
    Recording(Box<Recording>),
    /// An event of a type that is not archived, such as the deletion of the subscription.
    Other {
        /// The id of the event.
        id: EventId,
        /// The type of the event.
        event_type: String,
    },
    /// An element that cannot be read as an event.
    NotUnderstood {
        /// The bytes of the element as they came.
        event: Box<RawValue>,
        /// The reason.
        reason: NotUnderstood,
    },
}

impl Event {
    /// The id of the event, fit for an answer; empty for a handshake and for an element that was
    /// not understood.
    pub(crate) fn id(&self) -> String {
        match self {
            Self::Recording(recording) => recording.event_id.to_string(),
            Self::Other { id, .. } => id.to_string(),
            Self::Validation { .. } | Self::NotUnderstood { .. } => String::new(),
        }
    }
}

/// The reason that an element of a delivery is not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotUnderstood {
    /// A JSON value that is no object, or an object with a repeated field.
    #[error("event is not a JSON object, or has a field twice")]
    NotAnObject,
    /// A larger batch than Event Grid sends.
    #[error("delivery has {0} events, more than {MAX_EVENTS}")]
    TooManyEvents(usize),
    /// An object without the type of either envelope.
    #[error("event has no type")]
    NoType,
    /// A handshake without a code, which cannot be answered.
    #[error("validation event has no validationCode")]
    NoValidationCode,
    /// No data, or data of another form than ACS documents.
    #[error("event has no readable data.recordingStorageInfo.recordingChunks")]
    NoChunks,
    /// A recording without chunks.
    #[error("event has an empty list of chunks")]
    EmptyChunks,
    /// More chunks than an event can list.
    #[error("event has {0} chunks, more than {MAX_CHUNKS}")]
    TooManyChunks(usize),
    /// An event of a type that is not archived, where only a recording is expected.
    #[error("event is not one of a recording")]
    NotARecording,
}

impl NotUnderstood {
    /// Returns `true` if a smaller element might have been understood.
    pub(crate) fn is_too_many(&self) -> bool {
        matches!(self, Self::TooManyEvents(_) | Self::TooManyChunks(_))
    }
}

/// The error of a body that is no JSON, or neither an object nor an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("body is neither a JSON object nor a JSON array")]
pub struct NotEvents;

/// Reads a delivery's body: one event, or an array of them.
///
/// # Errors
///
/// [`NotEvents`] if the body has no elements to judge one by one.
pub fn events(body: &[u8]) -> Result<Vec<Event>, NotEvents> {
    let body = without_mark(body);
    let body: &RawValue = serde_json::from_slice(body).map_err(|_| NotEvents)?;
    match body.get().as_bytes().first() {
        Some(b'{') => Ok(vec![event(body)]),
        Some(b'[') => {
            let elements: Vec<&RawValue> =
                serde_json::from_str(body.get()).map_err(|_| NotEvents)?;
            if elements.len() > MAX_EVENTS {
                return Ok(vec![Event::NotUnderstood {
                    event: body.to_owned(),
                    reason: NotUnderstood::TooManyEvents(elements.len()),
                }]);
            }
            Ok(elements.into_iter().map(event).collect())
        }
        _ => Err(NotEvents),
    }
}

/// Reads the event of one recording, such as an object under `pending/` holds.
///
/// # Errors
///
/// [`NotUnderstood`], with the reason.
pub fn recording(event_json: &[u8]) -> Result<Recording, NotUnderstood> {
    let event_json = without_mark(event_json);
    let raw: &RawValue =
        serde_json::from_slice(event_json).map_err(|_| NotUnderstood::NotAnObject)?;
    match event(raw) {
        Event::Recording(recording) => Ok(*recording),
        Event::NotUnderstood { reason, .. } => Err(reason),
        Event::Validation { .. } | Event::Other { .. } => Err(NotUnderstood::NotARecording),
    }
}

/// The body without a byte order mark. JSON must not have one, but some senders write it:
/// <https://www.rfc-editor.org/rfc/rfc8259#section-8.1>
fn without_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)
}

fn event(raw: &RawValue) -> Event {
    understand(raw).unwrap_or_else(|reason| Event::NotUnderstood {
        event: raw.to_owned(),
        reason,
    })
}

fn understand(raw: &RawValue) -> Result<Event, NotUnderstood> {
    // Serde would read an array as the fields of the struct in their order.
    if !raw.get().starts_with('{') {
        return Err(NotUnderstood::NotAnObject);
    }
    let envelope: Envelope<'_> =
        serde_json::from_str(raw.get()).map_err(|_| NotUnderstood::NotAnObject)?;
    let event_type = envelope
        .event_type
        .as_deref()
        .or(envelope.cloud_event_type.as_deref());
    let event_type = event_type.ok_or(NotUnderstood::NoType)?;
    if event_type.eq_ignore_ascii_case(RECORDING_FILE_STATUS_UPDATED) {
        Ok(Event::Recording(Box::new(envelope.recording(raw)?)))
    } else if event_type.eq_ignore_ascii_case(SUBSCRIPTION_VALIDATION) {
        let data: Option<ValidationFields> = envelope
            .data
            .and_then(|data| serde_json::from_str(data.get()).ok());
        let code = data
            .and_then(|data| data.validation_code)
            .ok_or(NotUnderstood::NoValidationCode)?;
        Ok(Event::Validation { code })
    } else {
        Ok(Event::Other {
            id: envelope.id.unwrap_or_default().into(),
            event_type: event_type.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::{Chunk, Format, sha256_hex};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    const CURRENT: &str = include_str!("../events/recording-current.json");
    const THREE_CHUNKS: &str = include_str!("../events/recording-three-chunks.json");

    /// The body inside a sample event.
    fn body(payload: &str) -> Vec<u8> {
        use base64::prelude::{BASE64_STANDARD, Engine as _};

        let payload: Value = serde_json::from_str(payload).unwrap();
        let body = payload["body"].as_str().unwrap();
        if payload["isBase64Encoded"] == json!(true) {
            BASE64_STANDARD.decode(body).unwrap()
        } else {
            body.as_bytes().to_vec()
        }
    }

    fn event_of(data: &Value) -> Value {
        json!({
            "id": "1", "eventType": RECORDING_FILE_STATUS_UPDATED,
            "subject": "/recording/call/c", "data": data,
        })
    }

    fn chunks_of(chunks: &Value) -> Value {
        event_of(&json!({"recordingStorageInfo": {"recordingChunks": chunks}}))
    }

    #[test]
    fn the_current_form_is_read() {
        let body = body(CURRENT);
        let [Event::Recording(recording)] = &*events(&body).unwrap() else {
            panic!("one recording")
        };
        assert_eq!(recording.format, Format::Mp4);
        assert!(recording.event_time.is_some() && recording.started.is_some());
        assert!(
            recording.chunks[0].content_location.is_some()
                && recording.chunks[0].metadata_location.is_some()
        );
        let text = String::from_utf8(body).unwrap();
        assert_eq!(
            text,
            format!("[{}]", recording.event.get()),
            "the event's bytes are kept"
        );
    }

    #[test]
    fn too_many_events_or_chunks_are_not_understood() {
        for (count, expected) in [(MAX_EVENTS, MAX_EVENTS), (MAX_EVENTS + 1, 1)] {
            let body = serde_json::to_vec(&vec![0; count]).unwrap();
            assert_eq!(events(&body).unwrap().len(), expected);
        }
        for (count, understood) in [(MAX_CHUNKS, true), (MAX_CHUNKS + 1, false)] {
            let chunks: Vec<Value> = (0..count).map(|index| json!({"index": index})).collect();
            let event = chunks_of(&json!(chunks)).to_string();
            let read = recording(event.as_bytes());
            assert_eq!(read.is_ok(), understood);
            if let Err(reason) = read {
                assert_eq!(reason, NotUnderstood::TooManyChunks(count));
            }
        }
    }

    #[test]
    fn an_array_is_no_event_whatever_its_elements() {
        let body = format!(r#"[["1", "{RECORDING_FILE_STATUS_UPDATED}"]]"#);
        let read = events(body.as_bytes()).unwrap();
        let [Event::NotUnderstood { reason, .. }] = &*read else {
            panic!("{read:?}")
        };
        assert_eq!(*reason, NotUnderstood::NotAnObject);
    }

    #[test]
    fn chunks_in_any_order_are_sorted_by_index() {
        let [Event::Recording(recording)] = &*events(&body(THREE_CHUNKS)).unwrap() else {
            panic!("one recording")
        };
        assert_eq!(
            recording
                .chunks
                .iter()
                .map(|chunk| chunk.index)
                .collect::<Vec<_>>(),
            [0, 1, 2]
        );
        assert_eq!(recording.format, Format::Wav);
    }

    #[test]
    fn fields_of_unexpected_types_count_as_absent() {
        let event = event_of(&json!({
            "recordingStartTime": 5, "recordingFormatType": null, "storageType": null,
            "recordingStorageInfo": {"recordingChunks": [
                {"documentId": "a", "index": "x", "contentLocation": null, "metadataLocation": ""},
                {"documentId": 7, "index": -1},
            ]},
        }));
        let recording = recording(event.to_string().as_bytes()).unwrap();
        assert_eq!(
            (recording.started, recording.format, recording.storage_type),
            (None, Format::Mp4, None)
        );
        let chunk = |index, document_id: &str| Chunk {
            index,
            document_id: document_id.into(),
            content_location: None,
            metadata_location: None,
        };
        assert_eq!(recording.chunks, [chunk(0, "a"), chunk(1, "")]);
    }

    #[test]
    fn an_event_that_is_not_understood_has_a_reason() {
        for (event, why) in [
            (json!(1), NotUnderstood::NotAnObject),
            (json!({}), NotUnderstood::NoType),
            (json!({"eventType": 1}), NotUnderstood::NoType),
            (
                json!({"type": SUBSCRIPTION_VALIDATION, "data": {}}),
                NotUnderstood::NoValidationCode,
            ),
            (
                json!({"type": RECORDING_FILE_STATUS_UPDATED}),
                NotUnderstood::NoChunks,
            ),
            (
                event_of(&json!({"recordingStorageInfo": {}})),
                NotUnderstood::NoChunks,
            ),
            (chunks_of(&json!([1])), NotUnderstood::NoChunks),
            (chunks_of(&json!([])), NotUnderstood::EmptyChunks),
        ] {
            let parsed = events(json!([event]).to_string().as_bytes()).unwrap();
            let [
                Event::NotUnderstood {
                    reason,
                    event: kept,
                },
            ] = &*parsed
            else {
                panic!("{event}")
            };
            assert_eq!((reason, kept.get()), (&why, event.to_string().as_str()));
        }
    }

    #[test]
    fn a_chunk_that_is_listed_twice_is_one() {
        let event =
            chunks_of(&json!([{"documentId": "a", "index": 0}, {"documentId": "a", "index": 0}]));
        assert_eq!(
            recording(event.to_string().as_bytes())
                .unwrap()
                .chunks
                .len(),
            1
        );
    }

    #[test]
    fn two_chunks_of_one_index_and_document_are_told_apart_by_their_locations() {
        let chunk = |content: &str, metadata: &str| {
            json!({
                "documentId": "a", "index": 2,
                "contentLocation": content, "metadataLocation": metadata,
            })
        };
        for (others, count) in [
            (vec![chunk("x", "m")], 1),
            (vec![chunk("y", "m")], 2),
            (vec![chunk("x", "n")], 2),
            (vec![chunk("", "m")], 2),
            (vec![chunk("y", "n"), chunk("x", "m"), chunk("y", "n")], 2),
        ] {
            let mut chunks = vec![chunk("x", "m")];
            chunks.extend(others);
            let read = |chunks: &[Value]| {
                let event = chunks_of(&json!(chunks)).to_string();
                recording(event.as_bytes()).unwrap().chunks
            };
            let in_order = read(&chunks);
            assert_eq!(in_order.len(), count, "{chunks:?}");
            chunks.reverse();
            assert_eq!(read(&chunks), in_order, "in whatever order they come");
        }
    }

    #[test]
    fn a_byte_order_mark_before_the_body_is_skipped() {
        let event = event_of(&json!({"recordingStorageInfo": {"recordingChunks": [{"index": 0}]}}));
        for body in [json!([event]), event.clone()] {
            let read = events(format!("\u{feff}{body}").as_bytes()).unwrap();
            let [Event::Recording(recording)] = &*read else {
                panic!("{read:?}")
            };
            assert_eq!(recording.event.get(), event.to_string(), "without the mark");
        }
        assert!(events("\u{feff} []".as_bytes()).unwrap().is_empty());
        let pending = format!("\u{feff}{event}");
        assert_eq!(
            recording(pending.as_bytes()).unwrap().event.get(),
            event.to_string()
        );
    }

    #[test]
    fn an_index_is_an_integer_in_any_spelling() {
        for (index, read) in [
            (json!(3), Some(3)),
            (json!(3.0), Some(3)),
            (json!("3"), Some(3)),
            (json!("3.0"), Some(3)),
            (json!(" 3 "), Some(3)),
            (json!("03"), Some(3)),
            (json!(3e2), Some(300)),
            (json!(-0.0), Some(0)),
            (json!(u64::MAX), Some(u64::MAX)),
            (json!("18446744073709551615"), Some(u64::MAX)),
            (json!(9_007_199_254_740_992.0), Some(9_007_199_254_740_992)),
            // Beyond this, a float is not one number alone.
            (json!(9_007_199_254_740_994.0), None),
            (json!(1e300), None),
            (json!(-1), None),
            (json!(-1.0), None),
            (json!("-1"), None),
            (json!("+1"), None),
            (json!(1.5), None),
            (json!("1.5"), None),
            (json!("1e400"), None),
            (json!("NaN"), None),
            (json!("inf"), None),
            (json!("0x1"), None),
            (json!(""), None),
            (json!("18446744073709551616"), None),
            (json!(true), None),
            (json!([3]), None),
            (json!(null), None),
        ] {
            let chunks = json!([
                {"documentId": "first", "index": 70},
                {"documentId": "second", "index": index},
            ]);
            let event = chunks_of(&chunks).to_string();
            let chunks = recording(event.as_bytes()).unwrap().chunks;
            let second = chunks.iter().find(|chunk| chunk.document_id == "second");
            // Without an index, a chunk has its place's.
            assert_eq!(second.unwrap().index, read.unwrap_or(1), "{index}");
        }
    }

    #[test]
    fn an_empty_id_counts_as_absent() {
        let event = |id: &str, chunk: &str| {
            let mut event = chunks_of(&json!([{"documentId": chunk, "index": 0}]));
            event["id"] = id.into();
            let event = event.to_string();
            let id = recording(event.as_bytes()).unwrap().event_id;
            (id.to_string(), sha256_hex(event.as_bytes()))
        };
        assert_eq!(event("1", "a").0, "1");
        let (id, hash) = event("", "a");
        assert_eq!(
            id, hash,
            "an event without an id is told apart by its bytes"
        );
        assert_ne!(event("", "a").0, event("", "b").0);
    }

    #[test]
    fn times_without_an_offset_are_utc() {
        let of = |time: &str| {
            let mut event = event_of(&json!({
                "recordingStartTime": time,
                "recordingStorageInfo": {"recordingChunks": [{}]},
            }));
            event["eventTime"] = time.into();
            let recording = recording(event.to_string().as_bytes()).unwrap();
            assert_eq!(recording.event_time, recording.started, "{time}");
            recording.started
        };
        let utc = of("2026-11-23T15:20:34.2199328Z");
        assert!(utc.is_some());
        assert_eq!(of("2026-11-23T15:20:34.2199328"), utc);
    }

    #[test]
    fn types_are_compared_without_case() {
        for event_type in [
            "microsoft.eventgrid.subscriptionvalidationevent",
            SUBSCRIPTION_VALIDATION,
        ] {
            let body = json!([{"eventType": event_type, "data": {"validationCode": "512d38b6"}}])
                .to_string();
            let read = events(body.as_bytes()).unwrap();
            assert!(matches!(&*read, [Event::Validation { code }] if code == "512d38b6"));
        }
        let body =
            json!({"id": "7", "type": "Microsoft.Communication.ChatMessageReceived"}).to_string();
        let read = events(body.as_bytes()).unwrap();
        assert!(matches!(&*read, [Event::Other { id, .. }] if id.to_string() == "7"));
    }

    #[test]
    fn a_body_that_is_neither_an_object_nor_an_array_is_refused() {
        for body in [
            "",
            "{",
            "nonsense",
            "1",
            "null",
            "\"x\"",
            "[1",
            "{} {}",
            "\u{feff}",
            "\u{feff}1",
            "\u{feff}\u{feff}[]",
            "[\u{feff}]",
        ] {
            assert_eq!(events(body.as_bytes()).unwrap_err(), NotEvents, "{body}");
        }
        assert!(events(b"\xff").is_err());
        assert!(events(b" [] ").unwrap().is_empty());
    }

    #[test]
    fn deep_nesting_is_skipped_not_followed() {
        let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
        let body = format!(r#"{{"type":"x","data":{deep}}}"#);
        assert!(matches!(
            &*events(body.as_bytes()).unwrap(),
            [Event::Other { .. }]
        ));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = events(&body);
        }

        #[test]
        fn no_truncated_or_mutated_sample_panics(
            cut in 0_usize..3_000, at in 0_usize..3_000, byte in any::<u8>(),
        ) {
            for payload in [CURRENT, THREE_CHUNKS] {
                let mut body = body(payload);
                body.truncate(cut.max(1));
                let at = at % body.len();
                body[at] = byte;
                let _ = events(&body);
            }
        }
    }
}
