//! Audits of archives that the function made, unchanged and changed by another writer.

use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use acs_recording_archiver::keys::{Pending, Prefix};
use acs_recording_audit::bucket::Bucket;
use acs_recording_audit::counters::Counters;
use acs_recording_audit::report::{EntryKind, Report};
use acs_recording_audit::table::table;
use acs_recording_audit::window::{Day, Window};
use acs_recording_audit::{Failure, Scope, layout};
use emulators::media::{Format, Media};
use emulators::s3::{Etags, Fault, Object, Settings};
use serde_json::{Value, json};
use tokio::process::Command;

use harness::embedded::{Setup, sdk};
use harness::world::{Form, PART, Recording, WORK, World, limits, setup, setup_with_work};

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

#[expect(clippy::disallowed_methods, reason = "ages count to it")]
pub fn now() -> SystemTime {
    SystemTime::now()
}

/// Audits the bucket of a world.
async fn try_audit(world: &World, days: (&str, &str)) -> Result<Report, Failure> {
    audit_with(world, days, false).await
}

/// Audits the bucket of a world, and examines media on which there is no verdict.
async fn audit_media(world: &World) -> Report {
    audit_with(world, ("", ""), true).await.unwrap()
}

async fn audit_with(
    world: &World,
    days: (&str, &str),
    check_media: bool,
) -> Result<Report, Failure> {
    let day = |text: &str| (!text.is_empty()).then(|| Day::parse(text).unwrap());
    let two = world.s3.has(WORK);
    let pending = if two {
        Pending::OwnBucket
    } else {
        Pending::UnderPrefix
    };
    let scope = Scope {
        layout: layout(Prefix::new("recordings/").unwrap(), pending).unwrap(),
        window: Window::new(day(days.0), day(days.1)).unwrap(),
        check_media,
    };
    let sdk = sdk(&world.s3).await;
    let bucket = Bucket::new(&sdk, world.s3.bucket(), true, &limits());
    let work = Bucket::new(
        &sdk,
        if two { WORK } else { bucket.name() },
        true,
        &limits(),
    );
    acs_recording_audit::audit(&bucket, &work, &scope, now(), &Counters::default(), &mut ()).await
}

pub async fn audit(world: &World) -> Report {
    try_audit(world, ("", "")).await.unwrap()
}

/// The kinds and keys of the findings.
fn findings(report: &Report) -> Vec<(EntryKind, &str)> {
    let findings = report.findings.iter();
    findings.map(|entry| (entry.kind, &*entry.key)).collect()
}

fn notes(report: &Report) -> Vec<(EntryKind, usize)> {
    let notes = report.notes.iter();
    notes.map(|(kind, noted)| (*kind, noted.count)).collect()
}

/// A world with an archived recording.
pub async fn archived() -> (World, Recording) {
    let world = World::start().await;
    let recording = Recording::of(&[10, 2 * PART + 1, PART]);
    recording.publish(&world);
    assert_eq!(
        world.deliver(&recording.event(&world)).await.status,
        200,
        "archived"
    );
    (world, recording)
}

/// Changes a document in the bucket.
fn edit(world: &World, key: &str, change: impl FnOnce(&mut Value)) {
    let object = world.s3.object(key).expect("the document is there");
    let mut document = serde_json::from_slice(&object.body).unwrap();
    change(&mut document);
    world.s3.put(key, document.to_string());
}

/// A recording with a call and an event of its own.
pub fn another(number: u32) -> Recording {
    Recording {
        event_id: format!("another-{number}"),
        call_id: format!("call-{number}"),
        ..Recording::of(&[10])
    }
}

#[tokio::test]
async fn nothing_under_the_prefix_is_a_question_and_not_in_order() {
    let world = World::start().await;
    let failure = try_audit(&world, ("", "")).await.unwrap_err();
    assert!(matches!(failure, Failure::Nothing { .. }), "{failure:?}");

    let (world, _) = archived().await;
    let elsewhere = ["--bucket", "recordings", "--force-path-style"];
    let elsewhere = [&elsewhere[..], &["--prefix", "nosuch"]].concat();
    let output = run(&world, &elsewhere).await;
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{error}");
    let said = "error: nothing is under s3://recordings/nosuch/: is that the archive's bucket";
    assert!(
        error.starts_with(said) && output.stdout.is_empty(),
        "{error}"
    );

    // A day without recordings is in order, in an archive that has others.
    let report = try_audit(&world, ("2020-01-01", "2020-01-02")).await;
    let report = report.unwrap();
    assert_eq!((report.status(), report.counts.objects), (0, 0));
    assert!(report.in_order && table(&report).contains("All is in order."));
}

#[tokio::test]
async fn every_object_under_the_prefix_is_counted() {
    let (world, _) = archived().await;
    world.deliver(&json!([{"id": "1", "eventType": "Microsoft.Communication.RecordingFileStatusUpdated"}])).await;
    another(1).aged(HOUR).store(&world, HOUR);
    world.s3.put("recordings/notes.txt", "x");
    let report = audit(&world).await;
    assert_eq!(report.counts.objects, world.keys().len() as u64);
    let table = table(&report);
    assert!(table.contains(" 1  manifest\n"), "{table}");
    assert!(table.contains(" 10  objects listed\n"), "{table}");
}

#[tokio::test]
async fn a_lack_of_credentials_is_named_as_such() {
    let (world, _) = archived().await;
    let mut command = command(&world, &["--bucket", "recordings"]);
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let metadata = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    for variable in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
        command.env_remove(variable);
    }
    for variable in ["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"] {
        command.env(variable, "/dev/null");
    }
    command.env("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata);
    let output = command.output().await.unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.starts_with("error: no AWS credentials: "), "{error}");
    assert!(error.contains("AWS_PROFILE"), "{error}");
}

