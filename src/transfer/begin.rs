//! The beginning of an object: its first reply tells the length, and with it whether it takes an upload.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::record::{Found, Record, Upload};
use super::round::Wrote;
use super::{Error, Opened, Progress, Task, Transfers};
use crate::acs;
use crate::acs::download::Download;
use crate::plan::Plan;
use crate::store::{self, Identity, JSON, StoredDocument, Written};

/// How the beginning of an object ended.
pub(super) enum Begun {
    /// It was small, and is there.
    Whole(Wrote),
    /// Somebody else's record was first.
    Outrun,
    /// An upload, and the reply that told its length, still open.
    Upload(Box<(Upload, Opened)>),
}

/// What the first reply has led to.
enum First {
    /// The object was small and is there.
    Copied(Wrote),
    /// A large object, of this length where it is known.
    Large(Option<u64>, Opened),
}

impl Transfers {
    /// Begins an object. One part or less goes into S3 at once; for more, an upload and its record, in the place of the
    /// record `over` and its upload if there is one.
    pub(super) async fn begin(
        &self,
        task: &Task,
        over: Option<&Found>,
        progress: &Arc<Progress>,
    ) -> Result<Begun, Error> {
        let first = self.attempts(&task.key, || self.open_or_copy(task, progress));
        let (length, opened) = match first.await? {
            First::Copied(object) => return Ok(Begun::Whole(object)),
            First::Large(length, opened) => (length, opened),
        };
        // While a record still names the old upload, so that none is left that nobody knows of.
        if let Some(old) = over.and_then(|over| over.record.as_ref()) {
            self.store.abort(&task.key, &old.upload_id).await?;
        }
        let record = self.begin_upload(task, length, &opened.download).await?;
        let upload_id = &record.upload_id;
        let written = match over {
            None => {
                let json = record.to_json();
                self.store.create(&task.record, json, JSON, None).await
            }
            Some(over) => {
                let json = record.to_json();
                self.store.replace(&task.record, json, &over.etag).await
            }
        };
        let ours = match written {
            Ok(Written::Here(_)) => Ok(true),
            // Perhaps by our own hand, its answer lost: the record itself tells.
            Ok(Written::Taken) | Err(store::Error::Contended) => {
                let there = self.store.read(&task.record).await;
                let upload_of =
                    |there: StoredDocument| Some(Record::parse(&there.bytes)?.upload_id);
                there.map(|there| there.and_then(upload_of).as_ref() == Some(upload_id))
            }
            Err(error) => Err(error),
        };
        let ours = match ours {
            Ok(ours) => ours,
            // Without an answer the record may be there, and then the upload is of use; if it is not, the bucket's
            // lifecycle rule ends what nobody knows. After any other error the upload is better begun again.
            Err(error @ store::Error::Unanswered { .. }) => return Err(error.into()),
            Err(error) => {
                self.store.abort(&task.key, upload_id).await?;
                return Err(error.into());
            }
        };
        if !ours {
            self.store.abort(&task.key, upload_id).await?;
            return Ok(Begun::Outrun);
        }
        // Whoever completes the object deletes its record after it. So ours was written either before another could be, or
        // when all was over, while our first reply was on its way: a look at the object now tells which.
        if over.is_none() && self.find_copy(task).await?.is_some() {
            self.clear(task, Some(&record)).await?;
            return Ok(Begun::Outrun);
        }
        Ok(match Upload::fresh(record) {
            Some(upload) => Begun::Upload(Box::new((upload, opened))),
            None => Begun::Outrun,
        })
    }

    /// Opens the object's first range, and copies a small object on the spot.
    async fn open_or_copy(&self, task: &Task, progress: &Progress) -> Result<First, Error> {
        let slot = self.slot().await;
        let part_size = self.limits.part_size;
        let download = self.open(task, Some(&(0..part_size)), progress).await?;
        let length = match download.head().total() {
            Some(total) => Some(total),
            None => length_within(&download, part_size).await?,
        };
        match length {
            Some(length) if length <= part_size => {
                progress.planned.store(1, Ordering::Relaxed);
                let object = self.copy(task, &download, length, progress).await?;
                progress.fetched.store(1, Ordering::Relaxed);
                Ok(First::Copied(object))
            }
            length => Ok(First::Large(length, Opened { download, slot })),
        }
    }

    /// Streams a small object of `length` bytes.
    async fn copy(
        &self,
        task: &Task,
        download: &Download,
        length: u64,
        progress: &Progress,
    ) -> Result<Wrote, Error> {
        let content_type = content_type(download, task);
        let identity = task.identity(Some(length), download);
        let piece = download.piece(length);
        let sent = (self.store).stream(&task.key, piece, length, &content_type, &identity);
        let written = self.watch(download, sent, progress).await?;
        self.written(task, written, length, &content_type, identity)
            .await
    }

    async fn begin_upload(
        &self,
        task: &Task,
        length: Option<u64>,
        download: &Download,
    ) -> Result<Record, Error> {
        let preferred = self.limits.part_size;
        let content_type = content_type(download, task);
        let identity = task.identity(length, download);
        let upload_id = (self.store)
            .begin(&task.key, &content_type, &identity)
            .await?;
        Ok(Record {
            key: task.key.to_string(),
            upload_id,
            length,
            source_etag: identity.source_etag,
            content_type,
            part_size: length.map_or(preferred, |length| Plan::part_size_for(length, preferred)),
        })
    }

    /// Fetches a metadata document, whole and bounded, and stores its bytes untouched.
    pub(super) async fn copy_metadata(
        &self,
        task: &Task,
        progress: &Progress,
    ) -> Result<Wrote, Error> {
        let _slot = self.slot().await;
        let limit = self.limits.metadata;
        let download = self.open(task, None, progress).await?;
        let length = length_within(&download, limit).await?;
        let length = length.ok_or(acs::Error::TooLong { limit })?;
        let bytes = download
            .peek(usize::try_from(length).unwrap_or(usize::MAX))
            .await?;
        progress.bytes.fetch_add(length, Ordering::Relaxed);
        let identity = task.identity(Some(length), &download);
        let content_type = task.content_type;
        let created = (self.store).create(&task.key, bytes, content_type, Some(&identity));
        self.written(task, created.await?, length, content_type, identity)
            .await
    }
}

impl Task {
    fn identity(&self, length: Option<u64>, download: &Download) -> Identity {
        Identity {
            origin: Arc::clone(&self.origin),
            source_length: length,
            source_etag: download.head().etag.clone(),
        }
    }
}

/// The length of a body, if it ends within `most` bytes, which are held.
async fn length_within(download: &Download, most: u64) -> Result<Option<u64>, Error> {
    let most_and_one = usize::try_from(most.saturating_add(1)).unwrap_or(usize::MAX);
    match download.peek(most_and_one).await?.len() as u64 {
        0 => Err(acs::Error::NotReady.into()),
        length => Ok((length <= most).then_some(length)),
    }
}

/// The source's content type if it is one of media, else the format's.
fn content_type(download: &Download, task: &Task) -> String {
    let source = download.head().content_type.as_deref();
    let media =
        source.filter(|source| source.starts_with("audio/") || source.starts_with("video/"));
    media.unwrap_or(task.content_type).to_owned()
}
