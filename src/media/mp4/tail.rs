//! The end of a file with too many fragments to walk over. Pure.

use super::boxes::Header;
use super::{Walk, fragment, index};
use crate::media::Stop;
use crate::media::sparse::Sparse;

/// The largest number of places that are examined for a fragment.
const MOST: usize = 64;
/// The largest number of boxes from such a place to the end.
const LONGEST: usize = 1_000;

/// Examines the end of a file.
pub(super) fn examine(bytes: &Sparse, walk: &mut Walk) -> Result<String, Stop> {
    let length = bytes.length();
    let (start, tail) = bytes.tail()?;
    // An index names the last fragment. Without an index, the tail is searched for one.
    if let Some(mfra) = index::last_index(bytes)? {
        let last = index::last_fragment(bytes, &mfra)?;
        let is_behind = |at: &u64| *at >= walk.at && *at < mfra.at;
        let Some(last) = last.filter(is_behind) else {
            return Err(Stop::Unreadable(
                "index `mfra` names no fragment before itself".to_owned(),
            ));
        };
        return match chain(bytes, last)? {
            Chain::Ends(moof) => {
                add(bytes, walk, &moof)?;
                walk.is_playable()?;
                Ok(format!(
                    "index `mfra` and the last fragment end at the last byte, {length}"
                ))
            }
            Chain::Beyond(_) | Chain::Broken => Err(Stop::Unreadable(format!(
                "index `mfra` names a fragment at byte {last}, where there is none"
            ))),
        };
    }
    let places = tail.windows(8).enumerate();
    let places = places.filter(|(_, bytes)| bytes.get(4..) == Some(b"moof"));
    for (place, _) in places.take(MOST) {
        match chain(bytes, start + place as u64)? {
            Chain::Ends(moof) => {
                let (from, to) = (walk.at, start + place as u64);
                add(bytes, walk, &moof)?;
                walk.is_playable()?;
                return Err(Stop::Unknown(format!(
                    "last fragments end at the last byte, {length}; \
                     those from byte {from} to {to} were not examined"
                )));
            }
            Chain::Beyond(stop) => return Err(stop),
            Chain::Broken => {}
        }
    }
    if start > walk.at && bytes.reads_left() > 0 {
        return Err(Stop::Unread(bytes.before(start).max(walk.at)));
    }
    let from = walk.at;
    Err(Stop::Unknown(format!(
        "fragments from byte {from} on were not examined"
    )))
}

/// A chain of boxes from a fragment on.
enum Chain {
    /// The chain ends at the object's last byte, with this last fragment.
    Ends(Header),
    /// The last box is cut off, for this reason.
    Beyond(Stop),
    /// There is no chain of boxes.
    Broken,
}

/// Follows the boxes from `at` to the end of the object.
fn chain(bytes: &Sparse, mut at: u64) -> Result<Chain, Stop> {
    let mut last = None;
    let mut has_media = false;
    for _ in 0..LONGEST {
        if at == bytes.length() {
            let last = last.filter(|_| has_media);
            return Ok(last.map_or(Chain::Broken, Chain::Ends));
        }
        let header = match Header::read(bytes, at, bytes.length()) {
            Ok(header) if is_of_fragments(&header) => header,
            Err(Stop::Unread(at)) => return Err(Stop::Unread(at)),
            Err(stop @ Stop::Truncated(_)) if last.is_some() => return Ok(Chain::Beyond(stop)),
            _ => return Ok(Chain::Broken),
        };
        if header.kind == *b"moof" {
            match header.children(bytes).next() {
                Some(Ok(child)) if child.kind == *b"mfhd" => last = Some(header),
                Some(Err(Stop::Unread(at))) => return Err(Stop::Unread(at)),
                _ => return Ok(Chain::Broken),
            }
        }
        has_media = header.kind != *b"moof" && (has_media || header.kind == *b"mdat");
        if last.is_none() {
            return Ok(Chain::Broken);
        }
        if let Err(stop) = header.within(bytes) {
            return Ok(Chain::Beyond(stop));
        }
        at = header.end;
    }
    Ok(Chain::Broken)
}

fn is_of_fragments(header: &Header) -> bool {
    let kinds = [
        b"moof", b"mdat", b"styp", b"sidx", b"ssix", b"prft", b"emsg", b"free", b"skip", b"uuid",
        b"mfra",
    ];
    kinds.contains(&&header.kind)
}

fn add(bytes: &Sparse, walk: &mut Walk, moof: &Header) -> Result<(), Stop> {
    if let Some(movie) = &walk.movie {
        walk.timeline.add_last(fragment::read(bytes, moof, movie)?);
    }
    Ok(())
}
