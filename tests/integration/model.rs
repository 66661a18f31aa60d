//! A model of the transfer of one object: several workers against a model of S3.
//!
//! The tests explore all or many interleavings of the workers' requests, with crashes, lost
//! answers, a source that changes, fails or is deleted, outages of S3, and uploads that vanish. In
//! every state the object is safe, no part that may be the only copy is removed, and one worker
//! alone finishes once the source delivers and S3 answers. `schedule` does the same for events,
//! ticks and claims.

mod s3;
mod schedule;
mod worker;

use std::cell::Cell;
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

use s3::{Id, Outage, Shared, Source};
use worker::{ROUNDS, Step, Worker};

/// The faults that may still happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Faults {
    /// A worker vanishes between two requests, and another one may begin in its place.
    crashes: u8,
    /// A request takes effect without an answer, and the worker retries or gives up.
    lost: u8,
    /// ACS refuses a request, finally.
    refusals: u8,
    /// The source changes to its next version.
    changes: u8,
    /// A lifecycle rule aborts an upload.
    aborts: u8,
    /// S3 refuses writes or Complete for a while, or the source fails for a while.
    outages: u8,
    /// ACS deletes the source.
    deletions: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    shared: Shared,
    workers: Vec<Worker>,
    faults: Faults,
    /// Set if a worker ended without clearing its work, so that the next one has to.
    untidy: bool,
}

/// A step from one state to the next.
#[derive(Clone, Copy, Debug)]
enum Action {
    Worker(usize, &'static str),
    SourceChanges,
    SourceIs(Source),
    S3Has(Option<Outage>),
    Lifecycle(Id),
}

impl State {
    fn new(workers: usize, lengths: &[u64], opaque: bool, faults: Faults) -> Self {
        let order = |place: usize| !place.is_multiple_of(2);
        Self {
            shared: Shared::new(lengths, opaque),
            workers: (0..workers)
                .map(|place| Worker::new(order(place)))
                .collect(),
            faults,
            untidy: false,
        }
    }

    /// The same state, in which versions of the source of the same length have the same bytes.
    fn with_same_bytes(mut self) -> Self {
        self.shared.same_bytes = true;
        self
    }

    /// The same state, in which the source ignores ranges.
    fn without_ranges(mut self) -> Self {
        self.shared.ranges = false;
        self
    }

    /// The same state, in which the first worker stored the event itself.
    fn with_first(mut self) -> Self {
        self.workers[0] = Worker::first();
        self
    }

    /// All possible steps, and the states that they lead to.
    fn next(&self) -> Vec<(Action, Self)> {
        let mut next = Vec::new();
        for (place, worker) in self.workers.iter().enumerate() {
            if !worker.has_ended() {
                self.next_of(place, worker, &mut next);
            }
        }
        if next.is_empty() {
            return next;
        }
        if self.faults.changes > 0 {
            let mut after = self.clone();
            after.faults.changes -= 1;
            after.shared.version += 1;
            next.push((Action::SourceChanges, after));
        }
        self.next_of_both_ends(&mut next);
        let open = |id: &Id| self.shared.uploads[*id].open;
        let uploads = if self.faults.aborts > 0 {
            self.shared.uploads.len()
        } else {
            0
        };
        for id in (0..uploads).filter(open) {
            let mut after = self.clone();
            after.faults.aborts -= 1;
            after.shared.end(id);
            next.push((Action::Lifecycle(id), after));
        }
        next
    }

