//! A run: one invocation's time, and the parts that are in flight in it.
//!
//! A deadline ends the beginning of parts, not the parts. Each part's rate is known after a few
//! seconds; where those in flight cannot all end in time, the ones furthest from their end are
//! dropped until the rest can, and no part is begun that cannot end. So a run leaves whole parts in
//! S3, however slow the source is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::Transfers;
use super::slots::{Seat, Slot};
use crate::acs::Counter;
use crate::limits::Limits;

/// The treatment of a run's last part in flight when that cannot end in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LastPart {
    /// It is fetched until the deadline: the rate may still rise, and nobody waits for the answer.
    Kept,
    /// It is dropped, so that the run ends early and the schedule can go on with more time.
    Dropped,
}

/// One invocation's time, and its parts in flight.
#[derive(Debug)]
pub(crate) struct Run {
    deadline: Instant,
    last: LastPart,
    /// The time after which a part's rate is known.
    window: Duration,
    flights: Mutex<Flights>,
}

/// A run as one event after another sees it: with a place among those that share the slots.
#[derive(Clone, Debug)]
pub(crate) struct Lane {
    run: Arc<Run>,
    seat: Arc<Seat>,
}

#[derive(Debug, Default)]
struct Flights {
    next: u64,
    in_flight: BTreeMap<u64, Flight>,
    judged: Option<Instant>,
    /// Bytes a second of all parts in flight together, once parts had to be dropped: from then on
    /// it is known that more parts in flight do not bring more bytes.
    ceiling: Option<f64>,
    /// Bytes a second of one part: of the fastest in flight, or of the one that ended last.
    rate: Option<f64>,
}

/// A part in flight.
#[derive(Debug)]
struct Flight {
    end: u64,
    received: Counter,
    /// When the measurement of the rate began, and the bytes that had been received then.
    since: Instant,
    before: u64,
    dropped: Arc<Notify>,
}

/// A part in flight, until it is dropped.
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

    /// The moment at which the run ends.
    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// The treatment of the last part.
    pub(crate) fn last_part(&self) -> LastPart {
        self.last
    }

    /// A place in this run for one event after another.
    pub(crate) fn lane(self: &Arc<Self>, transfers: &Transfers) -> Lane {
        Lane {
            run: Arc::clone(self),
            seat: transfers.slots.seat(),
        }
    }

    /// Returns `true` if another event can be begun: at least `time` is left for it, and no part in
    /// flight had to be dropped for want of time.
    pub(crate) fn has_room(&self, time: Duration) -> bool {
        let left = self.deadline.saturating_duration_since(Instant::now());
        left >= time && self.lock().ceiling.is_none()
    }

    /// Returns `true` if a part of `length` bytes can end before the deadline, by the rates seen so
    /// far.
    pub(super) fn may_begin(&self, length: u64) -> bool {
        self.lock().may_begin(length, self.deadline, Instant::now())
    }

    /// Watches the next `length` bytes of a reply whose bytes are counted in `received`.
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

    /// Drops the parts that stand in the way of the others. To be called now and then by whoever
    /// waits for a part.
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

    /// The pause between two judgements.
    pub(super) fn pause(&self) -> Duration {
        self.window / 4
    }

    fn lock(&self) -> MutexGuard<'_, Flights> {
        // A panic elsewhere does not make the measurements wrong.
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lane {
    /// The run that this is a lane of.
    pub(crate) fn run(&self) -> &Run {
        &self.run
    }

    /// Waits for a slot.
    pub(super) async fn slot(&self) -> Slot {
        self.seat.slot().await
    }
}

impl InFlight<'_> {
    /// Resolves when the part is to be dropped.
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
        if received < flight.end || time.is_zero() {
            return;
        }
        let rate = number(received.saturating_sub(self.before)) / time.as_secs_f64();
        // A part that took no time to speak of shows how fast its source is at least.
        flights.rate = match flights.rate {
            _ if time >= self.run.window => Some(rate),
            Some(known) => Some(known.max(rate)),
            None => None,
        };
    }
}

