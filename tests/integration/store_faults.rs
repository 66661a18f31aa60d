//! Faults of S3: each call that the function makes, with each way in which it may fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use emulators::acs::{self, Kind};
use emulators::s3::{Call, Etags, Fault, Object};
use serde_json::json;
use tokio::task::JoinSet;

use harness::embedded::Setup;
use harness::world::{PART, Recording, World, setup};

/// A call of S3, by its operation and the end of its key.
type Target = (&'static str, &'static str);

/// Every call of a delivery of the recording that [`world`] holds, and of a tick.
const CALLS: [Target; 22] = [
    ("HeadObject", ".manifest.json"),
    ("PutObject", "event.json"),
    ("GetObject", "attempt.json"),
    ("PutObject", "attempt.json"),
    ("DeleteObject", "attempt.json"),
    ("GetObject", ".upload.json"),
    ("HeadObject", ".mp4"),
    ("PutObject", ".mp4"),
    ("HeadObject", ".metadata.json"),
    ("PutObject", ".metadata.json"),
    ("ListParts", ".mp4"),
    ("CreateMultipartUpload", ".mp4"),
    (
        "PutObject",
        "0001-0-eus-d1-801b3f3fc462fe8a01e6810cbff729b8-e4631f0a702593d6.upload.json",
    ),
    (
        "PutObject",
        "0002-0-eus-d2-801b3f3fc462fe8a01e6810cbff729b8-da6ee457376f6fc3.upload.json",
    ),
    ("AbortMultipartUpload", ".mp4"),
    ("UploadPart", ".mp4"),
    ("CompleteMultipartUpload", ".mp4"),
    ("DeleteObject", ".upload.json"),
    ("PutObject", ".manifest.json"),
    ("DeleteObject", "event.json"),
    ("ListObjectsV2", ""),
    ("GetObject", "event.json"),
];

const SLOW_DOWN: Fault = Fault::refuse(503, "SlowDown");

/// The matching calls that fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Times {
    Once,
    Always,
}

fn fits(call: &Call, (operation, end): Target) -> bool {
    call.operation == operation && call.key.as_deref().unwrap_or_default().ends_with(end)
}

/// Makes the matching calls fail, and counts the matching calls.
fn inject(world: &World, target: Target, fault: &Fault, times: Times) -> Arc<AtomicUsize> {
    let hits = Arc::new(AtomicUsize::new(0));
    let (counted, fault) = (Arc::clone(&hits), fault.clone());
    world.s3.inject(move |call| {
        if !fits(call, target) {
            return None;
        }
        let before = counted.fetch_add(1, Ordering::Relaxed);
        let hit = times == Times::Always || before == 0;
        hit.then(|| fault.clone())
    });
    hits
}

/// Runs `act` at the first matching call, before S3 handles the call.
fn at_first(world: &World, target: Target, act: impl Fn(&Call) + Send + Sync + 'static) {
    let done = AtomicBool::new(false);
    world.s3.inject(move |call| {
        if fits(call, target) && !done.swap(true, Ordering::Relaxed) {
            act(call);
        }
        None
    });
}

/// A recording of three chunks: a small one, one that needs an upload, and one whose upload was
/// begun for a source of another length.
async fn world(setup: Setup) -> (World, Recording) {
    let world = World::with(setup).await;
    let recording = Recording::of(&[1000, 3 * PART + 5, 2 * PART]);
    recording.publish(&world);
    let stale = &recording.chunks[2];
    let key = recording.media_key(stale);
    let record = json!({
        "key": key,
        "uploadId": world.s3.begin(&key),
        "length": 7 * PART,
        "sourceEtag": null,
        "contentType": "video/mp4",
        "partSize": PART,
    });
    // An earlier run leaves the record together with its pending event.
    let event = recording.event(&world).to_string();
    world.s3.put(&recording.event_key(), event);
    let record_key = recording.record_key(stale);
    world.s3.put(&record_key, record.to_string());
    (world, recording)
}

