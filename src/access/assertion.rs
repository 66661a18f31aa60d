//! Assertions: JWTs in which AWS STS vouches for the function's role.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_outbound.html>

use std::error::Error as StdError;

use aws_config::SdkConfig;
use aws_sdk_sts::Client;
use aws_sdk_sts::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_sts::config::timeout::TimeoutConfig;
use aws_sdk_sts::config::{
    Builder, ConfigBag, Intercept, RuntimeComponents, StalledStreamProtectionConfig,
};
use aws_sdk_sts::error::{BoxError, ProvideErrorMetadata, SdkError};
use url::Url;

use super::TRY;
use super::code::Code;
use crate::locations::is_private;

/// The audience that Entra expects of a federated identity.
const AUDIENCE: &str = "api://AzureADTokenExchange";
/// The only algorithm that Entra verifies.
const ALGORITHM: &str = "RS256";
/// The life of an assertion, in seconds: the shortest that STS issues, since it is used at once.
const ASSERTION_SECONDS: i32 = 60;

/// The client of STS.
#[derive(Clone, Debug)]
pub(super) struct Assertions(Client);

/// The failure to obtain an assertion. It holds no part of an assertion.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// STS answered with an error.
    #[error("AWS STS refused an assertion with {status}{code}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// AWS's code.
        code: Code,
    },
    /// STS did not answer.
    #[error("AWS STS could not be asked for an assertion")]
    Unanswered(#[source] Box<dyn StdError + Send + Sync>),
    /// STS answered without an assertion.
    #[error("AWS STS answered without an assertion")]
    NoAssertion,
}

impl Assertions {
    /// Makes a client by the SDK's configuration.
    pub(super) fn new(sdk: &SdkConfig) -> Self {
        let config = Builder::from(sdk)
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(TRY)
                    .operation_attempt_timeout(TRY)
                    .build(),
            )
            .interceptor(PrivateOnly);
        Self(Client::from_conf(config.build()))
    }

    /// Obtains a new assertion.
    pub(super) async fn obtain(&self) -> Result<String, Error> {
        let request = self
            .0
            .get_web_identity_token()
            .audience(AUDIENCE)
            .signing_algorithm(ALGORITHM)
            .duration_seconds(ASSERTION_SECONDS);
        let answer = request.send().await.map_err(Error::from_sdk)?;
        let assertion = answer.web_identity_token;
        assertion
            .filter(|text| !text.is_empty())
            .ok_or(Error::NoAssertion)
    }
}

impl Error {
    fn from_sdk<E>(error: SdkError<E, aws_sdk_sts::config::http::HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
    {
        match &error {
            SdkError::ServiceError(service) => Self::Refused {
                status: service.raw().status().as_u16(),
                code: Code::word(service.err().code()),
            },
            // The source of this error may print the answer, and so an assertion.
            SdkError::ResponseError(_) => Self::NoAssertion,
            _ => Self::Unanswered(Box::new(error)),
        }
    }
}

/// Refuses to call STS over plain http, save on this machine: anybody who reads an assertion on the
/// way can exchange it for a token.
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
        Err("the endpoint of AWS STS must be https, or http to a loopback address".into())
    }
}
