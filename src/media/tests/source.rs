//! Objects to examine, also larger than the memory.

use super::*;
use crate::media::sparse::{READS, WINDOW};

/// An object: pieces at offsets, with zeros between them.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) length: u64,
    pub(super) pieces: Vec<(u64, Vec<u8>)>,
}

impl Source {
    pub(super) fn of(bytes: &[u8]) -> Self {
        let pieces = vec![(0, bytes.to_vec())];
        let length = bytes.len() as u64;
        Self { length, pieces }
    }

    /// An object of parts one after another, each followed by a number of zeros.
    pub(super) fn joined(parts: &[(&[u8], u64)]) -> Self {
        let mut source = Self::of(b"");
        for (bytes, zeros) in parts {
            source.pieces.push((source.length, bytes.to_vec()));
            source.length += bytes.len() as u64 + zeros;
        }
        source
    }

    pub(super) fn read(&self, range: &Range<u64>) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(range.end - range.start).unwrap()];
        for (at, piece) in &self.pieces {
            let end = at + piece.len() as u64;
            let (from, to) = (range.start.max(*at), range.end.min(end));
            if from < to {
                let place = |offset: u64, base: u64| usize::try_from(offset - base).unwrap();
                let part = &piece[place(from, *at)..place(to, *at)];
                bytes[place(from, range.start)..place(to, range.start)].copy_from_slice(part);
            }
        }
        bytes
    }

    /// The check, and the number of reads. Panics if a read is out of bounds.
    pub(super) fn examine(&self, format: Format) -> (Check, u32) {
        let mut examination = Examination::new(self.length, format);
        let mut before: Vec<Range<u64>> = Vec::new();
        loop {
            match examination.step() {
                Step::Done(check) => {
                    assert!(!check.reason.is_empty());
                    return (check, u32::try_from(before.len()).unwrap());
                }
                Step::Read(range) => {
                    assert!(range.start < range.end && range.end <= self.length);
                    assert!(range.end - range.start <= WINDOW);
                    let apart =
                        |other: &Range<u64>| range.end <= other.start || other.end <= range.start;
                    assert!(before.iter().all(apart), "{range:?} after {before:?}");
                    examination.take(&range, &self.read(&range));
                    before.push(range);
                    assert!(before.len() <= READS as usize);
                }
            }
        }
    }
}

/// A file of `tests/media`.
pub(super) fn file(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/media/");
    std::fs::read(format!("{folder}{name}")).unwrap()
}

/// The big-endian number of four bytes at `at`.
pub(super) fn read(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())
}