    /// The steps in which the source or S3 fails or recovers.
    fn next_of_both_ends(&self, next: &mut Vec<(Action, Self)>) {
        let mut source = |is: Source, cost: fn(&mut Faults)| {
            let mut after = self.clone();
            after.shared.source = is;
            cost(&mut after.faults);
            next.push((Action::SourceIs(is), after));
        };
        match self.shared.source {
            Source::Down => source(Source::Delivers, |_| {}),
            Source::Delivers if self.faults.outages > 0 => {
                source(Source::Down, |faults| faults.outages -= 1);
            }
            Source::Delivers | Source::Gone => {}
        }
        if self.faults.deletions > 0 && self.shared.source != Source::Gone {
            source(Source::Gone, |faults| faults.deletions -= 1);
        }
        let mut outage = |has: Option<Outage>, cost: u8| {
            let mut after = self.clone();
            after.shared.outage = has;
            after.faults.outages -= cost;
            next.push((Action::S3Has(has), after));
        };
        if self.shared.outage.is_some() {
            outage(None, 0);
        } else if self.faults.outages > 0 {
            for kind in Outage::ALL {
                outage(Some(kind), 1);
            }
        }
    }

    fn next_of(&self, place: usize, worker: &Worker, next: &mut Vec<(Action, Self)>) {
        let mut add = |how, change: &dyn Fn(&mut Self)| {
            let mut after = self.clone();
            change(&mut after);
            next.push((Action::Worker(place, how), after));
        };
        let advance = |after: &mut Self| after.workers[place].advance(&mut after.shared);
        add("does", &advance);
        if self.faults.crashes > 0 {
            let crash = |after: &mut Self| {
                after.faults.crashes -= 1;
                after.forget(worker);
            };
            add("crashes before", &|after| {
                crash(after);
                after.workers[place].step = Step::Crashed;
            });
            add("is replaced before", &|after| {
                crash(after);
                after.workers[place] = Worker::new(worker.from_back);
            });
        }
        if self.faults.refusals > 0 && worker.asks_source() {
            add("is refused", &|after| {
                after.faults.refusals -= 1;
                after.workers[place].give_up(&self.shared);
            });
        }
        if self.faults.lost > 0 && !worker.asks_source() {
            let lose = |after: &mut Self| {
                after.faults.lost -= 1;
                let begun = after.shared.uploads.len();
                advance(after);
                for upload in &mut after.shared.uploads[begun..] {
                    upload.excused = true;
                }
            };
            if worker.writes() {
                add("hears nothing and repeats", &|after| {
                    lose(after);
                    after.workers[place] = worker.clone();
                });
            }
            add("hears nothing and gives up", &|after| {
                lose(after);
                after.workers[place] = worker.clone();
                after.workers[place].give_up(&self.shared);
                if !matches!(worker.step, Step::Complete { .. }) {
                    after.forget(worker);
                }
            });
        }
    }

    fn tell(&self, action: &Action) -> String {
        match action {
            Action::Worker(place, how) => {
                format!("worker {place} {how} {:?}", self.workers[*place].step)
            }
            Action::SourceChanges => "the source changes".into(),
            Action::SourceIs(source) => format!("the source: {source:?}"),
            Action::S3Has(outage) => format!("the outage of S3: {outage:?}"),
            Action::Lifecycle(id) => format!("a lifecycle rule ends upload {id}"),
        }
    }

    /// Ends a worker between two requests: the uploads that only it knew are lost.
    fn forget(&mut self, worker: &Worker) {
        self.untidy = true;
        let recorded = self.shared.record.as_ref();
        let recorded = recorded.map(s3::Record::uploads).unwrap_or_default();
        for id in worker.knows() {
            if !recorded.contains(&id) {
                self.shared.uploads[id].excused = true;
            }
        }
    }

    /// Checks that no part that may be the only copy is removed, except by the lifecycle rule, by a
    /// new record of a changed source, or by another version of the part itself.
    fn check_parts(&self, before: &Self, action: &Action) -> Result<(), String> {
        if self.shared.object.is_some() || matches!(action, Action::Lifecycle(_)) {
            return Ok(());
        }
        let record = self.shared.record.as_ref();
        for (id, (old, new)) in (0..).zip(before.shared.uploads.iter().zip(&self.shared.uploads)) {
            let replaced = record.filter(|record| record.replaced.contains(&id));
            if replaced.is_some_and(|record| record.version != old.version) {
                continue;
            }
            if new.held() < old.held() {
                return Err(format!(
                    "parts of upload {id} are removed, and may be needed"
                ));
            }
        }
        Ok(())
    }

