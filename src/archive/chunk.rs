//! The copying of one chunk: media and metadata, independently of each other.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::time::{Instant, timeout_at};
use tracing::{error, info, warn};

use super::copied::{Chunks, Copied, CopiedChunk};
use super::event::KeyedRecording;
use super::work::Work;
use crate::acs::{InvalidSource, Source};
use crate::clock;
use crate::error_chain::error_chain;
use crate::finality::{Ages, Failure};
use crate::keys::Key;
use crate::metrics::{Measured, Metric};
use crate::outcome::Outcome;
use crate::recording::{Chunk, EventId};
use crate::store::{JSON, Object, Origin};
use crate::transfer::{self, Archived, Lane, Progress, Task, Transfers};

/// A chunk after a run, and the work of the run on it.
#[derive(Debug)]
pub(super) struct Attempted {
    chunk: CopiedChunk,
    bytes: u64,
    parts: u32,
}

impl Chunks {
    pub(super) fn add(&mut self, attempted: Attempted) {
        self.copied.push(attempted.chunk);
        self.bytes += attempted.bytes;
        self.parts += attempted.parts;
    }
}

/// The copying of one chunk.
pub(super) struct ChunkCopy {
    transfers: Transfers,
    event_id: EventId,
    chunk: Chunk,
    media: ObjectCopy,
    metadata: ObjectCopy,
    lane: Lane,
    ages: Ages,
}

/// The copying of one object of a chunk.
struct ObjectCopy {
    key: Key,
    task: Result<Arc<Task>, InvalidSource>,
    progress: Arc<Progress>,
}

/// The objects of a chunk after a run, or the failures.
struct Objects {
    media: Result<Archived, Failure>,
    metadata: Result<Archived, Failure>,
}

impl Objects {
    fn outcome(&self, ages: Ages) -> Outcome {
        match (&self.media, &self.metadata) {
            (Ok(media), Ok(metadata)) if media.already && metadata.already => {
                Outcome::AlreadyArchived
            }
            (Ok(_), Ok(_)) => Outcome::Archived,
            (media, metadata) => {
                let failures = [media.as_ref().err(), metadata.as_ref().err()];
                let mut failures = failures.into_iter().flatten();
                if failures.all(|failure| failure.is_final(ages, None)) {
                    Outcome::SetAside
                } else {
                    Outcome::Suspended
                }
            }
        }
    }

    /// The objects that this run made.
    fn made(&self) -> impl Iterator<Item = &Object> {
        let there = [&self.media, &self.metadata].into_iter().flatten();
        let made = there.filter(|archived| !archived.already);
        made.map(|archived| &archived.object)
    }
}

impl ChunkCopy {
    pub(super) fn new(work: Work<'_>, chunk: &Chunk, ages: Ages) -> Self {
        let Work { archive, event, .. } = work;
        let KeyedRecording { recording, keys } = &event.recorded;
        let copy = |source: Result<Source, InvalidSource>, key: Key, location, content_type| {
            let task = source.map(|source| Task {
                key: key.clone(),
                record: keys.record(chunk),
                source,
                origin: Arc::new(Origin {
                    document_id: chunk.key_id().into_owned(),
                    location,
                }),
                content_type,
                order: work.order,
                first: event.first,
            });
            ObjectCopy {
                key,
                task: task.map(Arc::new),
                progress: Arc::default(),
            }
        };
        Self {
            transfers: archive.transfers.clone(),
            event_id: recording.event_id.clone(),
            chunk: chunk.clone(),
            media: copy(
                archive.acs.media(chunk),
                keys.media(chunk),
                keys.media_location(chunk),
                recording.format.content_type(),
            ),
            metadata: copy(
                archive.acs.metadata(chunk),
                keys.metadata(chunk),
                keys.metadata_location(chunk),
                JSON,
            ),
            lane: work.lane.clone(),
            ages,
        }
    }

