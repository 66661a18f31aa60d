//! MP3 files of silence: frames that a decoder plays as nothing, filled with pseudo-random bytes.

use super::{WORD, numbered, random};

const WORDS_PER_FRAME: u64 = 36;
/// The bytes of the shortest ID3 tag.
const TAG: u64 = 10;

/// An ID3 tag that takes the bytes by which a file of `length` bytes exceeds its frames; empty if
/// there are none.
///
/// <https://id3.org/id3v2.4.0-structure>
pub(super) fn header(length: u64) -> Vec<u8> {
    let frame = WORDS_PER_FRAME * WORD;
    let length = match length % frame {
        0 => return Vec::new(),
        rest if rest < TAG => rest + frame,
        rest => rest,
    };
    let size = u32::try_from(length - TAG).unwrap_or_default();
    // Seven bits in each byte, so that no byte of the size looks like a frame.
    let size = [21, 14, 7, 0].map(|shift| (size >> shift & 0x7f).to_le_bytes()[0]);
    let mut tag = [&b"ID3\x04\0\0"[..], &size].concat();
    tag.resize(usize::try_from(length).unwrap_or_default(), 0);
    tag
}

/// Fills words of the frames, of which the first is word number `first`.
pub(super) fn fill(words: &mut [u8], first: u64, key: u64) {
    for (number, word) in numbered(words, first) {
        let random = random(key, number);
        // A frame is four bytes of header and nine of side information, all zero: the decoder finds
        // no audio data, whatever the other bytes are.
        let value = match number % WORDS_PER_FRAME {
            0 => u64::from_le_bytes([0xFF, 0xF3, 0x88, 0xC0, 0, 0, 0, 0]),
            1 => random & !0xFF_FFFF_FFFF,
            _ => random,
        };
        word.copy_from_slice(&value.to_le_bytes());
    }
}
