//! The check of archived media: its result in the manifest, and its failures, which stop nothing.

use std::time::Duration;

use emulators::media::{Format, Media};
use emulators::s3::{Call, Fault};
use serde_json::{Value, json};
use tokio::time::Instant;

use harness::world::{Recording, World, setup};

/// A file of `tests/media`.
fn file(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/media/");
    std::fs::read(format!("{folder}{name}")).unwrap()
}

/// A recording with a chunk for each of these files.
fn recording(files: &[Vec<u8>]) -> Recording {
    let mut recording = Recording::of(&vec![0; files.len()]);
    for (chunk, bytes) in recording.chunks.iter_mut().zip(files) {
        chunk.media = Media::file(Format::Mp4, bytes.clone());
    }
    recording
}

/// Archives a recording whose event has this duration, and reads its manifest.
async fn archive(world: &World, recording: &Recording, duration: Value) -> Value {
    recording.publish(world);
    let mut event = recording.event(world);
    event["data"]["recordingDurationMs"] = duration;
    assert_eq!(world.deliver(&event).await.status, 200);
    world.assert_archived(recording);
    manifest(world, recording)
}

fn manifest(world: &World, recording: &Recording) -> Value {
    world.json(&recording.manifest_key())
}

/// Returns `true` for a read of a range of media.
fn is_read(call: &Call) -> bool {
    call.operation == "GetObject" && call.headers.contains_key("range")
}

#[tokio::test]
async fn the_manifest_describes_the_media() {
    let world = World::start().await;
    let recording = recording(&[file("last.mp4"), file("mfra.mp4")]);
    let manifest = archive(&world, &recording, json!(5000)).await;
    let tracks = json!([{"kind": "video", "codec": "avc1"}, {"kind": "audio", "codec": "mp4a"}]);
    for (place, name, duration) in [(0, "last.mp4", 2000), (1, "mfra.mp4", 2200)] {
        let length = file(name).len();
        assert_eq!(
            manifest["chunks"][place]["check"],
            json!({
                "verdict": "complete",
                "container": "mp4",
                "tracks": tracks,
                "durationMs": duration,
                "reason": format!("boxes end at the last byte, {length}"),
            })
        );
    }
    assert_eq!(
        manifest["check"],
        json!({
            "durationMs": 4200,
            "recordingDurationMs": 5000,
            "differenceMs": -800,
            "doubts": [],
        })
    );
    let calls = world.s3.calls();
    let reads: Vec<_> = calls.iter().filter(|call| is_read(call)).collect();
    assert_eq!(reads.len(), 2, "one read each");
    for read in reads {
        // The condition makes S3 read the object that the manifest names.
        assert!(read.headers.contains_key("if-match"));
    }
}

#[tokio::test]
async fn doubtful_media_is_archived_with_the_reason_in_the_manifest() {
    let world = World::start().await;
    let mut cut = file("faststart.mp4");
    cut.truncate(cut.len() - 100);
    let html = b"<!DOCTYPE html><html><body>Sign in</body></html>".to_vec();
    let recording = recording(&[file("pcm.wav"), cut, html]);
    let manifest = archive(&world, &recording, json!(null)).await;
    let verdicts = [0, 1, 2].map(|place| manifest["chunks"][place]["check"]["verdict"].clone());
    assert_eq!(verdicts, ["complete", "truncated", "unreadable"]);
    let said = manifest["chunks"][0]["check"]["reason"].as_str().unwrap();
    assert!(said.ends_with("the key says mp4, but it is wav"), "{said}");
    let doubts = manifest["check"]["doubts"].as_array().unwrap();
    let doubts: Vec<_> = doubts.iter().map(|doubt| doubt.as_str().unwrap()).collect();
    assert_eq!(doubts.len(), 2, "{doubts:?}");
    assert!(
        doubts[0].starts_with("chunk 1 is truncated: `mdat` box"),
        "{doubts:?}"
    );
    assert!(
        doubts[1].starts_with("chunk 2 is unreadable: "),
        "{doubts:?}"
    );
}

