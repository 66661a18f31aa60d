//! The object at a transfer's key: found, written, or made by another run.

use super::record::Record;
use super::{Archived, Error, Transfer};
use crate::store::{self, Identity, Object, Written};

/// An object that is there after a write.
pub(super) enum Wrote {
    /// The object just written; `None` if S3's answer does not describe it fully.
    Made(Option<Object>),
    /// The object that another run has written before.
    Found(Object),
}

impl Transfer {
    /// The object, if there is one. Fails if it is not a copy of the document.
    pub(super) async fn find_copy(&self) -> Result<Option<Object>, Error> {
        match self.tools.store.find(&self.task.key).await? {
            Some(object) if object.is_copy_of(&self.task.origin) => Ok(Some(object)),
            Some(_) => Err(Error::Occupied),
            None => Ok(None),
        }
    }

    /// The object after a conditional write of `size` bytes.
    pub(super) async fn written(
        &self,
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
            Written::Taken => match self.find_copy().await? {
                Some(object) => Ok(Wrote::Found(object)),
                None => Err(store::Error::Contended.into()),
            },
        }
    }

    /// The archived object after a write. If S3's answer lacks what the manifest needs, asks S3 for
    /// the object once more.
    pub(super) async fn archived(&self, wrote: Wrote) -> Result<Archived, Error> {
        let object = match wrote {
            Wrote::Found(object) => return Ok(Archived::already(object)),
            Wrote::Made(Some(object)) => Some(object),
            Wrote::Made(None) => self.find_copy().await?,
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

    /// Returns `error`, unless another run has made the object meanwhile.
    pub(super) async fn unless_there(&self, error: Error) -> Result<Archived, Error> {
        match self.find_copy().await {
            Ok(Some(object)) => Ok(Archived::already(object)),
            _ => Err(error),
        }
    }

    /// Ends the uploads of `record`, then deletes the stored record, since the object is there.
    pub(super) async fn clear(&self, record: Option<&Record>) -> Result<(), store::Error> {
        let (store, task) = (&self.tools.store, &self.task);
        for upload_id in record.into_iter().flat_map(Record::uploads) {
            store.abort(&task.key, upload_id).await?;
        }
        store.delete(&task.record).await
    }
}

impl Archived {
    /// The object that was there before this run.
    pub(super) fn already(object: Object) -> Self {
        Self {
            object,
            already: true,
        }
    }
}
