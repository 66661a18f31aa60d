//! The conclusion of a run on one event: manifest, rejection, or left for the next run.

use std::time::Duration;

use tokio::time::timeout_at;
use tracing::{error, warn};

use super::claim::{Claim, Unfinished};
use super::copied::{Chunks, CopiedChunk};
use super::pending::{Pending, StoredEvent};
use super::{Archive, within};
use crate::clock;
use crate::documents::{Manifest, to_json};
use crate::error_chain::error_chain;
use crate::finality::{Ages, Failure};
use crate::keys::Key;
use crate::metrics::{Measured, Metric};
use crate::outcome::Outcome;
use crate::recording::Recording;
use crate::store::{self, JSON, Written};
use crate::transfer::{Lane, LastPart, UploadedParts};

/// The longest pause before another attempt that fetches everything again.
const LONGEST_PAUSE: Duration = Duration::from_hours(6);
/// The characters of a failure's text that are kept beside the event.
const LONGEST_FAILURE: usize = 1000;

/// The end of a run on one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Conclusion {
    pub(super) outcome: Outcome,
    /// `true` if a fault on our side has kept it from its end: S3, KMS, permissions, credentials.
    pub(super) ours: bool,
}

/// The state of a recording after a run.
enum Verdict {
    Finished(Outcome),
    /// A later run goes on.
    Unfinished,
}

impl Archive {
    /// Writes the manifest, or the rejection where nothing more can be done; then the event is no
    /// longer pending. Else releases the event to the next run.
    pub(super) async fn conclude(
        &self,
        recording: &Recording,
        pending: Pending,
        chunks: &Chunks,
        lane: &Lane,
    ) -> Conclusion {
        let id = &recording.event_id;
        let deadline = lane.run().deadline() + self.limits.conclusion;
        let verdict = within(deadline, self.verdict(recording, &pending.event, chunks)).await;
        let (outcome, fault) = match verdict {
            Ok(Verdict::Finished(outcome)) => {
                let Pending { event, claim } = pending;
                match within(deadline, self.clear_pending(claim, &event.key)).await {
                    Ok(()) => (outcome, None),
                    Err(fault) => (Outcome::Suspended, Some(error_chain(&fault))),
                }
            }
            Ok(Verdict::Unfinished) => {
                let left = chunks.left(lane, pending.event.ages(recording));
                self.release(pending, left, lane).await;
                (Outcome::Suspended, None)
            }
            Err(fault) => {
                let fault = error_chain(&fault);
                let left = Unfinished {
                    failure: Some(fault.clone()),
                    ..Unfinished::default()
                };
                self.release(pending, left, lane).await;
                (Outcome::Suspended, Some(fault))
            }
        };
        if let Some(error) = &fault {
            warn!(event = %id, error, "event is left unfinished");
        }
        let ours = fault.is_some() || chunks.failures().any(Failure::is_ours);
        Conclusion {
            outcome,
            ours: ours && !outcome.is_final(),
        }
    }

    async fn verdict(
        &self,
        recording: &Recording,
        event: &StoredEvent,
        chunks: &Chunks,
    ) -> Result<Verdict, store::Error> {
        let keys = &event.keys;
        if let Some(manifest) = chunks.manifest(recording) {
            // Before the manifest: once it is there, no other run looks at the media again.
            measure_doubts(recording, &manifest);
            let (key, json) = (keys.manifest(), to_json(&manifest));
            let outcome = match self.store.create(&key, json, JSON, None).await? {
                Written::Here(_) => Outcome::Archived,
                Written::Taken if self.has_manifest(recording, keys).await? => {
                    Outcome::AlreadyArchived
                }
                Written::Taken => self.reject_unmanifested(recording, keys, chunks).await?,
            };
            return Ok(Verdict::Finished(outcome));
        }
        let ages = event.ages(recording);
        if !chunks
            .failures()
            .all(|failure| failure.is_final(ages, None))
        {
            return Ok(Verdict::Unfinished);
        }
        let Some(kept) = self.kept(event, chunks, ages).await? else {
            return Ok(Verdict::Unfinished);
        };
        let rejection = to_json(&chunks.rejection(recording, &kept));
        let key = keys.rejection();
        self.keep_rejection(recording, keys, rejection).await?;
        // Also if there is one already: it may be this run's own, its answer lost, or one of a day
        // that was forgotten.
        measure_rejection(&chunks.copied);
        let id = &recording.event_id;
        error!(event = %id, key = %key, "recording cannot be archived whole");
        Ok(Verdict::Finished(Outcome::SetAside))
    }