#[tokio::test]
async fn a_missing_half_is_doubtful() {
    let world = World::start().await;
    let recording = recording(&[file("last.mp4")]);
    let manifest = archive(&world, &recording, json!("60000")).await;
    assert_eq!(manifest["check"]["differenceMs"], -58_000);
    assert_eq!(
        manifest["check"]["doubts"],
        json!(["chunks last for 2000 ms, less than half of the recording's 60000 ms"])
    );
}

/// If the media cannot be read, the recording is archived with an unknown verdict.
#[tokio::test]
async fn a_check_that_fails_does_not_stop_the_archiving() {
    for (fault, said) in [
        (
            Fault::refuse(403, "AccessDenied"),
            "S3 answered GetObject with 403 AccessDenied",
        ),
        (
            Fault::refuse(503, "SlowDown"),
            "S3 answered GetObject with 503 SlowDown",
        ),
        (
            Fault::refuse(412, "PreconditionFailed"),
            "S3 answered GetObject with 412",
        ),
        (Fault::LoseAnswer, "GetObject got no answer from S3"),
        (
            Fault::Hang(Duration::from_mins(1)),
            "examination took longer than 0.3 s",
        ),
    ] {
        let mut hasty = setup();
        hasty.limits.media_check = Duration::from_millis(300);
        let world = World::with(hasty).await;
        let failing = fault.clone();
        world
            .s3
            .inject(move |call| is_read(call).then(|| failing.clone()));
        let recording = recording(&[file("last.mp4"), file("audio.mp4")]);
        let manifest = archive(&world, &recording, json!(4000)).await;
        for place in [0, 1] {
            let check = &manifest["chunks"][place]["check"];
            assert_eq!(check["verdict"], "unknown", "{fault:?}");
            let reason = check["reason"].as_str().unwrap();
            assert!(reason.contains(said), "{reason}");
            assert_eq!(check["durationMs"], json!(null));
        }
        assert_eq!(manifest["check"]["doubts"], json!([]), "{fault:?}");
        assert_eq!(manifest["check"]["durationMs"], json!(null));
    }
}

/// After an interrupted run, the next run checks the media again and writes the manifest.
#[tokio::test]
async fn media_that_an_earlier_run_archived_is_checked() {
    let world = World::start().await;
    let recording = recording(&[file("last.mp4"), file("audio.mp4")]);
    recording.publish(&world);
    let event = recording.event(&world);
    let missing = recording.chunks[1].document_id.clone();
    world.acs.remove(&missing);
    assert_eq!(world.deliver(&event).await.status, 503);
    let calls = world.s3.calls();
    assert!(
        !calls.iter().any(is_read),
        "media was read before the manifest could be written"
    );
    recording.publish(&world);
    assert_eq!(world.deliver_again(&event, 1).await.status, 200);
    let manifest = manifest(&world, &recording);
    for place in [0, 1] {
        assert_eq!(manifest["chunks"][place]["check"]["verdict"], "complete");
    }
}

/// A check that stalls ends with the run.
#[tokio::test]
async fn a_check_does_not_outlast_the_run() {
    let mut slow = setup();
    slow.limits.media_check = Duration::from_mins(10);
    slow.limits.unknown_deadline = Duration::from_secs(4);
    let world = World::with(slow).await;
    world
        .s3
        .inject(|call| is_read(call).then_some(Fault::Hang(Duration::from_mins(10))));
    let recording = recording(&[file("last.mp4")]);
    recording.publish(&world);
    let started = Instant::now();
    assert_eq!(world.deliver(&recording.event(&world)).await.status, 200);
    assert!(started.elapsed() < Duration::from_mins(1));
    let check = &manifest(&world, &recording)["chunks"][0]["check"];
    assert_eq!(
        (&check["verdict"], &check["reason"]),
        (&json!("unknown"), &json!("out of time"))
    );
}
