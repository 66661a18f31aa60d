//! Parses a listed key: the kind of object at the key, according to its form. Pure.

use super::identity::{DIGITS, is_hash};
use super::{ATTEMPT, Bucket, EVENT, Key, Layout};
use crate::recording::{Format, Timestamp, is_plain_id};

impl Layout {
    /// Parses a key that is listed in `bucket`; `None` if the layout has no such form there.
    #[must_use]
    pub fn place<'k>(&self, bucket: Bucket, key: &'k str) -> Option<Place<'k>> {
        let (folder, name) = key.split_at(key.rfind('/')? + 1);
        let kind = match bucket {
            Bucket::Work => {
                let event = folder.strip_prefix(&self.pending)?.strip_suffix('/')?;
                pending(event, name)?
            }
            Bucket::Recordings => {
                let inner = folder
                    .strip_prefix(self.prefix.as_str())?
                    .strip_suffix('/')?;
                let segments: Vec<&str> = inner.split('/').collect();
                recording(&segments, name)?
            }
        };
        Some(Place { folder, kind })
    }

    /// The key with this text, if the layout has such a form in `bucket`. The function leaves every
    /// other object alone.
    #[must_use]
    pub fn listed(&self, bucket: Bucket, key: &str) -> Option<Key> {
        let text = key.to_owned();
        self.place(bucket, key).map(|_| Key { bucket, text })
    }
}

/// The folder of a key and the kind of its object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// The key up to and including its last slash.
    pub folder: &'a str,
    /// The kind of the object.
    pub kind: Kind<'a>,
}

/// The kind of an object, according to its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind<'a> {
    /// A pending event.
    PendingEvent {
        /// The id of the event, as it stands in keys.
        event_id: &'a str,
        /// The identity of the event.
        identity: &'a str,
        /// The time from which its age counts; `None` if it counts from when the event was stored.
        time: Option<Timestamp>,
    },
    /// The document about the last attempt at a pending event.
    Attempt,
    /// The record of an unfinished upload.
    Record(ChunkName<'a>),
    /// A chunk's media.
    Media(ChunkName<'a>),
    /// A chunk's metadata.
    Metadata(ChunkName<'a>),
    /// A manifest.
    Manifest {
        /// The id of the event, as it stands in keys.
        event_id: &'a str,
        /// The identity of the event.
        identity: &'a str,
    },
    /// A rejection.
    Rejection {
        /// The id of the event, as it stands in keys.
        event_id: &'a str,
        /// The identity of the event.
        identity: &'a str,
    },
    /// An event that is set aside.
    SetAside,
}

/// The name of a chunk in keys: `{index:04}-{documentId}-{location}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkName<'a> {
    /// The place of the chunk in the recording.
    pub index: u64,
    /// The documentId, as it stands in keys.
    pub document_id: &'a str,
    /// The location of the media, or of the metadata.
    pub location: &'a str,
}

impl<'a> ChunkName<'a> {
    fn parse(name: &'a str) -> Option<Self> {
        let (digits, rest) = name.split_once('-')?;
        let (document_id, location) = hashed(rest)?;
        let index = digits.parse::<u64>().ok()?;
        (format!("{index:04}") == digits).then_some(Self {
            index,
            document_id,
            location,
        })
    }
}

/// Splits an id from the identity or location behind it. Since an id may have dashes, the hash is
/// the text behind the last dash.
fn hashed(text: &str) -> Option<(&str, &str)> {
    let (rest, hash) = text.split_at_checked(text.len().checked_sub(DIGITS)?)?;
    let id = rest.strip_suffix('-')?;
    (is_plain_id(id) && is_hash(hash)).then_some((id, hash))
}

fn pending<'a>(event: &'a str, name: &'a str) -> Option<Kind<'a>> {
    let (time, event) = event.split_once('-')?;
    let time = Timestamp::parse_compact(time)?;
    let (event_id, identity) = hashed(event)?;
    match name {
        EVENT => Some(Kind::PendingEvent {
            event_id,
            identity,
            time: (time != Timestamp::EPOCH).then_some(time),
        }),
        ATTEMPT => Some(Kind::Attempt),
        _ => ChunkName::parse(name.strip_suffix(".upload.json")?).map(Kind::Record),
    }
}

fn recording<'a>(folder: &[&str], name: &'a str) -> Option<Kind<'a>> {
    match *folder {
        ["rejected"] => set_aside(name),
        [year, month, day, call_id, clock] => {
            let dated = is_like(year, "0000") && is_like(month, "00") && is_like(day, "00");
            let placed = dated && is_plain_id(call_id) && is_like(clock, "000000Z");
            placed.then(|| archived(name)).flatten()
        }
        _ => None,
    }
}

