use std::{
    collections::HashMap,
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, atomic::AtomicU64},
};

use super::bearer::Rules;
use super::body::RateLimit;
use super::{Document, Fault, Request, Settings};
use crate::certificates::Authority;
use crate::server::lock;

/// The state that all connections share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) rate_limit: Arc<RateLimit>,
    /// The host of the resource, which signatures cover.
    pub(super) resource: String,
    pub(super) plain_host: String,
    pub(super) tls_address: SocketAddr,
    pub(super) authority: Authority,
    /// The valid access keys, of which a resource has two.
    pub(super) access_keys: Mutex<Vec<Vec<u8>>>,
    pub(super) rules: Mutex<Rules>,
    pub(super) documents: Mutex<HashMap<String, Arc<Document>>>,
    pub(super) sent: Mutex<HashMap<String, Arc<AtomicU64>>>,
    log: Mutex<Log>,
    pub(super) faults: Mutex<Option<Faults>>,
}

#[derive(Debug, Default)]
struct Log {
    requests: Vec<Request>,
    cleared: usize,
}

/// The place of a request in the log, valid until the log is cleared.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    number: usize,
    cleared: usize,
}

type Closure = dyn Fn(&Request) -> Option<Fault> + Send + Sync;

/// The closure that chooses the fault of a request.
#[derive(Clone)]
pub(super) struct Faults(Arc<Closure>);

impl Faults {
    pub(super) fn new(faults: impl Fn(&Request) -> Option<Fault> + Send + Sync + 'static) -> Self {
        Self(Arc::new(faults))
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Faults")
    }
}

impl Shared {
    pub(super) fn new(
        settings: Settings,
        plain_host: String,
        tls_address: SocketAddr,
        authority: Authority,
    ) -> Self {
        Self {
            resource: settings
                .resource_host
                .clone()
                .unwrap_or_else(|| plain_host.clone()),
            plain_host,
            tls_address,
            rate_limit: Arc::new(RateLimit::new(
                settings.bytes_per_second,
                settings.total_bytes_per_second,
            )),
            access_keys: Mutex::new(vec![settings.access_key.clone()]),
            rules: Mutex::default(),
            settings,
            authority,
            documents: Mutex::default(),
            sent: Mutex::default(),
            log: Mutex::default(),
            faults: Mutex::default(),
        }
    }

    pub(super) fn requests(&self) -> Vec<Request> {
        lock(&self.log).requests.clone()
    }

    pub(super) fn clear_log(&self) {
        let mut log = lock(&self.log);
        log.requests.clear();
        log.cleared += 1;
    }

    pub(super) fn document(&self, id: &str) -> Option<Arc<Document>> {
        lock(&self.documents).get(id).cloned()
    }

    pub(super) fn delete(&self, id: &str) {
        lock(&self.documents).remove(id);
    }

    pub(super) fn sent(&self, id: &str) -> Arc<AtomicU64> {
        lock(&self.sent).entry(id.to_owned()).or_default().clone()
    }

    /// Numbers and logs a request.
    pub(super) fn record(&self, request: &mut Request) -> Entry {
        let mut log = lock(&self.log);
        request.number = log.requests.len();
        log.requests.push(request.clone());
        Entry {
            number: request.number,
            cleared: log.cleared,
        }
    }

    pub(super) fn answered(&self, entry: Entry, status: u16) {
        let mut log = lock(&self.log);
        // After a clear, the number of this request belongs to another one.
        if log.cleared == entry.cleared
            && let Some(request) = log.requests.get_mut(entry.number)
        {
            request.status = Some(status);
        }
    }

    pub(super) fn fault(&self, request: &Request) -> Option<Fault> {
        let faults = lock(&self.faults).clone();
        // The closure runs without the lock, because it may inspect or heal the emulator.
        faults.and_then(|Faults(faults)| faults(request))
    }
}
