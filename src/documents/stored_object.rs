//! An archived object, as documents describe it.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// An object as S3 reports it, so that an auditor can compare without a download.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredObject<'a> {
    /// Its key.
    #[serde(borrow)]
    pub key: Cow<'a, str>,
    /// Its size, in bytes.
    pub size: u64,
    /// Its ETag, as S3 gave it.
    #[serde(borrow)]
    pub etag: Cow<'a, str>,
    /// Its version; `null` in a bucket without versions.
    pub version_id: Option<Cow<'a, str>>,
    /// Of the whole object, in base64; `null` where the store keeps none.
    pub crc64nvme: Option<Cow<'a, str>>,
    /// Its content type.
    pub content_type: Option<Cow<'a, str>>,
}
