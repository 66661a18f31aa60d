//! The WAV container: the chunks of a RIFF, RF64 or BW64 file. Pure.
//!
//! RIFF:
//! <https://learn.microsoft.com/windows/win32/xaudio2/resource-interchange-file-format--riff->;
//! RF64: <https://tech.ebu.ch/publications/tech3306>. In this module a chunk is a RIFF chunk, not
//! a chunk of a recording.

use super::sparse::Sparse;
use super::{Found, Kind, Stop, Track, milliseconds};

/// The size of a chunk that is unknown, or too large for 32 bits.
const NO_SIZE: u64 = u32::MAX as u64;
/// The format tag of a format chunk with an extension, which has the real tag.
const EXTENSIBLE: u16 = 0xfffe;
/// The size of a `fmt ` chunk with an extension, in bytes.
const EXTENDED: u64 = 40;

/// Returns `true` if `first` are the first bytes of a WAV file.
pub(super) fn begins(first: &[u8]) -> bool {
    let magic = first.get(..4).unwrap_or_default();
    let is_riff = [&b"RIFF"[..], b"RF64", b"BW64"].contains(&magic);
    is_riff && is_wave(first.get(8..).unwrap_or_default())
}

/// Returns `true` if `form`, which may be cut off, is the form of WAV.
pub(super) fn is_wave(form: &[u8]) -> bool {
    form.iter()
        .zip(b"WAVE")
        .all(|(byte, wanted)| byte == wanted)
}

/// Parses a WAV file.
pub(super) fn parse(bytes: &Sparse, found: &mut Found) -> Result<String, Stop> {
    let mut file = File::begin(bytes)?;
    while file.at < bytes.length() {
        file.chunk(bytes, found)?;
    }
    file.conclude(bytes.length())
}

/// The state of a walk over the chunks of a WAV file.
#[derive(Debug)]
struct File {
    /// The offset of the next chunk.
    at: u64,
    /// The end of the file by its header; `None` if the header does not say.
    end: Option<u64>,
    /// `true` for RF64 and BW64, which have sizes of 64 bits.
    is_wide: bool,
    /// The size of the data in the `ds64` chunk.
    wide_data: Option<u64>,
    /// The bytes of a second of audio.
    rate: Option<u64>,
    /// The bytes of the data in the object.
    data: Option<u64>,
    /// `true` if the data has no size and extends to the end of the object.
    is_open: bool,
}

impl File {
    fn begin(bytes: &Sparse) -> Result<Self, Stop> {
        let magic: [u8; 4] = bytes.array(0)?;
        let size = u64::from(little(bytes, 4)?);
        bytes.bytes(8, 4)?;
        let is_known = size != 0 && size != NO_SIZE;
        Ok(Self {
            at: 12,
            end: is_known.then_some(size + 8),
            is_wide: magic != *b"RIFF",
            wide_data: None,
            rate: None,
            data: None,
            is_open: false,
        })
    }

    fn chunk(&mut self, bytes: &Sparse, found: &mut Found) -> Result<(), Stop> {
        let (at, length) = (self.at, bytes.length());
        if self.end.is_some_and(|end| at >= end) {
            let more = length - at;
            return Err(Stop::Unreadable(format!(
                "{more} bytes follow on the end of the file at byte {at}"
            )));
        }
        let id: [u8; 4] = bytes.array(at)?;
        let size = u64::from(little(bytes, at + 4)?);
        if !id.iter().all(|byte| matches!(byte, b' '..=b'~')) {
            return Err(Stop::Unreadable(format!("bytes from {at} on are no chunk")));
        }
        let content = at + 8;
        let size = match &id {
            b"data" => self.data(content, size, length),
            _ => size,
        };
        let end = content.saturating_add(size);
        if id == *b"data" && self.data.is_none() {
            let there = size.min(length - content);
            self.data = Some(there);
            found.duration_ms = self.rate.and_then(|rate| milliseconds(there, rate));
        }
        if end > length {
            let (name, there) = (id.map(char::from), length - content);
            let name = String::from_iter(name);
            return Err(Stop::Truncated(format!(
                "`{name}` chunk at byte {at} has {size} bytes, of which {there} are there"
            )));
        }
        match &id {
            b"fmt " => self.format(bytes, content, size, found)?,
            b"ds64" if self.is_wide => {
                self.end = Some(wide(bytes, content)?.saturating_add(8));
                self.wide_data = Some(wide(bytes, content + 8)?);
            }
            _ => {}
        }
        // Chunks begin at even offsets.
        self.at = end + (size & 1);
        Ok(())
    }

