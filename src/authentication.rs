//! The authentication of deliveries: by a webhook secret, by a token that Entra ID issued to Event
//! Grid, or by both.
//!
//! Event Grid signs nothing, so only these credentials tell its deliveries from a stranger's. Only
//! the query string and the headers of a request are read.

mod admission;
mod jwks;
mod token;

pub(crate) use admission::{Admission, Credential, Decision, Require};
pub(crate) use token::Tenant;

use std::borrow::Cow;
use std::sync::Arc;

use lambda_http::http::HeaderMap;
use lambda_http::http::header::AUTHORIZATION;
use reqwest::Client;
use url::form_urlencoded;

use crate::access::{Position, Secrets};
use crate::cached::{Cached, Refresh};
use crate::limits::Limits;
use admission::{Found, wants_token};
use jwks::TokenKeys;
use token::Presented;

/// The query parameter of the webhook's URL that carries a secret.
const QUERY_PARAMETER: &str = "code";
/// The header that may carry the secret instead, as a "delivery property" of the subscription.
/// <https://learn.microsoft.com/azure/event-grid/delivery-properties>
const HEADER: &str = "x-webhook-secret";
/// The authentication scheme of tokens.
/// <https://www.rfc-editor.org/rfc/rfc6750#section-2.1>
const BEARER: &str = "bearer";

/// The current secrets and keys, and the credentials that a delivery needs.
#[derive(Debug)]
pub(crate) struct Authentication {
    secrets: Arc<Cached<Option<Secrets>>>,
    entra: Option<Entra>,
    require: Require,
}

/// A tenant and its cached keys.
#[derive(Debug)]
struct Entra {
    tenant: Tenant,
    keys: Cached<TokenKeys>,
}

impl Authentication {
    /// Admits senders that present one of the `secrets`, a token of `tenant`, or both, as `require`
    /// says. The tenant's keys are fetched with `http`.
    pub(crate) fn new(
        secrets: Arc<Cached<Option<Secrets>>>,
        tenant: Option<Tenant>,
        require: Require,
        http: &Client,
        limits: &Limits,
    ) -> Self {
        let entra = tenant.map(|tenant| {
            let (http, url) = (http.clone(), tenant.keys());
            let read = move || Box::pin(TokenKeys::fetch(http.clone(), url.clone())) as _;
            let keys = Cached::new("token keys", None, limits.token_keys, read);
            Entra { tenant, keys }
        });
        Self {
            secrets,
            entra,
            require,
        }
    }

    /// Decides on a POST. Whatever the request presents, it causes no more reads of secrets and
    /// keys than [`Limits`] allow.
    pub(crate) async fn admit(&self, query: &str, headers: &HeaderMap) -> Admission {
        let secret = self.secret(&presented_secrets(query, headers)).await;
        let token = match (&self.entra, presented_token(headers)) {
            (None, _) => Found::NotSet,
            // Verifying a token may fetch keys, so it is left out if it cannot change the decision.
            (Some(entra), Some(token)) if wants_token(self.require, secret) => {
                entra.token(token).await
            }
            (Some(_), _) => Found::Bad,
        };
        Admission::of(self.require, secret, token)
    }

    /// Decides on the handshake of `CloudEvents`. It needs a webhook secret if any is set. With
    /// tokens alone anybody gets consent, since Event Grid is not documented to send a token with
    /// a handshake.
    ///
    /// # Errors
    ///
    /// The decision, if the handshake is not admitted.
    pub(crate) async fn consent(
        &self,
        query: &str,
        headers: &HeaderMap,
    ) -> Result<Option<Credential>, Decision> {
        let secret = self.secret(&presented_secrets(query, headers)).await;
        match (secret, &self.entra, self.require) {
            (Found::NotSet, Some(_), Require::Any) => Ok(None),
            (Found::NotSet, _, _) => Err(Decision::NoSecret),
            (Found::Good(position), _, _) => Ok(Some(Credential::Secret(position))),
            (Found::Bad, _, _) => Err(Decision::Refused),
            (Found::Unknown, _, _) => Err(Decision::Unverified),
        }
    }

    /// Finds a webhook secret among `presented`. If there is none, the secrets are refreshed before
    /// the request is refused, because Event Grid never tries a 401 again and a new secret may be
    /// younger than the cached ones. A request that presents nothing causes no read, unless no
    /// secrets are cached.
    async fn secret(&self, presented: &[Cow<'_, [u8]>]) -> Found<Position> {
        let known = self.secrets.peek();
        let are_set = known.is_some_and(|secrets| secrets.is_some());
        if presented.is_empty() && are_set {
            return Found::Bad;
        }
        let Some(secrets) = self.secrets.fresh().await else {
            return Found::Unknown;
        };
        let found = find(secrets.as_ref().as_ref(), presented);
        if matches!(found, Found::Good(_)) || presented.is_empty() {
            return found;
        }
        match self.secrets.refresh(&secrets).await {
            Refresh::Refreshed(newer) => find(newer.as_ref().as_ref(), presented),
            // Within the policy's interval, wrong secrets must not cause more reads.
            Refresh::TooRecent => found,
            Refresh::Failed => Found::Unknown,
        }
    }
}

impl Entra {
    /// Verifies a token. If its key is unknown, the tenant's keys are refreshed first.
    async fn token(&self, token: &str) -> Found<()> {
        let Some(presented) = Presented::read(token) else {
            return Found::Bad;
        };
        let Some(keys) = self.keys.fresh().await else {
            return Found::Unknown;
        };
        if let Some(key) = keys.find(&presented.key_id) {
            return self.judge(&presented, key);
        }
        match self.keys.refresh(&keys).await {
            Refresh::Refreshed(keys) => keys
                .find(&presented.key_id)
                .map_or(Found::Bad, |key| self.judge(&presented, key)),
            // Within the policy's interval, unknown keys must not cause more fetches.
            Refresh::TooRecent => Found::Bad,
            Refresh::Failed => Found::Unknown,
        }
    }

