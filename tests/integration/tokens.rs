//! Entra ID tokens of deliveries: those of Event Grid are accepted, all others refused.

use std::time::{Duration, SystemTime};

use acs_recording_archiver::limits::RefreshPolicy;
use emulators::entra::claims::{v1, v2};
use emulators::entra::tokens::{hs256, ps256, rs512, signature, unsigned, with_signature};
use emulators::entra::{Entra, Fault, SigningKey, key_set};
use serde_json::{Value, json};

use harness::embedded::{SECRET, Setup, Status, payload};
use harness::world::{World, setup};

const TENANT: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";
const OTHER: &str = "99999999-86f1-41af-91ab-2d7cd011db47";
const AUDIENCE: &str = "api://recordings-archive";
const PUBLIC: &str = "4962773b-9cdb-44cf-a8bf-237846a00ab7";
const GOVERNMENT: &str = "54316b56-3481-47f9-8f30-0300f5542a7b";
const HOUR: Duration = Duration::from_hours(1);

/// A policy that fetches keys whenever a key is unknown.
const EAGER: RefreshPolicy = RefreshPolicy {
    max_age: Some(HOUR),
    min_interval: Duration::ZERO,
    timeout: Duration::from_millis(500),
};

/// A function that accepts the tokens of a tenant, and the tenant, which publishes the first key.
struct Door {
    world: World,
    entra: Entra,
}

impl Door {
    async fn start() -> Self {
        Self::with(EAGER, &[]).await
    }

    async fn with(policy: RefreshPolicy, variables: &[(&'static str, &str)]) -> Self {
        let entra = Entra::start(TENANT).await;
        entra.publish(&[key()]);
        let own = [
            ("ENTRA_TENANT_ID", TENANT.to_owned()),
            ("ENTRA_AUDIENCE", AUDIENCE.to_owned()),
            ("ENTRA_AUTHORITY", entra.authority()),
        ];
        let given = variables
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()));
        let mut setup = Setup {
            variables: given.chain(own).collect(),
            ..setup()
        };
        setup.limits.token_keys = policy;
        Self {
            world: World::with(setup).await,
            entra,
        }
    }

    /// The status of a delivery of no events with this token.
    async fn knock(&self, token: &str) -> Status {
        self.ask("", &json!({"authorization": format!("Bearer {token}")}))
            .await
    }

    /// The status of a delivery of no events; a handshake would need the secret.
    async fn ask(&self, query: &str, headers: &Value) -> Status {
        let payload = payload("POST", "/", query, headers, "[]");
        self.world.call(&payload).await.status
    }
}

fn key() -> &'static SigningKey {
    SigningKey::shared(0)
}

fn another_key() -> &'static SigningKey {
    SigningKey::shared(1)
}

/// The time of a token's claims: seconds since 1970.
#[expect(clippy::disallowed_methods, reason = "tokens have times")]
pub fn now() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.unwrap().as_secs().try_into().unwrap()
}

/// The claims of Event Grid's tokens of this hour, in either version.
fn good() -> [Value; 2] {
    let (from, until) = (now() - 300, now() + 3600);
    [
        v1(TENANT, AUDIENCE, from, until),
        v2(TENANT, AUDIENCE, from, until),
    ]
}

fn with(mut claims: Value, name: &str, value: Value) -> Value {
    let fields = claims.as_object_mut().unwrap();
    if value.is_null() {
        fields.remove(name);
    } else {
        fields.insert(name.to_owned(), value);
    }
    claims
}

#[tokio::test]
async fn tokens_of_event_grid_are_accepted() {
    let door = Door::with(EAGER, &[("WEBHOOK_SECRETS", "")]).await;
    let authority = door.entra.authority();
    for claims in good() {
        let caller = if claims["ver"] == "1.0" {
            "appid"
        } else {
            "azp"
        };
        for claims in [
            claims.clone(),
            with(claims.clone(), caller, GOVERNMENT.into()),
            with(claims.clone(), caller, PUBLIC.into()),
            with(claims.clone(), "nbf", Value::Null),
            // The clocks may differ.
            with(claims.clone(), "nbf", (now() + 30).into()),
            with(claims.clone(), "exp", (now() - 30).into()),
            with(
                claims.clone(),
                "roles",
                json!(["AzureEventGridSecureWebhookSubscriber"]),
            ),
        ] {
            assert_eq!(door.knock(&key().token(&claims)).await, 200, "{claims}");
        }
        for issuer in [
            format!("https://sts.windows.net/{TENANT}/"),
            format!("https://login.microsoftonline.com/{TENANT}/v2.0"),
            format!("https://login.microsoftonline.us/{TENANT}/v2.0"),
            format!("{authority}/{TENANT}/v2.0"),
        ] {
            let claims = with(claims.clone(), "iss", issuer.into());
            assert_eq!(door.knock(&key().token(&claims)).await, 200, "{claims}");
        }
    }
    assert_eq!(door.entra.calls(), 1, "the keys were fetched again");
    door.world.assert_uncalled();
}

