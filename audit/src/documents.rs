//! The bytes of the manifests and rejections of a folder.

use acs_recording_archiver::error_chain::error_chain;

use super::bucket::{Bucket, Document};
use super::report::{Entry, EntryKind};

/// The key of a manifest or rejection.
#[derive(Debug)]
pub(crate) struct DocumentKey {
    pub(crate) key: String,
    /// The event's id and identity, from the key.
    pub(crate) event: String,
}

/// The documents of a folder, and the entries for those that could not be read.
#[derive(Debug, Default)]
pub(crate) struct Documents {
    pub(crate) bytes: Vec<Option<Vec<u8>>>,
    pub(crate) entries: Vec<Entry>,
}

impl Documents {
    /// Reads the documents one after another: a folder usually has one.
    pub(crate) async fn read(bucket: &Bucket, listed: impl Iterator<Item = &DocumentKey>) -> Self {
        let mut read = Self::default();
        for document in listed {
            let key = &document.key;
            let (bytes, entry) = match bucket.read(key).await {
                Ok(Document::There(bytes)) => (Some(bytes), None),
                Ok(Document::TooLong) => {
                    let entry = Entry::new(
                        EntryKind::Unreadable,
                        key,
                        "is longer than a document of the function can be",
                    );
                    (None, Some(entry))
                }
                Ok(Document::Gone) => {
                    let entry =
                        Entry::new(EntryKind::Missing, key, "was listed, but no longer exists");
                    (None, Some(entry))
                }
                Err(error) => (
                    None,
                    Some(Entry::new(EntryKind::Unread, key, error_chain(&error))),
                ),
            };
            read.bytes.push(bytes);
            read.entries.extend(entry);
        }
        read
    }
}
