//! When a failure is final, row by row, by events of that age.

use std::time::Duration;

use emulators::acs::{Fault, Kind};
use serde_json::{Value, json};

use crate::world::{Form, PART, Recording, World};

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// What has become of a recording of that age whose media is answered so.
async fn outcome_at(
    age: Duration,
    answer: u16,
    headers: &[(&'static str, &str)],
) -> (World, Recording, Value) {
    let world = World::start().await;
    let recording = Recording::of(&[10, 2 * PART]).aged(age);
    recording.publish(&world);
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
    let object = world
        .s3
        .object(&recording.rejection_key())
        .expect("the rejection is there");
    serde_json::from_slice(&object.body).unwrap()
}

#[tokio::test]
async fn an_event_of_the_future_ages_from_when_it_was_stored() {
    let world = World::start().await;
    let mut recording = Recording::of(&[10]);
    recording.event_time = recording.event_time.map(|now| now + 1_000 * DAY);
    let event = recording.event(&world);
    assert_eq!(world.deliver(&event).await.status, 503);
    let pending = format!("{}/event.json", recording.pending());
    let stored = recording.event_time.unwrap() - 1_000 * DAY - 2 * HOUR;
    world.s3.set_last_modified(&pending, stored);
    let response = world.deliver_again(&event, 1).await;
    assert_eq!(response.body["events"][0]["outcome"], "setAside");
    assert!(world.s3.object(&pending).is_none());
}

#[tokio::test]
async fn statuses_are_final_by_age() {
    for (status, first_final_age) in [
        (404, HOUR),
        (410, HOUR),
        (400, HOUR),
        (418, HOUR),
        (401, DAY),
        (403, DAY),
        (408, DAY),
        (429, DAY),
        (500, DAY),
        (503, DAY),
    ] {
        let (world, recording, outcome) =
            outcome_at(first_final_age.saturating_sub(MINUTE), status, &[]).await;
        assert_eq!(outcome, "suspended", "{status} before {first_final_age:?}");
        assert!(world.s3.object(&recording.rejection_key()).is_none());
        assert!(
            world
                .s3
                .object(&format!("{}/event.json", recording.pending()))
                .is_some(),
            "still pending"
        );

        let (world, recording, outcome) = outcome_at(first_final_age + MINUTE, status, &[]).await;
        assert_eq!(outcome, "setAside", "{status} after {first_final_age:?}");
        let rejection = rejection(&world, &recording);
        assert_eq!(rejection["event"], recording.event(&world));
        let fate = &rejection["chunks"][0]["media"];
        assert_eq!(
            fate["outcome"],
            if first_final_age == DAY {
                "expired"
            } else {
                "rejected"
            }
        );
        assert!(
            fate["reason"]
                .as_str()
                .unwrap()
                .contains(&status.to_string()),
            "{fate}"
        );
        // Its siblings are archived, and nothing is left over.
        assert_eq!(rejection["chunks"][0]["metadata"]["outcome"], "archived");
        assert_eq!(rejection["chunks"][1]["media"]["outcome"], "archived");
        assert!(!world.keys().iter().any(|key| key.contains("/pending/")));
    }
}

#[tokio::test]
async fn an_empty_body_is_tried_three_times_and_never_stored() {
    let (world, recording, outcome) = outcome_at(
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
    assert_eq!(
        world
            .deliver_again(&recording.event(&world), 1)
            .await
            .status,
        200
    );
    world.assert_archived(&recording);
}

#[tokio::test]
async fn a_place_that_must_not_be_called_is_final_at_once_and_never_called() {
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
                    format!("https://{}/identities/8:acs", crate::embedded::RESOURCE).into();
            }
            Form::Preview2021 => chunk["documentId"] = "../identities".into(),
        }
        let response = world.deliver(&json!([event])).await;
        assert_eq!(
            (response.status, &response.body["events"][0]["outcome"]),
            (200, &json!("setAside"))
        );
        let recording = recording.told_by(&event);
        let rejection = rejection(&world, &recording);
        let expected = match form {
            Form::Current => "location is not on a media host of ACS",
            Form::Preview2021 => "a documentId that cannot be asked for",
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
    let recording = Recording::of(&[2 * PART]).aged(2 * HOUR);
    recording.publish(&world);
    world.acs.inject(|request| {
        let metadata = request.kind == Kind::Metadata;
        metadata.then(|| Fault::Answer {
            status: 404,
            headers: vec![],
            body: "{}".into(),
        })
    });
    let response = world.deliver(&recording.event(&world)).await;
    assert_eq!(response.body["events"][0]["outcome"], "setAside");
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
async fn what_can_never_be_finished_leaves_no_upload() {
    let world = World::start().await;
    let recording = Recording::of(&[4 * PART]).aged(2 * HOUR);
    recording.publish(&world);
    world.acs.inject(|request| {
        let later = request
            .range
            .as_deref()
            .is_some_and(|range| !range.starts_with("bytes=0-"));
        later.then(|| Fault::Answer {
            status: 404,
            headers: vec![],
            body: "{}".into(),
        })
    });
    let response = world.deliver(&recording.event(&world)).await;
    assert_eq!(response.body["events"][0]["outcome"], "setAside");
    assert!(world.s3.uploads().is_empty());
    assert!(!world.keys().iter().any(|key| key.contains("/pending/")));
    // A later delivery, the cause gone, archives it all the same; the manifest written later wins.
    world.acs.heal();
    assert_eq!(
        world.deliver_again(&recording.event(&world), 1).await.body["events"][0]["outcome"],
        "archived"
    );
    assert!(world.s3.object(&recording.manifest_key()).is_some());
    let response = world.deliver_again(&recording.event(&world), 2).await;
    assert_eq!(response.body["events"][0]["outcome"], "alreadyArchived");
}

#[tokio::test]
async fn a_404_is_not_final_if_another_delivery_has_finished_meanwhile() {
    let world = World::start().await;
    let recording = Recording::of(&[10]).aged(2 * HOUR);
    recording.publish(&world);
    let event = recording.event(&world);
    world.deliver(&event).await;
    let done = world.s3.objects();
    for key in done.keys() {
        world.s3.remove(key);
    }
    // Gone from ACS, and at the same moment archived by another.
    let s3 = world.s3.clone();
    world.acs.inject(move |_| {
        for (key, object) in &done {
            s3.put_object(key, object.clone());
        }
        Some(Fault::Answer {
            status: 404,
            headers: vec![],
            body: "{}".into(),
        })
    });
    let response = world.deliver_again(&event, 1).await;
    world.acs.heal();
    assert_eq!(
        (response.status, &response.body["events"][0]["outcome"]),
        (200, &json!("alreadyArchived"))
    );
    world.assert_archived(&recording);
}

#[tokio::test]
async fn being_out_of_time_is_never_final_while_bytes_arrive() {
    for (after, outcome, status) in [(5, "suspended", 503), (0, "setAside", 200)] {
        let mut hasty = crate::world::setup();
        hasty.limits.unknown_deadline = Duration::from_millis(1_500);
        hasty.limits.margin = Duration::ZERO;
        hasty.limits.source_stall = 100 * MINUTE;
        let world = World::with(hasty).await;
        let recording = Recording::of(&[10]).aged(3 * DAY);
        recording.publish(&world);
        world.acs.inject(move |request| {
            let media = request.kind == Kind::Media;
            media.then_some(Fault::StallBody {
                after,
                stall: MINUTE,
            })
        });
        let response = world.deliver(&recording.event(&world)).await;
        world.acs.heal();
        assert_eq!(
            response.body["events"][0]["outcome"], outcome,
            "after {after} bytes"
        );
        assert_eq!(response.status, status);
    }
}

#[tokio::test]
async fn an_event_without_a_time_ages_from_when_it_was_stored() {
    let world = World::start().await;
    let mut recording = Recording::of(&[10]);
    (recording.event_time, recording.started) = (None, None);
    let event = recording.event(&world);
    assert_eq!(
        world.deliver(&event).await.body["events"][0]["outcome"],
        "suspended",
        "not there, but just stored"
    );
    let [pending] = &*world.keys() else {
        panic!("the pending event alone")
    };
    let stored = world.s3.object(pending).unwrap().last_modified;
    world.s3.set_last_modified(pending, stored - HOUR - MINUTE);
    assert_eq!(
        world.deliver_again(&event, 1).await.body["events"][0]["outcome"],
        "setAside"
    );
}
