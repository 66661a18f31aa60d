//! The MP3 container: frames of MPEG audio one after another, with tags before and after. Pure.
//!
//! ISO/IEC 11172-3 and 13818-3; `ID3v2`: <https://id3.org/id3v2.4.0-structure>; APE:
//! <https://wiki.hydrogenaud.io/index.php?title=APEv2_specification>. The file has no length of its
//! own, unless the first frame has one (`Xing`, `Info`, `VBRI`).

mod frame;
mod summary;
mod tags;

use super::sparse::Sparse;
use super::{Found, Kind, Stop, Track, milliseconds};
use frame::Frame;
use summary::Summary;

/// The number of bytes at the object's end in which frames are searched.
const TAIL: u64 = 16 * crate::limits::KIB;
/// The number of consecutive frames that prove the offset of a frame.
const IN_SYNC: u32 = 4;

/// Returns `true` if the object begins with an ID3 tag or with two frames.
pub(super) fn begins(bytes: &Sparse, first: &[u8]) -> bool {
    if first.starts_with(b"ID3") {
        return true;
    }
    let next = |at| match Frame::read(bytes, at) {
        Ok(Some(frame)) => Some(at + frame.length),
        _ => None,
    };
    next(0).is_some_and(|at| at + 4 > bytes.length() || next(at).is_some())
}

/// Parses an MP3 file.
pub(super) fn parse(bytes: &Sparse, found: &mut Found) -> Result<String, Stop> {
    let start = tags::skip(bytes)?;
    if start >= bytes.length() {
        return Err(Stop::Truncated(format!(
            "object ends at byte {start}, before the first frame"
        )));
    }
    let Some(first) = Frame::read(bytes, start)? else {
        return Err(Stop::Unreadable(format!("no frame is at byte {start}")));
    };
    found.tracks = vec![Track {
        kind: Kind::Audio,
        codec: first.codec().to_owned(),
    }];
    let end = tags::strip(bytes)?;
    if end <= start {
        return Err(Stop::Unreadable("no frame between its tags".to_owned()));
    }
    let summary = Summary::read(bytes, start, &first)?;
    if let Some(frames) = summary.frames {
        let samples = u64::from(frames).saturating_mul(first.samples);
        found.duration_ms = milliseconds(samples, first.rate);
    }
    let mut walk = Walk::from(start, first);
    let last = match walk.to(bytes, end) {
        // Not every frame is read: those at the end show whether the last is complete.
        Err(Stop::Unread(_)) => Walk::at_end(bytes, &walk, end)?,
        walked => walked.map(|()| walk.clone())?,
    };
    if summary.frames.is_none() {
        found.duration_ms = walk.duration(&last, end - start);
    }
    summary.is_of(end - start, first.length)?;
    Ok(format!("frames end at byte {end} of {}", bytes.length()))
}

/// A walk over consecutive frames.
#[derive(Clone, Debug)]
struct Walk {
    start: u64,
    /// The offset of the next frame.
    at: u64,
    /// A frame that all others have to be like.
    like: Frame,
    frames: u32,
    samples: u64,
    /// `true` if all frames have the same bit rate.
    is_constant: bool,
}

impl Walk {
    /// A walk from `start` on, over frames like `like`.
    fn from(start: u64, like: Frame) -> Self {
        Self {
            start,
            at: start,
            like,
            frames: 0,
            samples: 0,
            is_constant: true,
        }
    }

    /// Walks to `end`.
    fn to(&mut self, bytes: &Sparse, end: u64) -> Result<(), Stop> {
        while self.at < end {
            self.step(bytes, end)?;
        }
        Ok(())
    }

    fn step(&mut self, bytes: &Sparse, end: u64) -> Result<(), Stop> {
        let at = self.at;
        if end - at < 4 {
            return Err(Stop::Truncated(format!(
                "last frame at byte {at} is cut off"
            )));
        }
        let frame = Frame::read(bytes, at)?.filter(|frame| frame.is_like(&self.like));
        let Some(frame) = frame else {
            return Err(Stop::Unreadable(format!("no frame is at byte {at}")));
        };
        let (next, length) = (at + frame.length, frame.length);
        if next > end {
            let there = end - at;
            return Err(Stop::Truncated(format!(
                "last frame at byte {at} has {length} bytes, of which {there} are there"
            )));
        }
        self.at = next;
        self.frames += 1;
        self.samples += frame.samples;
        self.is_constant &= frame.bit_rate == self.like.bit_rate;
        Ok(())
    }

    /// A walk over the last frames before `end`, which are like those at the beginning.
    fn at_end(bytes: &Sparse, begun: &Self, end: u64) -> Result<Self, Stop> {
        let from = end.saturating_sub(TAIL).max(begun.start);
        bytes.bytes(from, usize::try_from(end - from).unwrap_or(usize::MAX))?;
        for start in from..end {
            let mut walk = Self::from(start, begun.like);
            let walked = walk.to(bytes, end);
            if walk.frames >= IN_SYNC {
                return walked.map(|()| walk);
            }
        }
        Err(Stop::Unreadable(format!(
            "no frames are before byte {end}, where the audio ends"
        )))
    }

    /// The duration in milliseconds of `length` bytes of frames. `self` has the first frames, and
    /// `last` the last.
    fn duration(&self, last: &Self, length: u64) -> Option<u64> {
        if last.start == self.start {
            return milliseconds(self.samples, self.like.rate);
        }
        let is_constant = self.is_constant && last.is_constant;
        let bits = length.saturating_mul(8);
        is_constant.then(|| milliseconds(bits, self.like.bit_rate))?
    }
}
