//! The audit of an archive: the objects of a bucket are compared with the manifests that name them.
//! An audit downloads only small documents, and ranges of media if asked to. It writes nothing;
//! only `check` writes.
//!
//! The modules:
//!
//! - `audit`: the steps of an audit, in their order
//! - `bucket`, `workers`: the calls to S3, and the tasks that make them at the same time
//! - `counters`: the counters of an audit
//! - `window`: the selected days
//! - `unfinished`, `uploads`, `set_aside`: pending events, multipart uploads, events set aside
//! - `folder`, `documents`, `contents`: a recording's objects, its manifests and rejections, and
//!   their contents
//! - `compare`, `examine`: an object compared with its manifest, and the examination of media
//! - `recordings`: the recordings of the archive
//! - `reconciliation`: the comparison with ACS's own log of recordings
//! - `find`: the search for recordings
//! - `report`, `table`, `html`: the result, as JSON, as a table and as a page
//! - `check`: the check of a store

mod audit;
pub mod bucket;
pub mod check;
mod compare;
mod contents;
pub mod counters;
mod documents;
mod examine;
pub mod find;
mod folder;
pub mod html;
pub mod reconciliation;
pub mod recordings;
pub mod report;
mod set_aside;
pub mod table;
mod unfinished;
mod uploads;
pub mod window;
mod workers;

use acs_recording_archiver::keys::{Layout, Pending, Prefix};
use acs_recording_archiver::store::Error;
use url::Url;

pub use audit::audit;
use bucket::Bucket;
use report::Entry;
use window::Window;

/// The number of unread objects at which an audit or a search gives up.
const MOST_UNREAD: usize = 100;

/// The scope of an audit.
#[derive(Clone, Debug)]
pub struct Scope {
    /// The layout of the archive.
    pub layout: Layout,
    /// The selected days.
    pub window: Window,
    /// `true` to examine the media whose manifest has no verdict.
    pub check_media: bool,
}

/// Returns the layout of an archive without its ACS resource. An event of an old form names a chunk
/// by its documentId alone; this layout cannot tell the location of such a chunk.
///
/// # Errors
///
/// Never: the placeholder of the resource is a valid URL.
pub fn layout(prefix: Prefix, pending: Pending) -> Result<Layout, String> {
    let unknown = Url::parse("https://unknown.invalid").map_err(|error| error.to_string())?;
    Ok(Layout::new(prefix, pending, &unknown))
}

/// The reason why an audit or a search has no result.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A bucket cannot be listed.
    #[error("bucket {bucket} cannot be listed")]
    Unlisted {
        /// The bucket.
        bucket: String,
        /// The failure of S3.
        #[source]
        source: Error,
    },
    /// The archive is empty, which is no proof that nothing is missing.
    #[error(
        "nothing is under s3://{bucket}/{prefix}: is that the archive's bucket and prefix \
         (RECORDINGS_BUCKET, RECORDINGS_PREFIX), and has anything been archived yet?"
    )]
    Nothing {
        /// The bucket.
        bucket: String,
        /// The prefix.
        prefix: String,
    },
    /// Too many objects cannot be read: the store fails, or the permissions do not suffice.
    #[error("{MOST_UNREAD} objects could not be read, the first of them {key}: {why}")]
    Unread {
        /// The key of the first.
        key: String,
        /// The failure for the first.
        why: String,
    },
}

impl Failure {
    fn unlisted(bucket: &Bucket, source: Error) -> Self {
        let bucket = bucket.name().to_owned();
        Self::Unlisted { bucket, source }
    }

    /// Fails once so many objects are unread that the store or the permissions are at fault.
    fn if_many_unread(unread: &[Entry]) -> Result<(), Self> {
        match unread.first() {
            Some(first) if unread.len() >= MOST_UNREAD => Err(Self::Unread {
                key: first.key.clone(),
                why: first.detail.clone(),
            }),
            _ => Ok(()),
        }
    }
}
