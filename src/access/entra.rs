//! Microsoft Entra tokens for ACS, without a stored secret: AWS vouches for the function's role,
//! and Entra trusts it.
//!
//! AWS STS issues a short-lived assertion, a JWT whose subject is the role. The application in
//! Entra has a federated credential for that issuer and subject, so Entra takes the assertion in
//! place of a client secret and issues the token that downloads go with.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_outbound.html>,
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

/// The scope of Communication Services; the official SDKs ask for it with two slashes.
const SCOPE: &str = "https://communication.azure.com//.default";
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");
/// Bytes of Entra's answer that are read; real ones have about 2 KiB.
const MAX_ANSWER: usize = 64 * 1024;
/// Requests that one reading makes to Entra, if they fail in a way that may pass.
const ATTEMPTS: u32 = 3;
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

/// The source of tokens.
#[derive(Clone, Debug)]
pub(crate) struct Tokens {
    assertions: Assertions,
    http: reqwest::Client,
    application: Application,
}

/// The claims of an assertion and a token that show whether they are the right ones. Without their
/// signatures, nobody can use them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Claims {
    /// AWS's statement about the function's role.
    pub(crate) assertion: Map<String, Value>,
    /// Entra's statement about the application.
    pub(crate) token: Map<String, Value>,
}

/// Why there is no token. It holds neither a token nor an assertion, nor anything that an answer
/// repeats of them.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// There is no assertion.
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
    /// No connection to Entra, no certificate that verifies, no whole answer.
    #[error("request to Microsoft Entra failed")]
    EntraUnanswered(#[source] reqwest::Error),
    /// Entra answered with more than a token.
    #[error("Microsoft Entra's answer is longer than 64 KiB")]
    TooLong,
    /// Entra answered with success and without a token.
    #[error("Microsoft Entra's answer is no token")]
    NoToken,
}

impl Error {
    /// Returns `true` if the same request to Entra may well succeed a moment later.
    fn may_pass(&self) -> bool {
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
    /// Tokens of `application`, asked for as `sdk` says on AWS's side.
    pub(crate) fn new(sdk: &SdkConfig, http: reqwest::Client, application: Application) -> Self {
        Self {
            assertions: Assertions::new(sdk),
            http,
            application,
        }
    }

    /// Obtains a new token.
    ///
    /// # Errors
    ///
    /// [`Error`], which says which of the two did not give what, and why.
    pub(crate) async fn obtain(&self) -> Result<Token, Error> {
        let assertion = self.assertions.obtain().await?;
        let mut failures = 0;
        loop {
            match self.exchange(&assertion).await {
                Err(error) if error.may_pass() && failures + 1 < ATTEMPTS => {
                    failures += 1;
                    sleep(PAUSE * failures).await;
                }
                done => return done,
            }
        }
    }

    /// Obtains an assertion and a token, and returns what they say. Neither is kept.
    ///
    /// # Errors
    ///
    /// [`Error`], as for a download.
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

    /// The token that Entra issues for an assertion.
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
        let asked = clock::now();
        let failed = |error: reqwest::Error| Error::EntraUnanswered(error.without_url());
        // The HTTP client follows no redirect, so the assertion goes nowhere else.
        let request = self
            .http
            .post(format!("{authority}/{tenant}/oauth2/v2.0/token"))
            .header(CONTENT_TYPE, FORM)
            .timeout(TRY)
            .body(form);
        let mut response = request.send().await.map_err(failed)?;
        let status = response.status();
        let mut answer = Vec::new();
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

/// The token that Entra issues:
/// <https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow>.
#[derive(Deserialize)]
struct Issued {
    token_type: String,
    access_token: String,
    expires_in: Value,
}

impl Issued {
    fn token(&self, asked: SystemTime) -> Option<Token> {
        // Seconds; some of Entra's endpoints write them as a text.
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

/// The claims of those names in a JWT; none where it is of another form, as a token may be.
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
    fn what_may_pass_is_asked_again() {
        let refused = |status| Error::Entra {
            status: StatusCode::from_u16(status).unwrap(),
            code: Code::default(),
        };
        for (status, passes) in [
            (500, true),
            (503, true),
            (429, true),
            (408, true),
            (400, false),
            (401, false),
            (307, false),
        ] {
            assert_eq!(refused(status).may_pass(), passes, "{status}");
        }
        assert!(
            !Error::NoToken.may_pass() && !Error::from(assertion::Error::NoAssertion).may_pass()
        );
    }
}
