//! Small documents of ours, read with the ETag to compare and swap them by.

use std::time::SystemTime;

use bytes::Bytes;

use super::{Error, Store, absent};
use crate::keys::Key;

/// Bytes of a document of ours that are read: an event has at most 1 MiB, and its manifest names
/// 2,000 chunks besides.
pub(crate) const MAX_DOCUMENT: u64 = 8 * crate::limits::MIB;

/// A small document as it was read, with the ETag to compare and swap it by.
#[derive(Clone, Debug)]
pub(crate) struct StoredDocument {
    /// Its bytes.
    pub(crate) bytes: Bytes,
    /// Its ETag.
    pub(crate) etag: String,
    /// When it was written, by S3's clock.
    pub(crate) last_modified: Option<SystemTime>,
}

impl Store {
    /// Reads a small document of ours, if there is one.
    ///
    /// # Errors
    ///
    /// [`Error`].
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
