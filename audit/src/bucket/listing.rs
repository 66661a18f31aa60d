//! Listings of a bucket, page by page.

use std::time::SystemTime;

use acs_recording_archiver::store::{Error, Listed};

use super::Bucket;

/// An unfinished upload.
#[derive(Debug)]
pub(crate) struct Upload {
    /// The key of the object that the upload would make.
    pub(crate) key: String,
    pub(crate) id: String,
    pub(crate) initiated: Option<SystemTime>,
}

impl Bucket {
    /// Lists the objects whose keys begin with `prefix` and come after `after`.
    pub(crate) fn objects(&self, prefix: &str, after: Option<String>) -> Objects {
        Objects {
            bucket: self.clone(),
            prefix: prefix.to_owned(),
            after,
            token: None,
            over: false,
        }
    }

    /// Lists the unfinished uploads to keys that begin with `prefix`.
    pub(crate) fn uploads(&self, prefix: &str) -> Uploads {
        Uploads {
            bucket: self.clone(),
            prefix: prefix.to_owned(),
            markers: (None, None),
            over: false,
        }
    }
}

/// A listing of objects.
#[derive(Debug)]
pub(crate) struct Objects {
    bucket: Bucket,
    prefix: String,
    after: Option<String>,
    token: Option<String>,
    over: bool,
}

impl Objects {
    /// Returns the next page, in ascending order of the keys; `None` after the last.
    pub(crate) async fn page(&mut self) -> Result<Option<Vec<Listed>>, Error> {
        const OPERATION: &str = "ListObjectsV2";
        if self.over {
            return Ok(None);
        }
        let request = self.bucket.client.list_objects_v2();
        let request = request.bucket(&self.bucket.name).prefix(&self.prefix);
        let request = request
            .set_start_after(self.after.clone())
            .set_continuation_token(self.token.clone());
        let _slot = self.bucket.slot().await;
        let page = request
            .send()
            .await
            .map_err(|error| Error::from_sdk(OPERATION, error))?;
        self.over = page.is_truncated != Some(true);
        let next = page.next_continuation_token;
        if !self.over && (next.is_none() || next == self.token) {
            return Err(endless(OPERATION));
        }
        self.token = next;
        let objects = page.contents.unwrap_or_default().into_iter();
        Ok(Some(objects.filter_map(Listed::new).collect()))
    }
}

/// A listing of uploads.
#[derive(Debug)]
pub(crate) struct Uploads {
    bucket: Bucket,
    prefix: String,
    /// The last key and its last upload id: one key can have many uploads.
    markers: (Option<String>, Option<String>),
    over: bool,
}

impl Uploads {
    /// Returns the next page; `None` after the last.
    pub(crate) async fn page(&mut self) -> Result<Option<Vec<Upload>>, Error> {
        const OPERATION: &str = "ListMultipartUploads";
        if self.over {
            return Ok(None);
        }
        let (key, id) = self.markers.clone();
        let request = self.bucket.client.list_multipart_uploads();
        let request = request.bucket(&self.bucket.name).prefix(&self.prefix);
        let request = request.set_key_marker(key).set_upload_id_marker(id);
        let _slot = self.bucket.slot().await;
        let page = request
            .send()
            .await
            .map_err(|error| Error::from_sdk(OPERATION, error))?;
        self.over = page.is_truncated != Some(true);
        let next = (page.next_key_marker, page.next_upload_id_marker);
        if !self.over && (next.0.is_none() || next == self.markers) {
            return Err(endless(OPERATION));
        }
        self.markers = next;
        let uploads = page.uploads.unwrap_or_default().into_iter();
        let uploads = uploads.filter_map(|upload| {
            Some(Upload {
                key: upload.key?,
                id: upload.upload_id?,
                initiated: upload.initiated.and_then(|at| at.try_into().ok()),
            })
        });
        Ok(Some(uploads.collect()))
    }
}

/// Returns the error of a listing that has another page, but no new token for it: following the old
/// token would not end.
pub(super) fn endless(operation: &'static str) -> Error {
    Error::Incomplete {
        operation,
        missing: "a token of its next page",
    }
}
