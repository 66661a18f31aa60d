//! An unfinished multipart upload and its parts.

use std::collections::BTreeMap;
use std::time::SystemTime;

use bytes::Bytes;

use super::body::{Algorithm, Checksum};
use super::state::now;

/// An unfinished multipart upload.
#[derive(Clone, Debug)]
pub struct Upload {
    /// The key of the object.
    pub key: String,
    /// The upload id.
    pub upload_id: String,
    /// The content type of the object.
    pub content_type: Option<String>,
    /// The user metadata of the object.
    pub metadata: BTreeMap<String, String>,
    /// The time at which the upload was begun.
    pub(super) initiated: SystemTime,
    /// The parts so far, by part number.
    pub parts: BTreeMap<i32, Part>,
    pub(super) algorithm: Option<Algorithm>,
    pub(super) full_object: bool,
}

impl Upload {
    /// An upload with a full-object CRC64NVME, as current SDKs begin it, still without an id.
    pub(super) fn new(key: &str) -> Self {
        Self {
            key: key.to_owned(),
            upload_id: String::new(),
            content_type: None,
            metadata: BTreeMap::new(),
            initiated: now(),
            parts: BTreeMap::new(),
            algorithm: Some(Algorithm::Crc64Nvme),
            full_object: true,
        }
    }
}

/// A part of an unfinished upload.
#[derive(Clone, Debug)]
pub struct Part {
    /// The number of bytes.
    pub size: u64,
    /// The `ETag`, in double quotes as in the header.
    pub etag: String,
    /// The CRC64NVME in base64, if the part was sent with it and checksums of parts are listed.
    pub crc64nvme: Option<String>,
    /// The time at which the part was put.
    pub(super) last_modified: SystemTime,
    pub(super) checksum: Option<Checksum>,
    pub(super) crc: u64,
    pub(super) md5: Option<[u8; 16]>,
    pub(super) body: Bytes,
}
