//! Media of any length, each byte of which follows from format, length, seed and offset: gigabytes
//! take no memory, and any range can be generated or compared alone.

mod mp3;
mod mp4;
mod wav;

use std::ops::Range;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;

/// Samples a second of all sound, of two bytes in MP4 and WAV.
const RATE: u32 = 16_000;
/// The bytes that are generated at once.
const WORD: u64 = 8;

/// The format of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Noise, 16 kHz, mono, 16 bits: pseudo-random bytes, in the boxes of a file that plays.
    Mp4,
    /// Silent frames, 16 kHz, mono, 64 kbit/s, with pseudo-random bytes that decoders ignore. A tag
    /// before them takes the bytes that fill no frame.
    Mp3,
    /// A quiet tone, 16 kHz, mono, 16 bits, whose pitch follows from the seed. Noise in the lowest
    /// bits makes every place different.
    Wav,
}

/// The content of a recording.
#[derive(Clone, Debug)]
pub struct Media {
    format: Format,
    length: u64,
    seed: u64,
    /// The bytes, if they are given and not generated.
    file: Option<Bytes>,
}

impl Media {
    /// Media of exactly this many bytes; a length below that of the header truncates the header.
    pub fn new(format: Format, length: u64, seed: u64) -> Self {
        Self {
            format,
            length,
            seed,
            file: None,
        }
    }

    /// Media of given bytes.
    pub fn file(format: Format, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self {
            format,
            length: bytes.len() as u64,
            seed: 0,
            file: Some(bytes),
        }
    }

    /// The number of bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The format.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The media type of the format.
    pub fn content_type(&self) -> &'static str {
        match self.format {
            Format::Mp4 => "video/mp4",
            Format::Mp3 => "audio/mpeg",
            Format::Wav => "audio/wav",
        }
    }

    /// The bytes of a half-open range, as far as the media reaches.
    pub fn bytes(&self, range: Range<u64>) -> Bytes {
        let end = range.end.min(self.length);
        let start = range.start.min(end);
        if let Some(file) = &self.file {
            return file.slice(size(start)..size(end));
        }
        let header = self.header();
        let header_length = header.len() as u64;

        let from_header = &header[size(start.min(header_length))..size(end.min(header_length))];
        let (from, to) = (
            start.max(header_length) - header_length,
            end.max(header_length) - header_length,
        );
        // Bytes are generated in words, so the range is widened to complete words here and cut
        // below.
        let (first, last) = (from / WORD, to.div_ceil(WORD));

        let mut bytes = vec![0; from_header.len() + size((last - first) * WORD)];
        let (head, words) = bytes.split_at_mut(from_header.len());
        head.copy_from_slice(from_header);
        self.fill(words, first);

        // Skips the beginning of the first word. If there is any, the range contains no header.
        let skip = size(from % WORD);
        Bytes::from(bytes).slice(skip..skip + size(end - start))
    }

    /// The CRC64NVME of all bytes in the form of Amazon S3: eight big-endian bytes in base64.
    pub fn crc64nvme(&self) -> String {
        // Block by block, so that media of any length takes no memory.
        const BLOCK: u64 = 1 << 20;
        let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc64Nvme);
        let mut offset = 0;
        while offset < self.length {
            digest.update(&self.bytes(offset..offset.saturating_add(BLOCK)));
            offset = offset.saturating_add(BLOCK);
        }
        STANDARD.encode(digest.finalize().to_be_bytes())
    }

    fn header(&self) -> Vec<u8> {
        match self.format {
            Format::Mp4 => mp4::header(self.length),
            Format::Mp3 => mp3::header(self.length),
            Format::Wav => wav::header(self.length),
        }
    }

    /// Fills words of the bytes behind the header, of which the first is word number `first`.
    fn fill(&self, words: &mut [u8], first: u64) {
        let key = mix(self.seed);
        match self.format {
            Format::Mp4 => mp4::fill(words, first, key),
            Format::Mp3 => mp3::fill(words, first, key),
            Format::Wav => wav::fill(words, first, key),
        }
    }
}

/// The words of a buffer with their numbers, of which the first is `first`.
fn numbered(words: &mut [u8], first: u64) -> impl Iterator<Item = (u64, &mut [u8])> {
    (first..).zip(words.chunks_exact_mut(size(WORD)))
}

/// Word number `number` of the sequence of splitmix64 for `key`.
///
/// <https://prng.di.unimi.it/splitmix64.c>
#[inline]
fn random(key: u64, number: u64) -> u64 {
    mix(key.wrapping_add(number.wrapping_mul(0x9E37_79B9_7F4A_7C15)))
}

