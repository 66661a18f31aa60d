//! What is below a folder, page by page.

use std::time::SystemTime;

use super::{Error, Store};
use crate::keys::Key;

/// The beginning of a folder, or all of it.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// Its objects, in ascending order of their keys.
    pub objects: Vec<Listed>,
    /// Whether these are all.
    pub whole: bool,
}

/// A key as a listing gave it.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The key.
    pub key: String,
    /// When it was last written.
    pub last_modified: Option<SystemTime>,
}

impl Store {
    /// The keys below `folder`: all, or those up to the end of the page on which there are `most`.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn list(&self, folder: &Key, most: usize) -> Result<Listing, Error> {
        const OPERATION: &str = "ListObjectsV2";
        let mut listing = Listing::default();
        let mut token: Option<String> = None;
        loop {
            let request = self.calls.list_objects_v2().bucket(self.bucket(folder));
            let request = request
                .prefix(folder.as_str())
                .set_continuation_token(token.clone());
            let page = request.send().await;
            let page = page.map_err(|error| Error::from_sdk(OPERATION, error))?;
            let objects = page.contents.unwrap_or_default().into_iter();
            listing.objects.extend(objects.filter_map(|object| {
                let last_modified = object.last_modified.and_then(|at| at.try_into().ok());
                Some(Listed {
                    key: object.key?,
                    last_modified,
                })
            }));
            listing.whole = page.is_truncated != Some(true);
            if listing.whole || listing.objects.len() >= most {
                return Ok(listing);
            }
            if page.next_continuation_token.is_none() || page.next_continuation_token == token {
                return Err(Error::Incomplete {
                    operation: OPERATION,
                    missing: "a way to its next page",
                });
            }
            token = page.next_continuation_token;
        }
    }
}
