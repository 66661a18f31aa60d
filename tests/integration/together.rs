//! Concurrent deliveries of one event: the same bytes, each object once, nothing left.

use std::time::Duration;

use emulators::acs;
use emulators::s3;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::interruptions::{DEPLOYED_PART, Machine};
use harness::embedded::{Response, Setup};
use harness::world::{PART, Recording, World, limits, setup};

/// A recording of a chunk of one byte, and one of some parts and a rest.
fn recording() -> Recording {
    Recording::of(&[1, 11 * PART + 99, PART + 1])
}

/// A set-up whose source limits the rate of each connection, as ACS does.
fn slow(bytes_per_second: u64) -> Setup {
    let base = setup();
    Setup {
        acs: acs::Settings {
            bytes_per_second: Some(bytes_per_second),
            ..base.acs
        },
        variables: in_flight(2),
        ..base
    }
}

fn in_flight(parts: usize) -> Vec<(&'static str, String)> {
    vec![("TRANSFER_CONCURRENCY", parts.to_string())]
}

/// Another instance over the same emulators.
async fn other(world: &World) -> World {
    let mut often = limits();
    often.relist = Duration::from_millis(20);
    world.another(often, &in_flight(2)).await
}

/// A count of the parts that were begun.
fn parts_begun(world: &World) -> watch::Receiver<usize> {
    let (sender, receiver) = watch::channel(0);
    world.s3.inject(move |call| {
        if call.operation == "UploadPart" {
            sender.send_modify(|begun| *begun += 1);
        }
        None
    });
    receiver
}

/// The writes of S3 that took effect, by operation and the end of the key.
fn writes(world: &World, operation: &str, key: &str) -> usize {
    let written = world.s3.calls().into_iter().filter(|call| {
        call.operation == operation
            && call.status == Some(200)
            && call.key.as_deref().is_some_and(|it| it.ends_with(key))
    });
    written.count()
}

/// Asserts that the recording is archived, each object was made once, and nothing is pending.
async fn assert_made_once(world: &World, recording: &Recording) {
    world.assert_archived(recording);
    assert_eq!(writes(world, "PutObject", ".manifest.json"), 1);
    for chunk in &recording.chunks {
        let key = recording.media_key(chunk);
        let made =
            writes(world, "CompleteMultipartUpload", &key) + writes(world, "PutObject", &key);
        assert_eq!(made, 1, "{key}");
        assert_eq!(
            writes(world, "PutObject", &recording.metadata_key(chunk)),
            1
        );
    }
    assert_eq!(
        tick(world).await,
        json!({"pending": 0, "taken": 0, "finished": 0, "oldestSeconds": 0})
    );
}

async fn tick(world: &World) -> Value {
    serde_json::to_value(world.tick().await).unwrap()
}

fn assert_all_good(responses: &[Response]) {
    for response in responses {
        assert_eq!(response.status.code(), 200, "{response:?}");
    }
}

#[tokio::test]
async fn deliveries_that_begin_together() {
    for deliveries in [2, 3, 8] {
        let world = World::start().await;
        let recording = recording();
        recording.publish(&world);
        let mut delivering = JoinSet::new();
        for count in 0..deliveries {
            let (other, event) = (other(&world).await, recording.event(&world));
            delivering.spawn(async move { other.deliver_again(&event, count).await });
        }
        assert_all_good(&delivering.join_all().await);
        assert_made_once(&world, &recording).await;
    }
}

#[tokio::test]
async fn deliveries_during_the_first_one() {
    for deliveries in [2, 3, 8] {
        let world = World::with(slow(4_000_000)).await;
        let recording = recording();
        recording.publish(&world);
        let begun = parts_begun(&world);
        let mut delivering = JoinSet::new();
        for count in 0..deliveries {
            let (other, event) = (other(&world).await, recording.event(&world));
            let mut begun = begun.clone();
            delivering.spawn(async move {
                let parts = usize::try_from(count).unwrap();
                begun.wait_for(|begun| *begun >= parts).await.unwrap();
                other.deliver_again(&event, count).await
            });
        }
        assert_all_good(&delivering.join_all().await);
        world.s3.heal();
        assert_made_once(&world, &recording).await;
    }
}

