//! Ticks of the schedule.

use std::time::Duration;

use acs_recording_archiver::function::{Answer, TickError};
use acs_recording_archiver::sweep::Swept;
use emulators::acs::Fault;
use emulators::s3;
use serde_json::json;

use harness::world::{PART, Recording, TICK, World, numbered, setup};

/// The place of a hash in keys that belong to no event.
const HASH: &str = "0123456789abcdef";

/// A tick as `EventBridge` Scheduler sends it.
const SCHEDULER_TICK: &str = include_str!("../../events/schedule-scheduler.json");

/// Invokes the function with this tick.
async fn tick(world: &World, payload: &str) -> Swept {
    match world.invoke(&serde_json::from_str(payload).unwrap()).await {
        Answer::Tick(swept) => swept,
        Answer::Http(response) => panic!("{response:?} is no answer to a tick"),
    }
}

/// Publishes a recording, and stores its event as a delivery does before any work.
fn store(world: &World, recording: &Recording) {
    recording.publish(world);
    recording.store(world, Duration::from_mins(5));
}

#[tokio::test]
async fn a_pending_event_of_the_customers_storage_is_set_aside() {
    let world = World::start().await;
    let recording = numbered(0, &[4]);
    let mut event = recording.event(&world);
    event["data"]["storageType"] = "azureBlobStorage".into();
    let chunk = &mut event["data"]["recordingStorageInfo"]["recordingChunks"][0];
    for location in ["contentLocation", "metadataLocation"] {
        chunk[location] = "https://contoso.blob.core.windows.net/recordings/1".into();
    }
    let pending = recording.event_key();
    world.s3.put(&pending, event.to_string());
    world.make_due();

    let swept = world.tick().await;
    assert_eq!((swept.pending, swept.finished), (1, 1));
    let [key] = &world.keys()[..] else {
        panic!("{:?}", world.keys())
    };
    assert!(key.starts_with("recordings/rejected/"), "{key}");
    let kept = world.json(key);
    assert_eq!(kept["event"], event);
    let reason = kept["reason"].as_str().unwrap();
    assert!(reason.contains("customer's own storage"), "{reason}");
    world.assert_acs_uncalled();

    // The event stays pending until the document is written.
    world.s3.remove(key);
    world.s3.put(&pending, event.to_string());
    world.make_due();
    world.s3.inject(|call| {
        let aside = call
            .key
            .as_deref()
            .unwrap_or_default()
            .contains("/rejected/");
        (call.operation == "PutObject" && aside).then_some(s3::Fault::refuse(403, "AccessDenied"))
    });
    assert_eq!(world.tick().await.finished, 0);
    assert!(world.keys().contains(&pending));
}

#[tokio::test]
async fn both_forms_of_a_tick_finish_what_is_pending() {
    for payload in [TICK, SCHEDULER_TICK] {
        let world = World::start().await;
        let recordings: Vec<_> = (0..5)
            .map(|number| numbered(number, &[3 * PART, 4]))
            .collect();
        for recording in &recordings {
            store(&world, recording);
        }
        let swept = tick(&world, payload).await;
        assert_eq!((swept.pending, swept.finished), (5, 5));
        for recording in &recordings {
            assert!(world.s3.object(&recording.manifest_key()).is_some());
        }
        assert_eq!(world.keys().len(), 5 * 5, "{:?}", world.keys());
        assert!(world.s3.uploads().is_empty());
        assert_eq!(tick(&world, payload).await, Swept::default());
    }
}

#[tokio::test]
async fn a_delivery_that_was_acknowledged_as_stored_is_archived_by_a_tick() {
    let mut stored = setup();
    stored.variables.push(("ACKNOWLEDGE", "stored".into()));
    let world = World::with(stored).await;
    let recording = Recording::of(&[4 * PART]);
    recording.publish(&world);
    world.acs.inject(|request| {
        let later = request
            .range
            .as_deref()
            .is_some_and(|range| range.starts_with(&format!("bytes={}-", 2 * PART)));
        later.then(|| Fault::answer(503, ""))
    });
    let response = world.deliver(&recording.event(&world)).await;
    response.assert_outcome(202, "suspended");
    world.acs.heal();
    world.acs.clear_requests();
    // The delivery released its claim, so the event is due at once.
    assert_eq!(tick(&world, SCHEDULER_TICK).await.finished, 1);
    world.assert_archived(&recording);
    let media = world.media_requests();
    assert_eq!(media.len(), 1, "the other parts are kept");
}

