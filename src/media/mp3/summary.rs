//! The lengths that the first frame may carry: `Xing`, `Info` or `VBRI`. Pure.

use super::frame::Frame;
use crate::media::Stop;
use crate::media::sparse::Sparse;

/// The flags of `Xing` that say which numbers there are.
const FRAMES: u32 = 1;
const BYTES: u32 = 2;
/// The bytes between the header and `VBRI`, whatever the frame.
const VBRI: u64 = 32;

/// The lengths of an MP3 file, as an encoder noted them in its first frame.
#[derive(Debug, Default)]
pub(super) struct Summary {
    /// The number of frames of audio.
    pub(super) frames: Option<u32>,
    /// The bytes of all frames, this one included.
    bytes: Option<u32>,
}

impl Summary {
    /// Reads what the frame at `at` carries.
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

    /// Fails if `there` bytes of frames, of which the first has `first`, are not those noted. Some
    /// encoders do not count the first frame.
    pub(super) fn is_of(&self, there: u64, first: u64) -> Result<(), Stop> {
        let Some(told) = self.bytes.map(u64::from) else {
            return Ok(());
        };
        if told > there {
            return Err(Stop::Truncated(format!(
                "first frame tells of {told} bytes, of which {there} are there"
            )));
        }
        if told + first < there {
            return Err(Stop::Unknown(format!(
                "first frame tells of {told} bytes, and {there} are there"
            )));
        }
        Ok(())
    }
}