    /// Verifies a token with its key.
    fn judge(&self, presented: &Presented<'_>, key: &jsonwebtoken::DecodingKey) -> Found<()> {
        if self.tenant.admits(presented, key) {
            Found::Good(())
        } else {
            Found::Bad
        }
    }
}

/// Returns `true` if a request presents any credential, right or wrong.
pub(crate) fn presents_any(query: &str, headers: &HeaderMap) -> bool {
    presented_token(headers).is_some() || !presented_secrets(query, headers).is_empty()
}

/// Returns every secret that a request presents, in the query string and in the header.
fn presented_secrets<'a>(query: &'a str, headers: &'a HeaderMap) -> Vec<Cow<'a, [u8]>> {
    let in_query = form_urlencoded::parse(query.as_bytes())
        .filter(|(name, _)| name == QUERY_PARAMETER)
        .map(|(_, secret)| match secret {
            Cow::Borrowed(secret) => Cow::Borrowed(secret.as_bytes()),
            Cow::Owned(secret) => Cow::Owned(secret.into_bytes()),
        });
    let in_headers = headers.get_all(HEADER).iter();
    in_query
        .chain(in_headers.map(|secret| Cow::Borrowed(secret.as_bytes())))
        .collect()
}

/// Returns the bearer token that a request presents.
fn presented_token(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case(BEARER).then(|| token.trim())
}

/// Finds a secret among `presented`; [`Found::NotSet`] if no secrets are set.
fn find(secrets: Option<&Secrets>, presented: &[Cow<'_, [u8]>]) -> Found<Position> {
    match secrets {
        None => Found::NotSet,
        Some(secrets) => secrets.find(presented).map_or(Found::Bad, Found::Good),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lambda_http::http::{HeaderName, HeaderValue};

    const FIRST: &str = "0123456789abcdef";
    const SECOND: &str = "second-secret_ABC";

    async fn admission(query: &str, headers: &[(&str, &str)]) -> Decision {
        let pair = |(name, value): &(&str, &str)| {
            (
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            )
        };
        let headers = headers.iter().map(pair).collect();
        let secrets = Secrets::parse(&format!("{FIRST},{SECOND}")).unwrap();
        let secrets = Arc::new(Cached::fixed("settings", Some(secrets)));
        let http = crate::acs::http_client().build().unwrap();
        let limits = Limits::default();
        let authentication = Authentication::new(secrets, None, Require::Any, &http, &limits);
        let admission = authentication.admit(query, &headers).await;
        assert_eq!(admission.delivery, admission.handshake);
        admission.delivery
    }

    #[tokio::test]
    async fn any_live_secret_admits_from_query_or_header() {
        for (query, headers) in [
            ("code=0123456789abcdef", vec![]),
            ("code=second-secret_ABC", vec![]),
            ("a=b&code=second%2Dsecret_ABC", vec![]),
            ("code=wrong&code=second-secret_ABC", vec![]),
            ("", vec![("x-webhook-secret", FIRST)]),
            ("code=wrong", vec![("X-Webhook-Secret", SECOND)]),
            (
                "code=0123456789abcdef",
                vec![("authorization", "Bearer x.y.z")],
            ),
        ] {
            let decision = admission(query, &headers).await;
            assert!(matches!(decision, Decision::Admitted(_)), "{query}");
        }
    }

    #[tokio::test]
    async fn anything_else_is_refused() {
        let long = format!("code={}", "a".repeat(100_000));
        for (query, headers) in [
            ("", vec![]),
            ("code=", vec![]),
            ("code", vec![]),
            ("code=0123456789abcde", vec![]),
            ("code=0123456789abcdef0", vec![]),
            ("code=0123456789ABCDEF", vec![]),
            ("code=0123456789abcdef%2Csecond-secret_ABC", vec![]),
            ("Code=0123456789abcdef", vec![]),
            ("?code=0123456789abcdef", vec![]),
            (long.as_str(), vec![]),
            ("", vec![("x-webhook-secret", "wrong")]),
            ("", vec![("authorization", FIRST)]),
            ("", vec![("authorization", "Bearer 0123456789abcdef")]),
        ] {
            assert_eq!(
                admission(query, &headers).await,
                Decision::Refused,
                "{query}"
            );
        }
    }
}