#[tokio::test]
async fn every_claim_is_checked() {
    let door = Door::start().await;
    let prefixed = format!("https://sts.windows.net/{TENANT}/{TENANT}/");
    let wrong = [
        ("aud", json!("api://another")),
        ("aud", json!([AUDIENCE])),
        ("aud", json!("")),
        ("aud", Value::Null),
        ("aud", json!(7)),
        ("iss", json!(format!("https://sts.windows.net/{OTHER}/"))),
        ("iss", json!(format!("https://sts.windows.net/{TENANT}"))),
        ("iss", json!(format!("http://sts.windows.net/{TENANT}/"))),
        ("iss", json!(prefixed)),
        (
            "iss",
            json!(format!("https://login.microsoftonline.com/{OTHER}/v2.0")),
        ),
        (
            "iss",
            json!("https://login.microsoftonline.com/common/v2.0"),
        ),
        (
            "iss",
            json!(format!("https://evil.example.net/{TENANT}/v2.0")),
        ),
        ("iss", json!([format!("https://sts.windows.net/{TENANT}/")])),
        ("iss", Value::Null),
        ("tid", json!(OTHER)),
        ("tid", json!("")),
        ("tid", json!([TENANT])),
        ("tid", Value::Null),
        ("exp", json!(now() - 120)),
        ("exp", json!(0)),
        ("exp", json!(-1)),
        ("exp", json!("9999999999")),
        ("exp", json!({})),
        ("exp", Value::Null),
        ("nbf", json!(now() + 120)),
        ("nbf", json!("0")),
        ("appid", json!("00000000-0000-0000-0000-000000000000")),
        ("azp", json!("00000000-0000-0000-0000-000000000000")),
        ("appid", json!(format!("{PUBLIC} "))),
        ("azp", json!([PUBLIC])),
    ];
    for claims in good() {
        for (name, value) in &wrong {
            let claims = with(claims.clone(), name, value.clone());
            assert_eq!(door.knock(&key().token(&claims)).await, 401, "{claims}");
        }
        let caller = if claims["ver"] == "1.0" {
            "appid"
        } else {
            "azp"
        };
        let claims = with(claims, caller, Value::Null);
        assert_eq!(door.knock(&key().token(&claims)).await, 401, "{claims}");
    }
}

#[tokio::test]
async fn only_one_algorithm_and_the_tenants_signatures_are_accepted() {
    let door = Door::start().await;
    let [claims, _] = good();
    let honest = key().token(&claims);
    let header = |algorithm: &str| with(key().header(), "alg", algorithm.into());
    let mut forged = vec![
        unsigned(&header("none"), &claims),
        unsigned(&header("None"), &claims),
        unsigned(&header("RS256"), &claims),
        unsigned(&with(key().header(), "alg", Value::Null), &claims),
        rs512(key(), &header("RS512"), &claims),
        rs512(key(), &header("RS256"), &claims),
        ps256(key(), &header("PS256"), &claims),
        ps256(key(), &header("RS256"), &claims),
        key().sign(&header("rs256"), &claims),
        key().sign(&header("RS384"), &claims),
        key().sign(&header("ES256"), &claims),
        with_signature(&honest, &[]),
        with_signature(&honest, &[0; 256]),
        with_signature(&honest, &signature(&another_key().token(&claims))),
        another_key().with_kid(key().kid()).token(&claims),
        honest.replacen('.', "..", 1),
        format!("{honest}."),
        format!(".{honest}"),
        honest.rsplit_once('.').unwrap().0.to_owned(),
        String::new(),
        "..".to_owned(),
        "a".repeat(100_000),
    ];
    for secret in [
        key().public_pem().into_bytes(),
        key().public_pem().trim().as_bytes().to_vec(),
        key().public_der(),
        key().public_pkcs1_der(),
        key().modulus(),
        key().jwk(TENANT)["x5c"][0].as_str().unwrap().into(),
        vec![],
    ] {
        for algorithm in ["HS256", "RS256"] {
            forged.push(hs256(&secret, &header(algorithm), &claims));
        }
    }
    let mut broken = signature(&honest);
    for place in [0, 100, 255] {
        broken[place] ^= 1;
        forged.push(with_signature(&honest, &broken));
        broken[place] ^= 1;
    }
    broken.pop();
    forged.push(with_signature(&honest, &broken));
    broken.extend([0, 0]);
    forged.push(with_signature(&honest, &broken));
    // Claims that the signature does not cover.
    let other = key().token(&with(claims.clone(), "aud", "api://another".into()));
    forged.push(with_signature(&honest, &signature(&other)));

    for token in forged {
        assert_eq!(door.knock(&token).await, 401, "{token}");
    }
    assert_eq!(door.knock(&honest).await, 200);
}

