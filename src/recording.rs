//! What an event says about a recording: the call, its chunks and when it was. Pure.

use std::borrow::Cow;
use std::fmt;
use std::time::{Duration, SystemTime};

use ring::digest::{SHA256, digest};
use serde_json::value::RawValue;
use time::format_description::BorrowedFormatItem;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime, UtcOffset};

use crate::locations::is_azure_blob;

/// A finished recording, as one `RecordingFileStatusUpdated` event tells of it.
#[derive(Clone, Debug)]
pub struct Recording {
    /// The event's id: the same over all attempts at delivering it.
    pub(crate) event_id: String,
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

/// The class of an event's `storageType`, by its value and the hosts of its locations together:
/// where an export to the customer's storage *failed*, the event names that storage, but its
/// locations are ACS's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StorageClass {
    /// ACS's own storage, or none named.
    Acs,
    /// The customer's Azure storage, and every location is there: there is nothing to fetch from
    /// ACS.
    Customer,
    /// Another name, or the customer's storage with locations elsewhere. The locations decide.
    Other,
}

impl StorageClass {
    /// The names of ACS's own storage, in lower case.
    const OF_ACS: [&str; 4] = ["", "acs", "acsstorage", "azurecommunicationservices"];
    /// The names of the customer's storage, in lower case.
    const OF_CUSTOMER: [&str; 2] = ["azureblobstorage", "blobstorage"];

    /// The class of a `storageType` in any letter case, given the recording's chunks.
    pub(crate) fn of(storage_type: Option<&str>, chunks: &[Chunk]) -> Self {
        let name = storage_type.unwrap_or_default().trim().to_ascii_lowercase();
        if Self::OF_ACS.contains(&name.as_str()) {
            return Self::Acs;
        }
        let is_there = |chunk: &Chunk| {
            let locations = [&chunk.content_location, &chunk.metadata_location];
            let mut locations = locations.into_iter().flatten().peekable();
            locations.peek().is_some() && locations.all(|location| is_azure_blob(location))
        };
        let is_customers = Self::OF_CUSTOMER.contains(&name.as_str());
        if is_customers && !chunks.is_empty() && chunks.iter().all(is_there) {
            Self::Customer
        } else {
            Self::Other
        }
    }

    /// The class's name, which never changes: keys are derived from it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Acs => "acs",
            Self::Customer => "customer",
            Self::Other => "other",
        }
    }
}

impl Chunk {
    /// The document id, made fit for a key.
    #[must_use]
    pub fn key_id(&self) -> Cow<'_, str> {
        key_id(&self.document_id, true)
    }
}

/// An id as it stands in keys and in what we say of it: itself where it is plain, else `x-` and half its SHA-256, so
/// that no id, however odd, can leave its place in a key or lose a recording.
#[must_use]
pub fn safe_id(id: &str) -> Cow<'_, str> {
    key_id(id, true)
}

fn key_id(id: &str, may_stand: bool) -> Cow<'_, str> {
    if may_stand && is_plain_id(id) {
        return Cow::Borrowed(id);
    }
    let mut hash = sha256_hex(id.as_bytes());
    hash.truncate(32);
    Cow::Owned(format!("x-{hash}"))
}

/// Whether `id` is `[A-Za-z0-9][A-Za-z0-9._-]{0,127}`.
pub(crate) fn is_plain_id(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    id.len() <= 128
        && id.bytes().all(plain)
        && id
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_alphanumeric())
}