#[tokio::test]
async fn an_archive_of_the_function_is_in_order() {
    for etags in [Etags::Md5, Etags::Opaque] {
        let s3 = Settings {
            etags,
            ..setup().s3
        };
        let world = World::with(Setup { s3, ..setup() }).await;
        for recording in [Recording::of(&[10, 2 * PART + 1]), another(1), another(2)] {
            recording.publish(&world);
            world.deliver(&recording.event(&world)).await;
        }
        world.s3.clear_calls();
        let report = audit(&world).await;
        assert_eq!(report.status(), 0, "{report:?}");
        let counts = report.counts;
        assert_eq!((counts.objects, counts.manifests), (11, 3));
        assert_eq!((counts.compared, counts.by_checksum), (8, 8));
        assert!(report.notes.is_empty() && report.pending.is_empty());

        // Nothing is written, and no media is downloaded.
        assert_eq!(world.count("HeadObject"), 8);
        assert_eq!(world.count("GetObject"), 3);
        let reads = [
            "HeadObject",
            "GetObject",
            "ListObjectsV2",
            "ListMultipartUploads",
        ];
        let calls: usize = reads.iter().map(|operation| world.count(operation)).sum();
        assert_eq!(calls, world.s3.calls().len());
    }
}

#[tokio::test]
async fn objects_that_are_missing_or_others_are_found() {
    let (world, recording) = archived().await;
    let [missing, truncated, replaced] = &*recording.chunks else {
        panic!("three chunks")
    };
    let (missing, truncated) = (
        recording.metadata_key(missing),
        recording.media_key(truncated),
    );
    let replaced = recording.media_key(replaced);
    world.s3.remove(&missing);
    let there = world.s3.object(&truncated).unwrap();
    let size = there.size - 1;
    let short = there.body.slice(..usize::try_from(size).unwrap());
    world.s3.put(&truncated, short);
    let length = usize::try_from(world.s3.object(&replaced).unwrap().size).unwrap();
    world.s3.put(&replaced, vec![0; length]);

    let report = audit(&world).await;
    assert_eq!(report.status(), 1);
    let mut expected = [
        (EntryKind::Missing, &*missing),
        (EntryKind::SizeDiffers, &*truncated),
        (EntryKind::ChecksumDiffers, &*replaced),
    ];
    expected.sort_by_key(|(_, key)| *key);
    assert_eq!(findings(&report), expected);
    let manifest = Some(recording.manifest_key());
    assert!(report.findings.iter().all(|it| it.document == manifest));
    let of = |key: &str| report.findings.iter().find(|it| it.key == key).unwrap();
    let detail = &of(&truncated).detail;
    assert!(
        detail.starts_with(&format!("size is {size} instead of {}, ", size + 1)),
        "{detail}"
    );
    assert!(detail.contains("version is "), "{detail}");

    let table = table(&report);
    assert!(table.contains("3 findings."), "{table}");
    for text in [&*missing, "missing", "is not there", "checksumDiffers"] {
        assert!(table.contains(text), "{text}: {table}");
    }
}

#[tokio::test]
async fn without_checksums_the_etag_decides() {
    let (world, recording) = archived().await;
    let key = recording.media_key(&recording.chunks[0]);
    let there = world.s3.object(&key).unwrap();
    let put = |etag: &str| {
        let object = Object {
            etag: etag.to_owned(),
            crc64nvme: None,
            ..there.clone()
        };
        world.s3.put_object(&key, object);
    };
    put(&there.etag);
    let report = audit(&world).await;
    assert_eq!(report.status(), 0, "{report:?}");
    assert_eq!((report.counts.compared, report.counts.by_checksum), (6, 5));
    put("\"another\"");
    assert_eq!(
        findings(&audit(&world).await),
        [(EntryKind::EtagDiffers, &*key)]
    );
}

#[tokio::test]
async fn the_same_bytes_written_again_are_a_note() {
    let (world, recording) = archived().await;
    let key = recording.media_key(&recording.chunks[1]);
    let again = Object {
        version_id: "another".into(),
        ..world.s3.object(&key).unwrap()
    };
    world.s3.put_object(&key, again);
    let report = audit(&world).await;
    assert_eq!(report.status(), 0);
    assert_eq!(notes(&report), [(EntryKind::Rewritten, 1)]);
    let entry = &report.notes[&EntryKind::Rewritten].first[0];
    assert_eq!(entry.key, key);
    assert!(entry.detail.contains("version is "), "{}", entry.detail);
}

#[tokio::test]
async fn broken_manifests_are_found() {
    for broken in [
        "",
        "{",
        "[]",
        "\u{0}\u{0}",
        "{\"version\": 2}",
        "{\"version\": 1, \"event\": {}, \"chunks\": [1]}",
    ] {
        let (world, recording) = archived().await;
        let key = recording.manifest_key();
        world.s3.put(&key, broken);
        let report = audit(&world).await;
        // The manifest may have named any of the objects, so none of them is a finding.
        assert_eq!(
            findings(&report),
            [(EntryKind::Unreadable, &*key)],
            "{broken}: {report:?}"
        );
        assert_eq!(report.status(), 1);
    }
}

#[tokio::test]
async fn a_manifest_that_is_too_long_is_found() {
    let (world, recording) = archived().await;
    let key = recording.manifest_key();
    world.s3.put(&key, vec![b' '; 17 * 1024 * 1024]);
    assert_eq!(
        findings(&audit(&world).await),
        [(EntryKind::Unreadable, &*key)]
    );
}

