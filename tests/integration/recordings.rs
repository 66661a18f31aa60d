//! Complete recordings, from the event to the manifest.

use std::collections::BTreeSet;
use std::time::Duration;

use acs_recording_archiver::VERSION;
use emulators::acs::Kind;
use emulators::s3::Object;
use serde_json::json;

use harness::world::{Form, PART, Recording, World, setup};

#[tokio::test]
async fn three_chunks_arrive_byte_for_byte_in_both_forms() {
    for form in [Form::Preview2021, Form::Current] {
        let world = World::start().await;
        let recording = Recording::of(&[1, 2 * PART, 5 * PART + 12_345]).in_form(form);
        recording.publish(&world);

        let response = world.deliver(&json!([recording.event(&world)])).await;

        assert_eq!(response.status.code(), 200, "{response:?}");
        world.assert_archived(&recording);
        let bytes =
            |chunk: &harness::world::Chunk| chunk.media.length() + chunk.metadata().len() as u64;
        let bytes: u64 = recording.chunks.iter().map(bytes).sum();
        let report = json!({"id": recording.event_id, "outcome": "archived", "bytes": bytes});
        assert_eq!(response.body, json!({"events": [report]}));
        // Each part was requested once, as one range.
        let ranges = |request: &emulators::acs::Request| {
            (request.path_and_query.clone(), request.range.clone())
        };
        let asked: Vec<_> = world.acs.requests().iter().map(ranges).collect();
        assert_eq!(asked.iter().collect::<BTreeSet<_>>().len(), asked.len());
        assert_eq!(asked.len(), 3 + 1 + 2 + 6);
    }
}

