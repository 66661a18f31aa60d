//! The function as Lambda invokes it. Tells ticks of the schedule and an operator's check from HTTP
//! requests, which `webhook` answers.

mod error;
mod wiring;

pub use error::TickError;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_config::{BehaviorVersion, SdkConfig};
use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpResponse;
use lambda_http::lambda_runtime;
use lambda_http::{LambdaEvent, service_fn};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{Instrument as _, error, info_span};

use crate::VERSION;
use crate::access::Claims;
use crate::acs;
use crate::cached::Cached;
use crate::clock;
use crate::config::{Faults, Settings, Unusable};
use crate::error_chain::error_chain;
use crate::limits::{Limits, RefreshPolicy};
use crate::metrics::{Measured, Metric};
use crate::store;
use crate::sweep::Swept;
use crate::webhook;
use error::Failed;
use wiring::{Handlers, Wiring};

pub use crate::webhook::STATUSES;

/// The name of the cached settings in the log.
const SETTINGS: &str = "settings";

/// The function: made once in a process and shared by all invocations.
#[derive(Clone, Debug)]
pub struct Function {
    /// The handlers; none until the settings have been read.
    handlers: Arc<Cached<Handlers>>,
    limits: Arc<Limits>,
}

/// The result of an invocation.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// The response to an HTTP request, to a check, and to a payload that is none of these.
    Http(Box<ApiGatewayV2httpResponse>),
    /// The counts of a tick.
    Tick(Swept),
}

/// The members of a payload that tell who sent it.
///
/// EventBridge sends a `detail-type`. Lambda puts a `requestContext` around every request to the
/// Function URL, so a payload with one is a request, whatever else it holds. A path or a body
/// proves nothing, since anyone may send them.
///
/// <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-events.html>,
/// <https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html>
#[derive(Deserialize)]
struct Shape {
    #[serde(rename = "detail-type")]
    detail_type: Option<IgnoredAny>,
    #[serde(rename = "requestContext")]
    request_context: Option<IgnoredAny>,
    /// Sent by an operator, who needs the right to invoke the function.
    check: Option<IgnoredAny>,
}

/// Loads the SDK's configuration from the environment, with the store's HTTP client.
pub async fn sdk_config() -> SdkConfig {
    aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(store::http_client())
        .load()
        .await
}

impl Function {
    /// Makes the function from its settings and the caller's clients. If Secrets Manager does not
    /// answer, the function starts all the same, and answers deliveries 503 until it has read its
    /// settings.
    ///
    /// # Errors
    ///
    /// [`Faults`] if the settings are invalid.
    pub async fn start(
        settings: Settings,
        sdk: SdkConfig,
        http: reqwest::Client,
        limits: Limits,
    ) -> Result<Self, Faults> {
        let limits = Arc::new(limits);
        let (policy, are_fixed) = (limits.secret, settings.are_fixed());
        let wiring = Wiring {
            settings,
            sdk,
            http,
            limits: Arc::clone(&limits),
        };
        let read = timeout(policy.timeout, wiring.clone().handlers()).await;
        let first = match read {
            Ok(Ok(handlers)) => Some(handlers),
            Ok(Err(Unusable::Faults(faults))) => {
                // Settings from the environment alone were not read from a secret.
                if !are_fixed {
                    Measured::once(Metric::SecretsUnreadable).emit();
                }
                return Err(faults);
            }
            // Secrets Manager may answer a moment later, and until then a 503 is the better answer
            // than a process that does not start.
            Ok(Err(unread)) => {
                error!(error = error_chain(&unread), "starting without settings");
                None
            }
            Err(_) => {
                error!("starting without settings: Secrets Manager does not answer");
                None
            }
        };
        if first.is_none() {
            Measured::once(Metric::SecretsUnreadable).emit();
        }
        // Once made, the handlers stay: each of the credentials among them is refreshed by itself.
        let policy = RefreshPolicy {
            max_age: None,
            ..policy
        };
        let handlers = Cached::new(SETTINGS, first, policy, move || {
            let wiring = wiring.clone();
            Box::pin(async move { Ok(wiring.handlers().await?) })
        })
        .counting_failures(Metric::SecretsUnreadable);
        Ok(Self {
            handlers: Arc::new(handlers),
            limits,
        })
    }

