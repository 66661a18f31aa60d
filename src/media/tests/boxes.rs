//! Boxes of MP4 files.

use super::read;

/// A box with this content.
pub(super) fn mp4(kind: [u8; 4], content: &[u8]) -> Vec<u8> {
    let size = u32::try_from(8 + content.len()).unwrap();
    [&size.to_be_bytes(), &kind[..], content].concat()
}

/// The header of a box of `content` bytes, with a size of 64 bits.
pub(super) fn wide(kind: [u8; 4], content: u64) -> Vec<u8> {
    let size = content + 16;
    [&1_u32.to_be_bytes(), &kind[..], &size.to_be_bytes()].concat()
}

/// The header of a box of `content` bytes, with a size of 32 bits.
pub(super) fn narrow(kind: [u8; 4], content: u64) -> Vec<u8> {
    let size = u32::try_from(content + 8).unwrap();
    [&size.to_be_bytes(), &kind[..]].concat()
}

/// The first box of that kind in a file.
pub(super) fn cut(bytes: &[u8], kind: &[u8]) -> Vec<u8> {
    let at = bytes.windows(4).position(|part| part == kind).unwrap() - 4;
    bytes[at..at + read(bytes, at) as usize].to_vec()
}
