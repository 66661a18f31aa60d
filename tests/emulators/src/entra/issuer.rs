//! The token endpoint: the client credentials flow with a federated identity.
//!
//! <https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow>

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use hyper::Response;
use hyper::header::HeaderValue;
use hyper::http::request::Parts;
use serde_json::{Value, json};

use super::tokens::verified;
use super::{Entra, Shared, SigningKey, json as answer};
use crate::server::{Body, lock};

/// The audience of tokens for Communication Services.
pub const ACS: &str = "https://communication.azure.com/";
/// The scope of Communication Services: [`ACS`], whose own slash precedes another one, and
/// `.default`.
const SCOPE: &str = "https://communication.azure.com//.default";
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// The most seconds that two clocks may differ.
const SKEW: i64 = 300;

/// An application with a federated credential.
#[derive(Clone, Debug)]
pub struct Application {
    /// The application id.
    pub client: String,
    /// The trusted issuer.
    pub issuer: String,
    /// The trusted subject.
    pub subject: String,
    /// The audience of an assertion.
    pub audience: String,
    /// The key of the issuer.
    pub key: &'static SigningKey,
    /// The lifetime of a token.
    pub lifetime: Duration,
}

impl Entra {
    /// The key that signs the tokens.
    pub fn key() -> &'static SigningKey {
        SigningKey::shared(3)
    }

    /// Registers an application, in place of any registered before.
    pub fn register(&self, application: Application) {
        *lock(&self.shared.application) = Some(application);
    }

    /// The forms sent to the token endpoint so far, including refused and failed ones.
    pub fn asked(&self) -> Vec<BTreeMap<String, String>> {
        lock(&self.shared.asked).clone()
    }

    /// The tokens issued so far.
    pub fn issued(&self) -> Vec<String> {
        lock(&self.shared.issued).clone()
    }
}

pub(crate) fn path(tenant: &str) -> String {
    format!("/{tenant}/oauth2/v2.0/token")
}

/// Answers a token request.
pub(super) fn token(
    shared: &Shared,
    head: &Parts,
    form: &BTreeMap<String, String>,
) -> Response<Body> {
    let content_type = head.headers.get("content-type").map(HeaderValue::as_bytes);
    if content_type != Some(b"application/x-www-form-urlencoded") {
        return refusal(400, "invalid_request", 900_144, "the body is no form");
    }
    match judge(shared, form) {
        Ok(application) => issue(shared, &application),
        Err((status, error, code, why)) => refusal(status, error, code, &why),
    }
}

type Refusal = (u16, &'static str, u32, String);

fn judge(shared: &Shared, form: &BTreeMap<String, String>) -> Result<Application, Refusal> {
    let field = |name: &str| form.get(name).map_or("", String::as_str);
    let fail = |status, error, code, why: &str| Err((status, error, code, why.to_owned()));
    if field("grant_type") != "client_credentials" {
        return fail(
            400,
            "unsupported_grant_type",
            70003,
            "not client_credentials",
        );
    }
    let application = lock(&shared.application).clone();
    let known = application.filter(|application| application.client == field("client_id"));
    let Some(application) = known else {
        return fail(400, "unauthorized_client", 700_016, "no such application");
    };
    if field("scope") != SCOPE {
        return fail(
            400,
            "invalid_scope",
            1_002_012,
            "the scope is not that of ACS",
        );
    }
    if field("client_assertion_type") != ASSERTION_TYPE || form.contains_key("client_secret") {
        return fail(
            401,
            "invalid_client",
            7_000_216,
            "not a JWT bearer assertion",
        );
    }
    let Some(claims) = verified(application.key, field("client_assertion")) else {
        return fail(401, "invalid_client", 700_027, "the signature is wrong");
    };
    for (claim, expected, code) in [
        ("iss", &application.issuer, 700_211),
        ("aud", &application.audience, 700_212),
        ("sub", &application.subject, 700_213),
    ] {
        if claims[claim] != **expected {
            // Entra repeats the presented claim in its message.
            let why = format!("no matching federated identity: {}", claims[claim]);
            return Err((401, "invalid_client", code, why));
        }
    }
    let times = ["iat", "exp"].map(|time| claims[time].as_i64().unwrap_or(i64::MAX));
    if times[0] > now() + SKEW || times[1] < now() - SKEW {
        return fail(
            401,
            "invalid_client",
            700_024,
            "outside of its valid time range",
        );
    }
    Ok(application)
}

fn issue(shared: &Shared, application: &Application) -> Response<Body> {
    let lifetime = i64::try_from(application.lifetime.as_secs()).expect("a lifetime");
    let number = lock(&shared.issued).len();
    let claims = json!({
        "aud": ACS,
        "iss": format!("https://sts.windows.net/{}/", shared.tenant),
        "iat": now(),
        "nbf": now(),
        "exp": now() + lifetime,
        "appid": application.client,
        "tid": shared.tenant,
        "oid": "0b1c2d3e-4f50-4617-8293-a4b5c6d7e8f9",
        "uti": number.to_string(),
        "ver": "1.0",
    });
    let token = Entra::key().token(&claims);
    lock(&shared.issued).push(token.clone());
    let body = json!({
        "token_type": "Bearer",
        "expires_in": lifetime,
        "ext_expires_in": lifetime,
        "access_token": token,
    });
    answer(200, body.to_string())
}

fn refusal(status: u16, error: &str, code: u32, why: &str) -> Response<Body> {
    answer(status, refused(error, code, why).to_string())
}

/// The body of an error.
///
/// <https://learn.microsoft.com/entra/identity-platform/reference-error-codes>
pub fn refused(error: &str, code: u32, why: &str) -> Value {
    json!({
        "error": error,
        "error_description": format!(
            "AADSTS{code}: {why}. Trace ID: 0a1b2c3d-0000-0000-0000-000000000000"
        ),
        "error_codes": [code],
        "timestamp": "2026-11-26 03:30:00Z",
        "trace_id": "0a1b2c3d-0000-0000-0000-000000000000",
        "correlation_id": "1a1b2c3d-0000-0000-0000-000000000000",
    })
}

#[expect(clippy::disallowed_methods, reason = "a server has its own clock")]
pub(crate) fn now() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs().try_into().unwrap_or_default())
}
