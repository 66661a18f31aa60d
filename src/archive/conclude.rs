//! The end of a run on one event: a manifest, a rejection, or an event released to the next run.

use std::time::Duration;

use tokio::time::timeout_at;
use tracing::{error, warn};

use super::claim::{Claim, Unfinished};
use super::copied::{Chunks, CopiedChunk};
use super::work::Work;
use super::{Archive, within};
use crate::clock;
use crate::documents::{Manifest, to_json};
use crate::error_chain::error_chain;
use crate::finality::{Ages, Failure};
use crate::keys::Key;
use crate::metrics::{Measured, Metric};
use crate::outcome::Outcome;
use crate::store::{self, JSON, Written};
use crate::transfer::{LastPart, UploadedParts};

/// The longest pause before an attempt that fetches everything again.
const LONGEST_PAUSE: Duration = Duration::from_hours(6);
/// The most characters of a failure that `attempt.json` keeps.
const LONGEST_FAILURE: usize = 1000;

/// The end of a run on one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Conclusion {
    pub(super) outcome: Outcome,
    /// `true` if a fault on our side (S3, KMS, permissions, credentials) kept the event from its
    /// end.
    pub(super) ours: bool,
}

/// The state of a recording after a run.
enum Verdict {
    Finished(Outcome),
    /// A later run continues.
    Unfinished,
}

