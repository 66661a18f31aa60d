//! `deploy/deploy.sh` with stub command lines of both clouds, whose answers are files. The tests
//! need `jq`.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use emulators::hashes::sha256_hex;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::template::fields;

mod build;
mod runbook;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const CODE: &[u8] = b"the code";

/// Each change is a line of the file `changes`; a call that matches the pattern in `fail` fails.
const AWS: &str = r#"#!/usr/bin/env bash
set -euo pipefail
echo "aws $*" >> "$WORLD/arguments"
[[ $* != $(cat "$WORLD/fail") ]] || { echo 'An error occurred (AccessDenied)' >&2; exit 254; }
change() { echo "$1" >> "$WORLD/changes"; }
option() {
    local name=$1
    shift
    while [[ $1 != "$name" ]]; do shift; done
    echo "$2"
}
case "$*" in
--version) cat "$WORLD/aws.version" ;;
"configure get region") cat "$WORLD/region" ;;
"sts get-caller-identity"*) echo '{"Account": "123456789012", "Arn": "arn:aws:iam::123456789012:user/installer"}' ;;
"lambda get-account-settings"*) cat "$WORLD/limits" ;;
"cloudformation describe-stacks"*)
    [[ -f $WORLD/stack ]] || { echo 'Stack with id archiver does not exist' >&2; exit 254; }
    case "$*" in
    *OutputKey==*)
        name=$* && name=${name##*OutputKey==\'} && name=${name%%\'*}
        jq -r --arg name "$name" 'first(.Stacks[0].Outputs[] | select(.OutputKey == $name).OutputValue) // "None"' "$WORLD/stack"
        ;;
    *ParameterKey==*)
        name=$* && name=${name##*ParameterKey==\'} && name=${name%%\'*}
        jq -r --arg name "$name" 'first(.Stacks[0].Parameters[] | select(.ParameterKey == $name).ParameterValue) // "None"' "$WORLD/stack"
        ;;
    *) cat "$WORLD/stack" ;;
    esac
    ;;
"cloudformation describe-stack-resource "*) echo "the-$(option --logical-resource-id "$@")" ;;
"s3api head-bucket"*) [[ -d $WORLD/bucket ]] || { echo 'An error occurred (404): Not Found' >&2; exit 254; } ;;
"s3api create-bucket"*) change create-bucket && mkdir "$WORLD/bucket" ;;
"s3 cp --only-show-errors "*) change upload && cp "$4" "$WORLD/bucket/${5##*/}" ;;
"cloudformation deploy"*)
    change deploy
    cp "$(option --template-file "$@")" "$WORLD/template.yaml"
    parameters=$(cat "$WORLD/parameters")
    for given; do
        [[ $given != [A-Z]*=* ]] ||
            parameters=$(jq --arg name "${given%%=*}" --arg value "${given#*=}" '.[$name] = $value' <<<"$parameters")
    done
    echo "$parameters" > "$WORLD/parameters"
    jq --argjson parameters "$parameters" '{Stacks: [{
        StackStatus: "CREATE_COMPLETE", Outputs: to_entries | map({OutputKey: .key, OutputValue: .value}),
        Parameters: $parameters | to_entries | map({ParameterKey: .key, ParameterValue: .value})}]}' \
        "$WORLD/outputs" > "$WORLD/stack"
    ;;
*get-secret-value*arn:aws:webhook*) echo '{"WEBHOOK_SECRETS": "a-secret-of-the-webhook"}' ;;
*get-secret-value*arn:aws:connection*) cat "$WORLD/connection" ;;
*put-secret-value*arn:aws:connection*) change fill-in && cat > "$WORLD/connection" ;;
"sns list-subscriptions-by-topic"*) cat "$WORLD/subscribed" ;;
"cloudwatch describe-alarms"*) cat "$WORLD/alarm" ;;
"cloudwatch set-alarm-state"*) change alarm ;;
*) echo "unknown: $*" >&2 && exit 252 ;;
esac
"#;