    /// Copies the chunk, until its end or the deadline of the run.
    pub(super) async fn run(self) -> Attempted {
        let started = Instant::now();
        let (media, metadata) = tokio::join!(self.copy_media(), self.copy_metadata());
        let objects = Objects { media, metadata };
        let outcome = objects.outcome(self.ages);
        self.log("media", objects.media.as_ref().err());
        self.log("metadata", objects.metadata.as_ref().err());
        self.measure(outcome, &objects);
        let (media, metadata) = (&self.media.progress, &self.metadata.progress);
        let (bytes, fetched) = (
            media.bytes.bytes() + metadata.bytes.bytes(),
            media.fetched.load(Ordering::Relaxed),
        );
        info!(
            event = %self.event_id,
            index = self.chunk.index,
            document = %self.chunk.key_id(),
            outcome = outcome.name(),
            size = objects.media.as_ref().ok().map(|archived| archived.object.size),
            bytes,
            parts_planned = media.planned.load(Ordering::Relaxed),
            parts_reused = media.reused.load(Ordering::Relaxed),
            parts_fetched = fetched,
            milliseconds = clock::milliseconds(started),
            "work on chunk ended"
        );
        let parts = fetched + objects.made().map(|_| 1).sum::<u32>();
        Attempted {
            chunk: CopiedChunk {
                chunk: self.chunk,
                media: self.media.ended(objects.media),
                metadata: self.metadata.ended(objects.metadata),
                check: None,
            },
            bytes,
            parts,
        }
    }

    async fn copy_media(&self) -> Result<Archived, Failure> {
        let ObjectCopy { task, progress, .. } = &self.media;
        let task = task.as_ref().map_err(|error| *error)?;
        let copied = self.transfers.media(&self.lane, task, progress);
        self.in_time(copied, progress).await
    }

    async fn copy_metadata(&self) -> Result<Archived, Failure> {
        let ObjectCopy { task, progress, .. } = &self.metadata;
        let task = task.as_ref().map_err(|error| *error)?;
        let copied = self.transfers.metadata(&self.lane, task, progress);
        self.in_time(copied, progress).await
    }

    fn measure(&self, outcome: Outcome, objects: &Objects) {
        let counted = match outcome {
            Outcome::Archived => Measured::once(Metric::ChunksArchived),
            Outcome::AlreadyArchived => Measured::once(Metric::ChunksAlreadyArchived),
            Outcome::Suspended => Measured::once(Metric::ChunksSuspended),
            // The rejection counts these, once all chunks of the recording are final.
            Outcome::SetAside | Outcome::Ignored | Outcome::Unstored => Measured::default(),
        };
        let progress = [&self.media.progress, &self.metadata.progress];
        let fetched = progress.map(|progress| progress.bytes.bytes());
        let reused = progress.map(|progress| progress.bytes_reused());
        let archived = objects.made().map(|object| object.size);
        counted
            .and_count(Metric::BytesArchived, archived.sum())
            .and_count(Metric::BytesFetched, fetched.iter().sum())
            .and_count(Metric::BytesReused, reused.iter().sum())
            .emit();
    }

    /// Copies an object until the deadline of the run. A source that sends everything in one reply
    /// has to start again in the next run, so being late is another failure there.
    async fn in_time(
        &self,
        copied: impl Future<Output = Result<Archived, transfer::Error>>,
        progress: &Progress,
    ) -> Result<Archived, Failure> {
        match timeout_at(self.lane.run().deadline(), copied).await {
            Ok(copied) => Ok(copied?),
            Err(_) if progress.streams.load(Ordering::Relaxed) => {
                Err(transfer::Error::StreamTooLong.into())
            }
            Err(_) => Err(Failure::OutOfTime),
        }
    }

    /// Logs the failure of an object; nothing else logs it.
    fn log(&self, what: &str, failure: Option<&Failure>) {
        let Some(failure) = failure else { return };
        let (event, index, error) = (&self.event_id, self.chunk.index, error_chain(failure));
        if failure.is_final(self.ages, None) {
            error!(%event, index, error, "{what} cannot be archived");
        } else {
            warn!(%event, index, error, "{what} is not archived yet");
        }
    }
}

impl ObjectCopy {
    fn ended(self, result: Result<Archived, Failure>) -> Copied {
        Copied {
            key: self.key,
            result: result.map(|archived| archived.object),
        }
    }
}
