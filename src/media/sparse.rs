//! The bytes of an object that have been read so far. Pure.

use std::ops::Range;

use super::Stop;
use crate::limits::KIB;

/// The largest number of ranges that are read of one object.
pub(super) const READS: u32 = 8;
/// The largest size of a range, in bytes: eight ranges are 1 MiB.
pub(super) const WINDOW: u64 = 128 * KIB;

/// The bytes of an object that have been read so far.
#[derive(Debug)]
pub(super) struct Sparse {
    length: u64,
    /// The bytes in order, each piece with its offset. No two pieces overlap or adjoin.
    pieces: Vec<(u64, Vec<u8>)>,
    reads: u32,
}

impl Sparse {
    /// An object of `length` bytes, of which none has been read.
    pub(super) fn new(length: u64) -> Self {
        Self {
            length,
            pieces: Vec::new(),
            reads: 0,
        }
    }

    /// The object's length, in bytes.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// The number of reads that are left.
    pub(super) fn reads_left(&self) -> u32 {
        READS - self.reads
    }

    /// The range to read for the byte at `at`; `None` if no read is left.
    pub(super) fn window(&self, at: u64) -> Option<Range<u64>> {
        if self.reads_left() == 0 || at >= self.length {
            return None;
        }
        let next = self.pieces.iter().map(|(start, _)| *start);
        let next = next.filter(|start| *start > at).min();
        let end = at.saturating_add(WINDOW).min(self.length);
        Some(at..end.min(next.unwrap_or(end)))
    }

    /// Adds the bytes of a window.
    pub(super) fn add(&mut self, window: &Range<u64>, bytes: &[u8]) {
        // A read without bytes counts too, so that every examination ends.
        self.reads = (self.reads + 1).min(READS);
        let most = usize::try_from(window.end - window.start).unwrap_or(usize::MAX);
        let bytes = bytes.get(..most).unwrap_or(bytes);
        if bytes.is_empty() {
            return;
        }
        let place = self.pieces.partition_point(|(at, _)| *at < window.start);
        self.pieces.insert(place, (window.start, bytes.to_vec()));
        self.pieces.dedup_by(|(start, piece), (before, there)| {
            let adjoins = *start == end(*before, there);
            if adjoins {
                there.append(piece);
            }
            adjoins
        });
    }

    /// The `count` bytes at `at`.
    ///
    /// # Errors
    ///
    /// [`Stop::Unread`] if not all have been read; [`Stop::Truncated`] if the object ends before.
    pub(super) fn bytes(&self, at: u64, count: usize) -> Result<&[u8], Stop> {
        if at.saturating_add(count as u64) > self.length {
            let length = self.length;
            return Err(Stop::Truncated(format!(
                "object ends at byte {length}, within the field at byte {at}"
            )));
        }
        let held = self.held(at);
        held.get(..count)
            .ok_or(Stop::Unread(at.saturating_add(held.len() as u64)))
    }

    /// The `N` bytes at `at`. Fails like [`bytes`](Self::bytes).
    pub(super) fn array<const N: usize>(&self, at: u64) -> Result<[u8; N], Stop> {
        let bytes = self.bytes(at, N)?;
        bytes.try_into().map_err(|_| Stop::Unread(at))
    }

    /// The big-endian number of four bytes at `at`. Fails like [`bytes`](Self::bytes).
    pub(super) fn u32(&self, at: u64) -> Result<u32, Stop> {
        self.array(at).map(u32::from_be_bytes)
    }

    /// The big-endian number of eight bytes at `at`. Fails like [`bytes`](Self::bytes).
    pub(super) fn u64(&self, at: u64) -> Result<u64, Stop> {
        self.array(at).map(u64::from_be_bytes)
    }

    /// The bytes from `at` on that have been read; empty if the byte at `at` has not been read.
    pub(super) fn held(&self, at: u64) -> &[u8] {
        let holds = |(start, piece): &&(u64, Vec<u8>)| *start <= at && at < end(*start, piece);
        let Some((start, piece)) = self.pieces.iter().find(holds) else {
            return &[];
        };
        let skip = usize::try_from(at - start).unwrap_or(usize::MAX);
        piece.get(skip..).unwrap_or_default()
    }

    /// The last bytes of the object with their offset, at least a window. Fails with
    /// [`Stop::Unread`] if they have not been read.
    pub(super) fn tail(&self) -> Result<(u64, &[u8]), Stop> {
        let wanted = self.length.saturating_sub(WINDOW);
        match self.pieces.last() {
            Some((start, piece)) if end(*start, piece) >= self.length => {
                if *start <= wanted {
                    return Ok((*start, piece));
                }
                let before = self.pieces.iter().rev().nth(1);
                let before = before.map_or(0, |(start, piece)| end(*start, piece));
                Err(Stop::Unread(wanted.max(before)))
            }
            Some((start, piece)) => Err(Stop::Unread(wanted.max(end(*start, piece)))),
            None => Err(Stop::Unread(wanted)),
        }
    }

    /// The offset of a window that ends where the piece at `start` begins.
    pub(super) fn before(&self, start: u64) -> u64 {
        let mut ends = self.pieces.iter().map(|(start, piece)| end(*start, piece));
        let held = ends.rfind(|end| *end < start).unwrap_or_default();
        start.saturating_sub(WINDOW).max(held)
    }
}

fn end(start: u64, piece: &[u8]) -> u64 {
    start.saturating_add(piece.len() as u64)
}
