//! The parts in flight of a run, and their rates.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::run::LastPart;
use crate::acs::Counter;

/// The parts in flight, and their rates.
#[derive(Debug, Default)]
pub(super) struct Flights {
    /// The number of the part that was begun last.
    pub(super) next: u64,
    /// The parts in flight, by number.
    pub(super) in_flight: BTreeMap<u64, Flight>,
    /// The time at which the parts were judged last.
    pub(super) judged: Option<Instant>,
    /// The rate of all parts in flight together, in bytes a second. Known once parts had to be
    /// dropped, which shows that more parts in flight do not bring more bytes.
    pub(super) ceiling: Option<f64>,
    /// The rate of one part, in bytes a second: of the fastest in flight, or of the last that
    /// ended.
    pub(super) rate: Option<f64>,
}

/// A part in flight.
#[derive(Debug)]
pub(super) struct Flight {
    /// The count of received bytes at which the part ends.
    pub(super) end: u64,
    /// The bytes of the part's reply.
    pub(super) received: Counter,
    /// The time at which the measurement of the rate began.
    pub(super) since: Instant,
    /// The bytes that had been received then.
    pub(super) before: u64,
    /// Notified when the part is to be dropped.
    pub(super) dropped: Arc<Notify>,
}

/// A part in flight whose rate is known.
struct Measured {
    number: u64,
    /// The bytes still to come.
    left: f64,
    /// Bytes a second.
    rate: f64,
}

impl Measured {
    /// The seconds until the part ends.
    fn seconds(&self) -> f64 {
        self.left / self.rate
    }
}

impl Flight {
    /// The bytes still to come.
    fn left(&self) -> f64 {
        number(self.end.saturating_sub(self.received.bytes()))
    }

    /// The rate since the measurement began, in bytes a second; `None` if that was less than a
    /// window ago.
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
    /// Returns `true` if a part of `length` bytes can end before `deadline` at the known rates.
    pub(super) fn may_begin(&self, length: u64, deadline: Instant, now: Instant) -> bool {
        let time = deadline.saturating_duration_since(now).as_secs_f64();
        if time <= 0.0 {
            return false;
        }
        let (length, left): (f64, f64) = (
            number(length),
            self.in_flight.values().map(Flight::left).sum(),
        );
        // A part gets at most the rate of one part, and its share of the rate of all.
        let alone = self.rate.is_none_or(|rate| length <= rate * time);
        let beside_others = self
            .ceiling
            .is_none_or(|ceiling| left + length <= ceiling * time);
        alone && beside_others
    }

    /// Drops the parts furthest from their end until the rest can end before `deadline`.
    pub(super) fn judge(
        &mut self,
        deadline: Instant,
        last: LastPart,
        window: Duration,
        now: Instant,
    ) {
        let time = deadline.saturating_duration_since(now).as_secs_f64();
        let measured = self.in_flight.iter().map(|(number, flight)| {
            let rate = flight.rate(window, now)?;
            Some(Measured {
                number: *number,
                left: flight.left(),
                rate,
            })
        });
        // Without each rate, their sum is unknown.
        let Some(mut parts) = measured.collect::<Option<Vec<Measured>>>() else {
            return;
        };
        let sum: f64 = parts.iter().map(|part| part.rate).sum();
        // A source that sends nothing has stalled, which ends the attempt elsewhere.
        if sum <= 0.0 {
            return;
        }
        let fastest = parts.iter().map(|part| part.rate).fold(0.0, f64::max);
        self.rate = Some(fastest);
        parts.sort_by(|one, other| one.seconds().total_cmp(&other.seconds()));
        let fewest = match last {
            LastPart::Kept => 1,
            LastPart::Dropped => 0,
        };
        let mut dropped = false;
        self.ceiling = self.ceiling.map(|_| sum);
        // The parts share the bandwidth of the source: the rate of a dropped part goes to the rest,
        // so the sum stays.
        while parts.len() > fewest
            && parts.iter().map(|part| part.left).sum::<f64>() > sum * time
            && let Some(part) = parts.pop()
        {
            if let Some(flight) = self.in_flight.remove(&part.number) {
                flight.dropped.notify_one();
            }
            dropped = true;
        }
        if dropped {
            self.ceiling = Some(sum);
            // The rates of the rest rise now, so they are measured anew.
            for flight in self.in_flight.values_mut() {
                flight.measure_again(now);
            }
        }
    }
}

/// A count as a number to compute rates with.
#[expect(clippy::cast_precision_loss, reason = "rates are estimates")]
pub(super) fn number(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(3);
    const PART: u64 = 16 * crate::limits::MIB;

    /// A run with parts in flight, and the time at which they were begun.
    struct Scene {
        flights: Flights,
        begun: Instant,
    }

    impl Scene {
        /// One part in flight for each number of received bytes.
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

        /// Judges `age` seconds after the beginning and `left` seconds before the deadline. Returns
        /// the parts that are still in flight.
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
    fn parts_of_a_source_that_sends_nothing_are_left_to_the_stall() {
        let mut scene = Scene::new(&[0, 0]);
        assert_eq!(scene.judge(4, 1, LastPart::Dropped).len(), 2);
    }

    #[test]
    fn the_parts_furthest_from_their_end_are_dropped_first() {
        let mut scene = Scene::new(&[PART / 2, PART / 4, PART / 8]);
        // 7/32 of a part a second for all three; 1/2 and 3/4 are left of the first two.
        assert_eq!(scene.judge(4, 6, LastPart::Kept), [0, 1]);
        let mut scene = Scene::new(&[PART / 2, PART / 4, PART / 8]);
        assert_eq!(scene.judge(4, 3, LastPart::Kept), [0]);
    }

    #[test]
    fn twenty_kilobytes_a_second_bring_a_part_in_a_run() {
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
    fn the_rates_of_the_rest_are_measured_anew() {
        let mut scene = Scene::new(&[PART / 8; 4]);
        assert_eq!(scene.judge(4, 8, LastPart::Kept).len(), 1);
        for flight in scene.flights.in_flight.values() {
            assert_eq!(flight.rate(WINDOW, scene.begun + WINDOW), None);
        }
    }

    #[test]
    fn a_part_that_cannot_end_is_not_begun() {
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
        // Once more parts are known to bring no more bytes, they share the rate.
        scene.flights.ceiling = Some(number(PART));
        assert!(begin(&scene, 65) && begin(&scene, 900));
        scene.flights.ceiling = Some(number(PART / 16));
        assert!(!begin(&scene, 65) && begin(&scene, 900));
    }
}
