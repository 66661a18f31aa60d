//! Deliveries that resume: parts and objects that are in S3 are kept.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use emulators::acs::{Fault, Kind, Request};
use emulators::s3::{self, Etags};
use serde_json::{Value, json};

use harness::embedded::Setup;
use harness::world::{PART, Recording, World, setup};

/// Makes ACS answer 503 to every request for media after the first `most`.
fn only_the_first(most: usize) -> impl Fn(&Request) -> Option<Fault> + Send + Sync {
    let asked = AtomicUsize::new(0);
    move |request| {
        let media = request.kind == Kind::Media;
        let late = media && asked.fetch_add(1, Ordering::Relaxed) >= most;
        late.then(|| Fault::answer(503, "later"))
    }
}

/// A recording of `parts` parts, whose first delivery ended with `kept` of them in S3.
async fn suspended(parts: u64, kept: usize, setup: Setup) -> (World, Recording) {
    let world = World::with(setup).await;
    let recording = Recording::of(&[(parts - 1) * PART + 99]);
    recording.publish(&world);
    world.acs.inject(only_the_first(kept));
    let response = world.deliver(&recording.event(&world)).await;
    assert_eq!(
        (response.status.code(), &response.headers["retry-after"]),
        (503, &json!("30"))
    );
    assert_eq!(response.outcome(), "suspended");
    let [upload] = &*world.s3.uploads() else {
        panic!("one upload is kept")
    };
    assert_eq!(upload.parts.len(), kept);
    assert!(
        world
            .s3
            .object(&recording.media_key(&recording.chunks[0]))
            .is_none(),
        "no incomplete object"
    );
    world.acs.heal();
    world.acs.clear_requests();
    world.s3.clear_calls();
    (world, recording)
}

/// The record of the first chunk's upload.
fn record_of(world: &World, recording: &Recording) -> Value {
    world.json(&recording.record_key(&recording.chunks[0]))
}

/// The ranges of media that were requested.
fn media_ranges(world: &World) -> Vec<String> {
    let media = world.media_requests().into_iter();
    media.map(|request| request.range.unwrap()).collect()
}

#[tokio::test]
async fn kept_parts_are_not_fetched_again() {
    // More parts than a page of the listing has.
    let (world, recording) = suspended(10, 7, setup()).await;
    let record = record_of(&world, &recording);
    assert_eq!(record["partSize"], PART);
    assert_eq!(record["length"], 9 * PART + 99);
    assert_eq!(record["uploadId"], world.s3.uploads()[0].upload_id);
    let kept: Vec<_> = world.s3.uploads()[0].parts.keys().copied().collect();

    world.assert_archived_by_retry(&recording).await;
    let asked = media_ranges(&world);
    assert_eq!(asked.len(), 3, "{asked:?}");
    for number in kept {
        let start = u64::try_from(number - 1).unwrap() * PART;
        assert!(
            !asked
                .iter()
                .any(|range| range.starts_with(&format!("bytes={start}-"))),
            "part {number} is kept"
        );
    }
    assert_eq!(world.count("CreateMultipartUpload"), 0);
    assert_eq!(world.count("UploadPart"), 3);
}

#[tokio::test]
async fn a_hole_in_the_middle_or_a_part_of_another_size_is_put_again() {
    let (world, recording) = suspended(6, 5, setup()).await;
    let client = aws_sdk_s3::Client::from_conf(
        aws_sdk_s3::config::Builder::from(&harness::embedded::sdk(&world.s3).await)
            .force_path_style(true)
            .build(),
    );
    let upload = world.s3.uploads()[0].clone();
    let number = *upload.parts.keys().next().unwrap();
    let part = client
        .upload_part()
        .bucket("recordings")
        .key(&upload.key)
        .upload_id(&upload.upload_id)
        .part_number(number);
    let crc64nvme = aws_sdk_s3::types::ChecksumAlgorithm::Crc64Nvme;
    part.checksum_algorithm(crc64nvme)
        .body(vec![0; 17].into())
        .send()
        .await
        .unwrap();

    world.assert_archived_by_retry(&recording).await;
    assert_eq!(media_ranges(&world).len(), 2);
}

#[tokio::test]
async fn a_recording_with_all_parts_in_s3_needs_no_source() {
    let s3 = s3::Settings {
        etags: Etags::Opaque,
        ..setup().s3
    };
    let world = World::with(Setup { s3, ..setup() }).await;
    let recording = Recording::of(&[4 * PART]);
    recording.publish(&world);
    world.s3.inject(|call| {
        let refused = call.operation == "CompleteMultipartUpload";
        refused.then_some(s3::Fault::refuse(503, "SlowDown"))
    });
    assert_eq!(world.deliver(&recording.event(&world)).await.status, 503);
    assert_eq!(world.s3.uploads()[0].parts.len(), 4);
    world.s3.heal();
    world.acs.remove(&recording.chunks[0].document_id);
    world.acs.clear_requests();
    world.assert_archived_by_retry(&recording).await;
    assert!(media_ranges(&world).is_empty());
}

