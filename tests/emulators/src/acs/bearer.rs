use hyper::http::request::Parts;

use super::shared::Shared;
use super::signature::Form;
use crate::entra::Entra;
use crate::entra::issuer::{ACS, now};
use crate::entra::tokens::verified;
use crate::headers::one;
use crate::server::lock;

/// The tokens that the resource accepts.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// The tenant of the resource.
    pub tenant: String,
    /// The application that has a role on the resource.
    pub client: String,
}

/// The rules of authorization.
#[derive(Debug, Default)]
pub(super) struct Rules {
    pub(super) tokens: Option<Tokens>,
    pub(super) revoked: Vec<String>,
    /// The seconds that the clock of the resource is ahead.
    pub(super) ahead: i64,
    /// `disableLocalAuth`: access keys are refused.
    pub(super) without_keys: bool,
}

/// Checks the token of a request; an error is the status and the reason.
pub(super) fn check(shared: &Shared, form: Form, request: &Parts) -> Result<(), (u16, String)> {
    let refuse = |why: &str| Err((401, why.to_owned()));
    let headers = &request.headers;
    let missing = |why: String| (401, why);
    let authorization = one(headers, "authorization").map_err(missing)?;
    let token = authorization.strip_prefix("Bearer ").unwrap_or_default();
    // These belong to a signature. Beside a token they would show that a client mixes the two.
    for name in ["date", "x-ms-date", "x-ms-content-sha256"] {
        if headers.contains_key(name) {
            return Err((401, format!("{name} has no place beside a token")));
        }
    }
    match (form, headers.get("x-ms-host")) {
        (Form::Preview, Some(_)) => return refuse("x-ms-host has no place in this form"),
        (Form::Preview, None) => {}
        (Form::Current, _) => {
            let host = one(headers, "x-ms-host").map_err(missing)?;
            if host != shared.resource {
                return Err((401, format!("x-ms-host is {host}, not {}", shared.resource)));
            }
        }
    }
    let rules = lock(&shared.rules);
    let Some(tokens) = &rules.tokens else {
        return refuse("no tokens are taken here");
    };
    let Some(claims) = verified(Entra::key(), token) else {
        return refuse("the token's signature is wrong");
    };
    let now = now() + rules.ahead;
    if claims["aud"] != ACS || claims["tid"] != *tokens.tenant {
        return refuse("the token is for another audience or of another tenant");
    }
    if claims["exp"].as_i64().is_none_or(|end| end <= now) {
        return refuse("the token has expired");
    }
    if rules.revoked.iter().any(|revoked| revoked == token) {
        return refuse("the token was revoked");
    }
    if claims["appid"] != *tokens.client {
        return Err((403, "the application has no role here".to_owned()));
    }
    Ok(())
}
