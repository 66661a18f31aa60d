//! The end of an upload: the one step that makes an object appear, whole or not at all.

use tracing::warn;

use super::record::Upload;
use super::round::{Round, Wrote};
use super::{Archived, Error, Task, Transfers};
use crate::chain::chain;
use crate::plan::Plan;
use crate::store::{self, Object};

/// How completing an upload ended.
enum Completion {
    /// The object is there, and this is what the answer told of it.
    Made(Option<Object>),
    /// Parts are missing after all.
    Missing,
    /// S3 will never take it as it is.
    Unusable,
}

impl Transfers {
    /// Completes an upload. `None` where parts are missing after all.
    pub(super) async fn complete(
        &self,
        task: &Task,
        upload: &Upload,
        plan: Plan,
    ) -> Result<Option<Round>, Error> {
        let completion = self.attempts(&task.key, || self.try_to_complete(task, upload, plan));
        match completion.await {
            Ok(Completion::Made(object)) => {
                self.store.delete(&task.record).await?;
                Ok(Some(Round::Done(
                    self.archived(task, Wrote::Made(object)).await?,
                )))
            }
            Ok(Completion::Missing) => Ok(None),
            Ok(Completion::Unusable) => Ok(Some(upload.stale())),
            Err(Error::UploadGone) => self.settle(task, upload).await.map(Some),
            Err(error) => Err(error),
        }
    }

    async fn try_to_complete(
        &self,
        task: &Task,
        upload: &Upload,
        plan: Plan,
    ) -> Result<Completion, Error> {
        // Under SSE-KMS the same bytes have another ETag each time they are put, and another delivery may have put a part
        // since it was last listed.
        let mut parts = self.list(task, upload).await?;
        parts.retain(|number, _| !plan.range(*number).is_empty());
        if plan.missing(&parts).next().is_some() {
            return Ok(Completion::Missing);
        }
        let upload_id = &upload.record.upload_id;
        let error = match self.store.complete(&task.key, upload_id, &parts).await {
            Ok(receipt) => {
                let identity = upload.record.identity(&task.origin);
                let content_type = &upload.record.content_type;
                let object = Object::received(receipt, plan.length(), content_type, identity);
                return Ok(Completion::Made(object));
            }
            Err(error) => error,
        };
        if error.code() == Some("InvalidPart") {
            return Err(store::Error::Contended.into());
        }
        if error.is_no_such_upload() || error.is_condition() {
            return Err(Error::UploadGone);
        }
        if error.status() == Some(400) && !error.may_pass() {
            warn!(key = %task.key, error = chain(&error), "upload cannot be completed");
            return Ok(Completion::Unusable);
        }
        // It may have taken effect and only its answer been lost; or another upload has been completed, and this one is
        // still to be ended.
        match self.find_copy(task).await? {
            Some(_) => Err(Error::UploadGone),
            None => Err(error.into()),
        }
    }

    /// Finds out what has become of an upload that is gone or may not be completed: only the object tells.
    pub(super) async fn settle(&self, task: &Task, upload: &Upload) -> Result<Round, Error> {
        let Some(object) = self.find_copy(task).await? else {
            return Ok(upload.stale());
        };
        self.clear(task, Some(&upload.record)).await?;
        // Most likely another run has completed it, and counts it.
        Ok(Round::Done(Archived {
            object,
            already: true,
        }))
    }
}
