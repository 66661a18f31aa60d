//! `deploy/runbook.sh` between clouds that are files in a folder.

use std::process::Output;

use serde_json::json;

use super::{Clouds, ROOT, fs, script, text};

/// Clouds with the stack of an installation.
fn clouds() -> Clouds {
    let clouds = Clouds::new();
    let outputs = json!({
        "FunctionUrl": "https://function.example/", "WebhookSecretArn": "arn:aws:webhook",
        "ConnectionSecretArn": "arn:aws:connection", "RecordingsBucketName": "recordings",
        "WorkBucketName": "work",
    });
    stack(&clouds, &outputs);
    clouds
}

fn stack(clouds: &Clouds, outputs: &serde_json::Value) {
    let outputs = super::fields(outputs).iter();
    let outputs: Vec<_> = outputs
        .map(|(name, value)| json!({"OutputKey": name, "OutputValue": value}))
        .collect();
    let prefix = json!({"ParameterKey": "RecordingsPrefix", "ParameterValue": "calls/"});
    let stack = json!({"Stacks": [{"Outputs": outputs, "Parameters": [prefix]}]});
    clouds.write("stack", stack.to_string().as_bytes());
}

/// Runs commands after the script was sourced.
fn after(clouds: &Clouds, commands: &str) -> Output {
    let text = format!("source {ROOT}/deploy/runbook.sh archiver\n{commands}\n");
    script(&clouds.path("commands"), &text);
    clouds.run(clouds.path("commands").to_str().unwrap(), &[])
}

#[test]
fn sourcing_sets_the_variables_of_the_runbook() {
    let clouds = clouds();
    let show = r#"echo "[$STACK $PREFIX $FUNCTION_URL $BUCKET $WORK $ARCHIVER $SWEEPER $LOG_GROUP]"
        echo "[$WEBHOOK_SECRET_ARN $CONNECTION_SECRET_ARN]""#;
    let said = text(&after(&clouds, show));
    assert!(
        said.contains(
            "[archiver calls/ https://function.example/ recordings work the-Archiver the-Sweeper \
             the-Logs]\n[arn:aws:webhook arn:aws:connection]"
        ),
        "{said}"
    );
    assert!(said.contains("ready: stack archiver"), "{said}");
}

#[test]
fn with_tokens_there_is_no_secret_of_the_connection() {
    let clouds = clouds();
    let outputs = json!({
        "FunctionUrl": "https://function.example/", "WebhookSecretArn": "arn:aws:webhook",
        "RecordingsBucketName": "recordings", "WorkBucketName": "work",
    });
    stack(&clouds, &outputs);
    let said = text(&after(&clouds, r#"echo "[$CONNECTION_SECRET_ARN]""#));
    assert!(
        said.contains("ready: stack archiver") && said.contains("[]"),
        "{said}"
    );
}

#[test]
fn what_is_missing_is_named_and_the_shell_goes_on() {
    for (fail, said) in [
        ("sts *", "the AWS command line is not signed in"),
        ("cloudformation describe-stacks *", "AccessDenied"),
        ("cloudformation describe-stack-resource *", "AccessDenied"),
    ] {
        let clouds = clouds();
        clouds.write("fail", fail.as_bytes());
        let text = text(&after(&clouds, "echo \"status $?\""));
        assert!(text.contains(said), "{fail}: {text}");
        assert!(!text.contains("ready"), "{fail}: {text}");
        assert!(!text.contains("status 0"), "{fail}: {text}");
        assert!(text.contains("status "), "{fail}: {text}");
    }
    let clouds = clouds();
    for tool in ["curl", "jq"] {
        fs::remove_file(clouds.path("bin").join(tool)).unwrap();
    }
    let text = text(&after(&clouds, "echo \"status $?\""));
    assert!(
        text.contains("not installed: curl jq\n") && text.contains("status 1\n"),
        "{text}"
    );
}

#[test]
fn an_output_or_a_parameter_is_printed_or_missed_by_its_name() {
    let clouds = clouds();
    let found = after(&clouds, "output FunctionUrl 2>&1");
    assert!(found.stdout.ends_with(b"\nhttps://function.example/\n"));
    for (command, said) in [
        (
            "output NoSuchOutput",
            "stack archiver has no output NoSuchOutput",
        ),
        (
            "parameter NoSuchParameter",
            "stack archiver has no parameter NoSuchParameter",
        ),
    ] {
        let missing = after(&clouds, &format!("value=$({command})"));
        assert_eq!(missing.status.code(), Some(1), "{missing:?}");
        assert!(text(&missing).contains(said), "{missing:?}");
    }
    // Nothing stands for what could not be read.
    clouds.write("fail", b"cloudformation*");
    let denied = after(&clouds, "value=$(output FunctionUrl)");
    assert!(!denied.status.success(), "{denied:?}");
}

#[test]
fn a_secret_is_replaced_by_a_json_object_alone() {
    let clouds = clouds();
    let before = clouds.read("connection");
    for bad in ["true", "echo not json", "echo '[]'"] {
        let output = after(
            &clouds,
            &format!("{bad} | write_secret \"$CONNECTION_SECRET_ARN\""),
        );
        assert_eq!(output.status.code(), Some(1), "{bad}: {output:?}");
        assert!(
            text(&output).contains("the secret is left as it is"),
            "{bad}"
        );
        assert_eq!(clouds.read("connection"), before, "{bad}");
    }
    let edit = r#"read_secret "$CONNECTION_SECRET_ARN" | jq --compact-output '.A = "b"' |
        write_secret "$CONNECTION_SECRET_ARN""#;
    let output = after(&clouds, edit);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        clouds.read("connection"),
        r#"{"COMMUNICATION_SERVICES_CONNECTION_STRING":"","A":"b"}"#
    );
}

/// `Clouds::run` asserts that no argument of a program has the secret.
#[test]
fn an_event_is_posted_with_the_secret_in_a_header() {
    let clouds = clouds();
    let output = after(&clouds, "echo '[]' | post");
    assert!(output.status.success(), "{output:?}");
    let arguments = clouds.read("arguments");
    assert!(
        arguments.contains("https://function.example/ --config "),
        "{arguments}"
    );
    clouds.write("fail", b"*get-secret-value*");
    let output = after(&clouds, "echo '[]' | post");
    assert!(!output.status.success(), "{output:?}");
    let asked = clouds.read("arguments").matches("curl ").count();
    assert_eq!(asked, 1, "nothing is posted without a secret");
}

#[test]
fn run_instead_of_sourced_it_says_how_it_is_used() {
    let output = Clouds::new().run("deploy/runbook.sh", &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output).contains("Usage: source deploy/runbook.sh"));
}
