//! AWS Secrets Manager: the operation `GetSecretValue`.
//!
//! - this file: the handle of a test
//! - `answer`: the answer to a request
//!
//! <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html>

mod answer;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use crate::s3::{ACCESS_KEY_ID, SECRET_ACCESS_KEY};
use crate::server::{Server, lock};

/// The settings of a server. By default the credentials are those of the emulated S3, so that one
/// process can use both.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The name of the default secret.
    pub secret_id: String,
    /// The only valid access key id.
    pub access_key_id: String,
    /// The secret access key.
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

/// A fault of every request, until it is changed. Except for the last two, a request that is not
/// signed correctly is refused for that reason first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Answers 403, `AccessDeniedException`: no policy allows the operation.
    Refuse,
    /// Answers 400, `ResourceNotFoundException`: there is no such secret.
    NotFound,
    /// Answers 400, `ThrottlingException`.
    Throttle,
    /// Answers 500, `InternalServiceError`.
    Internal,
    /// Answers 200 with a body that is not JSON.
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
    /// The number of values set so far, each of which has a version.
    versions: AtomicUsize,
    fault: Mutex<Option<Fault>>,
    /// The faults of single secrets, by name.
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
    /// Starts a server on a free port of 127.0.0.1. No secret has a value yet.
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

    /// The name of the default secret.
    pub fn secret_id(&self) -> &str {
        &self.shared.settings.secret_id
    }

    /// The only valid access key id.
    pub fn access_key_id(&self) -> &str {
        &self.shared.settings.access_key_id
    }

    /// The secret that belongs to [`Self::access_key_id`].
    pub fn secret_access_key(&self) -> &str {
        &self.shared.settings.secret_access_key
    }

    /// Gives the default secret a new value.
    pub fn set(&self, secret_string: &str) {
        self.set_named(self.secret_id(), secret_string);
    }

    /// Gives the secret of this name a new value.
    pub fn set_named(&self, secret_id: &str, secret_string: &str) {
        self.put(secret_id, Content::String(secret_string.to_owned()));
    }

    /// Gives the default secret a new value as `SecretBinary`, without a `SecretString`.
    pub fn set_binary(&self, secret_binary: impl Into<Bytes>) {
        self.put(self.secret_id(), Content::Binary(secret_binary.into()));
    }

    fn put(&self, secret_id: &str, content: Content) {
        let version = self.shared.versions.fetch_add(1, Ordering::Relaxed) + 1;
        let value = Value { version, content };
        lock(&self.shared.values).insert(secret_id.to_owned(), value);
    }

    /// Sets the fault of every request from now on.
    pub fn fail(&self, fault: Option<Fault>) {
        *lock(&self.shared.fault) = fault;
    }

    /// Sets the fault of requests for the secret of this name from now on, which must be one that
    /// answers.
    pub fn fail_named(&self, secret_id: &str, fault: Option<Fault>) {
        assert!(!matches!(fault, Some(Fault::Hang | Fault::Drop)));
        let mut faults = lock(&self.shared.faults);
        match fault {
            Some(fault) => faults.insert(secret_id.to_owned(), fault),
            None => faults.remove(secret_id),
        };
    }

    /// The number of requests since the start or the last [`Self::clear_calls`], including refused
    /// and failed ones.
    pub fn calls(&self) -> usize {
        self.shared.calls.load(Ordering::Relaxed)
    }

    /// Forgets the requests so far.
    pub fn clear_calls(&self) {
        self.shared.calls.store(0, Ordering::Relaxed);
    }
}
