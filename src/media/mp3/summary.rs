//! The summary in the first frame: `Xing`, `Info` or `VBRI`. Pure.

use super::frame::Frame;
use crate::media::Stop;
use crate::media::sparse::Sparse;

/// The flags of `Xing` for the numbers that it has.
const FRAMES: u32 = 1;
const BYTES: u32 = 2;
/// The bytes between the header and `VBRI`, in any frame.
const VBRI: u64 = 32;

/// The lengths of an MP3 file that the encoder has stored in the first frame.
#[derive(Debug, Default)]
pub(super) struct Summary {
    /// The number of frames of audio.
    pub(super) frames: Option<u32>,
    /// The bytes of all frames, including the first.
    bytes: Option<u32>,
}

impl Summary {
    /// Reads the summary in the frame at `at`; empty if there is none.
    pub(super) fn read(bytes: &Sparse, at: u64, frame: &Frame) -> Result<Self, Stop> {
        let end = at.saturating_add(frame.length).min(bytes.length());
        let place = at + 4 + frame.side;
        if place + 16 <= end && matches!(&bytes.array(place)?, b"Xing" | b"Info") {
            let flags = bytes.u32(place + 4)?;
            let (frames, size) = match flags & (FRAMES | BYTES) {
                0 => (0, 0),
                FRAMES => (bytes.u32(place + 8)?, 0),
                BYTES => (0, bytes.u32(place + 8)?),
                _ => (bytes.u32(place + 8)?, bytes.u32(place + 12)?),
            };
            return Ok(Self::of(frames, size));
        }
        let place = at + 4 + VBRI;
        if place + 18 <= end && bytes.array(place)? == *b"VBRI" {
            return Ok(Self::of(bytes.u32(place + 14)?, bytes.u32(place + 10)?));
        }
        Ok(Self::default())
    }

    fn of(frames: u32, bytes: u32) -> Self {
        Self {
            frames: Some(frames).filter(|frames| *frames > 0),
            bytes: Some(bytes).filter(|bytes| *bytes > 0),
        }
    }

    /// Fails if the stored length is not that of the frames, which have `there` bytes, of which the
    /// first frame has `first`. Some encoders do not count the first frame.
    pub(super) fn is_of(&self, there: u64, first: u64) -> Result<(), Stop> {
        let Some(told) = self.bytes.map(u64::from) else {
            return Ok(());
        };
        if told > there {
            return Err(Stop::Truncated(format!(
                "first frame announces {told} bytes, of which {there} are there"
            )));
        }
        if told + first < there {
            return Err(Stop::Unknown(format!(
                "first frame announces {told} bytes, but {there} are there"
            )));
        }
        Ok(())
    }
}
