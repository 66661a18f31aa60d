//! The tags before and after the frames. Pure.

use super::TAIL;
use crate::media::Stop;
use crate::media::sparse::Sparse;

const ID3V1: u64 = 128;
/// The size of the header, and of the footer, of an APE tag.
const APE: u64 = 32;
/// The flag of an APE tag with a header, which the size of the tag does not include.
const APE_HEADER: u32 = 1 << 31;
/// The flag of an `ID3v2` tag with a footer.
const ID3_FOOTER: u8 = 1 << 4;
/// The largest number of tags at either end.
const MOST: usize = 4;

/// The offset after the `ID3v2` tags at the object's beginning.
pub(super) fn skip(bytes: &Sparse) -> Result<u64, Stop> {
    let mut at = 0;
    for _ in 0..MOST {
        if bytes.length().saturating_sub(at) < 10 || bytes.array(at)? != *b"ID3" {
            break;
        }
        let [flags] = bytes.array(at + 5)?;
        let size: [u8; 4] = bytes.array(at + 6)?;
        let size = size
            .into_iter()
            .fold(0, |size, byte| size << 7 | u64::from(byte & 0x7f));
        let footer = if flags & ID3_FOOTER == 0 { 0 } else { 10 };
        let end = at + 10 + size + footer;
        if end > bytes.length() {
            let (length, there) = (end - at, bytes.length() - at);
            return Err(Stop::Truncated(format!(
                "tag at byte {at} has {length} bytes, of which {there} are there"
            )));
        }
        at = end;
    }
    Ok(at)
}

/// The offset of the tags at the object's end.
pub(super) fn strip(bytes: &Sparse) -> Result<u64, Stop> {
    bytes.tail()?;
    let mut end = bytes.length();
    for _ in 0..MOST {
        // The search for the last frames needs these bytes as well.
        let from = end.saturating_sub(TAIL);
        bytes.bytes(from, usize::try_from(end - from).unwrap_or(usize::MAX))?;
        let tag = ape(bytes, end)?.or(id3(bytes, end)?);
        let Some(length) = tag.filter(|length| *length <= end) else {
            break;
        };
        end -= length;
    }
    Ok(end)
}

fn id3(bytes: &Sparse, end: u64) -> Result<Option<u64>, Stop> {
    let Some(at) = end.checked_sub(ID3V1) else {
        return Ok(None);
    };
    Ok((bytes.array(at)? == *b"TAG").then_some(ID3V1))
}

fn ape(bytes: &Sparse, end: u64) -> Result<Option<u64>, Stop> {
    let Some(at) = end.checked_sub(APE) else {
        return Ok(None);
    };
    if bytes.array(at)? != *b"APETAGEX" {
        return Ok(None);
    }
    let size = bytes.array(at + 12).map(u32::from_le_bytes)?;
    let flags = bytes.array(at + 20).map(u32::from_le_bytes)?;
    let header = if flags & APE_HEADER == 0 { 0 } else { APE };
    Ok(Some(u64::from(size) + header).filter(|length| *length >= APE))
}