#[inline]
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

fn size(length: u64) -> usize {
    usize::try_from(length).expect("the range fits in memory")
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMATS: [Format; 3] = [Format::Mp4, Format::Mp3, Format::Wav];

    #[test]
    fn a_range_generated_alone_equals_that_range_of_the_complete_media() {
        for format in FORMATS {
            let media = Media::new(format, 1000, 7);
            let whole = media.bytes(0..1000);
            assert_eq!(whole.len(), 1000);
            for start in 0..=130 {
                for end in start..=330 {
                    assert_eq!(
                        media.bytes(start..end),
                        whole.slice(size(start)..size(end)),
                        "{format:?} {start}..{end}"
                    );
                }
            }
            assert_eq!(media.bytes(900..5000), whole.slice(900..));
            assert_eq!(media.bytes(1000..1001), Bytes::new());
            assert_eq!(media.bytes(u64::MAX - 1..u64::MAX), Bytes::new());
        }
    }

    #[test]
    fn any_length_works() {
        for format in FORMATS {
            for length in 0..200 {
                let media = Media::new(format, length, 1);
                assert_eq!(media.bytes(0..u64::MAX).len() as u64, length);
            }
        }
        assert_eq!(&Media::new(Format::Wav, 1, 1).bytes(0..9)[..], b"R");
    }

    #[test]
    fn gigabytes_take_no_memory() {
        let media = Media::new(Format::Wav, 1 << 42, 3);
        assert_eq!(media.bytes(1 << 41..(1 << 41) + 100).len(), 100);
        assert_eq!(media.bytes((1 << 42) - 1..u64::MAX).len(), 1);
    }

    #[test]
    fn places_and_seeds_differ() {
        for format in FORMATS {
            let media = Media::new(format, 1 << 30, 3);
            let part = |number: u64| media.bytes(number << 24..(number << 24) + 4096);
            assert_ne!(part(1), part(2), "{format:?}");
            let other = Media::new(format, 1 << 30, 4);
            assert_ne!(
                part(1),
                other.bytes(1 << 24..(1 << 24) + 4096),
                "{format:?}"
            );
        }
    }

    #[test]
    fn the_headers_are_true() {
        let wav = Media::new(Format::Wav, 32_044, 1).bytes(0..44);
        assert_eq!(&wav[..4], b"RIFF");
        assert_eq!(&wav[4..8], &32_036_u32.to_le_bytes());
        assert_eq!(&wav[8..16], b"WAVEfmt ");
        assert_eq!(&wav[36..40], b"data");
        assert_eq!(&wav[40..44], &32_000_u32.to_le_bytes());

        let mp4 = Media::new(Format::Mp4, 5_000_000_000, 1).bytes(0..mp4::HEADER);
        assert_eq!(&mp4[4..12], b"ftypisom");
        assert_eq!(&mp4[36..40], b"moov");
        assert_eq!(&mp4[541..545], b"mdat");
        let media = 5_000_000_000 - mp4::HEADER + 16;
        assert_eq!(&mp4[545..], &media.to_be_bytes());

        // The tag takes the bytes that fill no frame.
        for (length, tag) in [(864, 0), (1000, 136), (866, 290), (874, 10)] {
            let mp3 = Media::new(Format::Mp3, length, 1).bytes(0..length);
            assert_eq!(mp3.starts_with(b"ID3"), tag > 0);
            for frame in (tag..size(length)).step_by(288) {
                assert_eq!(&mp3[frame..frame + 4], &[0xFF, 0xF3, 0x88, 0xC0]);
            }
        }
    }

    #[test]
    fn the_tone_is_quiet_and_not_silent() {
        let media = Media::new(Format::Wav, 44 + 3200, 5).bytes(44..3244);
        let loudest = media
            .chunks_exact(2)
            .map(|sample| i16::from_le_bytes([sample[0], sample[1]]).abs())
            .max();
        assert!(loudest > Some(900) && loudest < Some(1100), "{loudest:?}");
    }

    #[test]
    fn the_checksum_is_of_all_bytes() {
        for length in [0, 1, 1 << 20, (1 << 20) + 1, 3_000_001] {
            let media = Media::new(Format::Mp4, length, 9);
            let whole = crc_fast::crc64_nvme(&media.bytes(0..length));
            assert_eq!(media.crc64nvme(), STANDARD.encode(whole.to_be_bytes()));
        }
    }
}
