//! The work of one run on one stored event: its chunks, side by side.

use std::panic::resume_unwind;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tracing::Instrument as _;

use super::Archive;
use super::chunk::ChunkCopy;
use super::copied::Chunks;
use super::event::StoredEvent;
use crate::transfer::{Lane, Order};

/// The work of one run on one stored event.
#[derive(Clone, Copy, Debug)]
pub(super) struct Work<'a> {
    pub(super) archive: &'a Archive,
    pub(super) event: &'a StoredEvent,
    pub(super) order: Order,
    pub(super) lane: &'a Lane,
}

impl Work<'_> {
    /// Copies the chunks, then examines the media once all of them are there.
    pub(super) async fn copy(self) -> Chunks {
        let mut chunks = self.copy_chunks().await;
        self.check_media(&mut chunks).await;
        chunks
    }

    pub(super) fn deadline(self) -> Instant {
        self.lane.run().deadline()
    }

    async fn copy_chunks(self) -> Chunks {
        // If time runs out, the run goes on with the cached key.
        let _ = timeout_at(self.deadline(), self.archive.acs.renew()).await;
        // All chunks are judged by the same ages.
        let ages = self.event.ages();
        let mut copying = JoinSet::new();
        let mut chunks = Chunks::default();
        let mut waiting = self.event.recorded.recording.chunks.iter();
        loop {
            while copying.len() < self.archive.limits.chunks_at_once
                && let Some(chunk) = waiting.next()
            {
                let copy = ChunkCopy::new(self, chunk, ages);
                copying.spawn(copy.run().in_current_span());
            }
            match copying.join_next().await {
                None => break,
                Some(Ok(copied)) => chunks.add(copied),
                // The panic goes on in the task of the event, whose owner reports it.
                Some(Err(error)) => {
                    if let Ok(panic) = error.try_into_panic() {
                        resume_unwind(panic)
                    }
                }
            }
        }
        chunks.sort();
        chunks
    }
}