    /// Verifies the store now, which the first work would do otherwise. Does nothing if the
    /// settings have not been read yet.
    ///
    /// # Errors
    ///
    /// [`store::Error::Ignores`] if the store does not honour conditional writes; any other if that
    /// could not be found out.
    pub async fn try_store(&self) -> Result<(), store::Error> {
        match self.handlers.peek() {
            Some(handlers) => handlers.archive.verify_store().await,
            None => Ok(()),
        }
    }

    /// Makes the function as it is deployed: from the environment, with the default limits.
    ///
    /// # Errors
    ///
    /// [`Faults`] if the settings are invalid; the HTTP client's error if it cannot be made, above
    /// all for want of root certificates.
    pub async fn deployed() -> Result<Self, lambda_http::Error> {
        let sdk = sdk_config().await;
        let http = acs::http_client().build()?;
        let settings = Settings::from_env(&sdk);
        Ok(Self::start(settings, sdk, http, Limits::default()).await?)
    }

    /// Serves invocations until Lambda ends the process.
    ///
    /// # Errors
    ///
    /// The runtime's error if the Runtime API cannot be reached.
    pub async fn run(self) -> Result<(), lambda_http::Error> {
        let serve = |event: LambdaEvent<Box<RawValue>>| {
            let (function, context) = (self.clone(), event.context);
            let deadline = context.deadline();
            let request_id = context.request_id;
            let span = info_span!("invocation", request_id, version = VERSION);
            let served = async move {
                let answer = function.invoke(&event.payload, deadline).await;
                answer.map_err(Failed)
            };
            // Boxed, because the type of the nested futures is too large for the compiler.
            Box::pin(served.instrument(span))
        };
        lambda_runtime::run(service_fn(serve)).await
    }

    /// Serves one invocation, by `deadline`. An HTTP request always gets a response.
    ///
    /// # Errors
    ///
    /// [`TickError`] if a tick cannot do its work, so that Lambda counts it as an error of the
    /// function.
    pub async fn invoke(
        &self,
        payload: &RawValue,
        deadline: SystemTime,
    ) -> Result<Answer, TickError> {
        let started = Instant::now();
        let deadline = started + self.time_until(deadline);
        let shape: Option<Shape> = serde_json::from_str(payload.get()).ok();
        let shape = shape.filter(|shape| shape.request_context.is_none());
        if shape
            .as_ref()
            .is_some_and(|shape| shape.detail_type.is_some())
        {
            return self.tick(deadline).await.map(Answer::Tick);
        }
        let response = if shape.is_some_and(|shape| shape.check.is_some()) {
            webhook::checked(self.check(deadline).await)
        } else {
            webhook::respond(&self.handlers, payload, started, deadline).await
        };
        Ok(Answer::Http(Box::new(response)))
    }

    /// Returns the claims of the tokens for downloads, or the reason why there are none.
    async fn check(&self, deadline: Instant) -> Result<Claims, String> {
        let handlers = timeout_at(deadline, self.handlers.fresh()).await;
        let handlers = handlers
            .ok()
            .flatten()
            .ok_or("the settings could not be read")?;
        let tokens = handlers.tokens.as_ref();
        let tokens = tokens.ok_or("downloads are signed with the access key, without tokens")?;
        let longest = self.limits.entra_token.timeout;
        match timeout(longest, tokens.claims()).await {
            Ok(claims) => claims.map_err(|error| error_chain(&error)),
            Err(_) => Err(format!("no answer within {longest:?}")),
        }
    }

    /// Serves a tick of the schedule.
    async fn tick(&self, deadline: Instant) -> Result<Swept, TickError> {
        let handlers = timeout_at(deadline, self.handlers.fresh()).await;
        let handlers = handlers.ok().flatten().ok_or(TickError::NoSettings)?;
        // In a task of its own: the runtime would report the message of a panic, which may hold
        // anything.
        let tick = async move { handlers.sweep.tick(deadline).await }.in_current_span();
        let swept = tokio::spawn(tick).await.map_err(|_| TickError::BrokeOff)?;
        Ok(swept?)
    }

    /// Returns the time to work in, which ends shortly before `deadline`. A deadline in the past
    /// counts as unknown.
    fn time_until(&self, deadline: SystemTime) -> Duration {
        // A deadline that is too far ahead is a clock's fault too, so the longest run bounds both.
        let left = deadline
            .duration_since(clock::now())
            .unwrap_or(self.limits.unknown_deadline);
        left.min(self.limits.unknown_deadline)
            .saturating_sub(self.limits.margin)
    }
}
