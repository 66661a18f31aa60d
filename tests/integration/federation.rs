//! `azure/federate.sh` and `azure/check-tokens.sh` with stub command lines of both clouds, whose
//! answers are files. The tests need `jq`.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

const CLIENT: &str = "5e1f2a3b-86f1-41af-91ab-2d7cd011db47";
const ISSUER: &str = "https://a1b2d0fd-0000-4000-8000-000000000723.tokens.sts.global.api.aws";

const AWS: &str = r#"#!/usr/bin/env bash
set -euo pipefail
echo "aws $*" >> "$WORLD/arguments"
case "$*" in
"iam get-outbound-web-identity-federation-info"*) cat "$WORLD/issuer" ;;
*ArchiverRoleArn*) echo arn:aws:iam::123456789012:role/stack-ArchiverRole-1 ;;
*SweeperRoleArn*) echo arn:aws:iam::123456789012:role/stack-SweeperRole-1 ;;
*describe-stack-resource*) while (($#)); do [[ $1 != --logical-resource-id ]] || echo "stack-$2-1"; shift; done ;;
"lambda invoke"*)
    [[ $* == *'--payload {"check":"tokens"}'* ]]
    while (($#)); do [[ $1 != --function-name ]] || name=$2; file=$1; shift; done
    cp "$WORLD/$name" "$file"
    echo '{"StatusCode": 200}'
    ;;
*) exit 1 ;;
esac
"#;

/// A stub of `az`: its answers are files that a test writes, and the resources that it creates
/// appear in a file.
const AZ: &str = r#"#!/usr/bin/env bash
set -euo pipefail
echo "az $*" >> "$WORLD/arguments"
case "$*" in
"communication show"*"--query id"*) echo /subscriptions/1/resourceGroups/calls/providers/Microsoft.Communication/CommunicationServices/contoso ;;
"communication show"*"--query hostName"*) echo contoso.communication.azure.com ;;
"account show"*) echo 9188040d-6c67-4c5b-b112-36a304b66dad ;;
"ad app list"*) cat "$WORLD/applications" ;;
"ad app create"*) tee "$WORLD/applications" <<<"5e1f2a3b-86f1-41af-91ab-2d7cd011db47" ;;
"ad sp list"*) cat "$WORLD/principals" ;;
"ad sp create"*) tee "$WORLD/principals" <<<"0b1c2d3e-4f50-4617-8293-a4b5c6d7e8f9" ;;
"role assignment list"*) cat "$WORLD/assigned" ;;
"role assignment create"*) echo 1 > "$WORLD/assigned" ;;
"ad app federated-credential list"*)
    all=$* && name=${all#*name==\'} && name=${name%%\'*}
    [[ ! -e $WORLD/trusted-$name ]] || echo "$name"
    ;;
"ad app federated-credential create"* | "ad app federated-credential update"*)
    name=$(jq --raw-output .name <<<"${!#}")
    [[ $4 == create || $* == *"--federated-credential-id $name "* ]]
    cat <<<"${!#}" > "$WORLD/trusted-$name"
    ;;
*) exit 1 ;;
esac
"#;

struct Clouds(TempDir);

impl Clouds {
    fn new() -> Self {
        let clouds = Self(TempDir::new().unwrap());
        fs::create_dir(clouds.0.path().join("bin")).unwrap();
        for (name, text) in [("aws", AWS), ("az", AZ)] {
            clouds.write(&format!("bin/{name}"), text);
            let path = clouds.0.path().join("bin").join(name);
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        for (name, text) in [
            ("applications", ""),
            ("principals", ""),
            ("assigned", "0"),
            ("issuer", ISSUER),
        ] {
            clouds.write(name, text);
        }
        clouds
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.path().join(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.path().join(name)).unwrap_or_default()
    }

    /// The number of commands with this beginning.
    fn count(&self, command: &str) -> usize {
        let arguments = self.read("arguments");
        let run = arguments.lines().filter(|line| line.starts_with(command));
        run.count()
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the script needs the other programs of the machine"
    )]
    fn run(&self, script: &str, options: &[&str]) -> Output {
        let path = std::env::var("PATH").unwrap_or_default();
        let script = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("azure")
            .join(script);
        Command::new("bash")
            .arg(script)
            .args(options)
            .env("PATH", format!("{}/bin:{path}", self.0.path().display()))
            .env("WORLD", self.0.path())
            .output()
            .unwrap()
    }

