//! An upload's parts out of one stream, for a source that ignores ranges.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use super::attempts::Counted;
use super::parts::{Filled, count};
use super::record::Upload;
use super::{Error, Opened, Progress, Task, Transfers, is_whole};
use crate::acs;
use crate::acs::download::Download;
use crate::plan::{ListedParts, MAX_PARTS, PartNumber, Plan};

impl Transfers {
    /// Opens the source from its beginning and puts what is missing as it comes by.
    pub(super) async fn fill_in_sequence(
        &self,
        task: &Task,
        upload: &Upload,
        opened: Option<Opened>,
        progress: &Progress,
    ) -> Result<Filled, Error> {
        let mut opened = opened;
        self.attempts(&task.key, || {
            let opened = opened.take();
            async move {
                let Opened {
                    download,
                    slot: _slot,
                } = if let Some(opened) = opened {
                    opened
                } else {
                    let slot = self.slot().await;
                    let range = 0..upload.record.part_size;
                    Opened {
                        download: self.open(task, Some(&range), progress).await?,
                        slot,
                    }
                };
                upload.record.agrees(download.head())?;
                if !is_whole(&download) {
                    return Ok(Filled::OtherWay);
                }
                let listed = self.list(task, upload).await?;
                let plan = if let Some(plan) = upload.plan {
                    self.stream_planned(task, upload, plan, &listed, &download, progress)
                        .await?
                } else {
                    self.stream_unplanned(task, upload, &listed, &download, progress)
                        .await?
                };
                Ok(Filled::Whole(plan))
            }
        })
        .await
    }

    /// Puts the missing parts of `plan` out of one stream, dropping the bytes of those that are there.
    async fn stream_planned(
        &self,
        task: &Task,
        upload: &Upload,
        plan: Plan,
        listed: &ListedParts,
        download: &Download,
        progress: &Progress,
    ) -> Result<Plan, Error> {
        let missing: BTreeSet<PartNumber> = plan.missing(listed).collect();
        progress.plan(plan, count(&missing));
        for number in plan.numbers() {
            let range = plan.range(number);
            let length = range.end - range.start;
            if missing.contains(&number) {
                self.put(task, upload, number, length, download, progress)
                    .await?;
            } else {
                let _counted = Counted::new(download, progress);
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
        task: &Task,
        upload: &Upload,
        listed: &ListedParts,
        download: &Download,
        progress: &Progress,
    ) -> Result<Plan, Error> {
        let part_size = upload.record.part_size;
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
            progress.planned.store(number, Ordering::Relaxed);
            if held == part_size && listed.get(&number).is_some_and(|part| part.size == held) {
                let _counted = Counted::new(download, progress);
                download.skip(held).await?;
            } else {
                self.put(task, upload, number, held, download, progress)
                    .await?;
            }
        }
        Plan::new(total, part_size).ok_or_else(|| acs::Error::NotReady.into())
    }
}
