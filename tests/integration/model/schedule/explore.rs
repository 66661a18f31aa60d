//! The exploration of the schedule: all steps on small instances, random ones on large instances.

use std::cell::Cell;
use std::collections::HashSet;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

use super::super::hash;
use super::run::Next;
use super::{Budget, DAY, HOUR, Minute, Outage, Scene, Sizes, Source};

/// The number of concurrent runs.
const AT_ONCE: usize = 2;
/// The number of ticks that must archive everything once the source and S3 work.
const ENOUGH: usize = 60;

/// A step from one scene to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Deliver(usize),
    Tick,
    Run(usize, Next),
    Crash(usize),
    Minute,
    /// The time until an event is due.
    Wait,
    Jump(Minute),
    S3(Option<Outage>),
    Source(usize, Source),
}

impl Scene {
    /// All possible steps.
    fn actions(&self) -> Vec<Action> {
        let mut actions = Vec::new();
        let mut waits = true;
        for (place, run) in self.runs.iter().enumerate() {
            let next = run.next(self);
            waits &= next.is_empty();
            actions.extend(next.into_iter().map(|next| Action::Run(place, next)));
            if self.budget.crashes > 0 {
                actions.push(Action::Crash(place));
            }
        }
        let is_due = self.events.iter().any(|event| event.is_due(self.now));
        if self.runs.is_empty() {
            let waits = self.events.iter().any(|event| event.pending) && !is_due;
            if waits && self.budget.ticks > 0 {
                actions.push(Action::Wait);
            }
            if self.budget.jumps > 0 {
                actions.extend([HOUR + 1, DAY + HOUR].map(Action::Jump));
            }
        } else if waits {
            actions.push(Action::Minute);
        }
        if self.runs.len() < AT_ONCE {
            if self.budget.ticks > 0 && is_due {
                actions.push(Action::Tick);
            }
            if self.budget.deliveries > 0 {
                actions.extend((0..self.events.len()).map(Action::Deliver));
            }
        }
        self.faults(&mut actions);
        actions
    }

    fn faults(&self, actions: &mut Vec<Action>) {
        // A fault matters while a run is at work, and may last for any time.
        if self.runs.is_empty() {
            return;
        }
        let budget = &self.budget;
        if self.outage.is_some() {
            actions.push(Action::S3(None));
        } else if budget.outages > 0 {
            let kinds = [Outage::Writes, Outage::Complete];
            actions.extend(kinds.map(|kind| Action::S3(Some(kind))));
        }
        for (number, event) in self.events.iter().enumerate() {
            match event.source {
                Source::Down => actions.push(Action::Source(number, Source::Delivers)),
                Source::Delivers if budget.outages > 0 => {
                    actions.push(Action::Source(number, Source::Down));
                }
                Source::Delivers | Source::Gone => {}
            }
            if budget.deletions > 0 && event.source != Source::Gone {
                actions.push(Action::Source(number, Source::Gone));
            }
        }
    }

    /// The scene after a step.
    fn after(&self, action: Action) -> Self {
        let mut after = self.clone();
        match action {
            Action::Deliver(number) => {
                after.budget.deliveries -= 1;
                after.deliver(number);
            }
            Action::Tick => {
                after.budget.ticks -= 1;
                after.tick();
            }
            Action::Run(place, next) => after.advance(place, next),
            Action::Crash(place) => {
                after.budget.crashes -= 1;
                after.runs.remove(place);
            }
            Action::Minute => after.minute(),
            Action::Wait => after.wait(),
            Action::Jump(time) => {
                after.budget.jumps -= 1;
                after.now += time;
            }
            Action::S3(outage) => {
                after.budget.outages -= u8::from(outage.is_some());
                after.outage = outage;
                after.excuse();
            }
            Action::Source(number, source) => {
                after.budget.outages -= u8::from(source == Source::Down);
                after.budget.deletions -= u8::from(source == Source::Gone);
                after.events[number].source = source;
                after.excuse();
            }
        }
        after
    }

    fn excuse(&mut self) {
        for run in &mut self.runs {
            run.excuse();
        }
    }

    /// Lets the run at `place` make a request.
    fn advance(&mut self, place: usize, next: Next) {
        let mut run = self.runs.remove(place);
        run.make(next, self);
        if next != Next::Over {
            self.runs.insert(place, run);
        }
    }