fn set_aside(name: &str) -> Option<Kind<'static>> {
    let hash = name.strip_suffix(".json")?;
    let hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    (hash.len() == 64 && hash.bytes().all(hex)).then_some(Kind::SetAside)
}

/// Parses a name by its suffix, which decides alone: whatever the id, no two kinds share a suffix.
fn archived(name: &str) -> Option<Kind<'_>> {
    if let Some(event) = name.strip_suffix(".manifest.json") {
        let (event_id, identity) = hashed(event)?;
        return Some(Kind::Manifest { event_id, identity });
    }
    if let Some(event) = name.strip_suffix(".rejected.json") {
        let (event_id, identity) = hashed(event)?;
        return Some(Kind::Rejection { event_id, identity });
    }
    if let Some(chunk) = name.strip_suffix(".metadata.json") {
        return ChunkName::parse(chunk).map(Kind::Metadata);
    }
    let (chunk, extension) = name.rsplit_once('.')?;
    let format = Format::named(extension).extension() == extension;
    ChunkName::parse(chunk).filter(|_| format).map(Kind::Media)
}

/// Returns `true` if `text` is `form` with any digits in place of its zeros.
fn is_like(text: &str, form: &str) -> bool {
    let fits = |(byte, form): (u8, u8)| byte == form || form == b'0' && byte.is_ascii_digit();
    text.len() == form.len() && text.bytes().zip(form.bytes()).all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{Pending, Prefix};
    use url::Url;

    const HASH: &str = "0123456789abcdef";

    fn layout(pending: Pending) -> Layout {
        let endpoint = Url::parse("https://contoso.communication.azure.com").unwrap();
        Layout::new(Prefix::new("calls").unwrap(), pending, &endpoint)
    }

    #[test]
    fn a_key_is_parsed_to_its_kind() {
        let all = "a".repeat(64);
        let (event_id, identity) = ("831e-1", HASH);
        let time = Timestamp::parse("2026-11-23T15:20:34.2199328Z");
        let chunk = |index, document_id| ChunkName {
            index,
            document_id,
            location: HASH,
        };
        let archive = "calls/2026/11/23/08fa/141004Z";
        let (timed, epoch) = (
            format!("pending/20261123T152034.2199328Z-831e-1-{HASH}"),
            format!("pending/19700101T000000.0000000Z-831e-1-{HASH}"),
        );
        let event = |time| Kind::PendingEvent {
            event_id,
            identity,
            time,
        };
        let manifest = Kind::Manifest { event_id, identity };
        let rejection = Kind::Rejection { event_id, identity };
        for (folder, name, kind) in [
            (&*timed, "event.json", event(time)),
            (&epoch, "event.json", event(None)),
            (&timed, "attempt.json", Kind::Attempt),
            (
                &timed,
                "0003-0-eus-{}.upload.json",
                Kind::Record(chunk(3, "0-eus")),
            ),
            (archive, "0003-0-eus-{}.mp4", Kind::Media(chunk(3, "0-eus"))),
            (
                archive,
                "12345-d.json-{}.wav",
                Kind::Media(chunk(12345, "d.json")),
            ),
            (archive, "0003-{}-{}.mp3", Kind::Media(chunk(3, HASH))),
            (
                archive,
                "0003-0-eus-{}.metadata.json",
                Kind::Metadata(chunk(3, "0-eus")),
            ),
            (
                archive,
                "0003-x.manifest-{}.metadata.json",
                Kind::Metadata(chunk(3, "x.manifest")),
            ),
            (archive, "831e-1-{}.manifest.json", manifest),
            (archive, "831e-1-{}.rejected.json", rejection),
            ("calls/rejected", &format!("{all}.json"), Kind::SetAside),
        ] {
            for pending in [Pending::OwnBucket, Pending::UnderPrefix] {
                let (bucket, folder) = match (folder.starts_with("pending/"), pending) {
                    (false, _) => (Bucket::Recordings, format!("{folder}/")),
                    (true, Pending::OwnBucket) => (Bucket::Work, format!("{folder}/")),
                    (true, Pending::UnderPrefix) => (Bucket::Work, format!("calls/{folder}/")),
                };
                let key = format!("{folder}{}", name.replace("{}", HASH));
                let folder = &*folder;
                let place = layout(pending).place(bucket, &key);
                assert_eq!(place, Some(Place { folder, kind }), "{key}");
                let listed = layout(pending).listed(bucket, &key).unwrap();
                assert_eq!((listed.bucket(), listed.as_str()), (bucket, &*key));
            }
        }
    }

    #[test]
    fn a_key_of_another_form_has_no_kind() {
        let (lower, upper) = ("a".repeat(64), "A".repeat(64));
        let pending = "calls/pending/20261123T152034.2199328Z-";
        let archive = "calls/2026/11/23/08fa/141004Z/";
        for key in [
            String::new(),
            "calls/".into(),
            "calls".into(),
            "calls/readme.txt".into(),
            "other/rejected/x.json".into(),
            format!("calls/rejected/{upper}.json"),
            format!("calls/rejected/more/{lower}.json"),
            "calls/pending/event.json".into(),
            format!("calls/pending/20261123-831e-{HASH}/event.json"),
            format!("{pending}{HASH}/event.json"),
            format!("{pending}-{HASH}/event.json"),
            format!("{pending}831e/event.json"),
            format!("{pending}831e-0123456789abcde/event.json"),
            format!("{pending}831e-0123456789abcdeF/event.json"),
            format!("{pending}831e-0123456789abcdeg/event.json"),
            format!("{pending}831\u{e9}0123456789abcde/event.json"),
            format!("{pending}831e-{HASH}/notes.json"),
            format!("{pending}831e-{HASH}/3-d-{HASH}.upload.json"),
            format!("{pending}831e-{HASH}/0003-d.upload.json"),
            format!("{pending}831e-{HASH}/more/event.json"),
            archive.into(),
            format!("{archive}0003-d.mp4"),
            format!("{archive}0003-{HASH}.mp4"),
            format!("{archive}0003-d-{HASH}.txt"),
            format!("{archive}0003-d-{HASH}.MP4"),
            format!("{archive}03-d-{HASH}.mp4"),
            format!("{archive}00003-d-{HASH}.mp4"),
            format!("{archive}+003-d-{HASH}.mp4"),
            format!("{archive}.manifest.json"),
            format!("{archive}831e.manifest.json"),
            format!("{archive}more/0003-d-{HASH}.mp4"),
            format!("calls/2026/11/23/08fa/1410/0003-d-{HASH}.mp4"),
            format!("calls/2026/1/23/08fa/141004Z/0003-d-{HASH}.mp4"),
            format!("calls/2026/11/23/../141004Z/0003-d-{HASH}.mp4"),
            format!("recordings/2026/11/23/08fa/141004Z/0003-d-{HASH}.mp4"),
        ] {
            for pending in [Pending::OwnBucket, Pending::UnderPrefix] {
                for bucket in [Bucket::Recordings, Bucket::Work] {
                    assert_eq!(layout(pending).place(bucket, &key), None, "{key}");
                    assert_eq!(layout(pending).listed(bucket, &key), None, "{key}");
                }
            }
        }
    }
}
