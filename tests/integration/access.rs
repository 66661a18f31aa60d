//! Which of several secrets is read when, and what the log tells of them.

use std::time::Duration;

use emulators::secrets_manager::Fault;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::binary::{Lambda, PATIENCE};
use crate::embedded::{Response, payload};
use crate::secrets::{EAGER, Vault};
use crate::world::{Recording, World};

const OLD: &str = "old-secret-0123456789";
const NEW: &str = "new-secret-0123456789";
/// The two secrets of Secrets Manager.
const WEBHOOK: &str = "archiver-webhook";
const CONNECTION: &str = "archiver-connection";
const BOTH: &str = " archiver-webhook, ,archiver-connection,";
/// A body that asks for nothing but to be let in.
const NOTHING: &str = "[]";

async fn post(world: &World, query: &str, headers: &Value, body: &str) -> Response {
    world
        .call(&payload("POST", "/", query, headers, body))
        .await
}

/// The lines of a log in JSON.
fn lines(stdout: &str) -> Vec<Value> {
    let lines = stdout.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Two secrets, as the template has them.
async fn two_secrets() -> (Vault, Vec<(&'static str, &'static str)>) {
    let vault = Vault::start().await;
    let (acs, manager) = (&vault.world.acs, &vault.manager);
    let webhook = json!({"WEBHOOK_SECRETS": format!("{OLD},")});
    manager.set_named(WEBHOOK, &webhook.to_string());
    let connection = json!({"COMMUNICATION_SERVICES_CONNECTION_STRING": acs.connection_string()});
    manager.set_named(CONNECTION, &connection.to_string());
    (vault, vec![("SECRET_ID", BOTH)])
}

#[tokio::test]
async fn each_of_two_secrets_is_refreshed_by_itself() {
    let (vault, variables) = two_secrets().await;
    let manager = &vault.manager;
    manager.clear_calls();
    let world = vault.world(EAGER, &variables).await;
    assert_eq!(manager.calls(), 2);
    let knock = async |secret: &str| {
        let query = format!("code={secret}");
        post(&world, &query, &json!({}), NOTHING).await.status
    };
    assert_eq!(knock(OLD).await, 200);

    // Only the one that a delivery is held against is read again.
    manager.fail_named(CONNECTION, Some(Fault::Refuse));
    manager.set_named(WEBHOOK, &json!({"WEBHOOK_SECRETS": NEW}).to_string());
    manager.clear_calls();
    assert_eq!(knock(NEW).await, 200);
    assert_eq!(knock(OLD).await, 401);
    assert_eq!(manager.calls(), 2);

    // And only the other is for a download.
    let key = [7; 32];
    let connection = world.acs.connection_string_with(&key);
    let connection = json!({"COMMUNICATION_SERVICES_CONNECTION_STRING": connection});
    manager.set_named(CONNECTION, &connection.to_string());
    manager.fail_named(CONNECTION, None);
    manager.fail_named(WEBHOOK, Some(Fault::Refuse));
    world.acs.set_access_keys(&[&key]);
    let recording = Recording::of(&[10]);
    recording.publish(&world);
    let event = recording.event(&world).to_string();
    let answer = post(&world, &format!("code={NEW}"), &json!({}), &event).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    world.assert_archived(&recording);
}

#[tokio::test]
async fn the_same_member_in_two_secrets_stops_the_start_and_says_so() {
    let (vault, variables) = two_secrets().await;
    let twice = json!({
        "COMMUNICATION_SERVICES_CONNECTION_STRING": vault.world.acs.connection_string(),
        "WEBHOOK_SECRETS": NEW,
    });
    vault.manager.set_named(CONNECTION, &twice.to_string());
    let faults = vault.function(EAGER, &variables).await.unwrap_err();
    let faults = faults.to_string();
    assert!(
        faults.contains("WEBHOOK_SECRETS") && faults.contains("more than one"),
        "{faults}"
    );
    assert!(!faults.contains(NEW) && !faults.contains(OLD), "{faults}");
}

#[tokio::test]
async fn a_refresh_that_fails_is_an_error_and_a_metric_at_once() {
    let list = |list: &str| json!({"WEBHOOK_SECRETS": list}).to_string();
    let mut cases = JoinSet::new();
    for (secret, fault) in [
        (list(","), None),
        (list(""), None),
        (list("sp ace-0123456789ab"), None),
        (format!("{{\"WEBHOOK_SECRETS\": \"{NEW}\""), None),
        (list(OLD), Some(Fault::Refuse)),
    ] {
        cases.spawn(assert_said_to_be_unreadable(secret, fault));
    }
    while let Some(case) = cases.join_next().await {
        case.unwrap();
    }
}

/// Runs a function whose secret becomes this one, or cannot be read, and that is asked after it.
async fn assert_said_to_be_unreadable(secret: String, fault: Option<Fault>) {
    let (lambda, vault) = (Lambda::start().await, Vault::start().await);
    vault.set(&json!({"WEBHOOK_SECRETS": OLD}));
    let process = lambda.run(&[
        ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
        ("SECRET_ID", vault.manager.secret_id()),
        (
            "AWS_ENDPOINT_URL_SECRETS_MANAGER",
            &vault.manager.endpoint(),
        ),
        ("WEBHOOK_SECRETS", ""),
    ]);
    lambda.runtime.wait_for_poll().await;
    vault.manager.set(&secret);
    vault.manager.fail(fault);
    // A wrong secret is looked up once the last look is ten seconds ago; until then it is refused.
    let knock = async |secret: &str| {
        let query = format!("code={secret}");
        let request = payload("POST", "/", &query, &json!({}), NOTHING);
        lambda.call(&request, PATIENCE).await.status
    };
    while knock("wrong").await == 401 {
        sleep(Duration::from_millis(500)).await;
    }
    assert_eq!(knock("wrong").await, 503);
    assert_eq!(knock(OLD).await, 200, "it holds for an hour");
    lambda.runtime.wait_for_poll().await;
    let (stdout, _) = process.kill().await;
    let lines = lines(&stdout);
    let count = |holds: &dyn Fn(&Value) -> bool| lines.iter().filter(|line| holds(line)).count();
    let unreadable = count(&|line| line.get("SecretsUnreadable").is_some());
    assert_eq!(unreadable, 1, "{stdout}");
    assert_eq!(count(&|line| line["level"] == "ERROR"), 1, "{stdout}");
    assert_eq!(count(&|line| line["level"] == "WARN"), 0, "{stdout}");
    for secret in [OLD, NEW, "sp ace"] {
        assert!(!stdout.contains(secret), "{stdout}");
    }
}