#[tokio::test]
async fn chunks_may_come_in_any_order_and_from_any_index() {
    let world = World::start().await;
    let mut recording = Recording::of(&[10, 20, 30]);
    for (chunk, index) in recording.chunks.iter_mut().zip([12, 3, 7]) {
        chunk.index = index;
    }
    recording.publish(&world);
    assert_eq!(world.deliver(&recording.event(&world)).await.status, 200);
    world.assert_archived(&recording);
    let manifest = world.json(&recording.manifest_key());
    let indexes: Vec<_> = manifest["chunks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|chunk| chunk["index"].as_u64())
        .collect();
    assert_eq!(indexes, [Some(3), Some(7), Some(12)]);
}

#[tokio::test]
async fn the_manifest_describes_event_and_objects() {
    let world = World::start().await;
    let recording = Recording::of(&[3 * PART + 1]);
    let chunk = &recording.chunks[0];
    let mut document = Recording::document(chunk);
    document.etag = Some("\"of-the-source\"".into());
    world.acs.add(document);
    let event = recording.event(&world);
    world.deliver(&json!([event])).await;

    let media = world.s3.object(&recording.media_key(chunk)).unwrap();
    let metadata = world.s3.object(&recording.metadata_key(chunk)).unwrap();
    let described = |key: String, object: &Object| {
        json!({
            "key": key, "size": object.size, "etag": object.etag, "versionId": object.version_id,
            "crc64nvme": object.crc64nvme, "contentType": object.content_type,
        })
    };
    let manifest = world.json(&recording.manifest_key());
    let expected = json!({
        "version": 1,
        "archiver": VERSION,
        "event": event,
        "chunks": [{
            "index": 0,
            "documentId": chunk.document_id,
            "media": described(recording.media_key(chunk), &media),
            "metadata": described(recording.metadata_key(chunk), &metadata),
            "check": {
                "verdict": "complete",
                "container": "mp4",
                "tracks": [{"kind": "audio", "codec": "sowt"}],
                "durationMs": 6_126,
                "reason": "boxes end at the last byte, 196609",
            },
        }],
        "check": {
            "durationMs": 6_126,
            "recordingDurationMs": 600_000,
            "differenceMs": -593_874,
            "doubts": ["chunks last for 6126 ms, less than half of the recording's 600000 ms"],
        },
    });
    assert_eq!(manifest, expected);
    assert_eq!(media.content_type.as_deref(), Some("video/mp4"));
    let identity = [
        ("document-id", chunk.document_id.as_str()),
        ("location", &recording.media_location(chunk)),
        ("source-etag", "\"of-the-source\""),
        ("source-length", "196609"),
    ];
    assert_eq!(
        media.metadata,
        identity
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    );
}

#[tokio::test]
async fn the_event_is_stored_before_any_work_and_deleted_after_it() {
    let world = World::start().await;
    let recording = Recording::of(&[1, 2 * PART]);
    recording.publish(&world);
    let event = recording.event(&world);
    let pending = recording.event_key();
    let (bytes, s3) = (event.to_string(), world.s3.clone());
    let key = pending.clone();
    // The event must be there at each request to ACS.
    world.acs.inject(move |_| {
        assert!(s3.object(&key).expect("the event is stored").body == bytes);
        None
    });
    assert_eq!(world.deliver(&event).await.status, 200);
    world.acs.heal();
    assert_eq!(world.acs.requests().len(), 2 + 3);
    assert!(
        world
            .acs
            .requests()
            .iter()
            .all(|request| request.status.is_some()),
        "the event was missing at a request"
    );

    let calls: Vec<_> = world
        .s3
        .calls()
        .into_iter()
        .map(|call| (call.operation, call.key.unwrap_or_default()))
        .collect();
    let place = |operation, key: &str| {
        calls
            .iter()
            .position(|call| *call == (operation, key.to_owned()))
            .unwrap()
    };
    assert_eq!(
        place("DeleteObject", &pending),
        calls.len() - 1,
        "the event is deleted last"
    );
    assert_eq!(
        place("PutObject", &recording.manifest_key()),
        calls.len() - 2,
        "the manifest is written before"
    );
    assert_eq!(
        place("PutObject", &pending),
        1,
        "the event is stored first, after a read of the manifest"
    );
}

#[tokio::test]
async fn both_envelopes_and_batches_are_archived() {
    let world = World::start().await;
    let first = Recording::of(&[PART + 1]);
    let mut second = Recording::of(&[5]);
    second.event_id = "second".into();
    second.call_id = "another-call".into();
    second.chunks[0].document_id = "0-eus-other".into();
    first.publish(&world);
    second.publish(&world);
    let response = world
        .deliver(&json!([first.cloud_event(&world), second.event(&world)]))
        .await;
    assert_eq!(response.status.code(), 200);
    for recording in [&first, &second] {
        let key = recording.media_key(&recording.chunks[0]);
        assert!(world.s3.object(&key).is_some(), "{key}");
        assert!(world.s3.object(&recording.manifest_key()).is_some());
    }
    assert_eq!(world.keys().len(), 6);
}

#[tokio::test]
async fn an_archived_recording_is_not_fetched_again() {
    let world = World::start().await;
    let recording = Recording::of(&[2 * PART]);
    recording.publish(&world);
    let event = recording.event(&world);
    assert_eq!(world.deliver(&event).await.status, 200);
    let before = world.s3.objects();
    world.acs.clear_requests();
    world.s3.clear_calls();

    let response = world.deliver_again(&event, 1).await;

    response.assert_outcome(200, "alreadyArchived");
    assert_eq!(world.s3.objects(), before);
    world.assert_acs_uncalled();
    // The manifest is the only object that is read.
    let calls = world.s3.calls();
    let reads = ["HeadObject", "GetObject"];
    assert!(calls.iter().all(|call| reads.contains(&call.operation)));
}

#[tokio::test]
async fn existing_objects_are_never_replaced() {
    let world = World::start().await;
    let recording = Recording::of(&[1, 2 * PART]);
    recording.publish(&world);
    for chunk in &recording.chunks {
        world.s3.put(&recording.media_key(chunk), "somebody else's");
    }
    let response = world.deliver(&recording.event(&world)).await;

    response.assert_outcome(200, "setAside");
    let rejection = world.json(&recording.rejection_key());
    for (chunk, fate) in recording
        .chunks
        .iter()
        .zip(rejection["chunks"].as_array().unwrap())
    {
        assert_eq!(
            world.s3.object(&recording.media_key(chunk)).unwrap().body,
            "somebody else's"
        );
        let reason = "key holds an object that is not a copy of this document";
        assert_eq!(
            fate["media"],
            json!({"outcome": "rejected", "reason": reason})
        );
        assert_eq!(
            fate["metadata"]["outcome"], "archived",
            "a chunk's two objects are archived independently"
        );
        assert_eq!(fate["metadata"]["key"], recording.metadata_key(chunk));
    }
    assert!(world.s3.object(&recording.manifest_key()).is_none());
    let event = |key: &String| key.ends_with("/event.json");
    assert!(!world.keys().iter().any(event));

    // Once the cause is gone, the same event is archived.
    for chunk in &recording.chunks {
        world.s3.remove(&recording.media_key(chunk));
    }
    let response = world.deliver(&recording.event(&world)).await;
    assert_eq!(response.outcome(), "archived");
    world.s3.remove(&recording.rejection_key());
    world.assert_archived(&recording);
}

#[tokio::test]
async fn an_event_without_times_or_with_unusual_ids_is_archived() {
    let world = World::start().await;
    let mut recording = Recording::of(&[7]).aged(Duration::from_mins(1));
    (recording.event_time, recording.started) = (None, None);
    recording.event_id = "../../é%2F".into();
    recording.call_id = "a call".into();
    recording.publish(&world);
    assert_eq!(world.deliver(&recording.event(&world)).await.status, 200);
    let keys = world.keys();
    assert_eq!(keys.len(), 3);
    assert!(
        keys.iter()
            .all(|key| key.starts_with("recordings/1970/01/01/x-")),
        "{keys:?}"
    );
    assert!(keys.iter().any(|key| key.ends_with(".manifest.json")));
}

#[tokio::test]
async fn each_request_has_its_own_signature_over_the_resources_host() {
    for form in [Form::Preview2021, Form::Current] {
        let world = World::start().await;
        let recording = Recording::of(&[3 * PART]).in_form(form);
        recording.publish(&world);
        world.deliver(&recording.event(&world)).await;
        for request in world.acs.requests() {
            // The emulator has verified the signature itself.
            assert!(matches!(request.status, Some(200 | 206)), "{request:?}");
            assert_eq!(request.headers["accept-encoding"], "identity");
            assert_eq!(request.range.is_some(), request.kind == Kind::Media);
            match form {
                Form::Preview2021 => {
                    assert_eq!(request.host, "contoso.communication.azure.com");
                    assert!(
                        request.headers.contains_key("date")
                            && !request.headers.contains_key("x-ms-host")
                    );
                }
                Form::Current => {
                    assert_eq!(request.host, world.acs.media_host());
                    assert_eq!(
                        request.headers["x-ms-host"],
                        "contoso.communication.azure.com"
                    );
                }
            }
        }
    }
}

#[tokio::test]
async fn a_recording_costs_few_calls_besides_its_parts() {
    let world = World::start().await;
    let recording = Recording::of(&[16 * PART]);
    recording.publish(&world);
    assert_eq!(world.deliver(&recording.event(&world)).await.status, 200);
    let mut counts = std::collections::BTreeMap::new();
    for call in world.s3.calls() {
        *counts.entry(call.operation).or_insert(0) += 1;
    }
    let expected = [
        ("CompleteMultipartUpload", 1),
        ("CreateMultipartUpload", 1),
        // The record and the pending event.
        ("DeleteObject", 2),
        // The check of the media.
        ("GetObject", 1),
        // The manifest and the media.
        ("HeadObject", 2),
        // Before Complete; the tests' pages have three parts, so each three are a call.
        ("ListParts", 6),
        // The pending event, the record, the metadata and the manifest.
        ("PutObject", 4),
        ("UploadPart", 16),
    ];
    assert_eq!(counts, expected.into());
    // A small recording needs no upload.
    let world = World::start().await;
    let recording = Recording::of(&[PART]);
    recording.publish(&world);
    assert_eq!(world.deliver(&recording.event(&world)).await.status, 200);
    let operations: Vec<_> = world.s3.calls().iter().map(|call| call.operation).collect();
    assert_eq!(operations.len(), 7, "{operations:?}");
}

#[tokio::test]
async fn a_new_recording_costs_its_parts_and_at_most_thirteen_calls() {
    let mut one_page = setup();
    one_page.s3.page_size = 1000;
    let world = World::with(one_page).await;
    let recording = Recording::of(&[64 * PART]);
    recording.publish(&world);
    assert_eq!(world.deliver(&recording.event(&world)).await.status, 200);
    world.assert_archived(&recording);
    assert_eq!(world.count("UploadPart"), 64);
    // Thirteen if the answer to a write lacks a value that the manifest needs.
    let calls = world.s3.calls().len();
    assert!(calls <= 64 + 13, "{calls} calls");
}