    /// Checks the step from `before` to this scene.
    fn check(&self, before: &Self, action: Action) -> Result<(), String> {
        for (number, (old, new)) in (0..).zip(before.events.iter().zip(&self.events)) {
            let fault = |fault: &str| Err(format!("event {number}: {fault}"));
            let mut parts = old.parts.iter().zip(&new.parts);
            if parts.any(|(old, new)| old.is_some() && new.is_none()) {
                return fault("a part is removed");
            }
            if !new.object && (old.object || new.manifest) {
                return fault("there is no object");
            }
            if old.pending && !new.pending && !new.manifest && !new.rejected {
                return fault("it is no longer pending, and nothing has become of it");
            }
            if new.rejected && !old.rejected {
                let age = self.now - new.stored;
                let quiet = new.parts.iter().flatten().all(|put| self.now - put >= HOUR);
                let may_be = match new.source {
                    Source::Gone => age >= DAY,
                    Source::Down => age >= 2 * DAY && quiet,
                    Source::Delivers => false,
                };
                // A source that failed at the request may be available again.
                let excused = new.source == Source::Delivers && age >= 2 * DAY && quiet;
                if !may_be && !excused || new.is_all_there() || new.object {
                    return fault("it is rejected, and might still be archived");
                }
            }
        }
        if let Action::Run(place, Next::Over) = action
            && before.runs[place].is_in_vain()
        {
            return Err("a tick has used all its time, and has left nothing".into());
        }
        Ok(())
    }

    /// Ends all runs, heals the source and S3, and runs ticks until every pending event must be
    /// archived. Returns the number of ticks. A recording whose source is gone is rejected if parts
    /// are missing, and its parts stay.
    fn recovers(&self) -> Result<usize, String> {
        let mut scene = self.clone();
        scene.runs.clear();
        scene.outage = None;
        for event in &mut scene.events {
            if event.source == Source::Down {
                event.source = Source::Delivers;
            }
        }
        if scene
            .events
            .iter()
            .any(|event| event.source == Source::Gone)
        {
            scene.now += DAY + HOUR;
        }
        let mut ticks = 0;
        while scene.events.iter().any(|event| event.pending) {
            if ticks == ENOUGH {
                return Err(format!("still pending after {ENOUGH} ticks: {scene:?}"));
            }
            ticks += 1;
            scene.wait();
            scene.tick();
            while let Some(run) = scene.runs.first() {
                match run.next(&scene).first() {
                    Some(next) => {
                        let action = Action::Run(0, *next);
                        let after = scene.after(action);
                        after.check(&scene, action)?;
                        scene = after;
                    }
                    None => scene.minute(),
                }
            }
        }
        for (old, new) in self.events.iter().zip(&scene.events) {
            let lost = old.source == Source::Gone && !old.is_all_there() && !old.object;
            let kept = new.held() == old.held();
            if old.pending
                && if lost {
                    !new.rejected || !kept
                } else {
                    !new.manifest
                }
            {
                return Err(format!("{old:?} has become {new:?}"));
            }
        }
        Ok(ticks)
    }

    /// The state that a later run can see, as a hash.
    fn seen_by_others(&self) -> u64 {
        hash(&(&self.events, self.now))
    }
}

/// A depth-first walk through all scenes, each once.
#[derive(Default)]
struct Explorer {
    seen: HashSet<u64>,
    recovered: HashSet<u64>,
    steps: usize,
    most_ticks: usize,
    /// The steps to a fault, the last first.
    path: Vec<String>,
}

impl Explorer {
    fn visit(&mut self, scene: &Scene) -> Result<(), String> {
        if !self.seen.insert(hash(scene)) {
            return Ok(());
        }
        if self.recovered.insert(scene.seen_by_others()) {
            self.most_ticks = self.most_ticks.max(scene.recovers()?);
        }
        for action in scene.actions() {
            self.steps += 1;
            let after = scene.after(action);
            let visited = after.check(scene, action).and_then(|()| self.visit(&after));
            if visited.is_err() {
                self.path.push(format!("minute {}: {action:?}", scene.now));
                return visited;
            }
        }
        Ok(())
    }
}

/// Explores all scenes from `start`, and returns the number of scenes.
fn explore(start: &Scene) -> usize {
    let mut explorer = Explorer::default();
    if let Err(fault) = explorer.visit(start) {
        explorer.path.reverse();
        panic!("{fault}:\n{}", explorer.path.join("\n"));
    }
    println!(
        "{} events, {:?}, {:?}: {} states, {} steps, at most {} ticks to the end",
        start.events.len(),
        start.sizes,
        start.budget,
        explorer.seen.len(),
        explorer.steps,
        explorer.most_ticks,
    );
    explorer.seen.len()
}

