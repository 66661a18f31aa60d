//! The trial of the store: a store that ignores conditional writes is refused before any work.

use std::time::Duration;

use acs_recording_archiver::function::TickError;
use emulators::s3::{Call, Condition, Fault};
use serde_json::json;

use harness::embedded::Setup;
use harness::world::{PART, Recording, WORK, World, setup, setup_with_work};

const AT_ONCE: usize = 4;

/// A world whose store ignores a condition.
async fn ignoring(condition: Condition) -> World {
    let mut setup = setup();
    setup.s3.ignored = vec![condition];
    World::with(setup).await
}

/// Another instance over the same emulators.
async fn another(world: &World, setup: &Setup) -> World {
    world.another(setup.limits.clone(), &setup.variables).await
}

/// The operation and status of a call.
fn told(call: &Call) -> (&str, Option<u16>) {
    (call.operation, call.status)
}

#[tokio::test]
async fn a_store_that_ignores_conditions_is_refused() {
    for condition in [Condition::PutIfNoneMatch, Condition::PutIfMatch] {
        let world = ignoring(condition).await;
        let recording = Recording::of(&[10, 2 * PART]);
        recording.publish(&world);
        let events = json!([recording.event(&world), {"not": "understood"}]);
        let response = world.deliver(&events).await;
        assert_eq!(response.status, 503, "{response:?}");
        for event in response.body["events"].as_array().unwrap() {
            assert_eq!(event["outcome"], "unstored");
        }
        assert_eq!(world.keys(), Vec::<String>::new());
        assert!(world.s3.calls().is_empty(), "the store was tried again");

        // An event that a version without the trial stored.
        recording.store(&world, Duration::from_hours(1));
        let before = world.s3.objects();
        let error = world.try_tick().await.expect_err("the store is unfit");
        assert!(matches!(error, TickError::Unfit(_)), "{error:?}");
        let error = acs_recording_archiver::error_chain::error_chain(&error);
        let header = match condition {
            Condition::PutIfMatch => "If-Match",
            _ => "If-None-Match",
        };
        let said = format!("store ignores {header} of PutObject");
        assert!(error.contains(&said), "{error}");
        assert_eq!(world.s3.objects(), before);
        world.assert_acs_uncalled();
    }
}

#[tokio::test]
async fn each_instance_tries_the_store_once_and_leaves_nothing() {
    for setup in [setup, setup_with_work] {
        let world = World::with(setup()).await;
        assert!(world.s3.calls().is_empty() && world.keys().is_empty());
        let other = another(&world, &setup()).await;
        let calls = world.s3.calls();
        let expected = [
            ("PutObject", Some(200)),
            ("PutObject", Some(412)),
            ("PutObject", Some(412)),
            ("DeleteObject", Some(204)),
        ];
        assert_eq!(calls.iter().map(told).collect::<Vec<_>>(), expected);
        let (work, folder) = if setup().variables.is_empty() {
            (world.s3.clone(), "recordings/pending/")
        } else {
            (world.s3.of(WORK), "pending/")
        };
        for call in &calls {
            assert_eq!(call.bucket, work.bucket());
            let key = call.key.as_deref().unwrap();
            assert!(
                key.starts_with(folder) && key.ends_with("/attempt.json"),
                "{key}"
            );
        }
        assert!(work.objects().is_empty());

        world.s3.clear_calls();
        let recording = Recording::of(&[10]);
        recording.publish(&world);
        let delivered = other.deliver(&recording.event(&world)).await;
        assert_eq!(delivered.status, 200);
        other.tick().await;
        let trials = world.s3.calls();
        let trials = trials.iter().filter(|call| call.status == Some(412));
        assert_eq!(trials.count(), 0);
        world.assert_archived(&recording);
    }
}

#[tokio::test]
async fn concurrent_trials_do_not_mislead_one_another() {
    let world = World::start().await;
    let mut starting = tokio::task::JoinSet::new();
    for number in 0..AT_ONCE {
        let (world, recording) = (
            world.clone(),
            harness::world::numbered(number as u64, &[10]),
        );
        recording.publish(&world);
        starting.spawn(async move {
            let other = another(&world, &setup()).await;
            other.deliver(&recording.event(&world)).await.status
        });
    }
    assert_eq!(starting.join_all().await, [200; AT_ONCE]);
}

#[tokio::test]
async fn a_trial_that_fails_for_another_reason_is_an_outage() {
    for (status, code) in [
        (503, "SlowDown"),
        (403, "AccessDenied"),
        (501, "NotImplemented"),
    ] {
        let world = World::start().await;
        let recording = Recording::of(&[10]);
        recording.publish(&world);
        recording.store(&world, Duration::from_mins(20));
        world.s3.inject(move |call| {
            let writes = call.operation == "PutObject";
            writes.then_some(Fault::refuse(status, code))
        });
        let other = another(&world, &setup()).await;
        let event = recording.event(&world);
        assert_eq!(other.deliver(&event).await.status, 503);
        // The tick still counts the pending events.
        let swept = other.tick().await;
        assert_eq!((swept.pending, swept.taken), (1, 0));
        assert!(world.acs.requests().is_empty(), "{status}");

        world.s3.heal();
        assert_eq!(other.deliver(&event).await.status, 200, "{status}");
        world.assert_archived(&recording);
    }
}

#[tokio::test]
async fn a_trial_survives_lost_answers_and_single_faults() {
    let faults = [
        Fault::LoseAnswer,
        Fault::refuse(503, "SlowDown"),
        Fault::refuse(409, "ConditionalRequestConflict"),
    ];
    for fault in faults {
        for number in 0..4 {
            let world = World::start().await;
            let hit = fault.clone();
            world
                .s3
                .inject(move |call| (call.number == number).then(|| hit.clone()));
            let other = another(&world, &setup()).await;
            world.s3.heal();
            let recording = Recording::of(&[10]);
            recording.publish(&world);
            let response = other.deliver(&recording.event(&world)).await;
            assert_eq!(response.status, 200, "{fault:?} at {number}");
        }
    }
}

#[tokio::test]
async fn a_tick_deletes_the_object_of_an_interrupted_trial() {
    let mut setup = setup();
    setup.limits.housekeeping = Duration::from_mins(1);
    let world = World::with(Setup {
        limits: setup.limits.clone(),
        ..harness::world::setup()
    })
    .await;
    world.s3.inject(|call| {
        let deletes = call.operation == "DeleteObject";
        deletes.then_some(Fault::refuse(403, "AccessDenied"))
    });
    let other = another(&world, &setup).await;
    assert_eq!(world.keys().len(), 1);
    world.s3.heal();
    world.age_pending(Duration::from_hours(2));
    assert_eq!(
        other.tick().await.pending,
        0,
        "the trial object is no pending event"
    );
    assert!(world.keys().is_empty());
}
