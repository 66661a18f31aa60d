//! Downloads with Microsoft Entra tokens in place of an access key: where they come from, when they
//! are refreshed, and what becomes of a recording while there is none.

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

use crate::binary::{Lambda, named};
use crate::listener::{Listener, answer};
use harness::embedded::{Status, client_to, environment, function_by, sdk};
use harness::world::{Form, PART, Recording, World, limits, numbered, setup};

pub const TENANT: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";
pub const CLIENT: &str = "5e1f2a3b-86f1-41af-91ab-2d7cd011db47";
const HOUR: Duration = Duration::from_hours(1);

/// What authorizes downloads, in the tests that run with either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential {
    AccessKey,
    Token,
}

impl Credential {
    pub const BOTH: [Self; 2] = [Self::AccessKey, Self::Token];
}

/// Both ends of a token: AWS's STS, and a tenant of Entra with an application that trusts it.
#[derive(Clone)]
pub struct Issuers {
    pub sts: Sts,
    pub entra: Entra,
}

/// The endpoint of STS, as the SDK finds it in the environment.
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

    /// With a tenant that is there already.
    pub async fn of(entra: Entra) -> Self {
        let sts = Sts::start().await;
        let issuers = Self { sts, entra };
        issuers.register(HOUR);
        issuers
    }

    /// From now on tokens live so long.
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

    /// Lets a resource take its tokens, and nothing else.
    pub fn admit_to(&self, acs: &Acs) {
        acs.disable_local_auth();
        acs.accept_tokens(Tokens {
            tenant: self.entra.tenant().to_owned(),
            client: CLIENT.to_owned(),
        });
    }

    /// The settings of a function that has its tokens.
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
        // Else the endpoint that is set for all would be that of STS as well.
        sdk.insert_origin("endpoint_url", Origin::shared_environment_variable());
        sdk.service_config(StsAt(sts)).build()
    }

    /// A function between those two that has its tokens; `variables` besides.
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

/// A world whose resource takes tokens alone.
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

    /// The same with another instance of the function, which has no token yet.
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

    /// How often a token was asked for, of each end.
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

    /// The `Authorization` of each request that ACS saw.
    fn presented(&self) -> Vec<String> {
        let requests = self.world.acs.requests();
        let presented = requests
            .iter()
            .map(|one| one.headers["authorization"].clone());
        presented.collect()
    }
}

/// A pace that does not hold back a second reading.
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
async fn both_forms_are_archived_where_no_access_key_works() {
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
    // The key that is refused here is the one that signs elsewhere.
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
async fn one_token_is_asked_for_however_many_wait() {
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
        world.assert_whole(recording);
    }
    assert_eq!(keyless.asked(), (1, 1));
    // Nor is it asked for again while it is fresh.
    let another = numbered(5, &[10]);
    another.publish(world);
    assert_eq!(keyless.deliver(&another).await, 200);
    assert_eq!(keyless.asked(), (1, 1));
}

#[tokio::test]
async fn nobody_who_only_knocks_causes_a_call() {
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
async fn what_is_asked_for_is_what_the_policy_and_the_credential_allow() {
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
async fn a_token_that_ends_in_the_middle_of_a_transfer_is_refreshed_ahead_of_it() {
    let mut setup = setup();
    // Of twelve parts, each takes half a second, one after the other.
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
    // None was presented after its end.
    let refused = world.acs.requests();
    let refused = refused.iter().filter(|request| request.status == Some(401));
    assert_eq!(refused.count(), 0);
}

#[tokio::test]
async fn a_token_that_was_revoked_is_replaced_once_for_all_that_it_was_refused_to() {
    let keyless = Keyless::within(eager()).await;
    let world = &keyless.world;
    let first = numbered(1, &[10]);
    first.publish(world);
    assert_eq!(keyless.deliver(&first).await, 200);
    world.acs.revoke_tokens(&keyless.issuers.entra.issued());
    let second = numbered(2, &[10, 3 * PART, 3 * PART, 3 * PART]);
    second.publish(world);
    assert_eq!(keyless.deliver(&second).await, 200);
    world.assert_whole(&second);
    assert_eq!(keyless.asked(), (2, 2));
}

#[tokio::test]
async fn a_token_that_is_refused_while_there_is_no_other_is_no_fault_of_acs() {
    let keyless = Keyless::within(eager()).await;
    let world = &keyless.world;
    let first = numbered(1, &[10]);
    first.publish(world);
    assert_eq!(keyless.deliver(&first).await, 200);
    world.acs.revoke_tokens(&keyless.issuers.entra.issued());
    let refusing = entra::Fault::Status(400);
    keyless.issuers.entra.fail(Some(refusing));
    // Where ACS itself refuses a credential, this is past the end of all tries.
    let second = numbered(2, &[10]).aged(100 * HOUR);
    second.publish(world);
    second.store(world, 3 * HOUR);
    assert_eq!(keyless.deliver(&second).await, 503);
    assert!(world.s3.object(&second.rejection_key()).is_none());
    keyless.issuers.entra.fail(None);
    assert_eq!(keyless.deliver(&second).await, 200);
    world.assert_whole(&second);
}

#[tokio::test]
async fn a_resource_that_takes_no_token_is_asked_with_a_second_one_and_no_more() {
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
            "a token is not asked for at once again"
        );
    }
}

