//! The function over an embedded S3 and an emulated ACS: what the local run and the tests stand on.

use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::time::SystemTime;

use acs_recording_archiver::acs::http_client;
use acs_recording_archiver::config::{Faults, Settings};
use acs_recording_archiver::function::{Answer, Function};
use acs_recording_archiver::limits::Limits;
use acs_recording_archiver::store;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::config::Credentials;
use emulators::acs::{self, Acs};
use emulators::s3::{self, S3};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// The secret of the sample events, which is none.
pub const SECRET: &str = "local-secret-for-trying-out";
/// The ACS resource of the sample events.
pub const RESOURCE: &str = "contoso.communication.azure.com";

/// The region of the embedded S3, which takes any.
pub const REGION: &str = "eu-central-1";

/// The function and both ends of it.
#[derive(Clone)]
pub struct Embedded {
    /// Where recordings go.
    pub s3: S3,
    /// Where they come from.
    pub acs: Acs,
    /// What carries them.
    pub function: Function,
}

/// How the three are set up.
pub struct Setup {
    pub s3: s3::Settings,
    pub acs: acs::Settings,
    pub limits: Limits,
    /// Settings of the function, besides those that name the two ends.
    pub variables: Vec<(&'static str, String)>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            s3: s3::Settings::default(),
            acs: acs::Settings {
                resource_host: Some(RESOURCE.to_owned()),
                ..acs::Settings::default()
            },
            limits: Limits::default(),
            variables: vec![],
        }
    }
}

/// An answer as the caller of the Function URL sees it.
#[derive(Debug)]
pub struct Response {
    pub status: Status,
    pub headers: Value,
    pub body: Value,
}

/// An answer's status. It prints the body as well, so an assertion that fails shows the reason.
#[derive(Clone)]
pub struct Status {
    code: u16,
    body: String,
}

impl Status {
    /// The status of an answer with this body.
    pub fn new(code: u16, body: &str) -> Self {
        let body = body.to_owned();
        Self { code, body }
    }

    /// The number.
    pub fn code(&self) -> u16 {
        self.code
    }
}

impl PartialEq<u16> for Status {
    fn eq(&self, code: &u16) -> bool {
        self.code == *code
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.code, self.body)
    }
}

impl Response {
    /// Asserts that the answer has this status, and its only event this outcome.
    #[track_caller]
    pub fn assert_outcome(&self, status: u16, outcome: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.outcome(), outcome, "{self:?}");
    }

    /// The outcome of the answer's only event.
    #[track_caller]
    pub fn outcome(&self) -> &str {
        match self.body["events"].as_array().map(Vec::as_slice) {
            Some([event]) => event["outcome"].as_str().unwrap(),
            _ => panic!("there is not one event in {self:?}"),
        }
    }
}

impl Embedded {
    /// Starts both ends, and makes a function between them. Its trial of the store is over by then,
    /// and forgotten.
    pub async fn start(setup: Setup) -> Self {
        let s3 = S3::start(setup.s3).await;
        let acs = Acs::start(setup.acs).await;
        let function = function(&s3, &acs, setup.limits, &setup.variables).await;
        s3.clear_calls();
        Self { s3, acs, function }
    }

    /// Gives the function an HTTP request's payload, with as much time as Lambda gives it.
    pub async fn call(&self, payload: &Value) -> Response {
        match self.invoke(payload).await {
            Answer::Http(response) => {
                let response = serde_json::to_value(response).expect("a response is JSON");
                let status = response["statusCode"]
                    .as_u64()
                    .and_then(|status| status.try_into().ok());
                let body = response["body"].as_str().unwrap_or_default();
                let status = status.expect("a response has a status");
                Response {
                    status: Status::new(status, body),
                    headers: response["headers"].clone(),
                    body: serde_json::from_str(body).expect("every body is JSON"),
                }
            }
            Answer::Tick(swept) => panic!("{swept:?} is no answer to a request"),
        }
    }

    /// Gives the function any payload.
    pub async fn invoke(&self, payload: &Value) -> Answer {
        let payload = RawValue::from_string(payload.to_string()).expect("a value is JSON");
        // 1970: the function takes it for unknown.
        self.function
            .invoke(&payload, SystemTime::UNIX_EPOCH)
            .await
            .expect("what is pending can be listed")
    }
}