#[tokio::test]
async fn a_header_neither_brings_a_key_nor_causes_a_request() {
    let door = Door::start().await;
    let [claims, _] = good();
    let elsewhere = Entra::start(TENANT).await;
    elsewhere.publish(&[another_key()]);
    let url = format!("{}/{TENANT}/discovery/v2.0/keys", elsewhere.authority());
    let attacker = another_key();
    for (name, value) in [
        ("jku", json!(url)),
        ("x5u", json!(url)),
        ("jwk", attacker.jwk(TENANT)),
        ("x5c", attacker.jwk(TENANT)["x5c"].clone()),
    ] {
        for kid in [attacker.kid(), key().kid()] {
            let header = with(attacker.header(), "kid", kid.into());
            let token = attacker.sign(&with(header, name, value.clone()), &claims);
            assert_eq!(door.knock(&token).await, 401, "{name} with {kid}");
        }
    }
    assert_eq!(elsewhere.calls(), 0);
    for header in [
        with(key().header(), "kid", Value::Null),
        with(key().header(), "kid", "".into()),
        with(key().header(), "kid", "../../keys".into()),
        with(key().header(), "kid", 7.into()),
        with(key().header(), "crit", json!(["exp"])),
        with(key().header(), "crit", json!([])),
    ] {
        assert_eq!(
            door.knock(&key().sign(&header, &claims)).await,
            401,
            "{header}"
        );
    }
    let twice = key().token(&claims);
    let (header, rest) = twice.split_once('.').unwrap();
    assert_eq!(door.knock(&format!("{header}.{header}.{rest}")).await, 401);
}

#[tokio::test]
async fn a_token_is_accepted_in_its_header_alone() {
    let door = Door::start().await;
    let [claims, _] = good();
    let token = key().token(&claims);
    for (query, headers, status) in [
        (
            String::new(),
            json!({"authorization": format!("bearer {token}")}),
            200,
        ),
        (
            String::new(),
            json!({"Authorization": format!("BEARER  {token} ")}),
            200,
        ),
        (String::new(), json!({"authorization": token}), 401),
        (
            String::new(),
            json!({"authorization": format!("Basic {token}")}),
            401,
        ),
        (
            String::new(),
            json!({"authorization": format!("Bearer{token}")}),
            401,
        ),
        (String::new(), json!({"authorization": "Bearer "}), 401),
        (format!("code={token}"), json!({}), 401),
        (format!("access_token={token}"), json!({}), 401),
        (String::new(), json!({"x-webhook-secret": token}), 401),
    ] {
        assert_eq!(
            door.ask(&query, &headers).await,
            status,
            "{query} {headers}"
        );
    }
}

#[tokio::test]
async fn either_a_secret_or_a_token_is_accepted() {
    let door = Door::start().await;
    let [claims, _] = good();
    let bearer = |token: String| json!({"authorization": format!("Bearer {token}")});
    let (good, bad) = (bearer(key().token(&claims)), bearer("a.b.c".into()));
    let right = format!("code={SECRET}");
    for (query, headers, status) in [
        (right.as_str(), &bad, 200),
        (right.as_str(), &good, 200),
        ("code=wrong", &good, 200),
        ("code=wrong", &bad, 401),
        ("", &bad, 401),
    ] {
        assert_eq!(door.ask(query, headers).await, status, "{query}");
    }
    door.entra.fail(Some(Fault::Status(500)));
    let unknown = bearer(another_key().token(&claims));
    assert_eq!(door.ask(&right, &unknown).await, 200);
    assert_eq!(door.ask("code=wrong", &unknown).await, 503);
}

