//! The beginning of an object: the first reply tells the length, which decides between one write
//! and an upload.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tracing::warn;

use super::object::Wrote;
use super::record::{Cause, Found, Record};
use super::upload::{Upload, is_complete};
use super::{Error, Opened, Task, Transfer};
use crate::acs;
use crate::acs::download::Download;
use crate::clock;
use crate::error_chain::error_chain;
use crate::plan::Plan;
use crate::store::{self, Identity, JSON, Written};

/// The result of beginning an object.
pub(super) enum Begun {
    /// The object was small and is there.
    Copied(Wrote),
    /// Another run's record was first.
    Outrun,
    /// The source still ignores ranges: the recorded upload is to be continued by this reply.
    Streams(Opened),
    /// A new upload, and the open reply that told the length.
    Upload(Box<(Upload, Opened)>),
}

/// The result of the first reply.
enum First {
    /// The object was small and is there.
    Copied(Wrote),
    /// The object is large; its length, if known, and the open reply.
    Large(Option<u64>, Opened),
}

/// The result of writing the record of a new upload.
enum Recorded {
    /// The stored record names the new upload; its ETag, if an answer gave it.
    Ours { etag: Option<String> },
    /// Another run's record was first.
    Theirs,
}

/// The beginning of an upload.
struct Beginning<'a> {
    transfer: &'a Transfer,
    /// The stored record that the new record replaces, if there is one.
    over: Option<&'a Found>,
    /// The reason for replacing it.
    cause: Cause,
}

impl Transfer {
    /// Begins an object. Writes an object of at most one part at once. For a larger one, begins an
    /// upload and writes its record, which replaces the record `over` if there is one.
    pub(super) async fn begin(&self, over: Option<&Found>, cause: Cause) -> Result<Begun, Error> {
        let beginning = Beginning {
            transfer: self,
            over,
            cause,
        };
        match self.first_reply().await? {
            First::Copied(object) => Ok(Begun::Copied(object)),
            First::Large(_, opened)
                // The source still ignores ranges, so another upload would not do better.
                if cause == Cause::StreamTooLong && is_complete(&opened.download) =>
            {
                Ok(Begun::Streams(opened))
            }
            First::Large(length, opened) => beginning.upload(length, opened).await,
        }
    }

    /// Opens the document by its first range; without a range if the ranges are at fault.
    async fn first_reply(&self) -> Result<First, Error> {
        let by_range = 0..self.tools.limits.part_size;
        match self.attempts(|| self.open_or_copy(Some(&by_range))).await {
            Err(error) if error.is_about_ranges() => {
                let key = &self.task.key;
                warn!(
                    %key,
                    error = error_chain(&error),
                    "source gives no usable range; requesting the complete document"
                );
                self.attempts(|| self.open_or_copy(None)).await
            }
            first => first,
        }
    }

    /// Opens a range of the document, or all of it, and copies a small object from the reply.
    async fn open_or_copy(&self, range: Option<&Range<u64>>) -> Result<First, Error> {
        let slot = self.slot().await;
        let part_size = self.tools.limits.part_size;
        let download = self.open(range, None).await?;
        let length = match download.head().total() {
            Some(total) => Some(total),
            // Without a length in the head, read up to a part, to see whether the body ends there.
            None => length_within(&download, part_size).await?,
        };
        match length {
            Some(length) if length <= part_size => {
                self.progress.planned.store(1, Ordering::Relaxed);
                let object = self.copy(&download, length).await?;
                self.progress.fetched.store(1, Ordering::Relaxed);
                Ok(First::Copied(object))
            }
            // The reply stays open and keeps its slot, since its next bytes are part 1.
            length => Ok(First::Large(length, Opened { download, slot })),
        }
    }

    /// Streams a small object of `length` bytes into S3.
    async fn copy(&self, download: &Download, length: u64) -> Result<Wrote, Error> {
        let (store, task) = (&self.tools.store, &self.task);
        let content_type = content_type(download, task);
        let identity = task.identity(Some(length), download);
        let piece = download.piece(length);
        let sent = store.stream(&task.key, piece, length, &content_type, &identity);
        let written = self.watch(download, length, sent).await?;
        self.written(written, length, &content_type, identity).await
    }
}

