//! The keys below a folder, page by page.

use std::time::SystemTime;

use aws_sdk_s3::types::Object;

use super::{Error, Store};
use crate::keys::Key;

/// A key of a listing.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The key.
    pub key: String,
    /// The time of the last write, by S3's clock.
    pub last_modified: Option<SystemTime>,
    /// The ETag.
    pub(crate) etag: Option<String>,
    /// The size, in bytes.
    pub(crate) size: u64,
}

impl Listed {
    /// A key of a page; `None` if the page does not name it.
    #[must_use]
    pub fn new(object: Object) -> Option<Self> {
        let size = object.size.and_then(|size| size.try_into().ok());
        Some(Self {
            key: object.key?,
            last_modified: object.last_modified.and_then(|at| at.try_into().ok()),
            etag: object.e_tag,
            size: size.unwrap_or(0),
        })
    }
}

impl Store {
    /// Calls `see` with each key below `folder`, in ascending order. Holds one page at a time.
    pub(crate) async fn each(
        &self,
        folder: &Key,
        mut see: impl FnMut(Listed),
    ) -> Result<(), Error> {
        const OPERATION: &str = "ListObjectsV2";
        let mut token: Option<String> = None;
        loop {
            let page = self
                .calls
                .list_objects_v2()
                .bucket(self.bucket(folder))
                .prefix(folder.as_str())
                .set_continuation_token(token.clone())
                .send()
                .await
                .map_err(|error| Error::from_sdk(OPERATION, error))?;
            let objects = page.contents.unwrap_or_default().into_iter();
            objects.filter_map(Listed::new).for_each(&mut see);
            if page.is_truncated != Some(true) {
                return Ok(());
            }
            // A repeated token would list the same page for ever.
            if page.next_continuation_token.is_none() || page.next_continuation_token == token {
                return Err(Error::Incomplete {
                    operation: OPERATION,
                    missing: "a new token for the next page",
                });
            }
            token = page.next_continuation_token;
        }
    }
}
