//! One object: find it, or plan it, fetch and put what is missing, complete it.
//!
//! Everything that a transfer knows is in S3: an upload's parts, and a record beside the pending event that says which
//! upload it is. So a transfer may be dropped at any point, by a deadline or with its process, and whoever comes next
//! goes on from what is there. Nothing is aborted on a failure: the parts *are* the state.

mod attempts;
mod begin;
mod complete;
mod parts;
mod record;
mod round;
mod stream;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::acs::download::Download;
use crate::acs::reply::Extent;
use crate::acs::{self, Client, Source};
use crate::keys::{Bucket, Key, Layout};
use crate::limits::Limits;
use crate::plan::{PartNumber, Plan};
use crate::store::{self, Object, Origin, Store};
use record::Record;
use round::Round;

/// Which end of an object a delivery takes its parts from: two that begin at different ends meet in the middle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The lowest part number first.
    FromFront,
    /// The highest part number first.
    FromBack,
}

/// One object to be made.
#[derive(Clone, Debug)]
pub struct Task {
    /// The object's key.
    pub key: Key,
    /// Where the transfer's record is kept.
    pub record: Key,
    /// Where its bytes come from.
    pub source: Source,
    /// The document as the key has it: what the object says it is a copy of.
    pub origin: Arc<Origin>,
    /// The content type where the source names none that fits.
    pub content_type: &'static str,
    /// Which parts are taken first.
    pub order: Order,
    /// Whether the event was stored by this very run, so that there is hardly anything to be found. If there is an object
    /// all the same, the conditional write of it, or the look after the record, tells.
    pub first: bool,
}

/// What a transfer has done so far; it may be read while the transfer runs, and after it was dropped.
#[derive(Debug, Default)]
pub struct Progress {
    /// Parts that the object has.
    pub planned: AtomicU32,
    /// Bytes of one of them, but for the last.
    pub part_size: AtomicU64,
    /// Parts that were there already, or that another delivery put meanwhile.
    pub reused: AtomicU32,
    /// Parts that this run put.
    pub fetched: AtomicU32,
    /// Requests that this run made to ACS.
    pub requests: AtomicU32,
    /// Bytes that this run took from ACS, those of failed attempts included.
    pub bytes: AtomicU64,
}

impl Progress {
    /// Notes the grid, and how many of its parts S3 holds that this run has not put itself.
    fn plan(&self, plan: Plan, missing: PartNumber) {
        self.planned.store(plan.count(), Ordering::Relaxed);
        self.part_size.store(plan.part_size(), Ordering::Relaxed);
        let own = self.fetched.load(Ordering::Relaxed);
        let reused = (plan.count() - missing).saturating_sub(own);
        self.reused.fetch_max(reused, Ordering::Relaxed);
    }

    /// Bytes of the parts that need not be fetched; the last part counts as the others do.
    #[must_use]
    pub fn bytes_reused(&self) -> u64 {
        let parts = u64::from(self.reused.load(Ordering::Relaxed));
        parts.saturating_mul(self.part_size.load(Ordering::Relaxed))
    }
}

/// An object that is whole.
#[derive(Clone, Debug)]
pub struct Archived {
    /// The object.
    pub object: Object,
    /// Whether it was there before this run.
    pub already: bool,
}

