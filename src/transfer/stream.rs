//! The parts of an upload from one reply without a range, for a source that ignores ranges or whose
//! ranges disagree.
//!
//! One reply is consistent by itself. A part in S3 is not put again if its checksum is that of the
//! reply's bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};

use crc_fast::{CrcAlgorithm, checksum};
use tracing::warn;

use super::ranges::count;
use super::upload::{Filled, Upload};
use super::{Error, Opened};
use crate::acs;
use crate::acs::download::Download;
use crate::error_chain::error_chain;
use crate::plan::{ListedParts, MAX_PARTS, PartNumber, Plan};

impl Upload {
    /// Opens the source without a range and puts the missing parts as their bytes come.
    pub(super) async fn fill_by_stream(&self, opened: Option<Opened>) -> Result<Filled, Error> {
        self.transfer
            .progress
            .streams
            .store(true, Ordering::Relaxed);
        let mut opened = opened;
        // The listed parts are compared with the reply until one has other bytes; then all are put.
        let trusted = AtomicBool::new(true);
        let attempt = || self.stream(opened.take(), &trusted);
        let filled = match self.transfer.attempts(attempt).await {
            Err(Error::OutOfTime) => return Err(Error::StreamTooLong),
            filled => filled?,
        };
        if let Err(error) = self.mark_complete(&filled).await {
            // Only a later run would use it.
            let key = &self.transfer.task.key;
            warn!(
                %key,
                error = error_chain(&error),
                "record does not say that a reply was read to its end"
            );
        }
        Ok(filled)
    }

    /// Makes one attempt.
    async fn stream(&self, opened: Option<Opened>, trusted: &AtomicBool) -> Result<Filled, Error> {
        let transfer = &self.transfer;
        let Opened {
            download,
            slot: _slot,
        } = if let Some(opened) = opened {
            opened
        } else {
            let slot = transfer.slot().await;
            let download = transfer.open(None, self.record.length).await?;
            Opened { download, slot }
        };
        self.record.agrees_in_length(download.head())?;
        if self.record.agrees(download.head()).is_err() {
            // Another run may still put parts from replies with the recorded length and ETag.
            self.mark_streamed().await?;
        }
        let mut listed = self.list().await?;
        let last = listed.keys().next_back().copied();
        if !trusted.load(Ordering::Relaxed) {
            listed.clear();
        }
        let reply = Reply {
            upload: self,
            download: &download,
            listed,
            last,
        };
        let filled = match self.plan {
            Some(plan) => reply.put_planned(plan).await,
            None => reply.put_unplanned().await,
        };
        if matches!(filled, Err(Error::PartDiffers(_))) {
            trusted.store(false, Ordering::Relaxed);
        }
        filled
    }
}

/// One reply without a range, from which the parts of an upload are put.
struct Reply<'a> {
    upload: &'a Upload,
    download: &'a Download,
    /// The parts in S3 whose checksums are compared with the reply.
    listed: ListedParts,
    /// The last part that S3 held before this reply.
    last: Option<PartNumber>,
}

impl Reply<'_> {
    /// Puts the missing parts of `plan`, and drops the bytes of the parts in S3. A part whose
    /// checksum S3 does not list is put again.
    async fn put_planned(&self, plan: Plan) -> Result<Filled, Error> {
        let missing: BTreeSet<PartNumber> = plan.missing(&self.listed).collect();
        self.upload.transfer.progress.plan(plan, count(&missing));
        let mut checksums = BTreeMap::new();
        for number in plan.numbers() {
            let range = plan.range(number);
            let length = range.end - range.start;
            let there = self.listed.get(&number);
            let there = there.filter(|_| !missing.contains(&number));
            let crc64nvme = match there.and_then(|part| part.crc64nvme) {
                Some(known) => {
                    let came = self.download.skip(length).await?;
                    if came != known {
                        return Err(Error::PartDiffers(number));
                    }
                    Some(came)
                }
                None => self.put(number, length).await?,
            };
            checksums.extend(crc64nvme.map(|crc64nvme| (number, crc64nvme)));
        }
        // Without a length in the head, the body may be longer than the plan.
        let head = self.download.head();
        if head.total().is_none() && !self.download.peek(1).await?.is_empty() {
            return Err(Error::SourceChanged);
        }
        Ok(Filled { plan, checksums })
    }

    /// Puts the missing parts if only the end of the reply tells the length. One part at a time is
    /// held in memory, since its length must be known before it is put.
    async fn put_unplanned(&self) -> Result<Filled, Error> {
        let part_size = self.upload.record.part_size;
        let mut total = 0;
        let mut checksums = BTreeMap::new();
        for number in 1.. {
            let most = usize::try_from(part_size).unwrap_or(usize::MAX);
            let held = self.download.peek(most).await?;
            let length = held.len() as u64;
            if length == 0 {
                break;
            }
            if u64::from(number) > MAX_PARTS {
                let limit = MAX_PARTS.saturating_mul(part_size);
                return Err(acs::Error::TooLong { limit }.into());
            }
            total += length;
            let planned = &self.upload.transfer.progress.planned;
            planned.store(number, Ordering::Relaxed);
            let came = checksum(CrcAlgorithm::Crc64Nvme, &held);
            drop(held);
            let there = self.listed.get(&number);
            let there = there.filter(|part| part.size == length);
            if there.and_then(|part| part.crc64nvme) == Some(came) {
                self.download.skip(length).await?;
            } else {
                self.put(number, length).await?;
            }
            checksums.insert(number, came);
        }
        let plan = Plan::new(total, part_size).ok_or(acs::Error::NotReady)?;
        Ok(Filled { plan, checksums })
    }

    /// Puts a part. If S3 held parts after this part, they may have other bytes until the reply has
    /// reached them: the record has to say so first.
    async fn put(&self, number: PartNumber, length: u64) -> Result<Option<u64>, Error> {
        if self.last.is_some_and(|last| last > number) {
            self.upload.mark_streamed().await?;
        }
        self.upload.put(number, length, self.download).await
    }
}
