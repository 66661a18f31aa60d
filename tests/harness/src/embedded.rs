//! The function between an emulated S3 and an emulated ACS.

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

/// The webhook secret of the sample events.
pub const SECRET: &str = "local-secret-for-trying-out";
/// The ACS resource of the sample events.
pub const RESOURCE: &str = "contoso.communication.azure.com";

/// The region of the emulated S3, which accepts any.
pub const REGION: &str = "eu-central-1";

/// The function between both emulators.
#[derive(Clone)]
pub struct Embedded {
    /// The destination of recordings.
    pub s3: S3,
    /// The source of recordings.
    pub acs: Acs,
    /// The function.
    pub function: Function,
}

/// The settings of both emulators and the function.
pub struct Setup {
    /// The settings of the emulated S3.
    pub s3: s3::Settings,
    /// The settings of the emulated ACS.
    pub acs: acs::Settings,
    /// The limits of the function.
    pub limits: Limits,
    /// Settings of the function, in addition to those that name the emulators.
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

/// The answer to the caller of the Function URL.
#[derive(Debug)]
pub struct Response {
    /// The status.
    pub status: Status,
    /// The headers, by their names in lower case.
    pub headers: Value,
    /// The body, which is JSON in every answer.
    pub body: Value,
}

/// The status of an answer. It prints the body too, so that a failed assertion shows the reason.
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

    /// The status code.
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
    /// Starts both emulators and a function between them. The function has tried the store, and the
    /// calls of that trial are forgotten.
    pub async fn start(setup: Setup) -> Self {
        let s3 = S3::start(setup.s3).await;
        let acs = Acs::start(setup.acs).await;
        let function = function(&s3, &acs, setup.limits, &setup.variables).await;
        s3.clear_calls();
        Self { s3, acs, function }
    }

    /// Invokes the function with an HTTP request, without a known deadline.
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

    /// Invokes the function with any payload.
    pub async fn invoke(&self, payload: &Value) -> Answer {
        let payload = RawValue::from_string(payload.to_string()).expect("a value is JSON");
        // The function takes a deadline in 1970 for unknown.
        self.function
            .invoke(&payload, SystemTime::UNIX_EPOCH)
            .await
            .expect("the pending events can be listed")
    }
}

/// A function between these emulators.
pub async fn function(
    s3: &S3,
    acs: &Acs,
    limits: Limits,
    variables: &[(&'static str, String)],
) -> Function {
    function_over(s3, acs, client_to(acs), limits, variables).await
}

/// An HTTP client that resolves every name to the emulated ACS, so that tests use real host names.
pub fn client_to(acs: &Acs) -> reqwest::ClientBuilder {
    let authority = reqwest::Certificate::from_pem(acs.ca_pem().as_bytes()).expect("the CA is PEM");
    http_client()
        .dns_resolver(Loopback(acs.tls_address()))
        .add_root_certificate(authority)
}

/// A function between these emulators, with this HTTP client.
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

/// A function with any settings.
pub async fn function_by(
    settings: Settings,
    s3: &S3,
    http: reqwest::ClientBuilder,
    limits: Limits,
) -> Result<Function, Faults> {
    let http = http.no_proxy().build().expect("a client can be made");
    let function = Function::start(settings, sdk(s3).await, http, limits).await?;
    // Without a verdict, the first work tries again.
    let _ = function.try_store().await;
    Ok(function)
}

/// The environment of a function between these emulators; `variables` take precedence.
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

/// A resolver of every name to one address.
struct Loopback(SocketAddr);

impl Resolve for Loopback {
    fn resolve(&self, _: Name) -> Resolving {
        let addresses: Addrs = Box::new(std::iter::once(self.0));
        Box::pin(std::future::ready(Ok(addresses)))
    }
}

/// The SDK's configuration for the emulated S3.
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

/// An HTTP request in the form of a Function URL (payload version 2.0).
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
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": SocketAddr::from(([127, 0, 0, 1], 0)).ip(),
            },
            "requestId": "local",
            "routeKey": "$default",
            "stage": "$default",
        },
        "body": body,
        "isBase64Encoded": false,
    })
}

/// A delivery of Event Grid: its headers, and the secret in the query string.
pub fn delivery(body: &str, count: u32) -> Value {
    let headers = json!({
        "content-type": "application/json; charset=utf-8",
        "aeg-event-type": "Notification",
        "aeg-subscription-name": "ARCHIVE-RECORDINGS",
        "aeg-delivery-count": count.to_string(),
    });
    payload("POST", "/", &format!("code={SECRET}"), &headers, body)
}
