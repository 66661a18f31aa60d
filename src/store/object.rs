//! An object in S3, and the document that it is a copy of.

use std::collections::HashMap;
use std::sync::Arc;

use aws_sdk_s3::operation::head_object::HeadObjectOutput;

use super::Error;

const DOCUMENT_ID: &str = "document-id";
const LOCATION: &str = "location";
const SOURCE_LENGTH: &str = "source-length";
const SOURCE_ETAG: &str = "source-etag";

/// The document that an object is a copy of. It tells the function's own objects from others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The documentId as it stands in the key.
    pub document_id: String,
    /// The location as it stands in the key.
    pub location: String,
}

/// The source of an object, as in the object's metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The document that the object is a copy of.
    pub origin: Arc<Origin>,
    /// The source's length, in bytes; `None` if it was not known before the object was begun.
    pub source_length: Option<u64>,
    /// The source's ETag, if there was one.
    pub source_etag: Option<String>,
}

/// An object in S3.
#[derive(Clone, Debug)]
pub struct Object {
    /// The size, in bytes.
    pub size: u64,
    /// The ETag, as S3 gave it.
    pub etag: String,
    /// The version, in a versioned bucket.
    pub version_id: Option<String>,
    /// The full-object CRC64NVME in base64, if the store keeps one.
    pub crc64nvme: Option<String>,
    /// The content type.
    pub content_type: Option<String>,
    /// The source, by the object's metadata.
    pub identity: Identity,
}

/// S3's answer to the write of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// The ETag.
    pub(crate) etag: Option<String>,
    /// The version, in a versioned bucket.
    pub(crate) version_id: Option<String>,
    /// The full-object CRC64NVME in base64.
    pub crc64nvme: Option<String>,
}

impl Identity {
    pub(super) fn to_metadata(&self) -> HashMap<String, String> {
        let Origin {
            document_id,
            location,
        } = Origin::clone(&self.origin);
        let origin = [(DOCUMENT_ID, document_id), (LOCATION, location)];
        let mut metadata: HashMap<_, _> = origin.map(|(name, text)| (name.to_owned(), text)).into();
        metadata.extend(
            self.source_length
                .map(|length| (SOURCE_LENGTH.to_owned(), length.to_string())),
        );
        metadata.extend(
            self.source_etag
                .clone()
                .map(|etag| (SOURCE_ETAG.to_owned(), etag)),
        );
        metadata
    }

    fn from_metadata(metadata: Option<&HashMap<String, String>>) -> Self {
        let value = |name| metadata.and_then(|metadata| metadata.get(name)).cloned();
        Self {
            origin: Arc::new(Origin {
                document_id: value(DOCUMENT_ID).unwrap_or_default(),
                location: value(LOCATION).unwrap_or_default(),
            }),
            source_length: value(SOURCE_LENGTH).and_then(|length| length.parse().ok()),
            source_etag: value(SOURCE_ETAG),
        }
    }
}

impl Object {
    /// The object of `size` bytes that a receipt is for; `None` if the receipt lacks the ETag or
    /// the checksum, which `HeadObject` would tell.
    pub(crate) fn received(
        receipt: Receipt,
        size: u64,
        content_type: &str,
        identity: Identity,
    ) -> Option<Self> {
        Some(Self {
            size,
            etag: receipt.etag?,
            version_id: receipt.version_id,
            crc64nvme: Some(receipt.crc64nvme?),
            content_type: Some(content_type.to_owned()),
            identity,
        })
    }

    /// Returns `true` if the object is a copy of that document, by its metadata. ETag and length do
    /// not count: the source may have changed after the object was archived.
    pub(crate) fn is_copy_of(&self, origin: &Origin) -> bool {
        *self.identity.origin == *origin
    }

    pub(super) fn found(head: &HeadObjectOutput) -> Result<Self, Error> {
        const OPERATION: &str = "HeadObject";
        let size = head
            .content_length
            .and_then(|length| u64::try_from(length).ok());
        Ok(Self {
            size: size.ok_or(Error::Incomplete {
                operation: OPERATION,
                missing: "a length",
            })?,
            etag: head.e_tag.clone().ok_or(Error::Incomplete {
                operation: OPERATION,
                missing: "an ETag",
            })?,
            version_id: head.version_id.clone(),
            crc64nvme: head.checksum_crc64_nvme.clone(),
            content_type: head.content_type.clone(),
            identity: Identity::from_metadata(head.metadata.as_ref()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(document_id: &str, location: &str) -> Arc<Origin> {
        Arc::new(Origin {
            document_id: document_id.to_owned(),
            location: location.to_owned(),
        })
    }

    #[test]
    fn an_identity_survives_the_metadata_of_an_object() {
        for identity in [
            Identity {
                origin: origin("0-eus", "0123456789abcdef"),
                source_length: Some(7),
                source_etag: Some("\"x\"".into()),
            },
            Identity {
                origin: origin("0-eus", "0123456789abcdef"),
                ..Identity::default()
            },
        ] {
            assert_eq!(
                Identity::from_metadata(Some(&identity.to_metadata())),
                identity
            );
        }
        assert_eq!(Identity::from_metadata(None), Identity::default());
    }

    #[test]
    fn a_copy_is_told_by_document_and_location() {
        let object = |origin, source_length| Object {
            size: 7,
            etag: String::new(),
            version_id: None,
            crc64nvme: None,
            content_type: None,
            identity: Identity {
                origin,
                source_length,
                source_etag: None,
            },
        };
        let ours = origin("a", "x");
        assert!(object(ours.clone(), Some(7)).is_copy_of(&ours));
        assert!(object(ours.clone(), None).is_copy_of(&ours));
        assert!(object(ours.clone(), Some(8)).is_copy_of(&ours));
        for foreign in [
            origin("b", "x"),
            origin("a", "y"),
            origin("a", ""),
            origin("", ""),
        ] {
            assert!(!object(foreign, Some(7)).is_copy_of(&ours));
        }
    }
}
