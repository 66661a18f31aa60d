//! The missing parts of an upload, fetched by range, several at once, each streamed into S3.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{Instrument as _, warn};

use super::upload::{Filled, Upload, is_complete};
use super::{Error, Opened, Order, Slot};
use crate::acs;
use crate::acs::download::Download;
use crate::error_chain::error_chain;
use crate::plan::{ListedParts, PartNumber, Plan};

impl Upload {
    /// Puts the missing parts of `plan`, with at most as many workers as slots,
    /// besides the open reply.
    pub(super) async fn fill_by_ranges(
        self: &Arc<Self>,
        plan: Plan,
        opened: Option<Opened>,
    ) -> Result<Filled, Error> {
        let transfer = &self.transfer;
        // At its first filling, a new upload has no parts to list.
        let fresh = self.fresh && opened.is_some();
        let listed = if fresh {
            ListedParts::new()
        } else {
            self.list().await?
        };
        let mut missing: BTreeSet<PartNumber> = plan.missing(&listed).collect();
        transfer.progress.plan(plan, count(&missing));
        let first = opened.filter(|_| missing.remove(&1));
        let crew = Crew::new(self, plan, missing);
        crew.run(first).await?;
        crew.filled().await
    }
}

/// The workers of one upload, and the state that they share.
struct Crew {
    upload: Arc<Upload>,
    plan: Plan,
    missing: Mutex<Missing>,
    /// The CRC64NVME of the parts that this run has put, if S3 has answered with it.
    checksums: Mutex<BTreeMap<PartNumber, u64>>,
    /// `true` if no further part is begun.
    stopped: AtomicBool,
}

/// The missing parts that no worker has taken.
struct Missing {
    numbers: BTreeSet<PartNumber>,
    /// The time of the next listing: sooner if other runs put parts, later if none does.
    next: Instant,
    pause: Duration,
}

impl Crew {
    fn new(upload: &Arc<Upload>, plan: Plan, missing: BTreeSet<PartNumber>) -> Arc<Self> {
        let relist = upload.transfer.tools.limits.relist;
        Arc::new(Self {
            upload: Arc::clone(upload),
            plan,
            missing: Mutex::new(Missing {
                numbers: missing,
                next: Instant::now() + relist,
                pause: relist,
            }),
            checksums: Mutex::default(),
            stopped: AtomicBool::new(false),
        })
    }

    /// Puts the missing parts, and part 1 from the open reply `first`, if there is one.
    async fn run(self: &Arc<Self>, first: Option<Opened>) -> Result<(), Error> {
        let missing = self.missing.lock().await.numbers.len();
        let mut workers = JoinSet::new();
        if let Some(first) = first {
            let crew = Arc::clone(self);
            workers.spawn(async move { crew.put_first(first).await }.in_current_span());
        }
        for _ in 0..missing.min(self.upload.transfer.tools.concurrency()) {
            let crew = Arc::clone(self);
            workers.spawn(async move { crew.work().await }.in_current_span());
        }
        let mut failure: Option<Error> = None;
        while let Some(joined) = workers.join_next().await {
            let result = joined.unwrap_or_else(|error| match error.try_into_panic() {
                // A panic of a worker is one of this task. Nothing else ends a worker without a
                // result.
                Ok(panic) => resume_unwind(panic),
                Err(_) => Ok(()),
            });
            if let Err(error) = result {
                // The parts in flight are finished, so that no run fetches them again. No further
                // part is begun.
                self.stopped.store(true, Ordering::Relaxed);
                // These decide the next step of the round, whichever failure came first.
                let decisive = matches!(error, Error::UploadGone | Error::SourceChanged);
                if decisive || failure.is_none() {
                    failure = Some(error);
                }
            }
        }
        failure.map_or(Ok(()), Err)
    }

    /// The filled upload. Fails if the workers had no time for some parts.
    async fn filled(&self) -> Result<Filled, Error> {
        if !self.missing.lock().await.numbers.is_empty() {
            return Err(Error::OutOfTime);
        }
        Ok(Filled {
            plan: self.plan,
            checksums: std::mem::take(&mut *self.checksums.lock().await),
        })
    }

    /// Takes one part after another until none is left.
    async fn work(&self) -> Result<(), Error> {
        let transfer = &self.upload.transfer;
        loop {
            // First a slot, then a part: a part without a slot is not taken, so that another run
            // can put it meanwhile.
            let slot = transfer.slot().await;
            let Some(number) = self.take().await? else {
                return Ok(());
            };
            let mut slot = Some(slot);
            let fetched = transfer.attempts(|| self.fetch(number, slot.take()));
            if self.late(number, fetched.await).await? {
                return Ok(());
            }
        }
    }

