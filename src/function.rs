//! The function as Lambda calls it: one payload in, one out. Tells the schedule's ticks from HTTP requests.

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

/// The function: made once, it borrows itself to each event.
#[derive(Clone, Debug)]
pub struct Function {
    /// The handlers of events; none while the settings could not be read.
    handlers: Arc<Cached<Handlers>>,
    limits: Arc<Limits>,
}

/// What the function gives back to Lambda.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// To an HTTP request, and to whatever else is no tick.
    Http(Box<ApiGatewayV2httpResponse>),
    /// To the schedule.
    Tick(Swept),
}

/// A payload is a tick if EventBridge made it: it has a `detail-type`, and no `requestContext`, which Lambda puts around
/// every request to the Function URL. A path or a body proves nothing, since anyone may send them.
#[derive(Deserialize)]
struct Shape {
    #[serde(rename = "detail-type")]
    detail_type: Option<IgnoredAny>,
    #[serde(rename = "requestContext")]
    request_context: Option<IgnoredAny>,
    /// Of an operator who may invoke the function.
    check: Option<IgnoredAny>,
}

/// The SDK's configuration from the process's environment, on our HTTP client.
pub async fn sdk_config() -> SdkConfig {
    aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(store::http_client())
        .load()
        .await
}

impl Function {
    /// A function by `settings`, on clients that are made by the caller. It starts even if Secrets Manager does not answer,
    /// and then answers that it cannot verify anything until it does.
    ///
    /// # Errors
    ///
    /// What is wrong with the settings.
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
                if !are_fixed {
                    Measured::once(Metric::SecretsUnreadable).emit();
                }
                return Err(faults);
            }
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

    /// Tries the store now, as the first work does otherwise, so that its calls are over by then.
    ///
    /// # Errors
    ///
    /// [`store::Error`]; none where there are no settings yet.
    pub async fn try_store(&self) -> Result<(), store::Error> {
        match self.handlers.peek() {
            Some(handlers) => handlers.archive.verify_store().await,
            None => Ok(()),
        }
    }

    /// The function as it is deployed.
    ///
    /// # Errors
    ///
    /// What is wrong with the settings; or that the HTTP client to ACS cannot be made, for want of root certificates above
    /// all.
    pub async fn deployed() -> Result<Self, lambda_http::Error> {
        let sdk = sdk_config().await;
        let http = acs::http_client().build()?;
        let settings = Settings::from_env(&sdk);
        Ok(Self::start(settings, sdk, http, Limits::default()).await?)
    }

    /// Serves Lambda's events until Lambda ends the process.
    ///
    /// # Errors
    ///
    /// Where the Runtime API cannot be reached.
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
            // Boxed, because the types of futures within futures outgrow the compiler.
            Box::pin(served.instrument(span))
        };
        lambda_runtime::run(service_fn(serve)).await
    }

    /// Serves one event, by `deadline`. An HTTP request always gets an answer.
    ///
    /// # Errors
    ///
    /// Where a tick cannot do its work, so that it counts among the function's errors.
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

    /// The claims of the downloads' tokens, or why there are none.
    async fn check(&self, deadline: Instant) -> Result<Claims, String> {
        let handlers = timeout_at(deadline, self.handlers.fresh()).await;
        let handlers = handlers
            .ok()
            .flatten()
            .ok_or("the settings could not be read")?;
        let tokens = handlers.tokens.as_ref();
        let tokens = tokens.ok_or("downloads are signed with the access key, without tokens")?;
        let patience = self.limits.entra_token.timeout;
        match timeout(patience, tokens.claims()).await {
            Ok(claims) => claims.map_err(|error| error_chain(&error)),
            Err(_) => Err(format!("no answer within {patience:?}")),
        }
    }

    async fn tick(&self, deadline: Instant) -> Result<Swept, TickError> {
        let handlers = timeout_at(deadline, self.handlers.fresh()).await;
        let handlers = handlers.ok().flatten().ok_or(TickError::NoSettings)?;
        // In a task of its own: what the runtime would say of a panic may hold anything.
        let tick = async move { handlers.sweep.tick(deadline).await }.in_current_span();
        let swept = tokio::spawn(tick).await.map_err(|_| TickError::BrokeOff)?;
        Ok(swept?)
    }

    /// The time to work in, until shortly before the deadline; one in the past means that it is not known.
    fn time_until(&self, deadline: SystemTime) -> Duration {
        let left = deadline
            .duration_since(clock::now())
            .unwrap_or(self.limits.unknown_deadline);
        left.min(self.limits.unknown_deadline)
            .saturating_sub(self.limits.margin)
    }
}
