//! What a report says of each row of ACS's log.

use std::time::SystemTime;

use acs_recording_archiver::finality::EXPIRY;
use serde::Serialize;

use super::export::Row;
use super::outcome::{MatchedBy, Outcome, ready};
use super::{LoggedRecording, Reconciliation};
use crate::recordings::{State, day, iso};
use crate::report::{Entry, EntryKind, Report};
use crate::table::{several, span};

/// Log and event round a length differently.
const ROUNDING_MS: u64 = 1000;

/// The archive against ACS's log.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReconciliationReport {
    /// The name of the file.
    pub(crate) file: String,
    /// How many rows have come to what.
    pub(crate) totals: Totals,
    /// The rows, in the order of their starts.
    pub(crate) recordings: Vec<RowOutcome>,
}

/// A row, and what has become of its recording.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RowOutcome {
    /// The recording's id, as ACS's log has it.
    pub(crate) recording_id: Option<String>,
    /// When it started.
    pub(crate) started: Option<String>,
    /// How long it lasts, by ACS's log.
    pub(crate) length_ms: Option<u64>,
    /// The number of its chunks, by ACS's log.
    pub(crate) chunks: Option<u64>,
    /// The id by which ACS's tables are joined.
    pub(crate) correlation_id: Option<String>,
    /// What has become of it.
    pub(crate) outcome: Outcome,
    /// By what it was found in the archive.
    pub(crate) matched_by: Option<MatchedBy>,
    /// The manifests, rejections and events that are, or may be, of it.
    pub(crate) documents: Vec<String>,
    /// Until ACS deletes it, where it is not archived.
    pub(crate) seconds_left: Option<u64>,
}

/// How many rows have come to what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Totals {
    /// All of them.
    pub(crate) rows: u64,
    /// A manifest has all of it.
    pub(crate) archived: u64,
    /// It is being worked on.
    pub(crate) pending: u64,
    /// It could not be archived.
    pub(crate) rejected: u64,
    /// Its event was not understood.
    pub(crate) set_aside: u64,
    /// It is in the customer's own storage.
    pub(crate) exported: u64,
    /// The archive has nothing of it.
    pub(crate) never_archived: u64,
    /// It ended so lately that its event may be on its way.
    pub(crate) on_its_way: u64,
    /// ACS recorded no chunk.
    pub(crate) nothing_recorded: u64,
    /// No recording of the archive is surely it.
    pub(crate) unsure: u64,
    /// Rows of other days than those that are asked for, which are in no other number.
    pub(crate) outside: u64,
    /// Recordings of the archive of that time that are in no row.
    pub(crate) not_in_log: u64,
}

impl Totals {
    fn count(&mut self, outcome: Outcome) {
        self.rows += 1;
        *match outcome {
            Outcome::State(State::Archived) => &mut self.archived,
            Outcome::State(State::Pending) => &mut self.pending,
            Outcome::State(State::Rejected) => &mut self.rejected,
            Outcome::State(State::SetAside) => &mut self.set_aside,
            Outcome::State(State::Exported) => &mut self.exported,
            Outcome::NeverArchived => &mut self.never_archived,
            Outcome::OnItsWay => &mut self.on_its_way,
            Outcome::NothingRecorded => &mut self.nothing_recorded,
            Outcome::Unsure => &mut self.unsure,
        } += 1;
    }
}

impl Reconciliation {
    /// Adds to a report what has become of each row. The whole archive, or the days that the log is
    /// of, must have been entered.
    pub fn conclude(mut self, now: SystemTime, report: &mut Report) {
        self.match_by_start();
        let mut totals = Totals {
            outside: self.outside,
            ..Totals::default()
        };
        let mut recordings = Vec::with_capacity(self.logged.len());
        self.logged.sort_by_key(|logged| logged.row.started);
        for logged in &self.logged {
            let outcome = logged.outcome(now, &self.blobs);
            totals.count(outcome);
            logged.report(outcome, now, report);
            recordings.push(logged.row_outcome(outcome, now));
        }
        for other in self.unmatched.iter().filter(|other| !other.is_placed) {
            totals.not_in_log += 1;
            let detail = "ACS's log has no recording of that id or start";
            report.add(Entry::new(
                EntryKind::NotInLog,
                &other.summary.document,
                detail,
            ));
        }
        report.against = Some(ReconciliationReport {
            file: self.file,
            totals,
            recordings,
        });
        report.conclude(report.counts);
    }
}

