//! The `moov` box: the tracks, and their durations. Pure.

use super::boxes::{Header, name};
use crate::media::sparse::Sparse;
use crate::media::{Found, Kind, MOST_TRACKS, Stop, Track, milliseconds};

/// The tolerated difference between two durations of the same media, in milliseconds.
const TOLERANCE: u64 = 1_000;

/// A `moov` box.
#[derive(Debug, Default)]
pub(super) struct Movie {
    /// `true` if the file may have fragments.
    pub(super) is_fragmented: bool,
    /// The duration of all fragments in milliseconds, from `mehd`.
    fragments_ms: Option<u64>,
    /// The duration in milliseconds of the media that `moov` describes.
    own_ms: u64,
    pub(super) tracks: Vec<MovieTrack>,
    has_media: bool,
}

/// A `trak` box.
#[derive(Debug, Default)]
pub(super) struct MovieTrack {
    pub(super) id: u32,
    /// The units of the track's clock in a second.
    pub(super) rate: u64,
    /// The duration of a sample for which a fragment has none, in units of the track's clock.
    pub(super) sample_duration: u64,
    duration_ms: Option<u64>,
}

/// Reads a `moov` box. `media` is `true` if media comes before it. The tracks and the duration are
/// in `found` even after an error.
pub(super) fn read(
    bytes: &Sparse,
    moov: &Header,
    media: bool,
    found: &mut Found,
) -> Result<Movie, Stop> {
    found.tracks.clear();
    let mut movie = Movie::default();
    let mut header = None;
    for child in moov.children(bytes) {
        let child = child?;
        match &child.kind {
            b"mvhd" => {
                let read = MovieHeader::read(bytes, &child)?;
                found.duration_ms = read.duration_ms;
                movie.own_ms = read.duration_ms.unwrap_or_default();
                header = Some(read);
            }
            b"trak" if movie.tracks.len() == MOST_TRACKS => {
                return Err(Stop::Unknown(format!("more than {MOST_TRACKS} tracks")));
            }
            b"trak" => {
                let (track, listed) = track(bytes, &child)?;
                movie.has_media |= listed.kind != Kind::Other;
                movie.tracks.push(track);
                found.tracks.push(listed);
            }
            b"mvex" => movie.extend(bytes, &child, header.as_ref())?,
            _ => {}
        }
        // No fragments can follow, and the rest of the index is not worth a read.
        let has_all = |header: &MovieHeader| header.tracks == movie.tracks.len() as u64;
        if media && moov.end == bytes.length() && header.as_ref().is_some_and(has_all) {
            break;
        }
    }
    if header.is_none() {
        return Err(Stop::Unreadable("`moov` box has no `mvhd`".to_owned()));
    }
    let longest = movie.tracks.iter().filter_map(|track| track.duration_ms);
    if found.duration_ms.is_none_or(|duration| duration == 0) {
        found.duration_ms = found.duration_ms.max(longest.max()).max(movie.fragments_ms);
    }
    // The duration of a fragmented file is in its fragments.
    if movie.is_fragmented && found.duration_ms == Some(0) {
        found.duration_ms = None;
    }
    Ok(movie)
}

impl Movie {
    /// Fails if there is no track to play.
    pub(super) fn is_playable(&self) -> Result<(), Stop> {
        if self.has_media {
            return Ok(());
        }
        Err(Stop::Unreadable(
            "`moov` box has no track of audio or video".to_owned(),
        ))
    }

    /// Returns `true` if a fragment that begins at `milliseconds` continues the media of `moov`.
    pub(super) fn goes_on_at(&self, milliseconds: u64) -> bool {
        milliseconds <= self.own_ms.saturating_add(TOLERANCE)
    }

    /// Fails if fragments of `duration` milliseconds are shorter than `mehd` says.
    pub(super) fn is_ended_by(&self, duration: Option<u64>) -> Result<(), Stop> {
        match (self.fragments_ms, duration) {
            (Some(told), Some(there)) if told > there.saturating_add(TOLERANCE) => {
                Err(Stop::Truncated(format!(
                    "fragments end after {there} ms of the {told} ms in `mehd`"
                )))
            }
            _ => Ok(()),
        }
    }

