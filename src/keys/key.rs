//! Keys and the buckets that they are in. Pure.

use std::fmt;

/// The bucket of a key. Both may be the same bucket of S3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bucket {
    /// The archive, where objects are created and never replaced or deleted.
    Recordings,
    /// Unfinished work. All its keys are under `pending/`; only objects there are ever replaced or
    /// deleted.
    Work,
}

/// An object key with its prefix, and its bucket.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub(super) bucket: Bucket,
    pub(super) text: String,
}

impl Key {
    pub(super) fn recordings(text: String) -> Self {
        let bucket = Bucket::Recordings;
        Self { bucket, text }
    }

    pub(super) fn work(text: String) -> Self {
        let bucket = Bucket::Work;
        Self { bucket, text }
    }

    pub(crate) fn bucket(&self) -> Bucket {
        self.bucket
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The key of that name in the same folder.
    #[must_use]
    pub fn beside(&self, name: &str) -> Self {
        let slash = self.text.rfind('/');
        let folder = slash.and_then(|slash| self.text.get(..=slash));
        Self {
            bucket: self.bucket,
            text: format!("{}{name}", folder.unwrap_or_default()),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_beside_another_is_in_its_folder() {
        for (key, beside) in [("a/b/c", "a/b/x"), ("c", "x"), ("a/", "a/x")] {
            let same_folder = Key::work(key.into()).beside("x");
            assert_eq!(same_folder, Key::work(beside.into()));
        }
    }
}
