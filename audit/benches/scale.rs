//! `cargo bench -p acs-recording-audit --bench scale`: time, calls and memory of the audit over
//! archives of 1,000, 10,000 and 100,000 recordings.
//!
//! The built audit runs in a process of its own, against the emulator of S3 in this one. Everything
//! is on loopback, and the benchmark ends by itself.

#![allow(clippy::expect_used, reason = "a benchmark that cannot go on fails")]
#![allow(
    clippy::disallowed_methods,
    reason = "a benchmark reads the environment and the clock"
)]

use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime};

use acs_recording_archiver::event_grid;
use acs_recording_archiver::keys::{Pending, Prefix};
use acs_recording_archiver::recording::Timestamp;
use acs_recording_audit::layout;
use acs_recording_audit::recordings::iso;
use emulators::s3::{Object, S3, Settings};
use harness::measure;
use serde_json::{Value, json};
use tokio::process::Command;

const SIZES: [u32; 3] = [1_000, 10_000, 100_000];
/// The runs of the audit.
const TASKS: [(&str, &[&str]); 3] = [
    ("table", &["--format", "table"]),
    ("html", &["--format", "html"]),
    ("find", &["--call", "call-7"]),
];
const LOOK: Duration = Duration::from_millis(20);

#[tokio::main]
async fn main() {
    // Arguments replace the sizes.
    let given: Vec<u32> = std::env::args()
        .filter_map(|size| size.parse().ok())
        .collect();
    let sizes = if given.is_empty() { &SIZES[..] } else { &given };
    println!("| recordings | task | seconds | calls | calls a recording | peak MiB |");
    println!("|---:|---|---:|---:|---:|---:|");
    for size in sizes {
        let s3 = S3::start(Settings::default()).await;
        for number in 0..*size {
            archive(&s3, number);
        }
        for (task, arguments) in TASKS {
            run(&s3, *size, task, arguments).await;
        }
    }
}

/// Runs the audit, and prints what it used.
async fn run(s3: &S3, size: u32, task: &str, arguments: &[&str]) {
    s3.clear_calls();
    let begun = Instant::now();
    let mut command = Command::new(env!("CARGO_BIN_EXE_audit"));
    if task == "find" {
        command.arg("find");
    }
    let mut child = command
        .args(["--bucket", s3.bucket(), "--force-path-style"])
        .args(arguments)
        .env("AWS_ACCESS_KEY_ID", s3.access_key_id())
        .env("AWS_SECRET_ACCESS_KEY", s3.secret_access_key())
        .env("AWS_REGION", "eu-central-1")
        .env("AWS_ENDPOINT_URL_S3", s3.endpoint())
        .env_remove("AWS_PROFILE")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the audit can be started");
    let pid = child.id().expect("it runs");
    let mut peak = 0;
    let status = loop {
        tokio::select! {
            status = child.wait() => break status.expect("it ends"),
            () = tokio::time::sleep(LOOK) => peak = peak.max(measure::peak(pid)),
        }
    };
    assert!(status.success(), "{task}: {status}");
    let seconds = begun.elapsed().as_secs_f64();
    let calls = u32::try_from(s3.calls().len()).expect("calls can be counted");
    let each = f64::from(calls) / f64::from(size);
    println!(
        "| {size} | {task} | {seconds:.1} | {calls} | {each:.2} | {} |",
        peak / 1024
    );
}

/// Puts a recording as the function archives it. The recordings are spread over a hundred days.
fn archive(s3: &S3, number: u32) {
    let age = Duration::from_secs(u64::from(number % 100) * 86_400 + u64::from(number) % 80_000);
    let started = iso(Timestamp::from(SystemTime::now() - age));
    let document = format!("0-eus-d0-{number:032x}");
    let place = format!("https://eus-prod.asm.skype.com/v1/objects/{document}/content");
    let event = json!({
        "id": format!("event-{number}"), "topic": "/t", "eventTime": started,
        "eventType": "Microsoft.Communication.RecordingFileStatusUpdated",
        "subject": format!("/recording/call/call-{number}/serverCallId/s/recordingId/recording-{number}"),
        "data": {"recordingStartTime": started, "recordingDurationMs": 600_000, "recordingFormatType": "Mp4",
            "recordingStorageInfo": {"recordingChunks": [{"documentId": document, "index": 0,
                "contentLocation": format!("{place}/video"), "metadataLocation": format!("{place}/acsmetadata")}]}},
    });
    let prefix = Prefix::new("recordings/").expect("a prefix");
    let layout = layout(prefix, Pending::UnderPrefix).expect("a layout");
    let recording = event_grid::recording(event.to_string().as_bytes()).expect("an event");
    let keys = layout.keys(&recording);
    let chunk = recording.chunks.first().expect("a chunk");
    let stored = |key: &str, location: &str, body: String| {
        let mut object = Object::new(body);
        let own = [("document-id", &*document), ("location", location)];
        object.metadata = own
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        s3.put_object(key, object.clone());
        let etag = object.etag.trim_matches('"');
        json!({"key": key, "size": object.size, "etag": etag, "versionId": Value::Null,
            "crc64nvme": object.crc64nvme, "contentType": Value::Null})
    };
    let media = stored(
        keys.media(chunk).as_str(),
        &keys.media_location(chunk),
        format!("media {number}"),
    );
    let metadata = stored(
        keys.metadata(chunk).as_str(),
        &keys.metadata_location(chunk),
        "{}".to_owned(),
    );
    let manifest = json!({"version": 1, "event": event, "chunks": [
        {"index": 0, "documentId": document, "media": media, "metadata": metadata},
    ]});
    s3.put(keys.manifest().as_str(), manifest.to_string());
}
