//! The identity of recordings: forged events beside genuine ones, and foreign documents under the
//! function's keys.

use emulators::acs::{Document, Fault};
use emulators::media::{Format, Media};
use serde_json::{Value, json};

use harness::contract;
use harness::embedded::Setup;
use harness::world::{MEDIA_HOST, PART, Recording, World, setup};

/// A world whose function acknowledges stored events.
async fn world() -> World {
    let variables = vec![("ACKNOWLEDGE", "stored".to_owned())];
    World::with(Setup {
        variables,
        ..setup()
    })
    .await
}

/// Delivers an event, and returns its status and outcome.
async fn outcome(world: &World, event: &Value) -> (u16, String) {
    let response = world.deliver(event).await;
    (response.status.code(), response.outcome().to_owned())
}

/// Returns how many events a tick found pending, and how many it finished.
async fn tick(world: &World) -> (usize, usize) {
    let swept = world.tick().await;
    (swept.pending, swept.finished)
}

/// The event with another content location of its first chunk.
fn leading_to(event: &Value, location: &str) -> Value {
    let mut event = event.clone();
    event["data"]["recordingStorageInfo"]["recordingChunks"][0]["contentLocation"] =
        location.into();
    event
}

/// The content location of a document.
fn location_of(id: &str) -> String {
    format!("https://{MEDIA_HOST}/v1/objects/{id}/content/video")
}

/// Returns `true` if the pending event of a recording is there.
fn is_pending(world: &World, recording: &Recording) -> bool {
    let key = recording.event_key();
    world.s3.object(&key).is_some()
}

#[tokio::test]
async fn a_forged_event_with_another_location_does_not_replace_the_genuine_one() {
    let world = world().await;
    let recording = Recording::of(&[3 * PART, 10]);
    recording.publish(&world);
    let small = Media::new(Format::Mp4, 1_000, 7);
    world.acs.add(Document::new("0-eus-small", small));
    let event = recording.event(&world);
    let mut forged = leading_to(&event, &location_of("0-eus-small"));
    forged["id"] = "forged".into();
    assert_eq!(outcome(&world, &forged).await, (200, "archived".into()));

    assert_eq!(outcome(&world, &event).await, (200, "archived".into()));
    world.assert_complete(&recording);
    // Each event has its own object and manifest; objects that both name are there once.
    assert_eq!(world.keys().len(), (2 + 2 + 1) + 1 + 1);
    let again = outcome(&world, &event).await;
    assert_eq!(again, (200, "alreadyArchived".into()));
}

#[tokio::test]
async fn a_forged_event_that_cannot_be_fetched_does_not_stop_the_genuine_one() {
    let id = "0-eus-d0-801b3f3fc462fe8a01e6810cbff729b8";
    let genuine = location_of(id);
    for location in [
        "https://evil.example.com/v1/objects/x/content/video".to_owned(),
        // The genuine host and path in forms that the function refuses.
        genuine.replace("https://", "http://"),
        genuine.replace("https://", "https://user@"),
        genuine.replace(MEDIA_HOST, &format!("{MEDIA_HOST}:8443")),
        genuine.replace("https://", ""),
    ] {
        let world = world().await;
        let recording = Recording::of(&[3 * PART]);
        recording.publish(&world);
        let event = recording.event(&world);
        world.break_off();
        assert_eq!(outcome(&world, &event).await, (202, "suspended".into()));
        let uploads = world.s3.uploads();
        assert_eq!(uploads.len(), 1);
        let kept = uploads[0].parts.len();
        assert!(kept > 0, "a part was kept");

        let forged = leading_to(&event, &location);
        let set_aside = outcome(&world, &forged).await;
        assert_eq!(set_aside, (200, "setAside".into()), "{location}");
        assert!(is_pending(&world, &recording), "{location}");
        assert_eq!(world.s3.uploads()[0].parts.len(), kept);
        assert!(world.s3.object(&recording.rejection_key()).is_none());

        world.acs.heal();
        world.acs.clear_requests();
        assert_eq!(tick(&world).await, (1, 1));
        world.assert_complete(&recording);
        let media = world.media_requests();
        assert_eq!(media.len(), 3 - kept, "kept parts were fetched again");
    }
}

#[tokio::test]
async fn a_forged_event_that_comes_first_does_not_hide_the_genuine_one() {
    for location in [
        location_of("0-eus-gone"),
        // The genuine host and path with a query that ACS may refuse.
        location_of("0-eus-d0-801b3f3fc462fe8a01e6810cbff729b8") + "?forged",
    ] {
        let world = world().await;
        let recording = Recording::of(&[3 * PART]);
        recording.publish(&world);
        let event = recording.event(&world);
        let forged = leading_to(&event, &location);
        world.acs.inject(|request| {
            let forged = ["0-eus-gone", "?forged"];
            let forged = forged
                .iter()
                .any(|part| request.path_and_query.contains(part));
            forged.then(|| Fault::answer(404, "no"))
        });
        assert_eq!(outcome(&world, &forged).await, (202, "suspended".into()));
        let stored = world.keys();
        assert_eq!(outcome(&world, &event).await, (200, "archived".into()));
        world.assert_complete(&recording);
        // The forged event is still tried, on its own.
        let left = stored.iter().filter(|key| key.ends_with("/event.json"));
        assert!(left.clone().all(|key| world.s3.object(key).is_some()));
        assert_eq!(left.count(), 1);
    }
}

