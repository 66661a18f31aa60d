//! The check of a recording's media: whether the container is complete and playable. Pure.
//!
//! ACS gives neither a size nor a checksum of a recording, so the container is the only independent
//! evidence that the object is complete. A few ranges of the object are enough: the boxes of an MP4
//! file, the chunks of a WAV file and the frames of an MP3 file state their lengths, which have to
//! end at the object's last byte.
//!
//! An `Examination` makes no call. It names the next range to read, at most 8 of at most 128 KiB
//! each, and gives its [`Check`] when it has read enough. Each step parses from the object's first
//! byte again with all bytes read so far. So a parser is a function over bytes that may not be
//! there yet (`Stop::Unread`), without state between the reads.
//!
//! No library is used: `lofty`, `mp4-atom` and `re_mp4` read complete boxes (the sample tables of a
//! long video are megabytes) and do not compare lengths with the object's, and the licence of
//! `symphonia` is not accepted here.

mod mp3;
mod mp4;
mod recording;
mod sparse;
#[cfg(test)]
mod tests;
mod wav;

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::recording::Format;
use sparse::Sparse;

pub use self::recording::RecordingCheck;

/// The largest number of tracks that are listed.
const MOST_TRACKS: usize = 32;

/// The result of an examination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// The verdict.
    pub verdict: Verdict,
    /// The container, by the object's first bytes; `None` if unknown.
    pub container: Option<Container>,
    /// The tracks, in the container's order.
    pub tracks: Vec<Track>,
    /// The duration in milliseconds; `None` if unknown.
    pub duration_ms: Option<u64>,
    /// The reason for the verdict, in words.
    pub reason: String,
}

/// The verdict on an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// The lengths in the container end at the object's last byte, and it has all that playing
    /// needs.
    Complete,
    /// The container is longer than the object.
    Truncated,
    /// The object has no container, or a malformed one.
    Unreadable,
    /// The examination could not tell.
    Unknown,
}

/// A container format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Container {
    /// ISO base media file format: boxes.
    Mp4,
    /// MPEG audio: frames.
    Mp3,
    /// RIFF, RF64 or BW64: chunks.
    Wav,
}

/// A track of a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Track {
    /// The kind of the media.
    pub kind: Kind,
    /// The codec, as the container names it.
    pub codec: String,
}

/// The kind of a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// Audio.
    Audio,
    /// Video.
    Video,
    /// Anything else, such as subtitles.
    Other,
}

/// The next step of an examination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Read this half-open range of the object, and pass it to [`Examination::take`].
    Read(Range<u64>),
    /// The examination is over.
    Done(Check),
}

/// The examination of one object.
#[derive(Debug)]
pub(crate) struct Examination {
    expected: Container,
    bytes: Sparse,
}

/// The reason why a parser stops before the end of the container.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Stop {
    /// The parser needs the bytes from this offset on, which have not been read.
    Unread(u64),
    Truncated(String),
    Unreadable(String),
    Unknown(String),
}

/// The findings of a parser, which stay when it stops.
#[derive(Debug, Default)]
struct Found {
    container: Option<Container>,
    tracks: Vec<Track>,
    duration_ms: Option<u64>,
}

impl Examination {
    /// The examination of an object of `length` bytes whose key has the extension of `format`.
    pub(crate) fn new(length: u64, format: Format) -> Self {
        Self {
            expected: match format {
                Format::Mp4 => Container::Mp4,
                Format::Mp3 => Container::Mp3,
                Format::Wav => Container::Wav,
            },
            bytes: Sparse::new(length),
        }
    }

    /// The next step. It stays the same until bytes are taken.
    pub(crate) fn step(&self) -> Step {
        let mut found = Found::default();
        let (verdict, reason) = match parse(&self.bytes, &mut found) {
            Ok(reason) => (Verdict::Complete, reason),
            Err(Stop::Truncated(reason)) => (Verdict::Truncated, reason),
            Err(Stop::Unreadable(reason)) => (Verdict::Unreadable, reason),
            Err(Stop::Unknown(reason)) => (Verdict::Unknown, reason),
            Err(Stop::Unread(at)) => {
                if let Some(window) = self.bytes.window(at) {
                    return Step::Read(window);
                }
                let reason = format!("byte {at} is out of reach of {} reads", sparse::READS);
                (Verdict::Unknown, reason)
            }
        };
        let expected = self.expected.name();
        let reason = match found.container {
            Some(other) if other != self.expected => {
                format!(
                    "{reason}; the key says {expected}, but it is {}",
                    other.name()
                )
            }
            _ => reason,
        };
        Step::Done(Check {
            verdict,
            container: found.container,
            tracks: found.tracks,
            duration_ms: found.duration_ms,
            reason,
        })
    }

