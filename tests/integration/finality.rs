//! The finality of failures, by the age of the event.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use emulators::acs::{Fault, Kind};
use emulators::s3;
use serde_json::{Value, json};

use harness::world::{Form, PART, Recording, World};

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// Delivers a recording of this age whose event was stored this long ago, while ACS answers the
/// requests for the first chunk's media with this status. Returns the outcome.
async fn outcome_at(
    age: Duration,
    stored: Duration,
    answer: u16,
    headers: &[(&'static str, &str)],
) -> (World, Recording, Value) {
    let world = World::start().await;
    let recording = Recording::of(&[10, 2 * PART]).aged(age);
    recording.publish(&world);
    recording.store(&world, stored);
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| (*name, (*value).to_owned()))
        .collect();
    let first = recording.chunks[0].document_id.clone();
    world.acs.inject(move |request| {
        let fails = request.kind == Kind::Media && request.document.as_ref() == Some(&first);
        fails.then(|| Fault::Answer {
            status: answer,
            headers: headers.clone(),
            body: "no".into(),
        })
    });
    let mut response = world.deliver(&recording.event(&world)).await;
    let outcome = response.body["events"][0]["outcome"].take();
    assert_eq!(
        response.status,
        if outcome == "setAside" { 200 } else { 503 },
        "{outcome}"
    );
    (world, recording, outcome)
}

fn rejection(world: &World, recording: &Recording) -> Value {
    world.json(&recording.rejection_key())
}

#[tokio::test]
async fn an_event_of_the_future_ages_from_its_storage() {
    let world = World::start().await;
    let mut recording = Recording::of(&[10]);
    recording.event_time = recording.event_time.map(|now| now + 1_000 * DAY);
    let event = recording.event(&world);
    assert_eq!(world.deliver(&event).await.status, 503);
    world.age_pending(DAY.saturating_sub(MINUTE));
    assert_eq!(world.deliver_again(&event, 1).await.status, 503);
    world.age_pending(2 * MINUTE);
    let response = world.deliver_again(&event, 2).await;
    assert_eq!(response.outcome(), "setAside");
    let pending = recording.event_key();
    assert!(world.s3.object(&pending).is_none());
}

#[tokio::test]
async fn statuses_are_final_by_age() {
    for (status, first_final_age) in [
        (404, DAY),
        (410, DAY),
        (400, 2 * DAY),
        (418, 2 * DAY),
        (401, 2 * DAY),
        (403, 2 * DAY),
        (408, 2 * DAY),
        (429, 2 * DAY),
        (500, 2 * DAY),
        (503, 2 * DAY),
    ] {
        for (age, stored) in [
            (first_final_age.saturating_sub(MINUTE), 100 * DAY),
            (100 * DAY, HOUR.saturating_sub(MINUTE)),
        ] {
            let (world, recording, outcome) = outcome_at(age, stored, status, &[]).await;
            assert_eq!(outcome, "suspended", "{status} at {age:?} and {stored:?}");
            assert!(world.s3.object(&recording.rejection_key()).is_none());
            let pending = recording.event_key();
            assert!(
                world.s3.object(&pending).is_some(),
                "the event is not pending"
            );
        }
        let (age, stored) = (first_final_age + MINUTE, HOUR + MINUTE);
        let (world, recording, outcome) = outcome_at(age, stored, status, &[]).await;
        assert_eq!(outcome, "setAside", "{status} after {first_final_age:?}");
        let rejection = rejection(&world, &recording);
        assert_eq!(rejection["event"], recording.event(&world));
        let fate = &rejection["chunks"][0]["media"];
        let expected = if first_final_age == DAY {
            "rejected"
        } else {
            "expired"
        };
        assert_eq!(fate["outcome"], expected);
        assert!(
            fate["reason"]
                .as_str()
                .unwrap()
                .contains(&status.to_string()),
            "{fate}"
        );
        // The other objects are archived, and nothing is left pending.
        assert_eq!(rejection["chunks"][0]["metadata"]["outcome"], "archived");
        assert_eq!(rejection["chunks"][1]["media"]["outcome"], "archived");
        assert!(world.pending_keys().is_empty());
    }
}

#[tokio::test]
async fn an_empty_body_is_tried_three_times_and_never_stored() {
    let (world, recording, outcome) = outcome_at(
        MINUTE,
        MINUTE,
        200,
        &[("content-type", "video/mp4"), ("content-length", "0")],
    )
    .await;
    assert_eq!(outcome, "suspended");
    let media = |request: &emulators::acs::Request| {
        request.kind == Kind::Media
            && request.document.as_ref() == Some(&recording.chunks[0].document_id)
    };
    assert_eq!(
        world
            .acs
            .requests()
            .iter()
            .filter(|request| media(request))
            .count(),
        3
    );
    assert!(
        world
            .s3
            .object(&recording.media_key(&recording.chunks[0]))
            .is_none()
    );
    world.acs.heal();
    world.assert_archived_by_retry(&recording).await;
}

#[tokio::test]
async fn a_forbidden_location_is_final_at_once_and_never_called() {
    for form in [Form::Current, Form::Preview2021] {
        let world = World::start().await;
        let recording = Recording::of(&[10, 20]).in_form(form);
        recording.publish(&world);
        let mut event = recording.event(&world);
        let chunk = &mut event["data"]["recordingStorageInfo"]["recordingChunks"][0];
        match form {
            Form::Current => {
                chunk["contentLocation"] =
                    "https://eus-prod.asm.skype.com.example.net/v1/objects/0/content/video".into();
                chunk["metadataLocation"] =
                    format!("https://{}/identities/8:acs", harness::embedded::RESOURCE).into();
            }
            Form::Preview2021 => chunk["documentId"] = "../identities".into(),
        }
        let response = world.deliver(&json!([event])).await;
        response.assert_outcome(200, "setAside");
        let recording = recording.told_by(&event);
        let rejection = rejection(&world, &recording);
        let expected = match form {
            Form::Current => "location is not on a media host of ACS",
            Form::Preview2021 => "its documentId is invalid",
        };
        for object in ["media", "metadata"] {
            let fate = &rejection["chunks"][0][object];
            assert_eq!(fate["outcome"], "rejected");
            assert!(
                fate["reason"].as_str().unwrap().contains(expected),
                "{fate}"
            );
            assert_eq!(rejection["chunks"][1][object]["outcome"], "archived");
        }
        let asked: Vec<_> = world
            .acs
            .requests()
            .into_iter()
            .map(|request| request.document)
            .collect();
        assert_eq!(
            asked,
            vec![Some(recording.chunks[1].document_id.clone()); 2]
        );
    }
}

#[tokio::test]
async fn media_and_metadata_are_archived_independently() {
    let world = World::start().await;
    let recording = Recording::of(&[2 * PART]).aged(25 * HOUR);
    recording.publish(&world);
    recording.store(&world, 2 * HOUR);
    world.acs.inject(|request| {
        let metadata = request.kind == Kind::Metadata;
        metadata.then(|| Fault::answer(404, "{}"))
    });
    let response = world.deliver(&recording.event(&world)).await;
    assert_eq!(response.outcome(), "setAside");
    let fates = rejection(&world, &recording)["chunks"][0].clone();
    assert_eq!(
        (&fates["media"]["outcome"], &fates["metadata"]["outcome"]),
        (&json!("archived"), &json!("rejected"))
    );
    assert!(
        world
            .s3
            .object(&recording.media_key(&recording.chunks[0]))
            .is_some()
    );
}

#[tokio::test]
async fn a_rejection_keeps_the_parts_and_a_new_delivery_resumes_from_them() {
    let mut tidy = harness::world::setup();
    tidy.limits.housekeeping = MINUTE;
    let world = World::with(tidy).await;
    let recording = Recording::of(&[4 * PART]).aged(25 * HOUR);
    recording.publish(&world);
    recording.store(&world, 2 * HOUR);
    world.acs.inject(|request| {
        let later = request
            .range
            .as_deref()
            .is_some_and(|range| !range.starts_with("bytes=0-"));
        later.then(|| Fault::answer(404, "{}"))
    });
    let event = recording.event(&world);
    let response = world.deliver(&event).await;
    assert_eq!(response.outcome(), "setAside");
    let [upload] = &*world.s3.uploads() else {
        panic!("{:?} are not one upload", world.s3.uploads())
    };
    let key = recording.media_key(&recording.chunks[0]);
    assert_eq!(
        rejection(&world, &recording)["chunks"][0]["media"]["upload"],
        json!({
            "key": key,
            "uploadId": upload.upload_id,
            "parts": 1,
            "plannedParts": 4,
            "bytes": PART,
        })
    );
    let record = recording.record_key(&recording.chunks[0]);
    assert_eq!(world.pending_keys(), [record]);
    // The schedule keeps the upload too, until the bucket's lifecycle rule aborts it.
    world.age_pending(20 * DAY);
    world.tick().await;
    assert_eq!(world.s3.uploads().len(), 1);
    // Once the cause is gone, another delivery resumes from the kept parts.
    world.acs.heal();
    world.acs.clear_requests();
    let response = world.deliver_again(&event, 1).await;
    assert_eq!(response.outcome(), "archived");
    assert!(world.s3.object(&recording.manifest_key()).is_some());
    assert_eq!(world.media_requests().len(), 3);
    assert!(world.s3.uploads().is_empty());
    let response = world.deliver_again(&event, 2).await;
    assert_eq!(response.outcome(), "alreadyArchived");
}

#[tokio::test]
async fn a_recording_with_parts_of_the_last_hour_is_not_rejected() {
    let world = World::start().await;
    let recording = Recording::of(&[4 * PART]).aged(3 * DAY);
    recording.publish(&world);
    recording.store(&world, 2 * DAY);
    world.acs.inject(|request| {
        let later = request
            .range
            .as_deref()
            .is_some_and(|range| !range.starts_with("bytes=0-"));
        later.then(|| Fault::answer(503, "{}"))
    });
    let event = recording.event(&world);
    for _ in 0..2 {
        let response = world.deliver_again(&event, 1).await;
        assert_eq!(response.outcome(), "suspended");
    }
    let upload_id = world.s3.uploads()[0].upload_id.clone();
    world.s3.age_parts(&upload_id, HOUR);
    let response = world.deliver_again(&event, 2).await;
    assert_eq!(response.outcome(), "setAside");
    let upload = &rejection(&world, &recording)["chunks"][0]["media"]["upload"];
    assert_eq!(upload["uploadId"], upload_id);
    assert_eq!(world.s3.uploads().len(), 1, "an upload was aborted");
}

#[tokio::test]
async fn a_404_is_not_final_if_another_delivery_archived_meanwhile() {
    let world = World::start().await;
    let recording = Recording::of(&[10]).aged(25 * HOUR);
    recording.publish(&world);
    recording.store(&world, 2 * HOUR);
    let event = recording.event(&world);
    world.deliver(&event).await;
    let done = world.s3.objects();
    for key in done.keys() {
        world.s3.remove(key);
    }
    // The recording is gone from ACS, and another delivery archives it at the same moment.
    let s3 = world.s3.clone();
    world.acs.inject(move |_| {
        for (key, object) in &done {
            s3.put_object(key, object.clone());
        }
        Some(Fault::answer(404, "{}"))
    });
    let response = world.deliver_again(&event, 1).await;
    world.acs.heal();
    response.assert_outcome(200, "alreadyArchived");
    world.assert_archived(&recording);
}

#[tokio::test]
async fn being_out_of_time_is_never_final() {
    for after in [5, 0] {
        let mut hasty = harness::world::setup();
        hasty.limits.unknown_deadline = Duration::from_millis(1_500);
        hasty.limits.margin = Duration::ZERO;
        hasty.limits.source_stall = 100 * MINUTE;
        let world = World::with(hasty).await;
        let recording = Recording::of(&[10]).aged(3 * DAY);
        recording.publish(&world);
        recording.store(&world, 3 * DAY);
        world.acs.inject(move |request| {
            let media = request.kind == Kind::Media;
            media.then_some(Fault::StallBody {
                after,
                stall: MINUTE,
            })
        });
        let response = world.deliver(&recording.event(&world)).await;
        world.acs.heal();
        assert_eq!(response.status.code(), 503);
        let outcome = response.outcome();
        assert_eq!(outcome, "suspended", "after {after} bytes");
    }
}

#[tokio::test]
async fn an_event_without_a_time_ages_from_its_storage() {
    let world = World::start().await;
    let mut recording = Recording::of(&[10]);
    (recording.event_time, recording.started) = (None, None);
    let event = recording.event(&world);
    for (age, outcome) in [
        (Duration::ZERO, "suspended"),
        (DAY.saturating_sub(MINUTE), "suspended"),
        (2 * MINUTE, "setAside"),
    ] {
        world.age_pending(age);
        let response = world.deliver_again(&event, 1).await;
        assert_eq!(response.outcome(), outcome, "{age:?}");
    }
}

/// S3 holds all parts, the source is gone, and Complete fails with a conflict, which is transient.
/// The run begins another upload, and the source's 404 must not hide the conflict.
#[tokio::test]
async fn a_conflict_on_complete_does_not_reject_a_complete_upload() {
    let world = World::start().await;
    let recording = Recording::of(&[2 * PART]).aged(DAY + HOUR);
    recording.publish(&world);
    let refuse_complete = |status, code| {
        world.s3.inject(move |call| {
            let completes = call.operation == "CompleteMultipartUpload";
            completes.then_some(s3::Fault::refuse(status, code))
        });
    };
    refuse_complete(503, "ServiceUnavailable");
    let event = recording.event(&world);
    assert_eq!(world.deliver(&event).await.status, 503);
    assert_eq!(world.s3.uploads()[0].parts.len(), 2);
    world.acs.remove(&recording.chunks[0].document_id);
    world.age_pending(2 * HOUR);
    refuse_complete(409, "ConditionalRequestConflict");
    let response = world.deliver_again(&event, 1).await;
    assert_eq!(response.outcome(), "suspended");
    world.s3.heal();
    assert_eq!(world.deliver_again(&event, 2).await.status, 200);
    world.assert_archived(&recording);
}

/// A conflict on Complete led to another upload beside the one that has all parts, and then the
/// source was gone: the rejection names the complete one, which an operator can complete.
#[tokio::test]
async fn a_rejection_names_the_upload_with_most_parts() {
    let world = World::start().await;
    let recording = Recording::of(&[2 * PART]).aged(3 * DAY);
    recording.publish(&world);
    let put = AtomicUsize::new(0);
    world.s3.inject(move |call| {
        let refused = match call.operation {
            "CompleteMultipartUpload" => Some((409, "ConditionalRequestConflict")),
            "UploadPart" if put.fetch_add(1, Relaxed) >= 2 => Some((403, "AccessDenied")),
            _ => None,
        };
        refused.map(|(status, code)| s3::Fault::refuse(status, code))
    });
    let event = recording.event(&world);
    assert_eq!(world.deliver(&event).await.status, 503);
    let uploads = world.s3.uploads();
    let complete = uploads.iter().find(|upload| upload.parts.len() == 2);
    assert_eq!(uploads.len(), 2);
    world.s3.heal();
    world.acs.remove(&recording.chunks[0].document_id);
    world.age_pending(2 * HOUR);
    let response = world.deliver_again(&event, 1).await;
    assert_eq!(response.outcome(), "setAside");
    let named = &rejection(&world, &recording)["chunks"][0]["media"]["upload"];
    assert_eq!(named["uploadId"], complete.unwrap().upload_id);
    assert_eq!(named["parts"], 2);
}
