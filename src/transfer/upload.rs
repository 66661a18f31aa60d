//! An upload that is being filled: its record, its plan, and the ways to put its parts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tracing::warn;

use super::record::Record;
use super::{Error, Opened, Transfer};
use crate::acs::download::Download;
use crate::acs::reply::Extent;
use crate::chain::chain;
use crate::plan::{ListedParts, PartNumber, Plan};

/// An upload to be filled.
#[derive(Debug)]
pub(super) struct Upload {
    pub(super) transfer: Transfer,
    pub(super) record: Record,
    /// `None` as long as the length is not known.
    pub(super) plan: Option<Plan>,
    /// `true` if this run has begun it, so that there is nothing to list yet.
    pub(super) fresh: bool,
}

/// An upload whose parts are all up.
pub(super) struct Filled {
    pub(super) plan: Plan,
    /// The CRC64NVME of the parts that one reply has brought, as far as they are known. Empty where
    /// each part had a reply of its own.
    pub(super) checksums: BTreeMap<PartNumber, u64>,
}

impl Filled {
    /// Returns `true` if the listed parts are the ones that were put: another run, with another
    /// reply, may have put one since.
    pub(super) fn agrees(&self, listed: &ListedParts) -> bool {
        self.checksums.iter().all(|(number, crc)| {
            let there = listed.get(number).and_then(|part| part.crc64nvme);
            there.is_none_or(|there| there == *crc)
        })
    }
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

    /// Puts the parts that the upload lacks: by ranges, or where these are ignored or disagree, out
    /// of one reply, which is consistent by itself.
    pub(super) async fn fill(self: &Arc<Self>, opened: Option<Opened>) -> Result<Filled, Error> {
        let mut opened = opened;
        let streams = opened
            .as_ref()
            .is_some_and(|opened| is_whole(&opened.download));
        if let Some(plan) = self.plan.filter(|_| !streams) {
            match self.fill_by_ranges(plan, opened.take()).await {
                Err(error) if error.is_about_ranges() => {
                    let key = &self.transfer.task.key;
                    warn!(%key, error = chain(&error), "asking for the whole instead");
                }
                filled => return filled,
            }
        }
        self.fill_by_stream(opened).await
    }

    /// Pipes the next `length` bytes of `download` into a part, and returns its checksum where S3
    /// says it.
    pub(super) async fn put(
        &self,
        number: PartNumber,
        length: u64,
        download: &Download,
    ) -> Result<Option<u64>, Error> {
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
        let crc64nvme = sent.map_err(gone)?;
        progress.fetched.fetch_add(1, Ordering::Relaxed);
        Ok(crc64nvme)
    }

    /// The parts that S3 holds.
    pub(super) async fn list(&self) -> Result<ListedParts, Error> {
        let (store, key) = (&self.transfer.tools.store, &self.transfer.task.key);
        let listed = store.list_parts(key, &self.record.upload_id);
        listed.await.map_err(|error| gone(error.into()))
    }
}

/// Returns `true` if the reply to a range is the whole document.
pub(super) fn is_whole(download: &Download) -> bool {
    matches!(download.extent(), Extent::Whole { .. })
}

impl Error {
    /// Returns `true` if the source's ranges are at fault, so that one reply without a range may do
    /// better.
    pub(super) fn is_about_ranges(&self) -> bool {
        match self {
            Self::RangesDisagree => true,
            Self::Source(error) => error.is_about_ranges(),
            _ => false,
        }
    }
}

fn gone(error: Error) -> Error {
    match error {
        Error::Store(error) if error.is_no_such_upload() => Error::UploadGone,
        error => error,
    }
}
