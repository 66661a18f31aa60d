//! The recording of one event with its keys, before and after the event is stored.

use std::time::SystemTime;

use tokio::time::Instant;
use tracing::info;

use crate::clock;
use crate::finality::Ages;
use crate::keys::{Key, Layout, RecordingKeys};
use crate::metrics::Measured;
use crate::outcome::{Outcome, Report};
use crate::recording::{EventId, Recording};

/// A recording and the keys that its event gives it.
#[derive(Debug)]
pub(super) struct KeyedRecording {
    pub(super) recording: Box<Recording>,
    pub(super) keys: RecordingKeys,
}

/// A recording whose event is stored.
#[derive(Debug)]
pub(super) struct StoredEvent {
    pub(super) recorded: KeyedRecording,
    /// The key that the event was found under.
    pub(super) key: Key,
    /// The time at which the event was stored, by S3's clock.
    pub(super) since: SystemTime,
    /// `true` if nothing can have been left by an earlier run.
    pub(super) first: bool,
}

impl KeyedRecording {
    pub(super) fn new(recording: Box<Recording>, layout: &Layout) -> Self {
        let keys = layout.keys(&recording);
        Self { recording, keys }
    }

    pub(super) fn id(&self) -> &EventId {
        &self.recording.event_id
    }

    /// Logs and measures the end of a run that began at `started`.
    pub(super) fn report(&self, outcome: Outcome, bytes: u64, started: Instant) -> Report {
        let lag = self.recording.event_time;
        let lag = lag.map(|time| time.age(clock::now()));
        Measured::recording(outcome, lag, started.elapsed(), bytes).emit();
        info!(
            event = %self.id(),
            call = %self.recording.call_id(),
            outcome = outcome.name(),
            chunks = self.recording.chunks.len(),
            bytes,
            milliseconds = clock::milliseconds(started),
            "work on event ended"
        );
        Report {
            id: self.id().to_string(),
            outcome,
            bytes,
        }
    }
}

impl StoredEvent {
    pub(super) fn ages(&self) -> Ages {
        Ages::new(self.recorded.recording.time(), self.since, clock::now())
    }
}
