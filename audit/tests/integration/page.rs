//! The HTML page: one file, every value escaped. `tests/browser.py` opens the page that a test here
//! writes.

use std::path::Path;
use std::time::Duration;

use emulators::s3::Object;
use serde_json::json;

use crate::audit::{another, archived, archived_file, forget, run};
use harness::world::World;

const HOUR: Duration = Duration::from_hours(1);
const HOSTILE: &str = "<script>alert(1)</script>\"'&";

/// The page of an archive.
async fn page(world: &World, more: &[&str]) -> (i32, String) {
    let arguments = [
        "--bucket",
        "recordings",
        "--force-path-style",
        "--format",
        "html",
    ];
    let output = run(world, &[&arguments[..], more].concat()).await;
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(error, "");
    let page = String::from_utf8(output.stdout).unwrap();
    assert!(
        page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>\n"),
        "{page}"
    );
    (output.status.code().unwrap(), page)
}

#[tokio::test]
async fn a_page_begins_with_its_verdict() {
    let (world, recording) = archived().await;
    let (status, good) = page(&world, &["--made-by", "Ada"]).await;
    assert_eq!(status, 0);
    assert!(
        good.contains("All is in order.") && good.contains("<dd>Ada</dd>"),
        "{good}"
    );
    let media = world
        .s3
        .object(&recording.media_key(&recording.chunks[0]))
        .unwrap();
    for value in [
        &*recording.call_id,
        &*recording.manifest_key(),
        media.crc64nvme.as_deref().unwrap(),
    ] {
        assert!(good.contains(value), "{value}: {good}");
    }
    let verdict = good.find("All is in order.").unwrap();
    assert!(verdict < good.find("<svg").unwrap());
    assert!(verdict < good.find("Every recording").unwrap());

    world.s3.remove(&recording.media_key(&recording.chunks[0]));
    let (status, bad) = page(&world, &[]).await;
    assert_eq!(status, 1);
    assert!(
        bad.contains("1 finding.") && bad.contains("doubtful"),
        "{bad}"
    );
}

#[tokio::test]
async fn a_page_shows_the_verdict_of_a_new_examination() {
    let world = World::start().await;
    let recording = archived_file(&world, "mfra.mp4").await;
    forget(&world, &recording, None);
    let verdict = |text: &str| format!("<td data-label=\"Media\">{text}</td>");
    let (_, before) = page(&world, &[]).await;
    let none = verdict("<span class=\"faint\">not examined</span>");
    assert!(before.contains(&none), "{before}");
    let (_, after) = page(&world, &["--check-media"]).await;
    assert!(after.contains(&verdict("complete")), "{after}");
}

#[tokio::test]
async fn nothing_in_a_page_is_a_script_or_comes_from_elsewhere() {
    let (world, _) = archived().await;
    for number in 1..9 {
        let recording = another(number).aged(number * 20 * HOUR);
        recording.publish(&world);
        recording.store(&world, HOUR);
        world.deliver(&recording.event(&world)).await;
    }
    let mut odd = another(20).event(&world);
    odd["id"] = HOSTILE.into();
    odd["subject"] = format!("/recording/call/{HOSTILE}/recordingId/{HOSTILE}").into();
    odd["data"]["recordingStorageInfo"] = json!({});
    world.deliver(&json!([odd])).await;
    let mut elsewhere = another(21).event(&world);
    elsewhere["data"]["recordingStorageInfo"]["recordingChunks"][0]["contentLocation"] =
        format!("https://attacker.invalid/{HOSTILE}").into();
    world.deliver(&json!([elsewhere])).await;
    world.s3.put(&format!("recordings/{HOSTILE}"), "x");
    let media = another(3).aged(60 * HOUR);
    let media = media.media_key(&media.chunks[0]);
    world.s3.put_object(&media, Object::new("others"));
    let pending = another(30).aged(3 * HOUR);
    pending.store(&world, HOUR);
    let log = json!([{"RecordingId": HOSTILE, "RecordingStartTime": "2026-11-20T10:00:00.123Z", "ChunkCount": 1}]);
    let log_file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(log_file.path(), log.to_string()).unwrap();
    let against = [
        "--against",
        log_file.path().to_str().unwrap(),
        "--made-by",
        HOSTILE,
    ];

    let (status, page) = page(&world, &against).await;
    assert_eq!(status, 1);
    assert!(
        page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"),
        "{page}"
    );
    let lower = page.to_lowercase();
    for active in [
        "<script",
        "javascript:",
        " onload",
        " onerror",
        "src=",
        "<link",
        "@import",
        "url(",
    ] {
        assert!(!lower.contains(active), "{active}");
    }
    let links = page
        .split("href=\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap());
    assert!(links.into_iter().all(|link| link.starts_with('#')));
    let sample = Path::new(env!("CARGO_TARGET_TMPDIR")).join("report.html");
    std::fs::write(sample, page).unwrap();
}
