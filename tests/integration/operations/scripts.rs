//! `azure/subscribe.sh` and `azure/set-access-key.sh` with stub command lines of both clouds,
//! whose answers are files. The tests need `jq`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

const AWS: &str = r#"#!/usr/bin/env bash
set -euo pipefail
echo "aws $*" >> "$WORLD/arguments"
case "$*" in
*FunctionUrl*) cat "$WORLD/url" ;;
*WebhookSecretArn*) echo arn:aws:webhook ;;
*ConnectionSecretArn*) echo arn:aws:connection ;;
*AlarmEmail*) echo on-call@example.com ;;
*get-secret-value*arn:aws:webhook*) cat "$WORLD/webhook" ;;
*get-secret-value*arn:aws:connection*) cat "$WORLD/connection" ;;
*put-secret-value*arn:aws:connection*) cat > "$WORLD/connection.new" ;;
*) exit 1 ;;
esac
"#;

const AZ: &str = r#"#!/usr/bin/env bash
set -euo pipefail
echo "az $*" >> "$WORLD/arguments"
case "$*" in
"communication list-key"*) echo 'endpoint=https://contoso.communication.azure.com/;accesskey=the-key-of-the-test==' ;;
"communication show"*) echo /subscriptions/1/resourceGroups/calls/providers/Microsoft.Communication/CommunicationServices/contoso ;;
"eventgrid system-topic list"*) cat "$WORLD/topics" ;;
"deployment group create"*)
    for name in ACS_NAME WEBHOOK_ENDPOINT ALARM_EMAIL SYSTEM_TOPIC_ID; do
        echo "$name=${!name-unset}"
    done > "$WORLD/deployed"
    ;;
*) exit 1 ;;
esac
"#;

const CURL: &str = r#"#!/usr/bin/env bash
set -euo pipefail
echo "curl $*" >> "$WORLD/arguments"
while (($#)); do
    if [[ $1 == --config ]]; then
        [[ $(cat "$2") == 'header = "x-webhook-secret: a-newer-secret-for-it"' ]]
    fi
    shift
done
echo '{"validationResponse":"hello"}'
"#;

const SECRETS: [&str; 3] = [
    "an-older-secret-for-it",
    "a-newer-secret-for-it",
    "the-key-of-the-test",
];

struct Clouds(TempDir);

impl Clouds {
    fn with(topics: &Value) -> Self {
        let clouds = Self(TempDir::new().unwrap());
        fs::create_dir(clouds.0.path().join("bin")).unwrap();
        for (name, text) in [("aws", AWS), ("az", AZ), ("curl", CURL)] {
            let path = clouds.0.path().join("bin").join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        fs::write(clouds.0.path().join("url"), "https://function.example/").unwrap();
        let both = format!("{},{}", SECRETS[0], SECRETS[1]);
        for (name, value) in [
            ("topics", topics),
            ("webhook", &json!({"WEBHOOK_SECRETS": both})),
            (
                "connection",
                &json!({"COMMUNICATION_SERVICES_CONNECTION_STRING": "", "OTHER": "stays"}),
            ),
        ] {
            fs::write(clouds.0.path().join(name), value.to_string()).unwrap();
        }
        clouds
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.path().join(name)).unwrap_or_default()
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the script needs the other programs of the machine"
    )]
    fn run(&self, script: &str, variables: &[(&str, &str)]) -> Output {
        let path = std::env::var("PATH").unwrap_or_default();
        let script = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("azure")
            .join(script);
        let output = Command::new("bash")
            .arg(script)
            .args([
                "--stack",
                "archiver",
                "--resource-group",
                "calls",
                "--acs",
                "contoso",
            ])
            .env("PATH", format!("{}/bin:{path}", self.0.path().display()))
            .env("WORLD", self.0.path())
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        // Arguments are visible in the list of processes, and output in logs.
        let printed = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        for secret in SECRETS {
            assert!(!self.read("arguments").contains(secret), "{secret}");
            assert!(!printed.contains(secret), "{printed}");
        }
        output
    }
}

fn deployed(email: &str, topic: &str) -> String {
    format!(
        "ACS_NAME=contoso\nWEBHOOK_ENDPOINT=https://function.example/?code={}\nALARM_EMAIL={email}\nSYSTEM_TOPIC_ID={topic}\n",
        SECRETS[1]
    )
}

#[test]
fn subscribing_takes_the_last_secret_and_never_reads_the_access_key() {
    let clouds = Clouds::with(&json!([]));
    let output = clouds.run("subscribe.sh", &[]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(clouds.read("deployed"), deployed("on-call@example.com", ""));
    assert!(!clouds.read("arguments").contains("arn:aws:connection"));
}

#[test]
fn subscribing_finds_the_system_topic_and_takes_what_is_set() {
    let topic = |id: &str, acs: &str| {
        let source = "/subscriptions/1/resourceGroups/CALLS/providers/microsoft.communication/communicationservices";
        json!({"id": id, "source": format!("{source}/{acs}")})
    };
    let clouds = Clouds::with(&json!([
        topic("/other", "fabrikam"),
        topic("/ours", "contoso")
    ]));
    let output = clouds.run("subscribe.sh", &[("ALARM_EMAIL", "a@example.com")]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(clouds.read("deployed"), deployed("a@example.com", "/ours"));
    clouds.run("subscribe.sh", &[("SYSTEM_TOPIC_ID", "/told")]);
    assert_eq!(
        clouds.read("deployed"),
        deployed("on-call@example.com", "/told")
    );
}

#[test]
fn a_url_that_is_missing_and_one_that_is_not_https_are_told_apart() {
    for (url, said) in [
        ("", "has no output FunctionUrl"),
        ("None", "has no output FunctionUrl"),
        ("http://function.example/", "is not https"),
    ] {
        let clouds = Clouds::with(&json!([]));
        fs::write(clouds.0.path().join("url"), url).unwrap();
        let output = clouds.run("subscribe.sh", &[]);
        assert_eq!(output.status.code(), Some(1), "{url}");
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains(said), "{error}");
        assert_eq!(clouds.read("deployed"), "");
        assert!(
            !clouds.read("arguments").contains("curl"),
            "the secret is sent"
        );
    }
}

#[test]
fn the_connection_string_goes_into_its_own_secret() {
    let clouds = Clouds::with(&json!([]));
    let output = clouds.run("set-access-key.sh", &[]);
    assert!(output.status.success(), "{output:?}");
    let written: Value = serde_json::from_str(&clouds.read("connection.new")).unwrap();
    assert_eq!(
        written,
        json!({
            "COMMUNICATION_SERVICES_CONNECTION_STRING":
                "endpoint=https://contoso.communication.azure.com/;accesskey=the-key-of-the-test==",
            "OTHER": "stays",
        })
    );
    assert!(!clouds.read("arguments").contains("arn:aws:webhook"));
}
