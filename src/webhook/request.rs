//! The parts of a request: method, headers and body. Pure.

use std::borrow::Cow;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use lambda_http::http::{HeaderMap, Method};

use super::answer::Verdict;
use crate::authentication;

// The headers of the `CloudEvents` handshake:
// <https://github.com/cloudevents/spec/blob/main/cloudevents/http-webhook.md>
const REQUEST_ORIGIN: &str = "webhook-request-origin";
const REQUEST_RATE: &str = "webhook-request-rate";

const DELIVERY_COUNT: &str = "aeg-delivery-count";

/// Returns the verdict on a request that can be judged without the settings: one of another method,
/// or a delivery without credentials.
pub(super) fn without_credentials(request: &ApiGatewayV2httpRequest) -> Option<Verdict> {
    if is_options(request) {
        return None;
    }
    if request.request_context.http.method != Method::POST {
        return Some(Verdict::MethodNotAllowed);
    }
    (!presents_any(request)).then_some(Verdict::Unauthenticated)
}

/// Returns `true` if the request presents a credential, right or wrong.
pub(super) fn presents_any(request: &ApiGatewayV2httpRequest) -> bool {
    let query = request.raw_query_string.as_deref().unwrap_or_default();
    authentication::presents_any(query, &request.headers)
}

/// Returns `true` if the request is the handshake of `CloudEvents`.
pub(super) fn is_options(request: &ApiGatewayV2httpRequest) -> bool {
    request.request_context.http.method == Method::OPTIONS
}

/// Returns the consent to the handshake of `CloudEvents`.
pub(super) fn allowed(request: &ApiGatewayV2httpRequest) -> Verdict {
    let header = |name| request.headers.get(name).cloned();
    Verdict::Allowed {
        origin: header(REQUEST_ORIGIN),
        rate: header(REQUEST_RATE),
    }
}

/// Returns the number of times that Event Grid has tried this delivery before.
pub(super) fn attempt(request: &ApiGatewayV2httpRequest) -> Option<u64> {
    text(&request.headers, DELIVERY_COUNT)?.parse().ok()
}

/// Returns the decoded body.
///
/// # Errors
///
/// The verdict, if the body is longer than `limit` or is not valid base64.
pub(super) fn body(
    request: &ApiGatewayV2httpRequest,
    limit: usize,
) -> Result<Cow<'_, [u8]>, Verdict> {
    let body = request.body.as_deref().unwrap_or_default();
    if !request.is_base64_encoded {
        return if body.len() > limit {
            Err(Verdict::TooLarge)
        } else {
            Ok(Cow::Borrowed(body.as_bytes()))
        };
    }
    // Four letters are three bytes, the last two of which may be padding. A body that is too long
    // is refused before memory is spent on it.
    if body.len() / 4 * 3 > limit + 2 {
        return Err(Verdict::TooLarge);
    }
    let decoded = BASE64_STANDARD
        .decode(body)
        .map_err(|_| Verdict::NotEvents)?;
    if decoded.len() > limit {
        Err(Verdict::TooLarge)
    } else {
        Ok(Cow::Owned(decoded))
    }
}

/// Returns a header's value, if it is visible ASCII.
pub(super) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
