//! Microsoft Entra tokens for ACS, obtained without a stored secret.
//!
//! AWS STS issues an assertion whose subject is the function's role. The application in Entra has a
//! federated credential for that issuer and subject, so Entra accepts the assertion in place of a
//! client secret and issues a token.
//!
//! <https://learn.microsoft.com/entra/workload-id/workload-identity-federation>

use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::time::sleep;
use url::{Url, form_urlencoded};

use super::assertion::{self, Assertions};
use super::code::Code;
use super::{TRY, Token};
use crate::clock;

/// The scope of Communication Services, with two slashes as in its official SDKs.
const SCOPE: &str = "https://communication.azure.com//.default";
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");
/// The longest answer of Entra that is read, in bytes; real ones have about 2 KiB.
const MAX_ANSWER: usize = 64 * 1024;
/// Attempts at one token, while Entra's failures are transient.
const ATTEMPTS: u32 = 3;
/// The pause after the first failed attempt; it grows with each.
const PAUSE: Duration = Duration::from_millis(250);

/// The application in Entra that the function acts as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Application {
    /// The tenant's id, a GUID in lower case.
    pub(crate) tenant: String,
    /// The application's id, a GUID in lower case.
    pub(crate) client: String,
    /// The authority that issues the tenant's tokens.
    pub(crate) authority: Url,
}

/// The client of Entra.
#[derive(Clone, Debug)]
pub(crate) struct Tokens {
    assertions: Assertions,
    http: reqwest::Client,
    application: Application,
}

/// The claims of an assertion and of a token, for an operator to check. Without the signatures,
/// they authorize nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Claims {
    /// The claims of AWS's assertion about the function's role.
    pub(crate) assertion: Map<String, Value>,
    /// The claims of Entra's token for the application.
    pub(crate) token: Map<String, Value>,
}

/// The failure to obtain a token. It holds no part of a token or an assertion.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// No assertion was obtained.
    #[error(transparent)]
    Assertion(#[from] assertion::Error),
    /// Entra answered with an error; redirects are not followed.
    #[error("Microsoft Entra refused the assertion with {status}{code}")]
    Entra {
        /// The HTTP status.
        status: StatusCode,
        /// Entra's code (`AADSTS…`), or OAuth's where it gave none.
        code: Code,
    },
    /// Entra could not be connected to or verified, or its answer was not complete.
    #[error("request to Microsoft Entra failed")]
    EntraUnanswered(#[source] reqwest::Error),
    /// Entra's answer is too long to be a token.
    #[error("Microsoft Entra's answer is longer than 64 KiB")]
    TooLong,
    /// Entra answered 200 without a usable token.
    #[error("Microsoft Entra's answer is no token")]
    NoToken,
}

impl Error {
    /// Returns `true` if the same request may succeed a moment later.
    fn is_transient(&self) -> bool {
        match self {
            Self::EntraUnanswered(_) => true,
            Self::Entra { status, .. } => {
                status.is_server_error() || matches!(status.as_u16(), 408 | 429)
            }
            _ => false,
        }
    }
}

impl Tokens {
    /// Makes a client for `application`, which calls STS by the SDK's configuration.
    pub(crate) fn new(sdk: &SdkConfig, http: reqwest::Client, application: Application) -> Self {
        Self {
            assertions: Assertions::new(sdk),
            http,
            application,
        }
    }

    /// Obtains a new token.
    pub(crate) async fn obtain(&self) -> Result<Token, Error> {
        let assertion = self.assertions.obtain().await?;
        // One assertion for all attempts: it is valid for longer than they take.
        let mut failures = 0;
        loop {
            match self.exchange(&assertion).await {
                Err(error) if error.is_transient() && failures + 1 < ATTEMPTS => {
                    failures += 1;
                    sleep(PAUSE * failures).await;
                }
                done => return done,
            }
        }
    }

    /// Obtains an assertion and a token, and returns their claims. Nothing is cached.
    pub(crate) async fn claims(&self) -> Result<Claims, Error> {
        let assertion = self.assertions.obtain().await?;
        let token = self.exchange(&assertion).await?;
        Ok(Claims {
            assertion: claims(&assertion, &["iss", "sub", "aud", "iat", "exp"]),
            token: claims(
                token.text(),
                &[
                    "iss", "aud", "tid", "appid", "azp", "oid", "roles", "iat", "exp", "ver",
                ],
            ),
        })
    }

    /// Exchanges an assertion for a token.
    /// <https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow>
    async fn exchange(&self, assertion: &str) -> Result<Token, Error> {
        let Application {
            tenant,
            client,
            authority,
        } = &self.application;
        let authority = authority.as_str().trim_end_matches('/');
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "client_credentials")
            .append_pair("client_id", client)
            .append_pair("client_assertion_type", ASSERTION_TYPE)
            .append_pair("client_assertion", assertion)
            .append_pair("scope", SCOPE)
            .finish();
        // The life is counted from before the request, so it never ends later than Entra's.
        let asked = clock::now();
        let failed = |error: reqwest::Error| Error::EntraUnanswered(error.without_url());
        // The HTTP client follows no redirect, so the assertion reaches nobody but the authority.
        let request = self
            .http
            .post(format!("{authority}/{tenant}/oauth2/v2.0/token"))
            .header(CONTENT_TYPE, FORM)
            .timeout(TRY)
            .body(form);
        let mut response = request.send().await.map_err(failed)?;
        let status = response.status();
        let mut answer = Vec::new();
        // Read in pieces, since the length that a server states is not to be trusted.
        while let Some(bytes) = response.chunk().await.map_err(failed)? {
            answer.extend_from_slice(&bytes);
            if answer.len() > MAX_ANSWER {
                return Err(Error::TooLong);
            }
        }
        if status != StatusCode::OK {
            let code = Code::of_entra(&answer);
            return Err(Error::Entra { status, code });
        }
        let issued: Issued = serde_json::from_slice(&answer).map_err(|_| Error::NoToken)?;
        issued.token(asked).ok_or(Error::NoToken)
    }
}

