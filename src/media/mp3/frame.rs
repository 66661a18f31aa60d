//! The header of a frame of MPEG audio. Pure.

use crate::media::Stop;
use crate::media::sparse::Sparse;

/// Bit rates in kbit/s, by the index in the header less 1. Indices 0 and 15 are not used.
const MPEG1_LAYER1: [u64; 14] = [
    32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448,
];
const MPEG1_LAYER2: [u64; 14] = [
    32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384,
];
const MPEG1_LAYER3: [u64; 14] = [
    32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320,
];
const MPEG2_LAYER1: [u64; 14] = [
    32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256,
];
const MPEG2_LAYER23: [u64; 14] = [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];
/// Sampling rates of MPEG-1. MPEG-2 and MPEG-2.5 have a half and a quarter of these.
const RATES: [u64; 3] = [44_100, 48_000, 32_000];

/// A frame, by its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// The length in bytes, including the header.
    pub(super) length: u64,
    pub(super) samples: u64,
    /// Samples in a second.
    pub(super) rate: u64,
    /// Bits in a second.
    pub(super) bit_rate: u64,
    /// The bytes between the header and a summary that the first frame may have.
    pub(super) side: u64,
    layer: u8,
}

impl Frame {
    /// The frame whose header is at `at`; `None` if there is no valid header.
    pub(super) fn read(bytes: &Sparse, at: u64) -> Result<Option<Self>, Stop> {
        Ok(Self::of(bytes.u32(at)?))
    }

    fn of(header: u32) -> Option<Self> {
        let field = |shift: u32, bits: u32| header >> shift & ((1 << bits) - 1);
        if field(21, 11) != 0x7ff {
            return None;
        }
        // 3 is MPEG-1, 2 is MPEG-2, 0 is MPEG-2.5.
        let version = field(19, 2);
        let slower = match version {
            3 => 1,
            2 => 2,
            0 => 4,
            _ => return None,
        };
        let is_first = version == 3;
        let layer = match field(17, 2) {
            3 => 1,
            2 => 2,
            1 => 3,
            _ => return None,
        };
        let rates = match (is_first, layer) {
            (true, 1) => MPEG1_LAYER1,
            (true, 2) => MPEG1_LAYER2,
            (true, _) => MPEG1_LAYER3,
            (false, 1) => MPEG2_LAYER1,
            (false, _) => MPEG2_LAYER23,
        };
        let index = usize::try_from(field(12, 4)).ok()?;
        let bit_rate = rates.get(index.checked_sub(1)?)? * 1000;
        let rate = RATES.get(usize::try_from(field(10, 2)).ok()?)? / slower;
        let padding = u64::from(field(9, 1));
        let is_mono = field(6, 2) == 3;
        let samples = match (layer, is_first) {
            (1, _) => 384,
            (3, false) => 576,
            _ => 1152,
        };
        // A slot of layer I has four bytes, any other has one.
        let slot = if layer == 1 { 4 } else { 1 };
        let length = (samples * bit_rate / (8 * slot * rate) + padding) * slot;
        let side = match (is_first, is_mono) {
            (true, false) => 32,
            (true, true) | (false, false) => 17,
            (false, true) => 9,
        };
        Some(Self {
            length,
            samples,
            rate,
            bit_rate,
            side,
            layer,
        })
    }

    /// Returns `true` if both frames can be of one file.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let key = |frame: &Self| (frame.layer, frame.samples, frame.rate);
        key(self) == key(other)
    }

    pub(super) fn codec(&self) -> &'static str {
        match self.layer {
            1 => "mp1",
            2 => "mp2",
            _ => "mp3",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_header_gives_the_length_of_its_frame() {
        for (header, length, rate, bit_rate, samples) in [
            // Frames of LAME: 128 kbit/s at 44.1 kHz, without padding and with it.
            (0xfffb_9064_u32, 417, 44_100, 128_000, 1152),
            (0xfffb_9264, 418, 44_100, 128_000, 1152),
            (0xfffb_e0c4, 1044, 44_100, 320_000, 1152),
            (0xfff3_48c4, 144, 16_000, 32_000, 576),
            (0xffe3_18c4, 72, 8_000, 8_000, 576),
        ] {
            let frame = Frame::of(header).unwrap();
            let told = (frame.length, frame.rate, frame.bit_rate, frame.samples);
            assert_eq!(told, (length, rate, bit_rate, samples), "{header:x}");
        }
        for header in [
            0x0000_0000, // silence
            0xffff_ffff, // erased
            0xfffb_0064, // free bit rate
            0xfffb_f064, // invalid bit rate
            0xfffb_9c64, // invalid sampling rate
            0xffeb_9064, // invalid version
            0xfff1_5080, // ADTS
        ] {
            assert_eq!(Frame::of(header), None, "{header:x}");
        }
    }

    proptest! {
        #[test]
        fn every_frame_has_a_length(header: u32) {
            if let Some(frame) = Frame::of(header) {
                prop_assert!((24..=6914).contains(&frame.length), "{frame:?}");
                prop_assert!(frame.rate > 0 && frame.bit_rate > 0);
            }
        }
    }
}
