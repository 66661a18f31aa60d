//! The function's own small documents, read with the ETag to compare and swap them by.

use std::time::SystemTime;

use bytes::Bytes;

use super::{Error, Store, absent};
use crate::keys::Key;

/// The largest document that is read, in bytes: an event has at most 1 MiB, and its manifest names
/// 2,000 chunks besides.
pub(crate) const MAX_DOCUMENT: u64 = 8 * crate::limits::MIB;

/// A small document that was read.
#[derive(Clone, Debug)]
pub(crate) struct StoredDocument {
    /// The content.
    pub(crate) bytes: Bytes,
    /// The ETag to compare and swap the document by.
    pub(crate) etag: String,
    /// The time of the last write, by S3's clock.
    pub(crate) last_modified: Option<SystemTime>,
}

impl Store {
    /// Reads the document at `key`, if there is one.
    pub(crate) async fn read(&self, key: &Key) -> Result<Option<StoredDocument>, Error> {
        const OPERATION: &str = "GetObject";
        let found = self
            .calls
            .get_object()
            .bucket(self.bucket(key))
            .key(key.as_str())
            .send()
            .await;
        let mut found = match found {
            Ok(found) => found,
            Err(error) => return absent(Error::from_sdk(OPERATION, error)),
        };
        // Read in pieces up to a limit, since another writer's document may have any size.
        let mut bytes = Vec::new();
        while let Some(next) = found.body.next().await {
            let next = next.map_err(|error| Error::Unanswered {
                operation: OPERATION,
                source: Box::new(error),
            })?;
            bytes.extend_from_slice(&next);
            if bytes.len() as u64 > MAX_DOCUMENT {
                return Err(Error::Incomplete {
                    operation: OPERATION,
                    missing: "an end within 8 MiB",
                });
            }
        }
        Ok(Some(StoredDocument {
            bytes: bytes.into(),
            last_modified: found.last_modified.and_then(|at| at.try_into().ok()),
            etag: found.e_tag.ok_or(Error::Incomplete {
                operation: OPERATION,
                missing: "an ETag",
            })?,
        }))
    }
}
