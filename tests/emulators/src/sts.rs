//! AWS STS: the operation `GetWebIdentityToken`.
//!
//! <https://docs.aws.amazon.com/STS/latest/APIReference/API_GetWebIdentityToken.html>

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use hyper::http::request::Parts;
use hyper::{Method, Response};
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::entra::SigningKey;
use crate::s3::{ACCESS_KEY_ID, SECRET_ACCESS_KEY};
use crate::server::{Answer, Body, Server, lock, whole};
use crate::sigv4::{self, Credentials};

/// The role of every caller.
pub const ROLE: &str = "arn:aws:iam::123456789012:role/archiver";
/// The issuer of the account.
pub const ISSUER: &str = "https://a1b2d0fd-1177-4468-9351-2f0000000723.tokens.sts.global.api.aws";
/// The only audience that the policy of the caller allows.
pub const AUDIENCE: &str = "api://AzureADTokenExchange";
const VERSION: &str = "2011-06-15";
const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

/// A fault of every request, until it is changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Answers 403, `AccessDenied`: no policy allows the operation.
    Refuse,
    /// Answers 400, `OutboundWebIdentityFederationDisabledException`: the account has not enabled
    /// outbound federation.
    Disabled,
    /// Answers this status and body, in which `{token}` is replaced by a token.
    Answer(u16, String),
    /// Answers 403 with the complete request in the message.
    Echo,
    /// Answers 307 with this location.
    Redirect(String),
    /// Never answers.
    Hang,
    /// Closes the connection without an answer.
    Drop,
}

/// A running server. Clones are the same server; it stops when the last one is dropped.
#[derive(Clone, Debug)]
pub struct Sts {
    shared: Arc<Shared>,
    server: Arc<Server>,
}

#[derive(Debug, Default)]
struct Shared {
    fault: Mutex<Option<Fault>>,
    /// The seconds that the clock is ahead.
    ahead: AtomicI64,
    calls: Mutex<Vec<BTreeMap<String, String>>>,
    issued: Mutex<Vec<String>>,
}

impl Sts {
    /// Starts a server on a free port of 127.0.0.1 with the credentials of the emulated S3.
    pub async fn start() -> Self {
        let shared = Arc::<Shared>::default();
        let answering = Arc::clone(&shared);
        let server = Server::start(move |head, body| answer(Arc::clone(&answering), head, body));
        Self {
            server: Arc::new(server.await),
            shared,
        }
    }

    /// The value of `AWS_ENDPOINT_URL_STS`.
    pub fn endpoint(&self) -> String {
        self.server.url()
    }

    /// The key that signs the tokens.
    pub fn key() -> &'static SigningKey {
        SigningKey::shared(2)
    }

    /// Sets the fault of every request from now on.
    pub fn fail(&self, fault: Option<Fault>) {
        *lock(&self.shared.fault) = fault;
    }

    /// Sets the clock by which tokens are issued so many seconds ahead.
    pub fn set_ahead(&self, seconds: i64) {
        self.shared.ahead.store(seconds, Ordering::Relaxed);
    }

    /// The fields of each request so far, including refused and failed ones.
    pub fn calls(&self) -> Vec<BTreeMap<String, String>> {
        lock(&self.shared.calls).clone()
    }

    /// The tokens issued so far.
    pub fn issued(&self) -> Vec<String> {
        lock(&self.shared.issued).clone()
    }
}

async fn answer(shared: Arc<Shared>, head: Parts, body: Bytes) -> Answer {
    let form: BTreeMap<String, String> = form_urlencoded::parse(&body).into_owned().collect();
    lock(&shared.calls).push(form.clone());
    let fault = lock(&shared.fault).clone();
    match fault {
        Some(Fault::Hang) => pending().await,
        Some(Fault::Drop) => return None,
        _ => {}
    }
    Some(match fault {
        Some(Fault::Redirect(location)) => {
            let mut response = response(307, "");
            let location = location.parse().expect("a location is a header's value");
            response.headers_mut().insert("location", location);
            response
        }
        Some(Fault::Answer(status, body)) => {
            let token = issue(&shared, 60, &form);
            response(status, body.replace("{token}", &token))
        }
        Some(Fault::Echo) => {
            let said = format!("{:?} {form:?}", head.headers).replace(['<', '&'], "");
            error(403, "AccessDenied", &said)
        }
        fault => signed(&shared, fault.as_ref(), &head, &body, &form),
    })
}

