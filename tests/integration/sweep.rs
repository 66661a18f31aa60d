//! The schedule's tick.

use std::time::Duration;

use acs_recording_archiver::function::{Answer, TickError};
use acs_recording_archiver::sweep::Swept;
use emulators::acs::{Fault, Kind};
use emulators::s3;
use serde_json::{Value, json};

use crate::world::{PART, Recording, World, setup};

/// Stands for an identity or a location in keys of no event.
const HASH: &str = "0123456789abcdef";

fn rule() -> Value {
    serde_json::from_str(include_str!("../../events/schedule-rule.json")).unwrap()
}

fn scheduler() -> Value {
    serde_json::from_str(include_str!("../../events/schedule-scheduler.json")).unwrap()
}

async fn tick(world: &World, payload: &Value) -> Swept {
    match world.invoke(payload).await {
        Answer::Tick(swept) => swept,
        Answer::Http(response) => panic!("{response:?} is no answer to a tick"),
    }
}

/// The nth of several recordings, each with ids of its own.
fn numbered(number: u64, lengths: &[u64]) -> Recording {
    let mut recording = Recording::of(lengths);
    recording.event_id = format!("event-{number}");
    recording.call_id = format!("call-{number}");
    for chunk in &mut recording.chunks {
        chunk.document_id = format!("0-eus-{number}-{}", chunk.index);
    }
    recording
}

/// Stores the event as a delivery does before any work.
fn store(world: &World, recording: &Recording) {
    recording.publish(world);
    let event = recording.event(world).to_string();
    world
        .s3
        .put(&format!("{}/event.json", recording.pending()), event);
}

#[tokio::test]
async fn both_forms_of_a_tick_finish_what_is_pending() {
    for payload in [rule(), scheduler()] {
        let world = World::start().await;
        let recordings: Vec<_> = (0..5)
            .map(|number| numbered(number, &[3 * PART, 4]))
            .collect();
        for recording in &recordings {
            store(&world, recording);
        }
        let swept = tick(&world, &payload).await;
        assert_eq!((swept.pending, swept.finished), (5, 5));
        for recording in &recordings {
            assert!(world.s3.object(&recording.manifest_key()).is_some());
        }
        assert_eq!(world.keys().len(), 5 * 5, "{:?}", world.keys());
        assert!(world.s3.uploads().is_empty());
        assert_eq!(tick(&world, &payload).await, Swept::default());
    }
}

#[tokio::test]
async fn a_delivery_that_was_acknowledged_as_stored_is_finished() {
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
        later.then(|| Fault::Answer {
            status: 503,
            headers: vec![],
            body: "".into(),
        })
    });
    let response = world.deliver(&recording.event(&world)).await;
    assert_eq!(
        (response.status, &response.body["events"][0]["outcome"]),
        (202, &json!("suspended"))
    );
    world.acs.heal();
    world.acs.clear_requests();
    assert_eq!(tick(&world, &scheduler()).await.finished, 1);
    world.assert_archived(&recording);
    let media = world
        .acs
        .requests()
        .into_iter()
        .filter(|request| request.kind == Kind::Media);
    assert_eq!(media.count(), 1, "the other parts are kept");
}

#[tokio::test]
async fn the_oldest_come_first_and_their_age_is_told() {
    let world = World::with({
        let mut one = setup();
        one.limits.events_at_once = 1;
        one
    })
    .await;
    let ages = [5, 90, 30];
    for (number, minutes) in (0..).zip(ages) {
        let recording = numbered(number, &[1]).aged(Duration::from_mins(minutes));
        store(&world, &recording);
        let key = format!("{}/event.json", recording.pending());
        let now = world.s3.object(&key).unwrap().last_modified;
        world
            .s3
            .set_last_modified(&key, now - Duration::from_mins(minutes));
    }
    let swept = tick(&world, &rule()).await;
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
    assert_eq!(
        order[0], "0-eus-1-0",
        "the oldest; of the others one at random"
    );
    assert_eq!(order.len(), 3);
}