/// The SHA-256 of `bytes` in lower-case hexadecimal.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    use fmt::Write as _;

    let mut hex = String::with_capacity(64);
    for byte in digest(&SHA256, bytes).as_ref() {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

/// The Event Grid topics (ACS resource ids) whose events are archived: all, unless some are named.
#[derive(Clone, Debug, Default)]
pub(crate) struct Topics(Vec<String>);

impl Topics {
    /// Those of a comma-separated list.
    ///
    /// # Errors
    ///
    /// The fault, if one is no resource id of Communication Services: no event could ever be of it.
    pub(crate) fn parse(list: &str) -> Result<Self, String> {
        let named = list
            .split(',')
            .map(str::trim)
            .filter(|topic| !topic.is_empty());
        let named: Vec<_> = named.map(str::to_lowercase).collect();
        match named.iter().position(|topic| !is_resource(topic)) {
            None => Ok(Self(named)),
            Some(place) => Err(format!(
                "has a topic (number {} of {}) that is no resource id of Communication Services: \
                 /subscriptions/…/resourceGroups/…/providers/Microsoft.Communication/\
                 communicationServices/…",
                place + 1,
                named.len()
            )),
        }
    }

    /// Whether events of `topic` are archived. Event Grid writes topics in any letter case.
    pub(crate) fn take(&self, topic: &str) -> bool {
        self.0.is_empty() || self.0.contains(&topic.to_lowercase())
    }
}

/// Whether a topic in lower case is the resource id of an ACS resource.
fn is_resource(topic: &str) -> bool {
    let is_name = |name: &str| !name.is_empty() && !name.contains(char::is_whitespace);
    let names = match *topic.split('/').collect::<Vec<_>>() {
        [
            "",
            "subscriptions",
            subscription,
            "resourcegroups",
            group,
            "providers",
            "microsoft.communication",
            "communicationservices",
            name,
        ] => [subscription, group, name],
        _ => return false,
    };
    names.into_iter().all(is_name)
}

/// The media formats that ACS records.
///
/// <https://learn.microsoft.com/azure/communication-services/concepts/voice-video-calling/call-recording>
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Video and audio; also what an event that names no format means, as in the 2021 preview.
    #[default]
    Mp4,
    /// Compressed audio.
    Mp3,
    /// Plain audio, one channel a participant.
    Wav,
}

impl Format {
    /// The format of that name, in any letter case; [`Format::Mp4`] for one that is not known.
    pub(crate) fn named(name: &str) -> Self {
        match name.to_ascii_lowercase().as_str() {
            "mp3" => Self::Mp3,
            "wav" => Self::Wav,
            _ => Self::Mp4,
        }
    }

    /// The extension of the object's key.
    pub(crate) fn extension(self) -> &'static str {
        match self {
            Self::Mp4 => "mp4",
            Self::Mp3 => "mp3",
            Self::Wav => "wav",
        }
    }

    /// The content type, for a source that names none.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Mp4 => "video/mp4",
            Self::Mp3 => "audio/mpeg",
            Self::Wav => "audio/wav",
        }
    }
}

/// A moment in UTC, in the years 0 to 9999, so that its written forms have a fixed width and sort by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(OffsetDateTime);