const AZ: &str = r#"#!/usr/bin/env bash
set -euo pipefail
echo "az $*" >> "$WORLD/arguments"
[[ "az $*" != $(cat "$WORLD/fail") ]] || { echo 'ERROR: AuthorizationFailed' >&2; exit 1; }
case "$*" in
"version --output json") cat "$WORLD/az.version" ;;
"extension show"*) ;;
"account show"*) echo '{"name": "Calls", "user": {"name": "installer@example.com"}}' ;;
"communication show"*) echo /subscriptions/1/resourceGroups/calls/providers/Microsoft.Communication/communicationServices/contoso ;;
"communication list-key"*) echo 'endpoint=https://contoso.communication.azure.com/;accesskey=the-key-of-the-test==' ;;
"eventgrid system-topic list"*) echo '[]' ;;
"eventgrid event-subscription show"*) cat "$WORLD/subscription" ;;
"deployment group create"*) echo subscribe >> "$WORLD/changes" && cat "$WORLD/subscribed.json" > "$WORLD/subscription" ;;
*) echo "unknown: $*" >&2 && exit 2 ;;
esac
"#;

/// The function answers once its secret is filled in.
const CURL: &str = r#"#!/usr/bin/env bash
set -euo pipefail
echo "curl $*" >> "$WORLD/arguments"
[[ "curl $*" != $(cat "$WORLD/fail") ]] || exit 7
if grep -q endpoint= "$WORLD/connection"; then
    echo '{"validationResponse":"hello"} (status 200)'
else
    echo 'Internal Server Error (status 502)'
fi
"#;

/// Programs of the machine that the scripts use.
const PROGRAMS: [&str; 19] = [
    "awk",
    "bash",
    "cat",
    "cp",
    "dirname",
    "env",
    "find",
    "git",
    "grep",
    "jq",
    "mkdir",
    "mktemp",
    "rm",
    "sed",
    "sha256sum",
    "sleep",
    "touch",
    "tr",
    "uname",
];

const SECRETS: [&str; 2] = ["a-secret-of-the-webhook", "the-key-of-the-test"];

const INSTALL: [&str; 8] = [
    "--stack",
    "archiver",
    "--resource-group",
    "calls",
    "--acs",
    "contoso",
    "--email",
    "a@example.com",
];

/// The changes of an installation, in order.
const CHANGES: [&str; 6] = [
    "create-bucket",
    "upload",
    "deploy",
    "fill-in",
    "subscribe",
    "alarm",
];

struct Clouds(TempDir);

#[expect(
    clippy::disallowed_methods,
    reason = "it looks for the programs of the machine"
)]
fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    let mut places = std::env::split_paths(&path).map(|folder| folder.join(name));
    places.find(|place| place.is_file()).expect(name)
}

/// Puts the programs of the machine, and no others, into a folder.
fn link_programs(folder: &Path) {
    for name in PROGRAMS {
        symlink(program(name), folder.join(name)).unwrap();
    }
    // A program of this name may be a script that looks for the real one.
    let mut python = Command::new(program("python3"));
    let output = python
        .args(["-c", "import sys; print(sys.executable)"])
        .output();
    let path = String::from_utf8(output.unwrap().stdout).unwrap();
    symlink(path.trim(), folder.join("python3")).unwrap();
}

