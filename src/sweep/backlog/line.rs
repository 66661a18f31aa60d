//! Due events in the order in which a tick works on them.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::time::SystemTime;

use crate::archive::attempt;
use crate::keys::Key;

/// A due event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::sweep) struct Candidate {
    pub(in crate::sweep) event: Key,
    pub(in crate::sweep) attempt: Option<attempt::Listed>,
    pub(super) since: SystemTime,
    /// A random number that orders the events of one second, differently in each tick: ticks that
    /// start together claim different events.
    pub(super) lot: u64,
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.since, self.lot, &self.event).cmp(&(other.since, other.lot, &other.event))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The earliest events of a kind, at most `most` of them.
#[derive(Debug)]
pub(super) struct Line {
    /// The events while the listing goes on, the latest on top.
    latest_first: BinaryHeap<Candidate>,
    /// The events once the listing has ended, the earliest last.
    pub(super) sorted: Vec<Candidate>,
    most: usize,
    /// `true` if events of the kind were dropped.
    pub(super) overflows: bool,
}

impl Line {
    pub(super) fn new(most: usize) -> Self {
        Self {
            latest_first: BinaryHeap::new(),
            sorted: Vec::new(),
            most,
            overflows: false,
        }
    }

    pub(super) fn push(&mut self, candidate: Candidate) {
        self.latest_first.push(candidate);
        if self.latest_first.len() > self.most {
            self.latest_first.pop();
            self.overflows = true;
        }
    }

    pub(super) fn sort(&mut self) {
        let mut sorted = std::mem::take(&mut self.latest_first).into_sorted_vec();
        sorted.reverse();
        self.sorted = sorted;
    }
}
