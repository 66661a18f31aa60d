//! The identity of an event and the location of a document: the hashes in a key that separate one
//! source from another. Pure.
//!
//! # Why no event can take another's identity
//!
//! An identity is a hash of a *canonical form*: a JSON array of everything in an event that decides
//! where its recording is fetched from, where it is stored, and whether it is fetched at all. JSON
//! encodes arrays injectively: every text is quoted and escaped, so the content of one field cannot
//! end the field and begin the next, and `null` is no text. Two events have the same canonical form
//! only if they agree in every one of these fields, and then both cause the same work. The other
//! fields (ids, times of delivery, durations, delete locations) change nothing that is archived.
//!
//! An `https` location without userinfo and query stands in the form as one text, its host and
//! path. Any other location stands there as a list of one text, its complete URL, since ACS may
//! refuse another scheme or query where it serves the plain location. A list never equals a text,
//! so no odd spelling passes for a plain location.

use serde::Serialize;
use url::Url;

use crate::locations::{media_path, metadata_path};
use crate::recording::{Chunk, Recording, Timestamp, sha256_hex};

/// Hexadecimal digits of a hash in a key: 64 bits.
pub(super) const DIGITS: usize = 16;

/// A location as it stands in canonical forms.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(untagged)]
enum Address {
    /// Host (lower case, without a default port) and path (byte for byte) of an `https` URL.
    Plain(String),
    /// Any other URL without its fragment, or a text that is no URL.
    Odd([String; 1]),
}

impl Address {
    fn of(location: &str) -> Self {
        let Ok(mut url) = Url::parse(location) else {
            return Self::Odd([location.to_owned()]);
        };
        // A request does not send the fragment.
        url.set_fragment(None);
        let userinfo = !url.username().is_empty() || url.password().is_some();
        if url.scheme() == "https" && !userinfo && url.query().is_none() {
            Self::Plain(host_and_path(&url))
        } else {
            Self::Odd([url.into()])
        }
    }

    /// The text to hash: host and path of a plain address, or the JSON of an odd address. The JSON
    /// begins with `["`, as no host does.
    fn text(&self) -> String {
        match self {
            Self::Plain(text) => text.clone(),
            Self::Odd(odd) => to_json(odd),
        }
    }
}

/// The host and path. The parser has put the host into lower case, and dropped a default port.
fn host_and_path(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}"));
    let host = url.host_str().unwrap_or_default();
    format!("{host}{}{}", port.unwrap_or_default(), url.path())
}

/// Index, documentId, content location, metadata location.
type ChunkForm<'a> = (u64, &'a str, Option<Address>, Option<Address>);

/// The complete SHA-256 of an event's canonical form, by which contents are compared.
pub(super) fn fingerprint(recording: &Recording) -> String {
    sha256_hex(canonical_form(recording).as_bytes())
}

/// The identity of an event: the first 16 hexadecimal digits of its fingerprint.
pub(super) fn identity(fingerprint: &str) -> &str {
    fingerprint.get(..DIGITS).unwrap_or(fingerprint)
}

fn canonical_form(recording: &Recording) -> String {
    let mut chunks: Vec<ChunkForm<'_>> = recording.chunks.iter().map(chunk_form).collect();
    chunks.sort_unstable();
    to_json(&(
        recording.topic.to_lowercase(),
        recording.call_id(),
        recording.started.map(Timestamp::compact),
        recording.format.extension(),
        recording.storage().name(),
        chunks,
    ))
}

fn chunk_form(chunk: &Chunk) -> ChunkForm<'_> {
    let address = |location: &Option<String>| location.as_deref().map(Address::of);
    (
        chunk.index,
        chunk.document_id.as_str(),
        address(&chunk.content_location),
        address(&chunk.metadata_location),
    )
}

/// The location of a chunk's media: 16 hexadecimal digits of the SHA-256 of the host and path that
/// the media is fetched from; at the ACS resource at `endpoint` if the event has no location.
pub(super) fn media_location(chunk: &Chunk, endpoint: &Url) -> String {
    let location = chunk.content_location.as_deref();
    location_of(location, endpoint, || media_path(&chunk.document_id))
}

/// The location of a chunk's metadata, made like that of media.
pub(super) fn metadata_location(chunk: &Chunk, endpoint: &Url) -> String {
    let location = chunk.metadata_location.as_deref();
    location_of(location, endpoint, || metadata_path(&chunk.document_id))
}

fn location_of(location: Option<&str>, endpoint: &Url, path: impl Fn() -> String) -> String {
    let at_endpoint = || {
        let mut url = endpoint.clone();
        url.set_path(&path());
        host_and_path(&url)
    };
    let text = location.map_or_else(at_endpoint, |location| Address::of(location).text());
    digits(text.as_bytes())
}

/// Returns `true` if `text` has the form of an identity or a location.
pub(super) fn is_hash(text: &str) -> bool {
    let hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    text.len() == DIGITS && text.bytes().all(hex)
}