/// Lets a call fail, retries by delivery or tick, and asserts that the recording is archived.
///
/// Returns the number of faults that were injected.
async fn survives(target: Target, fault: Fault, times: Times, setup: Setup) -> usize {
    let what = format!("{fault:?} {times:?} at {target:?}");
    let (world, recording) = world(setup).await;
    let event = recording.event(&world);
    let by_tick = matches!(
        target,
        ("ListObjectsV2", _)
            | ("GetObject", "event.json")
            | ("PutObject" | "DeleteObject", "attempt.json")
    );
    let hits = inject(&world, target, &fault, times);
    let (well, seen) = if by_tick {
        let finished = tick(&world).await;
        (finished == Some(1), format!("finished {finished:?}"))
    } else {
        let response = world.deliver(&event).await;
        let answered = [200, 503].contains(&response.status.code());
        assert!(answered, "{what}: {response:?}");
        (response.status == 200, format!("{response:?}"))
    };
    let hits = hits.load(Ordering::Relaxed);
    assert!(hits > 0, "{what}: no such call, {seen}");
    let survived = well || times == Times::Always;
    assert!(survived, "{what} is not survived, {seen}");
    world.s3.heal();
    if by_tick && !well {
        assert_eq!(tick(&world).await, Some(1), "{what}");
    } else if !well {
        let response = world.deliver_again(&event, 2).await;
        assert_eq!(response.status.code(), 200, "{what}: {response:?}");
    }
    // No record names an upload whose id was lost: the bucket's lifecycle rule aborts it.
    if target.0 == "CreateMultipartUpload" && fault == Fault::LoseAnswer {
        let [lost] = &*world.s3.uploads() else {
            panic!("{what}: {:?} are not one lost upload", world.s3.uploads())
        };
        world.s3.abort(&lost.upload_id);
    }
    let left = world.pending_keys();
    assert!(left.is_empty(), "{what}: {left:?}");
    assert!(
        world.s3.uploads().is_empty(),
        "{what}: {:?}",
        world.s3.uploads()
    );
    world.assert_archived(&recording);
    if times == Times::Once { 1 } else { hits }
}

/// Returns how many of the due events a tick finished; `None` if it failed.
async fn tick(world: &World) -> Option<usize> {
    world.make_due();
    Some(world.try_tick().await.ok()?.finished)
}

/// Runs cases concurrently, and returns the number of faults that were injected.
async fn all(
    cases: impl IntoIterator<Item = (Target, Fault, Times)>,
    set_up: fn() -> Setup,
) -> usize {
    const AT_ONCE: usize = 8;
    let mut running = JoinSet::new();
    let (mut faults, mut failed) = (0, Vec::new());
    let mut cases = cases.into_iter();
    loop {
        while running.len() < AT_ONCE
            && let Some((target, fault, times)) = cases.next()
        {
            running.spawn(survives(target, fault, times, set_up()));
        }
        match running.join_next().await {
            None => break,
            Some(Ok(hits)) => faults += hits,
            Some(Err(error)) => failed.push(error.to_string()),
        }
    }
    assert!(
        failed.is_empty(),
        "{} of the cases failed:\n{}",
        failed.len(),
        failed.join("\n")
    );
    faults
}

#[tokio::test]
async fn every_call_may_fail_once() {
    let mut cases = Vec::new();
    for target in CALLS {
        for fault in [
            SLOW_DOWN,
            Fault::refuse(500, "InternalError"),
            Fault::LoseAnswer,
        ] {
            cases.push((target, fault, Times::Once));
        }
    }
    let faults = all(cases, setup).await;
    println!("{faults} faults injected");
    assert_eq!(faults, 3 * CALLS.len());
}

#[tokio::test]
async fn every_call_may_hang_once() {
    let impatient = || {
        let mut impatient = setup();
        impatient.limits.store_call = Duration::from_secs(1);
        impatient.limits.complete_call = Duration::from_secs(1);
        impatient.limits.store_stall = Duration::from_secs(1);
        impatient
    };
    let hang = Fault::Hang(Duration::from_mins(10));
    let cases = CALLS.map(|target| (target, hang.clone(), Times::Once));
    let faults = all(cases, impatient).await;
    println!("{faults} faults injected");
    assert_eq!(faults, CALLS.len());
}

#[tokio::test]
async fn every_call_may_fail_until_the_next_attempt() {
    let mut cases = Vec::new();
    for target in CALLS {
        for fault in [SLOW_DOWN, Fault::refuse(403, "AccessDenied")] {
            cases.push((target, fault, Times::Always));
        }
    }
    let faults = all(cases, setup).await;
    println!("{faults} faults injected");
    assert!(faults >= 4 * CALLS.len(), "{faults} faults");
}

