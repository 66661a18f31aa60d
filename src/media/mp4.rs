//! The MP4 container: boxes that tile the object. Pure.
//!
//! ISO/IEC 14496-12: <https://www.iso.org/standard/83102.html>. A file has `ftyp`, then `moov` (the
//! index) before or after `mdat` (the media). A fragmented file has a short `moov`, then pairs of
//! `moof` and `mdat`, and perhaps an index of the pairs, `sidx` before or `mfra` after them.

mod boxes;
mod fragment;
mod index;
mod movie;
mod tail;

use super::sparse::{Sparse, WINDOW};
use super::{Found, Stop};
use boxes::{Header, LONGEST_HEADER};
use fragment::Timeline;
use movie::Movie;

/// The boxes that a file may begin with.
const FIRST: [&[u8; 4]; 10] = [
    b"ftyp", b"styp", b"moov", b"mdat", b"moof", b"sidx", b"free", b"skip", b"wide", b"uuid",
];

/// Returns `true` if `first` are the first bytes of an MP4 file.
pub(super) fn begins(first: &[u8]) -> bool {
    first
        .get(4..8)
        .is_some_and(|kind| FIRST.iter().any(|known| kind == *known))
}

/// Parses an MP4 file.
pub(super) fn parse(bytes: &Sparse, found: &mut Found) -> Result<String, Stop> {
    let mut walk = Walk::default();
    let walked = walk.run(bytes, found);
    let walked = match walked {
        Err(Stop::Unread(at)) if walk.is_far(bytes, at) => tail::examine(bytes, &mut walk),
        Err(stop) => Err(stop),
        Ok(()) => walk.conclude(bytes, found),
    };
    // The fragments know the duration better than `moov`, which was written before them.
    if let Some(movie) = &walk.movie
        && movie.is_fragmented
        && let Some(duration) = walk.timeline.duration(movie)
    {
        found.duration_ms = found.duration_ms.max(Some(duration));
    }
    walked
}

/// A walk over the boxes of a file, from the first on.
#[derive(Debug, Default)]
struct Walk {
    /// The offset of the next box.
    at: u64,
    /// `true` if the file has `ftyp`.
    has_type: bool,
    /// The bytes of media in `mdat` boxes, or that an index names.
    media: u64,
    movie: Option<Movie>,
    /// The offset of the first fragment.
    first_fragment: Option<u64>,
    fragments: u64,
    /// The offset of the last fragment, if its media has not come yet.
    without_media: Option<u64>,
    /// `true` if the last box has no size and extends to the end of the object.
    is_open: bool,
    timeline: Timeline,
}

impl Walk {
    /// Walks to the end of the object.
    fn run(&mut self, bytes: &Sparse, found: &mut Found) -> Result<(), Stop> {
        while self.at < bytes.length() {
            let header = Header::read(bytes, self.at, bytes.length())?;
            header.within(bytes)?;
            let mut end = header.end;
            match &header.kind {
                b"ftyp" => self.has_type = true,
                b"mdat" => {
                    self.media = self.media.saturating_add(header.end - header.content);
                    self.without_media = None;
                }
                b"moov" if self.movie.is_none() => {
                    let movie = movie::read(bytes, &header, self.media > 0, found)?;
                    self.movie = Some(movie);
                }
                b"moof" => self.fragment(bytes, &header)?,
                b"sidx" => end = self.index(bytes, &header)?,
                _ => {}
            }
            self.is_open = header.is_open;
            self.at = end;
        }
        Ok(())
    }

    /// Takes in a fragment.
    fn fragment(&mut self, bytes: &Sparse, header: &Header) -> Result<(), Stop> {
        let Some(movie) = &self.movie else {
            let at = header.at;
            return Err(Stop::Unreadable(format!(
                "fragment at byte {at} comes before any `moov` box"
            )));
        };
        self.timeline.add(fragment::read(bytes, header, movie)?);
        self.first_fragment.get_or_insert(header.at);
        self.without_media = Some(header.at);
        self.fragments += 1;
        Ok(())
    }

    /// Skips the fragments that an index names, or several adjoining indexes, each of one track.
    /// Returns the offset of their end.
    fn index(&mut self, bytes: &Sparse, first: &Header) -> Result<u64, Stop> {
        let length = bytes.length();
        let all = index::adjoining(bytes, first)?;
        let begin = all.last().map_or(first.end, |last| last.behind);
        let end = all.iter().map(|named| named.end).max();
        let end = end.unwrap_or_default().max(begin);
        if end > length {
            return Err(Stop::Truncated(format!(
                "index `sidx` names media up to byte {end}, and the object ends at byte {length}"
            )));
        }
        if end > begin {
            self.first_fragment.get_or_insert(begin);
            self.fragments += all
                .iter()
                .map(|named| named.count)
                .max()
                .unwrap_or_default();
            self.media = self.media.saturating_add(end - begin);
            for named in &all {
                self.timeline.extend(named.track, named.milliseconds);
            }
        }
        Ok(end)
    }

    /// Returns `true` if the unread byte `at` is in the header of the next box, and the reads that
    /// are left cannot reach the object's end at the mean size of the fragments so far.
    fn is_far(&self, bytes: &Sparse, at: u64) -> bool {
        let Some(first) = self.first_fragment else {
            return false;
        };
        let mean = (self.at - first) / self.fragments.max(1);
        let reads = (bytes.length() - self.at).div_ceil(mean.max(WINDOW));
        at - self.at < LONGEST_HEADER && reads >= u64::from(bytes.reads_left())
    }

    /// Fails if the boxes so far lack something that playing needs.
    fn is_playable(&self) -> Result<(), Stop> {
        if !self.has_type {
            return Err(Stop::Unreadable("there is no `ftyp` box".to_owned()));
        }
        self.movie.as_ref().map_or(Ok(()), |movie| {
            movie.is_playable()?;
            movie.is_ended_by(self.timeline.duration(movie))
        })
    }

    /// The verdict on a file whose boxes end at the object's last byte.
    fn conclude(&self, bytes: &Sparse, found: &Found) -> Result<String, Stop> {
        let length = bytes.length();
        if self.movie.is_none() {
            return Err(Stop::Truncated(format!(
                "boxes end at byte {length} without `moov`, which playing needs"
            )));
        }
        if self.media == 0 && found.duration_ms != Some(0) {
            return Err(Stop::Truncated(format!(
                "boxes end at byte {length} without the media that `moov` describes"
            )));
        }
        if let Some(at) = self.without_media {
            return Err(Stop::Truncated(format!(
                "last fragment, at byte {at}, has no media"
            )));
        }
        self.is_playable()?;
        if self.is_open {
            return Err(Stop::Unknown(
                "last box has no size and extends to the end of the object".to_owned(),
            ));
        }
        Ok(format!("boxes end at the last byte, {length}"))
    }
}
