//! The schedule's entry: pending events, the oldest first, through the archive.
//!
//! Event Grid tries an event about 11 times and then with gaps of hours. The schedule comes every minute, and what is
//! pending is no more than a listing away.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tracing::{Instrument as _, error, info, warn};

use crate::archive::Archive;
use crate::chain::chain;
use crate::clock;
use crate::event_grid;
use crate::finality::EXPIRY;
use crate::keys::{Bucket, Key, Kind};
use crate::limits::Limits;
use crate::metrics::Measured;
use crate::outcome::Outcome;
use crate::store::{self, Listed, Listing};
use crate::transfer::Order;

/// Keys that one tick lists; what is beyond them is younger, and its turn comes.
const MOST_KEYS: usize = 20_000;

/// What a tick found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Swept {
    /// Events that were pending.
    pub pending: usize,
    /// Of those, how many no longer are.
    pub finished: usize,
    /// Since when the oldest has been stored, in seconds.
    pub oldest_seconds: u64,
}

/// The schedule's entry.
#[derive(Debug)]
pub struct Sweep {
    archive: Arc<Archive>,
    limits: Arc<Limits>,
}

/// A folder under `pending/`.
#[derive(Debug, Default)]
struct Folder {
    event: Option<Listed>,
    records: Vec<Key>,
}

impl Sweep {
    /// A sweep over what is pending in `archive`.
    #[must_use]
    pub fn new(archive: Arc<Archive>, limits: Arc<Limits>) -> Self {
        Self { archive, limits }
    }

    /// One tick, until `deadline` at most: each pending event gets a share of the time, so that none can starve the others.
    ///
    /// # Errors
    ///
    /// Where what is pending cannot even be listed.
    pub async fn tick(&self, deadline: Instant) -> Result<Swept, store::Error> {
        let started = Instant::now();
        let deadline = deadline.min(started + self.limits.tick);
        let listing = timeout_at(deadline, self.archive.pending(MOST_KEYS)).await;
        let listing = listing.unwrap_or(Err(store::Error::Incomplete {
            operation: "ListObjectsV2",
            missing: "an end in time",
        }))?;
        let (mut events, mut orphans) = (Vec::new(), Vec::new());
        for folder in self.folders(listing) {
            match folder.event {
                Some(event) => events.push(event),
                None => orphans.extend(folder.records),
            }
        }
        let oldest = events.iter().filter_map(|event| event.last_modified).min();
        let oldest = oldest
            .and_then(|stored| clock::now().duration_since(stored).ok())
            .unwrap_or_default();
        let hours_left = self.oldest_source(&events).map(hours_left);
        Measured::tick(events.len(), hours_left).say();
        let mut swept = Swept {
            pending: events.len(),
            finished: 0,
            oldest_seconds: oldest.as_secs(),
        };

        let mut working = JoinSet::new();
        let mut waiting = Waiting {
            events: events.into(),
            turn: 0,
        };
        loop {
            while working.len() < self.limits.events_at_once
                && Instant::now() < deadline
                && let Some(event) = waiting.take()
            {
                let share = self.share(deadline, waiting.events.len() + 1);
                // After its share, the time to read it and to write down how it ended.
                let end = share + 2 * self.limits.conclusion;
                let work = finish(Arc::clone(&self.archive), event.key, share);
                working.spawn(timeout_at(end, work.in_current_span()));
            }
            match working.join_next().await {
                None => break,
                Some(Ok(Ok(outcome))) => swept.finished += usize::from(outcome.is_final()),
                Some(Ok(Err(_))) => warn!("S3 took too long over a pending event"),
                Some(Err(_)) => error!("a pending event's work broke off"),
            }
        }
        for record in orphans {
            let ended = timeout_at(deadline, self.archive.end_orphan(&record));
            if let Ok(Err(error)) = ended.await {
                warn!(key = %record, error = chain(&error), "a record that was left over could not be ended");
            }
        }
        info!(
            pending = swept.pending,
            finished = swept.finished,
            oldest_seconds = swept.oldest_seconds,
            milliseconds = clock::milliseconds(started),
            "tick"
        );
        Ok(swept)
    }

