//! An emulator of Azure Communication Services' recording downloads.
//!
//! - this file: what a test sets up and looks at
//! - `signature`, `bearer`: whether a request is signed as ACS wants it, or has a token that it takes
//! - `fault`: what can go wrong on purpose
//! - `target`: what a request names, by host and path
//! - `answer`: what is answered to it
//! - `reply`, `body`: how the answer is put together and sent
//! - `server`, `shared`: the listeners, their connections, and what these have in common

mod answer;
mod bearer;
mod body;
mod fault;
mod reply;
mod server;
mod shared;
mod signature;
mod target;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use tokio::net::TcpListener;

pub use self::bearer::Tokens;
pub use self::fault::Fault;
use self::shared::{Faults, Shared, lock};
use crate::{certificates::Authority, media::Media};

/// How an emulator is set up; the default is a sound ACS with its resource on the plain listener.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The resource's access key, decoded.
    pub access_key: Vec<u8>,
    /// The resource's name, served over TLS, as `contoso.communication.azure.com`; without one, the plain
    /// listener is the resource.
    pub resource_host: Option<String>,
    /// The name of the media host, served over TLS.
    pub media_host: String,
    /// The speed limit of each answer's body.
    pub bytes_per_second: Option<u64>,
    /// The speed limit of all answers together, which share it as they ask.
    pub total_bytes_per_second: Option<u64>,
    /// How long each answer's head takes.
    pub latency: Duration,
    /// How far a signature's date may be from now.
    pub max_date_skew: Duration,
    /// Further media hosts, served over TLS: hosts to which a test redirects.
    pub more_names: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            access_key: (0..32).collect(),
            resource_host: None,
            media_host: "eus-prod.asm.skype.com".to_owned(),
            bytes_per_second: None,
            total_bytes_per_second: None,
            latency: Duration::ZERO,
            max_date_skew: Duration::from_mins(15),
            more_names: Vec::new(),
        }
    }
}

/// A recording's chunk that the emulator holds.
#[derive(Clone, Debug)]
pub struct Document {
    /// Its document id.
    pub id: String,
    /// Its content.
    pub media: Media,
    /// Its metadata file.
    pub metadata: Bytes,
    /// The content's `ETag`, sent as it stands here.
    pub etag: Option<String>,
    /// The content's media type where it is not that of the media's format.
    pub content_type: Option<String>,
    /// What a `Range` does, on content and metadata alike.
    pub ranges: Ranges,
}

impl Document {
    /// A document with small metadata, no `ETag`, and ranges honoured.
    pub fn new(id: &str, media: Media) -> Self {
        let metadata =
            serde_json::json!({"resourceId": id, "chunkDocumentId": id, "chunkIndex": 0});
        Self {
            id: id.to_owned(),
            media,
            metadata: metadata.to_string().into(),
            etag: None,
            content_type: None,
            ranges: Ranges::Honoured,
        }
    }
}

/// What is answered to a request with a `Range`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ranges {
    /// 206 and the range.
    #[default]
    Honoured,
    /// 206 and the beginning of the range, of at most so many bytes.
    Shortened(u64),
    /// 200 and everything, with its length.
    Ignored,
    /// 200 and everything, chunked; so is an answer to a request without a `Range`.
    IgnoredWithoutLength,
}

/// A request that the emulator saw.
#[derive(Clone, Debug)]
pub struct Request {
    /// Counted from 0, and from 0 again after [`Acs::clear_requests`].
    pub number: usize,
    /// The `Host` header.
    pub host: String,
    /// Whether it came over TLS.
    pub tls: bool,
    /// The method.
    pub method: String,
    /// Path and query, byte for byte.
    pub path_and_query: String,
    /// The document it asks for, whether or not there is one.
    pub document: Option<String>,
    /// What it asks for.
    pub kind: Kind,
    /// The `Range` header.
    pub range: Option<String>,
    /// All headers by their lower-case names; repeated ones are joined with a comma.
    pub headers: BTreeMap<String, String>,
    /// The answer's status, once there is one.
    pub status: Option<u16>,
}

/// What a request asks for, going by its path alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A document's content.
    Media,
    /// A document's metadata.
    Metadata,
    /// The location whose deletion deletes a document.
    Delete,
    /// Nothing that ACS serves.
    Other,
}

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
    pub fn plain_delete_location(&self, id: &str) -> String {
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
