//! An upload's parts out of one stream, for a source that ignores ranges.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use super::ranges::count;
use super::upload::{Filled, Upload, is_whole};
use super::{Error, Opened};
use crate::acs;
use crate::acs::download::Download;
use crate::plan::{ListedParts, MAX_PARTS, PartNumber, Plan};

impl Upload {
    /// Opens the source from its beginning and puts what is missing as it comes by.
    pub(super) async fn fill_in_sequence(&self, opened: Option<Opened>) -> Result<Filled, Error> {
        let mut opened = opened;
        let attempt = || self.stream(opened.take());
        self.transfer.attempts(attempt).await
    }

    async fn stream(&self, opened: Option<Opened>) -> Result<Filled, Error> {
        let transfer = &self.transfer;
        let Opened {
            download,
            slot: _slot,
        } = if let Some(opened) = opened {
            opened
        } else {
            let slot = transfer.slot().await;
            let range = 0..self.record.part_size;
            let download = transfer.open(Some(&range)).await?;
            Opened { download, slot }
        };
        self.record.agrees(download.head())?;
        if !is_whole(&download) {
            return Ok(Filled::OtherWay);
        }
        let listed = self.list().await?;
        let plan = match self.plan {
            Some(plan) => self.stream_planned(plan, &listed, &download).await?,
            None => self.stream_unplanned(&listed, &download).await?,
        };
        Ok(Filled::Whole(plan))
    }

    /// Puts the missing parts of `plan` out of one stream, dropping the bytes of those that are there.
    async fn stream_planned(
        &self,
        plan: Plan,
        listed: &ListedParts,
        download: &Download,
    ) -> Result<Plan, Error> {
        let missing: BTreeSet<PartNumber> = plan.missing(listed).collect();
        self.transfer.progress.plan(plan, count(&missing));
        for number in plan.numbers() {
            let range = plan.range(number);
            let length = range.end - range.start;
            if missing.contains(&number) {
                self.put(number, length, download).await?;
            } else {
                download.skip(length).await?;
            }
        }
        // A head without a length has said nothing of the end.
        if download.head().total().is_none() && !download.peek(1).await?.is_empty() {
            return Err(Error::SourceChanged);
        }
        Ok(plan)
    }

    /// The same where only the end of the stream tells the length: one part at a time is held, to know its size.
    async fn stream_unplanned(
        &self,
        listed: &ListedParts,
        download: &Download,
    ) -> Result<Plan, Error> {
        let part_size = self.record.part_size;
        let mut total = 0;
        for number in 1.. {
            let held = download
                .peek(usize::try_from(part_size).unwrap_or(usize::MAX))
                .await?
                .len() as u64;
            if held == 0 {
                break;
            }
            if u64::from(number) > MAX_PARTS {
                return Err(acs::Error::TooLong {
                    limit: MAX_PARTS.saturating_mul(part_size),
                }
                .into());
            }
            total += held;
            self.transfer
                .progress
                .planned
                .store(number, Ordering::Relaxed);
            if held == part_size && listed.get(&number).is_some_and(|part| part.size == held) {
                download.skip(held).await?;
            } else {
                self.put(number, held, download).await?;
            }
        }
        Plan::new(total, part_size).ok_or_else(|| acs::Error::NotReady.into())
    }
}