#[tokio::test]
async fn a_manifest_that_names_what_is_not_its_own_is_found() {
    let (world, recording) = archived().await;
    let other = another(1);
    other.publish(&world);
    world.deliver(&other.event(&world)).await;
    let foreign = other.media_key(&other.chunks[0]);
    let manifest = recording.manifest_key();
    let metadata = recording.metadata_key(&recording.chunks[0]);
    for key in [
        "secrets/key.mp4",
        "recordings/../secrets.mp4",
        "",
        "\u{1b}[2J",
        &*foreign,
        &*metadata,
    ] {
        edit(&world, &manifest, |manifest| {
            manifest["chunks"][0]["media"]["key"] = key.into();
        });
        world.s3.clear_calls();
        let report = audit(&world).await;
        let entry = |kind| report.findings.iter().find(|entry| entry.kind == kind);
        assert_eq!(entry(EntryKind::Misplaced).expect(key).key, key);
        assert_eq!(
            entry(EntryKind::WithoutManifest).expect(key).key,
            recording.media_key(&recording.chunks[0])
        );
        assert_eq!(report.findings.len(), 2, "{key}");
        let calls = world.s3.calls();
        let mut asked = calls.iter().filter_map(|call| call.key.as_deref());
        assert!(
            asked.all(|key| key.starts_with("recordings/20")),
            "outside is not looked at"
        );
        assert!(!table(&report).contains('\u{1b}'));
    }
}

#[tokio::test]
async fn a_manifest_that_lacks_a_chunk_is_found() {
    let (world, recording) = archived().await;
    let manifest = recording.manifest_key();
    edit(&world, &manifest, |manifest| {
        manifest["chunks"].as_array_mut().unwrap().remove(2);
    });
    let report = audit(&world).await;
    let lacking = &recording.chunks[2];
    let mut expected = [
        (EntryKind::WithoutManifest, recording.media_key(lacking)),
        (EntryKind::WithoutManifest, recording.metadata_key(lacking)),
        (EntryKind::Incomplete, manifest.clone()),
    ];
    expected.sort_by_key(|(_, key)| key.clone());
    let found = findings(&report).into_iter();
    assert_eq!(
        found
            .map(|(kind, key)| (kind, key.to_owned()))
            .collect::<Vec<_>>(),
        expected
    );
    edit(&world, &manifest, |manifest| manifest["event"] = json!(7));
    let report = audit(&world).await;
    let incomplete = report
        .findings
        .iter()
        .find(|it| it.kind == EntryKind::Incomplete)
        .unwrap();
    assert!(incomplete.detail.contains("cannot be understood"));
}

#[tokio::test]
async fn a_rejection_is_a_finding_until_the_recording_is_archived() {
    let world = World::start().await;
    let recording = Recording::of(&[10, 20]).aged(25 * HOUR);
    recording.publish(&world);
    recording.store(&world, 2 * HOUR);
    let gone = &recording.chunks[0].document_id;
    world.acs.remove(gone);
    let event = recording.event(&world);
    let response = world.deliver(&event).await;
    assert_eq!(response.outcome(), "setAside");

    let report = audit(&world).await;
    let rejection = recording.rejection_key();
    assert_eq!(findings(&report), [(EntryKind::Rejected, &*rejection)]);
    let detail = &report.findings[0].detail;
    assert!(detail.starts_with("chunk 0 media rejected: "), "{detail}");
    // The objects that a rejection names as archived are compared.
    assert_eq!((report.counts.rejections, report.counts.compared), (1, 2));
    let kept = recording.media_key(&recording.chunks[1]);
    let object = world.s3.object(&kept).unwrap();
    world.s3.remove(&kept);
    let found = audit(&world).await;
    let mut expected = [
        (EntryKind::Missing, &*kept),
        (EntryKind::Rejected, &*rejection),
    ];
    expected.sort_by_key(|(_, key)| *key);
    assert_eq!(findings(&found), expected);
    world.s3.put_object(&kept, object);

    recording.publish(&world);
    assert_eq!(world.deliver(&event).await.status, 200);
    assert!(world.s3.object(&rejection).is_some(), "it stays");
    let report = audit(&world).await;
    assert_eq!(report.status(), 0, "{report:?}");
    assert_eq!(notes(&report), [(EntryKind::ArchivedLater, 1)]);
    assert_eq!(report.counts.compared, 4);

    // Another event of the same recording.
    let renamed = Object::new(world.s3.object(&rejection).unwrap().body);
    let rejection = format!(
        "{}/renamed-0123456789abcdef.rejected.json",
        recording.folder()
    );
    world.s3.put_object(&rejection, renamed);
    let report = audit(&world).await;
    assert_eq!(report.status(), 0, "{report:?}");
    assert_eq!(notes(&report), [(EntryKind::ArchivedLater, 2)]);
    world.s3.put(&rejection, "{}");
    assert_eq!(
        findings(&audit(&world).await),
        [(EntryKind::Unreadable, &*rejection)]
    );
}

#[tokio::test]
async fn events_that_are_set_aside_are_found_with_their_reasons() {
    let world = World::start().await;
    let event = json!({"id": "1", "eventType": "Microsoft.Communication.RecordingFileStatusUpdated", "data": {}});
    world.deliver(&json!([event])).await;
    let odd = format!("recordings/rejected/{}.json", "f".repeat(64));
    world.s3.put(&odd, "what?");
    let report = audit(&world).await;
    assert_eq!(report.status(), 1);
    assert_eq!(report.findings.len(), 2);
    for entry in &report.findings {
        assert_eq!(entry.kind, EntryKind::SetAside);
        let reason = if entry.key == odd {
            "for a reason that cannot be read"
        } else {
            "event has no readable"
        };
        assert!(entry.detail.starts_with(reason), "{}", entry.detail);
    }

    // An event set aside counts on the day when it was set aside.
    let old = now() - 400 * DAY;
    world.s3.set_last_modified(&odd, old);
    let yesterday = day(now() - DAY);
    let report = try_audit(&world, (&yesterday, "")).await.unwrap();
    assert_eq!(report.findings.len(), 1);
    let report = try_audit(&world, ("", &day(old))).await.unwrap();
    assert_eq!(findings(&report), [(EntryKind::SetAside, &*odd)]);
}