    /// The folders under `pending/` in the order of their keys, which is that of their age.
    fn folders(&self, listing: Listing) -> impl Iterator<Item = Folder> + use<> {
        let mut folders: BTreeMap<String, Folder> = BTreeMap::new();
        let layout = self.archive.layout();
        for object in listing.objects {
            let Some(place) = layout.place(Bucket::Work, &object.key) else {
                continue;
            };
            let folder = folders.entry(place.folder.to_owned()).or_default();
            match place.kind {
                Kind::PendingEvent { .. } => folder.event = Some(object),
                Kind::Record(_) => {
                    let record = layout.listed(Bucket::Work, &object.key);
                    folder.records.extend(record);
                }
                _ => {}
            }
        }
        if !listing.whole {
            // The listing ends somewhere within it.
            folders.pop_last();
        }
        folders.into_values()
    }

    /// The age of the oldest event, which is about that of its recording at ACS.
    fn oldest_source(&self, events: &[Listed]) -> Option<Duration> {
        let now = clock::now();
        let age = |event: &Listed| {
            let told = match self.archive.layout().place(Bucket::Work, &event.key)?.kind {
                Kind::PendingEvent { time, .. } => time.map(|time| time.age(now)),
                _ => None,
            };
            let kept = event
                .last_modified
                .and_then(|at| now.duration_since(at).ok());
            told.max(kept)
        };
        events.iter().filter_map(age).max()
    }

    /// The end of an event's share of the time, `waiting` events before `deadline`.
    fn share(&self, deadline: Instant, waiting: usize) -> Instant {
        let left = deadline.saturating_duration_since(Instant::now());
        let turns =
            u32::try_from(waiting.div_ceil(self.limits.events_at_once.max(1))).unwrap_or(u32::MAX);
        let share = (left / turns.max(1)).max(self.limits.tick_share);
        deadline.min(Instant::now() + share)
    }
}

/// The hours for which ACS keeps the source of an event of this age; negative when they are over.
fn hours_left(age: Duration) -> f64 {
    (EXPIRY.as_secs_f64() - age.as_secs_f64()) / 3600.0
}

/// The events that have not had a turn yet, oldest first.
struct Waiting {
    events: VecDeque<Listed>,
    turn: usize,
}

impl Waiting {
    /// The oldest and, every second turn, one at random: where the oldest use up their shares to no end, and there is no
    /// time for all, it is not always the same that go without.
    fn take(&mut self) -> Option<Listed> {
        self.turn += 1;
        if self.turn.is_multiple_of(2) && !self.events.is_empty() {
            self.events.remove(fastrand::usize(..self.events.len()))
        } else {
            self.events.pop_front()
        }
    }
}

/// Takes one pending event as far as it gets until `deadline`.
async fn finish(archive: Arc<Archive>, key: String, deadline: Instant) -> Outcome {
    let Some(key) = archive.layout().listed(Bucket::Work, &key) else {
        return Outcome::Suspended;
    };
    match try_finish(&archive, &key, deadline).await {
        Ok(outcome) => outcome,
        Err(error) => {
            warn!(key = %key, error = chain(&error), "a pending event could not be read or cleared");
            Outcome::Suspended
        }
    }
}

async fn try_finish(
    archive: &Archive,
    key: &Key,
    deadline: Instant,
) -> Result<Outcome, store::Error> {
    // Deleted since it was listed: another run has finished it.
    let Some(event) = archive.read_pending(key).await? else {
        return Ok(Outcome::AlreadyArchived);
    };
    let outcome = match event_grid::recording(&event.bytes) {
        Ok(recording) => {
            archive
                .archive(&recording, Order::FromBack, deadline)
                .await
                .outcome
        }
        Err(reason) => {
            let text = String::from_utf8_lossy(&event.bytes);
            // What is not even JSON is kept as a string.
            let raw = RawValue::from_string(text.clone().into_owned()).or_else(|_| {
                RawValue::from_string(serde_json::Value::from(text.into_owned()).to_string())
            });
            match raw {
                Ok(raw) => {
                    archive
                        .set_aside("", &raw, &reason.to_string(), deadline)
                        .await
                        .outcome
                }
                Err(_) => Outcome::Suspended,
            }
        }
    };
    if outcome.is_final() {
        archive.end_pending(key).await?;
    }
    Ok(outcome)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_kept_for_a_day() {
        for (age, hours) in [(0, 24.0), (13, 11.0), (25, -1.0)] {
            let left = hours_left(Duration::from_hours(age));
            assert!((left - hours).abs() < 1e-9, "{left}");
        }
    }
}
