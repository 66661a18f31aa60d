//! A source that fails in the middle of a recording. The second delivery must fetch only the parts
//! that S3 lacks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use acs_recording_archiver::plan::{PartNumber, Plan};
use bytes::Bytes;
use emulators::acs::{Acs, Fault, Kind};
use emulators::s3::S3;
use indicatif::HumanBytes;

use crate::deliveries::Delivery;
use crate::recordings::ExpectedChunk;
use crate::report::{detail, report};
use crate::run::Run;

/// A chunk of several parts whose source fails.
#[derive(Debug)]
pub(crate) struct Cut {
    chunk: ExpectedChunk,
    plan: Plan,
    part_size: u64,
    /// The parts in S3 after the first delivery.
    kept: BTreeSet<PartNumber>,
}

impl Cut {
    /// The chunks of more than one part, which alone can fail in the middle.
    pub(crate) fn of(chunks: &[ExpectedChunk], part_size: u64) -> Vec<Self> {
        let cuts = chunks.iter().filter_map(|chunk| {
            let plan = Plan::new(chunk.media.length(), part_size)?;
            (plan.count() > 1).then(|| Self {
                chunk: chunk.clone(),
                plan,
                part_size,
                kept: BTreeSet::new(),
            })
        });
        cuts.collect()
    }

    /// Makes the source answer 503 to every further range of these chunks once half of their ranges
    /// were requested.
    pub(crate) fn inject(cuts: &[Self], acs: &Acs) {
        let half = |cut: &Self| (cut.chunk.source_id.clone(), cut.plan.count() / 2);
        let most: BTreeMap<String, PartNumber> = cuts.iter().map(half).collect();
        let begun: Mutex<BTreeMap<String, BTreeSet<String>>> = Mutex::default();
        acs.inject(move |request| {
            let (id, range) = (request.document.as_ref()?, request.range.as_ref()?);
            let most = most.get(id).filter(|_| request.kind == Kind::Media)?;
            let mut begun = begun.lock().unwrap_or_else(PoisonError::into_inner);
            let begun = begun.entry(id.clone()).or_default();
            // Only new ranges fail: a part that was begun may be retried and must be completed.
            if begun.contains(range) || begun.len() < usize::try_from(*most).unwrap_or(usize::MAX) {
                begun.insert(range.clone());
                return None;
            }
            Some(Fault::Answer {
                status: 503,
                headers: vec![],
                body: Bytes::new(),
            })
        });
    }

    /// Notes the parts in S3 and describes them.
    pub(crate) fn note_kept(&mut self, s3: &S3) -> String {
        let uploads = s3.uploads();
        let parts = uploads
            .iter()
            .filter(|upload| upload.key == self.chunk.media_key)
            .flat_map(|upload| upload.parts.keys());
        self.kept = parts
            .filter_map(|number| (*number).try_into().ok())
            .collect();
        format!(
            "chunk {} of {}: kept {} of {} parts, {}",
            self.chunk.index,
            HumanBytes(self.chunk.media.length()),
            self.kept.len(),
            self.plan.count(),
            HumanBytes(self.bytes(&self.kept)),
        )
    }

    /// Describes the parts that were requested from the source since. Fails unless these are
    /// exactly the missing parts.
    pub(crate) fn check_fetched(&self, acs: &Acs) -> Result<String, String> {
        let asked: BTreeSet<PartNumber> = acs
            .requests()
            .iter()
            .filter(|request| {
                request.kind == Kind::Media
                    && request.document.as_ref() == Some(&self.chunk.source_id)
            })
            .filter_map(|request| self.part(request.range.as_deref()?))
            .collect();
        let missing: BTreeSet<_> = self
            .plan
            .numbers()
            .filter(|number| !self.kept.contains(number))
            .collect();
        let named = |what: String| format!("chunk {} {what}", self.chunk.document_id);
        if self.kept.is_empty() {
            return Err(named(
                "failed in the middle, but S3 kept no part".to_owned(),
            ));
        }
        if asked != missing {
            return Err(named(format!(
                "has kept the parts {:?} of {}: {missing:?} were missing, {asked:?} were \
                 requested, {:?} of them again",
                self.kept,
                self.plan.count(),
                asked.intersection(&self.kept).collect::<Vec<_>>(),
            )));
        }
        Ok(format!(
            "chunk {}: kept {}, fetched only the other {}, {}",
            self.chunk.index,
            self.kept.len(),
            asked.len(),
            HumanBytes(self.bytes(&asked)),
        ))
    }

    /// The part that a `Range` header requests.
    fn part(&self, range: &str) -> Option<PartNumber> {
        let first = range.strip_prefix("bytes=")?.split('-').next()?;
        let first: u64 = first.parse().ok()?;
        PartNumber::try_from(first / self.part_size + 1).ok()
    }

    fn bytes(&self, numbers: &BTreeSet<PartNumber>) -> u64 {
        let ranges = numbers.iter().map(|number| self.plan.range(*number));
        ranges.map(|range| range.end - range.start).sum()
    }
}

impl Run {
    /// Delivers twice: the source fails the first time. Returns `false` if the first answer has no
    /// outcomes, so that nothing was interrupted.
    pub(crate) async fn interrupt(
        &mut self,
        delivery: &Delivery,
        chunks: &[ExpectedChunk],
        mut cuts: Vec<Cut>,
    ) -> Result<bool, String> {
        let (acs, s3) = (self.embedded.acs.clone(), self.embedded.s3.clone());
        Cut::inject(&cuts, &acs);
        let reply = self.send(delivery, chunks).await?;
        report(delivery, &reply, &reply.summary(), &s3);
        acs.heal();
        if reply.outcomes().is_empty() {
            return Ok(false);
        }
        if reply.status != 503 {
            self.differ(delivery, "failed in the middle, but the answer is not 503");
        }
        for cut in &mut cuts {
            detail(&cut.note_kept(&s3));
        }
        acs.clear_requests();
        let again = delivery.again(1);
        let reply = self.send(&again, chunks).await?;
        report(&again, &reply, &format!("again: {}", reply.summary()), &s3);
        self.must_be_archived(&again, &reply);
        for cut in &cuts {
            match cut.check_fetched(&acs) {
                Ok(fetched) => detail(&fetched),
                Err(difference) => self.differ(delivery, &difference),
            }
        }
        Ok(true)
    }
}