/// A day as options have it.
pub fn day(at: SystemTime) -> String {
    time::OffsetDateTime::from(at).date().to_string()
}

#[tokio::test]
async fn pending_events_are_listed_and_found_after_a_day() {
    let world = World::start().await;
    let (young, old) = (another(1).aged(HOUR), another(2).aged(30 * HOUR));
    let keys = [&young, &old].map(|recording| {
        let key = recording.event_key();
        world.s3.put(&key, recording.event(&world).to_string());
        key
    });
    // An object of a pending event is no finding.
    let begun = young.media_key(&young.chunks[0]);
    world.s3.put(&begun, "media");
    let broken = "recordings/pending/20200101T000000.0000000Z-x-0123456789abcdef/event.json";
    world.s3.put(broken, "no event");
    world.s3.set_last_modified(broken, now() - 3 * HOUR);

    let report = audit(&world).await;
    assert_eq!(findings(&report), [(EntryKind::Overdue, &*keys[1])]);
    assert_eq!(notes(&report), [(EntryKind::NotUnderstood, 1)]);
    assert_eq!(report.counts.unfinished, 1);
    let listed: Vec<_> = report.pending.iter().map(|it| &*it.key).collect();
    assert_eq!(listed, [&*keys[1], broken, &*keys[0]], "the oldest first");
    let pending = report.pending.last().unwrap();
    assert_eq!(pending.event_id, young.event_id);
    assert_eq!(pending.folder, Some(format!("{}/", young.folder())));
    let near = |seconds: u64, hours: u64| seconds.abs_diff(hours * 3600) <= 60;
    assert!(near(pending.age_seconds, 1) && near(pending.seconds_left, 23));
    assert!(near(report.pending[1].age_seconds, 3));
    assert_eq!(report.pending[0].seconds_left, 0);
    let table = table(&report);
    assert!(table.contains("1 h 0 min"), "{table}");
    assert!(table.contains("no longer"), "{table}");

    world.s3.remove(&keys[1]);
    assert_eq!(audit(&world).await.status(), 0);
    world.s3.remove(&keys[0]);
    let report = audit(&world).await;
    assert_eq!(findings(&report), [(EntryKind::WithoutManifest, &*begun)]);
}

#[tokio::test]
async fn an_event_that_arrives_meanwhile_is_found() {
    let world = World::start().await;
    let recording = another(1);
    let media = recording.media_key(&recording.chunks[0]);
    world.s3.put(&media, "media");
    let event = recording.event(&world).to_string();
    let pending = recording.event_key();
    // The event arrives after `pending/` was listed.
    let s3 = world.s3.clone();
    world.s3.inject(move |call| {
        if call.operation == "ListMultipartUploads" {
            s3.put(&pending, event.clone());
        }
        None
    });
    let report = audit(&world).await;
    world.s3.heal();
    assert_eq!(report.status(), 0, "{report:?}");
}

#[tokio::test]
async fn uploads_that_no_record_names_are_found() {
    let world = World::start().await;
    let recording = another(1);
    let media = recording.media_key(&recording.chunks[0]);
    let event = recording.event(&world).to_string();
    world.s3.put(&recording.event_key(), event);
    // One key has more uploads than a page.
    let mut orphans: Vec<String> = (0..5).map(|_| world.s3.begin(&media)).collect();
    let recorded = orphans.pop().unwrap();
    orphans.push(world.s3.begin("recordings/notes.txt"));
    let young = world.s3.begin(&media);
    let _elsewhere = world.s3.begin("other/notes.txt");
    for orphan in orphans.iter().chain([&recorded]) {
        world.s3.set_initiated(orphan, now() - HOUR);
    }
    let record = recording.record_key(&recording.chunks[0]);
    let json = json!({"key": media, "uploadId": recorded, "length": 1, "partSize": 1});
    world.s3.put(&record, json.to_string());

    let report = audit(&world).await;
    assert_eq!(report.status(), 1);
    let found = report.findings.iter().map(|entry| {
        assert_eq!(entry.kind, EntryKind::OrphanedUpload);
        assert!(entry.detail.contains("1 h 0 min"), "{}", entry.detail);
        entry.upload_id.clone().unwrap()
    });
    let mut found: Vec<String> = found.collect();
    found.sort();
    orphans.sort();
    assert_eq!(found, orphans);
    assert_eq!(report.counts.uploads, 7);
    assert_eq!(notes(&report), [(EntryKind::YoungUpload, 1)]);
    let entry = &report.notes[&EntryKind::YoungUpload].first[0];
    assert_eq!(entry.upload_id.as_ref(), Some(&young));
    assert!(table(&report).contains(&format!("upload {}", orphans[0])));

    // A record without its event is the schedule's to end; a broken one names nothing.
    for orphan in &orphans {
        world.s3.abort(orphan);
    }
    world.s3.remove(&recording.event_key());
    let report = audit(&world).await;
    assert_eq!(report.status(), 0, "{report:?}");
    assert_eq!(
        notes(&report),
        [(EntryKind::LeftOver, 1), (EntryKind::YoungUpload, 1)]
    );
    world.s3.put(&record, "{}");
    let report = audit(&world).await;
    let mut expected = [
        (EntryKind::Unreadable, &*record),
        (EntryKind::OrphanedUpload, &media),
    ];
    expected.sort_by_key(|(_, key)| *key);
    assert_eq!(findings(&report), expected);
}