#[expect(clippy::disallowed_methods, reason = "a server has its own clock")]
fn signed(
    shared: &Shared,
    fault: Option<&Fault>,
    head: &Parts,
    body: &[u8],
    form: &BTreeMap<String, String>,
) -> Response<Body> {
    let credentials = Credentials {
        access_key_id: ACCESS_KEY_ID,
        secret_access_key: SECRET_ACCESS_KEY,
    };
    if let Err(refusal) = sigv4::check(credentials, "sts", SystemTime::now(), head, body) {
        return error(403, refusal.code, &refusal.reason);
    }
    match fault {
        Some(Fault::Refuse) => error(
            403,
            "AccessDenied",
            "not authorized to perform: sts:GetWebIdentityToken",
        ),
        Some(Fault::Disabled) => error(
            400,
            "OutboundWebIdentityFederationDisabledException",
            "Outbound web identity federation is not enabled for this account.",
        ),
        _ => truth(shared, head, form),
    }
}

/// The answer to a caller with the policy of `template.yaml`.
fn truth(shared: &Shared, head: &Parts, form: &BTreeMap<String, String>) -> Response<Body> {
    let field = |name: &str| form.get(name).map(String::as_str);
    if head.method != Method::POST || head.uri.path() != "/" {
        return error(404, "InvalidAction", "only POST / is served");
    }
    let action = (field("Action"), field("Version"));
    if action != (Some("GetWebIdentityToken"), Some(VERSION)) {
        return error(400, "InvalidAction", "not GetWebIdentityToken");
    }
    let duration: u64 = match field("DurationSeconds").map_or(Ok(300), str::parse) {
        Ok(seconds @ 60..=3600) => seconds,
        _ => return error(400, "ValidationError", "DurationSeconds is out of range"),
    };
    let audiences: Vec<&str> = form
        .iter()
        .filter(|(name, _)| name.starts_with("Audience.member."))
        .map(|(_, audience)| audience.as_str())
        .collect();
    // The conditions in the policy of the function's role, see `template.yaml`.
    if audiences != [AUDIENCE] || field("SigningAlgorithm") != Some("RS256") || duration > 60 {
        return error(403, "AccessDenied", "the policy's conditions do not hold");
    }
    let token = issue(shared, duration, form);
    let ends = time_after(shared, duration).format(&Rfc3339);
    response(
        200,
        format!(
            "<GetWebIdentityTokenResponse xmlns=\"{NAMESPACE}\"><GetWebIdentityTokenResult>\
             <WebIdentityToken>{token}</WebIdentityToken><Expiration>{}</Expiration>\
             </GetWebIdentityTokenResult><ResponseMetadata><RequestId>1</RequestId>\
             </ResponseMetadata></GetWebIdentityTokenResponse>",
            ends.expect("a time can be written")
        ),
    )
}

#[expect(clippy::disallowed_methods, reason = "a server has its own clock")]
fn time_after(shared: &Shared, seconds: u64) -> OffsetDateTime {
    let ahead = shared.ahead.load(Ordering::Relaxed);
    let now = OffsetDateTime::from(SystemTime::now());
    now + time::Duration::seconds(ahead) + Duration::from_secs(seconds)
}

fn issue(shared: &Shared, duration: u64, form: &BTreeMap<String, String>) -> String {
    let number = lock(&shared.issued).len();
    let token = Sts::key().token(&json!({
        "aud": form.get("Audience.member.1"),
        "iss": ISSUER,
        "sub": ROLE,
        "iat": time_after(shared, 0).unix_timestamp(),
        "exp": time_after(shared, duration).unix_timestamp(),
        "jti": format!("00000000-0000-4000-8000-{number:012}"),
        "https://sts.amazonaws.com/": {"aws_account": "123456789012", "principal_id": ROLE},
    }));
    lock(&shared.issued).push(token.clone());
    token
}

fn error(status: u16, code: &str, message: &str) -> Response<Body> {
    response(
        status,
        format!(
            "<ErrorResponse xmlns=\"{NAMESPACE}\"><Error><Type>Sender</Type><Code>{code}</Code>\
             <Message>{message}</Message></Error><RequestId>1</RequestId></ErrorResponse>"
        ),
    )
}

fn response(status: u16, body: impl Into<Bytes>) -> Response<Body> {
    Response::builder()
        .status(status)
        .header("content-type", "text/xml")
        .body(whole(body))
        .expect("the headers are valid")
}
