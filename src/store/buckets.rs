//! The names of the buckets, and the rule that the archive is only added to.

use super::Error;
use crate::keys::{Bucket, Key, Pending};

/// The names of the buckets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Buckets {
    /// The bucket of the archive.
    pub recordings: String,
    /// The bucket of unfinished work; `None` if that is in the bucket of the archive.
    pub work: Option<String>,
}

impl Buckets {
    /// The place of `pending/`.
    #[must_use]
    pub fn pending(&self) -> Pending {
        match self.work {
            Some(_) => Pending::OwnBucket,
            None => Pending::UnderPrefix,
        }
    }

    pub(super) fn name(&self, bucket: Bucket) -> &str {
        match bucket {
            Bucket::Recordings => &self.recordings,
            Bucket::Work => self.work.as_ref().unwrap_or(&self.recordings),
        }
    }
}

/// Refuses a key of the archive, in which nothing is ever replaced or deleted.
pub(super) fn only_work(key: &Key) -> Result<(), Error> {
    match key.bucket() {
        Bucket::Work => Ok(()),
        Bucket::Recordings => Err(Error::Archive),
    }
}
