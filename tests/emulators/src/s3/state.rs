//! The contents of the buckets, and their atomic changes.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

use s3s::dto::ETagCondition;
use s3s::{S3Result, s3_error};

use super::body::{Algorithm, Received};
use super::calls::Calls;
use super::conditions::check;
use super::etags::quoted;
use super::{Call, Etags, Fault, Object, Part, Settings, Upload};
use crate::hashes::hex;
use crate::server::lock;

pub(super) type Faults = Arc<dyn Fn(&Call) -> Option<Fault> + Send + Sync>;

/// The state that the server and its handles share.
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
            // Upload ids and versions of different buckets differ.
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

    /// Returns `true` if there is this bucket.
    pub(super) fn has(&self, bucket: &str) -> bool {
        self.stores.contains_key(bucket)
    }

    /// The contents of an existing bucket. `server::Gate` refuses requests for others.
    pub(super) fn store_of(&self, bucket: &str) -> MutexGuard<'_, Store> {
        lock(&self.stores[bucket])
    }

    /// The requests to all buckets.
    pub(super) fn calls(&self) -> MutexGuard<'_, Calls> {
        lock(&self.calls)
    }

    pub(super) fn set_faults(&self, faults: Option<Faults>) {
        *lock(&self.faults) = faults;
    }

    /// The fault of a request. The closure runs without the lock, because it may inspect the
    /// server.
    pub(super) fn fault(&self, call: &Call) -> Option<Fault> {
        let faults = lock(&self.faults).clone();
        faults.and_then(|faults| faults(call))
    }

    /// Returns `true` if `ETags` are MD5 hashes.
    pub(super) fn hashes(&self) -> bool {
        self.settings.etags == Etags::Md5 && self.settings.keep_bodies
    }
}

/// The contents of a bucket, and the bytes received for each key.
#[derive(Default)]
pub(super) struct Store {
    pub(super) objects: BTreeMap<String, Object>,
    pub(super) uploads: BTreeMap<(String, String), Upload>,
    pub(super) received: HashMap<String, u64>,
    serial: u64,
}

impl Store {
    /// A new id. Ids do not ascend, so that a client cannot take their order for an order in time.
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

    /// Puts an object if the conditions hold.
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

    /// An `ETag` of this MD5, or an opaque one.
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

#[expect(clippy::disallowed_methods, reason = "a store has a clock of its own")]
pub(super) fn now() -> SystemTime {
    SystemTime::now()
}
