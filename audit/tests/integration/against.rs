//! The comparison of the archive with ACS's own log.

use std::io::Write as _;
use std::process::{Output, Stdio};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::audit::{another, command, now, run};
use harness::world::{Recording, World};

const HOUR: Duration = Duration::from_hours(1);

/// An id as ACS makes them.
fn id(number: u32) -> String {
    let id = json!({
        "PlatformEndpointId": format!("4d2069f2-0000-4000-8000-{number:012}"),
        "ResourceSpecificId": format!("bde9c176-0000-4000-8000-{number:012}"),
    });
    URL_SAFE_NO_PAD.encode(id.to_string())
}

/// A recording's event with that id.
fn event(world: &World, recording: &Recording, id: &str) -> Value {
    let mut event = recording.event(world);
    let call = &recording.call_id;
    event["subject"] = format!("/recording/call/{call}/serverCallId/s/recordingId/{id}").into();
    event
}

fn written(at: SystemTime) -> String {
    OffsetDateTime::from(at).format(&Rfc3339).unwrap()
}

/// A row of ACS's log.
fn row(recording: &Recording, id: &str) -> Value {
    json!({
        "TableName": "PrimaryResult",
        "RecordingId": id,
        "RecordingStartTime": written(recording.started.unwrap()),
        "RecordingLength": "600.0",
        "ChunkCount": recording.chunks.len().to_string(),
        "TimeGenerated": written(recording.event_time.unwrap()),
        "RecordingEndReason": "CallEnded",
        "CorrelationId": recording.call_id,
    })
}

fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

/// Audits against rows, and returns the exit status and the JSON.
async fn against(world: &World, rows: &Value, more: &[&str]) -> (i32, Value) {
    let log = file(&rows.to_string());
    let path = log.path().to_str().unwrap();
    let arguments = [
        "--bucket",
        "recordings",
        "--force-path-style",
        "--format",
        "json",
    ];
    let output = run(
        world,
        &[&arguments[..], &["--against", path], more].concat(),
    )
    .await;
    let error = String::from_utf8(output.stderr).unwrap();
    let json = serde_json::from_slice(&output.stdout);
    (
        output.status.code().unwrap(),
        json.unwrap_or_else(|_| panic!("{error}")),
    )
}

/// The outcome and the match of each row, by its id.
fn outcomes(json: &Value) -> Vec<(String, String, Option<String>)> {
    let rows = json["against"]["recordings"].as_array().unwrap();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let rows = rows.iter().map(|row| {
        let id = text(&row["recordingId"]).unwrap_or_default();
        (id, text(&row["outcome"]).unwrap(), text(&row["matchedBy"]))
    });
    rows.collect()
}

fn findings(json: &Value) -> Vec<(&str, &str)> {
    let findings = json["findings"].as_array().unwrap();
    let findings = findings.iter();
    findings
        .map(|it| (it["what"].as_str().unwrap(), it["key"].as_str().unwrap()))
        .collect()
}