#[tokio::test]
async fn foreign_objects_are_counted_and_the_first_are_shown() {
    let (world, _) = archived().await;
    for number in 10..25 {
        world.s3.put(&format!("recordings/x/{number}.txt"), "x");
    }
    world.s3.put("recordings/pending/notes.txt", "x");
    world.s3.put("recordings/rejected/notes.txt", "x");
    world.s3.put("elsewhere/notes.txt", "x");
    let report = audit(&world).await;
    assert_eq!(report.status(), 0);
    assert_eq!(notes(&report), [(EntryKind::Foreign, 17)]);
    let first = &report.notes[&EntryKind::Foreign].first;
    assert_eq!(first.len(), 10);
    assert_eq!(first[0].key, "recordings/pending/notes.txt");
    let table = table(&report);
    assert!(
        table.contains("foreign  recordings/pending/notes.txt"),
        "{table}"
    );
    assert!(table.contains("and 7 more"), "{table}");
}

#[tokio::test]
async fn only_the_days_that_are_asked_for_are_audited() {
    let world = World::start().await;
    let mut recordings = Vec::new();
    for number in [0, 1, 2, 3] {
        let recording = another(number);
        recording.publish(&world);
        world.deliver(&recording.event(&world)).await;
        // The objects are moved, as if they had been archived on that day.
        let earlier = recording.clone().aged(number * DAY);
        for (key, object) in world.s3.objects() {
            if key.contains(&recording.call_id) {
                let moved = key.replace(&recording.folder(), &earlier.folder());
                world.s3.remove(&key);
                world.s3.put_object(&moved, object);
            }
        }
        let missing = earlier.manifest_key();
        world.s3.remove(&missing);
        recordings.push(earlier);
    }
    let day_of = |number: usize| day(recordings[number].started.unwrap());
    let calls = |report: &Report| {
        let mut calls: Vec<u32> = Vec::new();
        for (number, recording) in (0..).zip(&recordings) {
            if report
                .findings
                .iter()
                .any(|it| it.key.contains(&recording.call_id))
            {
                calls.push(number);
            }
        }
        calls
    };
    for (from, to, expected) in [
        (None, None, vec![0, 1, 2, 3]),
        (Some(2), Some(1), vec![1, 2]),
        (Some(2), Some(2), vec![2]),
        (Some(1), None, vec![0, 1]),
        (None, Some(1), vec![1, 2, 3]),
    ] {
        let text = |number: Option<usize>| number.map(day_of).unwrap_or_default();
        let days = (text(from), text(to));
        let report = try_audit(&world, (&days.0, &days.1)).await.unwrap();
        assert_eq!(calls(&report), expected, "{days:?}");
        assert_eq!(report.from.is_some(), from.is_some());
    }
}

#[test]
fn days_are_read_and_must_be_in_order() {
    for text in [
        "",
        "2026-13-01",
        "2026-02-30",
        "23.11.2026",
        "2026-11-23T00:00:00Z",
        "2026-1-2",
    ] {
        assert!(Day::parse(text).is_err(), "{text}");
    }
    let day = |text| Some(Day::parse(text).unwrap());
    assert!(Window::new(day("2026-11-23"), day("2026-11-23")).is_ok());
    assert!(Window::new(day("2026-11-24"), day("2026-11-23")).is_err());
}

#[test]
fn a_day_has_its_first_moment_and_not_that_of_the_next() {
    let day = || Some(Day::parse("2026-11-23").unwrap());
    let window = Window::new(day(), day()).unwrap();
    // 2026-11-23T00:00:00Z.
    let begins = SystemTime::UNIX_EPOCH + DAY * 20_780;
    let moment = Duration::from_millis(1);
    for (at, holds) in [
        (begins - moment, false),
        (begins, true),
        (begins + DAY - moment, true),
        (begins + DAY, false),
    ] {
        assert_eq!(window.has(Some(at)), holds, "{at:?}");
    }
    assert!(window.has(None));
}

#[tokio::test]
async fn a_store_that_refuses_to_list_ends_the_audit() {
    for operation in ["ListObjectsV2", "ListMultipartUploads"] {
        let (world, _) = archived().await;
        world.s3.inject(move |call| {
            (call.operation == operation).then_some(Fault::Refuse {
                status: 403,
                code: "AccessDenied",
            })
        });
        let failure = try_audit(&world, ("", "")).await.unwrap_err();
        let said = acs_recording_archiver::error_chain::error_chain(&failure);
        assert!(
            said.starts_with("bucket recordings cannot be listed: S3 answered")
                && said.contains("403 AccessDenied"),
            "{said}"
        );
    }
}

#[tokio::test]
async fn an_object_that_cannot_be_looked_at_leaves_the_audit_incomplete() {
    let (world, recording) = archived().await;
    let (media, missing) = (
        recording.media_key(&recording.chunks[0]),
        recording.media_key(&recording.chunks[1]),
    );
    world.s3.remove(&missing);
    let refused = media.clone();
    world.s3.inject(move |call| {
        (call.key.as_ref() == Some(&refused)).then_some(Fault::Refuse {
            status: 403,
            code: "AccessDenied",
        })
    });
    let report = audit(&world).await;
    assert_eq!(report.status(), 2);
    assert_eq!(findings(&report), [(EntryKind::Missing, &*missing)]);
    assert_eq!(report.unread.len(), 1);
    assert_eq!(report.unread[0].key, media);
    assert!(table(&report).contains("1 finding, but 1 could not be read"));

    world.s3.inject(|call| {
        (call.operation == "GetObject").then_some(Fault::Refuse {
            status: 403,
            code: "AccessDenied",
        })
    });
    let report = audit(&world).await;
    assert_eq!(report.status(), 2);
    assert_eq!(report.unread[0].key, recording.manifest_key());
    for number in 0..200 {
        let folder = format!("recordings/2026/11/23/call-{number}/150211Z");
        world
            .s3
            .put(&format!("{folder}/e-0123456789abcdef.manifest.json"), "{}");
    }
    let failure = try_audit(&world, ("", "")).await.unwrap_err();
    assert!(matches!(failure, Failure::Unread { .. }), "{failure}");
}

