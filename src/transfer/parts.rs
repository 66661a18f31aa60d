//! An upload's missing parts: fetched by range, several at once, each piped into S3.

use std::collections::BTreeSet;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{Instrument as _, warn};

use super::record::Upload;
use super::{Error, Opened, Order, Progress, Slot, Task, Transfers, is_whole};
use crate::acs;
use crate::acs::download::Download;
use crate::chain::chain;
use crate::plan::{ListedParts, PartNumber, Plan};

/// How a way of filling an upload ended.
pub(super) enum Filled {
    /// Every part of this grid is up.
    Whole(Plan),
    /// The source does not answer this way: it ignores ranges, or honours them after all.
    OtherWay,
}

impl Transfers {
    /// Puts what the upload lacks, and answers its grid.
    pub(super) async fn fill(
        &self,
        task: &Arc<Task>,
        upload: &Arc<Upload>,
        opened: Option<Opened>,
        progress: &Arc<Progress>,
    ) -> Result<Plan, Error> {
        let mut opened = opened;
        let mut by_ranges = upload.plan.filter(|_| {
            !opened
                .as_ref()
                .is_some_and(|opened| is_whole(&opened.download))
        });
        // A source that changes its mind gets one more turn at each way.
        for _ in 0..4 {
            let opened = opened.take();
            let filled = match by_ranges {
                Some(plan) => {
                    self.fill_by_ranges(task, upload, plan, opened, progress)
                        .await?
                }
                None => {
                    self.fill_in_sequence(task, upload, opened, progress)
                        .await?
                }
            };
            by_ranges = match filled {
                Filled::Whole(plan) => return Ok(plan),
                Filled::OtherWay => upload.plan.filter(|_| by_ranges.is_none()),
            };
        }
        Err(acs::Error::RangeIgnored.into())
    }

    async fn fill_by_ranges(
        &self,
        task: &Arc<Task>,
        upload: &Arc<Upload>,
        plan: Plan,
        opened: Option<Opened>,
        progress: &Arc<Progress>,
    ) -> Result<Filled, Error> {
        let fresh = upload.fresh && opened.is_some();
        let listed = if fresh {
            ListedParts::new()
        } else {
            self.list(task, upload).await?
        };
        let mut missing: BTreeSet<PartNumber> = plan.missing(&listed).collect();
        progress.plan(plan, count(&missing));

        let mut workers = JoinSet::new();
        let first = opened.filter(|_| missing.remove(&1));
        let idle = self.concurrency.min(missing.len());
        let board = Arc::new(Board {
            transfers: self.clone(),
            task: Arc::clone(task),
            upload: Arc::clone(upload),
            plan,
            missing: Mutex::new(Missing {
                numbers: missing,
                next: Instant::now() + self.limits.relist,
                pause: self.limits.relist,
            }),
            stopped: AtomicBool::new(false),
            progress: Arc::clone(progress),
        });
        if let Some(first) = first {
            let board = Arc::clone(&board);
            workers.spawn(async move { board.put_first(first).await }.in_current_span());
        }
        for _ in 0..idle {
            let board = Arc::clone(&board);
            workers.spawn(async move { board.work().await }.in_current_span());
        }
        let mut failure: Option<Error> = None;
        while let Some(joined) = workers.join_next().await {
            let result = joined.unwrap_or_else(|error| match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                Err(_) => Ok(()),
            });
            if let Err(error) = result {
                // The parts in flight are finished, so that they need not be fetched again; no other is begun.
                board.stopped.store(true, Ordering::Relaxed);
                let decisive = matches!(error, Error::UploadGone | Error::SourceChanged);
                if decisive || failure.is_none() {
                    failure = Some(error);
                }
            }
        }
        match failure {
            None => Ok(Filled::Whole(plan)),
            Some(Error::Source(acs::Error::RangeIgnored)) => Ok(Filled::OtherWay),
            Some(error) => Err(error),
        }
    }

    /// Pipes the next `length` bytes of `download` into a part.
    pub(super) async fn put(
        &self,
        task: &Task,
        upload: &Upload,
        number: PartNumber,
        length: u64,
        download: &Download,
        progress: &Progress,
    ) -> Result<(), Error> {
        let upload_id = &upload.record.upload_id;
        let sent =
            self.store
                .put_part(&task.key, upload_id, number, download.piece(length), length);
        self.watch(download, sent, progress).await.map_err(gone)?;
        progress.fetched.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    pub(super) async fn list(&self, task: &Task, upload: &Upload) -> Result<ListedParts, Error> {
        let listed = self.store.list_parts(&task.key, &upload.record.upload_id);
        listed.await.map_err(|error| gone(error.into()))
    }
}

