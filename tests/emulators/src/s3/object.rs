//! An object.

use std::collections::BTreeMap;
use std::time::SystemTime;

use bytes::Bytes;
use crc_fast::CrcAlgorithm;
use md5::{Digest as _, Md5};

use super::body::encode;
use super::etags::quoted;
use super::state::now;
use crate::hashes::hex;

/// An object of a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// The bytes; empty if bodies are not stored.
    pub body: Bytes,
    /// The number of bytes.
    pub size: u64,
    /// The `ETag`, in double quotes as in the header.
    pub etag: String,
    /// The content type, if the writer gave one.
    pub content_type: Option<String>,
    /// The user metadata, without the prefix `x-amz-meta-`.
    pub metadata: BTreeMap<String, String>,
    /// The full-object CRC64NVME in base64, unless the object has a checksum of another algorithm.
    pub crc64nvme: Option<String>,
    /// The version id.
    pub version_id: String,
    /// The time of the write.
    pub last_modified: SystemTime,
}

impl Object {
    /// Creates an object of these bytes, written now, with the `ETag` and checksum of Amazon S3.
    pub fn new(body: impl Into<Bytes>) -> Self {
        let body = body.into();
        Self {
            size: body.len() as u64,
            etag: quoted(&hex(&Md5::digest(&body))),
            content_type: None,
            metadata: BTreeMap::new(),
            crc64nvme: Some(encode(crc_fast::checksum(CrcAlgorithm::Crc64Nvme, &body))),
            version_id: "null".to_owned(),
            last_modified: now(),
            body,
        }
    }
}
