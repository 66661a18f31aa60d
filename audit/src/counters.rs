//! The counters of an audit.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

/// The counters that all tasks of an audit share.
#[derive(Clone, Debug, Default)]
pub struct Counters(Arc<Values>);

#[derive(Debug, Default)]
struct Values {
    objects: AtomicU64,
    manifests: AtomicU64,
    rejections: AtomicU64,
    compared: AtomicU64,
    by_checksum: AtomicU64,
    examined: AtomicU64,
    unfinished: AtomicU64,
    uploads: AtomicU64,
}

/// The values of the counters at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Objects under the prefix, of the selected days.
    pub objects: u64,
    /// Manifests.
    pub manifests: u64,
    /// Rejections.
    pub rejections: u64,
    /// Objects that were compared with the manifest or rejection that names them.
    pub compared: u64,
    /// Compared objects for which both sides have a checksum.
    pub by_checksum: u64,
    /// Media objects that were examined.
    pub examined: u64,
    /// Media and metadata of pending events.
    pub unfinished: u64,
    /// Unfinished uploads.
    pub uploads: u64,
}

/// A thing that is counted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Counted {
    /// A listed object.
    Object,
    Manifest,
    Rejection,
    /// An object that was compared with the document that names it.
    Compared {
        by_checksum: bool,
    },
    /// An examined media object.
    Examined,
    /// Media or metadata of a pending event.
    Unfinished,
    /// An unfinished upload.
    Upload,
}

impl Counters {
    /// Adds one to a counter.
    pub(crate) fn count(&self, thing: Counted) {
        let values = &self.0;
        let counter = match thing {
            Counted::Object => &values.objects,
            Counted::Manifest => &values.manifests,
            Counted::Rejection => &values.rejections,
            Counted::Compared { by_checksum } => {
                let by_checksum = u64::from(by_checksum);
                values.by_checksum.fetch_add(by_checksum, Ordering::Relaxed);
                &values.compared
            }
            Counted::Examined => &values.examined,
            Counted::Unfinished => &values.unfinished,
            Counted::Upload => &values.uploads,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the current values.
    pub(crate) fn counts(&self) -> Counts {
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

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = self.counts();
        write!(
            f,
            "{} objects listed, {} manifests read, {} objects compared",
            counts.objects, counts.manifests, counts.compared
        )
    }
}