impl LoggedRecording {
    /// The name of the recording, in findings that are about none of the archive's keys.
    fn name(&self) -> String {
        let id = self.row.recording_id.clone();
        id.unwrap_or_else(|| self.row.started.map(iso).unwrap_or_default())
    }

    fn seconds_left(&self, now: SystemTime) -> Option<u64> {
        let pending = self
            .matched
            .iter()
            .filter_map(|summary| summary.seconds_left)
            .min();
        pending.or_else(|| {
            let age = ready(&self.row)?.age(now);
            Some(EXPIRY.saturating_sub(age).as_secs())
        })
    }

    fn report(&self, outcome: Outcome, now: SystemTime, report: &mut Report) {
        let left = self.seconds_left(now);
        match outcome {
            Outcome::NeverArchived => {
                let kept = match left {
                    Some(0) => "ACS has deleted it".to_owned(),
                    Some(left) => format!("ACS keeps it for {} more", span(left)),
                    None => "the log does not tell how long ACS keeps it".to_owned(),
                };
                let detail = format!("{}: the archive has nothing of it; {kept}", told(&self.row));
                report.add(Entry::new(EntryKind::NeverArchived, self.name(), detail));
                if let Some(started) = self.row.started {
                    report.days.entry(day(started)).or_default().missing += 1;
                }
            }
            Outcome::Unsure => {
                let documents = self.possible.join(", ");
                let detail = format!("{}: may be {documents}", told(&self.row));
                report.add(Entry::new(EntryKind::UnsureMatch, self.name(), detail));
            }
            Outcome::OnItsWay => {
                let detail = format!("{}: its event may be on its way", told(&self.row));
                report.add(Entry::new(EntryKind::OnItsWay, self.name(), detail));
            }
            Outcome::State(State::Archived) => self.report_differences(report),
            Outcome::NothingRecorded | Outcome::State(_) => {}
        }
    }

    /// Reports counts and lengths that are not those of the manifests.
    fn report_differences(&self, report: &mut Report) {
        let document = self.matched.first().map(|summary| summary.document.clone());
        let document = document.unwrap_or_default();
        let chunks = self.chunks();
        if let Some(logged) = self.row.chunks.filter(|logged| *logged != chunks) {
            let noun = several(chunks, "chunk");
            let detail = format!("the archive has {chunks} {noun}, ACS's log {logged}");
            report.add(Entry::new(EntryKind::ChunksDiffer, &document, detail));
        }
        let lengths: Option<Vec<u64>> = self
            .matched
            .iter()
            .map(|summary| summary.duration_ms)
            .collect();
        let Some((lengths, logged)) = lengths.zip(self.row.length_ms) else {
            return;
        };
        // Several events of one recording each tell its whole length, or their own.
        let longest = lengths.iter().copied().max().unwrap_or_default();
        let sum = lengths
            .iter()
            .fold(0, |sum: u64, length| sum.saturating_add(*length));
        let near = |length: u64| length.abs_diff(logged) <= ROUNDING_MS;
        if !near(longest) && !near(sum) {
            let detail = format!(
                "the event says {} s, ACS's log {} s",
                thousandths(longest),
                thousandths(logged)
            );
            report.add(Entry::new(EntryKind::LengthDiffers, &document, detail));
        }
    }

    fn row_outcome(&self, outcome: Outcome, now: SystemTime) -> RowOutcome {
        let documents = self.matched.iter().map(|summary| summary.document.clone());
        let done = matches!(outcome, Outcome::State(State::Archived | State::Exported));
        RowOutcome {
            recording_id: self.row.recording_id.clone(),
            started: self.row.started.map(iso),
            length_ms: self.row.length_ms,
            chunks: self.row.chunks,
            correlation_id: self.row.correlation_id.clone(),
            outcome,
            matched_by: self.matched_by,
            documents: documents.chain(self.possible.iter().cloned()).collect(),
            seconds_left: self.seconds_left(now).filter(|_| !done),
        }
    }
}

fn told(row: &Row) -> String {
    let started = row.started.map(|at| format!("started {}", iso(at)));
    let length = row.length_ms.map(|ms| format!("{} s", thousandths(ms)));
    let chunks = row.chunks.map(|n| format!("{n} {}", several(n, "chunk")));
    let end = row.end_reason.clone();
    let told: Vec<String> = [started, length, chunks, end]
        .into_iter()
        .flatten()
        .collect();
    if told.is_empty() {
        "logged by ACS".to_owned()
    } else {
        told.join(", ")
    }
}

/// Milliseconds as seconds, without zeros at the end.
pub(crate) fn thousandths(ms: u64) -> String {
    let text = format!("{}.{:03}", ms / 1000, ms % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