    /// Returns `true` if the run dropped the part for want of time. The part is missing again, and
    /// the other workers go on.
    async fn late(&self, number: PartNumber, result: Result<(), Error>) -> Result<bool, Error> {
        match result {
            Err(Error::OutOfTime) => {
                self.missing.lock().await.numbers.insert(number);
                Ok(true)
            }
            result => result.map(|()| false),
        }
    }

    /// Puts part 1 from the reply that told the length; after a failure, from a new one.
    async fn put_first(&self, first: Opened) -> Result<(), Error> {
        let mut first = Some(first);
        let attempt = || {
            let first = first.take();
            async move {
                match first {
                    Some(first) => self.put(1, &first.download).await,
                    None => self.fetch(1, None).await,
                }
            }
        };
        let put = self.upload.transfer.attempts(attempt).await;
        self.late(1, put).await.map(drop)
    }

    /// Takes the next missing part; `None` if there is none that can end in time.
    async fn take(&self) -> Result<Option<PartNumber>, Error> {
        let mut missing = self.missing.lock().await;
        if self.stopped.load(Ordering::Relaxed) {
            return Ok(None);
        }
        if Instant::now() >= missing.next && !missing.numbers.is_empty() {
            self.relist(&mut missing).await?;
        }
        let order = self.upload.transfer.task.order;
        let next = match order {
            Order::FromFront => missing.numbers.first(),
            Order::FromBack => missing.numbers.last(),
        };
        let run = self.upload.transfer.lane.run();
        // A part that cannot end before the deadline is left to the next run.
        let next = next.filter(|number| run.may_begin(self.length_of(**number)));
        let next = next.copied();
        if let Some(number) = next {
            missing.numbers.remove(&number);
        }
        Ok(next)
    }

    /// Removes the parts from `missing` that other runs have put meanwhile.
    async fn relist(&self, missing: &mut Missing) -> Result<(), Error> {
        let transfer = &self.upload.transfer;
        match self.upload.list().await {
            Ok(listed) => {
                let before = count(&missing.numbers);
                let still: BTreeSet<PartNumber> = self.plan.missing(&listed).collect();
                missing.numbers.retain(|number| still.contains(number));
                let found = before - count(&missing.numbers);
                transfer.progress.reused.fetch_add(found, Ordering::Relaxed);
                let limits = &transfer.tools.limits;
                missing.pause = match found {
                    0 => (missing.pause * 2).min(limits.relist_alone),
                    _ => limits.relist,
                };
            }
            Err(Error::UploadGone) => return Err(Error::UploadGone),
            // The listing only saves work: without it, a part is put twice.
            Err(error) => {
                let key = &transfer.task.key;
                warn!(
                    %key,
                    error = error_chain(&error),
                    "parts could not be listed again; parts of other runs may be put twice"
                );
            }
        }
        missing.next = Instant::now() + missing.pause;
        Ok(())
    }

    /// Requests a part by its range, and puts it.
    async fn fetch(&self, number: PartNumber, slot: Option<Slot>) -> Result<(), Error> {
        let transfer = &self.upload.transfer;
        let _slot = match slot {
            Some(slot) => slot,
            None => transfer.slot().await,
        };
        let range = self.plan.range(number);
        let length = Some(self.plan.length());
        let download = match transfer.open(Some(&range), length).await {
            // The document has become shorter.
            Err(acs::Error::BeyondEnd { total }) if total != self.plan.length() => {
                return Err(Error::SourceChanged);
            }
            opened => opened?,
        };
        if is_complete(&download) {
            return Err(acs::Error::RangeIgnored.into());
        }
        self.upload.record.agrees(download.head())?;
        self.put(number, &download).await
    }

    async fn put(&self, number: PartNumber, download: &Download) -> Result<(), Error> {
        let length = self.length_of(number);
        let crc64nvme = self.upload.put(number, length, download).await?;
        let mut checksums = self.checksums.lock().await;
        checksums.extend(crc64nvme.map(|crc64nvme| (number, crc64nvme)));
        Ok(())
    }

    fn length_of(&self, number: PartNumber) -> u64 {
        let range = self.plan.range(number);
        range.end - range.start
    }
}

/// The number of parts in a set.
pub(super) fn count(numbers: &BTreeSet<PartNumber>) -> PartNumber {
    // A plan has at most 10,000 parts.
    PartNumber::try_from(numbers.len()).unwrap_or(PartNumber::MAX)
}
