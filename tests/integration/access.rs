//! Authentication of deliveries and handshakes: secrets, tokens, and their log lines.

use std::time::Duration;

use emulators::entra::claims::{v1, v2};
use emulators::entra::{Entra, Fault as KeysFault, SigningKey};
use emulators::secrets_manager::Fault;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::binary::{Lambda, PATIENCE, log_lines};
use crate::secrets::{EAGER, Vault};
use crate::tokens::now;
use harness::embedded::{Response, SECRET, Setup, Status, payload};
use harness::world::{Recording, World, setup};

const TENANT: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";
const AUDIENCE: &str = "api://recordings-archive";
const APPLICATION: &str = "0c1d2e3f-86f1-41af-91ab-2d7cd011db47";
const OLD: &str = "old-secret-0123456789";
const NEW: &str = "new-secret-0123456789";
/// The two secrets of Secrets Manager.
const WEBHOOK: &str = "archiver-webhook";
const CONNECTION: &str = "archiver-connection";
const BOTH: &str = " archiver-webhook, ,archiver-connection,";

fn token(audience: &str) -> String {
    let claims = v1(TENANT, audience, now() - 300, now() + 3600);
    SigningKey::shared(0).token(&claims)
}

fn bearer(token: &str) -> Value {
    json!({"authorization": format!("Bearer {token}")})
}

/// A body without events.
const NOTHING: &str = "[]";

fn validation() -> String {
    json!([{"id": "1", "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
        "data": {"validationCode": "hello"}}])
    .to_string()
}

