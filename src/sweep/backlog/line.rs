//! Due events in the order in which a tick takes them.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::time::SystemTime;

use crate::archive::attempt;
use crate::keys::Key;

/// An event that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::sweep) struct Candidate {
    pub(in crate::sweep) event: Key,
    pub(in crate::sweep) attempt: Option<attempt::Listed>,
    pub(super) since: SystemTime,
    /// Events of the same second stand in a random order, another in each tick.
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

/// The first so many of the events of a kind.
#[derive(Debug)]
pub(super) struct Line {
    /// The latest first, while the listing goes on.
    latest_first: BinaryHeap<Candidate>,
    /// The earliest last, once it has ended.
    pub(super) sorted: Vec<Candidate>,
    most: usize,
    /// Set if there are more than are remembered.
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
