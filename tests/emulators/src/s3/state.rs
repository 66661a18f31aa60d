//! The contents of the buckets, and the changes to them that must be atomic.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use crc_fast::CrcAlgorithm;
use md5::{Digest as _, Md5};
use s3s::dto::{ETag, ETagCondition};
use s3s::{S3Result, s3_error};

use super::body::{Algorithm, Checksum, Received, encode};
use super::{Call, Etags, Fault, Settings};

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

pub(super) type Faults = Arc<dyn Fn(&Call) -> Option<Fault> + Send + Sync>;

/// Everything the server and its handles share.
pub(super) struct State {
    pub(super) settings: Settings,
    stores: BTreeMap<String, Mutex<Store>>,
    calls: Mutex<Calls>,
    faults: Mutex<Option<Faults>>,
}

impl State {
    pub(super) fn new(settings: Settings) -> Self {
        let names = [&settings.bucket].into_iter().chain(&settings.more_buckets);
        let store = |(number, name): (u64, &String)| {
            // Ids of different buckets differ.
            let serial = number << 48;
            let store = Store {
                serial,
                ..Store::default()
            };
            (name.clone(), Mutex::new(store))
        };
        Self {
            stores: (0..).zip(names).map(store).collect(),
            settings,
            calls: Mutex::default(),
            faults: Mutex::default(),
        }
    }

    /// Returns `true` if there is a bucket of that name.
    pub(super) fn has(&self, bucket: &str) -> bool {
        self.stores.contains_key(bucket)
    }

    /// The contents of an existing bucket: the gate lets no request for another through.
    pub(super) fn store_of(&self, bucket: &str) -> MutexGuard<'_, Store> {
        let store = &self.stores[bucket];
        store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The requests to all buckets.
    pub(super) fn calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_faults(&self, faults: Option<Faults>) {
        *self.faults.lock().unwrap_or_else(PoisonError::into_inner) = faults;
    }

    /// Asked without a lock held, so that the function may look at the server.
    pub(super) fn fault(&self, call: &Call) -> Option<Fault> {
        let faults = self
            .faults
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        faults.and_then(|faults| faults(call))
    }

    /// Whether `ETags` come from MD5.
    pub(super) fn hashes(&self) -> bool {
        self.settings.etags == Etags::Md5 && self.settings.keep_bodies
    }
}

/// The requests, in order of arrival.
#[derive(Default)]
pub(super) struct Calls {
    pub(super) calls: Vec<Call>,
    serial: u64,
}

impl Calls {
    pub(super) fn record(&mut self, mut call: Call) -> Call {
        self.serial += 1;
        call.serial = self.serial;
        call.number = self.calls.len();
        self.calls.push(call.clone());
        call
    }

    pub(super) fn answered(&mut self, serial: u64, status: u16) {
        let call = self
            .calls
            .iter_mut()
            .rev()
            .find(|call| call.serial == serial);
        if let Some(call) = call {
            call.status = Some(status);
        }
    }
}

/// The contents of a bucket, and the bytes that it has taken in.
#[derive(Default)]
pub(super) struct Store {
    pub(super) objects: BTreeMap<String, Object>,
    pub(super) uploads: BTreeMap<(String, String), Upload>,
    pub(super) received: HashMap<String, u64>,
    serial: u64,
}

impl Store {
    /// An id that was not used before. Ids do not grow, so that nobody can take their order for an
    /// order in time.
    pub(super) fn fresh(&mut self) -> String {
        self.serial += 1;
        let scattered = self.serial.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        format!("{scattered:016x}{:016x}", scattered.rotate_left(32))
    }

    pub(super) fn upload(&mut self, key: &str, upload_id: &str) -> S3Result<&mut Upload> {
        self.uploads
            .get_mut(&(key.to_owned(), upload_id.to_owned()))
            .ok_or_else(|| s3_error!(NoSuchUpload, "the upload id is not known for this key"))
    }

    pub(super) fn begin(&mut self, mut upload: Upload) -> String {
        let id = self.fresh();
        upload.upload_id.clone_from(&id);
        self.uploads
            .insert((upload.key.clone(), id.clone()), upload);
        id
    }

    /// Stores an object if the conditions hold.
    pub(super) fn put(
        &mut self,
        key: String,
        mut object: Object,
        if_match: Option<&ETagCondition>,
        if_none_match: Option<&ETagCondition>,
    ) -> S3Result<Object> {
        check(self.objects.get(&key), if_match, if_none_match)?;
        object.version_id = self.fresh();
        self.objects.insert(key, object.clone());
        Ok(object)
    }

    /// An `ETag` for bytes with this MD5, or one of a kind.
    pub(super) fn etag(&mut self, md5: Option<&[u8; 16]>) -> String {
        let value = md5.map_or_else(|| self.fresh(), |md5| hex(md5));
        quoted(&value)
    }

    pub(super) fn put_part(
        &mut self,
        key: &str,
        upload_id: &str,
        number: i32,
        body: Received,
        part_checksums: bool,
    ) -> S3Result<Part> {
        let part = Part {
            size: body.size,
            etag: self.etag(body.md5.as_ref()),
            crc64nvme: body
                .checksum
                .as_ref()
                .filter(|_| part_checksums)
                .and_then(|checksum| checksum.of(Algorithm::Crc64Nvme)),
            last_modified: now(),
            checksum: body.checksum,
            crc: body.crc64nvme,
            md5: body.md5,
            body: body.bytes,
        };
        let upload = self.upload(key, upload_id)?;
        upload.parts.insert(number, part.clone());
        Ok(part)
    }
}

/// Whether the conditions of a request hold for the object that is there, or is not.
pub(super) fn check(
    current: Option<&Object>,
    if_match: Option<&ETagCondition>,
    if_none_match: Option<&ETagCondition>,
) -> S3Result<()> {
    match if_none_match {
        Some(ETagCondition::Any) if current.is_some() => {
            return Err(s3_error!(PreconditionFailed, "If-None-Match"));
        }
        Some(ETagCondition::ETag(_)) => {
            return Err(s3_error!(
                NotImplemented,
                "a write's If-None-Match can only be *"
            ));
        }
        _ => {}
    }
    let Some(wanted) = if_match else {
        return Ok(());
    };
    let Some(current) = current else {
        return Err(s3_error!(NoSuchKey, "there is nothing to match"));
    };
    match wanted {
        ETagCondition::ETag(wanted) if wanted.as_strong() != Some(unquoted(&current.etag)) => {
            Err(s3_error!(PreconditionFailed, "If-Match"))
        }
        _ => Ok(()),
    }
}

/// An `ETag` for `s3s`, which wants it without its quotes.
pub(super) fn strong(etag: &str) -> ETag {
    ETag::Strong(unquoted(etag).to_owned())
}

#[expect(clippy::disallowed_methods, reason = "a store has a clock of its own")]
pub(super) fn now() -> SystemTime {
    SystemTime::now()
}

pub(super) fn unquoted(etag: &str) -> &str {
    etag.trim_matches('"')
}

pub(super) fn quoted(value: &str) -> String {
    format!("\"{value}\"")
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