    fn extend(
        &mut self,
        bytes: &Sparse,
        mvex: &Header,
        header: Option<&MovieHeader>,
    ) -> Result<(), Stop> {
        self.is_fragmented = true;
        for child in mvex.children(bytes) {
            let child = child?;
            match &child.kind {
                b"mehd" => {
                    let wide = child.version(bytes)? == 1;
                    let duration = child.number(bytes, 4, wide)?;
                    let rate = header.map_or(0, |header| header.rate);
                    self.fragments_ms = milliseconds(duration, rate).filter(|told| *told > 0);
                }
                b"trex" => {
                    let (id, duration) = (child.u32(bytes, 4)?, child.u32(bytes, 12)?);
                    let mut tracks = self.tracks.iter_mut();
                    if let Some(track) = tracks.find(|track| track.id == id) {
                        track.sample_duration = duration.into();
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// An `mvhd` box.
struct MovieHeader {
    rate: u64,
    duration_ms: Option<u64>,
    /// The number of tracks, unless one was removed.
    tracks: u64,
}

impl MovieHeader {
    fn read(bytes: &Sparse, mvhd: &Header) -> Result<Self, Stop> {
        let wide = mvhd.version(bytes)? == 1;
        let (rate, duration_ms) = clock(bytes, mvhd)?;
        let next = mvhd.u32(bytes, if wide { 108 } else { 96 })?;
        Ok(Self {
            rate,
            duration_ms,
            tracks: u64::from(next).saturating_sub(1),
        })
    }
}

/// The clock's rate and the duration in milliseconds of an `mvhd` or `mdhd` box.
fn clock(bytes: &Sparse, header: &Header) -> Result<(u64, Option<u64>), Stop> {
    let wide = header.version(bytes)? == 1;
    let (rate, duration, unknown) = if wide {
        (header.u32(bytes, 20)?, header.u64(bytes, 24)?, u64::MAX)
    } else {
        let duration = header.u32(bytes, 16)?;
        (header.u32(bytes, 12)?, duration.into(), u32::MAX.into())
    };
    if rate == 0 {
        let (name, at) = (name(header.kind), header.at);
        return Err(Stop::Unreadable(format!(
            "`{name}` box at byte {at} has a clock of 0 units a second"
        )));
    }
    let duration = Some(duration).filter(|duration| *duration != unknown);
    let rate = u64::from(rate);
    Ok((rate, duration.and_then(|units| milliseconds(units, rate))))
}

fn track(bytes: &Sparse, trak: &Header) -> Result<(MovieTrack, Track), Stop> {
    let tkhd = required(bytes, trak, *b"tkhd")?;
    let wide = tkhd.version(bytes)? == 1;
    let id = tkhd.u32(bytes, if wide { 20 } else { 12 })?;
    let mdia = required(bytes, trak, *b"mdia")?;
    let (rate, duration_ms) = clock(bytes, &required(bytes, &mdia, *b"mdhd")?)?;
    let handler = required(bytes, &mdia, *b"hdlr")?.u32(bytes, 8)?;
    let kind = match &handler.to_be_bytes() {
        b"soun" => Kind::Audio,
        b"vide" => Kind::Video,
        _ => Kind::Other,
    };
    let minf = required(bytes, &mdia, *b"minf")?;
    let stbl = required(bytes, &minf, *b"stbl")?;
    let stsd = required(bytes, &stbl, *b"stsd")?;
    let codec = match stsd.u32(bytes, 4)? {
        0 => "none".to_owned(),
        _ => name(stsd.u32(bytes, 12)?.to_be_bytes()),
    };
    let known = MovieTrack {
        id,
        rate,
        sample_duration: 0,
        duration_ms,
    };
    Ok((known, Track { kind, codec }))
}

fn required(bytes: &Sparse, parent: &Header, kind: [u8; 4]) -> Result<Header, Stop> {
    parent.child(bytes, kind)?.ok_or_else(|| {
        let (name, at) = (name(parent.kind), parent.at);
        let kind = self::name(kind);
        Stop::Unreadable(format!("`{name}` box at byte {at} has no `{kind}`"))
    })
}
