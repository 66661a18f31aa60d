//! The check of a store, by the built audit.

use std::process::Output;

use emulators::s3::{Condition, S3, Settings};
use serde_json::Value;
use tokio::process::Command;

/// Checks an emulated store with these settings and further options.
async fn tried(settings: Settings, options: &[&str]) -> (S3, Output) {
    let s3 = S3::start(settings).await;
    let output = Command::new(env!("CARGO_BIN_EXE_audit"))
        .args(["--bucket", s3.bucket(), "--force-path-style"])
        .args(options)
        .env("AWS_ENDPOINT_URL_S3", s3.endpoint())
        .env("AWS_ACCESS_KEY_ID", s3.access_key_id())
        .env("AWS_SECRET_ACCESS_KEY", s3.secret_access_key())
        .env("AWS_REGION", "eu-central-1")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .output();
    let output = output.await.unwrap();
    (s3, output)
}

/// The names and verdicts of the features that are not good.
fn not_good(output: &Output) -> Vec<(String, String)> {
    let checked: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |check: &Value, name: &str| check[name].as_str().unwrap().to_owned();
    let checks = checked["checks"].as_array().unwrap();
    assert_eq!(checks.len(), 17, "{checked}");
    let checks = checks
        .iter()
        .map(|check| (text(check, "name"), text(check, "verdict")));
    checks.filter(|(_, verdict)| verdict != "good").collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    let pair = |(name, verdict): &(&str, &str)| ((*name).to_owned(), (*verdict).to_owned());
    expected.iter().map(pair).collect()
}

#[tokio::test]
async fn a_store_as_amazons_is_good_and_nothing_is_left() {
    let (s3, output) = tried(Settings::default(), &["--check-store"]).await;
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(
        said.contains("The function can work with this store."),
        "{said}"
    );
    assert!(
        !said.contains("LACKING") && !said.contains("bearable"),
        "{said}"
    );
    let warned = String::from_utf8(output.stderr).unwrap();
    assert!(warned.contains("writing to a folder"), "{warned}");
    assert!(s3.objects().is_empty() && s3.uploads().is_empty());
}

#[tokio::test]
async fn each_condition_that_is_ignored_is_found() {
    for (condition, name) in [
        (Condition::PutIfNoneMatch, "putIfNoneMatch"),
        (Condition::PutIfMatch, "putIfMatch"),
        (Condition::CompleteIfNoneMatch, "completeIfNoneMatch"),
    ] {
        let ignored = vec![condition];
        let settings = Settings {
            ignored,
            ..Settings::default()
        };
        let (s3, output) = tried(settings, &["--check-store", "--format", "json"]).await;
        assert_eq!(output.status.code(), Some(1));
        let found = not_good(&output);
        assert_eq!(found[0], pairs(&[(name, "lacking")])[0], "{found:?}");
        assert!(s3.objects().is_empty() && s3.uploads().is_empty());
    }
}

#[tokio::test]
async fn parts_without_checksums_are_bearable() {
    let settings = Settings {
        part_checksums: false,
        ..Settings::default()
    };
    let (_, output) = tried(settings, &["--check-store", "--format", "json"]).await;
    assert_eq!(output.status.code(), Some(0));
    let expected = pairs(&[("listPartsChecksums", "bearable")]);
    assert_eq!(not_good(&output), expected);
}

#[tokio::test]
async fn nothing_is_written_unless_asked() {
    let (s3, output) = tried(Settings::default(), &[]).await;
    // There is nothing under the prefix.
    assert_eq!(output.status.code(), Some(2));
    assert!(!s3.calls().is_empty());
    let writes = ["PutObject", "CreateMultipartUpload", "DeleteObject"];
    let calls = s3.calls();
    assert!(calls.iter().all(|call| !writes.contains(&call.operation)));
    let (s3, output) = tried(
        Settings::default(),
        &["--check-store", "--from", "2026-11-23"],
    )
    .await;
    assert_eq!(output.status.code(), Some(2));
    assert!(s3.calls().is_empty());
}

#[tokio::test]
async fn a_store_that_refuses_everything_cannot_be_used() {
    let settings = Settings {
        bucket: "other".to_owned(),
        ..Settings::default()
    };
    let s3 = S3::start(settings).await;
    s3.inject(|_| {
        let (status, code) = (403, "AccessDenied");
        Some(emulators::s3::Fault::Refuse { status, code })
    });
    let output = Command::new(env!("CARGO_BIN_EXE_audit"))
        .args(["--bucket", "other", "--force-path-style", "--check-store"])
        .env("AWS_ENDPOINT_URL_S3", s3.endpoint())
        .env("AWS_ACCESS_KEY_ID", s3.access_key_id())
        .env("AWS_SECRET_ACCESS_KEY", s3.secret_access_key())
        .env("AWS_REGION", "eu-central-1")
        .output();
    let output = output.await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        said.contains("403 AccessDenied") && said.contains("untried"),
        "{said}"
    );
    assert!(
        said.contains("The function cannot work with this store."),
        "{said}"
    );
}
