//! One chunk on its way: media and metadata, independently of one another.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::time::{Instant, timeout_at};
use tracing::{error, info, warn};

use super::Archive;
use super::copied::{Chunks, Copied, CopiedChunk};
use crate::acs::{InvalidSource, Source};
use crate::clock;
use crate::error_chain::error_chain;
use crate::finality::{Ages, Failure};
use crate::keys::{Key, RecordingKeys};
use crate::metrics::{Measured, Metric};
use crate::outcome::Outcome;
use crate::recording::{Chunk, EventId, Recording};
use crate::store::{JSON, Object, Origin};
use crate::transfer::{self, Archived, Lane, Order, Progress, Task, Transfers};

/// One chunk, as far as a run has got with it.
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
    media: Result<Arc<Task>, InvalidSource>,
    metadata: Result<Arc<Task>, InvalidSource>,
    media_key: Key,
    metadata_key: Key,
    lane: Lane,
    ages: Ages,
}

impl ChunkCopy {
    pub(super) fn new(
        archive: &Archive,
        recording: &Recording,
        keys: &RecordingKeys,
        chunk: &Chunk,
        (order, first): (Order, bool),
        lane: &Lane,
        ages: Ages,
    ) -> Self {
        let (media_key, metadata_key) = (keys.media(chunk), keys.metadata(chunk));
        let task = |key: &Key, source: Source, location: String, content_type| {
            let (key, record) = (key.clone(), keys.record(chunk));
            let origin = Arc::new(Origin {
                document_id: chunk.key_id().into_owned(),
                location,
            });
            Arc::new(Task {
                key,
                record,
                source,
                origin,
                content_type,
                order,
                first,
            })
        };
        let media = archive.acs.media(chunk);
        let metadata = archive.acs.metadata(chunk);
        Self {
            transfers: archive.transfers.clone(),
            event_id: recording.event_id.clone(),
            chunk: chunk.clone(),
            media: media.map(|source| {
                let location = keys.media_location(chunk);
                let content_type = recording.format.content_type();
                task(&media_key, source, location, content_type)
            }),
            metadata: metadata.map(|source| {
                let location = keys.metadata_location(chunk);
                task(&metadata_key, source, location, JSON)
            }),
            media_key,
            metadata_key,
            lane: lane.clone(),
            ages,
        }
    }

    /// Copies it, as far as the run gets.
    pub(super) async fn run(self) -> Attempted {
        let started = Instant::now();
        let progress = Arc::new(Progress::default());
        let metadata_progress = Arc::new(Progress::default());
        let media = async {
            let task = self.media.as_ref().map_err(|error| *error)?;
            let copied = self.transfers.media(&self.lane, task, &progress);
            self.in_time(copied, &progress).await
        };
        let metadata = async {
            let task = self.metadata.as_ref().map_err(|error| *error)?;
            let copied = self
                .transfers
                .metadata(&self.lane, task, &metadata_progress);
            self.in_time(copied, &metadata_progress).await
        };
        let (media, metadata) = tokio::join!(media, metadata);
        let outcome = match (&media, &metadata) {
            (Ok(media), Ok(metadata)) if media.already && metadata.already => {
                Outcome::AlreadyArchived
            }
            (Ok(_), Ok(_)) => Outcome::Archived,
            (media, metadata) => {
                let failures = [media.as_ref().err(), metadata.as_ref().err()];
                let all_final = failures
                    .into_iter()
                    .flatten()
                    .all(|failure| failure.is_final(self.ages, None));
                if all_final {
                    Outcome::SetAside
                } else {
                    Outcome::Suspended
                }
            }
        };
        self.log("media", media.as_ref().err());
        self.log("metadata", metadata.as_ref().err());
        Self::measure(outcome, &media, &metadata, [&progress, &metadata_progress]);
        let objects = [&media, &metadata].map(|made| made.as_ref().is_ok_and(|made| !made.already));
        let objects = objects.into_iter().map(u32::from).sum::<u32>();
        let media = media.map(|archived| archived.object);
        let metadata = metadata.map(|archived| archived.object);
        let fetched = progress.bytes.bytes() + metadata_progress.bytes.bytes();
        info!(
            event = %self.event_id,
            index = self.chunk.index,
            document = %self.chunk.key_id(),
            outcome = outcome.name(),
            size = media.as_ref().ok().map(|object: &Object| object.size),
            bytes = fetched,
            parts_planned = progress.planned.load(Ordering::Relaxed),
            parts_reused = progress.reused.load(Ordering::Relaxed),
            parts_fetched = progress.fetched.load(Ordering::Relaxed),
            milliseconds = clock::milliseconds(started),
            "chunk"
        );
        let copied = CopiedChunk {
            chunk: self.chunk,
            media: Copied {
                key: self.media_key,
                result: media,
            },
            metadata: Copied {
                key: self.metadata_key,
                result: metadata,
            },
            check: None,
        };
        Attempted {
            chunk: copied,
            bytes: fetched,
            parts: progress.fetched.load(Ordering::Relaxed) + objects,
        }
    }

    fn measure(
        outcome: Outcome,
        media: &Result<Archived, Failure>,
        metadata: &Result<Archived, Failure>,
        progress: [&Progress; 2],
    ) {
        let counted = match outcome {
            Outcome::Archived => Measured::once(Metric::ChunksArchived),
            Outcome::AlreadyArchived => Measured::once(Metric::ChunksAlreadyArchived),
            Outcome::Suspended => Measured::once(Metric::ChunksSuspended),
            // Counted with the rejection, when all of the recording's chunks are final.
            Outcome::SetAside | Outcome::Ignored | Outcome::Unstored => Measured::default(),
        };
        let made = [media, metadata]
            .into_iter()
            .flatten()
            .filter(|made| !made.already);
        let fetched = progress.map(|progress| progress.bytes.bytes());
        counted
            .and_count(
                Metric::BytesArchived,
                made.map(|made| made.object.size).sum(),
            )
            .and_count(Metric::BytesFetched, fetched.iter().sum())
            .and_count(
                Metric::BytesReused,
                progress.map(Progress::bytes_reused).iter().sum(),
            )
            .emit();
    }

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

    /// The one place that logs why an object is not there.
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
