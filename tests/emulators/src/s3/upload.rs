//! An unfinished multipart upload and its parts.

use std::collections::BTreeMap;
use std::time::SystemTime;

use bytes::Bytes;

use super::body::{Algorithm, Checksum};
use super::state::now;

/// An unfinished multipart upload.
#[derive(Clone, Debug)]
pub struct Upload {
    /// The key its object will have.
    pub key: String,
    /// Its id.
    pub upload_id: String,
    /// The content type its object will have.
    pub content_type: Option<String>,
    /// The user metadata its object will have.
    pub metadata: BTreeMap<String, String>,
    /// When it was begun.
    pub initiated: SystemTime,
    /// What came in so far, by part number.
    pub parts: BTreeMap<i32, Part>,
    pub(super) algorithm: Option<Algorithm>,
    pub(super) full_object: bool,
}

impl Upload {
    /// An upload as a client of the newest kind begins it, still without an id.
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
    /// Its size in bytes.
    pub size: u64,
    /// Its `ETag` in double quotes, as headers carry it.
    pub etag: String,
    /// Its CRC64NVME in base64, if it was sent with one and part checksums are reported.
    pub crc64nvme: Option<String>,
    /// When it came in.
    pub last_modified: SystemTime,
    pub(super) checksum: Option<Checksum>,
    pub(super) crc: u64,
    pub(super) md5: Option<[u8; 16]>,
    pub(super) body: Bytes,
}
