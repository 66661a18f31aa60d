//! A Microsoft Entra ID tenant: its published keys, the tokens of Event Grid, and the token
//! endpoint.
//!
//! - this file: the handle of a test, and the published keys
//! - `issuer`: the token endpoint
//! - `signing_key`: the keys that sign tokens
//! - `claims`: the claims of Event Grid's tokens
//! - `tokens`: tokens, including forged ones

pub mod claims;
pub mod issuer;
mod signing_key;
#[cfg(test)]
mod tests;
pub mod tokens;

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use hyper::http::request::Parts;
use hyper::{Method, Response};
use serde_json::{Value, json};
use tokio::time::sleep;

pub use self::issuer::Application;
pub use self::signing_key::SigningKey;
use crate::server::{Answer, Body, Server, endless, lock, whole};

/// A fault of every request, until it is changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Answers this status.
    Status(u16),
    /// Answers 302, or 307 to a token request, with this location.
    Redirect(String),
    /// Answers 200 with a body that has no length and no end.
    Endless,
    /// Answers this status, content type and body.
    Answer(u16, &'static str, String),
    /// Answers this status with an error that repeats the complete request.
    Echo(u16),
    /// Delays the answer by this time.
    Slow(Duration),
    /// Never answers.
    Hang,
    /// Closes the connection without an answer.
    Drop,
}

/// A running server. Clones are the same server; it stops when the last one is dropped.
#[derive(Clone, Debug)]
pub struct Entra {
    shared: Arc<Shared>,
    server: Arc<Server>,
}

#[derive(Debug)]
struct Shared {
    tenant: String,
    body: Mutex<Bytes>,
    fault: Mutex<Option<Fault>>,
    /// The faults of the next requests, which precede `fault`.
    next: Mutex<Vec<Fault>>,
    calls: AtomicUsize,
    application: Mutex<Option<Application>>,
    asked: Mutex<Vec<BTreeMap<String, String>>>,
    issued: Mutex<Vec<String>>,
}

impl Entra {
    /// Starts a server on a free port of 127.0.0.1, which publishes no keys yet.
    pub async fn start(tenant: &str) -> Self {
        let shared = Arc::new(Shared {
            tenant: tenant.to_owned(),
            body: Mutex::new(key_set(&[]).to_string().into()),
            fault: Mutex::default(),
            next: Mutex::default(),
            calls: AtomicUsize::new(0),
            application: Mutex::default(),
            asked: Mutex::default(),
            issued: Mutex::default(),
        });
        let answering = Arc::clone(&shared);
        let server = Server::start(move |head, body| answer(Arc::clone(&answering), head, body));
        Self {
            server: Arc::new(server.await),
            shared,
        }
    }

    /// The value of `ENTRA_AUTHORITY`.
    pub fn authority(&self) -> String {
        self.server.url()
    }

    /// The tenant id.
    pub fn tenant(&self) -> &str {
        &self.shared.tenant
    }

    /// Publishes these keys, in place of any published before.
    pub fn publish(&self, keys: &[&SigningKey]) {
        let keys: Vec<Value> = keys.iter().map(|key| key.jwk(self.tenant())).collect();
        self.set_body(key_set(&keys).to_string());
    }

    /// Publishes these bytes, in place of any keys published before.
    pub fn set_body(&self, body: impl Into<Bytes>) {
        *lock(&self.shared.body) = body.into();
    }

    /// Sets the fault of every request from now on.
    pub fn fail(&self, fault: Option<Fault>) {
        *lock(&self.shared.fault) = fault;
    }

    /// Sets the fault of the next request alone.
    pub fn fail_once(&self, fault: Fault) {
        lock(&self.shared.next).push(fault);
    }

    /// The number of requests for any path since the start or the last [`Self::clear_calls`].
    pub fn calls(&self) -> usize {
        self.shared.calls.load(Ordering::Relaxed)
    }

    /// Forgets the requests so far.
    pub fn clear_calls(&self) {
        self.shared.calls.store(0, Ordering::Relaxed);
    }
}

/// The JSON Web Key Set of these keys, each in the form of [`SigningKey::jwk`].
///
/// <https://www.rfc-editor.org/rfc/rfc7517#section-5>
pub fn key_set(keys: &[Value]) -> Value {
    json!({ "keys": keys })
}

async fn answer(shared: Arc<Shared>, head: Parts, body: Bytes) -> Answer {
    shared.calls.fetch_add(1, Ordering::Relaxed);
    let form: BTreeMap<String, String> = form_urlencoded::parse(&body).into_owned().collect();
    let asks = head.method == Method::POST && head.uri.path() == issuer::path(&shared.tenant);
    if asks {
        lock(&shared.asked).push(form.clone());
    }
    let next = lock(&shared.next).pop();
    let fault = next.or_else(|| lock(&shared.fault).clone());
    let response = match fault {
        Some(Fault::Hang) => pending().await,
        Some(Fault::Drop) => return None,
        Some(Fault::Status(status)) => json(status, "{}"),
        Some(Fault::Endless) => json(200, "").map(|_| endless()),
        Some(Fault::Answer(status, content_type, body)) => {
            let mut response = json(status, body);
            let content_type = content_type.parse().expect("a media type");
            response.headers_mut().insert("content-type", content_type);
            response
        }
        Some(Fault::Echo(status)) => {
            let said = format!("{:?} {}", head.headers, String::from_utf8_lossy(&body));
            let mut error = issuer::refused(&said, 700_213, &said);
            error["trace_id"] = said.into();
            json(status, error.to_string())
        }
        Some(Fault::Redirect(location)) => {
            let mut response = json(if asks { 307 } else { 302 }, "{}");
            let location = location.parse().expect("a location is a header's value");
            response.headers_mut().insert("location", location);
            response
        }
        Some(Fault::Slow(time)) => {
            sleep(time).await;
            truth(&shared, &head, &form)
        }
        None => truth(&shared, &head, &form),
    };
    Some(response)
}

fn truth(shared: &Shared, head: &Parts, form: &BTreeMap<String, String>) -> Response<Body> {
    let path = head.uri.path();
    if head.method == Method::GET && path == keys_path(&shared.tenant) {
        return json(200, lock(&shared.body).clone());
    }
    if head.method == Method::POST && path == issuer::path(&shared.tenant) {
        return issuer::token(shared, head, form);
    }
    if path.ends_with("/oauth2/v2.0/token") {
        let error = issuer::refused("invalid_request", 90002, "no such tenant");
        return json(400, error.to_string());
    }
    json(404, "{}")
}

fn keys_path(tenant: &str) -> String {
    format!("/{tenant}/discovery/v2.0/keys")
}

fn json(status: u16, body: impl Into<Bytes>) -> Response<Body> {
    Response::builder()
        .status(status)
        .header("content-type", "application/json; charset=utf-8")
        .header("cache-control", "max-age=86400, private")
        .body(whole(body))
        .expect("a test's status is a status")
}