/// What the workers of one upload share.
struct Board {
    transfers: Transfers,
    task: Arc<Task>,
    upload: Arc<Upload>,
    plan: Plan,
    missing: Mutex<Missing>,
    /// No further part is begun.
    stopped: AtomicBool,
    progress: Arc<Progress>,
}

struct Missing {
    numbers: BTreeSet<PartNumber>,
    /// When the parts are to be listed again: sooner where others are at work, later where nobody is.
    next: Instant,
    pause: Duration,
}

impl Board {
    async fn work(&self) -> Result<(), Error> {
        loop {
            // The slot before the part: what is taken is fetched at once, and what is not taken is left to others.
            let slot = self.transfers.slot().await;
            let Some(number) = self.take().await? else {
                return Ok(());
            };
            let mut slot = Some(slot);
            self.transfers
                .attempts(&self.task.key, || self.fetch(number, slot.take()))
                .await?;
        }
    }

    /// Puts part 1 out of the reply that told the length.
    async fn put_first(&self, first: Opened) -> Result<(), Error> {
        let mut first = Some(first);
        self.transfers
            .attempts(&self.task.key, || {
                let first = first.take();
                async move {
                    match first {
                        Some(first) => self.put(1, &first.download).await,
                        None => self.fetch(1, None).await,
                    }
                }
            })
            .await
    }

    /// The next part that nobody has put, as far as is known.
    async fn take(&self) -> Result<Option<PartNumber>, Error> {
        let mut missing = self.missing.lock().await;
        if self.stopped.load(Ordering::Relaxed) {
            return Ok(None);
        }
        if Instant::now() >= missing.next && !missing.numbers.is_empty() {
            match self.transfers.list(&self.task, &self.upload).await {
                Ok(listed) => {
                    let before = count(&missing.numbers);
                    let still: BTreeSet<PartNumber> = self.plan.missing(&listed).collect();
                    missing.numbers.retain(|number| still.contains(number));
                    let found = before - count(&missing.numbers);
                    self.progress.reused.fetch_add(found, Ordering::Relaxed);
                    let limits = &self.transfers.limits;
                    missing.pause = match found {
                        0 => (missing.pause * 2).min(limits.relist_alone),
                        _ => limits.relist,
                    };
                }
                Err(Error::UploadGone) => return Err(Error::UploadGone),
                // What others have put is only good to know.
                Err(error) => {
                    warn!(key = %self.task.key, error = chain(&error), "listing the parts again failed");
                }
            }
            missing.next = Instant::now() + missing.pause;
        }
        Ok(match self.task.order {
            Order::FromFront => missing.numbers.pop_first(),
            Order::FromBack => missing.numbers.pop_last(),
        })
    }

    async fn fetch(&self, number: PartNumber, slot: Option<Slot>) -> Result<(), Error> {
        let _slot = match slot {
            Some(slot) => slot,
            None => self.transfers.slot().await,
        };
        let range = self.plan.range(number);
        let opened = self
            .transfers
            .open(&self.task, Some(&range), &self.progress);
        let download = match opened.await {
            Err(acs::Error::BeyondEnd { total }) if total != self.plan.length() => {
                return Err(Error::SourceChanged);
            }
            opened => opened?,
        };
        if is_whole(&download) {
            return Err(acs::Error::RangeIgnored.into());
        }
        self.upload.record.agrees(download.head())?;
        self.put(number, &download).await
    }

    async fn put(&self, number: PartNumber, download: &Download) -> Result<(), Error> {
        let range = self.plan.range(number);
        let length = range.end - range.start;
        self.transfers
            .put(
                &self.task,
                &self.upload,
                number,
                length,
                download,
                &self.progress,
            )
            .await
    }
}

fn gone(error: Error) -> Error {
    match error {
        Error::Store(error) if error.is_no_such_upload() => Error::UploadGone,
        error => error,
    }
}

pub(super) fn count(numbers: &BTreeSet<PartNumber>) -> PartNumber {
    // A grid has at most 10,000 parts.
    PartNumber::try_from(numbers.len()).unwrap_or(PartNumber::MAX)
}
