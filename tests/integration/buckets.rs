//! One bucket and two: with a bucket for unfinished work, the recordings bucket is only added to.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use acs_recording_archiver::keys::{Bucket, Layout, Prefix};
use acs_recording_archiver::store::{Buckets, Error, JSON, Store};
use emulators::acs::{Fault, Kind};
use emulators::s3::{self, S3};
use serde_json::Value;

use harness::embedded::{Setup, sdk};
use harness::world::{PART, Recording, WORK, World, limits, setup, setup_with_work};

/// The set-ups with one bucket and with two.
fn setups() -> [Setup; 2] {
    [setup(), setup_with_work()]
}

/// The bucket of unfinished work.
fn work_of(world: &World, two: bool) -> S3 {
    if two {
        world.s3.of(WORK)
    } else {
        world.s3.clone()
    }
}

fn pending_key(recording: &Recording, two: bool) -> String {
    let folder = if two {
        recording.work()
    } else {
        recording.pending()
    };
    format!("{folder}/event.json")
}

/// Returns how many events a tick found pending, and how many it finished.
async fn tick(world: &World) -> (usize, usize) {
    let swept = world.tick().await;
    (swept.pending, swept.finished)
}

/// Asserts that every call to the recordings bucket reads, adds, or ends an upload, and that the
/// work bucket received only unfinished work.
fn assert_append_only(world: &World) {
    for call in world.s3.calls() {
        let (operation, key) = (call.operation, call.key.clone().unwrap_or_default());
        let what = format!("{operation} {key} in {}", call.bucket);
        if call.bucket == WORK {
            let of_work = ["GetObject", "HeadObject", "PutObject", "DeleteObject"];
            let listed = operation == "ListObjectsV2" && call.query.contains("prefix=pending%2F");
            assert!(listed || of_work.contains(&operation), "{what}");
            assert!(listed || key.starts_with("pending/"), "{what}");
            continue;
        }
        assert_eq!(call.bucket, world.s3.bucket());
        match operation {
            "PutObject" | "CompleteMultipartUpload" => {
                assert_eq!(call.headers["if-none-match"], "*", "{what}");
                assert!(!call.headers.contains_key("if-match"), "{what}");
            }
            "CreateMultipartUpload"
            | "UploadPart"
            | "ListParts"
            | "HeadObject"
            | "GetObject"
            | "AbortMultipartUpload" => {}
            _ => panic!("{what}"),
        }
        assert!(!key.contains("pending/"), "{what}");
    }
}

/// Delivers a recording that is suspended, resumes it, and delivers it again.
async fn deliveries(world: &World, two: bool) {
    let recording = Recording::of(&[10, 5 * PART + 1]);
    recording.publish(world);
    let event = recording.event(world);
    let cut = AtomicUsize::new(0);
    world.acs.inject(move |request| {
        let media = request.kind == Kind::Media && request.range.is_some();
        let late = media && cut.fetch_add(1, Ordering::Relaxed) >= 3;
        late.then(|| Fault::answer(503, "no"))
    });
    assert_eq!(world.deliver(&event).await.status, 503);
    let work = work_of(world, two);
    let pending = pending_key(&recording, two);
    assert!(work.object(&pending).is_some(), "{pending}");
    let kept = world.s3.uploads()[0].parts.len();
    assert!(kept > 0);
    world.acs.heal();
    let received = world.acs.requests().len();
    assert_eq!(world.deliver_again(&event, 1).await.status, 200);
    assert!(world.acs.requests().len() - received <= 6 - kept);
    assert!(work.object(&pending).is_none());
    world.assert_archived(&recording);
    let again = world.deliver_again(&event, 2).await;
    assert_eq!(again.outcome(), "alreadyArchived");
    world.assert_archived(&recording);
    if two {
        assert!(work.objects().is_empty());
        assert_append_only(world);
    }
    world.clear();
}

/// Lets the schedule archive a recording.
async fn ticks(world: &World, two: bool) {
    let recording = Recording::of(&[3 * PART]);
    recording.publish(world);
    let work = work_of(world, two);
    let event = recording.event(world).to_string();
    work.put(&pending_key(&recording, two), event);
    world.make_due();
    assert_eq!(tick(world).await, (1, 1));
    world.assert_archived(&recording);
    assert_eq!(tick(world).await, (0, 0));
    if two {
        assert!(work.objects().is_empty());
        assert_append_only(world);
    }
    world.clear();
}

/// Delivers a recording that is rejected, and an event that is set aside.
async fn rejections(world: &World, two: bool) {
    let recording = Recording::of(&[10, 3 * PART]).aged(Duration::from_hours(30));
    recording.publish(world);
    world.acs.remove(&recording.chunks[1].document_id);
    let event = recording.event(world);
    assert_eq!(world.deliver(&event).await.status, 503);
    world.age_pending(Duration::from_hours(2));
    let response = world.deliver_again(&event, 1).await;
    assert_eq!(response.outcome(), "setAside");
    assert!(world.s3.object(&recording.rejection_key()).is_some());
    assert_eq!(world.deliver(&serde_json::json!([42])).await.status, 200);
    if two {
        assert!(world.s3.of(WORK).objects().is_empty());
        assert_append_only(world);
    }
    world.clear();
}