#[tokio::test]
async fn two_deliveries_share_the_parts() {
    const PARTS: u64 = 64;
    for first_part in [0, 1, 20] {
        let world = World::with(slow(2_000_000)).await;
        let recording = Recording::of(&[PARTS * PART]);
        recording.publish(&world);
        let event = recording.event(&world);
        let mut begun = parts_begun(&world);
        let (one, another) = (other(&world).await, other(&world).await);
        let later = async {
            begun.wait_for(|begun| *begun >= first_part).await.unwrap();
            another.deliver_again(&event, 1).await
        };
        let (first, second) = tokio::join!(one.deliver(&event), later);
        world.s3.heal();
        assert_all_good(&[first, second]);
        assert_made_once(&world, &recording).await;
        let sent = world.sent(&recording);
        let size = PARTS * PART;
        println!("{sent} bytes were sent of {size}");
        assert!(4 * sent <= 5 * size, "{sent} of {size} bytes");
    }
}

#[tokio::test]
async fn a_late_delivery_fetches_nothing() {
    let world = World::start().await;
    let recording = recording();
    recording.publish(&world);
    let event = recording.event(&world);
    assert_eq!(world.deliver(&event).await.status, 200);
    world.acs.clear_requests();
    let response = other(&world).await.deliver_again(&event, 1).await;
    response.assert_outcome(200, "alreadyArchived");
    world.assert_acs_uncalled();
    assert_made_once(&world, &recording).await;
}

#[tokio::test]
async fn deliveries_and_ticks() {
    let world = World::with(slow(4_000_000)).await;
    let recording = recording();
    recording.publish(&world);
    let begun = parts_begun(&world);
    let event = recording.event(&world);
    let mut ticking = JoinSet::new();
    for parts in [1, 3, 8] {
        let (other, mut begun) = (other(&world).await, begun.clone());
        ticking.spawn(async move {
            begun.wait_for(|begun| *begun >= parts).await.unwrap();
            // The claim looks old, as if the delivery had been at work for long.
            other.make_due();
            tick(&other).await
        });
    }
    let another = other(&world).await;
    let (first, second) = tokio::join!(world.deliver(&event), another.deliver_again(&event, 1));
    assert_all_good(&[first, second]);
    let ticks = ticking.join_all().await;
    for swept in &ticks {
        assert_eq!(swept["taken"], swept["finished"]);
    }
    assert!(ticks.iter().any(|swept| swept["taken"] == 1), "{ticks:?}");
    world.s3.heal();
    assert_made_once(&world, &recording).await;
}

#[tokio::test]
async fn deliveries_in_separate_processes() {
    let world = World::with(Setup {
        s3: s3::Settings::default(),
        ..setup()
    })
    .await;
    let recording = Recording::of(&[1, 3 * DEPLOYED_PART + 99]);
    recording.publish(&world);
    let event = recording.event(&world);
    let (one, another) = (Machine::start(&world).await, Machine::start(&world).await);
    let _processes = (one.run(), another.run());
    let statuses = tokio::join!(one.deliver(&event, 0), another.deliver(&event, 1));
    let good = statuses.0 == 200 && statuses.1 == 200;
    assert!(good, "{statuses:?}");
    assert_made_once(&world, &recording).await;
}

/// A run whose first reply from ACS takes longer than the complete transfer of another run must not
/// take all parts for missing.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_delivery_that_is_overtaken_before_its_first_byte_fetches_nothing() {
    let world = World::start().await;
    let recording = Recording::of(&[12 * PART]);
    recording.publish(&world);
    let event = recording.event(&world);
    let slower = other(&world).await;

    let (let_go, held) = std::sync::mpsc::channel::<()>();
    let held = std::sync::Mutex::new(Some(held));
    let (is_held, mut holds) = watch::channel(false);
    world.acs.inject(move |request| {
        let held = (request.kind == acs::Kind::Media).then(|| held.lock().unwrap().take());
        if let Some(held) = held.flatten() {
            is_held.send_replace(true);
            // Ends when the other delivery has ended, and occupies one of the threads until then.
            let _ = held.recv();
        }
        None
    });
    let delivering = {
        let event = event.clone();
        tokio::spawn(async move { slower.deliver(&event).await })
    };
    holds.wait_for(|is_held| *is_held).await.unwrap();
    let response = world.deliver_again(&event, 1).await;
    let_go.send(()).unwrap();
    assert_all_good(&[response, delivering.await.unwrap()]);
    world.acs.heal();

    assert_made_once(&world, &recording).await;
    let (sent, size) = (world.sent(&recording), 12 * PART);
    assert!(sent <= size + PART, "{sent} bytes were sent of {size}");
}