impl Flight {
    fn left(&self) -> f64 {
        number(self.end.saturating_sub(self.received.bytes()))
    }

    /// Bytes a second since the measurement began; `None` as long as that is too short a time.
    fn rate(&self, window: Duration, now: Instant) -> Option<f64> {
        let time = now.saturating_duration_since(self.since);
        let received = self.received.bytes();
        (time >= window).then(|| {
            number(received.saturating_sub(self.before)) / time.as_secs_f64().max(f64::EPSILON)
        })
    }

    fn measure_again(&mut self, now: Instant) {
        self.since = now;
        self.before = self.received.bytes();
    }
}

impl Flights {
    fn may_begin(&self, length: u64, deadline: Instant, now: Instant) -> bool {
        let time = deadline.saturating_duration_since(now).as_secs_f64();
        if time <= 0.0 {
            return false;
        }
        let (length, left): (f64, f64) = (
            number(length),
            self.in_flight.values().map(Flight::left).sum(),
        );
        let alone = self.rate.is_none_or(|rate| length <= rate * time);
        let beside_others = self
            .ceiling
            .is_none_or(|ceiling| left + length <= ceiling * time);
        alone && beside_others
    }

    /// Drops the parts furthest from their end until the rest can end before `deadline`.
    fn judge(&mut self, deadline: Instant, last: LastPart, window: Duration, now: Instant) {
        let time = deadline.saturating_duration_since(now).as_secs_f64();
        let measured = self.in_flight.iter().map(|(number, flight)| {
            let rate = flight.rate(window, now)?;
            Some((*number, flight.left(), rate))
        });
        // The sum is not known while one rate is not.
        let Some(mut parts) = measured.collect::<Option<Vec<(u64, f64, f64)>>>() else {
            return;
        };
        let sum: f64 = parts.iter().map(|(_, _, rate)| rate).sum();
        // A source that sends nothing at all has stalled, which is found out elsewhere.
        if sum <= 0.0 {
            return;
        }
        let fastest = parts.iter().map(|(_, _, rate)| *rate).fold(0.0, f64::max);
        self.rate = Some(fastest);
        let seconds = |(_, left, rate): &(u64, f64, f64)| left / rate;
        parts.sort_by(|one, other| seconds(one).total_cmp(&seconds(other)));
        let fewest = match last {
            LastPart::Kept => 1,
            LastPart::Dropped => 0,
        };
        let mut dropped = false;
        self.ceiling = self.ceiling.map(|_| sum);
        // The bytes that a dropped part no longer takes may go to the others, so the sum stays.
        while parts.len() > fewest
            && parts.iter().map(|(_, left, _)| left).sum::<f64>() > sum * time
            && let Some((number, _, _)) = parts.pop()
        {
            if let Some(flight) = self.in_flight.get(&number) {
                flight.dropped.notify_one();
            }
            self.in_flight.remove(&number);
            dropped = true;
        }
        if dropped {
            self.ceiling = Some(sum);
            // The rates of the rest change now.
            for flight in self.in_flight.values_mut() {
                flight.measure_again(now);
            }
        }
    }
}