    /// Checks the step `action`, which has led here from `before`.
    fn check(&self, before: &Self, action: &Action) -> Result<(), String> {
        self.check_parts(before, action)?;
        if let Some(fault) = self.shared.fault() {
            return Err(fault.into());
        }
        if before.shared.object.is_some() && before.shared.object != self.shared.object {
            return Err("the object has changed".into());
        }
        for worker in &self.workers {
            // Uploads may fail without a fault of this worker, as long as some worker began each.
            let outrun =
                worker.rounds == ROUNDS && self.shared.uploads.len() >= usize::from(ROUNDS);
            if worker.step == Step::Failed && !worker.hurt && !outrun {
                return Err("a worker failed that met no fault".into());
            }
        }
        Ok(())
    }

    /// Checks a state in which all workers have ended.
    fn check_end(&self) -> Result<(), String> {
        let all_done = self.workers.iter().all(|worker| worker.step == Step::Done);
        if all_done && !self.untidy {
            if self.shared.object.is_none() {
                return Err("all are done, but there is no object".into());
            }
            if self.shared.record.is_some() {
                return Err("all are done, but the record is left".into());
            }
            if let Some(id) = self.shared.left_over().next() {
                return Err(format!("all are done, but upload {id} is left"));
            }
        }
        let after = alone(&self.shared)?;
        match after.left_over().next().filter(|_| after.object.is_some()) {
            Some(id) => Err(format!("upload {id} is left, though it was known")),
            None => Ok(()),
        }
    }
}

/// Runs one new worker without faults on the state that the others left: it must finish. If the
/// source is gone and parts are missing, it must leave all parts as they are.
fn alone(shared: &Shared) -> Result<Shared, String> {
    let mut shared = shared.clone();
    shared.outage = None;
    if shared.source == Source::Down {
        shared.source = Source::Delivers;
    }
    let lost = shared.source == Source::Gone && shared.object.is_none() && !shared.is_all_there();
    let uploads = shared.uploads.clone();
    let mut worker = Worker::new(false);
    for _ in 0..100 {
        worker.advance(&mut shared);
        if worker.has_ended() {
            break;
        }
    }
    if lost && worker.step == Step::Failed {
        return if shared.uploads == uploads {
            Ok(shared)
        } else {
            Err("parts are removed, though the source is gone".into())
        };
    }
    if worker.step != Step::Done || shared.object.is_none() || shared.record.is_some() {
        return Err(format!(
            "one worker alone ends at {:?} with {shared:?}",
            worker.step
        ));
    }
    shared.fault().map_or(Ok(shared), |fault| Err(fault.into()))
}

/// A depth-first walk through all states, each once.
#[derive(Default)]
struct Explorer {
    seen: HashSet<u64>,
    /// The states of S3 and the source on which one worker alone was run.
    tried: HashSet<u64>,
    steps: usize,
    ends: usize,
    /// The steps to a fault, the last first.
    path: Vec<String>,
}

impl Explorer {
    fn explore(state: &State) -> Self {
        let mut explorer = Self::default();
        if let Err(fault) = explorer.visit(state) {
            explorer.path.reverse();
            panic!("{fault}:\n{}", explorer.path.join("\n"));
        }
        explorer
    }

