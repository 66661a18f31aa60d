//! The recording downloads of Azure Communication Services.
//!
//! - this file: the handle of a test
//! - `settings`, `document`: the inputs of a test
//! - `fault`: the faults that a test injects
//! - `request`: the requests that a test inspects
//! - `signature`, `bearer`: the check of a request's signature or token
//! - `target`: the document and form that host and path name
//! - `answer`, `file`: the answer to a request
//! - `reply`, `body`: how an answer is assembled and sent
//! - `server`, `shared`: the listeners and connections, and the state that they share

mod answer;
mod bearer;
mod body;
mod document;
mod fault;
mod file;
mod reply;
mod request;
mod server;
mod settings;
mod shared;
mod signature;
mod target;

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use tokio::net::TcpListener;

pub use self::bearer::Tokens;
pub use self::document::{Document, Ranges};
pub use self::fault::Fault;
pub use self::request::{Kind, Request};
pub use self::settings::Settings;
use self::shared::{Faults, Shared};
use crate::certificates::Authority;
use crate::server::lock;

/// A running emulator. Clones are the same emulator; dropping the last one stops its servers and
/// breaks their connections.
#[derive(Clone, Debug)]
pub struct Acs {
    shared: Arc<Shared>,
    _servers: Arc<server::Servers>,
}

impl Acs {
    /// Starts a plain and a TLS listener on free ports of 127.0.0.1. Both serve the same documents.
    pub async fn start(settings: Settings) -> Self {
        let plain = bind().await;
        let tls = bind().await;
        let plain_host = address(&plain).to_string();
        let tls_address = address(&tls);

        let authority = Authority::new();
        let mut names: Vec<&str> = settings.more_names.iter().map(String::as_str).collect();
        names.push(&settings.media_host);
        names.extend(settings.resource_host.as_deref());
        names.sort_unstable();
        names.dedup();
        let certificate = authority.server(&names);

        let shared = Arc::new(Shared::new(settings, plain_host, tls_address, authority));
        let servers = server::Servers::start(&shared, plain, tls, certificate);
        Self {
            shared,
            _servers: Arc::new(servers),
        }
    }

    /// The endpoint of the resource, without a trailing slash.
    pub fn endpoint(&self) -> String {
        match &self.shared.settings.resource_host {
            Some(host) => format!("https://{host}"),
            None => self.plain_origin(),
        }
    }

    /// The origin of the plain listener.
    pub fn plain_origin(&self) -> String {
        format!("http://{}", self.shared.plain_host)
    }

    /// The address of the TLS listener, to which a client connects for every https URL.
    pub fn tls_address(&self) -> SocketAddr {
        self.shared.tls_address
    }

    /// The certificate of the authority, for a client to trust.
    pub fn ca_pem(&self) -> String {
        self.authority().pem()
    }

    /// The authority, for further servers that the same clients trust.
    pub fn authority(&self) -> &Authority {
        &self.shared.authority
    }

    /// The name of the media host.
    pub fn media_host(&self) -> &str {
        &self.shared.settings.media_host
    }

    /// The connection string of the resource, in the form that the Azure portal shows.
    pub fn connection_string(&self) -> String {
        self.connection_string_with(&self.shared.settings.access_key)
    }

    /// The connection string with this access key, valid or not.
    pub fn connection_string_with(&self, access_key: &[u8]) -> String {
        let key = STANDARD.encode(access_key);
        format!("endpoint={}/;accesskey={key}", self.endpoint())
    }

    /// Accepts signatures by these keys alone from now on. A resource has two keys, each of which
    /// can be regenerated.
    pub fn set_access_keys(&self, keys: &[&[u8]]) {
        *lock(&self.shared.access_keys) = keys.iter().map(|key| key.to_vec()).collect();
    }

    /// Accepts tokens of this tenant and application from now on.
    pub fn accept_tokens(&self, tokens: Tokens) {
        lock(&self.shared.rules).tokens = Some(tokens);
    }

    /// Refuses these tokens from now on, in place of those revoked before.
    pub fn revoke_tokens(&self, tokens: &[String]) {
        lock(&self.shared.rules).revoked = tokens.to_vec();
    }

    /// Sets the clock by which tokens expire so many seconds ahead.
    pub fn set_ahead(&self, seconds: i64) {
        lock(&self.shared.rules).ahead = seconds;
    }

    /// Sets `disableLocalAuth`: refuses every access key from now on.
    pub fn disable_local_auth(&self) {
        lock(&self.shared.rules).without_keys = true;
    }

    /// Adds a document, in place of any with the same id.
    pub fn add(&self, document: Document) {
        lock(&self.shared.documents).insert(document.id.clone(), Arc::new(document));
    }

    /// Removes a document, whose requests are answered 404 from now on.
    pub fn remove(&self, id: &str) {
        lock(&self.shared.documents).remove(id);
    }

    /// Returns `true` if the document is there: added, and neither removed nor deleted by a
    /// request.
    pub fn holds(&self, id: &str) -> bool {
        self.shared.document(id).is_some()
    }

    /// The content location of a document on the media host.
    pub fn content_location(&self, id: &str) -> String {
        format!("{}/content/video", self.delete_location(id))
    }

    /// The content location of a document on the plain listener.
    pub fn plain_content_location(&self, id: &str) -> String {
        format!("{}/content/video", self.plain_delete_location(id))
    }

    /// The metadata location of a document on the media host.
    pub fn metadata_location(&self, id: &str) -> String {
        format!("{}/content/acsmetadata", self.delete_location(id))
    }

    /// The metadata location of a document on the plain listener.
    pub fn plain_metadata_location(&self, id: &str) -> String {
        format!("{}/content/acsmetadata", self.plain_delete_location(id))
    }

    /// The delete location of a document on the media host.
    pub fn delete_location(&self, id: &str) -> String {
        format!("https://{}/v1/objects/{id}", self.media_host())
    }

    fn plain_delete_location(&self, id: &str) -> String {
        format!("{}/v1/objects/{id}", self.plain_origin())
    }

    /// The requests so far, in order of arrival.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests()
    }

    /// Forgets the requests so far; the next one is number 0.
    pub fn clear_requests(&self) {
        self.shared.clear_log();
    }

    /// The number of bytes of this document's content that were handed to a connection so far. A
    /// client that breaks off has received fewer.
    pub fn sent(&self, id: &str) -> u64 {
        self.shared.sent(id).load(Ordering::Relaxed)
    }

    /// Calls `faults` for each request from now on and applies the fault that it returns, in place
    /// of any closure injected before.
    ///
    /// A closure that owns a clone of this emulator keeps it running until [`Acs::heal`].
    pub fn inject(&self, faults: impl Fn(&Request) -> Option<Fault> + Send + Sync + 'static) {
        *lock(&self.shared.faults) = Some(Faults::new(faults));
    }

    /// Removes the injected faults.
    pub fn heal(&self) {
        *lock(&self.shared.faults) = None;
    }
}

async fn bind() -> TcpListener {
    TcpListener::bind("127.0.0.1:0")
        .await
        .expect("127.0.0.1 has a free port")
}

fn address(listener: &TcpListener) -> SocketAddr {
    listener
        .local_addr()
        .expect("a bound socket has an address")
}
