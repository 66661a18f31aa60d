//! An upload that is being filled: the record, the plan, and the ways to put parts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::Mutex;
use tracing::warn;

use super::record::{Found, Record};
use super::{Error, Opened, Transfer};
use crate::acs::download::Download;
use crate::acs::reply::Extent;
use crate::error_chain::error_chain;
use crate::plan::{ListedParts, PartNumber, Plan, combined, combined_crc64nvme};
use crate::store::{self, Written};

/// An upload to be filled.
#[derive(Debug)]
pub(super) struct Upload {
    pub(super) transfer: Transfer,
    pub(super) record: Record,
    /// The plan; `None` while the length is unknown.
    pub(super) plan: Option<Plan>,
    /// `true` if this run has begun the upload, so that there are no parts to list yet.
    pub(super) fresh: bool,
    stored: Mutex<Stored>,
}

/// The last known state of the stored record.
#[derive(Debug)]
struct Stored {
    etag: Option<String>,
    /// The flag of [`Record::streamed`].
    streamed: bool,
}

/// An upload whose parts are all in S3.
pub(super) struct Filled {
    pub(super) plan: Plan,
    /// The CRC64NVME of the parts that this run has put or read, if known.
    pub(super) checksums: BTreeMap<PartNumber, u64>,
}

impl Filled {
    /// Returns `true` if the listed parts have the known checksums. They differ if another run has
    /// put a part from another reply since.
    pub(super) fn agrees(&self, listed: &ListedParts) -> bool {
        self.checksums.iter().all(|(number, crc)| {
            let there = listed.get(number).and_then(|part| part.crc64nvme);
            there.is_none_or(|there| there == *crc)
        })
    }

    /// Returns `true` if this run knows the checksum of every part.
    pub(super) fn knows_all(&self) -> bool {
        let mut numbers = self.plan.numbers();
        numbers.all(|number| self.checksums.contains_key(&number))
    }
}

impl Upload {
    /// The upload that this run has begun and recorded.
    pub(super) fn fresh(transfer: &Transfer, record: Record, etag: Option<String>) -> Option<Self> {
        Self::planned(transfer, record, etag, true)
    }

    /// The upload of a record that was found; `None` if the numbers of the record make no plan.
    pub(super) fn resumed(transfer: &Transfer, found: &Found) -> Option<Self> {
        let etag = Some(found.etag.clone());
        Self::planned(transfer, found.record.clone()?, etag, false)
    }

    fn planned(
        transfer: &Transfer,
        record: Record,
        etag: Option<String>,
        fresh: bool,
    ) -> Option<Self> {
        Some(Self {
            transfer: transfer.clone(),
            plan: record.plan().ok()?,
            stored: Mutex::new(Stored {
                etag,
                streamed: record.streamed,
            }),
            record,
            fresh,
        })
    }

    /// Puts the missing parts: by ranges, or, if the source ignores ranges or they disagree, from
    /// one reply without a range, which is consistent by itself.
    pub(super) async fn fill(self: &Arc<Self>, opened: Option<Opened>) -> Result<Filled, Error> {
        let mut opened = opened;
        if let Some(filled) = self.filled_before(opened.is_some()).await? {
            return Ok(filled);
        }
        let complete = opened
            .as_ref()
            .is_some_and(|opened| is_complete(&opened.download));
        // A marked upload is not filled by ranges, even if they work again: its parts may be of
        // several replies, and only a complete reply proves that they fit together.
        let streamed = complete || self.stored.lock().await.streamed;
        if let Some(plan) = self.plan.filter(|_| !streamed) {
            match self.fill_by_ranges(plan, opened.take()).await {
                Err(error) if error.is_about_ranges() => {
                    let key = &self.transfer.task.key;
                    warn!(
                        %key,
                        error = error_chain(&error),
                        "source gives no usable range; requesting the complete document"
                    );
                }
                filled => return filled,
            }
        }
        self.fill_by_stream(opened).await
    }

    /// The parts of an upload that a reply without a range has filled in an earlier run; `None` if
    /// none has.
    async fn filled_before(&self, opened: bool) -> Result<Option<Filled>, Error> {
        let (Some(plan), Some(crc64nvme), false) = (self.plan, self.record.crc64nvme, opened)
        else {
            return Ok(None);
        };
        let mut listed = self.list().await?;
        // Parts after the end of the plan may be left from a longer reply.
        listed.retain(|number, _| !plan.range(*number).is_empty());
        let complete = plan.missing(&listed).next().is_none()
            && combined_crc64nvme(listed.values()) == Some(crc64nvme);
        let checksums = listed
            .into_iter()
            .filter_map(|(number, part)| Some((number, part.crc64nvme?)));
        Ok(complete.then(|| Filled {
            plan,
            checksums: checksums.collect(),
        }))
    }