    fn visit(&mut self, state: &State) -> Result<(), String> {
        if !self.seen.insert(hash(state)) {
            return Ok(());
        }
        if self.tried.insert(hash(&state.shared)) {
            alone(&state.shared)?;
        }
        let next = state.next();
        if next.is_empty() {
            self.ends += 1;
            return state.check_end();
        }
        for (action, after) in next {
            self.steps += 1;
            let visited = after
                .check(state, &action)
                .and_then(|()| self.visit(&after));
            if visited.is_err() {
                self.path.push(state.tell(&action));
                return visited;
            }
        }
        Ok(())
    }
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Explores all states of `workers`, and returns the number of states.
fn explore(workers: usize, lengths: &[u64], opaque: bool, faults: Faults) -> usize {
    explore_from(&State::new(workers, lengths, opaque, faults))
}

fn explore_from(start: &State) -> usize {
    let explorer = Explorer::explore(start);
    let Shared {
        lengths,
        opaque,
        same_bytes,
        ranges,
        ..
    } = &start.shared;
    println!(
        "{} workers, lengths {lengths:?}, opaque ETags {opaque}, same bytes {same_bytes}, \
         ranges {ranges}, {:?}: {} states, {} steps, {} ends",
        start.workers.len(),
        start.faults,
        explorer.seen.len(),
        explorer.steps,
        explorer.ends
    );
    explorer.seen.len()
}

const NONE: Faults = Faults {
    crashes: 0,
    lost: 0,
    refusals: 0,
    changes: 0,
    aborts: 0,
    outages: 0,
    deletions: 0,
};

/// An object of two parts.
const TWO: [u64; 1] = [15];

#[test]
fn workers_without_faults_leave_nothing_but_the_object() {
    let two = explore(2, &TWO, false, NONE);
    let three = explore(3, &TWO, false, NONE);
    assert!(two >= 900 && three >= 90_000, "{two} and {three} states");
}

#[test]
fn two_workers_a_crash_and_a_lost_answer() {
    let (crashes, lost) = (1, 1);
    let states = explore(
        2,
        &TWO,
        false,
        Faults {
            crashes,
            lost,
            ..NONE
        },
    );
    assert!(states >= 40_000, "{states} states");
}

#[test]
fn two_workers_and_a_source_that_changes_or_refuses() {
    let changes = 1;
    let mut states = 0;
    for lengths in [[15, 25], [15, 5], [5, 15]] {
        states += explore(2, &lengths, false, Faults { changes, ..NONE });
    }
    // The same bytes with another ETag, as different nodes of one store may send it.
    let with = |faults| State::new(2, &[15, 15], false, faults).with_same_bytes();
    states += explore_from(&with(Faults { changes, ..NONE }));
    for (crashes, lost, refusals) in [(1, 0, 0), (0, 1, 0), (0, 0, 1)] {
        states += explore_from(&with(Faults {
            crashes,
            lost,
            refusals,
            changes,
            ..NONE
        }));
    }
    for (crashes, lost) in [(1, 0), (0, 1)] {
        let faults = Faults {
            refusals: 1,
            crashes,
            lost,
            ..NONE
        };
        states += explore(2, &TWO, false, faults);
    }
    assert!(states >= 150_000, "{states} states");
}

#[test]
fn one_worker_and_other_bytes_of_the_same_length() {
    let (lost, changes) = (1, 1);
    let faults = Faults {
        lost,
        changes,
        ..NONE
    };
    let states = explore(1, &[25, 25], false, faults);
    assert!(states >= 250, "{states} states");
}

/// A stream that replaces the parts of another version and is cut off leaves parts of both
/// versions, with no part missing.
#[test]
fn two_workers_and_other_bytes_of_the_same_length() {
    let mut states = 0;
    for (crashes, lost) in [(1, 0), (0, 1)] {
        let faults = Faults {
            changes: 1,
            crashes,
            lost,
            ..NONE
        };
        states += explore(2, &[15, 15], false, faults);
    }
    assert!(states >= 400_000, "{states} states");
}

#[test]
fn two_workers_one_of_which_stored_the_event() {
    let with = |faults| explore_from(&State::new(2, &TWO, false, faults).with_first());
    let states =
        with(NONE) + with(Faults { crashes: 1, ..NONE }) + with(Faults { lost: 1, ..NONE });
    assert!(states >= 14_000, "{states} states");
}

#[test]
fn two_workers_and_a_source_that_ignores_ranges() {
    let with = |faults| explore_from(&State::new(2, &TWO, false, faults).without_ranges());
    let states =
        with(NONE) + with(Faults { crashes: 1, ..NONE }) + with(Faults { lost: 1, ..NONE });
    assert!(states >= 18_000, "{states} states");
}

#[test]
fn workers_and_outages_of_either_side() {
    let mut states = 0;
    for (outages, deletions) in [(1, 0), (0, 1)] {
        let faults = Faults {
            outages,
            deletions,
            ..NONE
        };
        states += explore(2, &TWO, false, faults);
    }
    for (crashes, changes) in [(1, 0), (0, 1)] {
        let faults = Faults {
            outages: 2,
            deletions: 1,
            crashes,
            changes,
            ..NONE
        };
        states += explore(1, &[25, 35], false, faults);
    }
    assert!(states >= 300_000, "{states} states");
}

#[test]
fn two_workers_and_an_upload_that_vanishes() {
    let mut states = 0;
    for (crashes, lost, refusals) in [(1, 0, 0), (0, 1, 0), (0, 0, 1)] {
        let faults = Faults {
            aborts: 1,
            crashes,
            lost,
            refusals,
            ..NONE
        };
        states += explore(2, &TWO, false, faults);
    }
    assert!(states >= 200_000, "{states} states");
}

#[test]
fn two_workers_and_etags_that_differ_for_the_same_bytes() {
    let states = explore(2, &TWO, true, NONE) + explore(2, &TWO, true, Faults { lost: 1, ..NONE });
    assert!(states >= 25_000, "{states} states");
}

/// Takes random steps, and then lets all workers finish.
fn at_random(start: State, choices: &[u16]) -> Result<usize, String> {
    let mut state = start;
    let mut path = Vec::new();
    // One more crash than workers, with each a run of at most four rounds: far below this.
    for step in 0..5_000 {
        let mut next = state.next();
        if next.is_empty() {
            return state
                .check_end()
                .map(|()| path.len())
                .map_err(|fault| format!("{fault}:\n{}", path.join("\n")));
        }
        let choice = choices
            .get(step)
            .map_or(4 * step + 1, |choice| usize::from(*choice));
        // Three of four steps have no fault, so that runs progress before all faults are used.
        if !choice.is_multiple_of(4) {
            next.retain(|(action, _)| matches!(action, Action::Worker(_, "does")));
        }
        let (action, after) = next.swap_remove(choice / 4 % next.len());
        path.push(state.tell(&action));
        after
            .check(&state, &action)
            .and_then(|()| alone(&after.shared).map(drop))
            .map_err(|fault| format!("{fault}:\n{}", path.join("\n")))?;
        state = after;
    }
    Err(format!("no end after {} steps", path.len()))
}

#[test]
fn several_workers_at_random() {
    const CASES: u32 = 2_000;
    let config = ProptestConfig {
        cases: CASES,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let counts = (
        0_u8..4,
        0_u8..4,
        0_u8..3,
        0_u8..3,
        0_u8..3,
        0_u8..3,
        0_u8..2,
    );
    let faults = counts.prop_map(
        |(crashes, lost, refusals, changes, aborts, outages, deletions)| Faults {
            crashes,
            lost,
            refusals,
            changes,
            aborts,
            outages,
            deletions,
        },
    );
    let all = (
        3_usize..=4,
        vec(5_u64..90, 3),
        any::<bool>(),
        faults,
        vec(any::<u16>(), 0..300),
    );
    let steps = Cell::new(0);
    TestRunner::new_with_rng(config, rng)
        .run(&all, |(workers, lengths, opaque, faults, choices)| {
            // Versions of the same length have the same bytes: see the known defect above.
            let start = State::new(workers, &lengths, opaque, faults).with_same_bytes();
            let ended = at_random(start, &choices).map_err(TestCaseError::fail)?;
            steps.set(steps.get() + ended);
            Ok(())
        })
        .unwrap();
    println!("{CASES} runs of 3 or 4 workers, {} steps", steps.get());
    assert!(steps.get() >= 75_000, "{} steps", steps.get());
}
