//! The `moof` box: the samples of a fragment, and their times. Pure.

use super::boxes::Header;
use super::movie::Movie;
use crate::media::sparse::Sparse;
use crate::media::{MOST_TRACKS, Stop, milliseconds};

/// The flags of `tfhd` for the fields before the sample duration.
const BASE_DATA_OFFSET: u32 = 0x1;
const DESCRIPTION_INDEX: u32 = 0x2;
const DEFAULT_DURATION: u32 = 0x8;
/// The flags of `trun` for its fields.
const DATA_OFFSET: u32 = 0x1;
const FIRST_FLAGS: u32 = 0x4;
const SAMPLE_DURATION: u32 = 0x100;
const SAMPLE_FIELDS: u32 = 0xf00;
/// The largest number of tracks of a fragment.
const MOST: usize = 64;

/// The part of one track in a fragment, in units of the track's clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    track: u32,
    /// The begin; `None` if the run follows the last one.
    start: Option<u64>,
    duration: u64,
}

/// The times of the fragments so far, by track. It holds as many tracks as a movie may have, so
/// that a look-up takes bounded time.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    spans: Vec<Span>,
    /// The durations in milliseconds from indexes, by track.
    indexed: Vec<(u32, u64)>,
}

#[derive(Debug)]
struct Span {
    track: u32,
    start: u64,
    end: u64,
}

impl Timeline {
    /// Adds the runs of a fragment that follows the last one.
    pub(super) fn add(&mut self, runs: Vec<Run>) {
        for run in runs {
            let mut spans = self.spans.iter_mut();
            if let Some(span) = spans.find(|span| span.track == run.track) {
                let start = run.start.unwrap_or(span.end);
                span.end = span.end.max(start.saturating_add(run.duration));
            } else if self.spans.len() < MOST_TRACKS {
                let start = run.start.unwrap_or_default();
                self.spans.push(Span {
                    track: run.track,
                    start,
                    end: start.saturating_add(run.duration),
                });
            }
        }
    }

    /// Adds the runs of a fragment after fragments that were not read. Runs without a begin are
    /// unknown then.
    pub(super) fn add_last(&mut self, mut runs: Vec<Run>) {
        runs.retain(|run| run.start.is_some());
        self.add(runs);
    }

    /// Adds the fragments of a track that an index names.
    pub(super) fn extend(&mut self, track: u32, milliseconds: u64) {
        let most = self.indexed.len() == MOST_TRACKS;
        match self.indexed.iter_mut().find(|(id, _)| *id == track) {
            Some((_, all)) => *all = all.saturating_add(milliseconds),
            None if most => {}
            None => self.indexed.push((track, milliseconds)),
        }
    }

    /// The duration of the fragments in milliseconds; `None` if there are none.
    pub(super) fn duration(&self, movie: &Movie) -> Option<u64> {
        let spans = self.spans.iter().filter_map(|span| {
            let track = movie.tracks.iter().find(|track| track.id == span.track)?;
            // The times of fragments continue those of `moov`, or begin anew.
            let begins = milliseconds(span.start, track.rate)?;
            let start = if movie.goes_on_at(begins) {
                0
            } else {
                span.start
            };
            milliseconds(span.end - start, track.rate)
        });
        let indexed = self.indexed.iter().map(|(_, milliseconds)| *milliseconds);
        spans.chain(indexed).max()
    }
}

/// Reads a `moof` box.
pub(super) fn read(bytes: &Sparse, moof: &Header, movie: &Movie) -> Result<Vec<Run>, Stop> {
    let mut runs = Vec::new();
    for child in moof.children(bytes) {
        let child = child?;
        if child.kind == *b"traf" && runs.len() < MOST {
            runs.extend(track(bytes, &child, movie)?);
        }
    }
    Ok(runs)
}

/// Reads a `traf` box; `None` if it has no header.
fn track(bytes: &Sparse, traf: &Header, movie: &Movie) -> Result<Option<Run>, Stop> {
    let Some(tfhd) = traf.child(bytes, *b"tfhd")? else {
        return Ok(None);
    };
    let flags = tfhd.u32(bytes, 0)?;
    let track = tfhd.u32(bytes, 4)?;
    let default = if flags & DEFAULT_DURATION == 0 {
        let mut tracks = movie.tracks.iter();
        let known = tracks.find(|known| known.id == track);
        known.map_or(0, |known| known.sample_duration)
    } else {
        let base = if flags & BASE_DATA_OFFSET == 0 { 0 } else { 8 };
        let description = if flags & DESCRIPTION_INDEX == 0 { 0 } else { 4 };
        tfhd.u32(bytes, 8 + base + description)?.into()
    };
    let mut run = Run {
        track,
        start: None,
        duration: 0,
    };
    for child in traf.children(bytes) {
        let child = child?;
        match &child.kind {
            b"tfdt" => {
                let wide = child.version(bytes)? == 1;
                run.start = Some(child.number(bytes, 4, wide)?);
            }
            b"trun" => {
                let duration = samples(bytes, &child, default)?;
                run.duration = run.duration.saturating_add(duration);
            }
            _ => {}
        }
    }
    Ok(Some(run))
}

/// The duration of all samples of a `trun` box.
fn samples(bytes: &Sparse, trun: &Header, default: u64) -> Result<u64, Stop> {
    let flags = trun.u32(bytes, 0)? & 0x00ff_ffff;
    let count = u64::from(trun.u32(bytes, 4)?);
    if flags & SAMPLE_DURATION == 0 {
        return Ok(default.saturating_mul(count));
    }
    let fields = [DATA_OFFSET, FIRST_FLAGS].map(|flag| u64::from(flags & flag != 0));
    let first = 8 + 4 * fields.into_iter().sum::<u64>();
    let size = 4 * u64::from((flags & SAMPLE_FIELDS).count_ones());
    let mut duration = 0_u64;
    // A read outside the box fails, which bounds the count.
    for sample in 0..count {
        let of_this = trun.u32(bytes, first + sample * size)?;
        duration = duration.saturating_add(of_this.into());
    }
    Ok(duration)
}
