//! An object of a bucket.

use std::collections::BTreeMap;
use std::time::SystemTime;

use bytes::Bytes;
use crc_fast::CrcAlgorithm;
use md5::{Digest as _, Md5};

use super::body::encode;
use super::etags::quoted;
use super::state::now;
use crate::hashes::hex;

/// An object in the bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its bytes; empty if bodies are not kept.
    pub body: Bytes,
    /// Its size in bytes.
    pub size: u64,
    /// Its `ETag` in double quotes, as headers carry it.
    pub etag: String,
    /// Its content type, if it was given one.
    pub content_type: Option<String>,
    /// Its user metadata, without the `x-amz-meta-` prefix.
    pub metadata: BTreeMap<String, String>,
    /// Its full-object CRC64NVME in base64, unless it was stored with another algorithm.
    pub crc64nvme: Option<String>,
    /// Its version.
    pub version_id: String,
    /// When it was written.
    pub last_modified: SystemTime,
}

impl Object {
    /// An object of these bytes, written now, with the `ETag` and checksum that Amazon S3 would
    /// give it.
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
