//! `azure/reconcile.sh` reads ACS's log and audits the archive in one command.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Output;

use serde_json::json;
use tempfile::TempDir;
use tokio::process::Command;

use crate::audit::archived;
use harness::world::World;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../azure/reconcile.sh");
const AZ: &str =
    "#!/usr/bin/env bash\nprintf '%s\\n' \"$*\" >> \"$CLOUD/az.log\"\ncat \"$CLOUD/log.json\"\n";
const AWS: &str = "#!/usr/bin/env bash\nprintf '%s\\n' \"$*\" >> \"$CLOUD/aws.log\"\n";

fn tool(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[expect(clippy::disallowed_methods, reason = "the tools of this machine")]
async fn run(world: &World, cloud: &Path, arguments: &[&str]) -> Output {
    let path = std::env::var("PATH").unwrap();
    // The emulator's bucket stands in the path of its URLs.
    tool(
        cloud,
        "audit",
        &format!(
            "#!/usr/bin/env bash\nexec {} --force-path-style \"$@\"\n",
            env!("CARGO_BIN_EXE_audit")
        ),
    );
    tool(cloud, "az", AZ);
    tool(cloud, "aws", AWS);
    Command::new("bash")
        .arg(SCRIPT)
        .args(arguments)
        .env("PATH", format!("{}:{path}", cloud.display()))
        .env("CLOUD", cloud)
        .env("AUDIT", cloud.join("audit"))
        .env("AWS_ACCESS_KEY_ID", world.s3.access_key_id())
        .env("AWS_SECRET_ACCESS_KEY", world.s3.secret_access_key())
        .env("AWS_REGION", "eu-central-1")
        .env("AWS_ENDPOINT_URL_S3", world.s3.endpoint())
        .env_remove("AWS_PROFILE")
        .output()
        .await
        .unwrap()
}

#[tokio::test]
async fn one_command_reads_the_log_audits_and_counts_missing_recordings() {
    let (world, recording) = archived().await;
    let cloud = TempDir::new().unwrap();
    let started = recording.started.unwrap();
    let started = time::OffsetDateTime::from(started);
    let started = started
        .format(&time::format_description::well_known::Rfc3339)
        .unwrap();
    let there = json!({"RecordingId": "eyJQbGF0", "RecordingStartTime": started, "ChunkCount": "3", "RecordingLength": "600"});
    let missing = json!({"RecordingId": "missing", "RecordingStartTime": started, "ChunkCount": "1", "TimeGenerated": "2026-01-01T00:00:00Z"});
    let log = |rows: serde_json::Value| {
        fs::write(cloud.path().join("log.json"), rows.to_string()).unwrap();
    };
    let always = ["--workspace", "w", "--bucket", "recordings"];

    log(json!([there]));
    let output = run(&world, cloud.path(), &always).await;
    let (table, error) = (
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    );
    assert_eq!(output.status.code(), Some(0), "{table}{error}");
    assert!(table.contains("All is in order."), "{table}");
    let asked = fs::read_to_string(cloud.path().join("az.log")).unwrap();
    assert!(
        asked.contains("--workspace w") && asked.contains("ago(24h)"),
        "{asked}"
    );
    assert!(!cloud.path().join("aws.log").exists());

    log(json!([there, missing]));
    let metric = [
        &always[..],
        &["--metric", "calls", "--hours", "30", "--format", "json"],
    ]
    .concat();
    let output = run(&world, cloud.path(), &metric).await;
    assert_eq!(
        output.status.code(),
        Some(1),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["against"]["totals"]["neverArchived"], 1);
    let put = fs::read_to_string(cloud.path().join("aws.log")).unwrap();
    assert!(
        put.contains("--metric-name NeverArchived") && put.contains("--value 1 "),
        "{put}"
    );
    assert!(put.contains("--dimensions Installation=calls"), "{put}");

    // An empty log has no days: the audit of all days would answer another question.
    log(json!([]));
    let output = run(&world, cloud.path(), &metric).await;
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(output.stdout.is_empty() && error.contains("the log has no recording of the last 30"));

    // A log that cannot be read is not an empty log.
    fs::remove_file(cloud.path().join("log.json")).unwrap();
    let output = run(&world, cloud.path(), &metric).await;
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("the log cannot be read"), "{error}");
    let put = fs::read_to_string(cloud.path().join("aws.log")).unwrap();
    assert_eq!(put.lines().count(), 1, "{put}");
    for wrong in [
        &["--bucket", "b"][..],
        &["--what"],
        &["--workspace", "w", "--bucket", "b", "--hours", "0"],
    ] {
        assert_eq!(
            run(&world, cloud.path(), wrong).await.status.code(),
            Some(2),
            "{wrong:?}"
        );
    }
}
