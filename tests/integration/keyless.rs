//! Downloads with Microsoft Entra tokens instead of an access key: their issuers, their refresh,
//! and recordings without a token.

use std::time::Duration;

use acs_recording_archiver::config::Settings;
use acs_recording_archiver::function::Function;
use acs_recording_archiver::limits::{Limits, RefreshPolicy};
use aws_config::SdkConfig;
use aws_types::origin::Origin;
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};
use emulators::acs::{Acs, Fault as AcsFault, Kind, Tokens};
use emulators::entra::{self, Application, Entra, SigningKey};
use emulators::s3::S3;
use emulators::sts::{self, Sts};
use serde_json::{Value, json};

use crate::binary::{Lambda, log_lines};
use crate::listener::{Listener, answer};
use harness::embedded::{Status, client_to, environment, function_by, sdk};
use harness::world::{Form, PART, Recording, World, limits, named, numbered, setup};

pub const TENANT: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";
pub const CLIENT: &str = "5e1f2a3b-86f1-41af-91ab-2d7cd011db47";
const HOUR: Duration = Duration::from_hours(1);

/// The credential of downloads, in the tests that run with both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential {
    AccessKey,
    Token,
}

impl Credential {
    pub const BOTH: [Self; 2] = [Self::AccessKey, Self::Token];
}

/// The issuers of a token: AWS STS, and a tenant of Entra with an application that trusts STS.
#[derive(Clone)]
pub struct Issuers {
    pub sts: Sts,
    pub entra: Entra,
}

/// The endpoint of STS, in the form of the SDK's environment.
#[derive(Debug)]
struct StsAt(String);

impl LoadServiceConfig for StsAt {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        (key.service_id() == "STS" && key.env() == "AWS_ENDPOINT_URL").then(|| self.0.clone())
    }
}

impl Issuers {
    pub async fn start() -> Self {
        Self::of(Entra::start(TENANT).await).await
    }

    /// Starts STS for this tenant.
    pub async fn of(entra: Entra) -> Self {
        let sts = Sts::start().await;
        let issuers = Self { sts, entra };
        issuers.register(HOUR);
        issuers
    }

    /// Sets the lifetime of tokens.
    pub fn register(&self, lifetime: Duration) {
        self.entra.register(Application {
            client: CLIENT.to_owned(),
            issuer: sts::ISSUER.to_owned(),
            subject: sts::ROLE.to_owned(),
            audience: sts::AUDIENCE.to_owned(),
            key: Sts::key(),
            lifetime,
        });
    }

    /// Makes a resource accept these tokens alone.
    pub fn admit_to(&self, acs: &Acs) {
        acs.disable_local_auth();
        acs.accept_tokens(Tokens {
            tenant: self.entra.tenant().to_owned(),
            client: CLIENT.to_owned(),
        });
    }

    /// The settings of a function that uses these tokens.
    pub fn variables(&self, acs: &Acs) -> Vec<(&'static str, String)> {
        vec![
            ("COMMUNICATION_SERVICES_CONNECTION_STRING", String::new()),
            ("COMMUNICATION_SERVICES_ENDPOINT", acs.endpoint()),
            ("ACS_TENANT_ID", self.entra.tenant().to_owned()),
            ("ACS_CLIENT_ID", CLIENT.to_owned()),
            ("ENTRA_AUTHORITY", self.entra.authority()),
        ]
    }

    async fn sdk(&self, s3: &S3, sts: String) -> SdkConfig {
        let mut sdk = sdk(s3).await.into_builder();
        // Otherwise the endpoint of S3 would be that of STS too.
        sdk.insert_origin("endpoint_url", Origin::shared_environment_variable());
        sdk.service_config(StsAt(sts)).build()
    }

