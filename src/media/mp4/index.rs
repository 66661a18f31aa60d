//! The indexes of fragments: `sidx` before the fragments, `mfra` after them. Pure.

use super::boxes::Header;
use crate::media::sparse::Sparse;
use crate::media::{MOST_TRACKS, Stop, milliseconds};

/// The size of an `mfro` box, the last box in `mfra`, in bytes.
const MFRO: u64 = 16;
/// The bits of a `sidx` reference that hold the size. The highest bit is the type of the reference.
const SIZE: u32 = 0x7fff_ffff;

/// The media that a `sidx` box names.
#[derive(Debug)]
pub(super) struct Segments {
    pub(super) track: u32,
    pub(super) count: u64,
    /// The offset after the media.
    pub(super) end: u64,
    pub(super) milliseconds: u64,
    /// The offset after the box.
    pub(super) behind: u64,
}

/// Reads a `sidx` box, and those of other tracks directly after it.
pub(super) fn adjoining(bytes: &Sparse, first: &Header) -> Result<Vec<Segments>, Stop> {
    let mut all = vec![segments(bytes, first)?];
    let mut at = first.end;
    while all.len() < MOST_TRACKS {
        let next = match Header::read(bytes, at, bytes.length()) {
            Ok(next) if next.kind == *b"sidx" => next,
            Err(Stop::Unread(at)) => return Err(Stop::Unread(at)),
            _ => break,
        };
        next.within(bytes)?;
        let segments = segments(bytes, &next)?;
        // A second index of the same track is nested in the first.
        if all.iter().any(|before| before.track == segments.track) {
            break;
        }
        at = next.end;
        all.push(segments);
    }
    Ok(all)
}

/// Reads a `sidx` box.
fn segments(bytes: &Sparse, sidx: &Header) -> Result<Segments, Stop> {
    let wide = sidx.version(bytes)? == 1;
    let rate = u64::from(sidx.u32(bytes, 8)?);
    let offset = if wide { 20 } else { 16 };
    let first = sidx.number(bytes, offset, wide)?;
    let counts = offset + if wide { 8 } else { 4 };
    let count = u64::from(sidx.u32(bytes, counts)? & 0xffff);
    let (mut end, mut duration) = (sidx.end.saturating_add(first), 0_u64);
    for reference in 0..count {
        let place = counts + 4 + reference * 12;
        let size = sidx.u32(bytes, place)? & SIZE;
        end = end.saturating_add(size.into());
        duration = duration.saturating_add(sidx.u32(bytes, place + 4)?.into());
    }
    Ok(Segments {
        track: sidx.u32(bytes, 4)?,
        behind: sidx.end,
        count,
        end,
        milliseconds: milliseconds(duration, rate).unwrap_or_default(),
    })
}

/// The `mfra` box at the object's end, if the object ends with an `mfro` box.
pub(super) fn last_index(bytes: &Sparse) -> Result<Option<Header>, Stop> {
    let length = bytes.length();
    let Some(last) = length.checked_sub(MFRO) else {
        return Ok(None);
    };
    let size = u64::from(bytes.u32(last + 12)?);
    if bytes.array(last + 4)? != *b"mfro" || size > length {
        return Ok(None);
    }
    let mfra = Header::read(bytes, length - size, length);
    let mfra = match mfra {
        Err(Stop::Unread(at)) => return Err(Stop::Unread(at)),
        mfra => mfra.ok(),
    };
    Ok(mfra.filter(|mfra| mfra.kind == *b"mfra" && mfra.end == length))
}

/// The offset of the last fragment that an `mfra` box names.
pub(super) fn last_fragment(bytes: &Sparse, mfra: &Header) -> Result<Option<u64>, Stop> {
    let mut last = None;
    for child in mfra.children(bytes) {
        let child = child?;
        if child.kind != *b"tfra" {
            continue;
        }
        let wide = child.version(bytes)? == 1;
        let widths = child.u32(bytes, 8)?;
        let numbers = [4, 2, 0].map(|shift| 1 + u64::from(widths >> shift & 3));
        let (time, size) = if wide { (8, 16) } else { (4, 8) };
        let size = size + numbers.into_iter().sum::<u64>();
        let count = u64::from(child.u32(bytes, 12)?);
        if let Some(before) = count.checked_sub(1) {
            let place = 16 + before * size + time;
            last = last.max(Some(child.number(bytes, place, wide)?));
        }
    }
    Ok(last)
}
