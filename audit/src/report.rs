//! The result of an audit.

mod entry;

use std::collections::BTreeMap;

use serde::Serialize;

use super::counters::Counts;
use super::reconciliation::ReconciliationReport;
use super::recordings::{Recording, State};

pub(crate) use entry::first_reasons;
pub use entry::{Entry, EntryKind};

/// The exit status if all is in order.
const IN_ORDER: u8 = 0;
/// The exit status if there are findings.
const FOUND: u8 = 1;
/// The exit status if the store or some of its objects could not be read.
pub const UNREAD: u8 = 2;

/// The limit of entries that are kept of a kind of note.
const FIRST: usize = 10;

/// The result of an audit. Its JSON is an interface for programs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The version of the JSON document.
    pub(crate) version: u32,
    pub(crate) bucket: String,
    /// The work bucket, if it is another than the archive's.
    pub work_bucket: Option<String>,
    /// The prefix of every key of the archive.
    pub(crate) prefix: String,
    /// The first selected day, if one was given.
    pub from: Option<String>,
    /// The last selected day, if one was given.
    pub(crate) to: Option<String>,
    /// `true` if there is no finding and every object could be read.
    pub in_order: bool,
    /// The totals.
    pub counts: Counts,
    /// The recordings by the day on which they started, as `2026-11-23`.
    pub(crate) days: BTreeMap<String, Day>,
    /// The comparison with ACS's log, if a log was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) against: Option<ReconciliationReport>,
    /// The entries that need a person, by key.
    pub findings: Vec<Entry>,
    /// The pending events, the oldest first.
    pub pending: Vec<Pending>,
    /// The notes, by kind.
    pub notes: BTreeMap<EntryKind, Noted>,
    /// The manifests with doubtful media, by key. They are no findings, because the archive has the
    /// bytes that ACS sent.
    pub doubtful: Vec<Entry>,
    /// The objects that could not be read: with any, the report is not complete.
    pub unread: Vec<Entry>,
}

/// The numbers of a day's recordings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Day {
    /// Archived recordings without a finding.
    pub(crate) archived: u64,
    /// Archived recordings with a finding.
    pub(crate) doubtful: u64,
    pub(crate) pending: u64,
    /// Rejected recordings, and events set aside.
    pub(crate) rejected: u64,
    /// Recordings that only ACS's log has.
    pub(crate) missing: u64,
}

/// Notes of one kind.
#[derive(Debug, Default, Serialize)]
pub struct Noted {
    /// The number of all notes of the kind.
    pub count: usize,
    /// The first notes, by key.
    pub first: Vec<Entry>,
}

/// A pending event.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pending {
    /// The key of the stored event.
    pub key: String,
    /// The event's id, as keys contain it.
    pub event_id: String,
    /// The folder of its recording; `None` if the event cannot be understood.
    pub folder: Option<String>,
    /// The time since the event's own time, or since it was stored.
    pub age_seconds: u64,
    /// The time until ACS deletes the source.
    pub seconds_left: u64,
}

impl Report {
    /// Counts a recording of a known day.
    pub(crate) fn count(&mut self, recording: &Recording) {
        let Some(day) = recording.day() else { return };
        let day = self.days.entry(day).or_default();
        *match recording.state {
            State::Archived if recording.findings > 0 => &mut day.doubtful,
            State::Archived => &mut day.archived,
            State::Pending => &mut day.pending,
            State::Rejected | State::SetAside => &mut day.rejected,
            State::Exported => return,
        } += 1;
    }

    /// Adds an entry to the list of its kind.
    pub(crate) fn add(&mut self, entry: Entry) {
        if entry.kind == EntryKind::Unread {
            self.unread.push(entry);
        } else if entry.kind == EntryKind::Doubtful {
            self.doubtful.push(entry);
        } else if entry.kind.is_note() {
            let noted = self.notes.entry(entry.kind).or_default();
            noted.count += 1;
            let place = noted.first.partition_point(|other| *other < entry);
            noted.first.insert(place, entry);
            noted.first.truncate(FIRST);
        } else {
            self.findings.push(entry);
        }
    }

    /// Sorts the lists, since the order of S3's answers is random, and sets the counts.
    pub(crate) fn conclude(&mut self, counts: Counts) {
        self.findings.sort();
        self.unread.sort();
        self.doubtful.sort();
        self.pending.sort_by(|a, b| {
            let age = b.age_seconds.cmp(&a.age_seconds);
            age.then_with(|| a.key.cmp(&b.key))
        });
        self.counts = counts;
        self.in_order = self.status() == IN_ORDER;
    }

    /// Returns `true` if the audit saw no object, upload or event.
    pub(crate) fn is_empty(&self) -> bool {
        self.counts.objects == 0 && self.counts.uploads == 0 && self.pending.is_empty()
    }

    /// Returns the exit status.
    #[must_use]
    pub fn status(&self) -> u8 {
        if !self.unread.is_empty() {
            UNREAD
        } else if !self.findings.is_empty() {
            FOUND
        } else {
            IN_ORDER
        }
    }

    /// Returns the report as JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        // All keys are strings, so the serialisation cannot fail.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}
