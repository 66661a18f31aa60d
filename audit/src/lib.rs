//! The archive in a bucket, held against its manifests. Nothing is downloaded but small documents,
//! and nothing is written, except by `check`.
//!
//! [`audit`] goes through it in order. What may change meanwhile is read first: who finds less later
//! has seen it end. It stands on these modules:
//!
//! - `audit`: the steps of an audit
//! - `counters`: what has been counted so far
//! - `bucket`, `workers`: the calls to S3, several at a time
//! - `window`: which days are asked for
//! - `unfinished`, `uploads`, `set_aside`: what is under `pending/`, in no record, and under `rejected/`
//! - `folder`, `documents`, `contents`, `compare`: the objects of a recording, its manifests and rejections, and how they agree
//! - `recordings`: each recording as the archive tells of it, for a sink
//! - `reconciliation`: the archive against ACS's own log of recordings
//! - `find`: a search for recordings, without an index
//! - `report`, `table`, `html`: what was found, as JSON, for people and as a page
//! - `check`: a trial of the store itself, which writes

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

/// Objects that could not be looked at, after which the rest is not tried.
const MOST_UNREAD: usize = 100;

/// What is to be audited.
#[derive(Clone, Debug)]
pub struct Scope {
    /// The layout of the archive.
    pub layout: Layout,
    /// The days.
    pub window: Window,
    /// `true` if media is examined whose manifest has no verdict on it.
    pub check_media: bool,
}

/// The layout of an archive whose ACS resource is not known: the locations of documents that an
/// event names by their documentId alone cannot be told by it.
///
/// # Errors
///
/// None in practice: the placeholder for the resource is a URL.
pub fn layout(prefix: Prefix, pending: Pending) -> Result<Layout, String> {
    let unknown = Url::parse("https://unknown.invalid").map_err(|error| error.to_string())?;
    Ok(Layout::new(prefix, pending, &unknown))
}

/// Why an audit has no result.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// What there is cannot even be listed.
    #[error("bucket {bucket} cannot be listed")]
    Unlisted {
        /// The bucket.
        bucket: String,
        /// The cause.
        #[source]
        source: Error,
    },
    /// An audit of nothing is no proof that nothing is missing.
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
    /// The store does not answer, or not us.
    #[error("{MOST_UNREAD} objects could not be looked at, the first of them {key}: {why}")]
    Unread {
        /// The first of them.
        key: String,
        /// The cause, for the first.
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