async fn archive(world: &World, recording: &Recording, id: &str) {
    recording.publish(world);
    let answer = world.deliver(&event(world, recording, id)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test]
async fn each_row_is_accounted_for() {
    let world = World::start().await;
    let by_number = |number| another(number).aged(number * HOUR);
    let archived = by_number(1);
    archive(&world, &archived, &id(1)).await;
    let pending = by_number(2);
    let key = pending.event_key();
    world
        .s3
        .put(&key, event(&world, &pending, &id(2)).to_string());
    let rejected = by_number(30);
    world.acs.remove(&rejected.chunks[0].document_id);
    let key = rejected.event_key();
    let stored = event(&world, &rejected, &id(30)).to_string();
    world.s3.put(&key, stored);
    world.s3.set_last_modified(&key, now() - 2 * HOUR);
    world.deliver(&event(&world, &rejected, &id(30))).await;
    let set_aside = by_number(4);
    let mut odd = event(&world, &set_aside, &id(4));
    odd["data"]["recordingStorageInfo"] = json!({});
    world.deliver(&odd).await;
    let (missing, gone) = (by_number(5), by_number(26));
    let (exported, nothing, young) = (by_number(7), by_number(8), another(9));

    let mut empty = row(&nothing, &id(8));
    empty["ChunkCount"] = "0".into();
    let rows = [
        row(&archived, &id(1)),
        row(&pending, &id(2)),
        row(&rejected, &id(30)),
        row(&set_aside, &id(4)),
        row(&missing, &id(5)),
        row(&gone, &id(26)),
        row(&exported, &id(7)),
        empty,
        row(&young, &id(9)),
        // Exports overlap.
        row(&archived, &id(1)),
    ];
    let blobs = file("x.mp4\n20261123/BDE9C176-0000-4000-8000-000000000007/0.mp4\n");
    let blobs = ["--exported", blobs.path().to_str().unwrap()];
    let (status, json) = against(&world, &json!(rows), &blobs).await;
    assert_eq!(status, 1);
    let mut found = outcomes(&json);
    found.sort();
    let expected = [
        (1, "archived", Some("recordingId")),
        (2, "pending", Some("recordingId")),
        (4, "setAside", Some("recordingId")),
        (5, "neverArchived", None),
        (7, "exported", None),
        (8, "nothingRecorded", None),
        (9, "onItsWay", None),
        (26, "neverArchived", None),
        (30, "rejected", Some("recordingId")),
    ];
    let expected = expected.map(|(number, outcome, by): (_, &str, Option<&str>)| {
        (id(number), outcome.to_owned(), by.map(str::to_owned))
    });
    let mut expected = expected.to_vec();
    expected.sort();
    assert_eq!(found, expected);
    let totals = &json["against"]["totals"];
    assert_eq!(
        (&totals["rows"], &totals["neverArchived"]),
        (&json!(9), &json!(2))
    );

    let of = |number| {
        let findings = json["findings"].as_array().unwrap();
        let mut own = findings.iter().filter(|it| it["key"] == id(number));
        own.next().unwrap()["detail"].as_str().unwrap()
    };
    assert!(
        of(5).contains("ACS keeps it for 18 h 59 min more"),
        "{}",
        of(5)
    );
    assert!(of(26).contains("ACS has deleted it"), "{}", of(26));
    assert_eq!(json["notes"]["onItsWay"]["count"], 1);
    let days = json["days"].as_object().unwrap();
    let missing: u64 = days
        .values()
        .map(|day| day["missing"].as_u64().unwrap())
        .sum();
    assert_eq!(missing, 2);
}

#[tokio::test]
async fn an_archive_that_has_all_of_the_log_is_in_order() {
    let world = World::start().await;
    let recording = another(1).aged(HOUR);
    archive(&world, &recording, &id(1)).await;
    // ACS's own spelling is not the only one.
    let spelt = "{ \"resourceSpecificId\": \"BDE9C176-0000-4000-8000-000000000001\", \"platformEndpointId\": \"4d2069f2-0000-4000-8000-000000000001\" }";
    let spelt = URL_SAFE_NO_PAD.encode(spelt);
    for id in [id(1), id(1) + "==", spelt] {
        let (status, json) = against(&world, &json!([row(&recording, &id)]), &[]).await;
        assert_eq!(status, 0, "{json}");
        assert_eq!(outcomes(&json)[0].1, "archived");
    }
}

#[tokio::test]
async fn a_start_stands_for_an_id_only_where_that_is_sure() {
    let world = World::start().await;
    let mut one = another(1).aged(HOUR);
    let since = one.started.unwrap().duration_since(SystemTime::UNIX_EPOCH);
    let seconds = Duration::from_secs(since.unwrap().as_secs());
    one.started = Some(SystemTime::UNIX_EPOCH + seconds + Duration::from_millis(123));
    one.publish(&world);
    let mut old = one.event(&world);
    old["subject"] = format!("/recording/call/{}", one.call_id).into();
    assert_eq!(world.deliver(&old).await.status, 200);

    let exact = row(&one, &id(1));
    let (status, json) = against(&world, &json!([exact.clone()]), &[]).await;
    assert_eq!(outcomes(&json)[0].2.as_deref(), Some("start"), "{json}");
    assert_eq!(status, 0);
    let mut coarse = exact.clone();
    let seconds = written(one.started.unwrap());
    coarse["RecordingStartTime"] = format!("{}Z", &seconds[..19]).into();
    let mut late = exact.clone();
    late["RecordingStartTime"] = written(one.started.unwrap() + Duration::from_millis(2)).into();
    for (rows, outcome) in [
        // To the second, two rows of one start, and another millisecond.
        (json!([coarse]), "unsure"),
        (json!([exact.clone(), row(&one, &id(2))]), "unsure"),
        (json!([late]), "neverArchived"),
    ] {
        let (status, json) = against(&world, &rows, &[]).await;
        assert_eq!(status, 1, "{json}");
        assert!(outcomes(&json).iter().all(|row| row.1 == outcome), "{json}");
    }

    // The ids tell them apart, whatever the start says.
    let world = World::start().await;
    archive(&world, &one, &id(7)).await;
    let (_, json) = against(&world, &json!([exact]), &[]).await;
    assert_eq!(outcomes(&json)[0].1, "unsure", "{json}");
    assert_eq!(findings(&json), [("unsureMatch", &*id(1))]);
}

#[tokio::test]
async fn differences_from_the_log_are_reported() {
    let world = World::start().await;
    let (one, other) = (another(1).aged(2 * HOUR), another(2).aged(HOUR));
    archive(&world, &one, &id(1)).await;
    archive(&world, &other, &id(2)).await;
    let third = another(3).aged(3 * HOUR / 2);
    archive(&world, &third, &id(3)).await;
    let mut more = row(&one, &id(1));
    more["ChunkCount"] = 2.into();
    let mut longer = row(&other, &id(2));
    longer["RecordingLength"] = 601.5.into();
    let (status, json) = against(&world, &json!([more, longer]), &[]).await;
    assert_eq!(status, 1);
    let manifests = [one.manifest_key(), other.manifest_key()];
    let mut found = findings(&json);
    found.sort_unstable();
    assert_eq!(
        found,
        [
            ("chunksDiffer", &*manifests[0]),
            ("lengthDiffers", &*manifests[1])
        ]
    );
    // It is of the time that the log is of.
    assert_eq!(
        json["notes"]["notInLog"]["first"][0]["key"],
        third.manifest_key()
    );
    assert_eq!(json["against"]["totals"]["notInLog"], 1);
}

#[tokio::test]
async fn a_recording_of_several_events_is_one() {
    let world = World::start().await;
    let mut first = Recording::of(&[10, 20]).aged(HOUR);
    let mut second = first.clone();
    let row = row(&first, &id(1));
    first.chunks.pop();
    second.chunks.remove(0);
    second.event_id = "another".into();
    archive(&world, &first, &id(1)).await;
    let (status, json) = against(&world, &json!([row.clone()]), &[]).await;
    assert_eq!((status, findings(&json)[0].0), (1, "chunksDiffer"));
    archive(&world, &second, &id(1)).await;
    let (status, json) = against(&world, &json!([row]), &[]).await;
    assert_eq!(status, 0, "{json}");
    assert_eq!(
        json["against"]["recordings"][0]["documents"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[tokio::test]
async fn rows_of_other_days_are_left_out_and_counted() {
    let world = World::start().await;
    let one = another(1).aged(HOUR);
    archive(&world, &one, &id(1)).await;
    let rows = json!([row(&one, &id(1)), row(&another(2).aged(100 * HOUR), &id(2))]);
    let from = crate::audit::day(now() - 48 * HOUR);
    let (status, json) = against(&world, &rows, &["--from", &from]).await;
    assert_eq!(status, 0, "{json}");
    assert_eq!(json["against"]["totals"]["outside"], 1);
}

async fn piped(world: &World, log: &str) -> Output {
    let mut command = command(
        world,
        &[
            "--bucket",
            "recordings",
            "--force-path-style",
            "--against",
            "-",
        ],
    );
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut to = child.stdin.take().unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut to, log.as_bytes())
        .await
        .unwrap();
    drop(to);
    child.wait_with_output().await.unwrap()
}

#[tokio::test]
async fn the_log_may_come_by_the_standard_input_and_must_be_one() {
    let world = World::start().await;
    let one = another(1).aged(HOUR);
    archive(&world, &one, &id(1)).await;
    let output = piped(
        &world,
        &json!([row(&one, &id(1)), row(&another(5).aged(HOUR), &id(5))]).to_string(),
    )
    .await;
    let table = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{table}");
    for line in [
        "ACS'S LOG, -\n",
        "         2  recordings\n",
        "         1  archived\n",
        "         1  never archived\n",
    ] {
        assert!(table.contains(line), "{line}: {table}");
    }
    world.s3.clear_calls();
    for (log, why) in [
        ("", "it is empty"),
        ("ERROR: run az login", "is not an export"),
        ("[{}]", "row 1 has neither"),
    ] {
        let output = piped(&world, log).await;
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(why), "{error}");
    }
    assert!(world.s3.calls().is_empty(), "nothing is asked of S3 before");
}

#[tokio::test]
async fn the_sample_log_has_one_recording_without_an_event() {
    let world = World::start().await;
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let read = |path: &str| std::fs::read_to_string(format!("{root}/{path}")).unwrap();
    let delivery: Value = serde_json::from_str(&read("events/recording-current.json")).unwrap();
    let events: Value = serde_json::from_str(delivery["body"].as_str().unwrap()).unwrap();
    let chunk = &events[0]["data"]["recordingStorageInfo"]["recordingChunks"][0];
    let mut recording = another(1);
    recording.chunks[0].document_id = chunk["documentId"].as_str().unwrap().to_owned();
    recording.publish(&world);
    assert_eq!(world.deliver(&events).await.status, 200);

    let log = serde_json::from_str(&read("examples/acs-log.json")).unwrap();
    let (status, json) = against(&world, &log, &[]).await;
    assert_eq!(status, 1);
    let outcomes: Vec<String> = outcomes(&json).into_iter().map(|row| row.1).collect();
    assert_eq!(outcomes, ["archived", "neverArchived"], "{json}");
    assert_eq!(json["findings"].as_array().unwrap().len(), 1, "{json}");
}
