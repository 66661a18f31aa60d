//! Examinations of real files, of made ones, and of anything at all.

mod hostile;
mod large;
mod real;
mod source;

use super::*;
use source::{Source, file, read};

/// The check of an object under a key of that format.
fn check(source: &Source, format: Format) -> Check {
    source.examine(format).0
}

/// The check of these bytes under the key that fits them.
fn examine(bytes: &[u8]) -> Check {
    check(&Source::of(bytes), Format::Mp4)
}
