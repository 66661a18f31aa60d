//! Who may deliver: whoever presents a webhook secret, or a token that Entra ID made for Event Grid.
//!
//! Event Grid signs nothing, so one of the two is what tells its deliveries from anyone else's. Nothing of a request but
//! its query string and headers is looked at.

mod keys;
mod token;

pub use token::Tenant;

use std::borrow::Cow;
use std::sync::Arc;

use lambda_http::http::HeaderMap;
use lambda_http::http::header::AUTHORIZATION;
use reqwest::Client;
use url::form_urlencoded;

use crate::access::Secrets;
use crate::kept::{Kept, Look};
use crate::limits::Limits;
use keys::TokenKeys;
use token::Presented;

/// The query parameter that a webhook URL carries its secret in.
const QUERY_PARAMETER: &str = "code";
/// The header ("delivery property") that may carry it instead.
const HEADER: &str = "x-webhook-secret";
/// The scheme of tokens: RFC 6750.
const BEARER: &str = "bearer";

/// Who may deliver.
#[derive(Debug)]
pub struct Authentication {
    secrets: Arc<Kept<Option<Secrets>>>,
    entra: Option<Entra>,
}

#[derive(Debug)]
struct Entra {
    tenant: Tenant,
    keys: Kept<TokenKeys>,
}

/// What a request's credentials have come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// One of them is good.
    Admitted,
    /// There is none, or none is good.
    Refused,
    /// There is none that is known to be good, and what would tell could not be read.
    Unverified,
}

impl Admission {
    /// Of two credentials, the better one counts.
    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Admitted, _) | (_, Self::Admitted) => Self::Admitted,
            (Self::Unverified, _) | (_, Self::Unverified) => Self::Unverified,
            (Self::Refused, Self::Refused) => Self::Refused,
        }
    }
}

impl Authentication {
    /// Admits whoever has one of the `secrets`, or a token of `tenant`; the tenant's keys are fetched
    /// with `http`.
    #[must_use]
    pub fn new(
        secrets: Arc<Kept<Option<Secrets>>>,
        tenant: Option<Tenant>,
        http: &Client,
        limits: &Limits,
    ) -> Self {
        let entra = tenant.map(|tenant| {
            let (http, url) = (http.clone(), tenant.keys());
            let read = move || Box::pin(TokenKeys::fetch(http.clone(), url.clone())) as _;
            let keys = Kept::new("token keys", None, limits.token_keys, read);
            Entra { tenant, keys }
        });
        Self { secrets, entra }
    }

    /// Whether a request may deliver. Whatever it presents, it causes at most the readings that [`Limits`] allow.
    pub async fn admit(&self, query: &str, headers: &HeaderMap) -> Admission {
        let secret = self.secret(&presented_secrets(query, headers)).await;
        match (secret, presented_token(headers), &self.entra) {
            (Admission::Admitted, _, _) | (_, None, _) | (_, _, None) => secret,
            (secret, Some(token), Some(entra)) => secret.or(entra.token(token).await),
        }
    }

    async fn secret(&self, presented: &[Cow<'_, [u8]>]) -> Admission {
        if presented.is_empty() {
            return Admission::Refused;
        }
        let Some(secrets) = self.secrets.current().await else {
            return Admission::Unverified;
        };
        if known(&secrets, presented) {
            return Admission::Admitted;
        }
        match self.secrets.other_than(&secrets).await {
            Look::New(secrets) if known(&secrets, presented) => Admission::Admitted,
            Look::New(_) | Look::Same => Admission::Refused,
            Look::Unknown => Admission::Unverified,
        }
    }
}

impl Entra {
    async fn token(&self, token: &str) -> Admission {
        let Some(presented) = Presented::read(token) else {
            return Admission::Refused;
        };
        let Some(keys) = self.keys.current().await else {
            return Admission::Unverified;
        };
        if let Some(key) = keys.find(&presented.key_id) {
            return self.judge(&presented, key);
        }
        match self.keys.other_than(&keys).await {
            Look::New(keys) => keys
                .find(&presented.key_id)
                .map_or(Admission::Refused, |key| self.judge(&presented, key)),
            Look::Same => Admission::Refused,
            Look::Unknown => Admission::Unverified,
        }
    }

    fn judge(&self, presented: &Presented<'_>, key: &jsonwebtoken::DecodingKey) -> Admission {
        if self.tenant.admits(presented, key) {
            Admission::Admitted
        } else {
            Admission::Refused
        }
    }
}

/// Whether a request presents any credentials at all.
#[must_use]
pub fn presents_any(query: &str, headers: &HeaderMap) -> bool {
    presented_token(headers).is_some() || !presented_secrets(query, headers).is_empty()
}

/// Every secret that a request presents, from the query string and from the header.
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

fn presented_token(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case(BEARER).then(|| token.trim())
}

/// Whether any of them is a secret.
fn known(secrets: &Arc<Option<Secrets>>, presented: &[Cow<'_, [u8]>]) -> bool {
    let secrets = secrets.as_ref().as_ref();
    let found = secrets.map(|secrets| secrets.find(presented));
    found.flatten().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use lambda_http::http::{HeaderName, HeaderValue};

    const FIRST: &str = "0123456789abcdef";
    const SECOND: &str = "second-secret_ABC";

    async fn admission(query: &str, headers: &[(&str, &str)]) -> Admission {
        let pair = |(name, value): &(&str, &str)| {
            (
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            )
        };
        let headers = headers.iter().map(pair).collect();
        let secrets = Secrets::parse(&format!("{FIRST},{SECOND}")).unwrap();
        let secrets = Arc::new(Kept::fixed("settings", Some(secrets)));
        let http = crate::acs::http_client().build().unwrap();
        Authentication::new(secrets, None, &http, &Limits::default())
            .admit(query, &headers)
            .await
    }

    #[tokio::test]
    async fn any_live_secret_lets_in_from_query_or_header() {
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
            assert_eq!(
                admission(query, &headers).await,
                Admission::Admitted,
                "{query}"
            );
        }
    }

    #[tokio::test]
    async fn anything_else_does_not() {
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
                Admission::Refused,
                "{query}"
            );
        }
    }

    #[test]
    fn the_better_of_two_credentials_counts() {
        use Admission::{Admitted, Refused, Unverified};
        for (one, other, both) in [
            (Refused, Refused, Refused),
            (Refused, Unverified, Unverified),
            (Unverified, Admitted, Admitted),
            (Refused, Admitted, Admitted),
        ] {
            assert_eq!((one.or(other), other.or(one)), (both, both));
        }
    }
}
