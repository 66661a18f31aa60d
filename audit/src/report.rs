//! What was found.

mod entry;

use std::collections::BTreeMap;

use serde::Serialize;

use super::counters::Counts;
use super::reconciliation::ReconciliationReport;
use super::recordings::{Recording, State};

pub(crate) use entry::first_reasons;
pub use entry::{Entry, EntryKind};

/// The exit status where all is in order.
const IN_ORDER: u8 = 0;
/// The exit status where there are findings.
const FOUND: u8 = 1;
/// The exit status where the store could not be read.
pub const UNREAD: u8 = 2;

/// Entries of a note that are shown.
const FIRST: usize = 10;

/// An audit's result; as JSON, what machines read.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The version of this form.
    pub(crate) version: u32,
    /// The bucket of the archive.
    pub(crate) bucket: String,
    /// The bucket of unfinished work, if that is another.
    pub work_bucket: Option<String>,
    /// The prefix of every key of the archive.
    pub(crate) prefix: String,
    /// The first day that was asked for, if one was.
    pub from: Option<String>,
    /// The last day that was asked for, if one was.
    pub(crate) to: Option<String>,
    /// Whether there is no finding, and everything could be looked at.
    pub in_order: bool,
    /// The totals.
    pub counts: Counts,
    /// The recordings by the day on which they started, as `2026-11-23`.
    pub(crate) days: BTreeMap<String, Day>,
    /// The archive against ACS's log, if one was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) against: Option<ReconciliationReport>,
    /// What needs a person, by key.
    pub findings: Vec<Entry>,
    /// Events that are unfinished, the oldest first.
    pub pending: Vec<Pending>,
    /// What is worth a look, by what it is.
    pub notes: BTreeMap<EntryKind, Noted>,
    /// Manifests whose media is doubtful, by key. They are no findings: what is archived is what ACS
    /// has sent.
    pub doubtful: Vec<Entry>,
    /// What could not be looked at: if there is any, this report is not complete.
    pub unread: Vec<Entry>,
}

/// The recordings of a day, by what has become of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Day {
    /// Archived, and nothing is said against it.
    pub(crate) archived: u64,
    /// Archived, with a finding.
    pub(crate) doubtful: u64,
    /// Being worked on.
    pub(crate) pending: u64,
    /// Rejected or set aside.
    pub(crate) rejected: u64,
    /// In ACS's log alone.
    pub(crate) missing: u64,
}

/// Notes of one kind.
#[derive(Debug, Default, Serialize)]
pub struct Noted {
    /// The number of all.
    pub count: usize,
    /// The first of them, by key.
    pub first: Vec<Entry>,
}

/// An event that is unfinished.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pending {
    /// The key of the stored event.
    pub key: String,
    /// As it stands in keys.
    pub event_id: String,
    /// Where its recording goes; none if it cannot be understood.
    pub folder: Option<String>,
    /// Since the event's time, or since it was stored.
    pub age_seconds: u64,
    /// Until ACS deletes the source.
    pub seconds_left: u64,
}

impl Report {
    /// Counts a recording to its day, if that is known.
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

    /// Takes an entry to where it belongs.
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

    /// Puts everything into an order that does not depend on which answer came first.
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

    /// Returns `true` if nothing was there to be audited.
    pub(crate) fn is_of_nothing(&self) -> bool {
        self.counts.objects == 0 && self.counts.uploads == 0 && self.pending.is_empty()
    }

    /// The exit status.
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

    /// One JSON document.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Strings and numbers, by names: serialising them cannot fail.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}
