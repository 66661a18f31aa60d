//! One object: find it, or plan it, fetch and put what is missing, complete it.
//!
//! Everything that a transfer knows is in S3: an upload's parts, and a record beside the pending event that says which
//! upload it is. So a transfer may be dropped at any point, by a deadline or with its process, and whoever comes next
//! goes on from what is there. Nothing is aborted on a failure: the parts *are* the state.

mod attempts;
mod begin;
mod complete;
mod metadata;
mod object;
mod ranges;
mod record;
mod rounds;
mod run;
mod slots;
mod stream;
mod upload;
mod uploaded;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use crate::acs::download::Download;
use crate::acs::{self, Client, Counter, Source};
use crate::keys::Key;
use crate::limits::Limits;
use crate::plan::{PartNumber, Plan};
use crate::store::{self, Object, Origin, Store};
use slots::{Slot, Slots};

pub(crate) use run::{Lane, LastPart, Run};
pub(crate) use uploaded::UploadedParts;

/// Which end of an object a delivery takes its parts from: two that begin at different ends meet in
/// the middle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// The lowest part number first.
    FromFront,
    /// The highest part number first.
    FromBack,
}

/// One object to be made.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    /// The object's key.
    pub(crate) key: Key,
    /// Where the transfer's record is kept.
    pub(crate) record: Key,
    /// Where its bytes come from.
    pub(crate) source: Source,
    /// The document as the key has it: what the object says it is a copy of.
    pub(crate) origin: Arc<Origin>,
    /// The content type where the source names none that fits.
    pub(crate) content_type: &'static str,
    /// Which parts are taken first.
    pub(crate) order: Order,
    /// Set if the event was stored by this very run, so that there is hardly anything to be found.
    /// If there is an object all the same, the conditional write of it, or the look after the
    /// record, tells.
    pub(crate) first: bool,
}

/// The work of a transfer so far; it may be read while the transfer runs, and after it was
/// dropped.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Parts that the object has.
    pub(crate) planned: AtomicU32,
    /// Bytes of one of them, but for the last.
    pub(crate) part_size: AtomicU64,
    /// Parts that were there already, or that another delivery put meanwhile.
    pub(crate) reused: AtomicU32,
    /// Parts that this run put.
    pub(crate) fetched: AtomicU32,
    /// `true` if one reply has to bring the whole document.
    pub(crate) streams: AtomicBool,
    /// Requests that this run made to ACS.
    pub(crate) requests: AtomicU32,
    /// Bytes that this run took from ACS, those of failed and dropped attempts included.
    pub(crate) bytes: Counter,
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
    pub(crate) fn bytes_reused(&self) -> u64 {
        let parts = u64::from(self.reused.load(Ordering::Relaxed));
        parts.saturating_mul(self.part_size.load(Ordering::Relaxed))
    }
}

/// An object that is whole.
#[derive(Clone, Debug)]
pub(crate) struct Archived {
    /// The object.
    pub(crate) object: Object,
    /// Whether it was there before this run.
    pub(crate) already: bool,
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
    /// The source gave another length than when the upload was begun.
    #[error("source changed while it was fetched")]
    SourceChanged,
    /// Replies to ranges of the same length had different ETags.
    #[error("replies to ranges have different ETags")]
    RangesDisagree,
    /// A part that S3 holds has other bytes than the source.
    #[error("part {0} in S3 differs from the source")]
    PartDiffers(PartNumber),
    /// One reply has to bring the whole document, and there is no time for that in a run.
    #[error("source gives no usable ranges, and the run was too short for one reply")]
    StreamTooLong,
    /// The object is there, but what this transfer has begun could not be ended.
    #[error("object is there, but an upload or its record is left over")]
    LeftOver(#[source] store::Error),
    /// The upload was completed, aborted, or ended by a lifecycle rule.
    #[error("upload is gone")]
    UploadGone,
    /// The run has no time left for a part.
    #[error("out of time")]
    OutOfTime,
    /// S3 refuses to complete the upload, though nobody has made the object.
    #[error("completing the upload is refused, though there is no object")]
    Conflict,
    /// Parts that were put are not there when the upload is to be completed.
    #[error("parts that were put are not listed")]
    PartsVanish,
    /// Upload after upload came to nothing in S3.
    #[error("{uploads} uploads came to nothing; another is not begun yet")]
    Unsettled {
        /// Their number.
        uploads: u32,
    },
    /// The source was another one upload after upload.
    #[error("source changed during {uploads} uploads; another is not begun yet")]
    SourceUnsettled {
        /// Their number.
        uploads: u32,
    },
}

impl Error {
    /// Returns `true` if only time was wanting.
    pub(crate) fn is_out_of_time(&self) -> bool {
        matches!(self, Self::OutOfTime | Self::StreamTooLong)
    }
}

/// The tools that make objects: both clients, and the slots that all parts in flight share.
#[derive(Clone, Debug)]
pub(crate) struct Transfers {
    store: Store,
    acs: Client,
    slots: Arc<Slots>,
    limits: Arc<Limits>,
}

/// One object on its way: the tools, the lane of the run, the task, and the progress so far.
#[derive(Clone, Debug)]
struct Transfer {
    tools: Transfers,
    lane: Lane,
    task: Arc<Task>,
    progress: Arc<Progress>,
}

/// An open reply, and the slot that it occupies.
struct Opened {
    download: Download,
    slot: Slot,
}

impl Transfers {
    /// Transfers from `acs` to `store`, with `concurrency` parts in flight over all of them.
    pub(crate) fn new(store: Store, acs: Client, concurrency: usize, limits: Arc<Limits>) -> Self {
        Self {
            store,
            acs,
            slots: Slots::new(concurrency),
            limits,
        }
    }

    /// The number of parts that may be in flight, over all events.
    pub(crate) fn concurrency(&self) -> usize {
        self.slots.count()
    }

    /// Makes a media object, or goes on with it. May be dropped at any point; the next call goes
    /// on from there.
    ///
    /// # Errors
    ///
    /// [`Error`]; what is in S3 is kept.
    pub(crate) async fn media(
        &self,
        lane: &Lane,
        task: &Arc<Task>,
        progress: &Arc<Progress>,
    ) -> Result<Archived, Error> {
        self.transfer(lane, task, progress).media().await
    }

    /// Makes a metadata object: a small document, whole in memory, its bytes untouched.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub(crate) async fn metadata(
        &self,
        lane: &Lane,
        task: &Arc<Task>,
        progress: &Arc<Progress>,
    ) -> Result<Archived, Error> {
        self.transfer(lane, task, progress).metadata().await
    }

    fn transfer(&self, lane: &Lane, task: &Arc<Task>, progress: &Arc<Progress>) -> Transfer {
        Transfer {
            tools: self.clone(),
            lane: lane.clone(),
            task: Arc::clone(task),
            progress: Arc::clone(progress),
        }
    }
}

impl Transfer {
    /// Asks ACS for the object's document, or for a range of it. `length` is the document's length,
    /// in bytes, where it is known.
    async fn open(
        &self,
        range: Option<&Range<u64>>,
        length: Option<u64>,
    ) -> Result<Download, acs::Error> {
        self.progress.requests.fetch_add(1, Ordering::Relaxed);
        let (source, counter) = (&self.task.source, &self.progress.bytes);
        self.tools.acs.open(source, range, length, counter).await
    }

    /// Waits for a place among the parts in flight.
    async fn slot(&self) -> Slot {
        self.lane.slot().await
    }
}
