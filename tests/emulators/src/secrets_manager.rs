//! AWS Secrets Manager, for tests: `GetSecretValue` as the SDK asks it.
//!
//! - this file: what a test sets up and looks at
//! - `answer`: what is answered to it

mod answer;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use crate::s3::{ACCESS_KEY_ID, SECRET_ACCESS_KEY};
use crate::server::{Server, lock};

/// How a [`SecretsManager`] is set up. The default knows the credentials of the emulated S3, so that one process
/// can use both.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The name of the secret that the methods without a name mean.
    pub secret_id: String,
    /// The only access key id that is known.
    pub access_key_id: String,
    /// The secret that belongs to it.
    pub secret_access_key: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            secret_id: "acs-recording-archiver".to_owned(),
            access_key_id: ACCESS_KEY_ID.to_owned(),
            secret_access_key: SECRET_ACCESS_KEY.to_owned(),
        }
    }
}

/// A way to fail, for every request until it is changed. All but the last two answer an unsigned or wrongly signed
/// request with that first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// 403, `AccessDeniedException`: no policy allows it.
    Refuse,
    /// 400, `ResourceNotFoundException`: there is no such secret.
    NotFound,
    /// 400, `ThrottlingException`.
    Throttle,
    /// 500, `InternalServiceError`.
    Internal,
    /// 200 with a body that is not JSON.
    Malformed,
    /// Never answers.
    Hang,
    /// Closes the connection without an answer.
    Drop,
}

/// A running server. Clones are the same server; it stops when the last one is dropped.
#[derive(Clone, Debug)]
pub struct SecretsManager {
    shared: Arc<Shared>,
    server: Arc<Server>,
}

#[derive(Debug)]
struct Shared {
    settings: Settings,
    /// The secrets that have a value, by name.
    values: Mutex<BTreeMap<String, Value>>,
    /// How often the value was set: each one has a version of its own.
    versions: AtomicUsize,
    fault: Mutex<Option<Fault>>,
    /// How requests for one secret fail, by its name.
    faults: Mutex<BTreeMap<String, Fault>>,
    calls: AtomicUsize,
}

#[derive(Clone, Debug)]
struct Value {
    version: usize,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    String(String),
    Binary(Bytes),
}

impl SecretsManager {
    /// Starts a server on a free port of 127.0.0.1. The secret is there, but has no value yet.
    pub async fn start(settings: Settings) -> Self {
        let shared = Arc::new(Shared {
            settings,
            values: Mutex::default(),
            versions: AtomicUsize::new(0),
            fault: Mutex::default(),
            faults: Mutex::default(),
            calls: AtomicUsize::new(0),
        });
        let answering = Arc::clone(&shared);
        let server =
            Server::start(move |head, body| answer::answer(Arc::clone(&answering), head, body));
        Self {
            server: Arc::new(server.await),
            shared,
        }
    }

    /// The value of `AWS_ENDPOINT_URL_SECRETS_MANAGER`.
    pub fn endpoint(&self) -> String {
        self.server.url()
    }

    /// The name of the secret that the methods without a name mean.
    pub fn secret_id(&self) -> &str {
        &self.shared.settings.secret_id
    }

    /// The only access key id that is known here.
    pub fn access_key_id(&self) -> &str {
        &self.shared.settings.access_key_id
    }

    /// The secret that belongs to [`Self::access_key_id`].
    pub fn secret_access_key(&self) -> &str {
        &self.shared.settings.secret_access_key
    }

    /// Gives the secret a new value.
    pub fn set(&self, secret_string: &str) {
        self.set_named(self.secret_id(), secret_string);
    }

    /// Gives the secret of that name a new value.
    pub fn set_named(&self, secret_id: &str, secret_string: &str) {
        self.put(secret_id, Content::String(secret_string.to_owned()));
    }

    /// Gives the secret a new value as `SecretBinary`, with no `SecretString` beside it.
    pub fn set_binary(&self, secret_binary: impl Into<Bytes>) {
        self.put(self.secret_id(), Content::Binary(secret_binary.into()));
    }

    fn put(&self, secret_id: &str, content: Content) {
        let version = self.shared.versions.fetch_add(1, Ordering::Relaxed) + 1;
        let value = Value { version, content };
        lock(&self.shared.values).insert(secret_id.to_owned(), value);
    }

    /// How requests fail from now on, or that they do not.
    pub fn fail(&self, fault: Option<Fault>) {
        *lock(&self.shared.fault) = fault;
    }

    /// How requests for the secret of that name fail from now on, or that they do not.
    pub fn fail_named(&self, secret_id: &str, fault: Option<Fault>) {
        assert!(!matches!(fault, Some(Fault::Hang | Fault::Drop)));
        let mut faults = lock(&self.shared.faults);
        match fault {
            Some(fault) => faults.insert(secret_id.to_owned(), fault),
            None => faults.remove(secret_id),
        };
    }

    /// How many requests came in since the start or the last [`Self::clear_calls`], refused and failed ones too.
    pub fn calls(&self) -> usize {
        self.shared.calls.load(Ordering::Relaxed)
    }

    /// Forgets the requests so far.
    pub fn clear_calls(&self) {
        self.shared.calls.store(0, Ordering::Relaxed);
    }
}