/// The answer with which Entra issues a token.
#[derive(Deserialize)]
struct Issued {
    token_type: String,
    access_token: String,
    expires_in: Value,
}

impl Issued {
    /// Returns the token, which was asked for at `asked`.
    fn token(&self, asked: SystemTime) -> Option<Token> {
        // A number of seconds, which some of Entra's endpoints send as a string.
        let seconds = match &self.expires_in {
            Value::Number(number) => number.as_u64()?,
            Value::String(text) => text.parse().ok()?,
            _ => return None,
        };
        let bearer = self.token_type.eq_ignore_ascii_case("Bearer");
        let token = Token::new(&self.access_token, Duration::from_secs(seconds), asked);
        token.filter(|_| bearer)
    }
}

/// Returns the named claims of a JWT; none if the token has another form, which Entra may choose.
fn claims(token: &str, names: &[&str]) -> Map<String, Value> {
    let payload = token.split('.').nth(1).unwrap_or_default();
    let payload = BASE64_URL_SAFE_NO_PAD.decode(payload).unwrap_or_default();
    let mut claims: Map<String, Value> = serde_json::from_slice(&payload).unwrap_or_default();
    claims.retain(|name, _| names.contains(&name.as_str()));
    claims
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_taken_only_of_an_answer_that_has_one() {
        let now = SystemTime::UNIX_EPOCH;
        for (answer, expected) in [
            (
                r#"{"token_type": "Bearer", "access_token": "a.b", "expires_in": 3599}"#,
                true,
            ),
            (
                r#"{"token_type": "bearer", "access_token": "a.b", "expires_in": "3599"}"#,
                true,
            ),
            (
                r#"{"token_type": "mac", "access_token": "a.b", "expires_in": 3599}"#,
                false,
            ),
            (
                r#"{"token_type": "Bearer", "access_token": "a b", "expires_in": 3599}"#,
                false,
            ),
            (
                r#"{"token_type": "Bearer", "access_token": "", "expires_in": 3599}"#,
                false,
            ),
            (
                r#"{"token_type": "Bearer", "access_token": "a", "expires_in": 0}"#,
                false,
            ),
            (
                r#"{"token_type": "Bearer", "access_token": "a", "expires_in": -1}"#,
                false,
            ),
            (
                r#"{"token_type": "Bearer", "access_token": "a", "expires_in": "soon"}"#,
                false,
            ),
            (
                r#"{"token_type": "Bearer", "access_token": "a", "expires_in": null}"#,
                false,
            ),
            (
                r#"{"token_type": "Bearer", "access_token": 7, "expires_in": 3599}"#,
                false,
            ),
            (r#"{"access_token": "a", "expires_in": 3599}"#, false),
            (r#"{"error": "invalid_client"}"#, false),
            ("[]", false),
            ("<html>", false),
        ] {
            let issued = serde_json::from_slice::<Issued>(answer.as_bytes()).ok();
            let token = issued.and_then(|issued| issued.token(now));
            assert_eq!(token.is_some(), expected, "{answer}");
        }
    }

    #[test]
    fn transient_failures_are_tried_again() {
        let refused = |status| Error::Entra {
            status: StatusCode::from_u16(status).unwrap(),
            code: Code::default(),
        };
        for (status, transient) in [
            (500, true),
            (503, true),
            (429, true),
            (408, true),
            (400, false),
            (401, false),
            (307, false),
        ] {
            assert_eq!(refused(status).is_transient(), transient, "{status}");
        }
        assert!(
            !Error::NoToken.is_transient()
                && !Error::from(assertion::Error::NoAssertion).is_transient()
        );
    }
}