/// A recording of one chunk, with this number of parts.
async fn one(parts: u64, setup: Setup) -> (World, Recording) {
    let world = World::with(setup).await;
    let recording = Recording::of(&[(parts - 1) * PART + 9]);
    recording.publish(&world);
    (world, recording)
}

fn opaque() -> Setup {
    let mut opaque = setup();
    opaque.s3.etags = Etags::Opaque;
    opaque
}

fn without_part_checksums() -> Setup {
    let mut without = setup();
    without.s3.part_checksums = false;
    without
}

const COMPLETE: Target = ("CompleteMultipartUpload", ".mp4");

#[tokio::test]
async fn complete_may_answer_200_with_an_error_inside() {
    for set_up in [setup, opaque, without_part_checksums] {
        for code in ["InternalError", "SlowDown"] {
            for times in [Times::Once, Times::Always] {
                let (world, recording) = one(3, set_up()).await;
                let event = recording.event(&world);
                let hits = inject(&world, COMPLETE, &Fault::OkWithError { code }, times);
                let status = world.deliver(&event).await.status;
                world.s3.heal();
                assert_eq!(
                    status,
                    if times == Times::Once { 200 } else { 503 },
                    "{code} {times:?}"
                );
                assert!(
                    hits.load(Ordering::Relaxed) > 1,
                    "{code} {times:?}: Complete is called again"
                );
                if status == 503 {
                    assert_eq!(world.deliver_again(&event, 1).await.status, 200);
                }
                world.assert_archived(&recording);
                assert_eq!(
                    world.count("UploadPart"),
                    3,
                    "{code} {times:?}: nothing is put twice"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_conflict_on_complete_is_tried_again_and_destroys_nothing() {
    let conflict = || Fault::refuse(409, "ConditionalRequestConflict");
    let (world, recording) = one(3, setup()).await;
    let event = recording.event(&world);
    inject(&world, COMPLETE, &conflict(), Times::Once);
    assert_eq!(world.deliver(&event).await.status, 200);
    world.assert_archived(&recording);
    assert_eq!(world.count("CreateMultipartUpload"), 1);

    // While the conflict lasts, there is one more upload, and the first stays.
    for source_is_gone in [false, true] {
        let mut patient = setup();
        patient.limits.upload_pause = Duration::from_hours(1);
        let (world, recording) = one(3, patient).await;
        let event = recording.event(&world);
        inject(&world, COMPLETE, &conflict(), Times::Always);
        assert_eq!(world.deliver(&event).await.status, 503);
        assert_eq!(world.count("CreateMultipartUpload"), 2);
        assert_eq!(world.s3.uploads().len(), 2, "nothing is aborted");
        assert_eq!(tick(&world).await, Some(0));
        assert_eq!(
            world.count("CreateMultipartUpload"),
            2,
            "no third upload at once"
        );
        assert_eq!(world.count("AbortMultipartUpload"), 0);
        world.s3.heal();
        world.acs.clear_requests();
        if source_is_gone {
            world.acs.remove(&recording.chunks[0].document_id);
        }
        assert_eq!(world.deliver_again(&event, 1).await.status, 200);
        let media = |request: &acs::Request| request.kind == Kind::Media;
        assert!(!world.acs.requests().iter().any(media));
        world.assert_archived(&recording);
    }
}

#[tokio::test]
async fn parts_are_listed_again_after_an_invalid_part() {
    for set_up in [setup, opaque, without_part_checksums] {
        for times in [Times::Once, Times::Always] {
            let (world, recording) = one(3, set_up()).await;
            let event = recording.event(&world);
            let hits = inject(&world, COMPLETE, &Fault::refuse(400, "InvalidPart"), times);
            let status = world.deliver(&event).await.status;
            world.s3.heal();
            let (expected, tries) = if times == Times::Once {
                (200, 2)
            } else {
                (503, 5)
            };
            assert_eq!(
                (status.code(), hits.load(Ordering::Relaxed)),
                (expected, tries),
                "{times:?}"
            );
            assert_eq!(world.count("ListParts"), tries, "{times:?}");
            if status == 503 {
                assert_eq!(world.deliver_again(&event, 1).await.status, 200);
            }
            world.assert_archived(&recording);
            assert_eq!(world.count("UploadPart"), 3, "nothing is put twice");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_part_that_is_replaced_between_listing_and_complete_is_listed_again() {
    let (world, recording) = one(3, opaque()).await;
    let client = aws_sdk_s3::Client::from_conf(
        aws_sdk_s3::config::Builder::from(&harness::embedded::sdk(&world.s3).await)
            .force_path_style(true)
            .build(),
    );
    let bytes = recording.chunks[0].media.bytes(PART..2 * PART);
    let listed = Arc::new(AtomicUsize::new(0));
    let before = Arc::clone(&listed);
    let s3 = world.s3.clone();
    at_first(&world, COMPLETE, move |call| {
        let part = client
            .upload_part()
            .bucket(s3.bucket())
            .set_key(call.key.clone())
            .set_upload_id(call.upload_id.clone())
            .part_number(2)
            .checksum_algorithm(aws_sdk_s3::types::ChecksumAlgorithm::Crc64Nvme)
            .body(bytes.clone().into());
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current()
                .block_on(async { part.send().await.map(drop).unwrap() });
        });
        before.store(s3.calls().len(), Ordering::Relaxed);
    });
    let status = world.deliver(&recording.event(&world)).await.status;
    world.s3.heal();
    assert_eq!(status, 200);
    world.assert_archived(&recording);
    assert_eq!(world.count("CompleteMultipartUpload"), 2);
    let after = world.s3.calls().split_off(listed.load(Ordering::Relaxed));
    assert!(
        after.iter().any(|call| call.operation == "ListParts"),
        "listed again"
    );
    assert_eq!(world.count("CreateMultipartUpload"), 1);
}

/// The object that another delivery of the same event would make.
fn ours(recording: &Recording) -> Object {
    let chunk = &recording.chunks[0];
    let mut object = Object::new(chunk.media.bytes(0..chunk.media.length()));
    object.version_id = "of-another-delivery".into();
    object.content_type = Some("video/mp4".into());
    let length = chunk.media.length().to_string();
    object.metadata = [
        ("document-id", chunk.document_id.clone()),
        ("location", recording.media_location(chunk)),
        ("source-length", length),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    object
}

#[tokio::test]
async fn an_object_that_another_delivery_made_meanwhile_is_accepted() {
    // S3 refuses Complete with 412, fails with 503, or breaks off its answer.
    for answer in [None, Some(SLOW_DOWN), Some(Fault::CutBody { after: 0 })] {
        for (target, parts) in [
            (COMPLETE, 3),
            (("UploadPart", ".mp4"), 3),
            (("CreateMultipartUpload", ".mp4"), 3),
            (("PutObject", ".upload.json"), 3),
            (("PutObject", ".mp4"), 1),
        ] {
            let what = format!("{answer:?} at {target:?}");
            let (world, recording) = one(parts, setup()).await;
            let (key, object) = (recording.media_key(&recording.chunks[0]), ours(&recording));
            let unanswered = matches!(answer, Some(Fault::CutBody { .. }));
            let (s3, answer) = (world.s3.clone(), answer.clone());
            let (put, theirs) = (AtomicBool::new(false), object.clone());
            world.s3.inject(move |call| {
                if !fits(call, target) {
                    return None;
                }
                if !put.swap(true, Ordering::Relaxed) {
                    s3.put_object(&key, theirs.clone());
                }
                answer.clone()
            });
            let response = world.deliver(&recording.event(&world)).await;
            world.s3.heal();
            assert_eq!(response.status.code(), 200, "{what}: {response:?}");
            let there = world.s3.object(&recording.media_key(&recording.chunks[0]));
            assert_eq!(there, Some(object), "{what}: the object was replaced");
            // S3 may hold the record, so its upload is not aborted: the lifecycle rule does it.
            if unanswered && target == ("PutObject", ".upload.json") {
                world.s3.abort(&world.s3.uploads()[0].upload_id);
            }
            assert!(world.s3.uploads().is_empty(), "{what}: an upload is left");
            world.assert_archived(&recording);
        }
    }
}

#[tokio::test]
async fn a_foreign_object_is_never_overwritten_nor_accepted() {
    type Change = fn(&mut Object);
    let changes: [(&str, Change); 3] = [
        ("no metadata", |object| object.metadata.clear()),
        ("another document", |object| {
            let id = "0-eus-of-another".to_owned();
            object.metadata.insert("document-id".to_owned(), id);
        }),
        ("another location", |object| {
            let location = "0123456789abcdef".to_owned();
            object.metadata.insert("location".to_owned(), location);
        }),
    ];
    for (what, change) in changes {
        for (target, parts) in [
            (COMPLETE, 3),
            (("UploadPart", ".mp4"), 3),
            (("HeadObject", ".mp4"), 3),
            (("PutObject", ".upload.json"), 3),
            (("PutObject", ".mp4"), 1),
        ] {
            let (world, recording) = one(parts, setup()).await;
            let key = recording.media_key(&recording.chunks[0]);
            let mut foreign = ours(&recording);
            change(&mut foreign);
            let (s3, there, at) = (world.s3.clone(), foreign.clone(), key.clone());
            at_first(&world, target, move |_| s3.put_object(&at, there.clone()));
            let response = world.deliver(&recording.event(&world)).await;
            world.s3.heal();
            let what = format!("{what} at {target:?}: {response:?}");
            assert_eq!(
                (response.status.code(), response.outcome()),
                (200, "setAside"),
                "{what}"
            );
            assert_eq!(world.s3.object(&key), Some(foreign), "{what}");
            let event = |key: &String| key.ends_with("/event.json");
            assert!(!world.keys().iter().any(event), "{what}");
            let rejection = world.json(&recording.rejection_key());
            // An upload with parts is kept, and the rejection names it.
            let named = &rejection["chunks"][0]["media"]["upload"]["uploadId"];
            for upload in world.s3.uploads() {
                let named = upload.parts.is_empty() || *named == upload.upload_id;
                assert!(named, "{what}");
            }
            assert_eq!(
                rejection["chunks"][0]["media"]["outcome"], "rejected",
                "{what}"
            );
            assert_eq!(
                rejection["chunks"][0]["metadata"]["outcome"], "archived",
                "{what}"
            );
            assert!(
                world.s3.object(&recording.manifest_key()).is_none(),
                "{what}"
            );
        }
    }
}

#[tokio::test]
async fn a_foreign_metadata_object_is_never_overwritten() {
    let (world, recording) = one(2, setup()).await;
    let key = recording.metadata_key(&recording.chunks[0]);
    world.s3.put(&key, "a stranger's");
    let response = world.deliver(&recording.event(&world)).await;
    response.assert_outcome(200, "setAside");
    assert_eq!(world.s3.object(&key).unwrap().body, "a stranger's");
    assert!(
        world
            .s3
            .object(&recording.media_key(&recording.chunks[0]))
            .is_some()
    );
}

#[tokio::test]
async fn a_foreign_upload_of_the_same_key_is_never_touched() {
    let (world, recording) = one(4, setup()).await;
    let foreign = world.s3.begin(&recording.media_key(&recording.chunks[0]));
    inject(&world, COMPLETE, &SLOW_DOWN, Times::Always);
    let event = recording.event(&world);
    assert_eq!(world.deliver(&event).await.status, 503);
    world.s3.heal();
    assert_eq!(world.deliver_again(&event, 1).await.status, 200);
    let touched = |call: &Call| call.upload_id.as_ref() == Some(&foreign);
    assert!(!world.s3.calls().iter().any(touched));
    let [left] = &*world.s3.uploads() else {
        panic!("{:?} are not the foreign upload alone", world.s3.uploads())
    };
    assert_eq!((&left.upload_id, left.parts.len()), (&foreign, 0));
    world.s3.abort(&foreign);
    world.assert_archived(&recording);
}

#[tokio::test]
async fn an_upload_may_vanish_at_any_moment() {
    for (target, place) in [
        (("PutObject", ".upload.json"), 0),
        (("UploadPart", ".mp4"), 0),
        (("UploadPart", ".mp4"), 1),
        (("UploadPart", ".mp4"), 3),
        (("ListParts", ".mp4"), 0),
        (COMPLETE, 0),
        (("UploadPart", ".mp4"), 5),
        (COMPLETE, 1),
    ] {
        let (world, recording) = one(4, setup()).await;
        let (s3, seen) = (world.s3.clone(), AtomicUsize::new(0));
        world.s3.inject(move |call| {
            if fits(call, target) && seen.fetch_add(1, Ordering::Relaxed) == place {
                for upload in s3.uploads() {
                    s3.abort(&upload.upload_id);
                }
            }
            None
        });
        let response = world.deliver(&recording.event(&world)).await;
        world.s3.heal();
        assert_eq!(
            response.status.code(),
            200,
            "{target:?} {place}: {response:?}"
        );
        world.assert_archived(&recording);
    }
}

#[tokio::test]
async fn uploads_that_always_vanish_end_the_run() {
    let (world, recording) = one(3, setup()).await;
    let s3 = world.s3.clone();
    world.s3.inject(move |call| {
        if fits(call, COMPLETE) {
            s3.abort(call.upload_id.as_deref().unwrap());
        }
        None
    });
    let event = recording.event(&world);
    assert_eq!(world.deliver(&event).await.status, 503);
    assert_eq!(
        world.count("CreateMultipartUpload"),
        4,
        "the uploads of a run are bounded"
    );
    world.s3.heal();
    world.assert_archived_by_retry(&recording).await;
}

const CONFLICT: Fault = Fault::refuse(409, "ConditionalRequestConflict");

#[tokio::test]
async fn a_conflict_on_a_small_object_is_retried() {
    let mut cases = Vec::new();
    for end in [
        "event.json",
        ".upload.json",
        ".mp4",
        ".metadata.json",
        ".manifest.json",
    ] {
        for times in [Times::Once, Times::Always] {
            cases.push((("PutObject", end), CONFLICT, times));
        }
    }
    let faults = all(cases, setup).await;
    println!("{faults} faults injected");
    assert!(faults >= 10, "{faults} faults");
}

#[tokio::test]
async fn a_conflict_never_counts_as_stored() {
    // After a 202 only the bucket holds the event.
    let mut stored = setup();
    stored.variables.push(("ACKNOWLEDGE", "stored".into()));
    let (world, recording) = one(2, stored).await;
    world.acs.inject(|_| Some(acs::Fault::answer(503, "later")));
    inject(
        &world,
        ("PutObject", "event.json"),
        &CONFLICT,
        Times::Always,
    );
    let response = world.deliver(&recording.event(&world)).await;
    let is_there = world.s3.object(&recording.event_key()).is_some();
    assert!(
        is_there || response.status == 503,
        "acknowledged and lost: {response:?}"
    );
}

#[tokio::test]
async fn a_conflict_never_counts_as_set_aside() {
    let nonsense =
        json!([{"eventType": "Microsoft.Communication.RecordingFileStatusUpdated", "data": 7}]);
    for times in [Times::Once, Times::Always] {
        let world = World::start().await;
        let hits = inject(&world, ("PutObject", ".json"), &CONFLICT, times);
        let response = world.deliver(&nonsense).await;
        assert!(hits.load(Ordering::Relaxed) > 0);
        let kept = world.keys().len() == 1;
        assert!(
            kept || response.status == 503,
            "{times:?}: acknowledged and lost: {response:?}"
        );
        // The rejection of a recording whose key is taken.
        let (world, recording) = one(1, setup()).await;
        world
            .s3
            .put(&recording.media_key(&recording.chunks[0]), "a stranger's");
        inject(&world, ("PutObject", ".rejected.json"), &CONFLICT, times);
        let response = world.deliver(&recording.event(&world)).await;
        let kept = world.s3.object(&recording.rejection_key()).is_some();
        assert!(
            kept || response.status == 503,
            "{times:?}: acknowledged and lost: {response:?}"
        );
    }
}

#[tokio::test]
async fn a_manifest_that_hangs_does_not_delay_the_answer() {
    let mut patient = setup();
    patient.limits.store_call = Duration::from_mins(5);
    patient.limits.unknown_deadline = Duration::from_millis(1_500);
    patient.limits.margin = Duration::from_millis(500);
    let (world, recording) = one(1, patient).await;
    let event = recording.event(&world);
    let hang = Fault::Hang(Duration::from_mins(10));
    inject(
        &world,
        ("PutObject", ".manifest.json"),
        &hang,
        Times::Always,
    );
    let answer = tokio::time::timeout(Duration::from_secs(5), world.deliver(&event)).await;
    assert_eq!(answer.expect("an answer by the deadline").status, 503);
    world.s3.heal();
    world.assert_archived_by_retry(&recording).await;
}

#[tokio::test]
async fn thousands_of_parts_are_listed_page_by_page() {
    const SMALL: u64 = 64;
    const PARTS: u64 = 2_002;
    let mut small = opaque();
    small.s3.page_size = 1000;
    small.s3.min_part_size = 1;
    small.limits.part_size = SMALL;
    let world = World::with(small).await;
    let recording = Recording::of(&[PARTS * SMALL - 1]);
    recording.publish(&world);
    let event = recording.event(&world);
    inject(
        &world,
        COMPLETE,
        &Fault::refuse(403, "AccessDenied"),
        Times::Always,
    );
    assert_eq!(world.deliver(&event).await.status, 503);
    world.s3.heal();
    assert_eq!(world.s3.uploads()[0].parts.len() as u64, PARTS);
    world.s3.clear_calls();
    world.assert_archived_by_retry(&recording).await;
    assert_eq!(world.count("UploadPart"), 0, "each listed part is kept");
    assert_eq!(
        world.count("ListParts"),
        2 * 3,
        "three pages before and three after"
    );
}

#[tokio::test]
async fn thousands_of_pending_events_are_listed_page_by_page() {
    const EVENTS: usize = 3_500;
    let mut short = setup();
    short.s3.page_size = 1000;
    let world = World::with(short).await;
    for number in 0..EVENTS {
        let key = format!(
            "recordings/pending/20261123T152034.{number:07}Z-{number}-0123456789abcdef/event.json"
        );
        world.s3.put(&key, "not JSON");
    }
    let swept = world.tick_when_due().await;
    assert_eq!(swept.pending, EVENTS);
    // A tick remembers a page of 1,000 events, and lists again after them.
    assert_eq!(world.count("ListObjectsV2"), 4 + 3 + 2 + 1);
    let left = world.pending_keys().len();
    assert_eq!((left, swept.finished), (0, EVENTS));
}

#[tokio::test]
async fn the_list_of_calls_is_complete() {
    let (world, recording) = world(setup()).await;
    let event = recording.event(&world);
    assert_eq!(world.deliver(&event).await.status, 200);
    assert_eq!(world.deliver_again(&event, 1).await.status, 200);
    let pending = recording.event_key();
    world.s3.put(&pending, event.to_string());
    assert_eq!(tick(&world).await, Some(1));
    for call in world.s3.calls() {
        let known = CALLS
            .iter()
            .any(|(operation, _)| *operation == call.operation);
        assert!(known, "{} {:?}", call.operation, call.key);
    }
    for target in CALLS {
        assert!(
            world.s3.calls().iter().any(|call| fits(call, target)),
            "{target:?}"
        );
    }
}

/// The failure in a recording's `attempt.json`.
fn failure(world: &World, recording: &Recording) -> String {
    let key = recording.attempt_key();
    let attempt = world.json(&key);
    attempt["failure"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_failure_names_its_operation_status_and_code() {
    let unread = |status| Fault::Answer {
        status,
        body: "<html>no S3</html>",
    };
    for (target, fault, expected) in [
        (
            ("HeadObject", ".mp4"),
            Fault::refuse(403, "AccessDenied"),
            "S3 answered HeadObject with 403, no reason given",
        ),
        (
            ("ListParts", ".mp4"),
            unread(200),
            "S3 answered ListParts with 200, the answer cannot be read",
        ),
        (
            ("UploadPart", ".mp4"),
            unread(413),
            "S3 answered UploadPart with 413, the answer cannot be read",
        ),
        (
            ("CreateMultipartUpload", ".mp4"),
            Fault::refuse(403, "AccessDenied"),
            "S3 answered CreateMultipartUpload with 403 AccessDenied: injected by the test",
        ),
    ] {
        let (world, recording) = one(3, setup()).await;
        world
            .s3
            .put(&recording.event_key(), recording.event(&world).to_string());
        inject(&world, target, &fault, Times::Always);
        tick(&world).await;
        let failure = failure(&world, &recording);
        assert!(failure.ends_with(expected), "{failure}");
    }
}
