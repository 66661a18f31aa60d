//! The transfer of one object: find it, or plan it, fetch and put the missing parts, complete it.
//!
//! The state of a transfer is in S3: the parts of an upload, and a record beside the pending event
//! that names the upload. So a transfer may be dropped at any point, by a deadline or with its
//! process, and the next run goes on from there. A failure ends no upload that has parts: the parts
//! *are* the state.

mod attempts;
mod begin;
mod complete;
mod flights;
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

/// The order in which parts are taken. Two deliveries with different orders meet in the middle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// The lowest part number first.
    FromFront,
    /// The highest part number first.
    FromBack,
}

/// The task of making one object.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    /// The object's key.
    pub(crate) key: Key,
    /// The key of the transfer's record.
    pub(crate) record: Key,
    /// The source of the object's bytes.
    pub(crate) source: Source,
    /// The document, as it stands in the key, that the object is a copy of.
    pub(crate) origin: Arc<Origin>,
    /// The content type if the source names none of audio or video.
    pub(crate) content_type: &'static str,
    /// The order in which parts are taken.
    pub(crate) order: Order,
    /// `true` if this run has stored the event, so that record and object are most likely absent
    /// and are not looked for. If the object exists after all, its conditional write, or the look
    /// after the record was written, finds it.
    pub(crate) first: bool,
}

/// The progress of a transfer. It may be read while the transfer runs, and after it was dropped.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// The number of parts of the object.
    pub(crate) planned: AtomicU32,
    /// The bytes of each part except the last.
    pub(crate) part_size: AtomicU64,
    /// Parts that S3 had already, or that another run put meanwhile.
    pub(crate) reused: AtomicU32,
    /// Parts that this run put.
    pub(crate) fetched: AtomicU32,
    /// `true` if one reply has to bring the complete document.
    pub(crate) streams: AtomicBool,
    /// Requests that this run made to ACS.
    pub(crate) requests: AtomicU32,
    /// Bytes that this run took from ACS, including those of failed and dropped attempts.
    pub(crate) bytes: Counter,
}

impl Progress {
    /// Notes the plan, and the number of parts in S3 that this run has not put itself.
    fn plan(&self, plan: Plan, missing: PartNumber) {
        self.planned.store(plan.count(), Ordering::Relaxed);
        self.part_size.store(plan.part_size(), Ordering::Relaxed);
        // S3 also lists the parts that this run has put. They were not reused.
        let own = self.fetched.load(Ordering::Relaxed);
        let reused = (plan.count() - missing).saturating_sub(own);
        self.reused.fetch_max(reused, Ordering::Relaxed);
    }

    /// The bytes of the parts that were not fetched. The last part counts like any other.
    pub(crate) fn bytes_reused(&self) -> u64 {
        let parts = u64::from(self.reused.load(Ordering::Relaxed));
        parts.saturating_mul(self.part_size.load(Ordering::Relaxed))
    }
}

/// A complete object.
#[derive(Clone, Debug)]
pub(crate) struct Archived {
    /// The object.
    pub(crate) object: Object,
    /// `true` if the object was there before this run.
    pub(crate) already: bool,
}

/// The reason why an object was not made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A request to ACS failed.
    #[error("fetching from ACS failed")]
    Source(#[from] acs::Error),
    /// A call to S3 failed.
    #[error("storing in S3 failed")]
    Store(#[from] store::Error),
    /// The key holds an object that is not a copy of the document. It is left as it is.
    #[error("key holds an object that is not a copy of this document")]
    Occupied,
    /// The source has another length than when the upload was begun.
    #[error("source changed while it was fetched")]
    SourceChanged,
    /// Replies of the same total length have different ETags.
    #[error("replies to ranges have different ETags")]
    RangesDisagree,
    /// A part in S3 has other bytes than the source.
    #[error("part {0} in S3 differs from the source")]
    PartDiffers(PartNumber),
    /// One reply has to bring the complete document, and a run has too little time for that.
    #[error("source gives no usable ranges, and the run was too short for one reply")]
    StreamTooLong,
    /// The object is there, but an upload of this transfer could not be ended, or its record
    /// deleted.
    #[error("object is there, but an upload or its record is left over")]
    LeftOver(#[source] store::Error),
    /// The upload was completed, aborted, or ended by a lifecycle rule.
    #[error("upload is gone")]
    UploadGone,
    /// The run has too little time left for a part.
    #[error("out of time")]
    OutOfTime,
    /// S3 refuses to complete the upload, although there is no object.
    #[error("completing the upload is refused, though there is no object")]
    Conflict,
    /// Parts that were put are missing each time the upload is to be completed.
    #[error("parts that were put are not listed")]
    PartsVanish,
    /// Several uploads were begun, and S3 completed none of them.
    #[error("S3 completed none of {uploads} uploads; the next has to wait")]
    Unsettled {
        /// The number of uploads.
        uploads: u32,
    },
    /// Several uploads were begun, and none was filled, because the source changed or a
    /// reply was too long for a run.
    #[error("source changed during {uploads} uploads; the next has to wait")]
    SourceUnsettled {
        /// The number of uploads.
        uploads: u32,
    },
}

impl Error {
    /// Returns `true` if a run with more time may succeed.
    pub(crate) fn is_out_of_time(&self) -> bool {
        matches!(self, Self::OutOfTime | Self::StreamTooLong)
    }
}

/// The clients, the limits, and the slots that all parts in flight share.
#[derive(Clone, Debug)]
pub(crate) struct Transfers {
    store: Store,
    acs: Client,
    slots: Arc<Slots>,
    limits: Arc<Limits>,
}

/// The transfer of one object in a run.
#[derive(Clone, Debug)]
struct Transfer {
    tools: Transfers,
    lane: Lane,
    task: Arc<Task>,
    progress: Arc<Progress>,
}

/// An open reply and its slot.
struct Opened {
    download: Download,
    slot: Slot,
}

impl Transfers {
    /// Transfers from `acs` to `store`, with at most `concurrency` parts in flight.
    pub(crate) fn new(store: Store, acs: Client, concurrency: usize, limits: Arc<Limits>) -> Self {
        Self {
            store,
            acs,
            slots: Slots::new(concurrency),
            limits,
        }
    }

    /// The largest number of parts in flight, over all events.
    pub(crate) fn concurrency(&self) -> usize {
        self.slots.count()
    }

    /// Makes a media object, or goes on with an unfinished one. May be dropped at any point: the
    /// next call goes on from the parts in S3, which stay after an error too.
    pub(crate) async fn media(
        &self,
        lane: &Lane,
        task: &Arc<Task>,
        progress: &Arc<Progress>,
    ) -> Result<Archived, Error> {
        self.transfer(lane, task, progress).media().await
    }

    /// Makes a metadata object: a small document, held in memory, its bytes unchanged.
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
    /// Requests the object's document, or a range of it, from ACS. `length` is the document's
    /// length, in bytes, if known.
    async fn open(
        &self,
        range: Option<&Range<u64>>,
        length: Option<u64>,
    ) -> Result<Download, acs::Error> {
        self.progress.requests.fetch_add(1, Ordering::Relaxed);
        let (source, counter) = (&self.task.source, &self.progress.bytes);
        self.tools.acs.open(source, range, length, counter).await
    }

    /// Waits for a slot.
    async fn slot(&self) -> Slot {
        self.lane.slot().await
    }
}