    /// Takes the bytes of the range that [`step`](Self::step) named.
    pub(crate) fn take(&mut self, window: &Range<u64>, bytes: &[u8]) {
        self.bytes.add(window, bytes);
    }
}

impl Check {
    /// The result of a check that itself failed.
    #[must_use]
    pub fn failed(reason: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Unknown,
            container: None,
            tracks: Vec::new(),
            duration_ms: None,
            reason: reason.into(),
        }
    }

    /// The doubt about the object, in words. An unknown verdict is no doubt.
    pub(crate) fn doubt(&self) -> Option<String> {
        let reason = &self.reason;
        match self.verdict {
            Verdict::Truncated => Some(format!("is truncated: {reason}")),
            Verdict::Unreadable => Some(format!("is unreadable: {reason}")),
            Verdict::Complete | Verdict::Unknown if self.duration_ms == Some(0) => {
                Some("has a duration of zero".to_owned())
            }
            Verdict::Complete | Verdict::Unknown => None,
        }
    }
}

impl Verdict {
    /// The name in documents and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Truncated => "truncated",
            Self::Unreadable => "unreadable",
            Self::Unknown => "unknown",
        }
    }
}

impl Container {
    /// The name in documents, which is the extension of keys.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Mp4 => "mp4",
            Self::Mp3 => "mp3",
            Self::Wav => "wav",
        }
    }
}

/// Parses the bytes read so far in the format of the first bytes. Returns the reason why the object
/// is complete.
fn parse(bytes: &Sparse, found: &mut Found) -> Result<String, Stop> {
    if bytes.length() == 0 {
        return Err(Stop::Unreadable("object is empty".to_owned()));
    }
    let held = bytes.held(0);
    if held.is_empty() {
        return Err(Stop::Unread(0));
    }
    let first = held.get(..held.len().min(16)).unwrap_or_default();
    if let Some(name) = not_parsed(first) {
        return Err(Stop::Unknown(format!("{name} is not examined")));
    }
    // MP3 comes last, since a frame header is the weakest of the marks.
    let (container, parse): (_, fn(&Sparse, &mut Found) -> _) = if mp4::begins(first) {
        (Container::Mp4, mp4::parse)
    } else if wav::begins(first) {
        (Container::Wav, wav::parse)
    } else if mp3::begins(bytes, first) {
        (Container::Mp3, mp3::parse)
    } else {
        return Err(Stop::Unreadable(format!(
            "object begins as neither MP4 nor WAV nor MP3: {}",
            hex(first)
        )));
    };
    found.container = Some(container);
    parse(bytes, found)
}

/// The name of a format that is recognised but not parsed.
fn not_parsed(first: &[u8]) -> Option<&'static str> {
    match first {
        [0x1a, 0x45, 0xdf, 0xa3, ..] => Some("Matroska or WebM"),
        [b'O', b'g', b'g', b'S', ..] => Some("Ogg"),
        [b'f', b'L', b'a', b'C', ..] => Some("FLAC"),
        [b'F', b'O', b'R', b'M', ..] => Some("AIFF"),
        [0x30, 0x26, 0xb2, 0x75, ..] => Some("ASF"),
        [0xff, second, ..] if second & 0xf6 == 0xf0 => Some("ADTS"),
        [b'R', b'I', b'F', b'F', _, _, _, _, form @ ..] if !wav::is_wave(form) => {
            Some("RIFF of another form than WAVE")
        }
        _ => None,
    }
}

/// Bytes in hexadecimal.
fn hex(bytes: &[u8]) -> String {
    let bytes = bytes.iter().map(|byte| format!("{byte:02x}"));
    bytes.collect::<Vec<_>>().join(" ")
}

/// `units` of a clock with `rate` units a second, in milliseconds; `None` if the rate is 0.
fn milliseconds(units: u64, rate: u64) -> Option<u64> {
    let milliseconds = (u128::from(units) * 1000).checked_div(u128::from(rate))?;
    Some(u64::try_from(milliseconds).unwrap_or(u64::MAX))
}