const COMPACT: &[BorrowedFormatItem<'_>] =
    format_description!("[year][month][day]T[hour][minute][second].[subsecond digits:7]Z");
const DAY: &[BorrowedFormatItem<'_>] = format_description!("[year]/[month]/[day]");
const CLOCK: &[BorrowedFormatItem<'_>] = format_description!("[hour][minute][second]Z");

impl From<SystemTime> for Timestamp {
    fn from(moment: SystemTime) -> Self {
        Self(moment.into())
    }
}

impl Timestamp {
    /// The Unix epoch, which stands in keys where an event has no time at all.
    pub(crate) const EPOCH: Self = Self(OffsetDateTime::UNIX_EPOCH);

    /// Reads an RFC 3339 time with any offset and any number of fractional digits. A time without
    /// an offset is in UTC, and a space may stand for the `T`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (date, clock) = text.trim().split_once(['T', 't', ' '])?;
        let has_offset = clock.contains(['Z', 'z', '+', '-']);
        let offset = if has_offset { "" } else { "Z" };
        let utc = OffsetDateTime::parse(&format!("{date}T{clock}{offset}"), &Rfc3339)
            .ok()?
            .checked_to_offset(UtcOffset::UTC)?;
        (0..=9999).contains(&utc.year()).then_some(Self(utc))
    }

    /// Reads what [`compact`](Self::compact) gave.
    pub(crate) fn parse_compact(text: &str) -> Option<Self> {
        let utc = PrimitiveDateTime::parse(text, COMPACT).ok()?.assume_utc();
        Some(Self(utc)).filter(|time| time.compact() == text)
    }

    /// `20261123T152034.2199328Z`.
    #[must_use]
    pub fn compact(self) -> String {
        self.written(COMPACT)
    }

    /// `2026/11/23`.
    #[must_use]
    pub fn day(self) -> String {
        self.written(DAY)
    }

    /// `152034Z`.
    pub(crate) fn clock(self) -> String {
        self.written(CLOCK)
    }

    /// How long before `now` this was; zero if it is still to come.
    #[must_use]
    pub fn age(self, now: SystemTime) -> Duration {
        self.until(now).unwrap_or_default()
    }

    /// The time from here until `then`; none if that was before.
    #[must_use]
    pub fn until(self, then: SystemTime) -> Option<Duration> {
        then.duration_since(self.0.into()).ok()
    }

    /// The same moment, as the system's clock counts it.
    #[must_use]
    pub fn instant(self) -> SystemTime {
        self.0.into()
    }

    fn written(self, form: &[BorrowedFormatItem<'_>]) -> String {
        // A date of these years has every component that the forms name, so formatting cannot fail.
        self.0.format(form).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn recording(subject: &str) -> Recording {
        Recording {
            event_id: "e".into(),
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
    fn times_are_written_in_utc_with_a_fixed_width() {
        for (text, compact) in [
            ("2026-11-23T15:20:34.2199328Z", "20261123T152034.2199328Z"),
            ("2026-11-23T15:20:34Z", "20261123T152034.0000000Z"),
            ("2026-11-23T15:20:34.219932899Z", "20261123T152034.2199328Z"),
            ("2026-11-23t01:20:34.5+02:00", "20261122T232034.5000000Z"),
            ("0001-01-01T00:00:00Z", "00010101T000000.0000000Z"),
            // Without an offset, in UTC.
            ("2026-11-23T15:20:34.2199328", "20261123T152034.2199328Z"),
            ("2026-11-23T15:20:34", "20261123T152034.0000000Z"),
            ("2026-11-23 15:20:34.5", "20261123T152034.5000000Z"),
            ("2026-11-23 15:20:34Z", "20261123T152034.0000000Z"),
            ("2026-11-23t15:20:34z", "20261123T152034.0000000Z"),
            ("2026-11-23 15:20:34+02:00", "20261123T132034.0000000Z"),
            (" 2026-11-23T15:20:34 ", "20261123T152034.0000000Z"),
        ] {
            let time = Timestamp::parse(text).unwrap();
            assert_eq!(time.compact(), compact, "{text}");
            let read = Timestamp::parse_compact(compact).unwrap();
            assert_eq!(read.compact(), compact);
        }
        for text in [
            "",
            "yesterday",
            "2026-11-23",
            "2026-11-23T15:20",
            "2026-11-23  15:20:34",
            "2026-11-23T15:20:34 ZZ",
            "2026-11-23T15:20:34.",
            "2026-11-2315:20:34",
            "9999-12-31T23:59:59-01:00",
            "0000-01-01T00:00:00+01:00",
        ] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
        let time = Timestamp::parse("2026-11-03T05:06:07Z").unwrap();
        assert_eq!(
            (time.day().as_str(), time.clock().as_str()),
            ("2026/11/03", "050607Z")
        );
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

    #[test]
    fn a_storage_type_is_judged_by_its_value_and_its_hosts() {
        use StorageClass::{Acs, Customer, Other};

        let (blob, acs) = (
            "https://contoso.blob.core.windows.net/1",
            "https://a.asm.skype.com/1",
        );
        let chunk = |content: Option<&str>, metadata: Option<&str>| Chunk {
            index: 0,
            document_id: "d".into(),
            content_location: content.map(str::to_owned),
            metadata_location: metadata.map(str::to_owned),
        };
        let there = || chunk(Some(blob), Some(blob));
        let at_acs = || chunk(Some(acs), Some(acs));
        let places = [
            (vec![there()], Customer),
            (vec![there(), chunk(Some(blob), None)], Customer),
            (vec![chunk(None, Some(blob))], Customer),
            (vec![at_acs()], Other),
            (vec![there(), at_acs()], Other),
            (vec![chunk(Some(blob), Some(acs))], Other),
            (vec![chunk(Some(acs), Some(blob))], Other),
            (vec![chunk(Some("https://example.com/1"), None)], Other),
            // By its documentId alone, a recording is asked for at ACS.
            (vec![chunk(None, None)], Other),
            (vec![there(), chunk(None, None)], Other),
            (vec![], Other),
        ];
        for (chunks, of_customers) in &places {
            for name in [
                "blobstorage",
                "blobStorage",
                "azureBlobStorage",
                "AZUREBLOBSTORAGE",
            ] {
                let class = StorageClass::of(Some(name), chunks);
                assert_eq!(class, *of_customers, "{name} {chunks:?}");
            }
            for name in [
                "",
                " ",
                "acs",
                "ACS",
                "acsstorage",
                "AcsStorage",
                "azureCommunicationServices",
            ] {
                assert_eq!(StorageClass::of(Some(name), chunks), Acs, "{name}");
            }
            assert_eq!(StorageClass::of(None, chunks), Acs);
            for name in [
                "AzureBlob",
                "azureFileShare",
                "blob storage",
                "none",
                "null",
            ] {
                assert_eq!(StorageClass::of(Some(name), chunks), Other, "{name}");
            }
        }
        let names = [Acs, Customer, Other].map(StorageClass::name);
        assert_eq!(names, ["acs", "customer", "other"]);
    }

    #[test]
    fn topics_are_compared_without_case() {
        let of = |name: &str| {
            format!(
                "/subscriptions/A/resourceGroups/g/providers/Microsoft.Communication/\
                 CommunicationServices/{name}"
            )
        };
        let topics = Topics::parse(&format!("{} , {},", of("x"), of("y"))).unwrap();
        assert!(topics.take(&of("X").to_uppercase()) && topics.take(&of("y").to_lowercase()));
        assert!(!topics.take(&of("z")) && !topics.take(""));
        assert!(Topics::default().take("") && Topics::parse(" , ").unwrap().take("anything"));
    }

    #[test]
    fn a_topic_that_no_event_can_be_of_is_a_fault() {
        let good = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Communication\
            /communicationServices/contoso";
        assert!(Topics::parse(good).is_ok());
        for wrong in [
            "foo",
            "contoso.communication.azure.com",
            "/subscriptions/s",
            "/subscriptions/s/resourceGroups/g/providers/Microsoft.EventGrid/systemTopics/contoso",
            "/subscriptions//resourceGroups/g/providers/Microsoft.Communication/\
             communicationServices/contoso",
            &good[1..],
            &format!("{good}/"),
            &format!("{good} {good}"),
            &format!("https://management.azure.com{good}"),
        ] {
            let fault = Topics::parse(&format!("{good},, {wrong}")).unwrap_err();
            assert!(
                fault.starts_with("has a topic (number 2 of 2)"),
                "{wrong}: {fault}"
            );
        }
    }

    #[test]
    fn formats_are_named_in_any_letter_case() {
        for (name, format) in [
            ("Mp4", Format::Mp4),
            ("MP3", Format::Mp3),
            ("wav", Format::Wav),
            ("ogg", Format::Mp4),
            ("", Format::Mp4),
        ] {
            assert_eq!(Format::named(name), format, "{name}");
        }
    }

    proptest! {
        #[test]
        fn every_id_is_fit_for_a_key(id in any::<String>()) {
            let safe = safe_id(&id);
            prop_assert!(is_plain_id(&safe));
            prop_assert!(safe == id || safe.starts_with("x-"));
        }

        #[test]
        fn written_times_sort_by_time(a in 0_i64..250_000_000_000, b in 0_i64..250_000_000_000) {
            let written = |seconds| Timestamp(OffsetDateTime::from_unix_timestamp(seconds).unwrap()).compact();
            prop_assert_eq!(a.cmp(&b), written(a).cmp(&written(b)));
        }
    }
}