    /// The size of the data in an object of `length` bytes whose chunk header has `size`.
    fn data(&mut self, content: u64, size: u64, length: u64) -> u64 {
        if let (NO_SIZE, Some(size)) = (size, self.wide_data) {
            return size;
        }
        // A writer that streams leaves the size that it began with. A writer that goes on beyond
        // 4 GiB leaves a size that is too small.
        let is_unknown = size == NO_SIZE || size == 0 && self.end.is_none_or(|end| end <= content);
        let is_long = !self.is_wide && length - 8 > NO_SIZE;
        let is_empty = size == 0 && length == content;
        self.is_open = is_long || is_unknown && !is_empty;
        if self.is_open {
            self.end = None;
            length - content
        } else {
            size
        }
    }

    fn format(
        &mut self,
        bytes: &Sparse,
        content: u64,
        size: u64,
        found: &mut Found,
    ) -> Result<(), Stop> {
        if size < 16 {
            let at = content - 8;
            return Err(Stop::Unreadable(format!(
                "`fmt ` chunk at byte {at} has {size} bytes, fewer than its fields"
            )));
        }
        let tag = short(bytes, content)?;
        let tag = match tag {
            EXTENSIBLE if size >= EXTENDED => short(bytes, content + 24)?,
            tag => tag,
        };
        // Some writers store a wrong average rate, so plain samples have theirs computed.
        let frames = u64::from(little(bytes, content + 4)?);
        let frame = u64::from(short(bytes, content + 12)?);
        let average = u64::from(little(bytes, content + 8)?);
        let codec = codec(tag, short(bytes, content + 14)?);
        let rate = if is_plain(tag) {
            frames * frame
        } else {
            average
        };
        self.rate = Some(rate).filter(|rate| *rate > 0);
        found.tracks = vec![Track {
            kind: Kind::Audio,
            codec,
        }];
        Ok(())
    }

    /// The verdict on a file whose chunks end at the object's last byte.
    fn conclude(&self, length: u64) -> Result<String, Stop> {
        // The padding byte after an odd size may be missing.
        if let Some(end) = self.end.filter(|end| *end > self.at) {
            return Err(Stop::Truncated(format!(
                "file has {end} bytes by its header, of which {length} are there"
            )));
        }
        let Some(data) = self.data else {
            return Err(Stop::Truncated(format!(
                "chunks end at byte {length} without a `data` chunk"
            )));
        };
        if self.rate.is_none() {
            return Err(Stop::Unreadable(
                "there is no usable `fmt ` chunk before `data`".to_owned(),
            ));
        }
        if self.is_open {
            return Err(Stop::Unknown(format!(
                "header does not say how long the data is; {data} bytes are there"
            )));
        }
        Ok(format!("chunks end at the last byte, {length}"))
    }
}

/// Returns `true` for formats whose frames have one size and one duration.
fn is_plain(tag: u16) -> bool {
    matches!(tag, 1 | 3 | 6 | 7)
}

/// The name of a format tag with `bits` a sample.
fn codec(tag: u16, bits: u16) -> String {
    match tag {
        1 => format!("pcm {bits}"),
        3 => format!("float {bits}"),
        6 => "alaw".to_owned(),
        7 => "mulaw".to_owned(),
        0x55 => "mp3".to_owned(),
        tag => format!("0x{tag:04x}"),
    }
}

fn short(bytes: &Sparse, at: u64) -> Result<u16, Stop> {
    bytes.array(at).map(u16::from_le_bytes)
}

fn little(bytes: &Sparse, at: u64) -> Result<u32, Stop> {
    bytes.array(at).map(u32::from_le_bytes)
}

fn wide(bytes: &Sparse, at: u64) -> Result<u64, Stop> {
    bytes.array(at).map(u64::from_le_bytes)
}
