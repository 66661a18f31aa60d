//! A model of the schedule: deliveries and ticks of limited time that overlap, claim events, fetch
//! parts from slow sources, and give up by the age of an event.
//!
//! A part is a number of units, and a run moves a number of units a minute over all its parts in
//! flight. The steps between two requests take no time, and a minute passes when every run waits.
//! The code in `src/` decides when an event is due and when a failure is final.

mod explore;
mod run;

use std::time::{Duration, SystemTime};

use acs_recording_archiver::acs::Error;
use acs_recording_archiver::archive::attempt::{self, due};
use acs_recording_archiver::finality::{Ages, Failure};
use acs_recording_archiver::transfer;
use reqwest::StatusCode;

use run::Run;

/// Minutes since the beginning of the model.
type Minute = u64;

const HOUR: Minute = 60;
const DAY: Minute = 24 * HOUR;

/// The numbers of an instance of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Sizes {
    /// Units of a part.
    part: u64,
    /// Units that a run moves in a minute, all its parts in flight together.
    rate: u64,
    /// Minutes of a tick.
    tick: u64,
    /// Minutes of a delivery.
    delivery: u64,
}

/// The numbers of steps that may still happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Budget {
    ticks: u8,
    /// Further deliveries of each event.
    deliveries: u8,
    /// Long times without a run.
    jumps: u8,
    crashes: u8,
    outages: u8,
    /// Sources that ACS deletes.
    deletions: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Source {
    Delivers,
    Down,
    Gone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Outage {
    Writes,
    Complete,
}

/// The contents of `attempt.json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Contents {
    /// Released, and due at once.
    Empty,
    AtWork {
        deaths: u8,
    },
    Left,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Attempt {
    written: Minute,
    contents: Contents,
}

/// An event and its one recording.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an object in the bucket"
)]
struct Event {
    pending: bool,
    stored: Minute,
    attempt: Option<Attempt>,
    source: Source,
    /// The minute at which each part was uploaded.
    parts: Vec<Option<Minute>>,
    object: bool,
    manifest: bool,
    rejected: bool,
}

impl Event {
    fn is_due(&self, now: Minute) -> bool {
        self.pending && self.due() <= now
    }

    /// The first minute at which a tick may take it.
    fn due(&self) -> Minute {
        let listed = self.attempt.map(|attempt| attempt::Listed {
            etag: String::new(),
            written: clock(attempt.written),
            is_empty: attempt.contents == Contents::Empty,
        });
        let due = due(clock(self.stored), listed.as_ref());
        let seconds = due.duration_since(clock(0)).expect("it is later").as_secs();
        seconds.div_ceil(60)
    }

    /// Returns `true` if a claim names a run that is at work on the event.
    fn is_claimed(&self, now: Minute) -> bool {
        let contents = self.attempt.map(|attempt| attempt.contents);
        matches!(contents, Some(Contents::AtWork { .. })) && now < self.due()
    }

    fn deaths(&self) -> u8 {
        match self.attempt.map(|attempt| attempt.contents) {
            Some(Contents::AtWork { deaths }) => deaths.saturating_add(1),
            _ => 0,
        }
    }

    fn held(&self) -> usize {
        self.parts.iter().flatten().count()
    }

    fn is_all_there(&self) -> bool {
        self.held() == self.parts.len()
    }

    /// Returns `true` if a failure is final, by the rule of `src/finality.rs`.
    fn is_final(&self, fault: Fault, now: Minute) -> bool {
        let refused = |status| {
            Failure::from(transfer::Error::Source(Error::Refused {
                status,
                trace_id: None,
                retry_after: None,
            }))
        };
        let failure = match fault {
            Fault::OutOfTime => Failure::OutOfTime,
            Fault::Ours => Failure::from(transfer::Error::Conflict),
            Fault::Down => refused(StatusCode::SERVICE_UNAVAILABLE),
            Fault::Gone => refused(StatusCode::NOT_FOUND),
        };
        let ages = Ages::new(None, clock(self.stored), clock(now));
        let last = self.parts.iter().flatten().max();
        let last = last.map(|put| Duration::from_secs(60 * (now - put)));
        failure.is_final(ages, None) && failure.is_final(ages, last)
    }
}

