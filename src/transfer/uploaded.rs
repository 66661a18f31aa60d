//! The parts in S3 of an object that is not complete, and the end of uploads that are left over.

use std::time::SystemTime;

use super::Transfers;
use super::record::{Found, Record};
use crate::keys::{Bucket, Key, Kind, Layout};
use crate::plan::{ListedParts, PartNumber};
use crate::store::{self, Origin};

/// The parts in S3 of an object that is not complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UploadedParts {
    /// The id of their upload.
    pub(crate) upload_id: String,
    /// The number of parts.
    pub(crate) parts: u64,
    /// The number of parts of the complete object, if its length is known.
    pub(crate) planned: Option<PartNumber>,
    /// The size of all parts, in bytes.
    pub(crate) bytes: u64,
    /// The time of the last part, by S3's clock.
    pub(crate) last_part: Option<SystemTime>,
}

impl UploadedParts {
    fn new(upload_id: &str, planned: Option<PartNumber>, listed: &ListedParts) -> Self {
        Self {
            upload_id: upload_id.to_owned(),
            parts: listed.len() as u64,
            planned,
            bytes: listed.values().map(|part| part.size).sum(),
            last_part: listed.values().filter_map(|part| part.last_modified).max(),
        }
    }
}

impl Transfers {
    /// The parts in S3 of an object that is not complete, if any. If a conflict has replaced
    /// uploads, those of the upload with the most bytes.
    pub(crate) async fn uploaded_parts(
        &self,
        key: &Key,
        record: &Key,
    ) -> Result<Option<UploadedParts>, store::Error> {
        let document = self.store.read(record).await?;
        let Some(record) = document.and_then(|document| Found::of(document, key).record) else {
            return Ok(None);
        };
        let planned = record.plan().ok().flatten().map(|plan| plan.count());
        let mut all = vec![];
        for upload_id in record.uploads() {
            match self.store.list_parts(key, upload_id).await {
                Ok(listed) if listed.is_empty() => {}
                Ok(listed) => all.push(UploadedParts::new(upload_id, planned, &listed)),
                Err(error) if error.is_no_such_upload() => {}
                Err(error) => return Err(error),
            }
        }
        // The last part of any upload counts: it shows that the source still delivers.
        let last_part = all.iter().filter_map(|one| one.last_part).max();
        let most = all.into_iter().max_by_key(|one| one.bytes);
        Ok(most.map(|most| UploadedParts { last_part, ..most }))
    }

    /// Deletes a record whose event is no longer pending, if its key is a media key of `layout`. If
    /// the object is there and is a copy of the document, ends the uploads first. Otherwise, a
    /// record stays while one of its uploads exists: the parts may be all that is left of the
    /// source.
    pub(crate) async fn clear_left_over(
        &self,
        record: &Key,
        layout: &Layout,
    ) -> Result<(), store::Error> {
        let Some(document) = self.store.read(record).await? else {
            return Ok(());
        };
        let left = Record::parse(&document.bytes);
        let Some((key, left)) =
            left.and_then(|left| Some((layout.listed(Bucket::Recordings, &left.key)?, left)))
        else {
            return Ok(());
        };
        let place = layout.place(Bucket::Recordings, key.as_str());
        let Some(Kind::Media(named)) = place.map(|place| place.kind) else {
            return Ok(());
        };
        let origin = Origin {
            document_id: named.document_id.to_owned(),
            location: named.location.to_owned(),
        };
        let object = self.store.find(&key).await?;
        if object.is_some_and(|object| object.is_copy_of(&origin)) {
            return self.clear(&key, record).await;
        }
        for upload_id in left.uploads() {
            match self.store.list_parts(&key, upload_id).await {
                Err(error) if error.is_no_such_upload() => {}
                listed => return listed.map(drop),
            }
        }
        self.store.delete(record).await
    }

    /// Ends the uploads of the record, then deletes the record, since the object at `key` is there.
    pub(super) async fn clear(&self, key: &Key, record: &Key) -> Result<(), store::Error> {
        let Some(document) = self.store.read(record).await? else {
            return Ok(());
        };
        // A record of another key is not of this object, nor are its uploads.
        if let Some(left) = Found::of(document, key).record {
            for upload_id in left.uploads() {
                self.store.abort(key, upload_id).await?;
            }
        }
        self.store.delete(record).await
    }
}
