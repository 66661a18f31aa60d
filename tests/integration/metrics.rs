//! The metrics of the built binary, from the log lines that CloudWatch reads.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use acs_recording_archiver::metrics::Metric;
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use emulators::acs::Fault;
use emulators::s3;
use serde_json::{Value, json};

use crate::binary::{Lambda, PART, PATIENCE, first_byte};
use harness::embedded::payload;
use harness::world::{World, named};

/// The metrics that the function of this test never emits: `access` covers unreadable secrets, and
/// `keyless` unavailable tokens.
const OTHERS: [Metric; 3] = [
    Metric::Panics,
    Metric::SecretsUnreadable,
    Metric::TokensUnavailable,
];

#[tokio::test]
async fn each_metric_has_the_expected_sum() {
    let lambda = Lambda::start().await;
    let world = &lambda.world;
    // Metrics do not depend on the log level.
    let process = lambda.run(&[
        ("RUST_LOG", "off"),
        ("INSTALLATION", "stack"),
        ("ENTRA_TENANT_ID", "72f988bf-86f1-41af-91ab-2d7cd011db47"),
        ("ENTRA_AUDIENCE", "api://archive"),
        ("ENTRA_AUTHORITY", "http://127.0.0.1:1"),
    ]);

    let good = named("good", &[10, PART + 10]);
    let missing = named("missing", &[10]);
    let expired = named("expired", &[10]).aged(Duration::from_hours(49));
    let gone = named("gone", &[10]).aged(Duration::from_hours(25));
    let half = named("half", &[10, PART + 10]);
    good.publish(world);
    half.publish(world);
    for old in [&expired, &gone] {
        old.store(world, Duration::from_hours(2));
    }
    trouble(world);
    let unstored = named("unstored", &[10]);
    for (recording, status) in [
        (&good, 200),
        (&good, 200),
        (&missing, 503),
        (&half, 503),
        (&unstored, 503),
        (&expired, 200),
        (&gone, 200),
    ] {
        let response = lambda.deliver(&recording.event(world), 0).await;
        assert_eq!(response.status.code(), status, "{}", recording.event_id);
    }
    let exported = exported(world);
    assert_eq!(lambda.deliver(&exported, 0).await.status, 200);
    assert_eq!(lambda.deliver(&odd(), 0).await.status, 200);
    // Only requests with a credential count.
    for (query, headers) in [
        ("code=wrong", json!({})),
        ("code=wrong", json!({"aeg-subscription-name": "ARCHIVE"})),
        ("", json!({"aeg-subscription-name": "ARCHIVE"})),
    ] {
        let stray = payload("POST", "/", query, &headers, "");
        assert_eq!(lambda.call(&stray, PATIENCE).await.status, 401);
    }
    let token = format!(
        "{}.e30.AA",
        BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg": "RS256", "kid": "any"}"#)
    );
    let headers = json!({"authorization": format!("Bearer {token}")});
    let bearer = payload("POST", "/", "", &headers, "");
    assert_eq!(lambda.call(&bearer, PATIENCE).await.status, 503);
    leave_an_upload(world);
    lambda.tick().await;
    lambda.runtime.wait_for_poll().await;
    let (stdout, _) = process.kill().await;

    let (sums, causes) = sums(&stdout);
    let bytes: u64 = good
        .chunks
        .iter()
        .map(|chunk| chunk.media.length() + chunk.metadata().len() as u64)
        .sum();
    let bytes = f64::from(u32::try_from(bytes).unwrap());
    for (metric, expected) in [
        ("RecordingsArchived", 1.0),
        ("RecordingsAlreadyArchived", 1.0),
        // Two recordings, each by its delivery and by the tick.
        ("RecordingsSuspended", 4.0),
        ("RecordingsExpired", 1.0),
        ("RecordingsRejected", 1.0),
        ("RecordingsInCustomerStorage", 1.0),
        ("ChunksArchived", 3.0),
        ("ChunksAlreadyArchived", 1.0),
        ("ChunksSuspended", 4.0),
        ("ChunksExpired", 1.0),
        ("ChunksRejected", 1.0),
        // Ten bytes are no media file.
        ("MediaDoubtful", 1.0),
        ("EventsSetAside", 1.0),
        ("EventsUnstored", 1.0),
        ("DeliveriesRefused", 2.0),
        ("DeliveriesUnverified", 1.0),
        ("BytesReused", 16.0 * 1024.0 * 1024.0),
        ("Ticks", 1.0),
        ("PendingRecordings", 2.0),
        ("UnfinishedUploads", 1.0),
    ] {
        assert_eq!(sums.get(metric), Some(&expected), "{metric}");
    }
    // The suspended recording brought some bytes too, as objects and as a part.
    assert!(sums["BytesArchived"] > bytes && sums["BytesArchived"] < bytes + 10_000.0);
    assert!(sums["BytesFetched"] > bytes + 16.0 * 1024.0 * 1024.0);
    let all = Metric::ALL.iter().filter(|metric| !OTHERS.contains(metric));
    let all: BTreeSet<String> = all.map(Metric::to_string).collect();
    assert_eq!(sums.keys().cloned().collect::<BTreeSet<_>>(), all);
    assert!(sums["HoursUntilSourceExpires"] > 23.9 && sums["HoursUntilSourceExpires"] <= 24.0);
    assert!(sums["Throughput"] > 0.0 && sums["RecordingDuration"] > 0.0);
    assert!(sums["ArchiveLag"] < 60.0, "{}", sums["ArchiveLag"]);
    assert!(sums["Retries"] >= 1.0);
    assert_eq!(causes, BTreeSet::from(["acsFailed".to_owned()]));
}

