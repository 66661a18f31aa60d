//! What has been counted so far.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

/// Counters that all tasks of an audit share.
#[derive(Clone, Debug, Default)]
pub struct Tally(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    objects: AtomicU64,
    manifests: AtomicU64,
    rejections: AtomicU64,
    compared: AtomicU64,
    by_checksum: AtomicU64,
    examined: AtomicU64,
    unfinished: AtomicU64,
    uploads: AtomicU64,
}

/// The counters at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Objects under the prefix, of the days asked for.
    pub objects: u64,
    /// Manifests.
    pub manifests: u64,
    /// Rejections.
    pub rejections: u64,
    /// Objects that were compared with what a manifest or a rejection says of them.
    pub compared: u64,
    /// Of those, how many by their checksums.
    pub by_checksum: u64,
    /// Media objects that were examined.
    pub examined: u64,
    /// Media and metadata of pending events.
    pub unfinished: u64,
    /// Unfinished uploads.
    pub uploads: u64,
}

/// What is counted.
#[derive(Clone, Copy, Debug)]
pub enum Counted {
    /// An object listed.
    Object,
    /// A manifest.
    Manifest,
    /// A rejection.
    Rejection,
    /// An object compared with what is said of it.
    Compared {
        /// Whether both had a checksum.
        by_checksum: bool,
    },
    /// A media object examined.
    Examined,
    /// Media or metadata of a pending event.
    Unfinished,
    /// An unfinished upload.
    Upload,
}

impl Tally {
    /// Counts one more.
    pub fn count(&self, one_more: Counted) {
        let counters = &self.0;
        let counter = match one_more {
            Counted::Object => &counters.objects,
            Counted::Manifest => &counters.manifests,
            Counted::Rejection => &counters.rejections,
            Counted::Compared { by_checksum } => {
                let by_checksum = u64::from(by_checksum);
                counters
                    .by_checksum
                    .fetch_add(by_checksum, Ordering::Relaxed);
                &counters.compared
            }
            Counted::Examined => &counters.examined,
            Counted::Unfinished => &counters.unfinished,
            Counted::Upload => &counters.uploads,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// The counters now.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            objects: read(&self.0.objects),
            manifests: read(&self.0.manifests),
            rejections: read(&self.0.rejections),
            compared: read(&self.0.compared),
            by_checksum: read(&self.0.by_checksum),
            examined: read(&self.0.examined),
            unfinished: read(&self.0.unfinished),
            uploads: read(&self.0.uploads),
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = self.counts();
        write!(
            f,
            "{} objects listed, {} manifests read, {} objects compared",
            counts.objects, counts.manifests, counts.compared
        )
    }
}