#[tokio::test]
async fn a_forged_event_does_not_hide_a_suspended_genuine_one() {
    let world = world().await;
    let recording = Recording::of(&[3 * PART]);
    recording.publish(&world);
    let event = recording.event(&world);
    let forged = leading_to(&event, &location_of("0-eus-gone"));
    world.break_off();
    assert_eq!(outcome(&world, &forged).await, (202, "suspended".into()));
    assert_eq!(outcome(&world, &event).await, (202, "suspended".into()));
    assert!(is_pending(&world, &recording));
    world.acs.heal();
    assert_eq!(tick(&world).await, (2, 1));
    world.assert_complete(&recording);
}

#[tokio::test]
async fn two_events_with_an_empty_id_and_the_same_time_are_distinct() {
    let world = world().await;
    let one = Recording {
        event_id: String::new(),
        ..Recording::of(&[10])
    };
    let mut other = one.clone();
    other.call_id = "another-call".into();
    other.chunks[0].document_id = "0-eus-another".into();
    world.acs.inject(|_| Some(Fault::answer(503, "no")));
    for recording in [&one, &other] {
        recording.publish(&world);
        let event = recording.event(&world);
        assert_eq!(outcome(&world, &event).await, (202, "suspended".into()));
    }
    let pending = world.keys();
    assert_eq!(
        pending
            .iter()
            .filter(|key| key.ends_with("/event.json"))
            .count(),
        2
    );
    world.acs.heal();
    assert_eq!(tick(&world).await, (2, 2));
    let keys = world.keys();
    assert_eq!(keys.len(), 6, "{keys:?}");
    for recording in [&one, &other] {
        let media = world.s3.object(&recording.media_key(&recording.chunks[0]));
        assert_eq!(media.unwrap().body, recording.chunks[0].media.bytes(0..10));
        let manifests = keys.iter().filter(|key| key.ends_with(".manifest.json"));
        let own = manifests.filter(|key| key.starts_with(&recording.folder()));
        assert_eq!(own.count(), 1);
    }
}

#[tokio::test]
async fn two_locations_of_one_document_are_two_objects() {
    let world = world().await;
    let recording = Recording::of(&[10]);
    recording.publish(&world);
    world
        .acs
        .add(Document::new("0-eus-other", Media::new(Format::Mp4, 20, 3)));
    let mut event = recording.event(&world);
    let chunks = &mut event["data"]["recordingStorageInfo"]["recordingChunks"];
    let mut second = chunks[0].clone();
    second["contentLocation"] = location_of("0-eus-other").into();
    chunks.as_array_mut().unwrap().push(second);
    assert_eq!(outcome(&world, &event).await, (200, "archived".into()));
    let names = contract::keys(&event).chunks;
    let sizes = names.iter().map(|(media, _)| {
        let key = format!("{}/{media}.mp4", recording.folder());
        world.s3.object(&key).unwrap().size
    });
    assert_eq!(sizes.collect::<Vec<_>>(), [10, 20]);
}

#[tokio::test]
async fn the_same_event_in_another_spelling_is_the_same_recording() {
    let world = world().await;
    let recording = Recording::of(&[10, PART + 1]);
    recording.publish(&world);
    let event = recording.event(&world);
    assert_eq!(outcome(&world, &event).await, (200, "archived".into()));
    let mut dead_lettered = event.clone();
    dead_lettered["deadLetterReason"] = "MaxDeliveryAttemptsExceeded".into();
    dead_lettered["topic"] = event["topic"].as_str().unwrap().to_uppercase().into();
    let chunks = &mut dead_lettered["data"]["recordingStorageInfo"]["recordingChunks"];
    chunks.as_array_mut().unwrap().reverse();
    world.acs.clear_requests();
    for again in [recording.cloud_event(&world), dead_lettered] {
        let again = outcome(&world, &again).await;
        assert_eq!(again, (200, "alreadyArchived".into()));
    }
    world.assert_acs_uncalled();
    world.assert_archived(&recording);
}

/// Documents that are no manifest of the recording: no JSON, another version, too large a
/// document, and manifests of other events.
fn foreign_manifests(world: &World, recording: &Recording) -> Vec<String> {
    let event = recording.event(world);
    let (mut other, mut elsewhere) = (event.clone(), event.clone());
    other["id"] = "another".into();
    elsewhere["subject"] = "/recording/call/another".into();
    let manifest = |event: Value| json!({"version": 1, "event": event, "chunks": []}).to_string();
    vec![
        String::new(),
        "not JSON".into(),
        json!({"version": 2}).to_string(),
        "x".repeat(9 * 1024 * 1024),
        manifest(other),
        manifest(elsewhere),
        // A manifest of this event that names no chunk.
        manifest(event),
    ]
}