#[tokio::test]
async fn an_upload_without_part_checksums_completes_without_a_combined_one() {
    let s3 = s3::Settings {
        part_checksums: false,
        ..setup().s3
    };
    let (world, recording) = suspended(5, 2, Setup { s3, ..setup() }).await;
    world.assert_archived_by_retry(&recording).await;
}

#[tokio::test]
async fn an_upload_that_vanished_is_replaced_by_another() {
    let (world, recording) = suspended(5, 2, setup()).await;
    world.s3.abort(&world.s3.uploads()[0].upload_id);
    world.assert_archived_by_retry(&recording).await;
    assert_eq!(world.count("CreateMultipartUpload"), 1);
}

#[tokio::test]
async fn an_upload_that_vanishes_during_a_run_is_replaced_by_another() {
    let (world, recording) = suspended(6, 2, setup()).await;
    let s3 = world.s3.clone();
    let aborted = AtomicBool::new(false);
    world.acs.inject(move |request| {
        if request.kind == Kind::Media && !aborted.swap(true, Ordering::Relaxed) {
            s3.abort(&s3.uploads()[0].upload_id);
        }
        None
    });
    let response = world.deliver_again(&recording.event(&world), 1).await;
    world.acs.heal();
    assert_eq!(response.status.code(), 200);
    world.assert_archived(&recording);
}

#[tokio::test]
async fn a_source_of_another_length_leads_to_a_new_upload() {
    let (world, mut recording) = suspended(5, 2, setup()).await;
    let old = world.s3.uploads()[0].upload_id.clone();
    recording.chunks[0].media = Recording::of(&[3 * PART + 5]).chunks.remove(0).media;
    recording.publish(&world);
    world.assert_archived_by_retry(&recording).await;
    let aborted = world.s3.calls().iter().any(|call| {
        call.operation == "AbortMultipartUpload" && call.upload_id.as_ref() == Some(&old)
    });
    assert!(aborted, "the old upload is aborted");
}

#[tokio::test]
async fn another_etag_of_the_same_bytes_keeps_the_upload() {
    let world = World::start().await;
    let recording = Recording::of(&[4 * PART]);
    let publish = |etag: &str| {
        let document = Recording::document(&recording.chunks[0]);
        world.acs.add(emulators::acs::Document {
            etag: Some(etag.into()),
            ..document
        });
    };
    publish("\"one\"");
    world.acs.inject(only_the_first(2));
    assert_eq!(world.deliver(&recording.event(&world)).await.status, 503);
    world.acs.heal();
    publish("\"two\"");
    world.assert_archived_by_retry(&recording).await;
    let media = world
        .s3
        .object(&recording.media_key(&recording.chunks[0]))
        .unwrap();
    // The ETag at the time when the upload was begun.
    assert_eq!(media.metadata["source-etag"], "\"one\"");
    assert_eq!(world.count("CreateMultipartUpload"), 1);
    assert_eq!(world.count("UploadPart"), 4, "no part is put twice");
}

#[tokio::test]
async fn another_etag_of_other_bytes_of_the_same_length_replaces_every_part() {
    let world = World::start().await;
    let mut recording = Recording::of(&[4 * PART]);
    let publish = |recording: &Recording, etag: &str| {
        let document = Recording::document(&recording.chunks[0]);
        world.acs.add(emulators::acs::Document {
            etag: Some(etag.into()),
            ..document
        });
    };
    publish(&recording, "\"one\"");
    world.acs.inject(only_the_first(2));
    assert_eq!(world.deliver(&recording.event(&world)).await.status, 503);
    world.acs.heal();
    recording.chunks[0].media =
        emulators::media::Media::new(emulators::media::Format::Mp4, 4 * PART, 77);
    publish(&recording, "\"two\"");
    world.assert_archived_by_retry(&recording).await;
    assert_eq!(world.count("CreateMultipartUpload"), 1);
}

#[tokio::test]
async fn a_source_that_became_small_needs_no_upload() {
    let (world, mut recording) = suspended(5, 2, setup()).await;
    recording.chunks[0].media = Recording::of(&[5]).chunks.remove(0).media;
    recording.publish(&world);
    world.assert_archived_by_retry(&recording).await;
}

#[tokio::test]
async fn a_broken_record_is_replaced_and_one_of_another_part_size_is_used() {
    for broken in ["", "{}", "not JSON", r#"{"uploadId":"u"}"#] {
        let (world, recording) = suspended(5, 2, setup()).await;
        world
            .s3
            .put(&recording.record_key(&recording.chunks[0]), broken);
        assert_eq!(
            world
                .deliver_again(&recording.event(&world), 1)
                .await
                .status,
            200,
            "{broken}"
        );
        let old = world.s3.uploads();
        assert_eq!(
            old.len(),
            1,
            "no record names the old upload, so the bucket's lifecycle rule aborts it"
        );
        world.s3.abort(&old[0].upload_id);
        world.assert_archived(&recording);
    }
    // A version with larger parts continues with the part size in the record.
    let mut larger = setup();
    larger.limits.part_size = 2 * PART;
    let (world, recording) = suspended(5, 2, setup()).await;
    let newer = world.another(larger.limits, &[]).await;
    newer.assert_archived_by_retry(&recording).await;
    assert_eq!(world.count("CreateMultipartUpload"), 0);
    assert_eq!(media_ranges(&world).len(), 3);
}