impl Work<'_> {
    /// Writes the manifest, or the rejection if no later attempt can help, and deletes the pending
    /// event. Otherwise releases the event to the next run.
    ///
    /// The document is written first and the event is deleted last, so that nothing acknowledged is
    /// lost: a run that ends between two steps leaves the event pending for the next run.
    pub(super) async fn conclude(self, claim: Claim, chunks: &Chunks) -> Conclusion {
        let deadline = self.deadline() + self.archive.limits.conclusion;
        let verdict = within(deadline, self.verdict(chunks)).await;
        let (outcome, fault) = match verdict {
            Ok(Verdict::Finished(outcome)) => {
                let cleared = self.archive.clear_pending(claim, &self.event.key);
                match within(deadline, cleared).await {
                    Ok(()) => (outcome, None),
                    Err(fault) => (Outcome::Suspended, Some(error_chain(&fault))),
                }
            }
            Ok(Verdict::Unfinished) => {
                self.release(claim, self.unfinished(chunks)).await;
                (Outcome::Suspended, None)
            }
            Err(fault) => {
                let fault = error_chain(&fault);
                let left = Unfinished {
                    failure: Some(fault.clone()),
                    ..Unfinished::default()
                };
                self.release(claim, left).await;
                (Outcome::Suspended, Some(fault))
            }
        };
        if let Some(error) = &fault {
            warn!(event = %self.event.recorded.id(), error, "event is left unfinished");
        }
        let ours = fault.is_some() || chunks.failures().any(Failure::is_ours);
        Conclusion {
            outcome,
            ours: ours && !outcome.is_final(),
        }
    }

    /// Writes the document that ends the recording, if its chunks allow one.
    async fn verdict(self, chunks: &Chunks) -> Result<Verdict, store::Error> {
        let recorded = &self.event.recorded;
        let documents = self.archive.documents(recorded);
        if let Some(manifest) = chunks.manifest(&recorded.recording) {
            // Counted before the manifest is written. Once it is there, no other run examines the
            // media again, and a count that came later could be lost with this process.
            self.measure_doubts(&manifest);
            let (key, json) = (recorded.keys.manifest(), to_json(&manifest));
            let written = self.archive.store.create(&key, json, JSON, None);
            let outcome = match written.await? {
                Written::Here(_) => Outcome::Archived,
                Written::Taken if documents.has_manifest().await? => Outcome::AlreadyArchived,
                Written::Taken => documents.reject_unmanifested(chunks).await?,
            };
            return Ok(Verdict::Finished(outcome));
        }
        // The ages of the event alone decide first, without a call to S3. Only then are parts
        // listed, since a source that still sends parts is not given up.
        let ages = self.event.ages();
        if !chunks
            .failures()
            .all(|failure| failure.is_final(ages, None))
        {
            return Ok(Verdict::Unfinished);
        }
        let Some(uploaded) = self.uploaded_parts(chunks, ages).await? else {
            return Ok(Verdict::Unfinished);
        };
        let rejection = to_json(&chunks.rejection(&recorded.recording, &uploaded));
        documents.write_rejection(rejection).await?;
        // Counted also if the rejection was there before: it may be this run's own, after a lost
        // answer, or one of an earlier day that nobody has attended to.
        measure_rejection(&chunks.copied);
        let key = recorded.keys.rejection();
        error!(event = %recorded.id(), %key, "recording cannot be archived whole");
        Ok(Verdict::Finished(Outcome::SetAside))
    }

    /// The parts that S3 holds of each chunk whose media failed, in the order of the chunks. `None`
    /// if S3 has received a part so recently that the failure is not final.
    async fn uploaded_parts(
        self,
        chunks: &Chunks,
        ages: Ages,
    ) -> Result<Option<Vec<Option<UploadedParts>>>, store::Error> {
        let mut all = Vec::with_capacity(chunks.copied.len());
        for copied in &chunks.copied {
            let Err(failure) = &copied.media.result else {
                all.push(None);
                continue;
            };
            let record = self.event.recorded.keys.record(&copied.chunk);
            let (transfers, key) = (&self.archive.transfers, &copied.media.key);
            let uploaded = transfers.uploaded_parts(key, &record).await?;
            let last_part = uploaded.as_ref().and_then(|uploaded| uploaded.last_part);
            let age = last_part.and_then(|at| clock::now().duration_since(at).ok());
            // If the clocks disagree, the part may be of the future. Then its age is zero.
            let age = last_part.map(|_| age.unwrap_or(Duration::ZERO));
            if !failure.is_final(ages, age) {
                return Ok(None);
            }
            all.push(uploaded);
        }
        Ok(Some(all))
    }

    /// Releases the event to the next run. If S3 refuses the write, the claim runs out instead, and
    /// the next run starts later.
    async fn release(self, claim: Claim, left: Unfinished) {
        let limits = &self.archive.limits;
        let end = self.deadline() + limits.conclusion + limits.release;
        let key = &self.event.key;
        match timeout_at(end, claim.release(left)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                warn!(%key, error = error_chain(&error), "claim could not be released");
            }
            Err(_) => warn!(%key, "claim could not be released in time"),
        }
    }

    /// The state in which this run leaves an unfinished event.
    fn unfinished(self, chunks: &Chunks) -> Unfinished {
        let mut failures = chunks.copied.iter().flat_map(|copied| {
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
        let asked = chunks.failures().filter_map(Failure::retry_after).max();
        let (pause, at_once) = match self.lane.run().last_part() {
            // A run of the schedule has more time than a delivery had, so it may start at once.
            LastPart::Dropped => (None, true),
            // A pause as long as the event is old doubles from one attempt to the next, so that all
            // attempts together cost a small multiple of the recording.
            LastPart::Kept if chunks.failures().any(Failure::costs_everything) => {
                (Some(self.event.ages().stored().min(LONGEST_PAUSE)), false)
            }
            // A run that ran out of time, but stored parts, may continue at once. One that stored
            // none would store none again.
            LastPart::Kept => (None, failure.is_none() && chunks.parts > 0),
        };
        Unfinished {
            at_once: at_once && asked.is_none(),
            failure,
            retry_after: asked.max(pause),
        }
    }

    /// Logs and counts a recording with doubtful media.
    fn measure_doubts(self, manifest: &Manifest<'_>) {
        let Some(check) = &manifest.check else { return };
        let Some(doubt) = check.doubts.first() else {
            return;
        };
        Measured::once(Metric::MediaDoubtful).emit();
        let (id, doubts) = (self.event.recorded.id(), check.doubts.len());
        warn!(event = %id, doubts, doubt, "media is doubtful");
    }
}

impl Archive {
    /// Deletes the claim, then the pending event. The event goes last, so that after a failure the
    /// next run finds it and finishes the work. A tick that claims it in between costs two calls.
    pub(super) async fn clear_pending(
        &self,
        claim: Claim,
        event: &Key,
    ) -> Result<(), store::Error> {
        claim.end().await?;
        self.store.delete(event).await
    }
}

/// Counts a rejection and its chunks.
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
