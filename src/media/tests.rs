//! Examinations of real files, of made files, and of any bytes.

mod audio;
mod boxes;
mod changed;
mod fragments;
mod hostile;
mod large;
mod real;
mod source;

use super::*;
use source::{Source, file, read};

const GIB: u64 = 1 << 30;

/// The check of an object with a key of this format.
fn check(source: &Source, format: Format) -> Check {
    source.examine(format).0
}

/// The check of bytes with the key of an MP4 file.
fn examine(bytes: &[u8]) -> Check {
    check(&Source::of(bytes), Format::Mp4)
}
