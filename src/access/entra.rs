//! Microsoft Entra tokens for ACS, without a stored secret: AWS vouches for the function's role,
//! and Entra trusts it.
//!
//! AWS STS issues a short-lived assertion, a JWT whose subject is the role. The application in
//! Entra has a federated credential for that issuer and subject, so Entra takes the assertion in
//! place of a client secret and issues the token that downloads go with.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_outbound.html>,
//! <https://learn.microsoft.com/entra/workload-id/workload-identity-federation>

use std::error::Error as StdError;
use std::fmt;
use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_sdk_sts::Client;
use aws_sdk_sts::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_sts::config::timeout::TimeoutConfig;
use aws_sdk_sts::config::{
    Builder, ConfigBag, Intercept, RuntimeComponents, StalledStreamProtectionConfig,
};
use aws_sdk_sts::error::{BoxError, ProvideErrorMetadata, SdkError};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::time::sleep;
use url::{Url, form_urlencoded};

use super::Token;
use crate::clock;
use crate::locations::is_private;

/// The audience that Entra expects of a federated identity.
const AUDIENCE: &str = "api://AzureADTokenExchange";
/// Entra verifies no other algorithm.
const ALGORITHM: &str = "RS256";
/// The life of an assertion, in seconds: the shortest that STS issues. It is used at once.
const ASSERTION_SECONDS: i32 = 60;
/// The scope of Communication Services; the official SDKs ask for it with two slashes.
const SCOPE: &str = "https://communication.azure.com//.default";
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");
/// Bytes of Entra's answer that are read; real ones have about 2 KiB.
const MAX_ANSWER: usize = 64 * 1024;
/// Requests that one reading makes to Entra, if they fail in a way that may pass.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(250);
/// The time for one try, so that a connection that has died in silence leaves time for another.
const TRY: Duration = Duration::from_millis(2_500);

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
    sts: Client,
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
    /// STS answered with an error.
    #[error("AWS STS refused an assertion with {status}{code}")]
    Sts {
        /// The HTTP status.
        status: u16,
        /// AWS's code.
        code: Code,
    },
    /// No answer of STS.
    #[error("AWS STS could not be asked for an assertion")]
    StsUnanswered(#[source] Box<dyn StdError + Send + Sync>),
    /// An answer of STS without an assertion.
    #[error("AWS STS answered without an assertion")]
    NoAssertion,
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

/// The error's name in an answer, if it has the form of one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Code(Option<String>);

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|code| write!(f, " {code}"))
    }
}

impl Code {
    /// Takes a code that has the form of one: AWS's are words, OAuth's have underscores. What else
    /// stands in its place could be a piece of what was sent.
    fn word(code: Option<&str>) -> Self {
        let is_letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
        let usable = |code: &&str| (1..=64).contains(&code.len()) && code.bytes().all(is_letter);
        Self(code.filter(usable).map(str::to_owned))
    }

    /// The code of an answer that is an error of Entra's. Its description is not taken, since it
    /// repeats what was presented.
    fn of_entra(answer: &[u8]) -> Self {
        #[derive(Default, Deserialize)]
        struct Refusal {
            error: Option<Value>,
            error_codes: Option<Vec<Value>>,
        }
        let refusal: Refusal = serde_json::from_slice(answer).unwrap_or_default();
        let numbers = refusal.error_codes.unwrap_or_default();
        match numbers.first().and_then(Value::as_u64) {
            Some(number) => Self(Some(format!("AADSTS{number}"))),
            None => Self::word(refusal.error.as_ref().and_then(Value::as_str)),
        }
    }
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
        let config = Builder::from(sdk)
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(TRY)
                    .operation_attempt_timeout(TRY)
                    .build(),
            )
            .interceptor(PrivateOnly);
        Self {
            sts: Client::from_conf(config.build()),
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
        let assertion = self.assertion().await?;
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
        let assertion = self.assertion().await?;
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

    /// AWS's statement about the function's role.
    async fn assertion(&self) -> Result<String, Error> {
        let asked = self.sts.get_web_identity_token();
        let asked = asked
            .audience(AUDIENCE)
            .signing_algorithm(ALGORITHM)
            .duration_seconds(ASSERTION_SECONDS);
        let answer = asked.send().await.map_err(Error::from_sdk)?;
        let assertion = answer.web_identity_token;
        assertion
            .filter(|text| !text.is_empty())
            .ok_or(Error::NoAssertion)
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

impl Error {
    fn from_sdk<E>(error: SdkError<E, aws_sdk_sts::config::http::HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
    {
        match &error {
            SdkError::ServiceError(service) => Self::Sts {
                status: service.raw().status().as_u16(),
                code: Code::word(service.err().code()),
            },
            // An answer that cannot be read may hold the assertion.
            SdkError::ResponseError(_) => Self::NoAssertion,
            _ => Self::StsUnanswered(Box::new(error)),
        }
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

/// Refuses to ask over plain http, save on this machine: the answer is an assertion, and whoever
/// reads it on the way can have a token for it.
#[derive(Debug)]
struct PrivateOnly;

impl Intercept for PrivateOnly {
    fn name(&self) -> &'static str {
        "PrivateOnly"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let url = Url::parse(context.request().uri());
        if url.is_ok_and(|url| is_private(&url)) {
            return Ok(());
        }
        Err("its endpoint must be https, or http to a loopback address".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_code_is_taken_of_an_error() {
        for (answer, expected) in [
            (
                r#"{"error": "invalid_client", "error_codes": [700213], "error_description": "AADSTS700213: eyJ"}"#,
                Some("AADSTS700213"),
            ),
            (r#"{"error": "invalid_client"}"#, Some("invalid_client")),
            (
                r#"{"error": "invalid_client", "error_codes": []}"#,
                Some("invalid_client"),
            ),
            (
                r#"{"error": "invalid_client", "error_codes": ["eyJ a"]}"#,
                Some("invalid_client"),
            ),
            (r#"{"error": "eyJ.a b", "error_codes": [-1]}"#, None),
            (r#"{"error": {"code": "x"}}"#, None),
            (r#"{"error_codes": 7}"#, None),
            ("{}", None),
            ("<html>", None),
            ("", None),
        ] {
            let code = Code::of_entra(answer.as_bytes());
            assert_eq!(code.0.as_deref(), expected, "{answer}");
        }
        let long = format!(r#"{{"error": "{}"}}"#, "a".repeat(65));
        assert_eq!(Code::of_entra(long.as_bytes()), Code(None));
    }

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
        assert!(!Error::NoToken.may_pass() && !Error::NoAssertion.may_pass());
    }
}