#[tokio::test]
async fn the_oldest_event_comes_first_and_its_age_is_reported() {
    let world = World::with({
        let mut one = setup();
        one.limits.events_at_once = 1;
        one
    })
    .await;
    let ages = [5, 90, 30];
    for (number, minutes) in (0..).zip(ages) {
        let recording = numbered(number, &[1]);
        recording.publish(&world);
        recording.store(&world, Duration::from_mins(minutes));
    }
    let swept = world.tick().await;
    assert_eq!(swept.finished, 3);
    assert!(
        (90 * 60..91 * 60).contains(&swept.oldest_seconds),
        "{swept:?}"
    );
    let mut order: Vec<_> = world
        .acs
        .requests()
        .into_iter()
        .filter_map(|request| request.document)
        .collect();
    order.dedup();
    assert_eq!(order, ["0-eus-1-0", "0-eus-2-0", "0-eus-0-0"]);
}

#[tokio::test]
async fn none_of_many_pending_events_starves() {
    const EVENTS: u64 = 60;
    const HANGING: usize = 10;
    const HOUR: Duration = Duration::from_hours(1);
    let mut hasty = setup();
    hasty.limits.unknown_deadline = Duration::from_secs(2);
    hasty.limits.margin = Duration::ZERO;
    hasty.limits.source_stall = Duration::from_millis(300);
    hasty.limits.attempts = 2;
    hasty.limits.remembered = 8;
    hasty.s3.page_size = 50;
    let world = World::with(hasty).await;
    // The oldest events hang, some cannot be read, some are gone from ACS, and the others can be
    // archived.
    for number in 0..EVENTS {
        let recording = numbered(number, &[10]).aged(25 * HOUR);
        recording.publish(&world);
        recording.store(&world, Duration::from_mins(300 - number));
    }
    for number in 0..5 {
        let folder = format!("recordings/pending/20200101T000000.0000000Z-broken-{number}-{HASH}");
        world.s3.put(&format!("{folder}/event.json"), "not JSON");
    }
    for number in 30..34 {
        world.acs.remove(&format!("0-eus-{number}-0"));
    }
    world.acs.inject(|request| {
        let number: usize = request
            .document
            .as_deref()?
            .split('-')
            .nth(2)?
            .parse()
            .ok()?;
        let stall = Duration::from_mins(1);
        (number < HANGING).then_some(Fault::StallBody { after: 1, stall })
    });
    let pending = |world: &World| {
        let keys = world.keys();
        keys.iter()
            .filter(|key| key.ends_with("event.json"))
            .count()
    };
    for ticks in 1.. {
        world.make_due();
        world.tick().await;
        if pending(&world) == HANGING {
            break;
        }
        assert!(ticks < 50, "{} events are still pending", pending(&world));
    }
    world.acs.heal();
    while pending(&world) > 0 {
        world.make_due();
        world.tick().await;
    }
    let keys = world.keys();
    let count = |part: &str| keys.iter().filter(|key| key.contains(part)).count();
    assert_eq!(count(".manifest.json"), 56);
    assert_eq!(count(".rejected.json"), 4, "gone from ACS for a day");
    assert_eq!(
        count("recordings/rejected/"),
        1,
        "the same bytes are set aside once"
    );
}

#[tokio::test]
async fn two_concurrent_ticks_archive_every_event() {
    let world = World::start().await;
    let recordings: Vec<_> = (0..10)
        .map(|number| numbered(number, &[3 * PART]))
        .collect();
    for recording in &recordings {
        store(&world, recording);
    }
    let other = world.another(setup().limits, &[]).await;
    tokio::join!(world.tick(), other.tick());
    assert_eq!(world.keys().len(), 10 * 3, "{:?}", world.keys());
    assert!(world.s3.uploads().is_empty());
}

/// A set-up in which each tick does the housekeeping.
fn tidy() -> harness::embedded::Setup {
    let mut tidy = setup();
    tidy.limits.housekeeping = Duration::from_mins(1);
    tidy
}

