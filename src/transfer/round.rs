//! One round at an object: what is there, what that means, and what is done about it.

use std::sync::Arc;

use super::begin::Begun;
use super::record::{Found, Record, Upload};
use super::{Archived, Error, Opened, Progress, Task, Transfers};
use crate::store::{self, Identity, Object, Written};

/// How one round at an object ended.
pub(super) enum Round {
    Done(Archived),
    /// Somebody else's record has won; the next round goes by it.
    Outrun,
    /// The upload is of no more use; the next round begins another in its place.
    Stale {
        upload_id: String,
    },
}

/// What a write has shown to be there.
pub(super) enum Wrote {
    /// What was written, as far as the answer told of it.
    Made(Option<Object>),
    /// What another run had written before.
    Found(Object),
}

impl Transfers {
    pub(super) async fn round(
        &self,
        task: &Arc<Task>,
        stale: Option<String>,
        unread: bool,
        progress: &Arc<Progress>,
    ) -> Result<Round, Error> {
        // The record before the object: whoever completes the object deletes the record after it. So if the record is
        // no longer here, the object is already there.
        let mut found = None;
        if !unread {
            let read = self.store.read(&task.record).await?;
            found = read.map(|document| Found::of(document, &task.key));
            if let Some(object) = self.find_copy(task).await? {
                if let Some(found) = &found {
                    self.clear(task, found.record.as_ref()).await?;
                }
                return Ok(Round::Done(Archived {
                    object,
                    already: true,
                }));
            }
        }
        let record = found.as_ref().and_then(|found| found.record.clone());
        let usable = record.filter(|record| stale.as_ref() != Some(&record.upload_id));
        if let Some(upload) = usable.and_then(Upload::resumed) {
            return self.fill_and_complete(task, upload, None, progress).await;
        }
        match self.begin(task, found.as_ref(), progress).await? {
            Begun::Outrun => Ok(Round::Outrun),
            Begun::Whole(object) => {
                if let Some(found) = &found {
                    self.clear(task, found.record.as_ref()).await?;
                }
                Ok(Round::Done(self.archived(task, object).await?))
            }
            Begun::Upload(begun) => {
                let (upload, opened) = *begun;
                let opened = Some(opened);
                self.fill_and_complete(task, upload, opened, progress).await
            }
        }
    }

    async fn fill_and_complete(
        &self,
        task: &Arc<Task>,
        upload: Upload,
        opened: Option<Opened>,
        progress: &Arc<Progress>,
    ) -> Result<Round, Error> {
        let mut opened = opened;
        let upload = Arc::new(upload);
        for _ in 0..self.limits.attempts {
            let plan = match self.fill(task, &upload, opened.take(), progress).await {
                Ok(plan) => plan,
                Err(Error::SourceChanged) => return Ok(upload.stale()),
                Err(Error::UploadGone) => return self.settle(task, &upload).await,
                Err(error) => return Err(error),
            };
            if let Some(round) = self.complete(task, &upload, plan).await? {
                return Ok(round);
            }
        }
        Ok(upload.stale())
    }

    /// What a conditional write of an object of `size` bytes means.
    pub(super) async fn written(
        &self,
        task: &Task,
        written: Written,
        size: u64,
        content_type: &str,
        identity: Identity,
    ) -> Result<Wrote, Error> {
        match written {
            Written::Here(receipt) => {
                let object = Object::received(receipt, size, content_type, identity);
                Ok(Wrote::Made(object))
            }
            Written::Taken => match self.find_copy(task).await? {
                Some(object) => Ok(Wrote::Found(object)),
                None => Err(store::Error::Contended.into()),
            },
        }
    }

    /// The object, if it is there and is a copy of this document.
    pub(super) async fn find_copy(&self, task: &Task) -> Result<Option<Object>, Error> {
        match self.store.find(&task.key).await? {
            Some(object) if object.is_copy_of(&task.origin) => Ok(Some(object)),
            Some(_) => Err(Error::Occupied),
            None => Ok(None),
        }
    }

    /// The object that is there after a write; looked at once more where the store's answer was not enough for a manifest.
    pub(super) async fn archived(&self, task: &Task, wrote: Wrote) -> Result<Archived, Error> {
        let object = match wrote {
            Wrote::Found(object) => {
                return Ok(Archived {
                    object,
                    already: true,
                });
            }
            Wrote::Made(Some(object)) => Some(object),
            Wrote::Made(None) => self.find_copy(task).await?,
        };
        let gone = store::Error::Incomplete {
            operation: "HeadObject",
            missing: "the object that was just written",
        };
        Ok(Archived {
            object: object.ok_or(gone)?,
            already: false,
        })
    }

    /// An error, unless another delivery has made the object meanwhile.
    pub(super) async fn unless_there(&self, task: &Task, error: Error) -> Result<Archived, Error> {
        match self.find_copy(task).await {
            Ok(Some(object)) => Ok(Archived {
                object,
                already: true,
            }),
            _ => Err(error),
        }
    }

    pub(super) async fn clear(
        &self,
        task: &Task,
        record: Option<&Record>,
    ) -> Result<(), store::Error> {
        if let Some(record) = record {
            self.store.abort(&task.key, &record.upload_id).await?;
        }
        self.store.delete(&task.record).await
    }
}

impl Upload {
    /// That this upload is of no more use.
    pub(super) fn stale(&self) -> Round {
        Round::Stale {
            upload_id: self.record.upload_id.clone(),
        }
    }
}