    fn federate(&self, more: &[&str]) -> Output {
        let options = [&["--resource-group", "calls", "--acs", "contoso"], more].concat();
        self.run("federate.sh", &options)
    }
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn an_application_is_created_once_and_the_parameters_are_printed() {
    let clouds = Clouds::new();
    for _ in 0..2 {
        let output = clouds.federate(&[]);
        assert!(output.status.success(), "{output:?}");
        assert_eq!(
            said(&output),
            format!(
                "CommunicationServicesEndpoint=https://contoso.communication.azure.com\n\
                 AcsTenantId=9188040d-6c67-4c5b-b112-36a304b66dad\nAcsClientId={CLIENT}\n"
            )
        );
    }
    for command in [
        "az ad app create",
        "az ad sp create",
        "az role assignment create",
    ] {
        assert_eq!(clouds.count(command), 1, "{command}");
    }
    let arguments = clouds.read("arguments");
    let assigned = arguments
        .lines()
        .find(|line| line.contains("assignment create"));
    let assigned = assigned.unwrap();
    // The role is assigned on the one resource.
    assert!(assigned.contains("--scope /subscriptions/1/resourceGroups/calls/providers/Microsoft.Communication/CommunicationServices/contoso"));
    assert!(assigned.contains("--role Communication and Email Service Owner"));
    assert_eq!(clouds.count("aws"), 0);
    // No secret is created.
    assert!(!arguments.contains("credential reset") && !arguments.contains("password"));
}

#[test]
fn each_role_of_the_stack_gets_a_credential_that_entra_accepts() {
    let clouds = Clouds::new();
    for _ in 0..2 {
        let output = clouds.federate(&["--stack", "stack", "--region", "eu-central-1"]);
        assert!(output.status.success(), "{output:?}");
        for function in ["Archiver", "Sweeper"] {
            let trusted = clouds.read(&format!("trusted-stack-{function}"));
            let trusted: Value = serde_json::from_str(&trusted).unwrap();
            assert_eq!(
                trusted,
                json!({
                    "name": format!("stack-{function}"),
                    "issuer": ISSUER,
                    "subject": format!("arn:aws:iam::123456789012:role/stack-{function}Role-1"),
                    "audiences": [emulators::sts::AUDIENCE],
                })
            );
        }
    }
    let (made, corrected) = (
        clouds.count("az ad app federated-credential create"),
        clouds.count("az ad app federated-credential update"),
    );
    assert_eq!((made, corrected), (2, 2));
}

#[test]
fn a_fault_stops_the_script_before_it_trusts_a_role() {
    let two = format!("{CLIENT}\n{CLIENT}\n");
    for (file, text, why) in [
        ("issuer", "None", "names no issuer"),
        ("applications", two.as_str(), "there is not one application"),
    ] {
        let clouds = Clouds::new();
        clouds.write(file, text);
        let output = clouds.federate(&["--stack", "stack"]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains(why), "{error}");
        assert_eq!(clouds.count("az ad app federated-credential"), 0);
    }
    let clouds = Clouds::new();
    fs::remove_file(clouds.0.path().join("issuer")).unwrap();
    let output = clouds.federate(&["--stack", "stack"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        error.contains("enable-outbound-web-identity-federation"),
        "{error}"
    );
    let odd = clouds.federate(&["--application", "a' or 'a"]);
    assert_eq!(odd.status.code(), Some(2));
}

#[test]
fn the_check_shows_the_claims_of_both_functions_and_fails_if_one_has_none() {
    let good = json!({"statusCode": 200, "body": json!({"assertion": {"sub": "role"}, "token": {"tid": "t"}}).to_string()});
    let bad = json!({"statusCode": 503, "body": json!({"error": "Microsoft Entra refused the assertion with 401 AADSTS700213"}).to_string()});
    for (sweeper, code) in [(&good, 0), (&bad, 1)] {
        let clouds = Clouds::new();
        clouds.write("stack-Archiver-1", &good.to_string());
        clouds.write("stack-Sweeper-1", &sweeper.to_string());
        let output = clouds.run("check-tokens.sh", &["--stack", "stack"]);
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        let said = said(&output);
        assert!(
            said.starts_with("Archiver:\n") && said.contains("\nSweeper:\n"),
            "{said}"
        );
        assert!(said.contains("\"sub\": \"role\""), "{said}");
        assert_eq!(said.contains("AADSTS700213"), code == 1, "{said}");
    }
}