#[tokio::test]
async fn a_record_is_deleted_once_its_object_is_there_or_its_upload_is_gone() {
    let world = World::with(tidy()).await;
    let recording = Recording::of(&[3 * PART]);
    recording.publish(&world);
    let event = recording.event(&world);
    world.deliver(&event).await;
    // The record of a run that was killed after another run had archived the chunk.
    let key = recording.media_key(&recording.chunks[0]);
    let record = |key: &str, upload_id: &str| {
        let record = json!({
            "key": key,
            "uploadId": upload_id,
            "length": 3 * PART,
            "contentType": "video/mp4",
            "partSize": PART,
        });
        record.to_string()
    };
    let upload_id = world.s3.begin(&key);
    let finished = recording.record_key(&recording.chunks[0]);
    world.s3.put(&finished, record(&key, &upload_id));
    // A record whose upload is there, and a record whose upload is gone; neither has an object.
    let folder = format!("recordings/pending/20261123T152034.0000000Z-other-{HASH}");
    let (kept, gone) = (
        format!("{folder}/0000-a-{HASH}.upload.json"),
        format!("{folder}/0000-b-{HASH}.upload.json"),
    );
    let media = |id: &str| format!("recordings/2026/11/23/call/152034Z/0000-{id}-{HASH}.mp4");
    let open = world.s3.begin(&media("a"));
    world.s3.put(&kept, record(&media("a"), &open));
    world.s3.put(&gone, record(&media("b"), "gone"));
    // A record that names another key: neither the record nor that upload is touched.
    let foreign = world.s3.begin("elsewhere/object");
    let elsewhere = format!("{folder}/0000-y-{HASH}.upload.json");
    world
        .s3
        .put(&elsewhere, record("elsewhere/object", &foreign));
    let attempt = format!("{folder}/attempt.json");
    world.s3.put(&attempt, "{}");

    let untouched = world.keys();
    world.tick().await;
    assert_eq!(world.keys(), untouched, "a run may be using the uploads");
    world.age_pending(Duration::from_mins(61));
    world.tick().await;

    for (key, is_left) in [
        (&finished, false),
        (&gone, false),
        (&attempt, false),
        (&kept, true),
        (&elsewhere, true),
    ] {
        assert_eq!(world.s3.object(key).is_some(), is_left, "{key}");
        world.s3.remove(key);
    }
    let mut left: Vec<_> = (world.s3.uploads().into_iter())
        .map(|upload| upload.upload_id)
        .collect();
    left.sort();
    let mut expected = [open, foreign];
    expected.sort();
    assert_eq!(left, expected);
    for upload_id in left {
        world.s3.abort(&upload_id);
    }
    world.assert_archived(&recording);
}

#[tokio::test]
async fn unknown_keys_are_left_alone() {
    let world = World::with(tidy()).await;
    let recording = Recording::of(&[3]);
    recording.publish(&world);
    recording.store(&world, Duration::from_hours(2));
    let event = recording.event(&world).to_string();
    let known = recording.pending();
    let foreign = [
        "recordings/pending/again/event.json".to_owned(),
        "recordings/pending/notes.txt".to_owned(),
        format!("{known}/event.json.hold"),
        format!("{known}/notes.txt"),
    ];
    for key in &foreign {
        world.s3.put(key, event.clone());
    }
    world.age_pending(Duration::from_hours(2));
    assert_eq!(world.tick().await.finished, 1);
    for key in &foreign {
        assert!(world.s3.object(key).is_some(), "{key}");
        world.s3.remove(key);
    }
    world.assert_archived(&recording);
}

#[tokio::test]
async fn a_tick_that_cannot_list_fails() {
    let world = World::start().await;
    world.s3.inject(|call| {
        (call.operation == "ListObjectsV2").then_some(s3::Fault::refuse(403, "AccessDenied"))
    });
    let payload = serde_json::value::RawValue::from_string(TICK.to_owned()).unwrap();
    let error = world
        .function
        .invoke(&payload, std::time::SystemTime::UNIX_EPOCH)
        .await
        .unwrap_err();
    assert!(
        matches!(&error, TickError::Store(error) if error.code() == Some("AccessDenied")),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_tick_with_no_pending_event_makes_one_call() {
    let world = World::start().await;
    assert_eq!(world.tick().await, Swept::default());
    let calls = world.s3.calls();
    let operations: Vec<_> = calls.iter().map(|call| call.operation).collect();
    assert_eq!(operations, ["ListObjectsV2"]);
    world.assert_acs_uncalled();
}

#[tokio::test]
async fn an_event_that_is_not_due_costs_no_call() {
    let mut large_pages = setup();
    large_pages.s3.page_size = 1000;
    let world = World::with(large_pages).await;
    // Events with a delivery that may be at work, and events that were tried recently.
    for number in 0..20 {
        let recording = numbered(number, &[3 * PART]);
        recording.publish(&world);
        recording.store(&world, Duration::from_mins(1));
        if number % 2 == 0 {
            let attempt = recording.attempt_key();
            world.s3.put(&attempt, r#"{"run": "another", "beat": 1}"#);
        }
    }
    let swept = world.tick().await;
    assert_eq!((swept.pending, swept.taken), (20, 0));
    assert_eq!(world.s3.calls().len(), 1, "{:?}", world.s3.calls());
    world.assert_acs_uncalled();
}

/// The tick after an outage tries one event before it takes others. If S3 fails for that event too,
/// the tick ends without trying eight more.
#[tokio::test]
async fn a_tick_in_a_lasting_outage_takes_few_events() {
    let world = World::start().await;
    for number in 0..30 {
        store(&world, &numbered(number, &[3 * PART]));
    }
    world.s3.inject(|call| {
        (call.operation == "PutObject").then_some(s3::Fault::refuse(403, "AccessDenied"))
    });
    world.tick().await;
    world.s3.clear_calls();
    world.tick().await;
    let claims = world.count("PutObject");
    assert!(claims <= 3, "{claims} claims");
}
