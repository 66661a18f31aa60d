//! The end of an upload: the one step that makes an object appear, whole or not at all.

use tracing::warn;

use super::Error;
use super::object::Wrote;
use super::rounds::Round;
use super::upload::Upload;
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

impl Upload {
    /// Completes the upload. `None` where parts are missing after all.
    pub(super) async fn complete(&self, plan: Plan) -> Result<Option<Round>, Error> {
        let transfer = &self.transfer;
        let completion = transfer.attempts(|| self.try_to_complete(plan));
        match completion.await {
            Ok(Completion::Made(object)) => {
                transfer.tools.store.delete(&transfer.task.record).await?;
                self.made(Wrote::Made(object)).await.map(Some)
            }
            Ok(Completion::Missing) => Ok(None),
            Ok(Completion::Unusable) => Ok(Some(self.stale())),
            Err(Error::UploadGone) => self.settle().await.map(Some),
            Err(error) => Err(error),
        }
    }

    async fn try_to_complete(&self, plan: Plan) -> Result<Completion, Error> {
        let (store, task) = (&self.transfer.tools.store, &self.transfer.task);
        // Under SSE-KMS the same bytes have another ETag each time they are put, and another
        // delivery may have put a part since it was last listed.
        let mut parts = self.list().await?;
        parts.retain(|number, _| !plan.range(*number).is_empty());
        if plan.missing(&parts).next().is_some() {
            return Ok(Completion::Missing);
        }
        let upload_id = &self.record.upload_id;
        let error = match store.complete(&task.key, upload_id, &parts).await {
            Ok(receipt) => {
                let identity = self.record.identity(&task.document_id);
                let content_type = &self.record.content_type;
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
        // It may have taken effect and only its answer been lost; or another upload has been
        // completed, and this one is still to be ended.
        match self.transfer.find_copy().await? {
            Some(_) => Err(Error::UploadGone),
            None => Err(error.into()),
        }
    }
}
