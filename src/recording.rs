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

use crate::locations::AllowedLocations;

/// A finished recording, as one `RecordingFileStatusUpdated` event tells of it.
#[derive(Clone, Debug)]
pub struct Recording {
    /// The event's id: the same over all attempts at delivering it.
    pub event_id: String,
    /// When the event happened.
    pub event_time: Option<Timestamp>,
    /// When the recording started.
    pub started: Option<Timestamp>,
    /// The ACS resource: the event's `topic` (Event Grid schema) or `source` (CloudEvents), in any letter case.
    pub topic: String,
    /// `/recording/call/{callId}`, and perhaps more behind it.
    pub subject: String,
    /// The media's format.
    pub format: Format,
    /// Set where ACS has written the recording to the customer's own Azure storage, or has tried to.
    pub storage_type: Option<String>,
    /// The chunks, by index; at least one, and none twice.
    pub chunks: Vec<Chunk>,
    /// The event itself, its bytes as they came.
    pub event: Box<RawValue>,
}

/// An element of `recordingChunks`.
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

    /// Whether ACS has delivered this recording to the customer's own storage, so that there is nothing to fetch from
    /// ACS. Where that export *failed*, the event has a `storageType` too, but its locations are ACS's own.
    #[must_use]
    pub fn is_in_customer_storage(&self, allowed: &AllowedLocations) -> bool {
        let on_a_media_host = |chunk: &Chunk| {
            let locations = [&chunk.content_location, &chunk.metadata_location];
            let mut locations = locations.into_iter().flatten();
            locations.any(|location| allowed.admit(location).is_ok())
        };
        self.storage_type.is_some() && !self.chunks.iter().any(on_a_media_host)
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

/// The class of a `storageType`, as identities have it: `acs` for the names of ACS's own storage,
/// and where there is none; `customer` for those of the customer's Azure storage; `other:` and the
/// name in lower case for any other.
#[must_use]
pub fn storage_class(storage_type: Option<&str>) -> Cow<'static, str> {
    match storage_type.unwrap_or_default().to_lowercase().as_str() {
        "" | "acs" | "acsstorage" | "azurecommunicationservices" => "acs".into(),
        "blobstorage" | "azureblobstorage" => "customer".into(),
        other => format!("other:{other}").into(),
    }
}

/// Whether `id` is `[A-Za-z0-9][A-Za-z0-9._-]{0,127}`.
#[must_use]
pub fn is_plain_id(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    id.len() <= 128
        && id.bytes().all(plain)
        && id
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_alphanumeric())
}

/// The SHA-256 of `bytes` in lower-case hexadecimal.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
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
pub struct Topics(Vec<String>);

impl Topics {
    /// Those of a comma-separated list.
    #[must_use]
    pub fn parse(list: &str) -> Self {
        let named = list
            .split(',')
            .map(str::trim)
            .filter(|topic| !topic.is_empty());
        Self(named.map(str::to_lowercase).collect())
    }

    /// Whether events of `topic` are archived. Event Grid writes topics in any letter case.
    #[must_use]
    pub fn take(&self, topic: &str) -> bool {
        self.0.is_empty() || self.0.contains(&topic.to_lowercase())
    }
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
    #[must_use]
    pub fn named(name: &str) -> Self {
        match name.to_ascii_lowercase().as_str() {
            "mp3" => Self::Mp3,
            "wav" => Self::Wav,
            _ => Self::Mp4,
        }
    }

    /// The extension of the object's key.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Self::Mp4 => "mp4",
            Self::Mp3 => "mp3",
            Self::Wav => "wav",
        }
    }

    /// The content type, for a source that names none.
    #[must_use]
    pub fn content_type(self) -> &'static str {
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

impl Timestamp {
    /// The Unix epoch, which stands in keys where an event has no time at all.
    pub const EPOCH: Self = Self(OffsetDateTime::UNIX_EPOCH);

    /// Reads an RFC 3339 time with any offset and any number of fractional digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let utc = OffsetDateTime::parse(text, &Rfc3339)
            .ok()?
            .checked_to_offset(UtcOffset::UTC)?;
        (0..=9999).contains(&utc.year()).then_some(Self(utc))
    }

    /// Reads what [`compact`](Self::compact) gave.
    #[must_use]
    pub fn parse_compact(text: &str) -> Option<Self> {
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
    #[must_use]
    pub fn clock(self) -> String {
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
    fn topics_are_compared_without_case() {
        let topics = Topics::parse("/subscriptions/A/providers/x , /subscriptions/b,");
        assert!(topics.take("/SUBSCRIPTIONS/a/PROVIDERS/X") && topics.take("/subscriptions/B"));
        assert!(!topics.take("/subscriptions/c") && !topics.take(""));
        assert!(Topics::default().take("") && Topics::parse(" , ").take("anything"));
    }

    #[test]
    fn storage_types_are_classed_without_case() {
        for (storage_type, class) in [
            (None, "acs"),
            (Some(""), "acs"),
            (Some("ACSStorage"), "acs"),
            (Some("acs"), "acs"),
            (Some("azureCommunicationServices"), "acs"),
            (Some("blobStorage"), "customer"),
            (Some("AzureBlobStorage"), "customer"),
            (Some("Customer"), "other:customer"),
        ] {
            assert_eq!(storage_class(storage_type), class, "{storage_type:?}");
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