impl Beginning<'_> {
    /// Begins the upload of a document of `length` bytes, if known, and writes its record.
    async fn upload(&self, length: Option<u64>, opened: Opened) -> Result<Begun, Error> {
        let Transfer { tools, task, .. } = self.transfer;
        let store = &tools.store;
        self.is_due()?;
        let record = self.begin_upload(length, &opened.download).await?;
        let etag = match self.write(&record).await {
            Ok(Recorded::Ours { etag }) => etag,
            Ok(Recorded::Theirs) => {
                store.abort(&task.key, &record.upload_id).await?;
                return Ok(Begun::Outrun);
            }
            // The record may have been written, and then the next run needs the upload. If it was
            // not, the bucket's lifecycle rule ends the upload. After any other error the upload is
            // ended here, and a later run begins another.
            Err(error @ store::Error::Unanswered { .. }) => return Err(error.into()),
            Err(error) => {
                store.abort(&task.key, &record.upload_id).await?;
                return Err(error.into());
            }
        };
        self.end_replaced().await;
        // There was no record, so either no run had begun, or another run has completed the object
        // and deleted its record. A run deletes the record after Complete, so
        // in the second case the object is there now.
        if self.over.is_none() && self.transfer.find_copy().await?.is_some() {
            self.transfer.clear(Some(&record)).await?;
            return Ok(Begun::Outrun);
        }
        Ok(match Upload::fresh(self.transfer, record, etag) {
            Some(upload) => Begun::Upload(Box::new((upload, opened))),
            None => Begun::Outrun,
        })
    }

    /// The record that is to be replaced; `None` if there is none, or if it cannot be read.
    fn replaced(&self) -> Option<&Record> {
        self.over?.record.as_ref()
    }

    /// Checks that another upload may begin. After the second upload there is a pause, which
    /// doubles with each further one, so that a source or store with which none succeeds costs few
    /// uploads instead of one in each run.
    fn is_due(&self) -> Result<(), Error> {
        let (Some(over), Some(record)) = (self.over, self.replaced()) else {
            return Ok(());
        };
        let Some(doublings) = record.begun.checked_sub(2) else {
            return Ok(());
        };
        let age = over
            .written
            .and_then(|written| clock::now().duration_since(written).ok());
        let pause = self.transfer.tools.limits.upload_pause;
        if age.unwrap_or_default() < pause.saturating_mul(2_u32.saturating_pow(doublings)) {
            return Err(self.cause.unsettled(record.begun));
        }
        Ok(())
    }

    /// Begins the upload, and returns its record, which is not written yet.
    async fn begin_upload(
        &self,
        length: Option<u64>,
        download: &Download,
    ) -> Result<Record, Error> {
        let Transfer { tools, task, .. } = self.transfer;
        let preferred = tools.limits.part_size;
        let content_type = content_type(download, task);
        let identity = task.identity(length, download);
        let upload_id = tools
            .store
            .begin(&task.key, &content_type, &identity)
            .await?;
        let old = self.replaced();
        Ok(Record {
            key: task.key.to_string(),
            upload_id,
            length,
            source_etag: identity.source_etag,
            content_type,
            part_size: length.map_or(preferred, |length| Plan::part_size_for(length, preferred)),
            begun: old.map_or(1, |old| old.begun.saturating_add(1)),
            replaced: old.map_or(vec![], |old| old.uploads().map(str::to_owned).collect()),
            streamed: false,
            crc64nvme: None,
        })
    }

    /// Writes the record, unless another run has written one meanwhile.
    async fn write(&self, record: &Record) -> Result<Recorded, store::Error> {
        let Transfer { tools, task, .. } = self.transfer;
        let (store, json) = (&tools.store, record.to_json());
        let written = match self.over {
            None => store.create(&task.record, json, JSON, None).await,
            Some(over) => store.replace(&task.record, json, &over.etag).await,
        };
        match written {
            Ok(Written::Here(receipt)) => Ok(Recorded::Ours { etag: receipt.etag }),
            // If the answer to the first try was lost, this run's own record is in the way. The
            // upload id tells.
            Ok(Written::Taken) | Err(store::Error::Contended) => {
                let there = store.read(&task.record).await?;
                let there = there.and_then(|document| Record::parse(&document.bytes));
                Ok(match there {
                    Some(there) if there.upload_id == record.upload_id => {
                        Recorded::Ours { etag: None }
                    }
                    _ => Recorded::Theirs,
                })
            }
            Err(error) => Err(error),
        }
    }

    /// Ends the upload of the replaced record, if its parts are of no use. Only after the new
    /// record is written, which names both: a run that dies in between leaves no upload without a
    /// record.
    async fn end_replaced(&self) {
        let Transfer { tools, task, .. } = self.transfer;
        if let Some(old) = self.replaced().filter(|_| self.cause.is_end())
            && let Err(error) = tools.store.abort(&task.key, &old.upload_id).await
        {
            let key = &task.key;
            warn!(
                %key,
                error = error_chain(&error),
                "replaced upload is left until the object is there"
            );
        }
    }
}

impl Task {
    /// The identity of an object of this task.
    pub(super) fn identity(&self, length: Option<u64>, download: &Download) -> Identity {
        Identity {
            origin: Arc::clone(&self.origin),
            source_length: length,
            source_etag: download.head().etag.clone(),
        }
    }
}

/// The length of a body that ends within `most` bytes, which are held in memory; `None` if it is
/// longer.
pub(super) async fn length_within(download: &Download, most: u64) -> Result<Option<u64>, Error> {
    let most_and_one = usize::try_from(most.saturating_add(1)).unwrap_or(usize::MAX);
    match download.peek(most_and_one).await?.len() as u64 {
        0 => Err(acs::Error::NotReady.into()),
        length => Ok((length <= most).then_some(length)),
    }
}

/// The source's content type if it is one of audio or video, else the task's.
fn content_type(download: &Download, task: &Task) -> String {
    let source = download.head().content_type.as_deref();
    let media =
        source.filter(|source| source.starts_with("audio/") || source.starts_with("video/"));
    media.unwrap_or(task.content_type).to_owned()
}
