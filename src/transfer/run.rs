//! A run: the time of one invocation, and the parts in flight in it.
//!
//! A part that cannot end before the deadline is not begun. The rate of each part is known after a
//! few seconds. If the parts in flight cannot all end before the deadline, those furthest from
//! their end are dropped until the rest can. So a run leaves complete parts in S3, however slow the
//! source is.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::Transfers;
use super::flights::{Flight, Flights, number};
use super::slots::{Seat, Slot};
use crate::acs::Counter;
use crate::limits::Limits;

/// The treatment of a run's last part in flight if the part cannot end before the deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LastPart {
    /// The part is fetched until the deadline: the rate may rise, and nobody waits for an answer.
    Kept,
    /// The part is dropped, so that the run ends early and the schedule goes on with more time.
    Dropped,
}

/// The time of one invocation, and its parts in flight.
#[derive(Debug)]
pub(crate) struct Run {
    deadline: Instant,
    last: LastPart,
    /// The time after which the rate of a part is known.
    window: Duration,
    flights: Mutex<Flights>,
}

/// A lane of a run, on which one event after another is worked on. It has a seat among those that
/// share the slots.
#[derive(Clone, Debug)]
pub(crate) struct Lane {
    run: Arc<Run>,
    seat: Arc<Seat>,
}

/// The registration of a part in flight, which ends when this value is dropped.
#[derive(Debug)]
pub(super) struct InFlight<'a> {
    run: &'a Run,
    number: u64,
    begun: Instant,
    before: u64,
    dropped: Arc<Notify>,
}

impl Run {
    /// A run until `deadline`.
    pub(crate) fn new(deadline: Instant, last: LastPart, limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            deadline,
            last,
            window: limits.rate_known,
            flights: Mutex::default(),
        })
    }

    /// The time at which the run ends.
    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// The treatment of the last part.
    pub(crate) fn last_part(&self) -> LastPart {
        self.last
    }

    /// A lane of this run.
    pub(crate) fn lane(self: &Arc<Self>, transfers: &Transfers) -> Lane {
        Lane {
            run: Arc::clone(self),
            seat: transfers.slots.seat(),
        }
    }

    /// Returns `true` if another event may begin: at least `time` is left, and no part in flight
    /// had to be dropped.
    pub(crate) fn has_room(&self, time: Duration) -> bool {
        let left = self.deadline.saturating_duration_since(Instant::now());
        left >= time && self.lock().ceiling.is_none()
    }

    /// Returns `true` if a part of `length` bytes can end before the deadline at the known rates.
    pub(super) fn may_begin(&self, length: u64) -> bool {
        self.lock().may_begin(length, self.deadline, Instant::now())
    }

    /// Registers a part in flight: the next `length` bytes of a reply whose bytes `received`
    /// counts.
    pub(super) fn begin(&self, length: u64, received: &Counter) -> InFlight<'_> {
        let (now, before) = (Instant::now(), received.bytes());
        let dropped = Arc::new(Notify::new());
        let mut flights = self.lock();
        flights.next += 1;
        let number = flights.next;
        let flight = Flight {
            end: before.saturating_add(length),
            received: received.clone(),
            since: now,
            before,
            dropped: Arc::clone(&dropped),
        };
        flights.in_flight.insert(number, flight);
        InFlight {
            run: self,
            number,
            begun: now,
            before,
            dropped,
        }
    }

    /// Drops parts in flight if not all can end before the deadline. Every task that waits for a
    /// part calls this now and then.
    pub(super) fn judge(&self) {
        let now = Instant::now();
        let mut flights = self.lock();
        let often = self.window / 8;
        if flights.judged.is_some_and(|judged| now < judged + often) {
            return;
        }
        flights.judged = Some(now);
        flights.judge(self.deadline, self.last, self.window, now);
    }

    /// The pause between two calls of [`judge`](Self::judge).
    pub(super) fn pause(&self) -> Duration {
        self.window / 4
    }

    fn lock(&self) -> MutexGuard<'_, Flights> {
        // A panic elsewhere does not make the measurements wrong.
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lane {
    /// The run of this lane.
    pub(crate) fn run(&self) -> &Run {
        &self.run
    }

    /// Waits for a slot.
    pub(super) async fn slot(&self) -> Slot {
        self.seat.slot().await
    }
}

impl InFlight<'_> {
    /// Waits until the part is to be dropped.
    pub(super) async fn dropped(&self) {
        self.dropped.notified().await;
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        let mut flights = self.run.lock();
        let Some(flight) = flights.in_flight.remove(&self.number) else {
            return;
        };
        let (received, time) = (flight.received.bytes(), self.begun.elapsed());
        // Only a part that has ended shows a rate.
        if received < flight.end || time.is_zero() {
            return;
        }
        let rate = number(received.saturating_sub(self.before)) / time.as_secs_f64();
        // The rate of a part that took less than the window is only a lower bound.
        flights.rate = match flights.rate {
            _ if time >= self.run.window => Some(rate),
            Some(known) => Some(known.max(rate)),
            None => None,
        };
    }
}
