//! The built binary, as Lambda runs it, between the emulators under the names of the real services.

mod lambda;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::time::{Duration, SystemTime};

use acs_recording_archiver::VERSION;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use emulators::acs::{Document, Fault, Kind, Request};
use emulators::media::{Format, Media};
use emulators::runtime::RuntimeApi;
use emulators::s3;
use emulators::secrets_manager::{self, SecretsManager};
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

use harness::contract::{self, Keys};
use harness::embedded::{RESOURCE, SECRET, delivery, payload};
use harness::world::{PREFIX, Recording, World, named};

use lambda::{EVENTS, MIB, bare, response};
pub use lambda::{Lambda, PART, PATIENCE, Process, log_lines};

/// Waits until `so` returns `true`.
async fn until(what: &str, so: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !so() {
        assert!(Instant::now() < end, "waited in vain until {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

/// The expected result of a file of `events/`.
#[derive(Clone, Copy)]
enum Expected {
    /// The handshake of `CloudEvents`.
    Allowed,
    /// The handshake of Event Grid, with this code.
    Validated(&'static str),
    /// Archived recordings, with chunks of these lengths in the order of the file.
    Archived(&'static [u64]),
    /// A rejection with this text in its reason.
    SetAside(&'static str),
    /// Nothing.
    Ignored,
    Refused,
    Tick,
}

/// The expected result of each file.
const EXPECTED: [(&str, Expected); 18] = [
    ("acs-storage.json", Expected::Archived(&[4_321])),
    (
        "customer-storage-failed.json",
        Expected::Archived(&[98_765]),
    ),
    ("customer-storage.json", Expected::Ignored),
    ("dead-lettered.json", Expected::Archived(&[70_001])),
    (
        "foreign-host.json",
        Expected::SetAside("not on a media host"),
    ),
    ("options.json", Expected::Allowed),
    ("recording-2021.json", Expected::Archived(&[123_456])),
    (
        "recording-cloudevents-batch.json",
        Expected::Archived(&[1, 65_536, 2]),
    ),
    ("recording-cloudevents.json", Expected::Archived(&[300_000])),
    (
        "recording-current.json",
        Expected::Archived(&[2 * PART + PART / 2]),
    ),
    (
        "recording-three-chunks.json",
        Expected::Archived(&[50_000, 1, 1_000_003]),
    ),
    ("refused-secret.json", Expected::Refused),
    ("schedule-rule.json", Expected::Tick),
    ("schedule-scheduler.json", Expected::Tick),
    ("subscription-deletion.json", Expected::Ignored),
    (
        "unknown-storage.json",
        Expected::SetAside("not on a media host"),
    ),
    ("unknown-type.json", Expected::Ignored),
    (
        "validation.json",
        Expected::Validated("0214d9ca-2cb7-4f35-aa03-50ad0a8e34b4"),
    ),
];

#[tokio::test]
async fn every_sample_payload_has_its_expected_answer() {
    let files: BTreeSet<String> = fs::read_dir(EVENTS)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let expected: BTreeSet<String> = EXPECTED.map(|(file, _)| file.to_owned()).into();
    assert_eq!(files, expected, "each file has its expectation");

    let lambda = Lambda::start().await;
    // One process for all, like a warm instance of Lambda.
    let _process = lambda.run(&[]);
    for (file, expected) in EXPECTED {
        let payload = fs::read(format!("{EVENTS}/{file}")).unwrap();
        lambda.clear();
        check(&lambda, file, &payload, expected).await;
        assert!(lambda.world.s3.uploads().is_empty(), "{file}");
    }

    let asked: BTreeSet<String> = lambda.proxy.asked().into_iter().collect();
    let known = [RESOURCE, lambda.world.acs.media_host()].map(|host| format!("{host}:443"));
    assert_eq!(asked, known.into(), "another host was called");
}

async fn check(lambda: &Lambda, file: &str, payload: &[u8], expected: Expected) {
    let world = &lambda.world;
    if let Expected::Archived(lengths) = expected {
        publish(world, payload, lengths);
    }
    let answer = lambda.invoke(payload, PATIENCE).await;
    if let Expected::Tick = expected {
        let nothing = json!({"pending": 0, "taken": 0, "finished": 0, "oldestSeconds": 0});
        assert_eq!(answer, nothing, "{file}");
        assert!(world.keys().is_empty(), "{file}");
        return;
    }
    let answer = response(&answer);
    let status = if let Expected::Refused = expected {
        401
    } else {
        200
    };
    assert_eq!(answer.status, status, "{file}: {answer:?}");
    let outcomes = |expected: &str| {
        let events = answer.body["events"].as_array().unwrap();
        let outcomes: Vec<_> = events.iter().map(|event| &event["outcome"]).collect();
        assert_eq!(outcomes, vec![expected; events_of(payload).len()], "{file}");
    };
    match expected {
        Expected::Allowed => {
            assert_eq!(
                answer.headers["webhook-allowed-origin"],
                "eventgrid.azure.net"
            );
            assert_eq!(answer.headers["webhook-allowed-rate"], "120");
            assert_eq!(answer.headers["allow"], "POST, OPTIONS");
        }
        Expected::Validated(code) => {
            assert_eq!(answer.body, json!({"validationResponse": code}));
        }
        Expected::Archived(_) => {
            outcomes("archived");
            assert_archived(world, payload);
            let before = world.keys();
            lambda.forget();

            let again = response(&lambda.invoke(payload, PATIENCE).await);
            assert_eq!(again.status, 200, "{file}");
            for event in again.body["events"].as_array().unwrap() {
                assert_eq!(event["outcome"], "alreadyArchived", "{file}");
            }
            assert!(world.acs.requests().is_empty(), "{file}");
            assert_eq!(world.keys(), before, "{file}");
            return;
        }
        Expected::SetAside(reason) => {
            outcomes("setAside");
            let [event] = &events_of(payload)[..] else {
                panic!("{file} has one event")
            };
            let Keys {
                folder, event: id, ..
            } = contract::keys(event);
            let key = format!("{PREFIX}{folder}/{id}.rejected.json");
            assert_eq!(world.keys(), [key.as_str()]);
            let rejection = world.json(&key);
            assert_eq!(rejection["event"], *event);
            for object in ["media", "metadata"] {
                let given = rejection["chunks"][0][object]["reason"].as_str().unwrap();
                assert!(given.contains(reason), "{given}");
            }
        }
        Expected::Ignored => {
            outcomes("ignored");
        }
        Expected::Refused => assert_eq!(answer.body.get("events"), None),
        Expected::Tick => unreachable!("it has no status"),
    }
    assert!(world.acs.requests().is_empty(), "{file}");
    if !matches!(expected, Expected::SetAside(_)) {
        assert!(world.s3.calls().is_empty(), "{file}");
    }
}

/// The events of a payload, in order.
fn events_of(payload: &[u8]) -> Vec<Value> {
    let payload: Value = serde_json::from_slice(payload).unwrap();
    let mut body = payload["body"].as_str().unwrap().as_bytes().to_vec();
    if payload["isBase64Encoded"] == true {
        body = BASE64_STANDARD.decode(body).unwrap();
    }
    match serde_json::from_slice(&body).unwrap() {
        Value::Array(events) => events,
        event => vec![event],
    }
}

fn chunks_of(event: &Value) -> &Vec<Value> {
    let chunks = &event["data"]["recordingStorageInfo"]["recordingChunks"];
    chunks.as_array().unwrap()
}

fn metadata_of(id: &str) -> String {
    format!("{{\"resourceId\": \"{id}\"}}\r\n")
}

/// The media of a chunk, with a length of its own.
fn media_of(event: &Value, id: &str, length: u64) -> Media {
    let format = match event["data"]["recordingFormatType"].as_str() {
        Some("Wav") => Format::Wav,
        Some("Mp3") => Format::Mp3,
        _ => Format::Mp4,
    };
    Media::new(format, length, id.bytes().map(u64::from).sum())
}

/// Adds the documents that a payload names to ACS.
fn publish(world: &World, payload: &[u8], lengths: &[u64]) {
    let events = events_of(payload);
    let chunks: Vec<_> = events
        .iter()
        .flat_map(|event| chunks_of(event).iter().map(move |chunk| (event, chunk)))
        .collect();
    assert_eq!(chunks.len(), lengths.len());
    for ((event, chunk), length) in chunks.into_iter().zip(lengths) {
        let id = chunk["documentId"].as_str().unwrap();
        world.acs.add(Document {
            metadata: metadata_of(id).into(),
            ..Document::new(id, media_of(event, id, *length))
        });
    }
}

/// Asserts that the bucket holds the recordings of a payload byte for byte, with their manifests,
/// and nothing else.
fn assert_archived(world: &World, payload: &[u8]) {
    let mut keys = BTreeSet::new();
    for event in events_of(payload) {
        let Keys {
            folder,
            event: event_id,
            chunks: names,
            ..
        } = contract::keys(&event);
        let folder = format!("{PREFIX}{folder}");
        let manifest_key = format!("{folder}/{event_id}.manifest.json");
        let manifest = world.json(&manifest_key);
        assert_eq!(manifest["event"], event);
        assert_eq!(manifest["archiver"], VERSION);
        let listed = manifest["chunks"].as_array().unwrap();
        let listed: BTreeMap<_, _> = listed
            .iter()
            .map(|chunk| (chunk["documentId"].as_str().unwrap(), chunk))
            .collect();
        assert_eq!(listed.len(), chunks_of(&event).len());
        for (chunk, (media_name, metadata_name)) in chunks_of(&event).iter().zip(names) {
            let (id, index) = (chunk["documentId"].as_str().unwrap(), &chunk["index"]);
            let listed = listed[id];
            assert_eq!(listed["index"], *index);

            let key = listed["media"]["key"].as_str().unwrap();
            let object = world.s3.object(key).expect(key);
            let media = media_of(&event, id, object.size);
            let extension = match media.format() {
                Format::Mp4 => "mp4",
                Format::Mp3 => "mp3",
                Format::Wav => "wav",
            };
            assert_eq!(key, format!("{folder}/{media_name}.{extension}"));
            assert!(object.body == media.bytes(0..object.size), "{key} differs");
            assert_eq!(
                world.acs.sent(id),
                object.size,
                "each byte of {key} was sent once"
            );
            assert_listed(&listed["media"], &object, media.content_type());

            let key = format!("{folder}/{metadata_name}.metadata.json");
            assert_eq!(listed["metadata"]["key"], key);
            let object = world.s3.object(&key).expect("the metadata is there");
            assert_eq!(object.body, metadata_of(id));
            assert_listed(&listed["metadata"], &object, "application/json");
            keys.extend([listed["media"]["key"].as_str().unwrap().to_owned(), key]);
        }
        keys.insert(manifest_key);
    }
    assert_eq!(world.keys(), Vec::from_iter(keys));
}

/// Asserts that the manifest describes an object as S3 does.
fn assert_listed(listed: &Value, object: &s3::Object, content_type: &str) {
    assert_eq!(listed["size"], object.size);
    assert_eq!(listed["etag"], object.etag);
    assert_eq!(listed["versionId"], object.version_id);
    assert_eq!(listed["crc64nvme"].as_str(), object.crc64nvme.as_deref());
    assert!(object.crc64nvme.is_some());
    assert_eq!(listed["contentType"], content_type);
    assert_eq!(object.content_type.as_deref(), Some(content_type));
}

/// Runs the binary with invalid settings, and asserts that it never calls the Runtime API.
async fn fail_to_start(variables: &[(&str, &str)]) -> String {
    let runtime = TcpListener::bind("127.0.0.1:0").unwrap();
    runtime.set_nonblocking(true).unwrap();
    let address = runtime.local_addr().unwrap().to_string();
    let mut command = bare();
    command
        .env("AWS_LAMBDA_RUNTIME_API", address)
        .env("AWS_LAMBDA_FUNCTION_NAME", "acs-recording-archiver")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512")
        .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
        .env("AWS_REGION", "eu-central-1")
        .envs(variables.iter().copied());
    let (status, stdout, stderr) = Process::start(&mut command).end().await;
    assert!(
        status.code().is_some_and(|code| code != 0),
        "{status}: {stdout}{stderr}"
    );
    assert!(runtime.accept().is_err(), "the Runtime API was called");
    let said = stdout + &stderr;
    assert!(!said.contains("panicked"), "{said}");
    said
}

#[tokio::test]
async fn without_settings_it_names_all_missing_ones_and_ends() {
    let said = fail_to_start(&[]).await;
    for name in [
        "COMMUNICATION_SERVICES_CONNECTION_STRING",
        "RECORDINGS_BUCKET",
    ] {
        assert!(said.contains(&format!("{name} is required")), "{said}");
    }
    let line: Value = serde_json::from_str(said.trim()).expect("the output is one line of JSON");
    assert_eq!(line["level"], "ERROR");
    assert_eq!(line["version"], VERSION);
}

#[tokio::test]
async fn invalid_settings_are_named_without_their_values() {
    let wrong = [
        (
            "COMMUNICATION_SERVICES_CONNECTION_STRING",
            "endpoint=https://contoso.communication.azure.com/;accesskey=c2VjcmV0!",
        ),
        ("RECORDINGS_BUCKET", "s3://mine/this"),
        ("RECORDINGS_PREFIX", "/from/../the/root"),
        ("WEBHOOK_SECRETS", "good-enough-secret-1,short"),
        ("MEDIA_HOST_SUFFIXES", "evil"),
        ("ACKNOWLEDGE", "sometimes"),
        ("TRANSFER_CONCURRENCY", "9999"),
        ("S3_FORCE_PATH_STYLE", "perhaps"),
    ];
    let said = fail_to_start(&wrong).await;
    for (name, value) in wrong {
        assert!(said.contains(name), "{name}: {said}");
        for part in value.split(',') {
            assert!(!said.contains(part), "{part}: {said}");
        }
    }
    for secret in ["c2VjcmV0", "contoso", "mine"] {
        assert!(!said.contains(secret), "{secret}: {said}");
    }
}

#[tokio::test]
async fn it_starts_while_secrets_manager_is_unreachable() {
    let manager = SecretsManager::start(secrets_manager::Settings::default()).await;
    manager.set(&json!({"WEBHOOK_SECRETS": "a-secret-of-the-manager"}).to_string());
    manager.fail(Some(secrets_manager::Fault::Refuse));
    let lambda = Lambda::start().await;
    let process = lambda.run(&[
        ("SECRET_ID", manager.secret_id()),
        ("AWS_ENDPOINT_URL_SECRETS_MANAGER", &manager.endpoint()),
    ]);
    lambda.runtime.wait_for_poll().await;
    manager.fail(None);
    let body = json!([{"id": "1", "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
        "data": {"validationCode": "hello"}}]);
    let query = "code=a-secret-of-the-manager";
    let payload = payload("POST", "/", query, &json!({}), &body.to_string());
    let response = lambda.call(&payload, PATIENCE).await;
    assert_eq!(response.status.code(), 200);
    let (stdout, _) = process.kill().await;
    assert!(stdout.contains("starting without settings"), "{stdout}");
    assert!(!stdout.contains("a-secret-of-the-manager"), "{stdout}");
}

#[tokio::test]
async fn its_lines_name_its_version() {
    let lambda = Lambda::start().await;
    let process = lambda.run(&[]);
    lambda.tick().await;
    let (stdout, stderr) = process.kill().await;
    let lines = log_lines(&stdout);
    let line = |message: &str| {
        let found = lines.iter().find(|line| line["message"] == message);
        found.unwrap_or_else(|| panic!("{message}: {stdout}{stderr}"))
    };
    assert_eq!(line("the function has started")["version"], VERSION);
    assert_eq!(line("tick ended")["span"]["version"], VERSION);
    // The version is no dimension: each version would have its own metrics.
    let metrics = lines.iter().filter(|line| line.get("_aws").is_some());
    let metrics: Vec<_> = metrics.collect();
    assert!(!metrics.is_empty(), "{stdout}");
    for line in metrics {
        assert!(!line.to_string().contains("ersion"), "{line}");
    }
}

#[tokio::test]
async fn outside_of_lambda_it_prints_its_purpose() {
    let api = RuntimeApi::start().await;
    let variables = api.environment();
    for lacking in [
        "AWS_LAMBDA_RUNTIME_API",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_VERSION",
    ] {
        let mut command = bare();
        command.envs(variables.clone()).env_remove(lacking);
        assert_prints_its_purpose(&mut command, lacking).await;
    }
    assert_prints_its_purpose(&mut bare(), "AWS_LAMBDA_RUNTIME_API").await;
}

async fn assert_prints_its_purpose(command: &mut Command, lacking: &str) {
    let (status, stdout, stderr) = Process::start(command).end().await;
    assert_eq!(status.code(), Some(2), "{stderr}");
    assert!(stderr.contains(&format!("acs-recording-archiver {VERSION}\n")));
    assert!(stderr.contains("AWS Lambda") && stderr.contains("cargo run --example local"));
    assert!(
        stderr.contains(lacking) && !stderr.contains("panicked"),
        "{stderr}"
    );
    assert_eq!(stdout, "");
}

#[tokio::test]
async fn a_tick_that_fails_reports_its_error_to_lambda_and_the_log() {
    let lambda = Lambda::start().await;
    let process = lambda.run(&[]);
    lambda.world.s3.inject(|_| {
        let (status, code) = (403, "AccessDenied");
        Some(s3::Fault::Refuse { status, code })
    });
    let tick = fs::read(format!("{EVENTS}/schedule-rule.json")).unwrap();
    #[expect(clippy::disallowed_methods, reason = "Lambda's deadline is a moment")]
    let deadline = SystemTime::now() + PATIENCE;
    let answered = timeout(PATIENCE, lambda.runtime.invoke(tick, deadline)).await;
    let error = answered.expect("it answers").expect_err("by an error");
    let error: Value = serde_json::from_slice(&error).unwrap();
    assert_eq!(error["errorType"], "TickError");
    let message = error["errorMessage"].as_str().unwrap();
    let expected = "the pending events could not be listed: \
        S3 answered ListObjectsV2 with 403 AccessDenied: injected by the test";
    assert_eq!(message, expected);
    lambda.runtime.wait_for_poll().await;
    let (stdout, _) = process.kill().await;
    let lines = log_lines(&stdout);
    let told = |line: &&Value| line["message"] == expected && line["level"] == "ERROR";
    assert_eq!(lines.iter().filter(told).count(), 1, "{stdout}");
}

#[tokio::test]
async fn the_next_process_keeps_the_parts_of_a_killed_one() {
    const PARTS: u64 = 5;
    const KEPT: u64 = 2;
    let lambda = Lambda::start().await;
    let world = &lambda.world;
    let recording = Recording::of(&[PARTS * PART]);
    recording.publish(world);
    let id = &recording.chunks[0].document_id;
    let events = json!([recording.event(world)]);

    // All parts but the first two stall.
    world.acs.inject(|request| {
        let sticks = request.kind == Kind::Media && first_byte(request) >= Some(KEPT * PART);
        sticks.then_some(Fault::StallBody {
            after: MIB,
            stall: Duration::from_mins(10),
        })
    });
    let process = lambda.run(&[]);
    let parts = || -> BTreeSet<i32> {
        let uploads = world.s3.uploads().into_iter();
        uploads
            .flat_map(|upload| upload.parts.into_keys())
            .collect()
    };
    let stuck = KEPT * PART + (PARTS - KEPT) * MIB;
    tokio::select! {
        answer = lambda.deliver(&events, 0) => panic!("{answer:?}"),
        () = until("all are on their way", || {
            parts().len() as u64 == KEPT && world.acs.sent(id) == stuck
        }) => {}
    }
    process.kill().await;
    world.acs.heal();
    let kept = parts();
    assert_eq!(kept, BTreeSet::from([1, 2]));
    assert!(
        world
            .s3
            .objects()
            .keys()
            .all(|key| key.starts_with("recordings/pending/")
                || *key == recording.metadata_key(&recording.chunks[0])),
        "{:?}",
        world.keys()
    );
    world.acs.clear_requests();

    let _next = lambda.run(&[]);
    let response = lambda.deliver(&events, 1).await;

    assert_eq!(response.status.code(), 200, "{response:?}");
    world.assert_archived(&recording);
    assert_eq!(world.count("CreateMultipartUpload"), 1);
    let stored = world
        .s3
        .calls()
        .into_iter()
        .filter(|call| call.operation == "UploadPart" && call.status == Some(200));
    assert_eq!(stored.count() as u64, PARTS, "each part is stored once");
    for request in world.acs.requests() {
        if request.kind == Kind::Media {
            let first = first_byte(&request).expect("media is fetched by ranges");
            assert!(
                first >= KEPT * PART,
                "the part at {first} was fetched again"
            );
        }
    }
    assert_eq!(world.acs.sent(id) - stuck, (PARTS - KEPT) * PART);
}

/// The first byte of a request's range.
pub fn first_byte(request: &Request) -> Option<u64> {
    let range = request.range.as_deref()?.strip_prefix("bytes=")?;
    range.split_once('-')?.0.parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_does_not_grow_with_the_recording() {
    // A coarse limit, which does not depend on the allocator: held parts would take 8 × 16 MiB.
    const CEILING: u64 = 64 * MIB;
    let lambda = Lambda::over(s3::Settings {
        keep_bodies: false,
        ..s3::Settings::default()
    })
    .await;
    let process = lambda.run(&[]);
    for (name, length) in [("short", 20 * MIB), ("long", 50 * 20 * MIB)] {
        let recording = named(name, &[length]);
        recording.publish(&lambda.world);
        let response = lambda.deliver(&recording.event(&lambda.world), 0).await;
        assert_eq!(response.status.code(), 200, "{name}");
        let peak = process.peak_memory();
        assert!(peak <= CEILING, "{name}: {} MiB", peak / MIB);
    }
}

#[tokio::test]
async fn the_answer_comes_before_the_deadline_and_the_schedule_goes_on() {
    for (acknowledge, status) in [("", 503), ("stored", 202)] {
        let lambda = Lambda::start().await;
        let world = &lambda.world;
        let recording = Recording::of(&[1000, 500_000]);
        recording.publish(world);
        world.acs.inject(|request| {
            let sticks = request.kind == Kind::Media;
            sticks.then_some(Fault::StallBody {
                after: 700,
                stall: Duration::from_mins(10),
            })
        });
        let _process = lambda.run(&[("ACKNOWLEDGE", acknowledge)]);
        lambda.runtime.wait_for_poll().await;

        // Less would not be enough to store the event on a machine that is busy.
        let time = Duration::from_secs(15);
        let started = Instant::now();
        let events = json!([recording.event(world)]);
        let response = lambda.call(&delivery(&events.to_string(), 0), time).await;

        assert!(started.elapsed() < time, "{:?}", started.elapsed());
        assert_eq!(response.status.code(), status, "{response:?}");
        assert_eq!(response.outcome(), "suspended");
        assert_eq!(response.headers.get("retry-after").is_some(), status == 503);
        assert!(
            world.keys().contains(&recording.event_key()),
            "{:?}",
            world.keys()
        );

        world.acs.heal();
        let swept = lambda.tick().await;
        assert_eq!(
            (&swept["pending"], &swept["finished"]),
            (&json!(1), &json!(1))
        );
        world.assert_archived(&recording);
    }
}

#[tokio::test]
async fn the_log_has_a_line_for_each_delivery_and_chunk_and_no_secret() {
    let lambda = Lambda::start().await;
    let world = &lambda.world;
    let process = lambda.run(&[("RUST_LOG", "trace"), ("AWS_LAMBDA_LOG_LEVEL", "TRACE")]);

    let good = named("good", &[1, PART + 1]);
    let busy = named("busy", &[PART]);
    let missing = named("missing", &[PART]);
    good.publish(world);
    busy.publish(world);
    world.acs.inject(|request| {
        let wanted = request.document.as_deref() == Some("0-eus-0-busy");
        wanted.then(|| Fault::answer(503, "{\"error\": {\"code\": \"Busy\"}}"))
    });
    let sample = |file| {
        let payload = fs::read(format!("{EVENTS}/{file}")).unwrap();
        serde_json::from_slice::<Value>(&payload).unwrap()
    };
    let query = format!("code={SECRET}");
    let mut answers = String::new();
    let mut statuses = Vec::new();
    for (payload, time) in [
        (delivery(&good.event(world).to_string(), 0), PATIENCE),
        (sample("refused-secret.json"), PATIENCE),
        (sample("foreign-host.json"), PATIENCE),
        (delivery(&missing.event(world).to_string(), 1), PATIENCE),
        (delivery(&busy.event(world).to_string(), 2), PATIENCE),
        (payload("GET", "/", &query, &json!({}), ""), PATIENCE),
    ] {
        let response = lambda.call(&payload, time).await;
        statuses.push(response.status.code());
        writeln!(answers, "{} {}", response.headers, response.body).unwrap();
    }
    assert_eq!(statuses, [200, 401, 200, 503, 503, 405], "{answers}");
    lambda.runtime.wait_for_poll().await;
    let (stdout, stderr) = process.kill().await;

    for (place, text) in [
        ("stdout", &stdout),
        ("stderr", &stderr),
        ("answers", &answers),
    ] {
        assert_tells_no_secret(world, place, text);
    }
    assert_eq!(stderr, "");
    let lines = log_lines(&stdout);
    assert_lines(&lines, &statuses, &good);
}

#[tokio::test]
async fn an_invalid_log_level_is_replaced_by_the_default() {
    let lambda = Lambda::start().await;
    let process = lambda.run(&[("RUST_LOG", "infos")]);
    let stray = payload("GET", "/", &format!("code={SECRET}"), &json!({}), "");
    assert_eq!(lambda.call(&stray, PATIENCE).await.status, 405);
    lambda.runtime.wait_for_poll().await;
    let (stdout, _) = process.kill().await;
    assert!(stdout.contains("\"setting\":\"RUST_LOG\""), "{stdout}");
    assert!(stdout.contains("\"status\":405"), "{stdout}");
}

fn assert_lines(lines: &[Value], statuses: &[u16], good: &Recording) {
    for line in lines {
        for field in ["timestamp", "level", "message"] {
            assert!(line[field].is_string(), "{field} of {line}");
        }
    }
    let said = |message: &'static str| lines.iter().filter(move |line| line["message"] == message);

    let delivered: Vec<_> = said("delivery answered")
        .map(|line| &line["status"])
        .collect();
    assert_eq!(delivered, statuses.iter().collect::<Vec<_>>());
    for line in said("delivery answered").chain(said("work on chunk ended")) {
        assert_eq!(line["level"], "INFO");
        assert!(line["milliseconds"].is_u64(), "{line}");
        assert!(line["bytes"].is_u64(), "{line}");
    }

    let mut chunks: Vec<_> = said("work on chunk ended").collect();
    chunks.sort_by_key(|line| (line["event"].to_string(), line["index"].as_u64()));
    let foreign = "a882687d-b59e-4ca3-a69a-adebf2272a11";
    let expected = [
        (foreign, 0, "setAside", 0),
        ("busy", 0, "suspended", 0),
        ("good", 0, "archived", 1),
        ("good", 1, "archived", 2),
        ("missing", 0, "suspended", 0),
    ];
    assert_eq!(chunks.len(), expected.len(), "{chunks:?}");
    for (line, (event, index, outcome, parts)) in chunks.iter().zip(expected) {
        assert_eq!(line["event"], event, "{line}");
        assert_eq!(line["index"], index, "{line}");
        assert_eq!(line["outcome"], outcome, "{line}");
        assert_eq!(line["parts_planned"], parts, "{line}");
        assert_eq!(line["parts_reused"], 0, "{line}");
        assert_eq!(line["parts_fetched"], parts, "{line}");
    }
    for (line, chunk) in chunks[2..].iter().zip(&good.chunks) {
        let bytes = chunk.media.length() + chunk.metadata().len() as u64;
        assert_eq!(line["bytes"], bytes, "{line}");
    }

    // A failure is logged once, at a level that tells a transient failure from a final one.
    for (level, message, events) in [
        (
            "WARN",
            "media is not archived yet",
            ["busy", "missing"].as_slice(),
        ),
        ("WARN", "metadata is not archived yet", &["busy", "missing"]),
        ("ERROR", "media cannot be archived", &[foreign]),
        ("ERROR", "metadata cannot be archived", &[foreign]),
    ] {
        let mut told: Vec<_> = said(message).map(|line| line["event"].as_str()).collect();
        told.sort_unstable();
        assert_eq!(told, events.iter().copied().map(Some).collect::<Vec<_>>());
        assert!(said(message).all(|line| line["level"] == level && line["error"].is_string()));
    }
}

fn assert_tells_no_secret(world: &World, place: &str, text: &str) {
    let connection = world.acs.connection_string();
    let (_, access_key) = connection.split_once("accesskey=").unwrap();
    for secret in [
        access_key,
        SECRET,
        "not-the-secret-of-this-function",
        world.s3.secret_access_key(),
        "Signature=",
        "HMAC-SHA256",
        "code=",
        "https://eus-prod",
        "asm.skype.com/",
        "/v1/objects/",
        "sig=",
        "api-version",
    ] {
        let found = text.lines().find(|line| line.contains(secret));
        assert_eq!(found, None, "{secret} in {place}");
    }
}