fn digits(bytes: &[u8]) -> String {
    let mut hash = sha256_hex(bytes);
    hash.truncate(DIGITS);
    hash
}

fn to_json(value: &impl Serialize) -> String {
    // The value holds strings, numbers and lists, so serialising it cannot fail.
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event_grid;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    const CONTENT: &str = "https://eus.asm.skype.com/v1/objects/d/content/video";
    const METADATA: &str = "https://eus.asm.skype.com/v1/objects/d/content/acsmetadata";

    fn event() -> Value {
        json!({
            "id": "831e", "topic": "/subscriptions/A", "eventTime": "2026-11-23T15:20:34.2199328Z",
            "eventType": "Microsoft.Communication.RecordingFileStatusUpdated",
            "subject": "/recording/call/08fa/serverCallId/a",
            "data": {
                "recordingStartTime": "2026-11-23T14:10:04Z", "recordingFormatType": "Mp4",
                "recordingStorageInfo": {"recordingChunks": [
                    {"documentId": "d", "index": 0,
                        "contentLocation": CONTENT, "metadataLocation": METADATA,
                        "deleteLocation": "https://eus.asm.skype.com/v1/objects/d"},
                    {"documentId": "e", "index": 1},
                ]},
            },
        })
    }

    fn read(event: &Value) -> Recording {
        event_grid::recording(event.to_string().as_bytes()).unwrap()
    }

    fn identity_of(event: &Value) -> String {
        identity(&fingerprint(&read(event))).to_owned()
    }

    /// The event after a change to the value at a JSON pointer; the members that lead there exist,
    /// or the last is made.
    fn changed(pointer: &str, value: Value) -> Value {
        let mut event = event();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        match event.pointer_mut(parent).unwrap() {
            Value::Object(members) => drop(members.insert(name.to_owned(), value)),
            other => other[name.parse::<usize>().unwrap()] = value,
        }
        event
    }

    fn cloud_event(mut event: Value) -> Value {
        let fields = event.as_object_mut().unwrap();
        for (grid, cloud) in [
            ("topic", "source"),
            ("eventType", "type"),
            ("eventTime", "time"),
        ] {
            let value = fields.remove(grid).unwrap();
            fields.insert(cloud.to_owned(), value);
        }
        event
    }

    const CHUNKS: &str = "/data/recordingStorageInfo/recordingChunks";

    #[test]
    fn the_canonical_form_is_that_of_the_contract() {
        let form = canonical_form(&read(&event()));
        let expected = concat!(
            r#"["/subscriptions/a","08fa","20261123T141004.0000000Z","mp4","acs","#,
            r#"[[0,"d","eus.asm.skype.com/v1/objects/d/content/video","#,
            r#""eus.asm.skype.com/v1/objects/d/content/acsmetadata"],[1,"e",null,null]]]"#,
        );
        assert_eq!(form, expected);
        assert_eq!(identity_of(&event()), digits(expected.as_bytes()));
        assert!(is_hash(&identity_of(&event())));
    }

    #[test]
    fn the_same_recording_has_the_same_identity() {
        let first = format!("{CHUNKS}/0");
        for (what, other) in [
            ("the other envelope", cloud_event(event())),
            ("another id", changed("/id", "another".into())),
            (
                "another time",
                changed("/eventTime", "2026-11-24T00:00:00Z".into()),
            ),
            ("a dead letter", changed("/deadLetterReason", "x".into())),
            ("its attempts", changed("/deliveryAttempts", 30.into())),
            (
                "the topic's letter case",
                changed("/topic", "/SUBSCRIPTIONS/a".into()),
            ),
            (
                "what follows the call",
                changed("/subject", "/recording/call/08fa".into()),
            ),
            (
                "the start in another zone",
                changed(
                    "/data/recordingStartTime",
                    "2026-11-23T16:10:04+02:00".into(),
                ),
            ),
            (
                "the format's letter case",
                changed("/data/recordingFormatType", "MP4".into()),
            ),
            (
                "ACS's own storage",
                changed("/data/storageType", "acsStorage".into()),
            ),
            (
                "the host's letter case and port",
                changed(
                    &format!("{first}/contentLocation"),
                    "https://EUS.asm.skype.com:443/v1/objects/d/content/video#x".into(),
                ),
            ),
            (
                "a name of ACS's own storage",
                changed("/data/storageType", "acsStorage".into()),
            ),
            (
                "another delete location",
                changed(&format!("{first}/deleteLocation"), "x".into()),
            ),
            (
                "the order of the chunks",
                changed(CHUNKS, {
                    let mut chunks = event().pointer(CHUNKS).unwrap().clone();
                    chunks.as_array_mut().unwrap().reverse();
                    chunks
                }),
            ),
        ] {
            assert_eq!(identity_of(&other), identity_of(&event()), "{what}");
        }
    }

    #[test]
    fn another_recording_has_another_identity() {
        let first = |field: &str| format!("{CHUNKS}/0/{field}");
        let content = |location: &str| changed(&first("contentLocation"), location.into());
        let mut identities = vec![identity_of(&event())];
        for other in [
            changed("/topic", "/subscriptions/b".into()),
            changed("/subject", "/recording/call/08fb".into()),
            changed("/data/recordingStartTime", "2026-11-23T14:10:05Z".into()),
            changed("/data/recordingStartTime", Value::Null),
            changed("/data/recordingFormatType", "Wav".into()),
            changed("/data/storageType", "AzureBlobStorage".into()),
            changed(&first("index"), 2.into()),
            changed(&first("documentId"), "f".into()),
            changed(&first("documentId"), r#"d","x"#.into()),
            changed(&first("contentLocation"), Value::Null),
            changed(&first("metadataLocation"), Value::Null),
            changed(&first("metadataLocation"), CONTENT.into()),
            content("https://eus.asm.skype.com/v1/objects/x/content/video"),
            content("https://eus.asm.skype.com/v1/objects/D/content/video"),
            content("https://eus.asm.skype.com/v1/objects/%64/content/video"),
            content("https://eus.asm.skype.com/v1/objects/d/content/video/"),
            content("https://eus.asm.skype.com:8443/v1/objects/d/content/video"),
            content("https://wus.asm.skype.com/v1/objects/d/content/video"),
            // The same host and path, but it is refused, or may be answered otherwise.
            content("http://eus.asm.skype.com/v1/objects/d/content/video"),
            content("https://u@eus.asm.skype.com/v1/objects/d/content/video"),
            content("https://eus.asm.skype.com/v1/objects/d/content/video?x"),
            content("https://eus.asm.skype.com/v1/objects/d/content/video?y"),
            content("eus.asm.skype.com/v1/objects/d/content/video"),
            changed(CHUNKS, json!([{"documentId": "e", "index": 1}])),
        ] {
            identities.push(identity_of(&other));
        }
        let all = identities.len();
        identities.sort_unstable();
        identities.dedup();
        assert_eq!(identities.len(), all);
    }

    #[test]
    fn a_location_is_the_host_and_path_of_the_fetch() {
        let recording = read(&event());
        let endpoint = Url::parse("https://Contoso.communication.azure.com:443/").unwrap();
        let [current, preview] = &*recording.chunks else {
            panic!("two chunks")
        };
        for (location, text) in [
            (
                media_location(current, &endpoint),
                "eus.asm.skype.com/v1/objects/d/content/video",
            ),
            (
                metadata_location(current, &endpoint),
                "eus.asm.skype.com/v1/objects/d/content/acsmetadata",
            ),
            (
                media_location(preview, &endpoint),
                "contoso.communication.azure.com/recording/download/e",
            ),
            (
                metadata_location(preview, &endpoint),
                "contoso.communication.azure.com/recording/download/e/metadata",
            ),
        ] {
            assert_eq!(location, digits(text.as_bytes()), "{text}");
        }
    }

    proptest! {
        #[test]
        fn texts_cannot_move_from_one_field_to_another(
            a in any::<String>(), b in any::<String>(), c in any::<String>(), d in any::<String>(),
        ) {
            let of = |id: &str, location: &str| {
                let chunk = json!({"documentId": id, "index": 0, "contentLocation": location});
                canonical_form(&read(&changed(CHUNKS, json!([chunk]))))
            };
            let url = |text: &str| format!("https://h.example/{}", text.replace(['?', '#'], ""));
            let same = a == c && Address::of(&url(&b)) == Address::of(&url(&d));
            prop_assert_eq!(of(&a, &url(&b)) == of(&c, &url(&d)), same);
            prop_assert_eq!(of(&a, &b) == of(&c, &b), a == c);
        }

        #[test]
        fn an_order_of_chunks_and_an_envelope_change_nothing(
            ids in proptest::collection::vec("[a-z]{1,3}", 1..6), by in 0_usize..6,
        ) {
            let chunk = |(index, id): (usize, &String)| {
                let location = format!("https://h.example/{id}/{index}");
                json!({"documentId": id, "index": index % 3, "contentLocation": location})
            };
            let mut chunks: Vec<Value> = ids.iter().enumerate().map(chunk).collect();
            let event = changed(CHUNKS, chunks.clone().into());
            let by = by % chunks.len();
            chunks.rotate_left(by);
            let other = cloud_event(changed(CHUNKS, chunks.clone().into()));
            prop_assert_eq!(identity_of(&event), identity_of(&other));
            chunks[0]["contentLocation"] = "https://h.example/another".into();
            let other = changed(CHUNKS, chunks.into());
            prop_assert_ne!(identity_of(&event), identity_of(&other));
        }
    }
}
