//! An emulator of Azure Communication Services' recording downloads.
//!
//! - this file: what a test sets up and looks at
//! - `signature`, `bearer`: whether a request is signed as ACS wants it, or has a token that it takes
//! - `settings`, `document`: what a test starts it with, and adds
//! - `fault`: what can go wrong on purpose
//! - `request`: what it was asked
//! - `target`: what a request names, by host and path
//! - `answer`, `file`: what is answered to it
//! - `reply`, `body`: how the answer is put together and sent
//! - `server`, `shared`: the listeners, their connections, and what these have in common

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

/// A running emulator. Its servers stop, and break their connections, when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Acs {
    shared: Arc<Shared>,
    _servers: Arc<server::Servers>,
}

impl Acs {
    /// Starts one plain and one TLS listener on free ports of 127.0.0.1; both serve the same documents.
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

    /// The resource's endpoint, without a trailing slash.
    pub fn endpoint(&self) -> String {
        match &self.shared.settings.resource_host {
            Some(host) => format!("https://{host}"),
            None => self.plain_origin(),
        }
    }

    /// `http://` and the plain listener's address.
    pub fn plain_origin(&self) -> String {
        format!("http://{}", self.shared.plain_host)
    }

    /// Where a client must connect for every https URL of the emulator.
    pub fn tls_address(&self) -> SocketAddr {
        self.shared.tls_address
    }

    /// The certificate that a client must trust.
    pub fn ca_pem(&self) -> String {
        self.authority().pem()
    }

    /// The authority, for further servers that the same clients are to trust.
    pub fn authority(&self) -> &Authority {
        &self.shared.authority
    }

    /// The media host's name.
    pub fn media_host(&self) -> &str {
        &self.shared.settings.media_host
    }

    /// The resource's connection string, as the portal shows it.
    pub fn connection_string(&self) -> String {
        self.connection_string_with(&self.shared.settings.access_key)
    }

    /// The connection string with that access key, be it one that signs or not.
    pub fn connection_string_with(&self, access_key: &[u8]) -> String {
        let key = STANDARD.encode(access_key);
        format!("endpoint={}/;accesskey={key}", self.endpoint())
    }

    /// From now on these keys sign and no others, as when one of a resource's two has been regenerated.
    pub fn set_access_keys(&self, keys: &[&[u8]]) {
        *lock(&self.shared.access_keys) = keys.iter().map(|key| key.to_vec()).collect();
    }

    /// Tokens of this tenant and application authorize from now on.
    pub fn accept_tokens(&self, tokens: Tokens) {
        lock(&self.shared.rules).tokens = Some(tokens);
    }

    /// From now on these tokens do not authorize, whatever they say.
    pub fn revoke_tokens(&self, tokens: &[String]) {
        lock(&self.shared.rules).revoked = tokens.to_vec();
    }

    /// From now on its clock, as far as tokens are concerned, is so many seconds ahead.
    pub fn set_ahead(&self, seconds: i64) {
        lock(&self.shared.rules).ahead = seconds;
    }

    /// Sets `disableLocalAuth`: no access key signs any more.
    pub fn disable_local_auth(&self) {
        lock(&self.shared.rules).without_keys = true;
    }

    /// Holds a document from now on, in place of one with the same id.
    pub fn add(&self, document: Document) {
        lock(&self.shared.documents).insert(document.id.clone(), Arc::new(document));
    }

    /// Forgets a document: 404 from now on.
    pub fn remove(&self, id: &str) {
        lock(&self.shared.documents).remove(id);
    }

    /// Whether the document is still held, that is, neither removed nor deleted by a request.
    pub fn holds(&self, id: &str) -> bool {
        self.shared.document(id).is_some()
    }

    /// A document's content on the media host.
    pub fn content_location(&self, id: &str) -> String {
        format!("{}/content/video", self.delete_location(id))
    }

    /// A document's content on the plain listener.
    pub fn plain_content_location(&self, id: &str) -> String {
        format!("{}/content/video", self.plain_delete_location(id))
    }

    /// A document's metadata on the media host.
    pub fn metadata_location(&self, id: &str) -> String {
        format!("{}/content/acsmetadata", self.delete_location(id))
    }

    /// A document's metadata on the plain listener.
    pub fn plain_metadata_location(&self, id: &str) -> String {
        format!("{}/content/acsmetadata", self.plain_delete_location(id))
    }

    /// A document's delete location on the media host.
    pub fn delete_location(&self, id: &str) -> String {
        format!("https://{}/v1/objects/{id}", self.media_host())
    }

    /// A document's delete location on the plain listener.
    fn plain_delete_location(&self, id: &str) -> String {
        format!("{}/v1/objects/{id}", self.plain_origin())
    }

    /// The requests so far, in the order of their arrival.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests()
    }

    /// Forgets the requests so far; the next one is number 0.
    pub fn clear_requests(&self) {
        self.shared.clear_log();
    }

    /// How many bytes of this document's content were sent so far. Counted as they are handed to the connection,
    /// so a client that breaks off has seen less.
    pub fn sent(&self, id: &str) -> u64 {
        self.shared.sent(id).load(Ordering::Relaxed)
    }

    /// Lets `faults` decide for each request what goes wrong with it, in place of what was injected before.
    ///
    /// A closure that holds a clone of this emulator keeps it running until [`Acs::heal`].
    pub fn inject(&self, faults: impl Fn(&Request) -> Option<Fault> + Send + Sync + 'static) {
        *lock(&self.shared.faults) = Some(Faults::new(faults));
    }

    /// Nothing goes wrong any more.
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
