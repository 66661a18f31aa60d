//! An upload's parts out of one reply, for a source that ignores ranges or contradicts itself in
//! them.
//!
//! One reply is consistent by itself. A part that S3 holds already is not put again if its checksum
//! is that of the bytes that come by.

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
    /// Opens the source from its beginning and puts what is missing as it comes by.
    pub(super) async fn fill_by_stream(&self, opened: Option<Opened>) -> Result<Filled, Error> {
        self.transfer
            .progress
            .streams
            .store(true, Ordering::Relaxed);
        let mut opened = opened;
        // Until one of them has turned out to have other bytes.
        let trusted = AtomicBool::new(true);
        let attempt = || self.stream(opened.take(), &trusted);
        let filled = match self.transfer.attempts(attempt).await {
            Err(Error::OutOfTime) => return Err(Error::StreamTooLong),
            filled => filled?,
        };
        if let Err(error) = self.mark_complete(&filled).await {
            // Only a later run would need it.
            let key = &self.transfer.task.key;
            warn!(%key, error = error_chain(&error), "the end of a reply is not recorded");
        }
        Ok(filled)
    }

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
            // Another run may be at work with the replies of before.
            self.mark_streamed().await?;
        }
        let mut listed = self.list().await?;
        // Parts behind the one that is put may be of other bytes, until the reply has reached them.
        let last = listed.keys().next_back().copied();
        if !trusted.load(Ordering::Relaxed) {
            listed.clear();
        }
        let filled = match self.plan {
            Some(plan) => self.stream_planned(plan, &listed, last, &download).await,
            None => self.stream_unplanned(&listed, last, &download).await,
        };
        if matches!(filled, Err(Error::PartDiffers(_))) {
            trusted.store(false, Ordering::Relaxed);
        }
        filled
    }

    /// Puts the missing parts of `plan`, and drops the bytes of those that are there. A part whose
    /// checksum the store does not list is put again.
    async fn stream_planned(
        &self,
        plan: Plan,
        listed: &ListedParts,
        last: Option<PartNumber>,
        download: &Download,
    ) -> Result<Filled, Error> {
        let missing: BTreeSet<PartNumber> = plan.missing(listed).collect();
        self.transfer.progress.plan(plan, count(&missing));
        let mut checksums = BTreeMap::new();
        for number in plan.numbers() {
            let range = plan.range(number);
            let length = range.end - range.start;
            let there = listed.get(&number).filter(|_| !missing.contains(&number));
            let crc64nvme = match there.and_then(|part| part.crc64nvme) {
                Some(known) => {
                    let came = download.skip(length).await?;
                    if came != known {
                        return Err(Error::PartDiffers(number));
                    }
                    Some(came)
                }
                None => self.put_streamed(number, length, last, download).await?,
            };
            checksums.extend(crc64nvme.map(|crc64nvme| (number, crc64nvme)));
        }
        // A head without a length has said nothing of the end.
        if download.head().total().is_none() && !download.peek(1).await?.is_empty() {
            return Err(Error::SourceChanged);
        }
        Ok(Filled { plan, checksums })
    }

    /// Puts the missing parts where only the end of the reply tells the length: one part at a time
    /// is held, to know its size.
    async fn stream_unplanned(
        &self,
        listed: &ListedParts,
        last: Option<PartNumber>,
        download: &Download,
    ) -> Result<Filled, Error> {
        let part_size = self.record.part_size;
        let mut total = 0;
        let mut checksums = BTreeMap::new();
        for number in 1.. {
            let most = usize::try_from(part_size).unwrap_or(usize::MAX);
            let held = download.peek(most).await?;
            let length = held.len() as u64;
            if length == 0 {
                break;
            }
            if u64::from(number) > MAX_PARTS {
                let limit = MAX_PARTS.saturating_mul(part_size);
                return Err(acs::Error::TooLong { limit }.into());
            }
            total += length;
            let planned = &self.transfer.progress.planned;
            planned.store(number, Ordering::Relaxed);
            let came = checksum(CrcAlgorithm::Crc64Nvme, &held);
            drop(held);
            let there = listed.get(&number).filter(|part| part.size == length);
            if there.and_then(|part| part.crc64nvme) == Some(came) {
                download.skip(length).await?;
            } else {
                self.put_streamed(number, length, last, download).await?;
            }
            checksums.insert(number, came);
        }
        let plan = Plan::new(total, part_size).ok_or(acs::Error::NotReady)?;
        Ok(Filled { plan, checksums })
    }

    /// Puts a part that a reply without a range has brought, `last` being the last that S3 held.
    async fn put_streamed(
        &self,
        number: PartNumber,
        length: u64,
        last: Option<PartNumber>,
        download: &Download,
    ) -> Result<Option<u64>, Error> {
        if last.is_some_and(|last| last > number) {
            self.mark_streamed().await?;
        }
        self.put(number, length, download).await
    }
}
