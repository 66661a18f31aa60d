//! What a listed key names.

use super::{ATTEMPT, EVENT, Prefix};
use crate::recording::{Format, Timestamp, is_plain_id};

impl Prefix {
    /// What is at a key that a listing gave, as far as its form tells; none where it has no form of ours.
    #[must_use]
    pub fn place<'k>(&self, key: &'k str) -> Option<Place<'k>> {
        let (folder, name) = key.split_at(key.rfind('/')? + 1);
        let inner = folder.strip_prefix(&self.0)?.strip_suffix('/')?;
        let segments: Vec<&str> = inner.split('/').collect();
        let kind = match *segments.as_slice() {
            ["rejected"] => set_aside(name)?,
            ["pending", event] => pending(event, name)?,
            [year, month, day, call_id, clock] => {
                let dated = is_like(year, "0000") && is_like(month, "00") && is_like(day, "00");
                if !(dated && is_plain_id(call_id) && is_like(clock, "000000Z")) {
                    return None;
                }
                archived(name)?
            }
            _ => return None,
        };
        Some(Place { folder, kind })
    }
}

/// What is at a key, as far as its form tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// The key up to its last slash, that included.
    pub folder: &'a str,
    /// What is there.
    pub kind: Kind<'a>,
}

/// What a key names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind<'a> {
    /// An event that is unfinished.
    PendingEvent {
        /// The event's id as keys have it.
        event_id: &'a str,
        /// The time that its age counts from; none where it counts from when it was stored.
        time: Option<Timestamp>,
    },
    /// The last attempt at an event that is unfinished.
    Attempt,
    /// The record of an unfinished upload.
    Record,
    /// A chunk's media.
    Media,
    /// A chunk's metadata.
    Metadata,
    /// What was archived.
    Manifest {
        /// The event's id as keys have it.
        event_id: &'a str,
    },
    /// Why not everything could be archived.
    Rejection {
        /// The event's id as keys have it.
        event_id: &'a str,
    },
    /// An event that could not be understood, came from another topic, or is of the customer's
    /// storage.
    SetAside,
}

fn set_aside(name: &str) -> Option<Kind<'static>> {
    let hash = name.strip_suffix(".json")?;
    let hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    (hash.len() == 64 && hash.bytes().all(hex)).then_some(Kind::SetAside)
}

fn pending<'a>(event: &'a str, name: &str) -> Option<Kind<'a>> {
    let (time, event_id) = event.split_once('-')?;
    let time = Timestamp::parse_compact(time).filter(|_| is_plain_id(event_id))?;
    if name == EVENT {
        let time = (time != Timestamp::EPOCH).then_some(time);
        return Some(Kind::PendingEvent { event_id, time });
    }
    if name == ATTEMPT {
        return Some(Kind::Attempt);
    }
    is_chunk(name.strip_suffix(".upload.json")?).then_some(Kind::Record)
}

/// The suffix alone decides: no key of one kind ends as those of another do, whatever its id.
fn archived(name: &str) -> Option<Kind<'_>> {
    let document = |suffix| name.strip_suffix(suffix).filter(|id| is_plain_id(id));
    if let Some(event_id) = document(".manifest.json") {
        return Some(Kind::Manifest { event_id });
    }
    if let Some(event_id) = document(".rejected.json") {
        return Some(Kind::Rejection { event_id });
    }
    if let Some(chunk) = name.strip_suffix(".metadata.json") {
        return is_chunk(chunk).then_some(Kind::Metadata);
    }
    let (chunk, extension) = name.rsplit_once('.')?;
    let format = Format::named(extension).extension() == extension;
    (format && is_chunk(chunk)).then_some(Kind::Media)
}

/// Whether this is `{index:04}-{documentId}`.
fn is_chunk(name: &str) -> bool {
    let Some((digits, id)) = name.split_once('-') else {
        return false;
    };
    let index = digits.parse::<u64>();
    index.is_ok_and(|index| format!("{index:04}") == digits) && is_plain_id(id)
}

/// Whether `text` is `form` with any digits for its zeros.
fn is_like(text: &str, form: &str) -> bool {
    let fits = |(byte, form): (u8, u8)| byte == form || form == b'0' && byte.is_ascii_digit();
    text.len() == form.len() && text.bytes().zip(form.bytes()).all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_tells_what_it_names() {
        let hash = "a".repeat(64);
        let prefix = Prefix::new("calls").unwrap();
        let (pending, archive) = (
            "calls/pending/20261123T152034.2199328Z-831e-1/",
            "calls/2026/11/23/08fa/141004Z/",
        );
        let event_id = "831e-1";
        let time = Timestamp::parse("2026-11-23T15:20:34.2199328Z");
        let epoch = "calls/pending/19700101T000000.0000000Z-831e-1/";
        for (folder, name, kind) in [
            (pending, "event.json", Kind::PendingEvent { event_id, time }),
            (
                epoch,
                "event.json",
                Kind::PendingEvent {
                    event_id,
                    time: None,
                },
            ),
            (pending, "attempt.json", Kind::Attempt),
            (pending, "0003-0-eus.upload.json", Kind::Record),
            (archive, "0003-0-eus.mp4", Kind::Media),
            (archive, "12345-d.json.wav", Kind::Media),
            (archive, "0003-0-eus.metadata.json", Kind::Metadata),
            (archive, "0003-x.manifest.metadata.json", Kind::Metadata),
            (archive, "831e-1.manifest.json", Kind::Manifest { event_id }),
            (
                archive,
                "831e-1.rejected.json",
                Kind::Rejection { event_id },
            ),
            ("calls/rejected/", &format!("{hash}.json"), Kind::SetAside),
        ] {
            let key = format!("{folder}{name}");
            assert_eq!(prefix.place(&key), Some(Place { folder, kind }), "{key}");
        }
        for key in [
            "",
            "calls/",
            "calls",
            "calls/readme.txt",
            "other/rejected/x.json",
            &format!("calls/rejected/{}.json", "A".repeat(64)),
            &format!("calls/rejected/more/{hash}.json"),
            "calls/pending/event.json",
            "calls/pending/20261123T152034.2199328Z-831e/event.json.hold",
            "calls/pending/20261123-831e/event.json",
            "calls/pending/20261123T152034.2199328Z-/event.json",
            "calls/pending/20261123T152034.2199328Z-831e/notes.json",
            "calls/pending/20261123T152034.2199328Z-831e/3-d.upload.json",
            "calls/2026/11/23/08fa/141004Z/",
            "calls/2026/11/23/08fa/141004Z/0003-d.txt",
            "calls/2026/11/23/08fa/141004Z/0003-d.MP4",
            "calls/2026/11/23/08fa/141004Z/03-d.mp4",
            "calls/2026/11/23/08fa/141004Z/00003-d.mp4",
            "calls/2026/11/23/08fa/141004Z/0003-.mp4",
            "calls/2026/11/23/08fa/141004Z/.manifest.json",
            "calls/2026/11/23/08fa/1410/0003-d.mp4",
            "calls/2026/1/23/08fa/141004Z/0003-d.mp4",
            "calls/2026/11/23/../141004Z/0003-d.mp4",
            "calls/2026/11/23/08fa/141004Z/more/0003-d.mp4",
            "recordings/2026/11/23/08fa/141004Z/0003-d.mp4",
        ] {
            assert_eq!(prefix.place(key), None, "{key}");
        }
    }
}