#[tokio::test]
async fn a_foreign_document_under_the_manifests_key_is_no_manifest() {
    let count = foreign_manifests(&World::start().await, &Recording::of(&[10])).len();
    for number in 0..count {
        let world = world().await;
        let recording = Recording::of(&[10, 20]);
        recording.publish(&world);
        let event = recording.event(&world);
        let foreign = foreign_manifests(&world, &recording).swap_remove(number);
        world.s3.put(&recording.manifest_key(), foreign.clone());
        for _ in 0..2 {
            assert_eq!(outcome(&world, &event).await, (200, "setAside".into()));
            let there = world.s3.object(&recording.manifest_key()).unwrap();
            assert_eq!(there.body, foreign, "the document was changed");
            let rejection = world.json(&recording.rejection_key());
            let reason = rejection["reason"].as_str().unwrap();
            assert!(reason.contains("manifest holds another"), "{reason}");
            for (place, chunk) in recording.chunks.iter().enumerate() {
                let media = world.s3.object(&recording.media_key(chunk)).unwrap();
                assert_eq!(media.size, chunk.media.length());
                let fate = &rejection["chunks"][place]["media"];
                assert_eq!(fate["outcome"], "archived");
            }
            assert!(!is_pending(&world, &recording));
        }
    }
}

#[tokio::test]
async fn a_manifest_that_another_run_writes_meanwhile_is_accepted() {
    let world = world().await;
    let recording = Recording::of(&[10]);
    recording.publish(&world);
    let event = recording.event(&world);
    assert_eq!(outcome(&world, &event).await, (200, "archived".into()));
    let manifest = world.s3.object(&recording.manifest_key()).unwrap();
    world.s3.remove(&recording.manifest_key());
    let (s3, key) = (world.s3.clone(), recording.manifest_key());
    world.s3.inject(move |call| {
        let writes = call.operation == "PutObject" && call.key.as_deref() == Some(&key);
        if writes {
            s3.put_object(&key, manifest.clone());
        }
        None
    });
    let other = recording.cloud_event(&world);
    let found = outcome(&world, &other).await;
    world.s3.heal();
    assert_eq!(found, (200, "alreadyArchived".into()));
    world.assert_archived(&recording);
}

#[tokio::test]
async fn another_event_under_the_pending_key_is_no_acknowledgement() {
    let world = world().await;
    let recording = Recording::of(&[10]);
    recording.publish(&world);
    let event = recording.event(&world);
    let forged = leading_to(&event, "https://evil.example.com/x");
    let key = recording.event_key();
    for foreign in ["not JSON".to_owned(), forged.to_string()] {
        world.s3.put(&key, foreign.clone());
        assert_eq!(outcome(&world, &event).await, (503, "unstored".into()));
        assert_eq!(world.s3.object(&key).unwrap().body, foreign);
    }
    // The schedule sets the foreign event aside; then the genuine one can be stored.
    world.make_due();
    assert_eq!(tick(&world).await, (1, 1));
    assert_eq!(outcome(&world, &event).await, (200, "archived".into()));
    world.assert_complete(&recording);
}

#[tokio::test]
async fn a_foreign_document_under_the_rejections_key_loses_no_event() {
    let world = world().await;
    let recording = Recording::of(&[10]);
    let event = leading_to(&recording.event(&world), "https://evil.example.com/x");
    recording.publish(&world);
    let recording = recording.told_by(&event);
    let aside = format!("recordings/rejected/{}.json", {
        emulators::hashes::sha256_hex(event.to_string())
    });
    world.s3.put(&recording.rejection_key(), "not JSON");
    world.s3.put(&aside, "{}");
    // Both keys are taken, so the event stays pending.
    assert_eq!(outcome(&world, &event).await, (202, "suspended".into()));
    assert!(is_pending(&world, &recording));
    world.s3.remove(&aside);
    world.make_due();
    assert_eq!(tick(&world).await, (1, 1));
    assert!(!is_pending(&world, &recording));
    let kept = world.json(&aside);
    assert_eq!(kept["event"], event);
    assert!(kept["reason"].as_str().unwrap().contains("rejection"));
}

#[tokio::test]
async fn a_record_of_another_object_is_not_resumed_nor_its_upload_aborted() {
    let world = world().await;
    let recording = Recording::of(&[3 * PART]);
    recording.publish(&world);
    let event = recording.event(&world);
    let other = "recordings/2026/11/23/another/150211Z/0000-x-0123456789abcdef.mp4";
    let upload_id = world.s3.begin(other);
    let record = json!({
        "key": other, "uploadId": upload_id, "length": 3 * PART, "sourceEtag": null,
        "contentType": "video/mp4", "partSize": PART,
    });
    let pending = recording.event_key();
    world.s3.put(&pending, event.to_string());
    let key = recording.record_key(&recording.chunks[0]);
    world.s3.put(&key, record.to_string());
    assert_eq!(outcome(&world, &event).await, (200, "archived".into()));
    let [left] = &*world.s3.uploads() else {
        panic!("{:?} are not the foreign upload alone", world.s3.uploads())
    };
    assert_eq!(left.upload_id, upload_id);
    world.s3.abort(&upload_id);
    world.assert_archived(&recording);
}