    /// A function between these emulators that uses the tokens, with these variables too.
    pub async fn function_over(
        &self,
        s3: &S3,
        acs: &Acs,
        http: reqwest::ClientBuilder,
        limits: Limits,
        variables: &[(&'static str, String)],
    ) -> Function {
        self.function_with(s3, acs, http, limits, variables, self.sts.endpoint())
            .await
    }

    async fn function_with(
        &self,
        s3: &S3,
        acs: &Acs,
        http: reqwest::ClientBuilder,
        limits: Limits,
        variables: &[(&'static str, String)],
        sts: String,
    ) -> Function {
        let all: Vec<_> = variables
            .iter()
            .cloned()
            .chain(self.variables(acs))
            .collect();
        let sdk = self.sdk(s3, sts).await;
        let settings = Settings::new(&sdk, environment(s3, acs, &all));
        let http = http.no_proxy().build().unwrap();
        let started = Function::start(settings, sdk, http, limits).await;
        started.expect("the settings are good")
    }
}

/// A world whose resource accepts tokens alone.
struct Keyless {
    world: World,
    issuers: Issuers,
}

impl Keyless {
    async fn start() -> Self {
        Self::within(limits()).await
    }

    async fn within(limits: Limits) -> Self {
        let issuers = Issuers::start().await;
        let world = World::with(setup()).await;
        issuers.admit_to(&world.acs);
        let keyless = Self { world, issuers };
        keyless.again(limits).await
    }

    /// The same world with another instance of the function, which has no token yet.
    async fn again(self, limits: Limits) -> Self {
        let (s3, acs) = (&self.world.s3, &self.world.acs);
        let function = self
            .issuers
            .function_over(s3, acs, client_to(acs), limits, &[])
            .await;
        Self {
            world: World::over(&self.world, function),
            ..self
        }
    }

    /// The number of requests to each issuer.
    fn asked(&self) -> (usize, usize) {
        let Issuers { sts, entra } = &self.issuers;
        (sts.calls().len(), entra.asked().len())
    }

    async fn deliver(&self, recording: &Recording) -> Status {
        self.world
            .deliver(&recording.event(&self.world))
            .await
            .status
    }

    /// The `Authorization` of each request to ACS.
    fn presented(&self) -> Vec<String> {
        let requests = self.world.acs.requests();
        let presented = requests
            .iter()
            .map(|one| one.headers["authorization"].clone());
        presented.collect()
    }
}

/// Limits that do not delay a second token.
fn eager() -> Limits {
    Limits {
        entra_token: RefreshPolicy {
            max_age: None,
            min_interval: Duration::ZERO,
            timeout: Duration::from_secs(30),
        },
        ..limits()
    }
}

#[tokio::test]
async fn both_forms_are_archived_without_an_access_key() {
    let keyless = Keyless::start().await;
    let world = &keyless.world;
    for (number, form) in [Form::Current, Form::Preview2021].into_iter().enumerate() {
        world.clear();
        let recording = numbered(number as u64, &[10, 3 * PART]).in_form(form);
        recording.publish(world);
        assert_eq!(keyless.deliver(&recording).await, 200);
        world.assert_archived(&recording);
        for authorization in keyless.presented() {
            assert_eq!(
                authorization,
                format!("Bearer {}", keyless.issuers.entra.issued()[0])
            );
        }
    }
    // The access key is refused here and accepted elsewhere.
    let function = World::over(world, function_with_the_key(world).await);
    let recording = numbered(2, &[10]);
    recording.publish(world);
    assert_eq!(function.deliver(&recording.event(world)).await.status, 503);
}

async fn function_with_the_key(world: &World) -> Function {
    let settings = Settings::new(
        &sdk(&world.s3).await,
        environment(&world.s3, &world.acs, &[]),
    );
    let function = function_by(settings, &world.s3, client_to(&world.acs), limits()).await;
    function.unwrap()
}

#[tokio::test]
async fn concurrent_downloads_request_one_token() {
    let keyless = Keyless::start().await;
    let world = &keyless.world;
    let slow = Duration::from_millis(300);
    keyless.issuers.entra.fail(Some(entra::Fault::Slow(slow)));
    let recordings: Vec<_> = (0..4)
        .map(|number| numbered(number, &[10, 2 * PART]))
        .collect();
    let mut events = vec![];
    for recording in &recordings {
        recording.publish(world);
        events.push(recording.event(world));
    }
    assert_eq!(world.deliver(&json!(events)).await.status, 200);
    for recording in &recordings {
        world.assert_complete(recording);
    }
    assert_eq!(keyless.asked(), (1, 1));
    // A fresh token is not requested again.
    let another = numbered(5, &[10]);
    another.publish(world);
    assert_eq!(keyless.deliver(&another).await, 200);
    assert_eq!(keyless.asked(), (1, 1));
}

#[tokio::test]
async fn a_refused_request_causes_no_token_request() {
    let keyless = Keyless::start().await;
    let world = &keyless.world;
    let stranger = harness::embedded::payload("POST", "/", "code=wrong", &json!({}), "[]");
    assert_eq!(world.call(&stranger).await.status, 401);
    assert_eq!(world.deliver(&json!([])).await.status, 200);
    let deletion = json!([{"id": "1", "eventType": "Microsoft.EventGrid.Other"}]);
    assert_eq!(world.deliver(&deletion).await.status, 200);
    assert_eq!(keyless.asked(), (0, 0));
}

#[tokio::test]
async fn the_token_requests_match_the_policy_and_the_credential() {
    let keyless = Keyless::start().await;
    let recording = Recording::of(&[10]);
    recording.publish(&keyless.world);
    assert_eq!(keyless.deliver(&recording).await, 200);
    let asked = keyless.issuers.sts.calls().remove(0);
    for (name, value) in [
        ("Action", "GetWebIdentityToken"),
        ("Audience.member.1", "api://AzureADTokenExchange"),
        ("SigningAlgorithm", "RS256"),
        ("DurationSeconds", "60"),
    ] {
        assert_eq!(asked[name], value, "{name}");
    }
    let asked = keyless.issuers.entra.asked().remove(0);
    for (name, value) in [
        ("grant_type", "client_credentials"),
        ("client_id", CLIENT),
        ("scope", "https://communication.azure.com//.default"),
        (
            "client_assertion_type",
            "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        ),
    ] {
        assert_eq!(asked[name], value, "{name}");
    }
    assert_eq!(asked["client_assertion"], keyless.issuers.sts.issued()[0]);
    assert_eq!(asked.len(), 5);
}

#[tokio::test]
async fn a_token_that_expires_during_a_transfer_is_refreshed_before() {
    let mut setup = setup();
    // Twelve parts of half a second each, one after the other.
    setup.acs.bytes_per_second = Some(2 * PART);
    let issuers = Issuers::start().await;
    issuers.register(Duration::from_secs(8));
    let world = World::with(setup).await;
    issuers.admit_to(&world.acs);
    let one_at_a_time = [("TRANSFER_CONCURRENCY", "1".to_owned())];
    let function = issuers.function_over(
        &world.s3,
        &world.acs,
        client_to(&world.acs),
        eager(),
        &one_at_a_time,
    );
    let world = World::over(&world, function.await);
    let recording = Recording::of(&[12 * PART]);
    recording.publish(&world);
    let response = world.deliver(&recording.event(&world)).await;
    assert_eq!(response.status, 200, "{response:?}");
    world.assert_archived(&recording);
    assert!(
        issuers.entra.issued().len() >= 2,
        "{}",
        issuers.entra.issued().len()
    );
    // No token was presented after its expiry.
    let refused = world.acs.requests();
    let refused = refused.iter().filter(|request| request.status == Some(401));
    assert_eq!(refused.count(), 0);
}

#[tokio::test]
async fn a_revoked_token_is_replaced_once_for_all_requests() {
    let keyless = Keyless::within(eager()).await;
    let world = &keyless.world;
    let first = numbered(1, &[10]);
    first.publish(world);
    assert_eq!(keyless.deliver(&first).await, 200);
    world.acs.revoke_tokens(&keyless.issuers.entra.issued());
    let second = numbered(2, &[10, 3 * PART, 3 * PART, 3 * PART]);
    second.publish(world);
    assert_eq!(keyless.deliver(&second).await, 200);
    world.assert_complete(&second);
    assert_eq!(keyless.asked(), (2, 2));
}

#[tokio::test]
async fn a_refused_token_without_a_replacement_is_not_final() {
    let keyless = Keyless::within(eager()).await;
    let world = &keyless.world;
    let first = numbered(1, &[10]);
    first.publish(world);
    assert_eq!(keyless.deliver(&first).await, 200);
    world.acs.revoke_tokens(&keyless.issuers.entra.issued());
    let refusing = entra::Fault::Status(400);
    keyless.issuers.entra.fail(Some(refusing));
    // At this age a 401 of ACS would be final.
    let second = numbered(2, &[10]).aged(100 * HOUR);
    second.publish(world);
    second.store(world, 3 * HOUR);
    assert_eq!(keyless.deliver(&second).await, 503);
    assert!(world.s3.object(&second.rejection_key()).is_none());
    keyless.issuers.entra.fail(None);
    assert_eq!(keyless.deliver(&second).await, 200);
    world.assert_complete(&second);
}

#[tokio::test]
async fn a_resource_that_refuses_tokens_is_tried_with_a_second_one_alone() {
    for (tenant, client, status) in [
        ("00000000-0000-0000-0000-000000000000", CLIENT, 401),
        (TENANT, "00000000-0000-0000-0000-000000000000", 403),
    ] {
        let keyless = Keyless::start().await;
        let world = &keyless.world;
        world.acs.accept_tokens(Tokens {
            tenant: tenant.to_owned(),
            client: client.to_owned(),
        });
        let recording = Recording::of(&[10]);
        recording.publish(world);
        assert_eq!(keyless.deliver(&recording).await, 503);
        let requests = world.acs.requests();
        assert_eq!(requests.len(), 2, "media and metadata");
        assert!(
            requests
                .iter()
                .all(|request| request.status == Some(status))
        );
        assert_eq!(
            keyless.asked(),
            (1, 1),
            "a token was requested again at once"
        );
    }
}

#[tokio::test]
async fn a_clock_that_is_ahead_costs_a_token_but_no_recording() {
    // The clock of ACS: it refuses the first token as expired.
    let keyless = Keyless::within(eager()).await;
    let world = &keyless.world;
    let first = numbered(1, &[10]);
    first.publish(world);
    assert_eq!(keyless.deliver(&first).await, 200);
    world.acs.set_ahead(3700);
    keyless.issuers.register(2 * HOUR);
    let second = numbered(2, &[10]);
    second.publish(world);
    assert_eq!(keyless.deliver(&second).await, 200);
    world.assert_complete(&second);
    assert_eq!(keyless.asked(), (2, 2));

    // The clock of AWS, within the tolerance of Entra and beyond it.
    for (ahead, status) in [(200, 200), (3600, 503), (-3600, 503)] {
        let keyless = Keyless::start().await;
        keyless.issuers.sts.set_ahead(ahead);
        let recording = Recording::of(&[10]);
        recording.publish(&keyless.world);
        assert_eq!(keyless.deliver(&recording).await, status, "{ahead}");
    }
}

/// The faults of STS and Entra.
fn failures() -> Vec<(Option<sts::Fault>, Option<entra::Fault>)> {
    let html = "<html>Service unavailable</html>".to_owned();
    let broken = "{\"token_type\": \"Bearer\", \"access_token\": ".to_owned();
    let no_token = |said: &str| entra::Fault::Answer(200, "application/json", said.to_owned());
    let of_sts = [
        sts::Fault::Refuse,
        sts::Fault::Disabled,
        sts::Fault::Answer(200, html.clone()),
        sts::Fault::Answer(503, html.clone()),
        sts::Fault::Answer(200, "<GetWebIdentityTokenResponse/>".to_owned()),
        sts::Fault::Drop,
        sts::Fault::Hang,
    ];
    let of_entra = [
        entra::Fault::Status(400),
        entra::Fault::Status(500),
        entra::Fault::Answer(200, "text/html", html.clone()),
        entra::Fault::Answer(502, "text/html", html),
        no_token("{}"),
        no_token(&broken),
        no_token(r#"{"token_type": "Bearer", "access_token": "a b", "expires_in": 3599}"#),
        no_token(r#"{"token_type": "Bearer", "access_token": "a", "expires_in": 0}"#),
        entra::Fault::Endless,
        entra::Fault::Drop,
        entra::Fault::Hang,
    ];
    let of_sts = of_sts.into_iter().map(|fault| (Some(fault), None));
    of_sts
        .chain(of_entra.into_iter().map(|fault| (None, Some(fault))))
        .collect()
}

#[tokio::test]
async fn no_failure_of_sts_or_entra_is_final() {
    let mut impatient = eager();
    impatient.entra_token.timeout = Duration::from_secs(1);
    let mut keyless = Keyless::start().await;
    for (number, (of_sts, of_entra)) in (0..).zip(failures()) {
        // Only an issuer that does not answer is waited for until the timeout.
        let hangs = of_sts == Some(sts::Fault::Hang) || of_entra == Some(entra::Fault::Hang);
        let limits = if hangs { impatient.clone() } else { eager() };
        keyless = keyless.again(limits).await;
        // At this age other failures would be final.
        let recording = numbered(number, &[10]).aged(100 * HOUR);
        recording.publish(&keyless.world);
        recording.store(&keyless.world, 3 * HOUR);
        keyless.issuers.sts.fail(of_sts.clone());
        keyless.issuers.entra.fail(of_entra.clone());
        let tried = format!("{of_sts:?} {of_entra:?}");
        assert_eq!(keyless.deliver(&recording).await, 503, "{tried}");
        let world = &keyless.world;
        assert!(world.acs.requests().is_empty(), "{tried}");
        let rejection = world.s3.object(&recording.rejection_key());
        assert!(rejection.is_none(), "{tried}");

        keyless.issuers.sts.fail(None);
        keyless.issuers.entra.fail(None);
        if hangs {
            keyless = keyless.again(eager()).await;
        }
        assert_eq!(keyless.deliver(&recording).await, 200, "{tried}");
        keyless.world.assert_complete(&recording);
        keyless.world.clear();
    }
}

#[tokio::test]
async fn a_transient_failure_is_retried_within_the_run() {
    for fault in [
        entra::Fault::Status(503),
        entra::Fault::Status(429),
        entra::Fault::Drop,
    ] {
        let keyless = Keyless::start().await;
        keyless.issuers.entra.fail_once(fault.clone());
        keyless.issuers.entra.fail_once(fault.clone());
        let recording = Recording::of(&[10]);
        recording.publish(&keyless.world);
        assert_eq!(keyless.deliver(&recording).await, 200, "{fault:?}");
        assert_eq!(keyless.asked(), (1, 3));
    }
}

#[tokio::test]
async fn the_assertion_follows_no_redirect() {
    let keyless = Keyless::start().await;
    let world = &keyless.world;
    let elsewhere = Listener::start(None, |_| answer(200, "", "{}")).await;
    let place = format!("http://{}/{TENANT}/oauth2/v2.0/token", elsewhere.address());
    let redirect = entra::Fault::Redirect(place.clone());
    keyless.issuers.entra.fail(Some(redirect));
    let recording = numbered(1, &[10]);
    recording.publish(world);
    assert_eq!(keyless.deliver(&recording).await, 503);
    assert_eq!((keyless.asked(), elsewhere.connections()), ((1, 1), 0));

    let keyless = keyless.again(limits()).await;
    let redirect = sts::Fault::Redirect(place);
    keyless.issuers.sts.fail(Some(redirect));
    assert_eq!(keyless.deliver(&recording).await, 503);
    assert_eq!(elsewhere.connections(), 0);
    keyless.world.assert_acs_uncalled();
}

#[tokio::test]
async fn an_assertion_is_requested_over_plain_http_from_loopback_alone() {
    let keyless = Keyless::start().await;
    let world = &keyless.world;
    let elsewhere = Listener::start(None, |_| answer(200, "", "")).await;
    // A name that resolves to loopback is no loopback address.
    let place = format!("http://localhost:{}", elsewhere.address().port());
    let (s3, acs) = (&world.s3, &world.acs);
    let function = keyless
        .issuers
        .function_with(s3, acs, client_to(acs), limits(), &[], place)
        .await;
    let world = World::over(world, function);
    let recording = Recording::of(&[10]);
    recording.publish(&world);
    assert_eq!(world.deliver(&recording.event(&world)).await.status, 503);
    assert_eq!((keyless.asked(), elsewhere.connections()), ((0, 0), 0));
}

#[tokio::test]
async fn an_application_that_trusts_another_role_issues_no_token() {
    let trusted = Application {
        client: CLIENT.to_owned(),
        issuer: sts::ISSUER.to_owned(),
        subject: sts::ROLE.to_owned(),
        audience: sts::AUDIENCE.to_owned(),
        key: Sts::key(),
        lifetime: HOUR,
    };
    for application in [
        Application {
            client: TENANT.to_owned(),
            ..trusted.clone()
        },
        Application {
            issuer: "https://another".to_owned(),
            ..trusted.clone()
        },
        Application {
            subject: format!("{}-2", sts::ROLE),
            ..trusted.clone()
        },
        Application {
            audience: "api://another".to_owned(),
            ..trusted.clone()
        },
        Application {
            key: SigningKey::shared(0),
            ..trusted
        },
    ] {
        let keyless = Keyless::start().await;
        keyless.issuers.entra.register(application.clone());
        let recording = Recording::of(&[10]);
        recording.publish(&keyless.world);
        assert_eq!(keyless.deliver(&recording).await, 503, "{application:?}");
        keyless.world.assert_acs_uncalled();
    }
}

#[tokio::test]
async fn the_log_names_the_issuer_that_refused_and_a_metric_counts_it() {
    for (of_sts, of_entra, said) in [
        (
            Some(sts::Fault::Refuse),
            None,
            "AWS STS refused an assertion with 403 AccessDenied",
        ),
        (
            Some(sts::Fault::Disabled),
            None,
            "AWS STS refused an assertion with 400 OutboundWebIdentityFederationDisabledException",
        ),
        (
            None,
            Some(entra::Fault::Answer(
                401,
                "application/json",
                entra::issuer::refused("invalid_client", 700_213, "eyJ").to_string(),
            )),
            "Microsoft Entra refused the assertion with 401 Unauthorized AADSTS700213",
        ),
        (
            None,
            Some(entra::Fault::Answer(200, "text/html", "<html>".to_owned())),
            "Microsoft Entra's answer is no token",
        ),
    ] {
        let lambda = Lambda::start().await;
        let issuers = Issuers::start().await;
        issuers.admit_to(&lambda.world.acs);
        let variables = issuers.variables(&lambda.world.acs);
        let sts = issuers.sts.endpoint();
        let own = [
            ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
            ("AWS_ENDPOINT_URL_STS", sts.as_str()),
        ];
        let variables: Vec<_> = variables
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .chain(own)
            .collect();
        let process = lambda.run(&variables);
        issuers.sts.fail(of_sts);
        issuers.entra.fail(of_entra);
        let recording = named("keyless", &[10]);
        recording.publish(&lambda.world);
        let event = recording.event(&lambda.world);
        assert_eq!(lambda.deliver(&event, 0).await.status, 503);
        lambda.runtime.wait_for_poll().await;
        let (stdout, _) = process.kill().await;
        let lines = log_lines(&stdout);
        let errors: Vec<&Value> = lines
            .iter()
            .filter(|line| line["level"] == "ERROR")
            .collect();
        assert_eq!(errors.len(), 1, "{stdout}");
        assert_eq!(errors[0]["what"], "Microsoft Entra token for ACS");
        let error = errors[0]["error"].as_str().unwrap();
        assert!(error.starts_with(said), "{error}");
        let counted = lines
            .iter()
            .filter(|line| line.get("TokensUnavailable").is_some());
        assert_eq!(counted.count(), 1, "{stdout}");
        // The event has its own log line.
        let warned = "there is no Microsoft Entra token to download with";
        assert!(
            stdout.contains(warned) && !stdout.contains("eyJ"),
            "{stdout}"
        );
    }
}

#[tokio::test]
async fn an_operator_is_shown_the_claims_of_the_tokens_alone() {
    let keyless = Keyless::start().await;
    let world = &keyless.world;
    let check = json!({"check": "tokens"});
    let shown = world.call(&check).await;
    assert_eq!(shown.status, 200, "{shown:?}");
    for (token, claim, expected) in [
        ("assertion", "iss", sts::ISSUER),
        ("assertion", "sub", sts::ROLE),
        ("assertion", "aud", sts::AUDIENCE),
        ("token", "aud", entra::issuer::ACS),
        ("token", "tid", TENANT),
        ("token", "appid", CLIENT),
    ] {
        assert_eq!(shown.body[token][claim], expected, "{token} {claim}");
    }
    let said = shown.body.to_string();
    let issued = [keyless.issuers.sts.issued(), keyless.issuers.entra.issued()].concat();
    for token in &issued {
        assert!(token.split('.').all(|part| !said.contains(part)), "{said}");
    }
    // The downloads request their own token.
    assert_eq!(keyless.asked(), (1, 1));

    for (of_sts, of_entra, why) in [
        (Some(sts::Fault::Refuse), None, "AWS STS refused"),
        (
            None,
            Some(entra::Fault::Status(400)),
            "Microsoft Entra refused",
        ),
        (
            None,
            Some(entra::Fault::Answer(
                200,
                "application/json",
                r#"{"token_type": "Bearer", "access_token": "opaque", "expires_in": 3599}"#.into(),
            )),
            "",
        ),
    ] {
        keyless.issuers.sts.fail(of_sts);
        keyless.issuers.entra.fail(of_entra);
        let shown = world.call(&check).await;
        if why.is_empty() {
            // The token may be opaque to others than ACS.
            assert_eq!(shown.status, 200);
            assert_eq!(shown.body["token"], json!({}));
        } else {
            assert_eq!(shown.status, 503);
            assert!(
                shown.body["error"].as_str().unwrap().starts_with(why),
                "{shown:?}"
            );
        }
        keyless.issuers.sts.fail(None);
        keyless.issuers.entra.fail(None);
    }
    // A request to the URL cannot ask for this: Lambda wraps it in an envelope.
    let mut request = harness::embedded::payload("POST", "/", "", &json!({}), "[]");
    request["check"] = "tokens".into();
    assert_eq!(world.call(&request).await.status, 401);
    let signing = World::start().await;
    assert_eq!(signing.call(&check).await.status, 503);
}

#[tokio::test]
async fn a_redirect_of_acs_gets_the_token_at_allowed_hosts_alone() {
    let keyless = Keyless::start().await;
    let world = &keyless.world;
    let recording = Recording::of(&[10]);
    recording.publish(world);
    let elsewhere = Listener::start(None, |_| answer(200, "", "")).await;
    let place = format!("http://{}/v1/objects/x/content/video", elsewhere.address());
    world.acs.inject(move |request| {
        (request.kind == Kind::Media).then(|| AcsFault::redirect(302, &place))
    });
    assert_eq!(keyless.deliver(&recording).await, 503);
    assert_eq!(elsewhere.connections(), 0);
}
