//! A run of the schedule or of a delivery: its time, its claims, and its parts in flight.
//!
//! | here | file of `src/` |
//! |---|---|
//! | `take` | `sweep.rs`, `archive/pending.rs`, `archive/claim.rs` |
//! | `may_begin`, `judge` | `transfer/flights.rs` |
//! | `conclude` | `archive/conclude.rs` |

use super::{Contents, Fault, Outage, Scene, Sizes, Source};

/// The limit of parts in flight, and of events at work, in a run.
const SLOTS: usize = 2;
/// The number of successive ended runs after which an event is taken alone.
const DEADLY: u8 = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Tick,
    Delivery,
}

/// The claim of a run, in the knowledge of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Claim {
    /// There was no `attempt.json`.
    Absent,
    /// The run listed or wrote the `attempt.json`, and may replace it.
    Known,
    /// Another run wrote the `attempt.json` since.
    Outdated,
    Lost,
}

impl Claim {
    fn of(is_there: bool) -> Self {
        if is_there { Self::Known } else { Self::Absent }
    }

    /// Returns `true` if a conditional write succeeds.
    fn may_write(self, is_there: bool) -> bool {
        match self {
            Self::Absent => !is_there,
            Self::Known => is_there,
            Self::Outdated | Self::Lost => false,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Flight {
    part: usize,
    got: u64,
}

/// The work of a run on one event.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Work {
    event: usize,
    claim: Claim,
    deaths: u8,
    flights: Vec<Flight>,
    fault: Option<Fault>,
    gained: usize,
    /// The manifest or the rejection is written.
    concluded: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Run {
    kind: Kind,
    /// Minutes until the deadline.
    left: u64,
    /// The events that were due when the tick began, and their claims in that listing.
    listed: Vec<(usize, Claim)>,
    work: Vec<Work>,
    /// The units a minute of one part, and of all parts once parts had to be dropped.
    rate: Option<u64>,
    ceiling: Option<u64>,
    /// Set if the run took an event in its first minute that can be archived.
    has_taken: bool,
    /// Set if a fault or another run kept the run from uploading parts.
    is_excused: bool,
    /// The parts and objects that the run made.
    gained: usize,
}

/// The next request of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Take(usize),
    Begin(usize),
    Put(usize),
    Complete(usize),
    Conclude(usize),
    End(usize),
    /// The run is over.
    Over,
}

impl Run {
    pub(super) fn delivery(sizes: &Sizes, event: usize, is_there: bool) -> Self {
        let work = Work::new(event, Claim::of(is_there), 0);
        Self {
            kind: Kind::Delivery,
            left: sizes.delivery,
            work: vec![work],
            ..Self::tick(sizes, vec![])
        }
    }

    pub(super) fn tick(sizes: &Sizes, listed: Vec<(usize, bool)>) -> Self {
        let listed = listed.into_iter();
        Self {
            kind: Kind::Tick,
            left: sizes.tick,
            listed: listed
                .map(|(event, is_there)| (event, Claim::of(is_there)))
                .collect(),
            work: vec![],
            rate: None,
            ceiling: None,
            has_taken: false,
            is_excused: false,
            gained: 0,
        }
    }

    /// Notes that another run wrote the `attempt.json` of this event.
    pub(super) fn outdate(&mut self, event: usize) {
        let works = self
            .work
            .iter_mut()
            .map(|work| (work.event, &mut work.claim));
        let listed = self.listed.iter_mut().map(|(event, claim)| (*event, claim));
        for (_, claim) in works.chain(listed).filter(|(other, _)| *other == event) {
            if *claim == Claim::Known {
                *claim = Claim::Outdated;
            }
        }
    }

    /// The places of all work, and its events.
    pub(super) fn at_work(&self) -> Vec<(usize, usize)> {
        let events = self.work.iter().map(|work| work.event);
        events.enumerate().collect()
    }

    pub(super) fn may_write(&self, number: usize, is_there: bool) -> bool {
        self.work[number].claim.may_write(is_there)
    }

    pub(super) fn deaths(&self, number: usize) -> u8 {
        self.work[number].deaths
    }

    pub(super) fn wrote(&mut self, number: usize) {
        self.work[number].claim = Claim::Known;
    }

    pub(super) fn lose(&mut self, number: usize) {
        self.work[number].claim = Claim::Lost;
        self.is_excused = true;
    }

    fn in_flight(&self) -> usize {
        self.work.iter().map(|work| work.flights.len()).sum()
    }

    /// The possible next requests: one for each event that may be taken, else that of the first
    /// event at work that does not wait. None if all events wait for bytes.
    pub(super) fn next(&self, scene: &Scene) -> Vec<Next> {
        let mut works = self.work.iter().enumerate();
        let next = works.find_map(|(number, work)| self.next_of(number, work, scene));
        if let Some(next) = next {
            return vec![next];
        }
        let has_room = self.left > 0 && self.ceiling.is_none() && self.kind == Kind::Tick;
        let alone = self.work.iter().any(|work| work.deaths >= DEADLY);
        if has_room && !alone && self.work.len() < SLOTS {
            let listed = self.listed.iter().enumerate();
            let takes = listed.filter(|(_, (event, _))| {
                self.work.is_empty() || scene.events[*event].deaths() < DEADLY
            });
            let takes: Vec<_> = takes.map(|(place, _)| Next::Take(place)).collect();
            if !takes.is_empty() {
                return takes;
            }
        }
        if self.work.is_empty() {
            vec![Next::Over]
        } else {
            vec![]
        }
    }

    fn next_of(&self, number: usize, work: &Work, scene: &Scene) -> Option<Next> {
        let event = &scene.events[work.event];
        if work.concluded {
            return Some(Next::End(number));
        }
        let part = scene.sizes.part;
        if work.flights.iter().any(|flight| flight.got >= part) {
            return Some(Next::Put(number));
        }
        if event.object || self.left == 0 || work.fault.is_some() && work.flights.is_empty() {
            return Some(Next::Conclude(number));
        }
        if work.fault.is_some() {
            return None;
        }
        if event.is_all_there() {
            return Some(Next::Complete(number));
        }
        let missing = self.missing(work, scene).is_some();
        // Each event at work occupies a slot.
        let others = self.work.iter().filter(|other| other.flights.is_empty());
        let kept_free = others.filter(|other| other.event != work.event).count();
        let slots = SLOTS - self.in_flight();
        let may_have = slots > 0 && (work.flights.is_empty() || slots > kept_free);
        if missing && may_have && self.may_begin(&scene.sizes) {
            return Some(Next::Begin(number));
        }
        // No part is in flight and none can end, so the run is out of time.
        (work.flights.is_empty() && (!missing || !self.may_begin(&scene.sizes)))
            .then_some(Next::Conclude(number))
    }

    /// The next part that is neither in S3 nor in flight. Ticks begin at the back.
    fn missing(&self, work: &Work, scene: &Scene) -> Option<usize> {
        let parts = scene.events[work.event].parts.iter().enumerate();
        let in_flight = |part: &usize| work.flights.iter().any(|flight| flight.part == *part);
        let mut missing = parts.filter_map(|(part, put)| put.is_none().then_some(part));
        match self.kind {
            Kind::Delivery => missing.find(|part| !in_flight(part)),
            Kind::Tick => missing.rfind(|part| !in_flight(part)),
        }
    }

    fn may_begin(&self, sizes: &Sizes) -> bool {
        let flights = self.work.iter().flat_map(|work| &work.flights);
        let to_come: u64 = flights.map(|flight| sizes.part - flight.got).sum();
        let ceiling = self
            .ceiling
            .is_none_or(|all| to_come + sizes.part <= all * self.left);
        let alone = self.rate.is_none_or(|rate| sizes.part <= rate * self.left);
        self.left > 0 && alone && ceiling
    }

    /// Makes the request `next`.
    pub(super) fn make(&mut self, next: Next, scene: &mut Scene) {
        match next {
            Next::Take(place) => self.take(place, scene),
            Next::Begin(number) => self.begin(number, scene),
            Next::Put(number) => self.put(number, scene),
            Next::Complete(number) => {
                let work = &mut self.work[number];
                if scene.outage.is_some() {
                    work.fault = Some(Fault::Ours);
                } else {
                    scene.events[work.event].object = true;
                    work.gained += 1;
                    self.gained += 1;
                }
            }
            Next::Conclude(number) => self.conclude(number, scene),
            Next::End(number) => {
                let event = self.work.remove(number).event;
                scene.write_attempt(event, None);
                scene.events[event].pending = false;
            }
            Next::Over => {}
        }
    }

    fn take(&mut self, place: usize, scene: &mut Scene) {
        let (number, claim) = self.listed.remove(place);
        let event = &scene.events[number];
        if scene.refuses_writes() || !claim.may_write(event.attempt.is_some()) {
            return;
        }
        let deaths = event.deaths();
        scene.write_attempt(number, Some(Contents::AtWork { deaths }));
        // The scene does not hold this run while the run makes a request.
        self.outdate(number);
        let event = &mut scene.events[number];
        if !event.pending || event.manifest {
            event.attempt = None;
            event.pending = false;
            return;
        }
        let whole = self.left == scene.sizes.tick && scene.outage.is_none();
        self.has_taken |= whole && scene.events[number].source == Source::Delivers;
        self.work.push(Work::new(number, Claim::Known, deaths));
    }

    fn begin(&mut self, number: usize, scene: &Scene) {
        let part = self.missing(&self.work[number], scene);
        let work = &mut self.work[number];
        match scene.events[work.event].source {
            Source::Delivers => {
                let flight = part.map(|part| Flight { part, got: 0 });
                work.flights.extend(flight);
            }
            Source::Down => work.fault = Some(Fault::Down),
            Source::Gone => work.fault = Some(Fault::Gone),
        }
    }

    fn put(&mut self, number: usize, scene: &mut Scene) {
        let work = &mut self.work[number];
        let size = scene.sizes.part;
        let Some(place) = work.flights.iter().position(|flight| flight.got >= size) else {
            return;
        };
        let flight = work.flights.remove(place);
        if scene.refuses_writes() {
            work.fault = Some(Fault::Ours);
            return;
        }
        // While the key has no object, a part that is uploaded again is the same.
        let part = &mut scene.events[work.event].parts[flight.part];
        *part = Some(scene.now);
        work.gained += 1;
        self.gained += 1;
    }

    /// Moves the bytes of a minute, and drops the parts that cannot end in time.
    pub(super) fn minute(&mut self, scene: &Scene) {
        self.left = self.left.saturating_sub(1);
        let flowing = self.in_flight() as u64;
        for work in &mut self.work {
            let fault = match scene.events[work.event].source {
                Source::Delivers => None,
                Source::Down => Some(Fault::Down),
                Source::Gone => Some(Fault::Gone),
            };
            if fault.is_some() && !work.flights.is_empty() {
                work.flights.clear();
                work.fault = fault;
            }
            for flight in &mut work.flights {
                flight.got = (flight.got + scene.sizes.rate / flowing).min(scene.sizes.part);
            }
        }
        self.judge(&scene.sizes);
    }

    /// Drops the parts furthest from their end until the rest can end in time.
    fn judge(&mut self, sizes: &Sizes) {
        let fewest = usize::from(self.kind == Kind::Tick);
        let flowing = self.in_flight();
        if flowing == 0 {
            return;
        }
        self.rate = Some(sizes.rate / flowing as u64);
        while self.in_flight() > fewest {
            let flights = self.work.iter().flat_map(|work| &work.flights);
            let to_come: u64 = flights.map(|flight| sizes.part - flight.got).sum();
            if to_come <= sizes.rate * self.left {
                return;
            }
            self.ceiling = Some(sizes.rate);
            let works = self.work.iter_mut().filter(|work| !work.flights.is_empty());
            let furthest = works.min_by_key(|work| work.flights.iter().map(|one| one.got).min());
            let Some(work) = furthest else { return };
            let least = work
                .flights
                .iter()
                .enumerate()
                .min_by_key(|(_, one)| one.got);
            let least = least.map_or(0, |(place, _)| place);
            work.flights.remove(least);
        }
    }

    /// Writes the manifest or the rejection, or releases the event.
    fn conclude(&mut self, number: usize, scene: &mut Scene) {
        let work = &mut self.work[number];
        let fault = work.fault.unwrap_or(Fault::OutOfTime);
        let event = &mut scene.events[work.event];
        // Another run made the object, so this run need not make progress.
        self.is_excused |= event.object && self.gained == 0;
        let is_final = event.object || event.is_final(fault, scene.now);
        let refused = scene.outage == Some(Outage::Writes);
        if is_final && !refused {
            if event.object {
                event.manifest = true;
            } else {
                event.rejected = true;
            }
            work.concluded = true;
            return;
        }
        let work = self.work.remove(number);
        let is_there = event.attempt.is_some();
        if refused || !work.claim.may_write(is_there) {
            return;
        }
        let at_once = match self.kind {
            Kind::Delivery => true,
            Kind::Tick => fault == Fault::OutOfTime && work.gained > 0,
        };
        let contents = if at_once {
            Contents::Empty
        } else {
            Contents::Left
        };
        scene.write_attempt(work.event, Some(contents));
        self.outdate(work.event);
    }

    /// Excuses the run: after a fault it need not make progress.
    pub(super) fn excuse(&mut self) {
        self.is_excused = true;
    }

    /// Returns `true` for a tick that used all its time on an event without a fault, and made no
    /// progress.
    pub(super) fn is_in_vain(&self) -> bool {
        let could = self.kind == Kind::Tick && self.has_taken && !self.is_excused;
        could && self.left == 0 && self.gained == 0
    }
}

impl Work {
    fn new(event: usize, claim: Claim, deaths: u8) -> Self {
        Self {
            event,
            claim,
            deaths,
            flights: vec![],
            fault: None,
            gained: 0,
            concluded: false,
        }
    }
}