/// Writes a script that can be run.
fn script(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn template_of(arch: &str) -> String {
    let text = include_str!("../../template.yaml");
    text.replace(
        "CodeUri: .\n",
        &format!("CodeUri: acs-recording-archiver-{arch}.zip\n"),
    )
}

impl Clouds {
    fn new() -> Self {
        let clouds = Self(TempDir::new().unwrap());
        for (name, text) in [("aws", AWS), ("az", AZ), ("curl", CURL)] {
            script(&clouds.path(&format!("bin/{name}")), text);
        }
        link_programs(&clouds.path("bin"));
        let outputs = json!({
            "FunctionUrl": "https://function.example/", "WebhookSecretArn": "arn:aws:webhook",
            "ConnectionSecretArn": "arn:aws:connection", "AlarmTopicArn": "arn:aws:topic",
            "RecordingsBucketName": "recordings", "DashboardUrl": "https://dashboard.example/",
        });
        let template = template_of("arm64");
        let built = [
            ("acs-recording-archiver-arm64.zip", CODE),
            ("template-arm64.yaml", template.as_bytes()),
        ];
        let sum = |(name, bytes): &(&str, &[u8])| format!("{}  {name}\n", sha256_hex(bytes));
        let sums = built.iter().map(sum).collect::<Vec<_>>().concat();
        for (name, bytes) in built {
            clouds.write(&format!("built/{name}"), bytes);
        }
        for (name, text) in [
            ("built/SHA256SUMS", &*sums),
            ("built/version", "0.1.0+1398cdb0c1d2\n"),
            ("aws.version", "aws-cli/2.31.0 Python/3.13.7 Linux/6.1\n"),
            ("az.version", r#"{"azure-cli": "2.91.0"}"#),
            ("region", "eu-central-1\n"),
            (
                "limits",
                r#"{"ConcurrentExecutions": 1000, "UnreservedConcurrentExecutions": 1000}"#,
            ),
            ("outputs", &outputs.to_string()),
            ("parameters", "{}"),
            (
                "connection",
                r#"{"COMMUNICATION_SERVICES_CONNECTION_STRING": ""}"#,
            ),
            ("subscribed", "arn:aws:topic:1\n"),
            ("alarm", "INSUFFICIENT_DATA\n"),
            ("subscription", ""),
            (
                "subscribed.json",
                r#"{"provisioningState": "Succeeded", "destination": {"endpointBaseUrl": "https://function.example/"}}"#,
            ),
            ("fail", ""),
            ("changes", ""),
        ] {
            clouds.write(name, text.as_bytes());
        }
        clouds
    }

    /// Clouds with a finished installation.
    fn installed() -> Self {
        let clouds = Self::new();
        clouds.done(&INSTALL);
        clouds.write("changes", b"");
        clouds
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    fn changes(&self) -> Vec<String> {
        self.read("changes").lines().map(str::to_owned).collect()
    }

    fn run(&self, script: &str, options: &[&str]) -> Output {
        let output = Command::new(self.path("bin/bash"))
            .arg(Path::new(ROOT).join(script))
            .args(options)
            .env_clear()
            .env("PATH", self.path("bin"))
            .env("HOME", self.0.path())
            .env("WORLD", self.0.path())
            .env("DEPLOY_PAUSE", "0")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        // Arguments are visible in the list of processes, and output in logs.
        let seen = text(&output) + &self.read("arguments");
        for secret in SECRETS {
            assert!(!seen.contains(secret), "{seen}");
        }
        output
    }

    fn deploy(&self, options: &[&str]) -> Output {
        let built = self.path("built");
        let from = ["--from", built.to_str().unwrap()];
        self.run("deploy/deploy.sh", &[&from, options].concat())
    }

    fn done(&self, options: &[&str]) -> String {
        let output = self.deploy(options);
        assert!(output.status.success(), "{}", text(&output));
        text(&output)
    }

    /// Deploys, and asserts that the script ends with this status and message, and changes nothing.
    fn refuses(&self, options: &[&str], status: i32, said: &str) {
        let before = self.changes();
        let output = self.deploy(options);
        let text = text(&output);
        assert_eq!(output.status.code(), Some(status), "{text}");
        assert!(text.contains(said), "{said}: {text}");
        assert_eq!(self.changes(), before, "{text}");
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn an_installation_runs_from_a_build_to_the_test_alarm() {
    let clouds = Clouds::new();
    let said = clouds.done(&INSTALL);
    assert_eq!(clouds.changes(), CHANGES);
    for step in 1..=8 {
        assert!(said.contains(&format!("\n=== {step} of 8: ")), "{said}");
    }
    for told in ["does:  ", "costs: ", "undo:  "] {
        assert_eq!(said.matches(&format!("    {told}")).count(), 8, "{said}");
    }
    assert!(
        said.contains("AWS account 123456789012 in eu-central-1"),
        "{said}"
    );
    assert!(said.contains("0.1.0+1398cdb0c1d2"), "{said}");
    // The code is at the place that the deployed template names.
    let code = format!("{}.zip", sha256_hex(CODE));
    assert_eq!(fs::read(clouds.path("bucket").join(&code)).unwrap(), CODE);
    let uri = format!("CodeUri: s3://archiver-artifacts-123456789012-eu-central-1/{code}\n");
    let template = clouds.read("template.yaml");
    assert_eq!(template.matches(&uri).count(), 1);
    let parameters: Value = serde_json::from_str(&clouds.read("parameters")).unwrap();
    assert_eq!(parameters, json!({"AlarmEmail": "a@example.com"}));
    assert!(
        clouds
            .read("connection")
            .contains("endpoint=https://contoso")
    );
}

#[test]
fn another_run_keeps_the_installation() {
    let clouds = Clouds::installed();
    let rotated = r#"{"COMMUNICATION_SERVICES_CONNECTION_STRING": "endpoint=https://contoso/;accesskey=second"}"#;
    clouds.write("connection", rotated.as_bytes());
    let more = ["--parameter", "LogRetentionInDays=30"];
    // The alarm's address is kept, so the option is not needed.
    clouds.done(&[&INSTALL[..6], &more].concat());
    assert_eq!(clouds.changes(), ["upload", "deploy", "alarm"]);
    assert_eq!(clouds.read("connection"), rotated);
    let parameters: Value = serde_json::from_str(&clouds.read("parameters")).unwrap();
    let kept = json!({"AlarmEmail": "a@example.com", "LogRetentionInDays": "30"});
    assert_eq!(parameters, kept);
}

#[test]
fn a_subscription_to_another_url_is_replaced() {
    let clouds = Clouds::installed();
    let other = clouds
        .read("subscription")
        .replace("function.example", "gone.example");
    clouds.write("subscription", other.as_bytes());
    clouds.done(&INSTALL);
    assert!(clouds.changes().contains(&"subscribe".to_owned()));
}

#[test]
fn a_dry_run_shows_every_step_and_changes_nothing() {
    for clouds in [Clouds::new(), Clouds::installed()] {
        let said = clouds.done(&[&INSTALL[..], &["--dry-run"]].concat());
        assert_eq!(clouds.changes(), [""; 0], "{said}");
        assert!(said.contains("=== 8 of 8: "), "{said}");
        for command in [
            "+ aws s3 cp ",
            "+ aws cloudformation deploy --stack-name archiver ",
            "+ azure/set-access-key.sh --stack archiver ",
            "+ azure/subscribe.sh --verify --stack archiver ",
            "+ azure/subscribe.sh --stack archiver ",
            "+ aws cloudwatch set-alarm-state --alarm-name archiver-event-set-aside ",
        ] {
            assert!(said.contains(command), "{command}: {said}");
        }
        assert!(said.contains("Nothing was changed."), "{said}");
    }
    // A dry run builds nothing.
    let clouds = Clouds::new();
    for name in ["cargo", "rustup"] {
        script(&clouds.path(&format!("bin/{name}")), "exit 1");
    }
    let output = clouds.run("deploy/deploy.sh", &[&INSTALL[..], &["--dry-run"]].concat());
    let said = text(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("+ deploy/build.sh --arch arm64 "), "{said}");
    assert_eq!(clouds.changes(), [""; 0]);
}

#[test]
fn with_tokens_no_connection_string_is_set() {
    let keyless = [
        "--parameter",
        "CommunicationServicesEndpoint=https://contoso.communication.azure.com",
    ];
    let options = [&INSTALL[..], &keyless].concat();
    let said = Clouds::new().done(&[&options[..], &["--dry-run"]].concat());
    for command in [
        "+ azure/federate.sh --stack archiver ",
        "+ azure/check-tokens.sh --stack archiver ",
    ] {
        assert!(said.contains(command), "{command}: {said}");
    }
    assert!(!said.contains("set-access-key"), "{said}");

    let clouds = Clouds::new();
    let mut outputs: Value = serde_json::from_str(&clouds.read("outputs")).unwrap();
    outputs
        .as_object_mut()
        .unwrap()
        .remove("ConnectionSecretArn");
    clouds.write("outputs", outputs.to_string().as_bytes());
    let said = text(&clouds.deploy(&options));
    // These stubs know no applications.
    assert!(
        said.contains("deploy: stopped at step 5, Let the"),
        "{said}"
    );
    assert_eq!(clouds.changes(), CHANGES[..3]);
    // Another run needs no parameter to know.
    let said = clouds.done(&[&INSTALL[..], &["--dry-run"]].concat());
    assert!(said.contains("+ azure/federate.sh "), "{said}");
}

#[test]
fn each_missing_tool_is_named_before_any_change() {
    for tool in ["aws", "az", "jq", "curl", "sha256sum"] {
        let clouds = Clouds::new();
        fs::remove_file(clouds.path("bin").join(tool)).unwrap();
        clouds.refuses(&INSTALL, 1, &format!("not installed: {tool}\n"));
        assert!(!clouds.read("arguments").contains("sts"), "{tool}");
    }
    // Without a build, the build's tools are needed too; all missing tools are named at once.
    let clouds = Clouds::new();
    fs::remove_file(clouds.path("bin/az")).unwrap();
    let said = text(&clouds.run("deploy/deploy.sh", &INSTALL));
    assert!(said.contains("not installed: az cargo rustup\n"), "{said}");
}

#[test]
fn the_other_scripts_name_a_missing_tool() {
    let stack = [
        "--stack",
        "archiver",
        "--resource-group",
        "calls",
        "--acs",
        "contoso",
    ];
    let letters = [
        "--url",
        "https://function.example/",
        "--account",
        "letters",
        "--dry-run",
    ];
    for (name, options, tools) in [
        (
            "azure/set-access-key.sh",
            &stack[..],
            &["aws", "az", "jq"][..],
        ),
        ("azure/subscribe.sh", &stack, &["aws", "az", "curl", "jq"]),
        ("azure/replay-dead-letters.sh", &letters, &["az", "curl"]),
    ] {
        for tool in tools {
            let clouds = Clouds::new();
            fs::remove_file(clouds.path("bin").join(tool)).unwrap();
            let output = clouds.run(name, options);
            let said = text(&output);
            assert_eq!(output.status.code(), Some(1), "{said}");
            assert!(said.contains(&format!("not installed: {tool}")), "{said}");
            assert_eq!(clouds.read("arguments"), "", "{name} {tool}");
        }
    }
}

#[test]
fn tools_that_are_too_old_are_refused() {
    for (file, version, said) in [
        ("aws.version", "aws-cli/1.44.7 Python/3.11", "aws is 1.44.7"),
        (
            "aws.version",
            "something else",
            "aws --version says: something else",
        ),
        ("az.version", r#"{"azure-cli": "2.52.9"}"#, "az is 2.52.9"),
        ("az.version", r#"{"azure-cli": "1.99.0"}"#, "az is 1.99.0"),
        ("az.version", "{}", "az version says: null"),
    ] {
        let clouds = Clouds::new();
        clouds.write(file, version.as_bytes());
        clouds.refuses(&INSTALL, 1, said);
    }
    for (file, version) in [
        ("aws.version", "aws-cli/3.0.1 Python/3.14"),
        ("az.version", r#"{"azure-cli": "2.53.0"}"#),
        ("az.version", r#"{"azure-cli": "2.100.0"}"#),
        ("az.version", r#"{"azure-cli": "3.0.0"}"#),
    ] {
        let clouds = Clouds::new();
        clouds.write(file, version.as_bytes());
        clouds.done(&INSTALL);
    }
}

#[test]
fn a_missing_sign_in_or_resource_is_named() {
    for (fail, said) in [
        ("sts get-caller-identity*", "aws is not signed in"),
        ("az account show*", "az is not signed in"),
        (
            "az communication show*",
            "az finds no Communication Services resource contoso",
        ),
        (
            "az extension show*",
            "az extension add --name communication",
        ),
        (
            "cloudformation describe-stacks*",
            "the stack cannot be looked at: An error occurred",
        ),
        (
            "lambda get-account-settings*",
            "the account's limits cannot be read",
        ),
        (
            "s3api head-bucket*",
            "cannot be used: An error occurred (AccessDenied)",
        ),
    ] {
        let clouds = Clouds::new();
        clouds.write("fail", fail.as_bytes());
        clouds.refuses(&INSTALL, 1, said);
    }
    let clouds = Clouds::new();
    clouds.write("region", b"");
    clouds.refuses(&INSTALL, 1, "no AWS region: give --region");
    clouds.done(&[&INSTALL[..], &["--region", "us-east-1"]].concat());
    // In us-east-1, S3 accepts no LocationConstraint.
    assert!(!clouds.read("arguments").contains("LocationConstraint"));
}

#[test]
fn a_failure_stops_the_script_and_another_run_resumes() {
    for (fail, step, done) in [
        ("s3api create-bucket*", 3, 0),
        ("s3 cp*", 3, 1),
        ("cloudformation deploy*", 4, 2),
        ("*get-secret-value*arn:aws:connection*", 5, 3),
        ("az communication list-key*", 5, 3),
        ("*put-secret-value*", 5, 3),
        ("*get-secret-value*arn:aws:webhook*", 6, 4),
        ("curl *", 6, 4),
        ("az eventgrid system-topic*", 7, 4),
        ("az deployment group create*", 7, 4),
        ("sns list-subscriptions*", 8, 5),
        ("cloudwatch describe-alarms*", 8, 5),
        ("cloudwatch set-alarm-state*", 8, 5),
    ] {
        let clouds = Clouds::new();
        clouds.write("fail", fail.as_bytes());
        let output = clouds.deploy(&INSTALL);
        let said = text(&output);
        assert_eq!(
            output.status.code().map(|code| code != 0),
            Some(true),
            "{fail}: {said}"
        );
        assert!(
            said.contains(&format!("stopped at step {step}, ")),
            "{fail}: {said}"
        );
        assert!(!said.contains("All is done"), "{fail}: {said}");
        assert_eq!(clouds.changes(), CHANGES[..done], "{fail}: {said}");
        clouds.write("fail", b"");
        clouds.done(&INSTALL);
        let changed: BTreeSet<String> = clouds.changes().into_iter().collect();
        assert_eq!(changed, CHANGES.map(str::to_owned).into(), "{fail}");
    }
}

#[test]
fn a_missing_output_is_named() {
    let outputs = Clouds::new().read("outputs");
    let outputs: Value = serde_json::from_str(&outputs).unwrap();
    for name in fields(&outputs).keys() {
        let clouds = Clouds::new();
        let mut less = outputs.clone();
        less.as_object_mut().unwrap().remove(name);
        clouds.write("outputs", less.to_string().as_bytes());
        let output = clouds.deploy(&INSTALL);
        let said = text(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(
            said.contains(&format!("stack archiver has no output {name}")),
            "{said}"
        );
        assert_eq!(clouds.changes(), CHANGES[..3]);
    }
}

#[test]
fn reserved_concurrency_is_compared_with_the_accounts_limit() {
    let limits = |limit: u32, unreserved: u32| json!({"ConcurrentExecutions": limit, "UnreservedConcurrentExecutions": unreserved});
    let none = [
        "--parameter",
        "ArchiverConcurrency=0",
        "--parameter",
        "SweeperConcurrency=0",
    ];
    let few = ["--parameter", "ArchiverConcurrency=4"];
    for (limit, unreserved, options, fits) in [
        (1000, 136, &[][..], true),
        (1000, 135, &[], false),
        (1000, 120, &few, true),
        (1000, 119, &few, false),
        (10, 10, &[], false),
        (10, 10, &none, true),
    ] {
        let clouds = Clouds::new();
        clouds.write("limits", limits(limit, unreserved).to_string().as_bytes());
        let options = [&INSTALL[..], options].concat();
        if fits {
            clouds.done(&options);
        } else {
            clouds.refuses(&options, 1, "Have the limit raised");
        }
    }
    // The stack's own reservation counts as free.
    let clouds = Clouds::installed();
    clouds.write("limits", limits(1000, 100).to_string().as_bytes());
    clouds.refuses(&INSTALL, 1, "Have the limit raised");
    let clouds = Clouds::new();
    clouds.done(
        &[
            &INSTALL[..],
            &few,
            &["--parameter", "SweeperConcurrency=16"],
        ]
        .concat(),
    );
    clouds.write("limits", limits(1000, 100).to_string().as_bytes());
    clouds.done(&INSTALL);
}

#[test]
fn alarms_without_a_subscriber_are_reported() {
    for (subscribed, said) in [
        (
            "PendingConfirmation",
            "Confirm the subscription in the mail",
        ),
        (
            "arn:aws:topic:1\tPendingConfirmation",
            "Confirm the subscription in the mail",
        ),
        ("None", "nobody is subscribed"),
        ("", "nobody is subscribed"),
    ] {
        let clouds = Clouds::new();
        clouds.write("subscribed", subscribed.as_bytes());
        let output = clouds.deploy(&INSTALL);
        assert_eq!(output.status.code(), Some(1), "{subscribed}");
        assert!(text(&output).contains(said), "{}", text(&output));
        assert_eq!(clouds.changes(), CHANGES[..5]);
    }
    // An alarm that is raised already would send no mail.
    let clouds = Clouds::new();
    clouds.write("alarm", b"ALARM");
    let said = text(&clouds.deploy(&INSTALL));
    assert!(
        said.contains("archiver-event-set-aside is raised"),
        "{said}"
    );
    // Without an address, the script warns.
    let clouds = Clouds::new();
    clouds.write("subscribed", b"");
    let said = clouds.done(&[&INSTALL[..6], &["--email", ""]].concat());
    assert!(said.contains("Nobody is told of an alarm"), "{said}");
}

#[test]
fn invalid_options_change_nothing() {
    for (options, said) in [
        (
            &["--email", "a@example.com"][..],
            "--resource-group and --acs are required",
        ),
        (&INSTALL[..6], "--email is required at the first time"),
        (&["--nonsense"], "unknown option --nonsense"),
        (&["--arch"], "--arch needs a value"),
    ] {
        Clouds::new().refuses(options, 2, said);
    }
    for (more, said) in [
        (["--arch", "riscv"], "--arch is arm64 or x86_64"),
        (["--stack", "a b"], "--stack is letters"),
        (
            ["--parameter", "AlarmMail=a@example.com"],
            "the stack has no parameter AlarmMail",
        ),
        (["--parameter", "Nonsense"], "--parameter is NAME=VALUE"),
        (
            ["--parameter", "ArchiverConcurrency=many"],
            "ArchiverConcurrency is no number",
        ),
        (["--region", "!"], "no AWS region"),
    ] {
        let status = if more[0] == "--region" { 1 } else { 2 };
        Clouds::new().refuses(&[&INSTALL[..], &more].concat(), status, said);
    }
    let output = Clouds::new().run("deploy/deploy.sh", &["--help"]);
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_stack_that_cannot_be_updated_is_left_alone() {
    for (status, said) in [
        ("ROLLBACK_COMPLETE", "Delete it first"),
        ("UPDATE_IN_PROGRESS", "wait until that is over"),
        ("UPDATE_ROLLBACK_FAILED", "look at its events"),
    ] {
        let clouds = Clouds::installed();
        let stack = clouds.read("stack").replace("CREATE_COMPLETE", status);
        clouds.write("stack", stack.as_bytes());
        clouds.refuses(&INSTALL, 1, said);
    }
}

#[test]
fn a_changed_build_is_not_deployed() {
    let clouds = Clouds::new();
    clouds.write("built/acs-recording-archiver-arm64.zip", b"other code");
    clouds.refuses(&INSTALL, 1, "is not what was built");
    let x86 = [&INSTALL[..], &["--arch", "x86_64"]].concat();
    Clouds::new().refuses(&x86, 1, "has no build for x86_64");
}

#[test]
fn verifying_needs_no_azure_and_changes_nothing() {
    let clouds = Clouds::installed();
    fs::remove_file(clouds.path("bin/az")).unwrap();
    let verify = ["--verify", "--stack", "archiver"];
    let output = clouds.run("azure/subscribe.sh", &verify);
    assert!(output.status.success(), "{output:?}");
    assert!(text(&output).contains(r#"{"validationResponse":"hello"}"#));
    clouds.write("connection", b"{}");
    let output = clouds.run("azure/subscribe.sh", &verify);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output);
    assert!(
        said.contains("it answered: Internal Server Error (status 502)"),
        "{said}"
    );
    assert_eq!(clouds.changes(), [""; 0]);
}

/// `eval` of an output that could not be read does nothing and succeeds.
#[test]
fn the_commands_of_the_documents_fail_without_credentials_or_an_output() {
    let documents = [
        include_str!("../../README.md"),
        include_str!("../../CONTRIBUTING.md"),
        include_str!("../../docs/deploying.md"),
        include_str!("../../docs/reference.md"),
        include_str!("../../docs/auditing.md"),
        include_str!("../../RUNBOOK.md"),
        include_str!("../../deploy/runbook.sh"),
    ];
    for document in documents {
        assert!(!document.contains("eval \"$(output"));
        for (place, _) in document.match_indices("$(output ") {
            let (before, after) = document.split_at(place);
            // Several assignments have the status of the last.
            let (_, after) = after.split_once(')').unwrap();
            let after = after.trim_start_matches(' ');
            let alone = ["&&", "||", "\n", "#"]
                .iter()
                .any(|end| after.starts_with(end));
            assert!(before.ends_with('=') && alone, "{}", &after[..40]);
        }
    }
}
