//! A strict Amazon S3: path-style buckets over plain HTTP on loopback.
//!
//! It refuses what Amazon S3 refuses and a client could do wrong: signatures, conditional writes,
//! part numbers, part sizes, `ETags`, checksums, pages. Tests inject faults, and inspect the
//! objects and the requests.
//!
//! - `settings`: the settings of a server
//! - `state`: the contents of the buckets and their atomic changes
//! - `object`, `upload`: an object; an unfinished upload and its parts
//! - `etags`, `conditions`: `ETags` and the conditions of a write
//! - `operations`: the trait of the S3 operations, implemented by the next four
//! - `objects`, `multipart`, `completion`, `listings`: the operations
//! - `body`: the reader of a body, and checksums
//! - `calls`: the requests that a test inspects
//! - `faults`: the faults that a test injects
//! - `server`: connections, and the faults that break them
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations.html>

mod body;
mod calls;
mod completion;
mod conditions;
mod etags;
mod faults;
mod listings;
mod multipart;
mod object;
mod objects;
mod operations;
mod server;
mod settings;
mod state;
mod upload;

use std::collections::BTreeMap;
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, SystemTime};

use bytes::Bytes;

pub use calls::Call;
pub use conditions::Condition;
pub use etags::Etags;
pub use faults::Fault;
pub use object::Object;
pub use settings::Settings;
pub use upload::{Part, Upload};

use state::{State, Store};

pub(crate) const ACCESS_KEY_ID: &str = "AKIAEMULATEDEXAMPLE0";
pub(crate) const SECRET_ACCESS_KEY: &str = "emulated/secret/access/key/EXAMPLE";

/// A running server and one of its buckets. Clones are the same server; it stops when the last one
/// is dropped.
#[derive(Clone)]
pub struct S3 {
    /// The bucket of the methods on objects and uploads; requests and faults are those of all
    /// buckets.
    bucket: String,
    state: Arc<State>,
    server: Arc<crate::server::Server>,
}

impl S3 {
    /// Starts a server on a free port of 127.0.0.1.
    pub async fn start(settings: Settings) -> Self {
        let bucket = settings.bucket.clone();
        let state = Arc::new(State::new(settings));
        let server = Arc::new(server::start(Arc::clone(&state)).await);
        Self {
            bucket,
            state,
            server,
        }
    }

    /// The same server and another of its buckets.
    pub fn of(&self, bucket: &str) -> Self {
        assert!(self.state.has(bucket), "there is no bucket {bucket}");
        Self {
            bucket: bucket.to_owned(),
            ..self.clone()
        }
    }

    /// Returns `true` if the server has this bucket.
    pub fn has(&self, bucket: &str) -> bool {
        self.state.has(bucket)
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.state.store_of(&self.bucket)
    }

    /// The address as a URL without a trailing slash.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// The name of the bucket.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// The only valid access key id.
    pub fn access_key_id(&self) -> &str {
        ACCESS_KEY_ID
    }

    /// The secret that belongs to [`Self::access_key_id`].
    pub fn secret_access_key(&self) -> &str {
        SECRET_ACCESS_KEY
    }

    /// The objects of the bucket, by key.
    pub fn objects(&self) -> BTreeMap<String, Object> {
        self.store().objects.clone()
    }

    /// The object under this key.
    pub fn object(&self, key: &str) -> Option<Object> {
        self.store().objects.get(key).cloned()
    }

    /// The unfinished uploads, by key and upload id.
    pub fn uploads(&self) -> Vec<Upload> {
        self.store().uploads.values().cloned().collect()
    }

    /// The bytes of parts and objects received for this key, including those of refused and broken
    /// requests. They are counted as they arrive.
    pub fn received(&self, key: &str) -> u64 {
        self.store().received.get(key).copied().unwrap_or(0)
    }

    /// The requests to any bucket since the start or the last [`Self::clear_calls`], in order of
    /// arrival.
    pub fn calls(&self) -> Vec<Call> {
        self.state.calls().calls.clone()
    }

    /// Forgets the requests so far; the next one is number 0 again.
    pub fn clear_calls(&self) {
        self.state.calls().calls.clear();
    }

    /// Puts an object into the bucket, as another client would.
    pub fn put(&self, key: &str, body: impl Into<Bytes>) {
        let mut object = Object::new(body);
        let mut store = self.store();
        object.version_id = store.fresh();
        store.objects.insert(key.to_owned(), object);
    }

    /// Puts an object into the bucket with all fields as given.
    pub fn put_object(&self, key: &str, object: Object) {
        self.store().objects.insert(key.to_owned(), object);
    }

    /// Removes an object from the bucket.
    pub fn remove(&self, key: &str) {
        self.store().objects.remove(key);
    }

    /// Aborts an upload, as a lifecycle rule would.
    pub fn abort(&self, upload_id: &str) {
        self.store().uploads.retain(|(_, id), _| id != upload_id);
    }

    /// Begins an upload of this key, as another client would, and returns its id.
    pub fn begin(&self, key: &str) -> String {
        self.store().begin(Upload::new(key))
    }

    /// Sets the time at which an upload was begun, if it exists.
    pub fn set_initiated(&self, upload_id: &str, at: SystemTime) {
        let mut store = self.store();
        let mut uploads = store.uploads.values_mut();
        if let Some(upload) = uploads.find(|upload| upload.upload_id == upload_id) {
            upload.initiated = at;
        }
    }

    /// Moves the times at which the parts of an upload were put this far into the past.
    pub fn age_parts(&self, upload_id: &str, age: Duration) {
        let mut store = self.store();
        let uploads = store.uploads.values_mut();
        for upload in uploads.filter(|upload| upload.upload_id == upload_id) {
            for part in upload.parts.values_mut() {
                part.last_modified -= age;
            }
        }
    }

    /// Sets the time at which an object was last modified, if it exists.
    pub fn set_last_modified(&self, key: &str, at: SystemTime) {
        if let Some(object) = self.store().objects.get_mut(key) {
            object.last_modified = at;
        }
    }

    /// Calls `faults` for each request from now on, when it arrives, and applies the fault that it
    /// returns, in place of any closure injected before.
    ///
    /// A closure that owns a clone of this server keeps it running until [`Self::heal`].
    pub fn inject(&self, faults: impl Fn(&Call) -> Option<Fault> + Send + Sync + 'static) {
        self.state.set_faults(Some(Arc::new(faults)));
    }

    /// Removes the injected faults.
    pub fn heal(&self) {
        self.state.set_faults(None);
    }
}