    /// Marks in the record that the parts may be of several replies. Called before the first such
    /// part is put: otherwise a run that dies after it would leave a mixed upload that another run
    /// completes. A marked upload is completed only if one reply was read to its end.
    pub(super) async fn mark_streamed(&self) -> Result<(), Error> {
        let mut stored = self.stored.lock().await;
        if stored.streamed {
            return Ok(());
        }
        let streamed = Record {
            streamed: true,
            ..self.record.clone()
        };
        self.rewrite(&mut stored, &streamed).await?;
        stored.streamed = true;
        Ok(())
    }

    /// Marks in the record that a reply was read to its end, with its checksum and length, so that
    /// a later run can complete the upload when the source is gone.
    pub(super) async fn mark_complete(&self, filled: &Filled) -> Result<(), Error> {
        let mut stored = self.stored.lock().await;
        if !stored.streamed {
            return Ok(());
        }
        let parts = filled.plan.numbers().map(|number| {
            let range = filled.plan.range(number);
            let crc64nvme = filled.checksums.get(&number).copied();
            (crc64nvme, range.end - range.start)
        });
        let Some(crc64nvme) = combined(parts) else {
            return Ok(());
        };
        let complete = Record {
            streamed: true,
            crc64nvme: Some(crc64nvme),
            length: Some(filled.plan.length()),
            ..self.record.clone()
        };
        self.rewrite(&mut stored, &complete).await
    }

    /// Returns `true` if the listed parts may be of several replies by now, because another run
    /// puts parts from a reply without a range. That run marks the record before its first part, so
    /// the record must be read after the parts are listed.
    pub(super) async fn streamed_since(&self, listed: &ListedParts) -> Result<bool, Error> {
        let (store, key) = (&self.transfer.tools.store, &self.transfer.task.record);
        // Without a record, the object is there, which Complete finds out.
        let Some(document) = store.read(key).await? else {
            return Ok(false);
        };
        // Another upload has replaced this upload if the record names another.
        let Some(there) = self.own(Found::of(document, &self.transfer.task.key)) else {
            return Err(Error::UploadGone);
        };
        let Some(record) = there.record.filter(|record| record.streamed) else {
            return Ok(false);
        };
        let mut stored = self.stored.lock().await;
        stored.streamed = true;
        stored.etag = Some(there.etag);
        let crc64nvme = record.crc64nvme;
        Ok(crc64nvme.is_none() || crc64nvme != combined_crc64nvme(listed.values()))
    }

    /// A record that was found, if it names this upload.
    fn own(&self, found: Found) -> Option<Found> {
        let upload_id = found.record.as_ref().map(|record| &record.upload_id);
        (upload_id == Some(&self.record.upload_id)).then_some(found)
    }

    /// Replaces the stored record, if it still names this upload.
    async fn rewrite(&self, stored: &mut Stored, record: &Record) -> Result<(), Error> {
        let (store, key) = (&self.transfer.tools.store, &self.transfer.task.record);
        if let Some(known) = &stored.etag {
            let written = store.replace(key, record.to_json(), known).await?;
            if let Written::Here(receipt) = written {
                stored.etag = receipt.etag;
                return Ok(());
            }
        }
        // The known ETag is outdated, or the answer to the write was lost. Another run may have
        // marked the record: replace it only if it still names this upload.
        let there = store.read(key).await?;
        let there = there.map(|document| Found::of(document, &self.transfer.task.key));
        let Some(found) = there.and_then(|found| self.own(found)) else {
            return Err(Error::UploadGone);
        };
        match store.replace(key, record.to_json(), &found.etag).await? {
            Written::Here(receipt) => {
                stored.etag = receipt.etag;
                Ok(())
            }
            Written::Taken => Err(store::Error::Contended.into()),
        }
    }

    /// Streams the next `length` bytes of `download` into a part, and returns the checksum that S3
    /// has computed, if it says.
    pub(super) async fn put(
        &self,
        number: PartNumber,
        length: u64,
        download: &Download,
    ) -> Result<Option<u64>, Error> {
        // The time may have run out since the part was taken.
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

    /// The parts in S3.
    pub(super) async fn list(&self) -> Result<ListedParts, Error> {
        let (store, key) = (&self.transfer.tools.store, &self.transfer.task.key);
        let listed = store.list_parts(key, &self.record.upload_id);
        listed.await.map_err(|error| gone(error.into()))
    }
}

/// Returns `true` if the reply to a range is the complete document.
pub(super) fn is_complete(download: &Download) -> bool {
    matches!(download.extent(), Extent::Complete { .. })
}

impl Error {
    /// Returns `true` if the ranges of the source are at fault, so that a reply without a range may
    /// succeed.
    pub(super) fn is_about_ranges(&self) -> bool {
        match self {
            Self::RangesDisagree => true,
            Self::Source(error) => error.is_about_ranges(),
            _ => false,
        }
    }
}

/// Tells an upload that is gone from other errors of S3.
fn gone(error: Error) -> Error {
    match error {
        Error::Store(error) if error.is_no_such_upload() => Error::UploadGone,
        error => error,
    }
}
