//! The archive against ACS's own log of recordings, in which those stand that were never announced.
//!
//! A row of the log and an event of the archive are the same recording by its id, else by its
//! start. Starts are compared to the millisecond where both have them; a start in whole seconds, two
//! recordings of one start, and ids that differ make a match unsure, and that is said.

mod clock;
pub mod export;
mod ids;
mod outcome;
mod report;

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, SystemTime};

use acs_recording_archiver::recording::Timestamp;

use crate::recordings::{Recording, RecordingSink, State};
use crate::window::Window;
use export::Row;

pub(crate) use ids::Id;
pub(crate) use outcome::MatchedBy;
pub(crate) use report::ReconciliationReport;
pub(crate) use report::thousandths;

const SECOND: Duration = Duration::from_secs(1);

/// ACS's log, and what the archive has of each of its rows.
#[derive(Debug, Default)]
pub struct Reconciliation {
    file: String,
    logged: Vec<LoggedRecording>,
    /// The place of a row, by each form of its id.
    by_id: HashMap<String, usize>,
    /// The starts of the first and the last row.
    range: Option<(SystemTime, SystemTime)>,
    /// The recordings of that time whose id is in no row.
    unmatched: Vec<Unmatched>,
    /// The names of blobs in the customer's own storage.
    blobs: Vec<String>,
    /// The rows of other days.
    outside: u64,
}

/// A row, and what the archive has of it.
#[derive(Debug)]
struct LoggedRecording {
    row: Row,
    id: Option<Id>,
    matched: Vec<Summary>,
    matched_by: Option<MatchedBy>,
    /// The documents that may be of this row.
    possible: Vec<String>,
}

/// What is needed of a recording of the archive.
#[derive(Clone, Debug)]
struct Summary {
    document: String,
    state: State,
    chunks: Vec<(u64, String)>,
    duration_ms: Option<u64>,
    seconds_left: Option<u64>,
}

/// A recording of the archive whose id is in no row.
#[derive(Debug)]
struct Unmatched {
    summary: Summary,
    id: Option<Id>,
    call: Option<String>,
    started: Option<Timestamp>,
    /// Whether it is, or may be, of a row by its start.
    is_placed: bool,
}

impl Reconciliation {
    /// Takes the rows of a log, which `file` names to people. Those that started on other days than
    /// those of the window are left out.
    #[must_use]
    pub fn new(file: &str, rows: Vec<Row>, window: &Window) -> Self {
        let mut all = Self {
            file: file.to_owned(),
            ..Self::default()
        };
        for row in rows {
            if window.has(row.started.map(Timestamp::instant)) {
                all.add_row(row);
            } else {
                all.outside += 1;
            }
        }
        all
    }

    /// The same, with the names of the blobs in the customer's own storage.
    #[must_use]
    pub fn with_exported(mut self, blobs: &str) -> Self {
        self.blobs = blobs.lines().map(str::to_lowercase).collect();
        self
    }

    fn add_row(&mut self, row: Row) {
        let id = row.recording_id.as_deref().and_then(Id::new);
        if let Some(started) = row.started.map(Timestamp::instant) {
            let (first, last) = self.range.unwrap_or((started, started));
            self.range = Some((first.min(started), last.max(started)));
        }
        if let Some(logged) = id.as_ref().and_then(|id| self.find(id)) {
            // Exports overlap: what was logged last is kept.
            if let Some(logged) = self
                .logged
                .get_mut(logged)
                .filter(|it| it.row.logged < row.logged)
            {
                logged.row = row;
            }
            return;
        }
        if let Some(id) = &id {
            let place = self.logged.len();
            let forms = id.forms().map(|form| (form.to_owned(), place));
            self.by_id.extend(forms);
        }
        self.logged.push(LoggedRecording {
            row,
            id,
            matched: vec![],
            matched_by: None,
            possible: vec![],
        });
    }

    fn find(&self, id: &Id) -> Option<usize> {
        id.forms().find_map(|form| self.by_id.get(form).copied())
    }

    /// Returns `true` if a start is of the time that the log is of.
    fn covers(&self, started: Timestamp) -> bool {
        let started = started.instant();
        self.range
            .is_some_and(|(first, last)| started + SECOND >= first && started <= last + SECOND)
    }