#[tokio::test]
async fn the_metadata_of_an_object_is_compared_with_its_key() {
    let (world, recording) = archived().await;
    let key = recording.media_key(&recording.chunks[1]);
    let there = world.s3.object(&key).unwrap();
    for (name, value) in [
        ("document-id", Some("0-eus-another")),
        ("location", Some("0123456789abcdef")),
        ("source-length", Some("1")),
        ("document-id", None),
        ("location", None),
    ] {
        let mut object = there.clone();
        match value {
            Some(value) => object.metadata.insert(name.to_owned(), value.to_owned()),
            None => object.metadata.remove(name),
        };
        world.s3.put_object(&key, object);
        let report = audit(&world).await;
        assert_eq!(
            findings(&report),
            [(EntryKind::OriginDiffers, &*key)],
            "{name}"
        );
        let detail = &report.findings[0].detail;
        assert!(detail.starts_with(&format!("{name} is ")), "{detail}");
    }
    world.s3.put_object(&key, there);
    assert_eq!(audit(&world).await.status(), 0);
}

#[tokio::test]
async fn a_manifest_that_names_another_chunks_key_is_found() {
    let (world, recording) = archived().await;
    let manifest = recording.manifest_key();
    edit(&world, &manifest, |manifest| {
        let other = manifest["chunks"][1]["media"].clone();
        manifest["chunks"][0]["media"] = other;
    });
    let report = audit(&world).await;
    let (own, other) = (
        recording.media_key(&recording.chunks[0]),
        recording.media_key(&recording.chunks[1]),
    );
    let found = findings(&report);
    let expected = [
        (EntryKind::WithoutManifest, &*own),
        (EntryKind::Misplaced, &*other),
    ];
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_manifest_of_another_event_or_location_is_found() {
    let (world, recording) = archived().await;
    let manifest = recording.manifest_key();
    let original = world.s3.object(&manifest).unwrap();
    let key = recording.media_key(&recording.chunks[0]);
    let other = format!("{}0123456789abcdef.mp4", &key[..key.len() - 20]);
    world.s3.put_object(&other, world.s3.object(&key).unwrap());
    edit(&world, &manifest, |manifest| {
        manifest["chunks"][0]["media"]["key"] = other.as_str().into();
    });
    let report = audit(&world).await;
    let found = findings(&report);
    for finding in [
        (EntryKind::Incomplete, &*manifest),
        (EntryKind::OriginDiffers, &other),
        (EntryKind::WithoutManifest, &key),
    ] {
        assert!(found.contains(&finding), "{found:?}");
    }
    world.s3.put_object(&manifest, original);
    world.s3.remove(&other);
    edit(&world, &manifest, |manifest| {
        manifest["event"]["id"] = "another".into();
    });
    let report = audit(&world).await;
    assert_eq!(findings(&report), [(EntryKind::Incomplete, &*manifest)]);
    assert!(report.findings[0].detail.contains("another event"));
}

#[tokio::test]
async fn an_event_of_the_future_is_found_and_ages_all_the_same() {
    let world = World::start().await;
    let mut ahead = another(1);
    ahead.event_time = ahead.event_time.map(|now| now + 1_000 * DAY);
    let mut soon = another(2);
    soon.event_time = soon.event_time.map(|now| now + Duration::from_mins(1));
    let keys = [&ahead, &soon].map(|recording| {
        let key = recording.event_key();
        world.s3.put(&key, recording.event(&world).to_string());
        key
    });
    world.s3.set_last_modified(&keys[0], now() - 30 * HOUR);
    let report = audit(&world).await;
    let expected = [
        (EntryKind::Overdue, &*keys[0]),
        (EntryKind::Postdated, &*keys[0]),
    ];
    assert_eq!(findings(&report), expected);
}

#[tokio::test]
async fn a_bucket_of_unfinished_work_is_looked_at() {
    let world = World::with(setup_with_work()).await;
    let work = world.s3.of(WORK);
    for (number, form) in [(1, Form::Current), (2, Form::Preview2021)] {
        let recording = another(number).in_form(form).aged(HOUR);
        let key = format!("{}/event.json", recording.work());
        work.put(&key, recording.event(&world).to_string());
        let begun = recording.media_key(&recording.chunks[0]);
        world.s3.put(&begun, "media");
    }
    work.put("pending/notes.txt", "x");
    // In the archive's bucket, no function owns this prefix.
    world.s3.put("recordings/pending/notes.txt", "x");
    let report = audit(&world).await;
    assert_eq!(report.status(), 0, "{report:?}");
    assert_eq!(report.pending.len(), 2);
    assert_eq!(report.counts.unfinished, 2);
    assert_eq!(notes(&report), [(EntryKind::Foreign, 2)]);
    assert_eq!(report.work_bucket.as_deref(), Some(WORK));

    let arguments = ["--bucket", "recordings", "--work-bucket", WORK];
    let built = [&arguments[..], &["--force-path-style", "--format", "json"]].concat();
    let json: Value = serde_json::from_slice(&run(&world, &built).await.stdout).unwrap();
    assert_eq!(json["workBucket"], WORK);
    assert_eq!(json["pending"].as_array().unwrap().len(), 2);
}

/// A recording of a file of `tests/media`, archived.
pub async fn archived_file(world: &World, name: &str) -> Recording {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/media/");
    let bytes = std::fs::read(format!("{folder}{name}")).unwrap();
    let mut recording = another(7);
    recording.chunks[0].media = Media::file(Format::Mp4, bytes);
    recording.publish(world);
    let mut event = recording.event(world);
    event["data"]["recordingDurationMs"] = 2000.into();
    assert_eq!(world.deliver(&event).await.status, 200);
    recording
}

#[tokio::test]
async fn doubtful_recordings_are_listed_and_are_no_findings() {
    // Its first chunk has ten bytes.
    let (world, doubtful) = archived().await;
    archived_file(&world, "last.mp4").await;
    let report = audit(&world).await;
    assert_eq!(report.status(), 0, "{report:?}");
    let keys: Vec<_> = report.doubtful.iter().map(|entry| &entry.key).collect();
    assert_eq!(keys, [&doubtful.manifest_key()]);
    let detail = &report.doubtful[0].detail;
    assert!(
        detail.starts_with("chunk 0 is truncated: `ftyp` box"),
        "{detail}"
    );
    let table = table(&report);
    for text in ["\nDOUBTFUL\n", &doubtful.manifest_key(), detail] {
        assert!(table.contains(text), "{text}: {table}");
    }
}

/// Removes the verdicts of a manifest, or replaces them.
pub fn forget(world: &World, recording: &Recording, verdict: Option<&str>) {
    edit(world, &recording.manifest_key(), |manifest| {
        if verdict.is_none() {
            manifest.as_object_mut().unwrap().remove("check");
        } else {
            manifest["check"]["doubts"] = json!([]);
        }
        for chunk in manifest["chunks"].as_array_mut().unwrap() {
            match verdict {
                Some(verdict) => chunk["check"]["verdict"] = verdict.into(),
                None => drop(chunk.as_object_mut().unwrap().remove("check")),
            }
        }
    });
}

#[tokio::test]
async fn media_without_a_verdict_is_examined_where_that_is_asked_for() {
    for verdict in [None, Some("unknown")] {
        let (world, doubtful) = archived().await;
        let good = archived_file(&world, "mfra.mp4").await;
        for recording in [&doubtful, &good] {
            forget(&world, recording, verdict);
        }
        let report = audit(&world).await;
        assert!(report.doubtful.is_empty(), "{report:?}");
        world.s3.clear_calls();

        let report = audit_media(&world).await;
        assert_eq!(
            (report.status(), report.counts.examined),
            (0, 4),
            "{report:?}"
        );
        let keys: Vec<_> = report.doubtful.iter().map(|entry| &entry.key).collect();
        assert_eq!(keys, [&doubtful.manifest_key()]);
        // Ranges of media and nothing else.
        let calls = world.s3.calls();
        let reads = calls.iter().filter(|call| call.operation == "GetObject");
        let (ranges, documents): (Vec<_>, Vec<_>) =
            reads.partition(|call| call.headers.contains_key("range"));
        let is_media = |key: &Option<String>| {
            key.as_deref()
                .is_some_and(|key| key.rsplit('.').next() == Some("mp4"))
        };
        assert!(ranges.iter().all(|call| is_media(&call.key)));
        assert!((4..=12).contains(&ranges.len()) && documents.len() == 2);
    }
}

#[tokio::test]
async fn media_with_a_verdict_is_not_examined_again() {
    let (world, _) = archived().await;
    archived_file(&world, "last.mp4").await;
    let report = audit_media(&world).await;
    assert_eq!((report.doubtful.len(), report.counts.examined), (1, 0));
}

#[tokio::test]
async fn media_with_another_etag_is_examined_if_its_bytes_are_the_same() {
    let (world, recording) = archived().await;
    forget(&world, &recording, None);
    let key = recording.media_key(&recording.chunks[0]);
    let rewritten = Object {
        etag: "\"another\"".to_owned(),
        ..world.s3.object(&key).unwrap()
    };
    world.s3.put_object(&key, rewritten);
    let report = audit_media(&world).await;
    assert_eq!((report.status(), report.counts.examined), (0, 3));
    assert_eq!(notes(&report), [(EntryKind::Rewritten, 1)]);
    let detail = &report.doubtful[0].detail;
    assert!(detail.starts_with("chunk 0 is truncated: "), "{detail}");
}

#[tokio::test]
async fn media_that_cannot_be_examined_is_unread() {
    let (world, recording) = archived().await;
    forget(&world, &recording, None);
    world.s3.inject(|call| {
        let is_read = call.operation == "GetObject" && call.headers.contains_key("range");
        is_read.then_some(Fault::Refuse {
            status: 403,
            code: "AccessDenied",
        })
    });
    let report = audit_media(&world).await;
    assert_eq!(report.status(), 2);
    assert_eq!(
        report.unread[0].key,
        recording.media_key(&recording.chunks[0])
    );
    // A missing object is a finding of the comparison alone.
    world.s3.heal();
    world.s3.remove(&recording.media_key(&recording.chunks[0]));
    let report = audit_media(&world).await;
    assert_eq!((report.status(), report.unread.len()), (1, 0), "{report:?}");
}

#[tokio::test]
async fn the_json_has_its_documented_form() {
    let (world, recording) = archived().await;
    let missing = recording.media_key(&recording.chunks[0]);
    world.s3.remove(&missing);
    world.s3.put("recordings/notes.txt", "x");
    let young = another(1).aged(HOUR);
    let pending = young.event_key();
    world.s3.put(&pending, young.event(&world).to_string());
    let mut json: Value = serde_json::from_str(&audit(&world).await.to_json()).unwrap();
    let doubt = json["doubtful"][0]["detail"].take();
    assert!(
        doubt
            .as_str()
            .unwrap()
            .starts_with("chunk 0 is truncated: "),
        "{doubt}"
    );
    for field in ["ageSeconds", "secondsLeft"] {
        assert!(json["pending"][0][field].take().is_u64());
    }
    let days = json["days"].take();
    let of_all = |kind: &str| {
        let days = days.as_object().unwrap().values();
        days.map(|day| day[kind].as_u64().unwrap()).sum::<u64>()
    };
    let kinds = ["archived", "doubtful", "pending", "rejected", "missing"];
    assert_eq!(kinds.map(of_all), [0, 1, 1, 0, 0]);
    let entry = |key: &str, what, document: Value, detail| json!({"key": key, "what": what, "document": document, "uploadId": null, "detail": detail});
    assert_eq!(
        json,
        json!({
            "version": 1,
            "bucket": "recordings", "workBucket": null,
            "prefix": "recordings/",
            "from": null,
            "to": null,
            "inOrder": false,
            "counts": {
                "objects": 8, "manifests": 1, "rejections": 0, "compared": 5, "byChecksum": 5,
                "examined": 0, "unfinished": 0, "uploads": 0,
            },
            "days": null,
            "doubtful": [{
                "key": recording.manifest_key(), "what": "doubtful", "document": null, "uploadId": null, "detail": null,
            }],
            "findings": [entry(&missing, "missing", recording.manifest_key().into(), "is not there")],
            "pending": [{
                "key": pending, "eventId": "another-1", "folder": format!("{}/", young.folder()),
                "ageSeconds": null, "secondsLeft": null,
            }],
            "notes": {"foreign": {
                "count": 1, "first": [entry("recordings/notes.txt", "foreign", Value::Null, "has no form of ours")],
            }},
            "unread": [],
        })
    );
}

#[tokio::test]
async fn names_are_the_same_in_json_and_in_the_help() {
    let world = World::start().await;
    let help = String::from_utf8(run(&world, &["--help"]).await.stdout).unwrap();
    for kind in [
        EntryKind::Missing,
        EntryKind::SizeDiffers,
        EntryKind::ChecksumDiffers,
        EntryKind::OriginDiffers,
        EntryKind::EtagDiffers,
        EntryKind::Misplaced,
        EntryKind::Incomplete,
        EntryKind::Unreadable,
        EntryKind::Rejected,
        EntryKind::SetAside,
        EntryKind::Overdue,
        EntryKind::Postdated,
        EntryKind::WithoutManifest,
        EntryKind::OrphanedUpload,
        EntryKind::NeverArchived,
        EntryKind::ChunksDiffer,
        EntryKind::LengthDiffers,
        EntryKind::UnsureMatch,
        EntryKind::Rewritten,
        EntryKind::ArchivedLater,
        EntryKind::NotUnderstood,
        EntryKind::LeftOver,
        EntryKind::YoungUpload,
        EntryKind::Foreign,
        EntryKind::NotInLog,
        EntryKind::OnItsWay,
        EntryKind::Doubtful,
    ] {
        assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        let line = format!("\n  {} ", kind.name());
        assert!(help.contains(&line), "{}: {help}", kind.name());
    }
    for status in ["\n  0  ", "\n  1  ", "\n  2  "] {
        assert!(help.contains(status), "{help}");
    }
}

/// Runs the built command over the bucket of a world.
pub async fn run(world: &World, arguments: &[&str]) -> Output {
    command(world, arguments).output().await.unwrap()
}

/// The built command over the bucket of a world.
pub fn command(world: &World, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_audit"));
    command
        .args(arguments)
        .env("AWS_ACCESS_KEY_ID", world.s3.access_key_id())
        .env("AWS_SECRET_ACCESS_KEY", world.s3.secret_access_key())
        .env("AWS_REGION", "eu-central-1")
        .env("AWS_ENDPOINT_URL_S3", world.s3.endpoint())
        .stdin(Stdio::null());
    for unwanted in [
        "AWS_PROFILE",
        "AWS_SESSION_TOKEN",
        "AWS_ENDPOINT_URL",
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    ] {
        command.env_remove(unwanted);
    }
    command
}

#[tokio::test]
async fn the_exit_status_tells_the_result() {
    let (world, recording) = archived().await;
    let bucket = ["--bucket", "recordings", "--force-path-style"];
    let in_order = run(&world, &bucket).await;
    let text = String::from_utf8(in_order.stdout).unwrap();
    let error = String::from_utf8(in_order.stderr).unwrap();
    assert_eq!(in_order.status.code(), Some(0), "{text}{error}");
    assert!(text.ends_with("All is in order.\n"), "{text}");
    assert_eq!(error, "", "a short run says nothing");

    world.s3.remove(&recording.media_key(&recording.chunks[0]));
    let found = run(&world, &[&bucket[..], &["--format", "json"]].concat()).await;
    assert_eq!(found.status.code(), Some(1));
    let json: Value = serde_json::from_slice(&found.stdout).unwrap();
    assert_eq!(json["findings"][0]["what"], "missing");

    for (arguments, said) in [
        (&[][..], "--bucket"),
        (&["--bucket", "recordings", "--prefix", "/x"], "slash"),
        (
            &["--bucket", "recordings", "--from", "yesterday"],
            "2026-11-23",
        ),
        (
            &[
                "--bucket",
                "recordings",
                "--from",
                "2026-11-24",
                "--to",
                "2026-11-23",
            ],
            "--from is after --to",
        ),
        (
            &["--bucket", "another", "--force-path-style"],
            "NoSuchBucket",
        ),
    ] {
        let failed = run(&world, arguments).await;
        let error = String::from_utf8(failed.stderr).unwrap();
        assert_eq!(failed.status.code(), Some(2), "{error}");
        assert!(error.contains(said), "{error}");
        assert!(failed.stdout.is_empty());
    }
}

#[tokio::test]
async fn a_long_run_shows_its_progress_on_the_error_output() {
    let (world, _) = archived().await;
    let hung = AtomicBool::new(false);
    world.s3.inject(move |call| {
        let first = call.operation == "ListMultipartUploads" && !hung.swap(true, Ordering::Relaxed);
        first.then_some(Fault::Hang(Duration::from_secs(6)))
    });
    let output = run(
        &world,
        &[
            "--bucket",
            "recordings",
            "--force-path-style",
            "--format",
            "json",
        ],
    )
    .await;
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{error}");
    assert!(error.contains("objects listed, "), "{error}");
    assert!(serde_json::from_slice::<Value>(&output.stdout).is_ok());
}