#[tokio::test]
async fn without_keys_tokens_are_neither_accepted_nor_finally_refused() {
    let [claims, _] = good();
    let token = key().token(&claims);
    for fault in [
        Fault::Status(500),
        Fault::Status(404),
        Fault::Redirect("http://127.0.0.1:1/".into()),
        Fault::Endless,
        Fault::Hang,
        Fault::Drop,
    ] {
        let door = Door::start().await;
        door.entra.fail(Some(fault.clone()));
        assert_eq!(door.knock(&token).await, 503, "{fault:?}");
        // A credential that cannot be valid is refused without a request for keys.
        door.entra.clear_calls();
        assert_eq!(door.knock("a.b.c").await, 401);
        assert_eq!(door.ask("", &json!({})).await, 401);
        assert_eq!(door.entra.calls(), 0);
        door.entra.fail(None);
        assert_eq!(door.knock(&token).await, 200, "{fault:?}");
        // The cached keys stay valid during the next outage.
        door.entra.fail(Some(fault.clone()));
        assert_eq!(door.knock(&token).await, 200, "{fault:?}");
        assert_eq!(door.knock(&another_key().token(&claims)).await, 503);
    }
}

#[tokio::test]
async fn an_invalid_key_document_does_not_replace_the_cached_keys() {
    let [claims, _] = good();
    let token = key().token(&claims);
    let short = json!({"kty": "RSA", "use": "sig", "kid": key().kid(), "n": "AQAB", "e": "AQAB"});
    for (body, fresh) in [
        ("<html>".to_owned(), 503),
        ("{}".to_owned(), 503),
        (key_set(&[]).to_string(), 503),
        (
            " ".repeat(1024 * 1024) + &key_set(&[key().jwk(TENANT)]).to_string(),
            503,
        ),
        (
            key_set(&[json!({"kty": "oct", "kid": key().kid(), "k": "AQAB"})]).to_string(),
            503,
        ),
        (key_set(&[short]).to_string(), 401),
        (
            key_set(&[json!(7), json!({}), key().jwk(TENANT)]).to_string(),
            200,
        ),
    ] {
        let door = Door::start().await;
        door.entra.set_body(body.clone());
        let head: String = body.chars().take(100).collect();
        assert_eq!(door.knock(&token).await, fresh, "{head}");
    }
    let short = SigningKey::generate_short("short");
    let door = Door::start().await;
    door.entra.publish(&[&short, key()]);
    assert_eq!(door.knock(&short.token(&claims)).await, 401);
    assert_eq!(door.knock(&token).await, 200);

    let aged = RefreshPolicy {
        max_age: Some(Duration::ZERO),
        ..EAGER
    };
    let door = Door::with(aged, &[]).await;
    assert_eq!(door.knock(&token).await, 200);
    door.entra.set_body("<html>");
    assert_eq!(door.knock(&token).await, 200);
}

#[tokio::test]
async fn keys_roll_over_and_are_fetched_at_most_at_the_minimum_interval() {
    let [claims, _] = good();
    let (old, new) = (key().token(&claims), another_key().token(&claims));
    let door = Door::start().await;
    assert_eq!(door.knock(&old).await, 200);
    door.entra.publish(&[key(), another_key()]);
    assert_eq!(door.knock(&new).await, 200);
    assert_eq!(door.knock(&old).await, 200);
    assert_eq!(door.entra.calls(), 2);

    let slow = RefreshPolicy {
        min_interval: HOUR,
        ..EAGER
    };
    let door = Door::with(slow, &[]).await;
    assert_eq!(door.knock(&old).await, 200);
    door.entra.publish(&[key(), another_key()]);
    for _ in 0..50 {
        assert_eq!(door.knock(&new).await, 401);
    }
    assert_eq!(door.entra.calls(), 1);

    let aged = RefreshPolicy {
        max_age: Some(Duration::ZERO),
        ..EAGER
    };
    let door = Door::with(aged, &[]).await;
    assert_eq!(door.knock(&old).await, 200);
    door.entra.publish(&[another_key()]);
    assert_eq!(door.knock(&old).await, 401, "the key was withdrawn");
}