/// An event that is not understood.
fn odd() -> Value {
    json!({
        "id": "odd",
        "eventType": "Microsoft.Communication.RecordingFileStatusUpdated",
        "data": 7,
    })
}

/// The event of a recording that ACS wrote to the customer's own storage.
fn exported(world: &World) -> Value {
    let mut exported = named("exported", &[10]).event(world);
    exported["data"]["storageType"] = "blobStorage".into();
    let chunk = &mut exported["data"]["recordingStorageInfo"]["recordingChunks"][0];
    for location in ["contentLocation", "metadataLocation"] {
        chunk[location] = "https://contoso.blob.core.windows.net/1".into();
    }
    exported
}

/// Adds the upload and record that a rejection left three days ago.
fn leave_an_upload(world: &World) {
    let left = named("left", &[10]);
    let record = left.record_key(&left.chunks[0]);
    world.s3.put(&record, "{}");
    let written = world.s3.object(&record).unwrap().last_modified;
    let earlier = written - Duration::from_hours(73);
    world.s3.set_last_modified(&record, earlier);
}

/// The faults of both emulators while metrics are emitted.
fn trouble(world: &World) {
    let once = AtomicBool::new(true);
    world.acs.inject(move |request| {
        let status = match request.document.as_deref() {
            Some("0-eus-0-good") if once.swap(false, Ordering::Relaxed) => Some(500),
            Some("0-eus-0-expired") => Some(500),
            Some("0-eus-1-half") if first_byte(request) == Some(PART) => Some(403),
            _ => None,
        };
        status.map(|status| Fault::answer(status, ""))
    });
    world.s3.inject(|call| {
        let key = call.key.as_deref().unwrap_or_default();
        (call.operation == "PutObject" && key.contains("unstored"))
            .then_some(s3::Fault::refuse(403, "AccessDenied"))
    });
}

/// The sums of all metrics in a log of metrics alone, and the causes in it.
fn sums(stdout: &str) -> (BTreeMap<String, f64>, BTreeSet<String>) {
    let mut sums: BTreeMap<String, f64> = BTreeMap::new();
    let mut causes = BTreeSet::new();
    for line in stdout.lines() {
        let line: Value = serde_json::from_str(line).expect("every line is JSON");
        assert_eq!(line["message"], "metrics", "{line}");
        assert_eq!(line["Installation"], "stack", "{line}");
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        for metric in directive["Metrics"].as_array().unwrap() {
            let name = metric["Name"].as_str().unwrap();
            *sums.entry(name.to_owned()).or_default() += line[name].as_f64().unwrap();
        }
        causes.extend(line["Cause"].as_str().map(str::to_owned));
    }
    (sums, causes)
}
