//! An archived object, as documents describe it.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// An object as S3 reports it, so that an audit can compare without a download.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredObject<'a> {
    /// The key.
    #[serde(borrow)]
    pub key: Cow<'a, str>,
    /// The size, in bytes.
    pub size: u64,
    /// The ETag, with its quotes.
    #[serde(borrow)]
    pub etag: Cow<'a, str>,
    /// The version; `null` in a bucket without versions.
    pub version_id: Option<Cow<'a, str>>,
    /// The CRC64NVME of the complete object in base64; `null` if the store has none:
    /// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html>
    pub crc64nvme: Option<Cow<'a, str>>,
    /// The content type.
    pub content_type: Option<Cow<'a, str>>,
}