/// A function between those two, by those settings.
pub async fn function(
    s3: &S3,
    acs: &Acs,
    limits: Limits,
    variables: &[(&'static str, String)],
) -> Function {
    function_over(s3, acs, client_to(acs), limits, variables).await
}

/// An HTTP client that finds ACS under its own names, so that the rule on hosts is the one that will be used; only they
/// lead to loopback.
pub fn client_to(acs: &Acs) -> reqwest::ClientBuilder {
    let authority = reqwest::Certificate::from_pem(acs.ca_pem().as_bytes()).expect("the CA is PEM");
    http_client()
        .dns_resolver(Loopback(acs.tls_address()))
        .add_root_certificate(authority)
}

/// The same over an HTTP client to ACS of the caller's making.
pub async fn function_over(
    s3: &S3,
    acs: &Acs,
    http: reqwest::ClientBuilder,
    limits: Limits,
    variables: &[(&'static str, String)],
) -> Function {
    let settings = Settings::new(&sdk(s3).await, environment(s3, acs, variables));
    let started = function_by(settings, s3, http, limits).await;
    started.expect("the settings are good")
}

/// A function by any settings.
pub async fn function_by(
    settings: Settings,
    s3: &S3,
    http: reqwest::ClientBuilder,
    limits: Limits,
) -> Result<Function, Faults> {
    let http = http.no_proxy().build().expect("a client can be made");
    let function = Function::start(settings, sdk(s3).await, http, limits).await?;
    // Whatever comes of it: without a verdict, the first work tries again.
    let _ = function.try_store().await;
    Ok(function)
}

/// The environment of a function between those two, `variables` over it.
pub fn environment(
    s3: &S3,
    acs: &Acs,
    variables: &[(&'static str, String)],
) -> impl Fn(&str) -> Option<OsString> + Send + Sync + use<> {
    let ends = [
        (
            "COMMUNICATION_SERVICES_CONNECTION_STRING",
            acs.connection_string(),
        ),
        ("RECORDINGS_BUCKET", s3.bucket().to_owned()),
        ("WEBHOOK_SECRETS", SECRET.to_owned()),
        ("S3_FORCE_PATH_STYLE", "true".to_owned()),
    ];
    let all: Vec<_> = variables.iter().cloned().chain(ends).collect();
    move |name| {
        let found = all.iter().find(|(set, _)| *set == name);
        found.map(|(_, value)| value.into())
    }
}

/// Leads every name to one address.
struct Loopback(SocketAddr);

impl Resolve for Loopback {
    fn resolve(&self, _: Name) -> Resolving {
        let addresses: Addrs = Box::new(std::iter::once(self.0));
        Box::pin(std::future::ready(Ok(addresses)))
    }
}

/// The SDK's configuration for the embedded S3.
pub async fn sdk(s3: &S3) -> SdkConfig {
    let credentials = Credentials::new(
        s3.access_key_id(),
        s3.secret_access_key(),
        None,
        None,
        "embedded",
    );
    aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(store::http_client())
        .endpoint_url(s3.endpoint())
        .region(Region::from_static(REGION))
        .credentials_provider(credentials)
        .load()
        .await
}

/// An HTTP request as a Function URL hands it to the function (payload 2.0).
pub fn payload(method: &str, path: &str, query: &str, headers: &Value, body: &str) -> Value {
    json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": headers,
        "requestContext": {
            "accountId": "anonymous",
            "apiId": "local",
            "domainName": "localhost",
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": SocketAddr::from(([127, 0, 0, 1], 0)).ip()},
            "requestId": "local",
            "routeKey": "$default",
            "stage": "$default",
        },
        "body": body,
        "isBase64Encoded": false,
    })
}

/// Events as Event Grid delivers them: its headers, the secret in the query string.
pub fn delivery(body: &str, count: u32) -> Value {
    let headers = json!({
        "content-type": "application/json; charset=utf-8",
        "aeg-event-type": "Notification",
        "aeg-subscription-name": "ARCHIVE-RECORDINGS",
        "aeg-delivery-count": count.to_string(),
    });
    payload("POST", "/", &format!("code={SECRET}"), &headers, body)
}