/// Why an object was not made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Between ACS and us.
    #[error("fetching from ACS failed")]
    Source(#[from] acs::Error),
    /// Between us and S3.
    #[error("storing in S3 failed")]
    Store(#[from] store::Error),
    /// There is an object under its key that is no copy of it, and that is left as it is.
    #[error("key holds an object that is not a copy of this document")]
    Occupied,
    /// The source gave another length or ETag than when the upload was begun.
    #[error("source changed while it was fetched")]
    SourceChanged,
    /// The object is there, but what this transfer has begun could not be ended.
    #[error("object is there, but an upload or its record is left over")]
    LeftOver(#[source] store::Error),
    /// The upload was completed, aborted, or ended by a lifecycle rule.
    #[error("upload is gone")]
    UploadGone,
    /// Upload after upload came to nothing.
    #[error("{uploads} uploads in one run came to nothing")]
    Unsettled {
        /// How many.
        uploads: u32,
    },
}

/// Makes objects: both clients, and the one pool of slots that all parts in flight share.
#[derive(Clone, Debug)]
pub struct Transfers {
    store: Store,
    acs: Client,
    slots: Arc<Semaphore>,
    concurrency: usize,
    limits: Arc<Limits>,
}

/// An open reply, and the slot that it occupies.
struct Opened {
    download: Download,
    slot: Slot,
}

/// One of the places that all parts in flight share, taken until it is dropped.
struct Slot {
    // The semaphore is never closed, so there always is one.
    _permit: Option<OwnedSemaphorePermit>,
}

impl Transfers {
    /// Transfers from `acs` to `store`, with `concurrency` parts in flight over all of them.
    #[must_use]
    pub fn new(store: Store, acs: Client, concurrency: usize, limits: Arc<Limits>) -> Self {
        Self {
            store,
            acs,
            slots: Arc::new(Semaphore::new(concurrency)),
            concurrency,
            limits,
        }
    }

    /// Makes a media object, or goes on with it. May be dropped at any point; the next call goes on from there.
    ///
    /// # Errors
    ///
    /// [`Error`]; what is in S3 is kept.
    pub async fn media(
        &self,
        task: &Arc<Task>,
        progress: &Arc<Progress>,
    ) -> Result<Archived, Error> {
        let mut stale = None;
        for number in 0..=self.limits.uploads {
            let unread = task.first && number == 0;
            let round = match self.round(task, stale.take(), unread, progress).await {
                Err(error) => {
                    let archived = self.unless_there(task, error).await?;
                    // What this run has begun meanwhile is of no more use.
                    let ended = self.abandon(&task.key, &task.record).await;
                    return ended.map(|()| archived).map_err(Error::LeftOver);
                }
                Ok(round) => round,
            };
            match round {
                Round::Done(archived) => return Ok(archived),
                Round::Outrun => {}
                Round::Stale { upload_id } => stale = Some(upload_id),
            }
        }
        Err(Error::Unsettled {
            uploads: self.limits.uploads,
        })
    }

    /// Makes a metadata object: a small document, whole in memory, its bytes untouched.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn metadata(
        &self,
        task: &Arc<Task>,
        progress: &Arc<Progress>,
    ) -> Result<Archived, Error> {
        if !task.first
            && let Some(object) = self.find_copy(task).await?
        {
            return Ok(Archived {
                object,
                already: true,
            });
        }
        let copied = self.attempts(&task.key, || self.copy_metadata(task, progress));
        match copied.await {
            Ok(object) => self.archived(task, object).await,
            Err(error) => self.unless_there(task, error).await,
        }
    }

    /// Ends what a transfer to `key` has begun and can never finish: its upload, then its `record`.
    ///
    /// # Errors
    ///
    /// [`store::Error`].
    pub async fn abandon(&self, key: &Key, record: &Key) -> Result<(), store::Error> {
        // A record of another key is not ours, nor is the upload that it names.
        let ours = |left: &Record| (left.key == key.as_str()).then(|| key.clone());
        self.end(record, ours).await
    }

    /// Ends the transfer of a `record` that was left over: its upload, if its key is one of
    /// `layout`, then the record.
    ///
    /// # Errors
    ///
    /// [`store::Error`].
    pub async fn end_orphan(&self, record: &Key, layout: &Layout) -> Result<(), store::Error> {
        let archived = |left: &Record| layout.listed(Bucket::Recordings, &left.key);
        self.end(record, archived).await
    }

    async fn end(
        &self,
        record: &Key,
        key_of: impl Fn(&Record) -> Option<Key>,
    ) -> Result<(), store::Error> {
        let Some(document) = self.store.read(record).await? else {
            return Ok(());
        };
        let left = Record::parse(&document.bytes);
        if let Some((key, left)) = left.and_then(|left| Some((key_of(&left)?, left))) {
            self.store.abort(&key, &left.upload_id).await?;
        }
        self.store.delete(record).await
    }

    async fn open(
        &self,
        task: &Task,
        range: Option<&Range<u64>>,
        progress: &Progress,
    ) -> Result<Download, acs::Error> {
        progress.requests.fetch_add(1, Ordering::Relaxed);
        self.acs.open(&task.source, range).await
    }

    /// Waits for a place among the parts in flight.
    async fn slot(&self) -> Slot {
        let permit = Arc::clone(&self.slots).acquire_owned().await.ok();
        Slot { _permit: permit }
    }
}

/// Whether the reply to a range is the whole document.
fn is_whole(download: &Download) -> bool {
    matches!(download.extent(), Extent::Whole { .. })
}
