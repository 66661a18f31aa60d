//! The completion of an upload: the one step that makes an object appear, whole or absent.

use tracing::warn;

use super::Error;
use super::object::Wrote;
use super::record::Cause;
use super::rounds::Round;
use super::upload::{Filled, Upload};
use crate::error_chain::error_chain;
use crate::store::{self, Object};

/// The result of an attempt to complete an upload.
enum Completion {
    /// The object is there; `None` if S3's answer does not describe it fully.
    Made(Option<Object>),
    /// Parts are missing, or have other bytes than those that were put.
    Missing,
    /// S3 will never complete the upload.
    Useless,
}

impl Upload {
    /// Completes the upload; `None` if parts are missing.
    pub(super) async fn complete(&self, filled: &Filled) -> Result<Option<Round>, Error> {
        let transfer = &self.transfer;
        let completion = transfer.attempts(|| self.try_to_complete(filled));
        match completion.await {
            Ok(Completion::Made(object)) => {
                self.clear_replaced().await?;
                transfer.tools.store.delete(&transfer.task.record).await?;
                self.made(Wrote::Made(object)).await.map(Some)
            }
            Ok(Completion::Missing) => Ok(None),
            Ok(Completion::Useless) => Ok(Some(self.stale(Cause::Useless))),
            // The parts may be all that is left of the source, so the upload is not aborted.
            Err(Error::Conflict) => Ok(Some(self.stale(Cause::Conflict))),
            Err(Error::UploadGone) => self.settle().await.map(Some),
            Err(error) => Err(error),
        }
    }

    /// Makes one attempt to complete the upload.
    async fn try_to_complete(&self, filled: &Filled) -> Result<Completion, Error> {
        let (store, task) = (&self.transfer.tools.store, &self.transfer.task);
        let plan = filled.plan;
        // The parts are listed anew, because Complete needs the current ETags: another run may have
        // put a part since, and under SSE-KMS the same bytes get another ETag each time.
        let mut parts = self.list().await?;
        parts.retain(|number, _| !plan.range(*number).is_empty());
        if plan.missing(&parts).next().is_some() || !filled.agrees(&parts) {
            return Ok(Completion::Missing);
        }
        // Parts that this run has not put may be of another reply by now.
        if !filled.knows_all() && self.streamed_since(&parts).await? {
            return Ok(Completion::Missing);
        }
        let upload_id = &self.record.upload_id;
        let error = match store.complete(&task.key, upload_id, &parts).await {
            Ok(receipt) => {
                let identity = self.record.identity(&task.origin);
                let content_type = &self.record.content_type;
                let object = Object::received(receipt, plan.length(), content_type, identity);
                return Ok(Completion::Made(object));
            }
            Err(error) => error,
        };
        // Another run has put a part after the listing: the next attempt lists again.
        if error.code() == Some("InvalidPart") {
            return Err(store::Error::Contended.into());
        }
        if error.is_no_such_upload() {
            return Err(Error::UploadGone);
        }
        if error.is_useless_upload() {
            let key = &task.key;
            warn!(
                %key,
                error = error_chain(&error),
                "upload cannot be completed"
            );
            return Ok(Completion::Useless);
        }
        // Complete may have taken effect, and only its answer was lost; or another upload has been
        // completed, and this upload is still to be ended. The object tells.
        match self.transfer.find_copy().await? {
            Some(_) => Err(Error::UploadGone),
            None if error.is_condition() => Err(Error::Conflict),
            None => Err(error.into()),
        }
    }

    /// Ends the uploads that this upload has replaced, since the object is there.
    async fn clear_replaced(&self) -> Result<(), store::Error> {
        let (store, key) = (&self.transfer.tools.store, &self.transfer.task.key);
        for upload_id in &self.record.replaced {
            store.abort(key, upload_id).await?;
        }
        Ok(())
    }
}