/// A source that brings two parts in a minute.
const FAST: Sizes = Sizes {
    part: 4,
    rate: 8,
    tick: 3,
    delivery: 1,
};
/// Two concurrent parts take longer than a run, and one does not.
const SLOW: Sizes = Sizes {
    part: 4,
    rate: 2,
    tick: 3,
    delivery: 1,
};
/// A part takes the complete time of a tick, and more than a delivery has.
const SLOWEST: Sizes = Sizes {
    part: 10,
    rate: 4,
    tick: 3,
    delivery: 2,
};

const ALL: [Sizes; 3] = [FAST, SLOW, SLOWEST];

fn one(sizes: Sizes, budget: Budget) -> usize {
    explore(&Scene::new(sizes, &[2], budget))
}

#[test]
fn one_event_and_runs_that_overlap() {
    let mut states = 0;
    for sizes in ALL {
        for (crashes, outages) in [(0, 0), (1, 0), (0, 1)] {
            states += one(
                sizes,
                Budget {
                    ticks: 3,
                    deliveries: 2,
                    crashes,
                    outages,
                    ..Budget::default()
                },
            );
        }
    }
    assert!(states >= 60_000, "{states} states");
}

#[test]
fn one_event_that_ages() {
    let mut states = 0;
    for sizes in ALL {
        for (outages, deletions) in [(0, 1), (1, 0), (1, 1)] {
            // Both faults together have by far the most states, so one size suffices.
            if outages + deletions == 2 && sizes != SLOW {
                continue;
            }
            states += one(
                sizes,
                Budget {
                    ticks: 3,
                    deliveries: 1,
                    jumps: 2,
                    outages,
                    deletions,
                    crashes: 0,
                },
            );
        }
    }
    assert!(states >= 500_000, "{states} states");
}

#[test]
fn two_events_share_a_run() {
    let mut states = 0;
    for sizes in ALL {
        for (crashes, outages) in [(0, 0), (1, 0), (0, 1)] {
            let budget = Budget {
                ticks: 2,
                deliveries: 2,
                crashes,
                outages,
                ..Budget::default()
            };
            states += explore(&Scene::new(sizes, &[2, 1], budget));
        }
    }
    assert!(states >= 300_000, "{states} states");
}

/// Takes random steps, and returns their number.
fn at_random(start: Scene, choices: &[u16]) -> Result<usize, String> {
    let mut scene = start;
    let mut path = Vec::new();
    for choice in choices {
        let told = |fault: String, path: &[String]| format!("{fault}:\n{}", path.join("\n"));
        let mut actions = scene.actions();
        // Faults are rare, so that runs progress before all faults are used.
        if choice % 4 != 0 {
            let is_calm = |action: &Action| {
                !matches!(
                    action,
                    Action::Crash(_) | Action::S3(Some(_)) | Action::Source(..) | Action::Jump(_)
                )
            };
            if actions.iter().any(is_calm) {
                actions.retain(is_calm);
            }
        }
        if actions.is_empty() {
            break;
        }
        let action = actions[usize::from(choice / 4) % actions.len()];
        path.push(format!("minute {}: {action:?}", scene.now));
        let after = scene.after(action);
        after
            .check(&scene, action)
            .map_err(|fault| told(fault, &path))?;
        scene = after;
        scene.recovers().map_err(|fault| told(fault, &path))?;
    }
    Ok(path.len())
}

#[test]
fn three_events_at_random() {
    const CASES: u32 = 400;
    let config = ProptestConfig {
        cases: CASES,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let budget = (0_u8..4, 0_u8..4, 0_u8..3, 0_u8..3);
    let all = (
        0_usize..ALL.len(),
        vec(1_usize..4, 3),
        budget,
        vec(any::<u16>(), 0..300),
    );
    let steps = Cell::new(0);
    TestRunner::new_with_rng(config, rng)
        .run(&all, |(sizes, parts, counts, choices)| {
            let (crashes, outages, deletions, jumps) = counts;
            let budget = Budget {
                ticks: 30,
                deliveries: 6,
                jumps,
                crashes,
                outages,
                deletions,
            };
            let start = Scene::new(ALL[sizes], &parts, budget);
            let ended = at_random(start, &choices).map_err(TestCaseError::fail)?;
            steps.set(steps.get() + ended);
            Ok(())
        })
        .unwrap();
    println!("{CASES} runs of three events, {} steps", steps.get());
    assert!(steps.get() >= 35_000, "{} steps", steps.get());
}
