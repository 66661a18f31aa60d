//! An upload that is being filled: its record, its plan, and the ways to put its parts.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::record::Record;
use super::{Error, Opened, Transfer};
use crate::acs;
use crate::acs::download::Download;
use crate::acs::reply::Extent;
use crate::plan::{ListedParts, PartNumber, Plan};

/// The turns that a source gets which changes its mind about ranges: one more at each way.
const TURNS: usize = 4;

/// An upload to be filled.
#[derive(Debug)]
pub(super) struct Upload {
    pub(super) transfer: Transfer,
    pub(super) record: Record,
    /// `None` as long as the length is not known.
    pub(super) plan: Option<Plan>,
    /// Whether this run has begun it, so that there is nothing to list yet.
    pub(super) fresh: bool,
}

/// The end of one way of filling an upload.
pub(super) enum Filled {
    /// Every part of this plan is up.
    Whole(Plan),
    /// The source does not answer this way: it ignores ranges, or honours them after all.
    OtherWay,
}

impl Upload {
    /// The upload that this run has begun and recorded.
    pub(super) fn fresh(transfer: &Transfer, record: Record) -> Option<Self> {
        Self::planned(transfer, record, true)
    }

    /// The upload of a record that was found; `None` if its numbers make no plan.
    pub(super) fn resumed(transfer: &Transfer, record: Record) -> Option<Self> {
        Self::planned(transfer, record, false)
    }

    fn planned(transfer: &Transfer, record: Record, fresh: bool) -> Option<Self> {
        Some(Self {
            transfer: transfer.clone(),
            plan: record.plan()?,
            record,
            fresh,
        })
    }

    /// Puts the parts that the upload lacks, and returns its plan.
    pub(super) async fn fill(self: &Arc<Self>, opened: Option<Opened>) -> Result<Plan, Error> {
        let mut opened = opened;
        let streams = opened
            .as_ref()
            .is_some_and(|opened| is_whole(&opened.download));
        let mut by_ranges = self.plan.filter(|_| !streams);
        for _ in 0..TURNS {
            let opened = opened.take();
            let filled = match by_ranges {
                Some(plan) => self.fill_by_ranges(plan, opened).await?,
                None => self.fill_in_sequence(opened).await?,
            };
            by_ranges = match filled {
                Filled::Whole(plan) => return Ok(plan),
                Filled::OtherWay => self.plan.filter(|_| by_ranges.is_none()),
            };
        }
        Err(acs::Error::RangeIgnored.into())
    }

    /// Pipes the next `length` bytes of `download` into a part.
    pub(super) async fn put(
        &self,
        number: PartNumber,
        length: u64,
        download: &Download,
    ) -> Result<(), Error> {
        if !self.transfer.lane.run().may_begin(length) {
            return Err(Error::OutOfTime);
        }
        let Transfer {
            tools,
            task,
            progress,
            ..
        } = &self.transfer;
        let upload_id = &self.record.upload_id;
        let piece = download.piece(length);
        let sent = (tools.store).put_part(&task.key, upload_id, number, piece, length);
        let sent = self.transfer.watch(download, length, sent).await;
        sent.map_err(gone)?;
        progress.fetched.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// The parts that S3 holds.
    pub(super) async fn list(&self) -> Result<ListedParts, Error> {
        let (store, key) = (&self.transfer.tools.store, &self.transfer.task.key);
        let listed = store.list_parts(key, &self.record.upload_id);
        listed.await.map_err(|error| gone(error.into()))
    }
}

/// Whether the reply to a range is the whole document.
pub(super) fn is_whole(download: &Download) -> bool {
    matches!(download.extent(), Extent::Whole { .. })
}

fn gone(error: Error) -> Error {
    match error {
        Error::Store(error) if error.is_no_such_upload() => Error::UploadGone,
        error => error,
    }
}
