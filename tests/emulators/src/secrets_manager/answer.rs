use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use hyper::http::request::Parts;
use hyper::{Method, Response};
use serde_json::{Value as Json, json};

use super::{Content, Fault, Shared};
use crate::server::{Answer, Body, lock, whole};
use crate::sigv4::{self, Credentials};

const CONTENT_TYPE: &str = "application/x-amz-json-1.1";
const SERVICE: &str = "secretsmanager";
const TARGET: &str = "secretsmanager.GetSecretValue";
const STAGE: &str = "AWSCURRENT";
const ACCOUNT: &str = "123456789012";
/// The creation time of every value, in seconds since 1970, which no client should depend on.
const CREATED: f64 = 1_795_447_234.219;

/// Counts a request and answers it, with the fault that is set.
pub(super) async fn answer(shared: Arc<Shared>, head: Parts, body: Bytes) -> Answer {
    shared.calls.fetch_add(1, Ordering::Relaxed);
    let fault = *lock(&shared.fault);
    match fault {
        Some(Fault::Hang) => pending().await,
        Some(Fault::Drop) => None,
        fault => Some(signed(&shared, fault, &head, &body)),
    }
}

#[expect(clippy::disallowed_methods, reason = "a server has its own clock")]
fn signed(shared: &Shared, fault: Option<Fault>, head: &Parts, body: &[u8]) -> Response<Body> {
    let credentials = Credentials {
        access_key_id: &shared.settings.access_key_id,
        secret_access_key: &shared.settings.secret_access_key,
    };
    let now = SystemTime::now();
    let region = match sigv4::check(credentials, SERVICE, now, head, body) {
        Ok(region) => region,
        Err(refusal) => return error(400, refusal.code, &refusal.reason),
    };
    let asked: Json = serde_json::from_slice(body).unwrap_or_default();
    // A fault of one secret applies only to a signed request, which names the secret in its body.
    let of_secret = asked.get("SecretId").and_then(Json::as_str);
    let of_secret = of_secret.and_then(|id| lock(&shared.faults).get(id).copied());
    match fault.or(of_secret) {
        Some(Fault::Refuse) => error(
            403,
            "AccessDeniedException",
            "not authorized to perform: secretsmanager:GetSecretValue",
        ),
        Some(Fault::NotFound) => not_found("the specified secret."),
        Some(Fault::Throttle) => error(400, "ThrottlingException", "Rate exceeded"),
        Some(Fault::Internal) => error(
            500,
            "InternalServiceError",
            "An error occurred on the server side.",
        ),
        Some(Fault::Malformed) => response(200, "<html>It works!</html>"),
        Some(Fault::Hang | Fault::Drop) | None => truth(shared, &region, head, body),
    }
}

/// The answer to a signed request.
fn truth(shared: &Shared, region: &str, head: &Parts, body: &[u8]) -> Response<Body> {
    let header = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
    if head.method != Method::POST || head.uri.path() != "/" {
        return error(404, "UnknownOperationException", "only POST / is served");
    }
    if header("content-type") != Some(CONTENT_TYPE) || header("x-amz-target") != Some(TARGET) {
        return error(
            400,
            "UnknownOperationException",
            "not GetSecretValue in JSON",
        );
    }
    let Ok(asked) = serde_json::from_slice::<Json>(body) else {
        return error(400, "SerializationException", "the body is not JSON");
    };
    let Some(id) = asked.get("SecretId").and_then(Json::as_str) else {
        return error(400, "InvalidParameterException", "SecretId is missing");
    };

    let arn =
        |name: &str| format!("arn:aws:secretsmanager:{region}:{ACCOUNT}:secret:{name}-a1b2c3");
    let values = lock(&shared.values).clone();
    let found = values
        .into_iter()
        .find(|(name, _)| id == name || id == arn(name));
    let Some((name, value)) = found else {
        return not_found("the specified secret.");
    };
    let version = format!("00000000-0000-4000-8000-{:012}", value.version);
    let other = |member, only: &str| asked.get(member).is_some_and(|value| value != only);
    if other("VersionStage", STAGE) || other("VersionId", &version) {
        return not_found("the specified secret value");
    }
    let (member, content) = match value.content {
        Content::String(string) => ("SecretString", string),
        Content::Binary(binary) => ("SecretBinary", STANDARD.encode(binary)),
    };
    let answer = json!({
        "ARN": arn(&name),
        "CreatedDate": CREATED,
        "Name": name,
        member: content,
        "VersionId": version,
        "VersionStages": [STAGE],
    });
    response(200, answer.to_string())
}

fn not_found(what: &str) -> Response<Body> {
    let message = format!("Secrets Manager can't find {what}");
    error(400, "ResourceNotFoundException", &message)
}

fn error(status: u16, code: &'static str, message: &str) -> Response<Body> {
    let body = json!({"__type": code, "Message": message});
    let mut response = response(status, body.to_string());
    let code = hyper::header::HeaderValue::from_static(code);
    response.headers_mut().insert("x-amzn-errortype", code);
    response
}

fn response(status: u16, body: impl Into<Bytes>) -> Response<Body> {
    Response::builder()
        .status(status)
        .header("content-type", CONTENT_TYPE)
        .header("x-amzn-requestid", "00000000-0000-4000-8000-000000000000")
        .body(whole(body))
        .expect("the headers are valid")
}