#[tokio::test]
async fn deliveries_ticks_and_rejections_work_with_one_bucket_and_with_two() {
    for (setup, two) in setups().into_iter().zip([false, true]) {
        let world = World::with(setup).await;
        deliveries(&world, two).await;
        ticks(&world, two).await;
        rejections(&world, two).await;
    }
}

#[tokio::test]
async fn a_run_that_is_interrupted_at_any_call_is_resumed_with_two_buckets() {
    let recording = Recording::of(&[10, 2 * PART + 1]);
    let mut calls = 1;
    let mut at = 0;
    while at < calls {
        let world = World::with(setup_with_work()).await;
        recording.publish(&world);
        let event = recording.event(&world);
        let (seen, cut) = (Arc::new(AtomicUsize::new(0)), at);
        let counted = Arc::clone(&seen);
        // S3 fails from this call on, as if the process had ended.
        world.s3.inject(move |_| {
            let number = counted.fetch_add(1, Ordering::Relaxed);
            (number >= cut).then_some(s3::Fault::refuse(403, "AccessDenied"))
        });
        let cut = world.deliver(&event).await;
        assert_eq!(cut.status, 503, "cut at {at}");
        world.s3.heal();
        assert_eq!(world.deliver_again(&event, 1).await.status, 200, "{at}");
        world.assert_complete(&recording);
        assert!(world.s3.of(WORK).objects().is_empty(), "cut at {at}");
        assert_append_only(&world);
        if at == 0 {
            let whole = World::with(setup_with_work()).await;
            recording.publish(&whole);
            whole.deliver(&event).await;
            calls = whole.s3.calls().len();
            assert!(calls > 10);
        }
        at += 1;
    }
}

/// Another instance over the same emulators, with this prefix.
async fn with_prefix(world: &World, prefix: &str) -> World {
    let variables = [
        ("WORK_BUCKET", WORK.to_owned()),
        ("RECORDINGS_PREFIX", prefix.to_owned()),
    ];
    world.another(limits(), &variables).await
}

#[tokio::test]
async fn the_prefix_may_change_while_work_is_pending() {
    let world = World::with(setup_with_work()).await;
    let recording = Recording::of(&[10, 3 * PART]);
    recording.publish(&world);
    let event = recording.event(&world);
    world.break_off();
    assert_eq!(world.deliver(&event).await.status, 503);
    let begun = world.s3.uploads();
    assert_eq!(begun.len(), 1, "an upload under the old prefix");
    world.acs.heal();

    let moved = with_prefix(&world, "elsewhere/").await;
    assert_eq!(tick(&moved).await, (1, 1));
    assert!(world.s3.of(WORK).objects().is_empty());
    let elsewhere = |key: String| key.replacen("recordings/", "elsewhere/", 1);
    for chunk in &recording.chunks {
        let key = elsewhere(recording.media_key(chunk));
        let media = world.s3.object(&key).expect("the media is there");
        assert!(media.body == chunk.media.bytes(0..chunk.media.length()));
    }
    let manifest = world.s3.object(&elsewhere(recording.manifest_key()));
    let manifest: Value = serde_json::from_slice(&manifest.unwrap().body).unwrap();
    let key = manifest["chunks"][1]["media"]["key"].as_str().unwrap();
    assert!(key.starts_with("elsewhere/"), "{key}");
    // The upload under the old prefix is left: the bucket's lifecycle rule aborts it.
    let left: Vec<_> = world
        .s3
        .uploads()
        .into_iter()
        .map(|upload| upload.upload_id)
        .collect();
    assert_eq!(left, [begun[0].upload_id.clone()]);
    assert_append_only(&world);
}

#[tokio::test]
async fn the_store_never_replaces_or_deletes_objects_of_the_archive() {
    let s3 = S3::start(setup_with_work().s3).await;
    for work in [s3.bucket(), WORK] {
        let buckets = Buckets {
            recordings: s3.bucket().to_owned(),
            work: (work == WORK).then(|| work.to_owned()),
        };
        let endpoint = "https://contoso.communication.azure.com".parse().unwrap();
        let layout = Layout::new(Prefix::new("").unwrap(), buckets.pending(), &endpoint);
        let store = Store::new(&sdk(&s3).await, buckets, true, &limits());
        let hash = "0123456789abcdef";
        let media = format!("2026/11/23/08fa/141004Z/0000-d-{hash}.mp4");
        let media = layout.listed(Bucket::Recordings, &media).unwrap();
        s3.put(media.as_str(), "media");
        let etag = s3.object(media.as_str()).unwrap().etag;
        s3.clear_calls();
        let deleted = store.delete(&media).await;
        assert!(matches!(deleted, Err(Error::Archive)), "{deleted:?}");
        let replaced = store.replace(&media, "other", &etag).await;
        assert!(matches!(replaced, Err(Error::Archive)), "{replaced:?}");
        assert!(s3.calls().is_empty());

        let record = format!("pending/20261123T152034.0000000Z-e-{hash}/0000-d-{hash}.upload.json");
        let record = layout.listed(Bucket::Work, &record).unwrap();
        store.create(&record, "{}", JSON, None).await.unwrap();
        store.delete(&record).await.unwrap();
        assert!(s3.calls().iter().all(|call| call.bucket == work));
    }
}