    /// Gives the rows without a match the recordings that have their start.
    fn match_by_start(&mut self) {
        let mut rows: HashMap<u64, Vec<usize>> = HashMap::new();
        for (place, logged) in self.logged.iter().enumerate() {
            if let (true, Some(started)) = (logged.matched.is_empty(), logged.row.started) {
                rows.entry(seconds(started)).or_default().push(place);
            }
        }
        // By row, the recordings that may be it.
        let mut candidates: HashMap<usize, Vec<usize>> = HashMap::new();
        for (place, other) in self.unmatched.iter_mut().enumerate() {
            let Some(started) = other.started else {
                continue;
            };
            let rows = rows.get(&seconds(started)).map(Vec::as_slice);
            for row in rows.unwrap_or_default() {
                let logged = self.logged.get(*row).and_then(|logged| logged.row.started);
                if logged.is_some_and(|logged| may_be_same(logged, started)) {
                    other.is_placed = true;
                    candidates.entry(*row).or_default().push(place);
                }
            }
        }
        let mut claimed: HashMap<usize, usize> = HashMap::new();
        for place in candidates.values().flatten() {
            *claimed.entry(*place).or_default() += 1;
        }
        for (row, places) in candidates {
            let unmatched = places.iter().filter_map(|place| self.unmatched.get(*place));
            let unmatched: Vec<&Unmatched> = unmatched.collect();
            let alone = places.iter().all(|place| claimed.get(place) == Some(&1));
            if let Some(logged) = self.logged.get_mut(row) {
                logged.settle(&unmatched, alone);
            }
        }
    }
}

impl RecordingSink for Reconciliation {
    fn add(&mut self, recording: &Recording) {
        let facts = &recording.facts;
        let summary = Summary {
            document: recording.document.clone(),
            state: recording.state,
            chunks: facts.chunks.clone(),
            duration_ms: facts.duration_ms,
            seconds_left: recording.seconds_left,
        };
        let id = facts.recording_id.as_deref().and_then(Id::new);
        let logged = id.as_ref().and_then(|id| self.find(id));
        if let Some(logged) = logged.and_then(|place| self.logged.get_mut(place)) {
            logged.matched_by = Some(MatchedBy::RecordingId);
            logged.matched.push(summary);
        } else if facts.started.is_some_and(|started| self.covers(started)) {
            self.unmatched.push(Unmatched {
                summary,
                id,
                call: facts.call.clone(),
                started: facts.started,
                is_placed: false,
            });
        }
    }
}

impl LoggedRecording {
    /// Takes the recordings that have its start, if they are surely one and of this row alone.
    fn settle(&mut self, unmatched: &[&Unmatched], alone: bool) {
        let calls: BTreeSet<_> = unmatched.iter().map(|other| &other.call).collect();
        let told_apart = |other: &&Unmatched| match (&self.id, &other.id) {
            (Some(own), Some(other)) => own.can_be_told_from(other),
            _ => false,
        };
        let exact = |other: &&Unmatched| match (self.row.started, other.started) {
            (Some(logged), Some(started)) => millis(logged) == millis(started),
            _ => false,
        };
        let sure = alone
            && calls.len() == 1
            && unmatched.iter().all(exact)
            && !unmatched.iter().any(told_apart);
        if sure {
            self.matched_by = Some(MatchedBy::Start);
            self.matched
                .extend(unmatched.iter().map(|it| it.summary.clone()));
        } else {
            let documents = unmatched.iter().map(|it| it.summary.document.clone());
            self.possible.extend(documents);
        }
    }
}

/// Returns `true` if two starts can be of one recording: to the millisecond, or to the second where
/// either has no more.
fn may_be_same(logged: Timestamp, started: Timestamp) -> bool {
    let coarse = |time| millis(time).is_multiple_of(1000);
    millis(logged) == millis(started)
        || (coarse(logged) || coarse(started)) && seconds(logged) == seconds(started)
}

fn millis(time: Timestamp) -> u128 {
    let since = time.instant().duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or_default().as_millis()
}

fn seconds(time: Timestamp) -> u64 {
    let since = time.instant().duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}