#[tokio::test]
async fn a_crash_between_complete_and_manifest_is_recovered_from() {
    let (world, recording) = suspended(3, 2, setup()).await;
    let pending = world.s3.objects();
    assert_eq!(
        world
            .deliver_again(&recording.event(&world), 1)
            .await
            .status,
        200
    );
    // As if the run had ended right after Complete.
    world.s3.remove(&recording.manifest_key());
    for (key, object) in pending
        .into_iter()
        .filter(|(key, _)| key.contains("/pending/"))
    {
        world.s3.put_object(&key, object);
    }
    world.acs.clear_requests();
    let response = world.deliver_again(&recording.event(&world), 2).await;
    response.assert_outcome(200, "archived");
    world.assert_archived(&recording);
    world.assert_acs_uncalled();
}

#[tokio::test]
async fn a_crash_between_manifest_and_deletion_of_the_event_is_recovered_from() {
    let world = World::start().await;
    let recording = Recording::of(&[5]);
    recording.publish(&world);
    let event = recording.event(&world);
    world.deliver(&event).await;
    world.s3.put(&recording.event_key(), event.to_string());
    let response = world.deliver_again(&event, 1).await;
    assert_eq!(response.outcome(), "alreadyArchived");
    world.assert_archived(&recording);
}

#[tokio::test]
async fn concurrent_deliveries_archive_the_same_bytes() {
    let world = World::start().await;
    let recording = Recording::of(&[1, 9 * PART + 1, 4 * PART]);
    recording.publish(&world);
    let event = recording.event(&world);
    let mut deliveries = tokio::task::JoinSet::new();
    for count in 0..6 {
        let other = world.another(setup().limits, &[]).await;
        let event = event.clone();
        deliveries.spawn(async move { other.deliver_again(&event, count).await });
    }
    for response in deliveries.join_all().await {
        assert_eq!(response.status.code(), 200, "{response:?}");
    }
    world.assert_archived(&recording);
}

#[tokio::test]
async fn deliveries_of_even_and_odd_count_begin_at_different_ends() {
    for (count, first) in [(0, 1), (1, 7), (2, 1), (3, 7)] {
        let (world, recording) = suspended(8, 1, setup()).await;
        let one_at_a_time = [("TRANSFER_CONCURRENCY", "1".to_owned())];
        let other = world.another(setup().limits, &one_at_a_time).await;
        other.deliver_again(&recording.event(&world), count).await;
        assert!(
            media_ranges(&world)[0].starts_with(&format!("bytes={}-", first * PART)),
            "attempt {count}"
        );
    }
}

#[tokio::test]
async fn lost_answers_of_s3_are_detected() {
    for operation in [
        "CreateMultipartUpload",
        "UploadPart",
        "CompleteMultipartUpload",
        "PutObject",
        "DeleteObject",
        "AbortMultipartUpload",
    ] {
        let world = World::start().await;
        let recording = Recording::of(&[1, 3 * PART]);
        recording.publish(&world);
        let lost = AtomicBool::new(false);
        world.s3.inject(move |call| {
            let hit = call.operation == operation && !lost.swap(true, Ordering::Relaxed);
            hit.then_some(s3::Fault::LoseAnswer)
        });
        let mut status = world.deliver(&recording.event(&world)).await.status;
        world.s3.heal();
        if status == 503 {
            status = world
                .deliver_again(&recording.event(&world), 1)
                .await
                .status;
        }
        assert_eq!(status, 200, "{operation}");
        if operation == "CreateMultipartUpload" {
            // No record names the upload whose id was lost.
            let known: Vec<_> = world.s3.uploads();
            assert_eq!(known.len(), 1);
            world.s3.abort(&known[0].upload_id);
        }
        world.assert_archived(&recording);
    }
}

#[tokio::test]
async fn a_run_out_of_time_is_suspended_and_keeps_its_parts() {
    let mut hasty = setup();
    hasty.limits.unknown_deadline = Duration::from_millis(1_500);
    hasty.limits.margin = Duration::ZERO;
    let world = World::with(hasty).await;
    let recording = Recording::of(&[6 * PART]);
    recording.publish(&world);
    // Parts 1 to 3 arrive, the others stall.
    world.acs.inject(|request| {
        let start = request
            .range
            .as_deref()?
            .strip_prefix("bytes=")?
            .split('-')
            .next()?
            .parse::<u64>()
            .ok()?;
        (start >= 3 * PART).then_some(Fault::StallBody {
            after: 10,
            stall: Duration::from_mins(1),
        })
    });
    let response = world.deliver(&recording.event(&world)).await;
    response.assert_outcome(503, "suspended");
    assert_eq!(world.s3.uploads()[0].parts.len(), 3);
    world.acs.heal();
    world.acs.clear_requests();
    world.assert_archived_by_retry(&recording).await;
    assert_eq!(media_ranges(&world).len(), 3);
}
