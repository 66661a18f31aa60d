//! MP4 files of noise: one track of sound whose samples are pseudo-random bytes.
//!
//! The boxes are those of ISO/IEC 14496-12, the sample entry `sowt` is one of Apple:
//! <https://developer.apple.com/documentation/quicktime-file-format>

use super::{RATE, numbered, random};

/// The bytes before the samples.
pub(super) const HEADER: u64 = 553;

const ZERO: [u8; 4] = [0; 4];
const ONE: [u8; 4] = 1_u32.to_be_bytes();
/// 1.0 as a fixed-point number.
const UNITY: [u8; 4] = 0x1_0000_u32.to_be_bytes();

/// The header of a file of `length` bytes.
pub(super) fn header(length: u64) -> Vec<u8> {
    let media = length.saturating_sub(HEADER);
    let mut header = container(*b"ftyp", &[b"isom\0\0\x02\0isomiso2avc1mp41"]);
    header.extend(movie(media / 2));
    // A size of 1 announces the 64-bit size behind the type, so that the header of a short file is
    // as long as that of a file of terabytes.
    header.extend(ONE);
    header.extend(b"mdat");
    header.extend((media + 16).to_be_bytes());
    debug_assert_eq!(header.len() as u64, HEADER);
    header
}

/// Fills words of the samples, of which the first is word number `first`.
pub(super) fn fill(words: &mut [u8], first: u64, key: u64) {
    for (number, word) in numbered(words, first) {
        word.copy_from_slice(&random(key, number).to_le_bytes());
    }
}

/// A `moov` box with one track of so many samples, which follow each other in `mdat`.
fn movie(samples: u64) -> Vec<u8> {
    let samples = u32::try_from(samples).unwrap_or(u32::MAX).to_be_bytes();
    let rate = RATE.to_be_bytes();
    let header = [
        &[0; 12][..],
        &rate,
        &samples,
        &UNITY,
        &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        &matrix(),
        &[0; 24],
        &2_u32.to_be_bytes(),
    ];
    let boxes = [container(*b"mvhd", &header), track(samples)];
    container(*b"moov", &[&boxes.concat()])
}

fn track(samples: [u8; 4]) -> Vec<u8> {
    let volume = [1, 0, 0, 0];
    let header = [
        &[0, 0, 0, 3][..],
        &[0; 8],
        &ONE,
        &ZERO,
        &samples,
        &[0; 12],
        &volume,
        &matrix(),
        &[0; 8],
    ];
    let boxes = [container(*b"tkhd", &header), media(samples)];
    container(*b"trak", &[&boxes.concat()])
}

fn media(samples: [u8; 4]) -> Vec<u8> {
    // The language code "und", undetermined.
    let language = [0x55, 0xc4, 0, 0];
    let source = container(*b"dref", &[&ZERO, &ONE, &container(*b"url ", &[&ONE])]);
    let information = [
        container(*b"smhd", &[&[0; 8]]),
        container(*b"dinf", &[&source]),
        container(*b"stbl", &[&sample_tables(samples)]),
    ];
    let boxes = [
        container(
            *b"mdhd",
            &[&[0; 12], &RATE.to_be_bytes(), &samples, &language],
        ),
        container(*b"hdlr", &[&[0; 8], b"soun", &[0; 13]]),
        container(*b"minf", &[&information.concat()]),
    ];
    container(*b"mdia", &[&boxes.concat()])
}

fn sample_tables(samples: [u8; 4]) -> Vec<u8> {
    // One channel, 16 bits a sample.
    let channel = [0, 1, 0, 16, 0, 0, 0, 0];
    let entry = [
        &[0, 0, 0, 36][..],
        b"sowt",
        &[0, 0, 0, 0, 0, 0, 0, 1],
        &[0; 8],
        &channel,
        &(RATE << 16).to_be_bytes(),
    ];
    let tables = [
        container(*b"stsd", &[&ZERO, &ONE, &entry.concat()]),
        container(*b"stts", &[&ZERO, &ONE, &samples, &ONE]),
        container(*b"stsc", &[&ZERO, &ONE, &ONE, &samples, &ONE]),
        container(*b"stsz", &[&ZERO, &2_u32.to_be_bytes(), &samples]),
        container(*b"co64", &[&ZERO, &ONE, &HEADER.to_be_bytes()]),
    ];
    tables.concat()
}

/// The identity matrix, which leaves pictures as they are.
fn matrix() -> Vec<u8> {
    let last = 0x4000_0000_u32.to_be_bytes();
    [&UNITY[..], &[0; 12], &UNITY, &[0; 12], &last].concat()
}

/// A box of this type and content.
fn container(kind: [u8; 4], content: &[&[u8]]) -> Vec<u8> {
    let content = content.concat();
    let size = u32::try_from(content.len() + 8).unwrap_or(u32::MAX);
    [&size.to_be_bytes(), &kind[..], &content].concat()
}
