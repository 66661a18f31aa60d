//! Settings in Secrets Manager: the read at the start, and the refreshes.

use std::time::Duration;

use acs_recording_archiver::config::{Faults, Settings};
use acs_recording_archiver::function::Function;
use acs_recording_archiver::limits::{Limits, RefreshPolicy};
use aws_config::SdkConfig;
use emulators::acs;
use emulators::secrets_manager::{self, Fault, SecretsManager};
use serde_json::{Value, json};
use tokio::time::sleep;

use harness::embedded::{Response, Status, client_to, environment, function_by, payload, sdk};
use harness::world::{PART, Recording, World, limits};

const OLD: &str = "old-secret-0123456789";
const NEW: &str = "new-secret-0123456789";
const HOUR: Duration = Duration::from_hours(1);
const SHORT: Duration = Duration::from_millis(500);

/// A policy that refreshes whenever a value does not match.
pub const EAGER: RefreshPolicy = RefreshPolicy {
    max_age: Some(HOUR),
    min_interval: Duration::ZERO,
    timeout: Duration::from_millis(500),
};

/// A world with a Secrets Manager.
pub struct Vault {
    pub world: World,
    pub manager: SecretsManager,
}

impl Vault {
    pub async fn start() -> Self {
        let settings = secrets_manager::Settings::default();
        Self {
            world: World::start().await,
            manager: SecretsManager::start(settings).await,
        }
    }

    pub fn set(&self, secret: &Value) {
        self.manager.set(&secret.to_string());
    }

    async fn sdk(&self) -> SdkConfig {
        let sdk = sdk(&self.world.s3).await;
        sdk.to_builder()
            .endpoint_url(self.manager.endpoint())
            .build()
    }