    /// The parts that S3 holds of each chunk whose media failed, in the order of the chunks; `None`
    /// if S3 has taken one so lately that there is still hope.
    async fn kept(
        &self,
        event: &StoredEvent,
        chunks: &Chunks,
        ages: Ages,
    ) -> Result<Option<Vec<Option<UploadedParts>>>, store::Error> {
        let mut all = Vec::with_capacity(chunks.copied.len());
        for copied in &chunks.copied {
            let Err(failure) = &copied.media.result else {
                all.push(None);
                continue;
            };
            let record = event.keys.record(&copied.chunk);
            let kept = self
                .transfers
                .uploaded_parts(&copied.media.key, &record)
                .await?;
            let last_part = kept.as_ref().and_then(|kept| kept.last_part);
            let age = last_part.and_then(|at| clock::now().duration_since(at).ok());
            let age = last_part.map(|_| age.unwrap_or(Duration::ZERO));
            if !failure.is_final(ages, age) {
                return Ok(None);
            }
            all.push(kept);
        }
        Ok(Some(all))
    }

    /// Makes an event no longer pending. The event goes last, so that whatever fails before leaves it
    /// to be finished; that another tick may take it in between costs two calls.
    pub(super) async fn clear_pending(
        &self,
        claim: Claim,
        event: &Key,
    ) -> Result<(), store::Error> {
        claim.end().await?;
        self.store.delete(event).await
    }

    /// Leaves the event to the next run. If that cannot be written, the next run comes later.
    async fn release(&self, pending: Pending, left: Unfinished, lane: &Lane) {
        let end = lane.run().deadline() + self.limits.conclusion + self.limits.release;
        let key = pending.event.key;
        match timeout_at(end, pending.claim.release(left)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                warn!(%key, error = error_chain(&error), "a claim could not be released");
            }
            Err(_) => warn!(%key, "a claim could not be released in time"),
        }
    }
}

impl Chunks {
    /// The state in which an unfinished event is left.
    fn left(&self, lane: &Lane, ages: Ages) -> Unfinished {
        let mut failures = self.copied.iter().flat_map(|copied| {
            let index = copied.chunk.index;
            let media = copied.media.result.as_ref().err();
            let metadata = copied.metadata.result.as_ref().err();
            [("media", media), ("metadata", metadata)]
                .into_iter()
                .filter_map(move |(what, failure)| Some((index, what, failure?)))
        });
        let telling = failures
            .find(|(_, _, failure)| !failure.is_out_of_time() || failure.costs_everything());
        let failure = telling.map(|(index, what, failure)| {
            let text = format!("chunk {index}, {what}: {}", error_chain(failure));
            text.chars().take(LONGEST_FAILURE).collect()
        });
        let asked = self.failures().filter_map(Failure::retry_after).max();
        let (pause, at_once) = match lane.run().last_part() {
            // The schedule has more time than a delivery had.
            LastPart::Dropped => (None, true),
            // The pause doubles, so that all attempts together cost a few times the recording.
            LastPart::Kept if self.failures().any(Failure::costs_everything) => {
                (Some(ages.stored().min(LONGEST_PAUSE)), false)
            }
            // A run that gained nothing for want of time would gain nothing at once.
            LastPart::Kept => (None, failure.is_none() && self.parts > 0),
        };
        Unfinished {
            at_once: at_once && asked.is_none(),
            failure,
            retry_after: asked.max(pause),
        }
    }
}

/// Counts and logs a recording whose media is doubtful.
fn measure_doubts(recording: &Recording, manifest: &Manifest<'_>) {
    let Some(check) = &manifest.check else { return };
    let Some(doubt) = check.doubts.first() else {
        return;
    };
    Measured::once(Metric::MediaDoubtful).emit();
    let (id, doubts) = (&recording.event_id, check.doubts.len());
    warn!(event = %id, doubts, doubt, "media is doubtful");
}

/// Counts a rejection, and the chunks that it is about.
fn measure_rejection(chunks: &[CopiedChunk]) {
    let failed = |copied: &CopiedChunk, is: &dyn Fn(&Failure) -> bool| {
        let results = [&copied.media.result, &copied.metadata.result];
        let mut failures = results
            .into_iter()
            .filter_map(|result| result.as_ref().err());
        failures.any(is)
    };
    let count = |is: &dyn Fn(&Failure) -> bool| {
        chunks.iter().filter(|copied| failed(copied, is)).count() as u64
    };
    let (all, expired) = (count(&|_| true), count(&Failure::is_expiry));
    Measured::once(match expired {
        0 => Metric::RecordingsRejected,
        _ => Metric::RecordingsExpired,
    })
    .and_count(Metric::ChunksExpired, expired)
    .and_count(Metric::ChunksRejected, all - expired)
    .emit();
}