/// A function that accepts a tenant's tokens, and the tenant.
async fn with_tenant(variables: &[(&'static str, &str)]) -> (World, Entra) {
    let entra = Entra::start(TENANT).await;
    entra.publish(&[SigningKey::shared(0)]);
    let own = [
        ("ENTRA_TENANT_ID", TENANT.to_owned()),
        ("ENTRA_AUDIENCE", AUDIENCE.to_owned()),
        ("ENTRA_AUTHORITY", entra.authority()),
    ];
    let given = variables
        .iter()
        .map(|(name, value)| (*name, (*value).to_owned()));
    let variables = given.chain(own).collect();
    let mut setup = Setup {
        variables,
        ..setup()
    };
    setup.limits.token_keys = EAGER;
    (World::with(setup).await, entra)
}

async fn post(world: &World, query: &str, headers: &Value, body: &str) -> Response {
    world
        .call(&payload("POST", "/", query, headers, body))
        .await
}

/// The status of the `CloudEvents` handshake; 200 is a consent.
async fn options(world: &World, query: &str, headers: &Value) -> Status {
    let mut headers = headers.clone();
    headers["webhook-request-origin"] = "eventgrid.azure.net".into();
    let response = world
        .call(&payload("OPTIONS", "/", query, &headers, ""))
        .await;
    let allowed = response.headers["webhook-allowed-origin"] == "eventgrid.azure.net";
    assert_eq!(allowed, response.status == 200, "{response:?}");
    response.status
}

fn right() -> String {
    format!("code={SECRET}")
}

#[tokio::test]
async fn handshakes_need_the_secret_alone() {
    for require in ["any", "both"] {
        let (world, _entra) = with_tenant(&[("REQUIRE", require)]).await;
        let good = bearer(&token(AUDIENCE));
        let in_header = json!({"x-webhook-secret": SECRET});
        for (query, headers, status) in [
            (right(), json!({}), 200),
            (String::new(), in_header, 200),
            (right(), good.clone(), 200),
            (right(), bearer("a.b.c"), 200),
            ("code=wrong".to_owned(), json!({}), 401),
            ("code=wrong".to_owned(), good.clone(), 401),
            (String::new(), good.clone(), 401),
            (String::new(), json!({}), 401),
        ] {
            let response = post(&world, &query, &headers, &validation()).await;
            assert_eq!(
                response.status.code(),
                status,
                "{require} {query} {headers}"
            );
            if status == 200 {
                assert_eq!(response.body, json!({"validationResponse": "hello"}));
            }
            let consent = options(&world, &query, &headers).await;
            assert_eq!(consent, status, "{require} {query} {headers}");
        }
        world.assert_uncalled();
    }
}

#[tokio::test]
async fn with_tokens_alone_a_handshake_needs_a_token() {
    let (world, _entra) = with_tenant(&[("WEBHOOK_SECRETS", "")]).await;
    assert_eq!(options(&world, "", &json!({})).await, 200);
    let good = bearer(&token(AUDIENCE));
    assert_eq!(post(&world, "", &good, &validation()).await.status, 200);
    let bad = bearer("a.b.c");
    assert_eq!(post(&world, "", &bad, &validation()).await.status, 401);
    assert_eq!(
        post(&world, &right(), &json!({}), NOTHING).await.status,
        401
    );
}

#[tokio::test]
async fn a_handshake_with_a_new_secret_causes_a_refresh_before_it_is_refused() {
    let vault = Vault::start().await;
    vault.set(&json!({"WEBHOOK_SECRETS": OLD}));
    let world = vault.world(EAGER, &[]).await;
    vault.set(&json!({"WEBHOOK_SECRETS": NEW}));
    assert_eq!(
        options(&world, &format!("code={NEW}"), &json!({})).await,
        200
    );
    assert_eq!(
        options(&world, &format!("code={OLD}"), &json!({})).await,
        401
    );
    vault.manager.fail(Some(Fault::Internal));
    // An unknown secret may be newer than the secret that was read.
    assert_eq!(options(&world, "code=unknown", &json!({})).await, 503);
    vault.manager.clear_calls();
    assert_eq!(options(&world, "", &json!({})).await, 401);
    assert_eq!(
        vault.manager.calls(),
        0,
        "a request without credentials causes no read"
    );
}

#[tokio::test]
async fn both_needs_the_secret_and_the_token() {
    let (world, entra) = with_tenant(&[("REQUIRE", "both")]).await;
    let (good, bad) = (bearer(&token(AUDIENCE)), bearer("a.b.c"));
    for (query, headers, status) in [
        (right(), &good, 200),
        (right(), &bad, 401),
        (right(), &json!({}), 401),
        ("code=wrong".to_owned(), &good, 401),
        (String::new(), &good, 401),
    ] {
        for body in [NOTHING, "not JSON"] {
            let expected = if status == 200 && body != NOTHING {
                400
            } else {
                status
            };
            let response = post(&world, &query, headers, body).await;
            assert_eq!(response.status.code(), expected, "{query} {headers}");
        }
    }
    entra.fail(Some(KeysFault::Status(500)));
    let unknown = SigningKey::shared(1).token(&v1(TENANT, AUDIENCE, now() - 9, now() + 99));
    let unknown = bearer(&unknown);
    assert_eq!(post(&world, &right(), &unknown, NOTHING).await.status, 503);
    let wrong = post(&world, "code=wrong", &unknown, NOTHING).await;
    assert_eq!(
        wrong.status, 401,
        "a wrong secret is refused with any token"
    );
}

#[tokio::test]
async fn the_audience_may_be_the_applications_uri_or_its_id() {
    let list = format!("{AUDIENCE}, {APPLICATION},");
    let (world, _entra) = with_tenant(&[("ENTRA_AUDIENCE", &list)]).await;
    for (audience, status) in [
        (AUDIENCE, 200),
        (APPLICATION, 200),
        ("", 401),
        (&*list, 401),
        ("api://another", 401),
    ] {
        for claims in [v1, v2] {
            let claims = claims(TENANT, audience, now() - 300, now() + 3600);
            let token = bearer(&SigningKey::shared(0).token(&claims));
            let response = post(&world, "", &token, NOTHING).await;
            assert_eq!(response.status.code(), status, "{claims}");
        }
    }
}

#[tokio::test]
async fn without_a_webhook_secret_the_schedule_works_and_deliveries_wait() {
    let world = World::with(Setup {
        variables: vec![("WEBHOOK_SECRETS", String::new())],
        ..setup()
    })
    .await;
    let recording = Recording::of(&[10]);
    recording.publish(&world);
    recording.store(&world, Duration::from_mins(5));
    assert_eq!(world.tick().await.finished, 1);
    world.assert_archived(&recording);
    for body in [NOTHING, &validation()] {
        let response = post(&world, &right(), &json!({}), body).await;
        assert_eq!(response.status.code(), 503);
        let reason = response.body["error"].as_str().unwrap();
        assert!(reason.contains("no webhook secret"), "{reason}");
    }
    assert_eq!(options(&world, &right(), &json!({})).await, 503);
    assert_eq!(options(&world, "", &json!({})).await, 503);
    assert_eq!(post(&world, "", &json!({}), NOTHING).await.status, 401);
}

/// The two secrets of the template.
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

    // A delivery refreshes only the secret that holds webhook secrets.
    manager.fail_named(CONNECTION, Some(Fault::Refuse));
    manager.set_named(WEBHOOK, &json!({"WEBHOOK_SECRETS": NEW}).to_string());
    manager.clear_calls();
    assert_eq!(knock(NEW).await, 200);
    assert_eq!(knock(OLD).await, 401);
    assert_eq!(manager.calls(), 2);

    // A download refreshes only the other one.
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
async fn the_same_member_in_two_secrets_stops_the_start() {
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
async fn a_first_webhook_secret_that_is_set_later_is_accepted() {
    let (vault, variables) = two_secrets().await;
    vault.manager.set_named(WEBHOOK, "{}");
    let variables: Vec<_> = variables
        .into_iter()
        .chain([("WEBHOOK_SECRETS", "")])
        .collect();
    let world = vault.world(EAGER, &variables).await;
    let query = format!("code={NEW}");
    assert_eq!(post(&world, &query, &json!({}), NOTHING).await.status, 503);
    let webhook = json!({"WEBHOOK_SECRETS": NEW});
    vault.manager.set_named(WEBHOOK, &webhook.to_string());
    assert_eq!(post(&world, &query, &json!({}), NOTHING).await.status, 200);
    assert_eq!(options(&world, &query, &json!({})).await, 200);
}

#[tokio::test]
async fn the_log_line_of_a_delivery_names_its_sender_and_credential() {
    let lambda = Lambda::start().await;
    let entra = Entra::start(TENANT).await;
    entra.publish(&[SigningKey::shared(0)]);
    let secrets = format!("{OLD},{NEW}");
    for (require, expected) in [
        ("any", ["secret 2 of 2", "token", "secret 1 of 2", "", ""]),
        ("both", ["", "", "secret 1 of 2 and token", "", ""]),
    ] {
        let process = lambda.run(&[
            ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
            ("WEBHOOK_SECRETS", &secrets),
            ("REQUIRE", require),
            ("ENTRA_TENANT_ID", TENANT),
            ("ENTRA_AUDIENCE", AUDIENCE),
            ("ENTRA_AUTHORITY", &entra.authority()),
        ]);
        let good = bearer(&token(AUDIENCE));
        let old = format!("code={OLD}");
        for (query, headers, source) in [
            (format!("code={NEW}"), &json!({}), "203.0.113.25"),
            (String::new(), &good, "2001:db8::7"),
            (old.clone(), &good, "198.51.100.9, 203.0.113.25"),
            (
                "code=wrong".to_owned(),
                &json!({"aeg-subscription-name": "A"}),
                "203.0.113.25",
            ),
            (
                String::new(),
                &json!({"aeg-subscription-name": "A"}),
                "203.0.113.25",
            ),
        ] {
            let mut request = payload("POST", "/", &query, headers, NOTHING);
            request["requestContext"]["http"]["sourceIp"] = source.into();
            lambda.call(&request, PATIENCE).await;
        }
        lambda.runtime.wait_for_poll().await;
        let (stdout, _) = process.kill().await;
        assert!(!stdout.contains(OLD) && !stdout.contains(NEW), "{stdout}");
        let lines = log_lines(&stdout);
        let deliveries: Vec<&Value> = lines
            .iter()
            .filter(|line| line["message"] == "delivery answered")
            .collect();
        let credentials: Vec<&str> = deliveries
            .iter()
            .map(|line| line["credential"].as_str().unwrap_or_default())
            .collect();
        assert_eq!(credentials, expected, "{require}");
        let sources: Vec<Option<&str>> = deliveries
            .iter()
            .map(|line| line["source"].as_str())
            .collect();
        let source = Some("203.0.113.25");
        assert_eq!(sources, [source, Some("2001:db8::7"), None, source, source]);
        // A request without credentials has no sender in the log, whatever it claims.
        let refused = |line: &&Value| line.get("DeliveriesRefused").is_some();
        let wrong = expected[..3].iter().filter(|expected| expected.is_empty());
        assert_eq!(lines.iter().filter(refused).count(), 1 + wrong.count());
    }
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
        cases.spawn(assert_unreadable_is_reported(secret, fault));
    }
    while let Some(case) = cases.join_next().await {
        case.unwrap();
    }
}

/// Asserts that the function logs and counts a secret that becomes invalid or unreadable.
async fn assert_unreadable_is_reported(secret: String, fault: Option<Fault>) {
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
    // A wrong secret causes a refresh if the last was ten seconds ago; until then it is refused.
    let knock = async |secret: &str| {
        let query = format!("code={secret}");
        let request = payload("POST", "/", &query, &json!({}), NOTHING);
        lambda.call(&request, PATIENCE).await.status
    };
    while knock("wrong").await == 401 {
        sleep(Duration::from_millis(500)).await;
    }
    assert_eq!(knock("wrong").await, 503);
    assert_eq!(
        knock(OLD).await,
        200,
        "the cached secret is valid for an hour"
    );
    lambda.runtime.wait_for_poll().await;
    let (stdout, _) = process.kill().await;
    let lines = log_lines(&stdout);
    let count = |holds: &dyn Fn(&Value) -> bool| lines.iter().filter(|line| holds(line)).count();
    let unreadable = count(&|line| line.get("SecretsUnreadable").is_some());
    assert_eq!(unreadable, 1, "{stdout}");
    assert_eq!(count(&|line| line["level"] == "ERROR"), 1, "{stdout}");
    assert_eq!(count(&|line| line["level"] == "WARN"), 0, "{stdout}");
    for secret in [OLD, NEW, "sp ace"] {
        assert!(!stdout.contains(secret), "{stdout}");
    }
}
