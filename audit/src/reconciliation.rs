//! The comparison of the archive with ACS's own log of recordings. The log also has the recordings
//! whose event never arrived.
//!
//! A row of the log matches a recording by the recording's id, else by the start. A match by the
//! start is certain only if both starts have milliseconds and are equal, and no other row or call
//! has that start. Ids that are known to differ make a match uncertain too.

mod clock;
pub mod export;
mod ids;
mod outcome;
mod report;

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, SystemTime};

use acs_recording_archiver::recording::Timestamp;

use crate::recordings::{ChunkId, Recording, RecordingSink, State};
use crate::window::Window;
use export::Row;

pub(crate) use ids::Id;
pub(crate) use outcome::MatchedBy;
pub(crate) use report::ReconciliationReport;
pub(crate) use report::thousandths;

const SECOND: Duration = Duration::from_secs(1);

/// ACS's log, and the recordings of the archive that match its rows.
#[derive(Debug, Default)]
pub struct Reconciliation {
    file: String,
    logged: Vec<LoggedRecording>,
    /// The index of a row in `logged`, by each form of its id.
    by_id: HashMap<String, usize>,
    /// The starts of the first and the last row.
    range: Option<(SystemTime, SystemTime)>,
    /// The recordings in the range of the log whose id is in no row.
    unmatched: Vec<Unmatched>,
    /// The names of the blobs in the customer's own storage, in lower case.
    blobs: Vec<String>,
    /// The number of rows of other days.
    outside: u64,
}

/// A row, and the recordings that match it.
#[derive(Debug)]
struct LoggedRecording {
    row: Row,
    id: Option<Id>,
    matched: Vec<Summary>,
    matched_by: Option<MatchedBy>,
    /// The documents of recordings that match without certainty.
    possible: Vec<String>,
}

/// The facts of a recording that the comparison needs.
#[derive(Clone, Debug)]
struct Summary {
    document: String,
    state: State,
    chunks: Vec<ChunkId>,
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
    /// `true` if the recording matches a row by its start, with or without certainty.
    is_placed: bool,
}

impl Reconciliation {
    /// Creates a comparison with the rows of a log, except those of days outside the window. `file`
    /// is the name of the log for people.
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

    /// Sets the names of the blobs in the customer's own storage, a line each.
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
            // Exports may overlap, so a recording can have two rows: the later row is current.
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

    /// Returns `true` if a start is in the range of the log.
    fn covers(&self, started: Timestamp) -> bool {
        let started = started.instant();
        // The rows may have starts in whole seconds, so the range is wider by a second on each
        // side.
        self.range
            .is_some_and(|(first, last)| started + SECOND >= first && started <= last + SECOND)
    }

    /// Matches the rows without a recording by their start.
    fn match_by_start(&mut self) {
        let mut rows: HashMap<u64, Vec<usize>> = HashMap::new();
        for (place, logged) in self.logged.iter().enumerate() {
            if let (true, Some(started)) = (logged.matched.is_empty(), logged.row.started) {
                rows.entry(seconds(started)).or_default().push(place);
            }
        }
        // Each row's candidates: the recordings with the same start.
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
        // A recording that is a candidate of two rows belongs to neither with certainty.
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
    /// Matches the candidates with this row. The match is certain only if they are one recording,
    /// and `alone` says that they are candidates of no other row.
    fn settle(&mut self, unmatched: &[&Unmatched], alone: bool) {
        let calls: BTreeSet<_> = unmatched.iter().map(|other| &other.call).collect();
        let has_other_id = |other: &&Unmatched| match (&self.id, &other.id) {
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
            && !unmatched.iter().any(has_other_id);
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

/// Returns `true` if two starts can be of one recording: they are equal, or one of them has only
/// seconds and the seconds are equal.
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