/// The reason why a run has not finished an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Fault {
    OutOfTime,
    Ours,
    Down,
    Gone,
}

/// A minute as a moment of the clock.
fn clock(minute: Minute) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_hours(500_000) + Duration::from_secs(60 * minute)
}

/// The state of S3, of the sources, and of all runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Scene {
    sizes: Sizes,
    now: Minute,
    outage: Option<Outage>,
    events: Vec<Event>,
    runs: Vec<Run>,
    budget: Budget,
}

impl Scene {
    /// A scene of events with these numbers of parts, none of them delivered yet.
    fn new(sizes: Sizes, parts: &[usize], budget: Budget) -> Self {
        let event = |parts: &usize| Event {
            pending: false,
            stored: 0,
            attempt: None,
            source: Source::Delivers,
            parts: vec![None; *parts],
            object: false,
            manifest: false,
            rejected: false,
        };
        Self {
            sizes,
            now: 0,
            outage: None,
            events: parts.iter().map(event).collect(),
            runs: vec![],
            budget,
        }
    }

    /// Returns `true` if S3 refuses to store anything.
    fn refuses_writes(&self) -> bool {
        self.outage == Some(Outage::Writes)
    }

    /// Writes the `attempt.json` of an event, or deletes it. Runs that read another one can no
    /// longer replace it.
    fn write_attempt(&mut self, event: usize, contents: Option<Contents>) {
        let written = self.now;
        self.events[event].attempt = contents.map(|contents| Attempt { written, contents });
        for run in &mut self.runs {
            run.outdate(event);
        }
    }

    /// Lets Event Grid deliver an event.
    fn deliver(&mut self, number: usize) {
        if self.refuses_writes() {
            return;
        }
        let now = self.now;
        let event = &mut self.events[number];
        if event.manifest {
            event.attempt = None;
            event.pending = false;
            return;
        }
        let is_new = !event.pending;
        if is_new {
            event.pending = true;
            event.stored = now;
        } else if event.is_claimed(now) {
            return;
        }
        let is_there = event.attempt.is_some();
        self.runs.push(Run::delivery(&self.sizes, number, is_there));
    }

    /// Starts a tick, which lists the due events.
    fn tick(&mut self) {
        let due = (0..self.events.len()).filter(|event| self.events[*event].is_due(self.now));
        let mut listed: Vec<usize> = due.collect();
        // Events without an attempt come first, then those that wait longest.
        listed.sort_by_key(|event| {
            let attempt = self.events[*event].attempt;
            attempt.map(|attempt| attempt.written)
        });
        let events = &self.events;
        let listed = listed.into_iter();
        let listed = listed.map(|event| (event, events[event].attempt.is_some()));
        self.runs.push(Run::tick(&self.sizes, listed.collect()));
    }

    /// Lets a minute pass: runs renew their claims, and bytes arrive.
    fn minute(&mut self) {
        self.now += 1;
        for place in 0..self.runs.len() {
            let mut run = self.runs[place].clone();
            run.minute(self);
            self.runs[place] = run;
            self.beat(place);
        }
    }

    /// Renews the claims of a run.
    fn beat(&mut self, place: usize) {
        if self.refuses_writes() {
            return;
        }
        for (number, event) in self.runs[place].at_work() {
            if self.runs[place].may_write(number, self.events[event].attempt.is_some()) {
                let deaths = self.runs[place].deaths(number);
                self.write_attempt(event, Some(Contents::AtWork { deaths }));
                self.runs[place].wrote(number);
            } else {
                self.runs[place].lose(number);
            }
        }
    }

    /// Moves the clock to the next minute at which an event is due, if none is due now.
    fn wait(&mut self) {
        let pending = self.events.iter().filter(|event| event.pending);
        let due = pending.map(Event::due).min();
        self.now = due.map_or(self.now, |due| due.max(self.now));
    }
}