/// Rates are estimates: no size that occurs loses by it.
#[expect(clippy::cast_precision_loss, reason = "rates are estimates")]
fn number(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(3);
    const PART: u64 = 16 * crate::limits::MIB;

    /// A run in which so many parts were begun, each of which has received so many bytes since.
    struct Scene {
        flights: Flights,
        begun: Instant,
    }

    impl Scene {
        fn new(received: &[u64]) -> Self {
            let begun = Instant::now();
            let mut flights = Flights::default();
            for (number, bytes) in (0..).zip(received) {
                let flight = Flight {
                    end: PART,
                    received: Counter::default(),
                    since: begun,
                    before: 0,
                    dropped: Arc::new(Notify::new()),
                };
                flight.received.add(*bytes);
                flights.in_flight.insert(number, flight);
            }
            Self { flights, begun }
        }

        /// Judges after `age` with `left` to go, and returns the parts that are still in flight.
        fn judge(&mut self, age: u64, left: u64, last: LastPart) -> Vec<u64> {
            let now = self.begun + Duration::from_secs(age);
            let deadline = now + Duration::from_secs(left);
            self.flights.judge(deadline, last, WINDOW, now);
            self.flights.in_flight.keys().copied().collect()
        }
    }

    #[test]
    fn parts_that_can_end_are_left_alone() {
        // 1 MiB in 4 s each: 60 s to go.
        let mut scene = Scene::new(&[PART / 16; 8]);
        assert_eq!(scene.judge(4, 61, LastPart::Kept).len(), 8);
        assert!(scene.flights.ceiling.is_none());
    }

    #[test]
    fn nothing_is_judged_before_the_rates_are_known() {
        let mut scene = Scene::new(&[10, 10]);
        assert_eq!(scene.judge(2, 1, LastPart::Dropped).len(), 2);
    }

    #[test]
    fn a_source_that_sends_nothing_is_left_to_the_stall() {
        let mut scene = Scene::new(&[0, 0]);
        assert_eq!(scene.judge(4, 1, LastPart::Dropped).len(), 2);
    }

    #[test]
    fn the_furthest_from_their_end_go_first() {
        let mut scene = Scene::new(&[PART / 2, PART / 4, PART / 8]);
        // 7/32 of a part a second in all; 1/2 + 3/4 are left of the first two.
        assert_eq!(scene.judge(4, 6, LastPart::Kept), [0, 1]);
        let mut scene = Scene::new(&[PART / 2, PART / 4, PART / 8]);
        assert_eq!(scene.judge(4, 3, LastPart::Kept), [0]);
    }

    #[test]
    fn twenty_kilobytes_a_second_in_all_are_a_part_in_a_run() {
        let mut scene = Scene::new(&[20_000 * 3 / 8; 8]);
        assert_eq!(scene.judge(3, 895, LastPart::Kept).len(), 1);
        assert!(scene.flights.ceiling.is_some());
    }

    #[test]
    fn a_tick_keeps_its_last_part_and_a_delivery_does_not() {
        let mut scene = Scene::new(&[1000, 1000]);
        assert_eq!(scene.judge(4, 10, LastPart::Kept).len(), 1);
        let mut scene = Scene::new(&[1000, 1000]);
        assert!(scene.judge(4, 10, LastPart::Dropped).is_empty());
    }

    #[test]
    fn the_rates_of_those_that_are_left_are_measured_again() {
        let mut scene = Scene::new(&[PART / 8; 4]);
        assert_eq!(scene.judge(4, 8, LastPart::Kept).len(), 1);
        for flight in scene.flights.in_flight.values() {
            assert_eq!(flight.rate(WINDOW, scene.begun + WINDOW), None);
        }
    }

    #[test]
    fn no_part_is_begun_that_cannot_end() {
        let mut scene = Scene::new(&[PART / 16; 8]);
        let begin = |scene: &Scene, left| {
            let now = scene.begun + Duration::from_secs(4);
            let deadline = now + Duration::from_secs(left);
            scene.flights.may_begin(PART, deadline, now)
        };
        assert!(begin(&scene, 1), "nothing is known yet");
        assert!(!begin(&scene, 0), "no time at all");
        scene.judge(4, 900, LastPart::Kept);
        assert!(begin(&scene, 65) && !begin(&scene, 63));
        // Once more parts have been seen to bring no more bytes, they share what there is.
        scene.flights.ceiling = Some(number(PART));
        assert!(begin(&scene, 65) && begin(&scene, 900));
        scene.flights.ceiling = Some(number(PART / 16));
        assert!(!begin(&scene, 65) && begin(&scene, 900));
    }
}