#[tokio::test]
async fn a_clock_that_is_ahead_costs_a_token_and_no_recording() {
    // ACS's: to it, the first token has ended before its time.
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
    world.assert_whole(&second);
    assert_eq!(keyless.asked(), (2, 2));

    // AWS's, by as much as Entra forgives, and by more.
    for (ahead, status) in [(200, 200), (3600, 503), (-3600, 503)] {
        let keyless = Keyless::start().await;
        keyless.issuers.sts.set_ahead(ahead);
        let recording = Recording::of(&[10]);
        recording.publish(&keyless.world);
        assert_eq!(keyless.deliver(&recording).await, status, "{ahead}");
    }
}

/// How each of the two can fail.
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
async fn no_failure_of_either_is_ever_final() {
    let mut impatient = eager();
    impatient.entra_token.timeout = Duration::from_secs(1);
    let mut keyless = Keyless::start().await;
    for (number, (of_sts, of_entra)) in (0..).zip(failures()) {
        // Only where nobody answers is it waited for to the end.
        let hangs = of_sts == Some(sts::Fault::Hang) || of_entra == Some(entra::Fault::Hang);
        let limits = if hangs { impatient.clone() } else { eager() };
        keyless = keyless.again(limits).await;
        // Long past the age at which anything else would be given up.
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
        keyless.world.assert_whole(&recording);
        keyless.world.clear();
    }
}

#[tokio::test]
async fn a_failure_that_passes_is_not_waited_for_until_the_next_run() {
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
    assert!(keyless.world.acs.requests().is_empty());
}

#[tokio::test]
async fn an_assertion_is_asked_for_over_plain_http_on_this_machine_alone() {
    let keyless = Keyless::start().await;
    let world = &keyless.world;
    let elsewhere = Listener::start(None, |_| answer(200, "", "")).await;
    // A name that leads to this machine is no address of it.
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
async fn an_application_that_trusts_another_gets_nothing() {
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
        assert!(keyless.world.acs.requests().is_empty());
    }
}

/// The lines of a log in JSON.
fn lines(stdout: &str) -> Vec<Value> {
    let lines = stdout.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test]
async fn the_log_says_which_of_the_two_refused_and_why_and_a_metric_counts_it() {
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
        let lines = lines(&stdout);
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
        // What became of the event for it is said of the event.
        let warned = "there is no Microsoft Entra token to download with";
        assert!(
            stdout.contains(warned) && !stdout.contains("eyJ"),
            "{stdout}"
        );
    }
}

#[tokio::test]
async fn an_operator_is_shown_what_the_tokens_say_and_not_the_tokens() {
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
    // It is not the token of the downloads: those ask for their own.
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
            // It need not be readable by whoever it is not for.
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
    // Nobody outside can ask for it: Lambda wraps what comes to the URL.
    let mut request = harness::embedded::payload("POST", "/", "", &json!({}), "[]");
    request["check"] = "tokens".into();
    assert_eq!(world.call(&request).await.status, 401);
    let signing = World::start().await;
    assert_eq!(signing.call(&check).await.status, 503);
}

#[tokio::test]
async fn a_redirect_of_acs_gets_the_token_only_where_the_rule_allows() {
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
