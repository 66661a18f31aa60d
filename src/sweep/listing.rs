//! The listing of the pending events, without those that the tick has seen.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};

use tokio::time::{Instant, timeout_at};

use super::backlog::Backlog;
use crate::archive::Archive;
use crate::clock;
use crate::keys::Key;
use crate::limits::Limits;
use crate::store;

/// The events that a tick has considered, none of which it considers twice. Only their hashes are
/// remembered, since there may be many.
#[derive(Debug, Default)]
pub(super) struct Seen {
    hashes: HashSet<u64>,
    hasher: RandomState,
}

impl Seen {
    pub(super) fn contains(&self, event: &Key) -> bool {
        self.hashes.contains(&self.hasher.hash_one(event))
    }

    /// Returns `true` if the event was not there before.
    pub(super) fn insert(&mut self, event: &Key) -> bool {
        self.hashes.insert(self.hasher.hash_one(event))
    }
}

/// Lists the events that are pending now. The ones that this tick has `seen` are not due.
pub(super) async fn list(
    archive: &Archive,
    limits: &Limits,
    deadline: Instant,
    seen: &Seen,
) -> Result<Backlog, store::Error> {
    let mut backlog = Backlog::new(clock::now(), limits.remembered);
    let listing = archive.each_pending(|listed| {
        backlog.add(listed, archive.layout(), |event| seen.contains(event));
    });
    let listed = timeout_at(deadline, listing).await;
    listed.unwrap_or(Err(store::Error::OutOfTime {
        operation: "ListObjectsV2",
    }))?;
    backlog.end();
    Ok(backlog)
}