#[tokio::test]
async fn none_of_many_pending_events_starves() {
    const EVENTS: u64 = 60;
    const HANGING: usize = 10;
    let mut hasty = setup();
    hasty.limits.tick = Duration::from_secs(2);
    hasty.limits.tick_share = Duration::from_millis(250);
    hasty.limits.source_stall = Duration::from_mins(1);
    hasty.s3.page_size = 50;
    let world = World::with(hasty).await;
    // The oldest hang, some cannot be read, some are gone from ACS, and the others are as they should be.
    for number in 0..EVENTS {
        let age = Duration::from_mins(300 - number);
        store(&world, &numbered(number, &[10]).aged(age));
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
        world
            .keys()
            .iter()
            .filter(|key| key.contains("/pending/"))
            .count()
    };
    for ticks in 1.. {
        tick(&world, &rule()).await;
        if pending(&world) == HANGING {
            break;
        }
        assert!(ticks < 200, "{} events are still pending", pending(&world));
    }
    world.acs.heal();
    while pending(&world) > 0 {
        tick(&world, &rule()).await;
    }
    let keys = world.keys();
    let count = |part: &str| keys.iter().filter(|key| key.contains(part)).count();
    assert_eq!(count(".manifest.json"), 56);
    assert_eq!(
        count(".rejected.json"),
        4,
        "gone from ACS for more than an hour"
    );
    assert_eq!(
        count("recordings/rejected/"),
        1,
        "the same bytes are set aside once"
    );
}

#[tokio::test]
async fn two_ticks_at_once_do_no_harm() {
    let world = World::start().await;
    let recordings: Vec<_> = (0..10)
        .map(|number| numbered(number, &[3 * PART]))
        .collect();
    for recording in &recordings {
        store(&world, recording);
    }
    let function = crate::embedded::function(&world.s3, &world.acs, setup().limits, &[]).await;
    let other = World::over(&world, function);
    let payload = rule();
    tokio::join!(tick(&world, &payload), tick(&other, &payload));
    assert_eq!(world.keys().len(), 10 * 3, "{:?}", world.keys());
    assert!(world.s3.uploads().is_empty());
}

#[tokio::test]
async fn a_record_without_its_event_is_ended_with_its_upload() {
    let world = World::start().await;
    let recording = Recording::of(&[3 * PART]);
    recording.publish(&world);
    let event = recording.event(&world);
    world.deliver(&event).await;
    // What a run leaves that was outrun and then killed.
    let upload_id = world.s3.begin(&recording.media_key(&recording.chunks[0]));
    let record = json!({"key": recording.media_key(&recording.chunks[0]), "uploadId": upload_id, "length": 3 * PART, "contentType": "video/mp4", "partSize": PART});
    world.s3.put(
        &recording.record_key(&recording.chunks[0]),
        record.to_string(),
    );
    // One that leads elsewhere is deleted, and what it names is not touched.
    let foreign = world.s3.begin("elsewhere/object");
    let folder = format!("recordings/pending/20200101T000000.0000000Z-x-{HASH}");
    world.s3.put(&format!("{folder}/0000-y-{HASH}.upload.json"), json!({"key": "elsewhere/object", "uploadId": foreign, "length": 1, "contentType": "", "partSize": 1}).to_string());

    assert_eq!(tick(&world, &rule()).await, Swept::default());

    assert_eq!(
        world
            .s3
            .uploads()
            .into_iter()
            .map(|upload| upload.upload_id)
            .collect::<Vec<_>>(),
        std::slice::from_ref(&foreign)
    );
    world.s3.abort(&foreign);
    world.assert_archived(&recording);
}

#[tokio::test]
async fn an_event_that_was_stored_by_hand_under_another_name_is_archived_once() {
    let world = World::start().await;
    let recording = Recording::of(&[3]);
    recording.publish(&world);
    let event = recording.event(&world).to_string();
    let name = format!("20200101T000000.0000000Z-again-{HASH}");
    let stored = format!("recordings/pending/{name}/event.json");
    world.s3.put(&stored, event.clone());
    // Under no name of ours it stays.
    let notes = "recordings/pending/again/event.json";
    world.s3.put(notes, event);
    let swept = tick(&world, &rule()).await;
    assert_eq!((swept.pending, swept.finished), (1, 1));
    assert!(world.s3.object(notes).is_some());
    world.s3.remove(notes);
    world.assert_archived(&recording);
}

#[tokio::test]
async fn a_tick_that_cannot_list_is_an_error_of_the_function() {
    let world = World::start().await;
    world.s3.inject(|call| {
        (call.operation == "ListObjectsV2").then_some(s3::Fault::Refuse {
            status: 403,
            code: "AccessDenied",
        })
    });
    let payload = serde_json::value::RawValue::from_string(rule().to_string()).unwrap();
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
