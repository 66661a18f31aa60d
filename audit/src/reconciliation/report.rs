//! The report of a comparison with ACS's log.

use std::time::SystemTime;

use acs_recording_archiver::finality::EXPIRY;
use serde::Serialize;

use super::export::Row;
use super::outcome::{MatchedBy, Outcome, ready};
use super::{LoggedRecording, Reconciliation};
use crate::recordings::{State, day, iso};
use crate::report::{Entry, EntryKind, Report};
use crate::table::{several, span};

/// The tolerance of a length: log and event round it differently.
const ROUNDING_MS: u64 = 1000;

/// The result of a comparison with ACS's log.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReconciliationReport {
    /// The name of the log's file.
    pub(crate) file: String,
    /// The numbers of rows by outcome.
    pub(crate) totals: Totals,
    /// The rows, by start.
    pub(crate) recordings: Vec<RowOutcome>,
}

/// A row and its outcome.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RowOutcome {
    pub(crate) recording_id: Option<String>,
    pub(crate) started: Option<String>,
    pub(crate) length_ms: Option<u64>,
    pub(crate) chunks: Option<u64>,
    /// The id that joins ACS's tables.
    pub(crate) correlation_id: Option<String>,
    pub(crate) outcome: Outcome,
    pub(crate) matched_by: Option<MatchedBy>,
    /// The manifests, rejections and events that match the row, with or without certainty.
    pub(crate) documents: Vec<String>,
    /// The time until ACS deletes the source of a recording that is not archived.
    pub(crate) seconds_left: Option<u64>,
}

/// The numbers of rows by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Totals {
    /// All rows of the selected days.
    pub(crate) rows: u64,
    pub(crate) archived: u64,
    pub(crate) pending: u64,
    pub(crate) rejected: u64,
    pub(crate) set_aside: u64,
    pub(crate) exported: u64,
    pub(crate) never_archived: u64,
    pub(crate) on_its_way: u64,
    pub(crate) nothing_recorded: u64,
    pub(crate) unsure: u64,
    /// The rows of other days, which no other number includes.
    pub(crate) outside: u64,
    /// The recordings of the archive in the range of the log that match no row.
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
    /// Adds the outcome of each row to a report. The sink must have received all recordings of the
    /// log's days before.
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
    /// Returns the name of the recording, for findings that have no key of the archive.
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
                    None => "the log does not say how long ACS keeps it".to_owned(),
                };
                let detail = format!(
                    "{}: the archive has nothing of it; {kept}",
                    description(&self.row)
                );
                report.add(Entry::new(EntryKind::NeverArchived, self.name(), detail));
                if let Some(started) = self.row.started {
                    report.days.entry(day(started)).or_default().missing += 1;
                }
            }
            Outcome::Unsure => {
                let documents = self.possible.join(", ");
                let detail = format!("{}: may be {documents}", description(&self.row));
                report.add(Entry::new(EntryKind::UnsureMatch, self.name(), detail));
            }
            Outcome::OnItsWay => {
                let detail = format!("{}: its event may be on its way", description(&self.row));
                report.add(Entry::new(EntryKind::OnItsWay, self.name(), detail));
            }
            Outcome::State(State::Archived) => self.report_differences(report),
            Outcome::NothingRecorded | Outcome::State(_) => {}
        }
    }

    /// Reports a number of chunks or a length that differs from the archive's.
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
        // Each of several events may have the length of the recording or of its own chunks.
        let longest = lengths.iter().copied().max().unwrap_or_default();
        let sum = lengths
            .iter()
            .fold(0, |sum: u64, length| sum.saturating_add(*length));
        let near = |length: u64| length.abs_diff(logged) <= ROUNDING_MS;
        if !near(longest) && !near(sum) {
            let detail = format!(
                "the event has {} s, ACS's log {} s",
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

fn description(row: &Row) -> String {
    let started = row.started.map(|at| format!("started {}", iso(at)));
    let length = row.length_ms.map(|ms| format!("{} s", thousandths(ms)));
    let chunks = row.chunks.map(|n| format!("{n} {}", several(n, "chunk")));
    let end = row.end_reason.clone();
    let facts: Vec<String> = [started, length, chunks, end]
        .into_iter()
        .flatten()
        .collect();
    if facts.is_empty() {
        "logged by ACS".to_owned()
    } else {
        facts.join(", ")
    }
}

/// Formats milliseconds as seconds, without zeros at the end.
pub(crate) fn thousandths(ms: u64) -> String {
    let text = format!("{}.{:03}", ms / 1000, ms % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
