//! The function as Lambda calls it: one payload in, one out. Tells the schedule's ticks from HTTP requests.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_config::{BehaviorVersion, SdkConfig};
use lambda_http::aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use lambda_http::{LambdaEvent, lambda_runtime, service_fn};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tracing::{Instrument as _, error, info_span, warn};

use crate::acs::{self, Client};
use crate::archive::Archive;
use crate::chain::chain;
use crate::clock;
use crate::config::Config;
use crate::limits::Limits;
use crate::store::{self, Store};
use crate::sweep::{Sweep, Swept};
use crate::transfer::Transfers;
use crate::webhook::{Verdict, Webhook};

/// The function: made once, it borrows itself to each event.
#[derive(Clone, Debug)]
pub struct Function {
    webhook: Arc<Webhook>,
    sweep: Arc<Sweep>,
    limits: Arc<Limits>,
}

/// What the function gives back to Lambda.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// To an HTTP request.
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
}

/// The SDK's configuration from the process's environment, on our HTTP client.
pub async fn sdk_config() -> SdkConfig {
    aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(store::http_client())
        .load()
        .await
}

impl Function {
    /// A function by `config`, on clients that are made by the caller.
    #[must_use]
    pub fn new(config: Config, sdk: &SdkConfig, http: reqwest::Client, limits: Limits) -> Self {
        let limits = Arc::new(limits);
        let concurrency = config.transfer_concurrency;
        let store = Store::new(sdk, &config.bucket, config.force_path_style, &limits);
        let acs = Client::new(http, config.resource, config.allowed, &limits);
        let transfers =
            Transfers::new(store.clone(), acs.clone(), concurrency, Arc::clone(&limits));
        let archive = Arc::new(Archive::new(
            store,
            acs,
            transfers,
            config.prefix,
            config.topics,
            Arc::clone(&limits),
        ));
        let webhook = Webhook::new(
            Arc::clone(&archive),
            config.secrets,
            config.acknowledge,
            Arc::clone(&limits),
        );
        let sweep = Sweep::new(archive, Arc::clone(&limits));
        Self {
            webhook: Arc::new(webhook),
            sweep: Arc::new(sweep),
            limits,
        }
    }

    /// The function as it is deployed.
    ///
    /// # Errors
    ///
    /// Where the HTTP client to ACS cannot be made, for want of root certificates above all.
    pub async fn deployed(config: Config) -> Result<Self, reqwest::Error> {
        let http = acs::http_client().build()?;
        Ok(Self::new(
            config,
            &sdk_config().await,
            http,
            Limits::default(),
        ))
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
            let span = info_span!("invocation", request_id = context.request_id);
            let served = async move {
                let answer = function.invoke(&event.payload, deadline).await;
                // The runtime logs it.
                answer.map_err(|error| lambda_http::Error::from(chain(&error)))
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
    /// Where a tick cannot list what is pending, so that it counts among the function's errors.
    pub async fn invoke(
        &self,
        payload: &RawValue,
        deadline: SystemTime,
    ) -> Result<Answer, store::Error> {
        let time = self.time_until(deadline);
        let shape: Option<Shape> = serde_json::from_str(payload.get()).ok();
        if shape.is_some_and(|shape| shape.detail_type.is_some() && shape.request_context.is_none())
        {
            return self.sweep.tick(time).await.map(Answer::Tick);
        }
        let request = serde_json::from_str::<ApiGatewayV2httpRequest>(payload.get());
        let response = if let Ok(request) = request {
            self.answer(request, time).await
        } else {
            warn!("payload is neither an HTTP request nor a tick of the schedule");
            self.webhook.say(&Verdict::NotEvents)
        };
        Ok(Answer::Http(Box::new(response)))
    }

    async fn answer(
        &self,
        request: ApiGatewayV2httpRequest,
        time: Duration,
    ) -> ApiGatewayV2httpResponse {
        let webhook = Arc::clone(&self.webhook);
        // In a task of its own, so that even a panic ends in an answer.
        let answer =
            tokio::spawn(async move { webhook.answer(request, time).await }.in_current_span());
        answer.await.unwrap_or_else(|_| {
            error!("delivery broke off");
            self.webhook.say(&Verdict::Broken)
        })
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
