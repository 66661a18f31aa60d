//! A box: its kind, begin and end. Pure.

use crate::media::Stop;
use crate::media::sparse::Sparse;

/// The length of a header with a size of 64 bits, in bytes.
pub(super) const LONGEST_HEADER: u64 = 16;

/// The header of a box.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) kind: [u8; 4],
    /// The offset of the box.
    pub(super) at: u64,
    /// The offset of the content.
    pub(super) content: u64,
    /// The offset after the box, by the size of the box.
    pub(super) end: u64,
    /// `true` if the box has no size and extends to the end of the object.
    pub(super) is_open: bool,
}

impl Header {
    /// Reads the header at `at` of a box in a sequence of boxes that ends at `limit`.
    pub(super) fn read(bytes: &Sparse, at: u64, limit: u64) -> Result<Self, Stop> {
        if limit.saturating_sub(at) < 8 {
            let left = limit.saturating_sub(at);
            return Err(Stop::Truncated(format!(
                "{left} bytes are left at byte {at}, too few for a box"
            )));
        }
        let size = u64::from(bytes.u32(at)?);
        let kind: [u8; 4] = bytes.array(at + 4)?;
        if !kind.iter().all(|byte| matches!(byte, b' '..=b'~' | 0xa9)) {
            return Err(Stop::Unreadable(format!("bytes from {at} on are no box")));
        }
        let (header, size) = match size {
            0 => (8, limit - at),
            1 if limit - at < LONGEST_HEADER => {
                let name = name(kind);
                return Err(Stop::Truncated(format!(
                    "object ends within the size of the `{name}` box at byte {at}"
                )));
            }
            1 => (LONGEST_HEADER, bytes.u64(at + 8)?),
            size => (8, size),
        };
        if size < header {
            let name = name(kind);
            return Err(Stop::Unreadable(format!(
                "`{name}` box at byte {at} has a size of {size} bytes, less than its header"
            )));
        }
        Ok(Self {
            kind,
            at,
            content: at + header,
            end: at.saturating_add(size),
            is_open: bytes.u32(at)? == 0,
        })
    }

    /// Fails if the object ends before the box.
    pub(super) fn within(&self, bytes: &Sparse) -> Result<(), Stop> {
        if self.end <= bytes.length() {
            return Ok(());
        }
        let (name, at) = (name(self.kind), self.at);
        let (size, there) = (self.end - at, bytes.length() - at);
        Err(Stop::Truncated(format!(
            "`{name}` box at byte {at} has {size} bytes, of which {there} are there"
        )))
    }

    /// The boxes in this box.
    pub(super) fn children<'a>(&self, bytes: &'a Sparse) -> Children<'a> {
        Children {
            bytes,
            at: self.content,
            parent: *self,
        }
    }

    /// The first box of that kind in this box.
    pub(super) fn child(&self, bytes: &Sparse, kind: [u8; 4]) -> Result<Option<Self>, Stop> {
        for child in self.children(bytes) {
            let child = child?;
            if child.kind == kind {
                return Ok(Some(child));
            }
        }
        Ok(None)
    }

    /// The version of a full box, which decides the width of its numbers.
    pub(super) fn version(&self, bytes: &Sparse) -> Result<u8, Stop> {
        let [version] = bytes.array(self.content)?;
        Ok(version)
    }

    /// The number of four bytes at `place` in the content. [`Stop::Unreadable`] if it is outside
    /// the box.
    pub(super) fn u32(&self, bytes: &Sparse, place: u64) -> Result<u32, Stop> {
        bytes.u32(self.place(place, 4)?)
    }

    /// The number of eight bytes at `place` in the content. [`Stop::Unreadable`] if it is outside
    /// the box.
    pub(super) fn u64(&self, bytes: &Sparse, place: u64) -> Result<u64, Stop> {
        bytes.u64(self.place(place, 8)?)
    }

    /// The number at `place` in the content, of eight bytes if `wide`, else of four.
    pub(super) fn number(&self, bytes: &Sparse, place: u64, wide: bool) -> Result<u64, Stop> {
        if wide {
            self.u64(bytes, place)
        } else {
            self.u32(bytes, place).map(u64::from)
        }
    }

    /// The offset of `count` bytes at `place` in the content.
    fn place(&self, place: u64, count: u64) -> Result<u64, Stop> {
        let at = self.content.saturating_add(place);
        if at.saturating_add(count) > self.end {
            let (name, at) = (name(self.kind), self.at);
            return Err(Stop::Unreadable(format!(
                "`{name}` box at byte {at} is too short for its own fields"
            )));
        }
        Ok(at)
    }
}

/// The boxes in a box. Ends after the first error.
pub(super) struct Children<'a> {
    bytes: &'a Sparse,
    at: u64,
    parent: Header,
}

impl Iterator for Children<'_> {
    type Item = Result<Header, Stop>;

    fn next(&mut self) -> Option<Self::Item> {
        let end = self.parent.end;
        // Some writers end a list of boxes with four zero bytes.
        if self.at.saturating_add(8) > end {
            return None;
        }
        let child = Header::read(self.bytes, self.at, end);
        self.at = child.as_ref().map_or(end, |child| child.end);
        Some(child.and_then(|child| {
            if child.end <= end {
                return Ok(child);
            }
            let (name, at) = (name(child.kind), child.at);
            let parent = self::name(self.parent.kind);
            Err(Stop::Unreadable(format!(
                "`{name}` box at byte {at} is longer than the `{parent}` box around it"
            )))
        }))
    }
}

/// The printable name of a kind of box or codec.
pub(super) fn name(kind: [u8; 4]) -> String {
    let printable = |byte: u8| match byte {
        b' '..=b'~' if byte != b'`' && byte != b'\\' => char::from(byte).to_string(),
        _ => format!("\\x{byte:02x}"),
    };
    kind.map(printable).concat().trim_end().to_owned()
}