    /// A function whose environment names the secret and has these variables.
    pub async fn function(
        &self,
        policy: RefreshPolicy,
        variables: &[(&'static str, &str)],
    ) -> Result<Function, Faults> {
        let limits = Limits {
            secret: policy,
            ..limits()
        };
        self.function_within(limits, variables).await
    }

    async fn function_within(
        &self,
        limits: Limits,
        variables: &[(&'static str, &str)],
    ) -> Result<Function, Faults> {
        let (s3, acs) = (&self.world.s3, &self.world.acs);
        let id = ("SECRET_ID", self.manager.secret_id());
        let variables = variables.iter().chain([&id]);
        let variables: Vec<_> = variables
            .map(|(name, value)| (*name, (*value).to_owned()))
            .collect();
        let settings = Settings::new(&self.sdk().await, environment(s3, acs, &variables));
        function_by(settings, s3, client_to(acs), limits).await
    }

    /// The world with a function whose environment names the secret.
    pub async fn world(&self, policy: RefreshPolicy, variables: &[(&'static str, &str)]) -> World {
        let function = self.function(policy, variables).await;
        World::over(&self.world, function.expect("the settings are good"))
    }
}

/// The status of a delivery of no events with this secret.
async fn knock(world: &World, secret: &str) -> Status {
    ask(world, "POST", &format!("code={secret}")).await.status
}

async fn ask(world: &World, method: &str, query: &str) -> Response {
    let body = json!([{"id": "1", "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
        "data": {"validationCode": "hello"}}]);
    let payload = payload(method, "/", query, &json!({}), &body.to_string());
    world.call(&payload).await
}

#[tokio::test]
async fn its_members_override_the_environment() {
    let vault = Vault::start().await;
    vault.set(&json!({
        "WEBHOOK_SECRETS": NEW,
        "RECORDINGS_PREFIX": "calls/",
        "TRANSFER_CONCURRENCY": 2,
        "other": {},
    }));
    let variables = [("WEBHOOK_SECRETS", OLD), ("RECORDINGS_PREFIX", "other/")];
    let world = vault.world(EAGER, &variables).await;
    assert_eq!(knock(&world, NEW).await, 200);
    assert_eq!(knock(&world, OLD).await, 401);

    let recording = Recording::of(&[10]);
    recording.publish(&world);
    let event = recording.event(&world).to_string();
    let delivery = payload("POST", "/", &format!("code={NEW}"), &json!({}), &event);
    assert_eq!(world.call(&delivery).await.status, 200);
    let prefixed = |key: &String| key.starts_with("calls/");
    assert!(world.keys().iter().all(prefixed), "{:?}", world.keys());
}

#[tokio::test]
async fn a_binary_secret_is_read_as_well() {
    let vault = Vault::start().await;
    let secret = json!({"WEBHOOK_SECRETS": NEW}).to_string();
    vault.manager.set_binary(secret);
    let world = vault.world(EAGER, &[]).await;
    assert_eq!(knock(&world, NEW).await, 200);
}

#[tokio::test]
async fn invalid_settings_in_it_stop_the_start_and_are_named_without_values() {
    let vault = Vault::start().await;
    for (secret, name) in [
        (
            json!({"WEBHOOK_SECRETS": "?private?"}).to_string(),
            "WEBHOOK_SECRETS",
        ),
        (
            json!({"COMMUNICATION_SERVICES_CONNECTION_STRING": ""}).to_string(),
            "COMMUNICATION_SERVICES_CONNECTION_STRING is required",
        ),
        (
            json!({"WEBHOOK_SECRETS": ["?private?"]}).to_string(),
            "SECRET_ID",
        ),
        ("?private?".to_owned(), "SECRET_ID"),
        (String::new(), "SECRET_ID"),
    ] {
        vault.manager.set(&secret);
        let faults = vault.function(EAGER, &[]).await.unwrap_err().to_string();
        assert!(faults.contains(name), "{faults}");
        assert!(!faults.contains("private"), "{faults}");
    }
}

#[tokio::test]
async fn the_function_starts_while_secrets_manager_is_unreachable() {
    for fault in [
        Fault::Refuse,
        Fault::NotFound,
        Fault::Throttle,
        Fault::Internal,
        Fault::Malformed,
        Fault::Hang,
        Fault::Drop,
    ] {
        let vault = Vault::start().await;
        vault.set(&json!({"WEBHOOK_SECRETS": NEW}));
        vault.manager.fail(Some(fault));
        let world = vault.world(EAGER, &[("WEBHOOK_SECRETS", OLD)]).await;
        // The secret in the environment may be outdated, so it is not accepted either.
        for secret in [NEW, OLD, "wrong"] {
            let response = ask(&world, "POST", &format!("code={secret}")).await;
            assert_eq!(response.status.code(), 503, "{fault:?}");
            assert!(response.headers["retry-after"].is_string(), "{fault:?}");
        }
        // A handshake that may need a secret is not answered with a consent.
        vault.manager.clear_calls();
        assert_eq!(ask(&world, "OPTIONS", "").await.status, 503);
        assert_eq!(
            vault.manager.calls(),
            0,
            "a request without credentials causes no read"
        );
        assert_eq!(ask(&world, "GET", "").await.status, 405);
        let tick = serde_json::value::RawValue::from_string(
            r#"{"detail-type": "Scheduled Event", "source": "aws.scheduler", "detail": "{}"}"#
                .to_owned(),
        );
        let tick = world
            .function
            .invoke(&tick.unwrap(), std::time::UNIX_EPOCH)
            .await;
        assert!(tick.is_err(), "the tick succeeded without settings");
        world.assert_uncalled();

        vault.manager.fail(None);
        assert_eq!(knock(&world, NEW).await, 200, "{fault:?}");
        assert_eq!(knock(&world, OLD).await, 401, "{fault:?}");
    }
}

#[tokio::test]
async fn a_later_outage_keeps_the_cached_settings_and_refuses_nothing_finally() {
    let vault = Vault::start().await;
    vault.set(&json!({"WEBHOOK_SECRETS": OLD}));
    let world = vault.world(EAGER, &[]).await;
    vault.manager.fail(Some(Fault::Internal));
    assert_eq!(knock(&world, OLD).await, 200);
    // An unknown secret may be the new one, so Event Grid must retry.
    assert_eq!(knock(&world, NEW).await, 503);
    vault.manager.fail(None);
    assert_eq!(knock(&world, "wrong").await, 401);
}

/// Contents of the secret without valid webhook secrets, and faults of Secrets Manager.
fn unusable() -> Vec<(String, Option<Fault>)> {
    let list = |list: &str| json!({"WEBHOOK_SECRETS": list}).to_string();
    vec![
        (list(""), None),
        (list(" , "), None),
        (list(&format!("{NEW} ä")), None),
        (list(&format!("{NEW},short")), None),
        (json!({}).to_string(), None),
        (json!({"WEBHOOK_SECRETS": [NEW]}).to_string(), None),
        (format!("{{\"WEBHOOK_SECRETS\": \"{NEW}\""), None),
        (list(NEW), Some(Fault::Refuse)),
        (list(NEW), Some(Fault::NotFound)),
        (list(NEW), Some(Fault::Internal)),
    ]
}

#[tokio::test]
async fn unconfirmed_webhook_secrets_are_valid_for_their_max_age() {
    for (unusable, fault) in unusable() {
        // The deployed max age, and one that has passed.
        for (longest, old) in [(HOUR, 200), (SHORT, 503)] {
            let vault = Vault::start().await;
            vault.set(&json!({"WEBHOOK_SECRETS": OLD}));
            let limits = Limits {
                secret: RefreshPolicy {
                    max_age: Some(Duration::ZERO),
                    ..EAGER
                },
                webhook_secrets: longest,
                ..limits()
            };
            let variables = [("WEBHOOK_SECRETS", "")];
            let function = vault.function_within(limits, &variables).await.unwrap();
            let world = World::over(&vault.world, function);
            vault.manager.set(&unusable);
            vault.manager.fail(fault);
            if longest == SHORT {
                sleep(SHORT).await;
            }
            for (secret, status) in [(OLD, old), (NEW, 503), ("wrong", 503)] {
                assert_eq!(knock(&world, secret).await, status, "{unusable} {fault:?}");
            }
            // The connection string is valid until ACS refuses it.
            let recording = Recording::of(&[10]);
            recording.publish(&world);
            recording.store(&world, Duration::from_mins(5));
            world.tick().await;
            world.assert_archived(&recording);

            vault.manager.fail(None);
            vault.set(&json!({"WEBHOOK_SECRETS": format!("{NEW}, ,")}));
            assert_eq!(knock(&world, NEW).await, 200, "{unusable} {fault:?}");
            assert_ne!(knock(&world, OLD).await, 200, "{unusable} {fault:?}");
        }
    }
}

#[tokio::test]
async fn a_removed_webhook_secret_is_refused_whatever_the_same_edit_breaks() {
    let vault = Vault::start().await;
    vault.set(&json!({"WEBHOOK_SECRETS": format!("{OLD},{NEW}")}));
    let aged = RefreshPolicy {
        max_age: Some(Duration::ZERO),
        ..EAGER
    };
    let world = vault.world(aged, &[]).await;
    for broken in ["", "endpoint=http://evil.example/;accesskey=AAECAw==", "?"] {
        vault.set(&json!({"WEBHOOK_SECRETS": format!("{OLD},{NEW}")}));
        assert_eq!(knock(&world, OLD).await, 200);
        vault.set(&json!({"WEBHOOK_SECRETS": format!(" {NEW} ,"),
            "COMMUNICATION_SERVICES_CONNECTION_STRING": broken}));
        assert_eq!(knock(&world, OLD).await, 401);
        assert_eq!(knock(&world, NEW).await, 200);
    }
}

#[tokio::test]
async fn a_new_secret_is_accepted_at_once_and_an_old_one_refused_after_max_age() {
    let vault = Vault::start().await;
    vault.set(&json!({"WEBHOOK_SECRETS": OLD}));
    let world = vault.world(EAGER, &[]).await;
    vault.set(&json!({"WEBHOOK_SECRETS": format!("{OLD},{NEW}")}));
    assert_eq!(knock(&world, NEW).await, 200);
    assert_eq!(knock(&world, OLD).await, 200);

    let aged = RefreshPolicy {
        max_age: Some(Duration::ZERO),
        ..EAGER
    };
    let world = vault.world(aged, &[]).await;
    assert_eq!(knock(&world, OLD).await, 200);
    vault.set(&json!({"WEBHOOK_SECRETS": NEW}));
    assert_eq!(knock(&world, OLD).await, 401);
    assert_eq!(knock(&world, NEW).await, 200);
}

#[tokio::test]
async fn wrong_secrets_cause_one_read_in_the_minimum_interval() {
    let vault = Vault::start().await;
    vault.set(&json!({"WEBHOOK_SECRETS": OLD}));
    let world = vault
        .world(
            RefreshPolicy {
                min_interval: HOUR,
                ..EAGER
            },
            &[],
        )
        .await;
    vault.manager.clear_calls();
    for guess in 0..50 {
        assert_eq!(knock(&world, &format!("wrong{guess}")).await, 401);
    }
    assert_eq!(ask(&world, "POST", "").await.status, 401);
    assert_eq!(
        vault.manager.calls(),
        0,
        "the read is less than an hour old"
    );

    let world = vault.world(EAGER, &[]).await;
    vault.manager.clear_calls();
    assert_eq!(knock(&world, "wrong").await, 401);
    assert_eq!(vault.manager.calls(), 1);
    for (method, query) in [("POST", ""), ("OPTIONS", ""), ("GET", "code=wrong")] {
        ask(&world, method, query).await;
    }
    assert_eq!(
        vault.manager.calls(),
        1,
        "there was no value to compare with"
    );
}

#[tokio::test]
async fn the_limits_are_those_that_are_documented() {
    let Limits {
        secret,
        webhook_secrets,
        token_keys,
        ..
    } = Limits::default();
    assert_eq!(webhook_secrets, HOUR);
    assert_eq!(
        (secret.max_age, secret.min_interval),
        (Some(Duration::from_mins(5)), Duration::from_secs(10))
    );
    assert_eq!(
        (token_keys.max_age, token_keys.min_interval),
        (Some(Duration::from_hours(24)), Duration::from_secs(10))
    );
}

#[tokio::test]
async fn an_access_key_that_is_rotated_during_a_run_suspends_no_event() {
    let vault = Vault::start().await;
    let (old, new) = ([1; 32], [2; 32]);
    let acs = &vault.world.acs;
    acs.set_access_keys(&[&old]);
    let with = |key: &[u8]| {
        let connection = acs.connection_string_with(key);
        json!({"COMMUNICATION_SERVICES_CONNECTION_STRING": connection})
    };
    vault.set(&with(&old));
    let world = vault.world(EAGER, &[]).await;
    let recording = Recording::of(&[6 * PART, 10]);
    recording.publish(&world);

    // ACS withdraws the old key once a part is in S3.
    let (rotated, manager) = (acs.clone(), vault.manager.clone());
    let switch = with(&new).to_string();
    world.s3.inject(move |call| {
        if call.operation == "UploadPart" {
            manager.set(&switch);
            rotated.set_access_keys(&[&[2; 32]]);
        }
        None
    });
    vault.manager.clear_calls();
    let response = world.deliver(&recording.event(&world)).await;
    assert_eq!(response.status.code(), 200, "{response:?}");
    world.assert_archived(&recording);
    assert!(vault.manager.calls() >= 1);
}

#[tokio::test]
async fn a_tick_refreshes_an_old_access_key() {
    let vault = Vault::start().await;
    let (old, new) = ([1; 32], [2; 32]);
    let acs = &vault.world.acs;
    let with = |key: &[u8]| {
        let connection = acs.connection_string_with(key);
        json!({"COMMUNICATION_SERVICES_CONNECTION_STRING": connection})
    };
    vault.set(&with(&old));
    let aged = RefreshPolicy {
        max_age: Some(Duration::ZERO),
        ..EAGER
    };
    let world = vault.world(aged, &[]).await;
    acs.set_access_keys(&[]);
    let recording = Recording::of(&[10]);
    recording.publish(&world);
    assert_eq!(world.deliver(&recording.event(&world)).await.status, 503);

    vault.set(&with(&new));
    acs.set_access_keys(&[&new]);
    acs.clear_requests();
    world.tick().await;
    world.assert_archived(&recording);
    let refused = |request: &acs::Request| request.status == Some(401);
    assert!(
        !acs.requests().iter().any(refused),
        "the key was read before the downloads"
    );
}

#[tokio::test]
async fn a_wrong_access_key_causes_one_read_and_keeps_the_event() {
    let vault = Vault::start().await;
    vault.set(&json!({}));
    let world = vault
        .world(
            RefreshPolicy {
                min_interval: Duration::from_millis(1),
                ..EAGER
            },
            &[],
        )
        .await;
    world.acs.set_access_keys(&[&[9; 32]]);
    let recording = Recording::of(&[10]);
    recording.publish(&world);
    let response = world.deliver(&recording.event(&world)).await;
    assert_eq!(response.status.code(), 503);
    let pending = recording.pending();
    let left = ["attempt.json", "event.json"].map(|name| format!("{pending}/{name}"));
    assert_eq!(world.keys(), left);
    let media = world.media_requests();
    assert!(media.len() <= 2, "one attempt with each read");
}

#[tokio::test]
async fn a_connection_string_for_another_resource_is_not_accepted() {
    let vault = Vault::start().await;
    vault.set(&json!({"WEBHOOK_SECRETS": OLD}));
    let world = vault.world(EAGER, &[]).await;
    let other = "endpoint=https://evil.communication.azure.com/;accesskey=AAECAw==";
    vault.set(&json!({"WEBHOOK_SECRETS": NEW, "COMMUNICATION_SERVICES_CONNECTION_STRING": other}));
    // Another fault of the same edit does not keep a withdrawn secret valid.
    assert_eq!(knock(&world, NEW).await, 200);
    assert_eq!(knock(&world, OLD).await, 401);
    vault.set(&json!({"WEBHOOK_SECRETS": OLD, "TRANSFER_CONCURRENCY": "many"}));
    assert_eq!(knock(&world, OLD).await, 200);
    assert_eq!(knock(&world, NEW).await, 401);

    let recording = Recording::of(&[10]);
    recording.publish(&world);
    let delivery = payload(
        "POST",
        "/",
        &format!("code={OLD}"),
        &json!({}),
        &recording.event(&world).to_string(),
    );
    vault.set(&json!({"WEBHOOK_SECRETS": OLD, "COMMUNICATION_SERVICES_CONNECTION_STRING": other}));
    assert_eq!(world.call(&delivery).await.status, 200);
    world.assert_archived(&recording);
}
