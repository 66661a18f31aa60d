//! Searches for recordings by the facts that people know.

use std::time::Duration;

use emulators::s3::Fault;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::audit::{another, day, now, run};
use harness::world::{Recording, World};

const HOUR: Duration = Duration::from_hours(1);

async fn world() -> (World, Vec<Recording>) {
    let world = World::start().await;
    let recordings = [(1, 1), (2, 1), (3, 50), (4, 900)].map(|(number, age)| {
        let mut recording = another(number).aged(age * HOUR);
        recording.chunks[0].document_id =
            format!("0-eus-d{number}-801b3f3fc462fe8a01e6810cbff729b8");
        recording
    });
    for recording in &recordings {
        recording.publish(&world);
        recording.store(&world, HOUR);
        let answer = world.deliver(&recording.event(&world)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    world.s3.clear_calls();
    (world, recordings.to_vec())
}

/// Searches, and returns exit status, the JSON's manifests and the error output.
async fn find(world: &World, arguments: &[&str]) -> (i32, Vec<Value>, String) {
    let always = [
        "find",
        "--bucket",
        "recordings",
        "--force-path-style",
        "--format",
        "json",
    ];
    let output = run(world, &[&always[..], arguments].concat()).await;
    let error = String::from_utf8(output.stderr).unwrap();
    let found: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| {
        assert!(
            output.stdout.is_empty(),
            "{output:?}",
            output = String::from_utf8_lossy(&output.stdout)
        );
        vec![]
    });
    (output.status.code().unwrap(), found, error)
}

fn documents(found: &[Value]) -> Vec<&str> {
    found
        .iter()
        .map(|it| it["document"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn a_recording_is_found_by_call_document_id_and_days() {
    let (world, recordings) = world().await;
    let third = &recordings[2];
    for arguments in [
        ["--call", &*third.call_id],
        ["--document", &*third.chunks[0].document_id],
    ] {
        world.s3.clear_calls();
        let (status, found, error) = find(&world, &arguments).await;
        assert_eq!(status, 0, "{error}");
        assert_eq!(documents(&found), [third.manifest_key()]);
        assert_eq!(
            found[0]["objects"][0]["key"],
            third.media_key(&third.chunks[0])
        );
        // Not the manifests of all.
        assert_eq!(world.count("GetObject"), 1);
        assert_eq!(world.count("HeadObject"), 0);
    }

    let (from, to) = (day(now() - 60 * HOUR), day(now() - 40 * HOUR));
    let (status, found, _) = find(&world, &["--from", &from, "--to", &to]).await;
    assert_eq!(
        (status, documents(&found)),
        (0, vec![&*third.manifest_key()])
    );
    let (_, found, _) = find(&world, &["--to", &to]).await;
    assert_eq!(
        documents(&found),
        [recordings[3].manifest_key(), third.manifest_key()],
        "by day"
    );

    let (status, found, error) = find(&world, &["--call", "nobody"]).await;
    assert_eq!((status, found.len()), (1, 0), "{error}");
    assert!(error.contains("Nothing found."), "{error}");
}

#[tokio::test]
async fn a_recording_is_found_by_its_id_or_by_a_text_in_its_metadata() {
    let (world, recordings) = world().await;
    let second = &recordings[1];
    let (status, found, error) = find(
        &world,
        &["--recording", "eyJQbGF0", "--call", &second.call_id],
    )
    .await;
    assert_eq!(
        (status, documents(&found)),
        (0, vec![&*second.manifest_key()]),
        "{error}"
    );
    let (status, found, _) = find(&world, &["--recording", "eyJQbGF1"]).await;
    assert_eq!((status, found.len()), (1, 0));

    let text = second.chunks[0].document_id.to_uppercase();
    let (status, found, error) = find(&world, &["--participant", &text]).await;
    assert_eq!(
        (status, documents(&found)),
        (0, vec![&*second.manifest_key()]),
        "{error}"
    );
    assert_eq!(world.count("HeadObject"), 0);
}

#[tokio::test]
async fn a_pending_event_is_found_too() {
    let (world, _) = world().await;
    let pending = another(7).aged(HOUR);
    pending.store(&world, HOUR);
    let (status, found, error) = find(&world, &["--call", &pending.call_id]).await;
    assert_eq!(status, 0, "{error}");
    assert_eq!(found[0]["state"], "pending");
    assert!(found[0]["secondsLeft"].is_u64());
}

#[tokio::test]
async fn a_link_plays_the_media_and_goes_to_the_standard_output_alone() {
    let (world, recordings) = world().await;
    let first = &recordings[0];
    let (status, found, error) = find(&world, &["--call", &first.call_id, "--presign", "5"]).await;
    assert_eq!((status, error.as_str()), (0, ""));
    let link = found[0]["links"][0].as_str().unwrap();
    assert!(link.contains("X-Amz-Expires=300"), "{link}");
    let (address, path) = link
        .strip_prefix("http://")
        .unwrap()
        .split_once('/')
        .unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET /{path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(
        answer.starts_with(b"HTTP/1.1 200"),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    let chunk = &first.chunks[0];
    assert!(answer.ends_with(&chunk.media.bytes(0..chunk.media.length())));

    let arguments = [
        "find",
        "--bucket",
        "recordings",
        "--force-path-style",
        "--call",
        &first.call_id,
    ];
    let output = run(&world, &arguments).await;
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(
        table.contains(&first.manifest_key()) && !table.contains("X-Amz"),
        "{table}"
    );
}

#[tokio::test]
async fn a_search_without_criteria_or_permissions_fails() {
    let (world, recordings) = world().await;
    for (arguments, said) in [
        (&[][..], "name what to find"),
        (&["--call", " "], "is empty"),
        (&["--call", "c", "--presign", "0"], "0 is not in"),
        (
            &["--call", "c", "--format", "html"],
            "as a table or as JSON",
        ),
        (
            &["--from", "2026-11-24", "--to", "2026-11-23"],
            "--from is after --to",
        ),
    ] {
        let output = run(
            &world,
            &[&["find", "--bucket", "recordings"], arguments].concat(),
        )
        .await;
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(said), "{error}");
    }
    let refused = recordings[0].manifest_key();
    world.s3.inject(move |call| {
        (call.operation == "GetObject" && call.key.as_ref() == Some(&refused)).then_some(
            Fault::Refuse {
                status: 403,
                code: "AccessDenied",
            },
        )
    });
    let (status, found, error) = find(&world, &["--from", "2020-01-01"]).await;
    assert_eq!((status, found.len()), (2, 3), "{error}");
    assert!(error.contains("could not be read"), "{error}");
}

#[tokio::test]
async fn a_search_gives_up_when_many_objects_cannot_be_read() {
    let (world, _) = world().await;
    let unread = another(7).aged(HOUR);
    unread.store(&world, HOUR);
    world.s3.inject(|call| {
        (call.operation == "GetObject").then_some(Fault::Refuse {
            status: 403,
            code: "AccessDenied",
        })
    });
    let (status, found, error) = find(&world, &["--call", &unread.call_id]).await;
    assert_eq!((status, found.len()), (2, 0), "{error}");
    assert!(error.contains("event.json: S3 answered"), "{error}");

    for number in 0..200 {
        let folder = format!("recordings/2026/11/23/call-{number}/150211Z");
        let key = format!("{folder}/e-0123456789abcdef.manifest.json");
        world.s3.put(&key, "{}");
    }
    let (status, found, error) = find(&world, &["--from", "2020-01-01"]).await;
    assert_eq!((status, found.len()), (2, 0), "{error}");
    assert!(
        error.starts_with("error: 100 objects could not be read"),
        "{error}"
    );
}
