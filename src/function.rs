//! The function as Lambda calls it: one payload in, one out. Tells the schedule's ticks from HTTP requests.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_config::{BehaviorVersion, SdkConfig};
use lambda_http::aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use lambda_http::{LambdaEvent, lambda_runtime, service_fn};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::time::timeout;
use tracing::{Instrument as _, error, info_span, warn};

use crate::access::Access;
use crate::acs::{self, Client};
use crate::archive::Archive;
use crate::authentication::Authentication;
use crate::chain::chain;
use crate::clock;
use crate::config::{Config, Faults, Settings, Unusable};
use crate::kept::{Kept, Pace};
use crate::limits::Limits;
use crate::store::{self, Store};
use crate::sweep::{Sweep, Swept};
use crate::transfer::Transfers;
use crate::webhook::{Acknowledge, Verdict, Webhook, measure, without_sender};

/// What is read again, as the log names it.
const SETTINGS_NAME: &str = "settings";

/// The function: made once, it borrows itself to each event.
#[derive(Clone, Debug)]
pub struct Function {
    /// What serves events; nothing while the settings could not be read.
    rooms: Arc<Kept<Rooms>>,
    limits: Arc<Limits>,
}

/// What serves events, by one reading of the settings.
#[derive(Debug)]
struct Rooms {
    webhook: Arc<Webhook>,
    sweep: Sweep,
}

/// What [`Rooms`] are made from.
#[derive(Clone)]
struct Means {
    settings: Settings,
    sdk: SdkConfig,
    http: reqwest::Client,
    limits: Arc<Limits>,
}

/// Why a tick could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum TickError {
    /// The settings could not be read.
    #[error("the settings could not be read, so nothing can be done")]
    NoSettings,
    /// What is pending could not be listed.
    #[error("what is pending could not be listed")]
    Store(#[from] store::Error),
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

impl Means {
    /// Reads the settings, and makes what serves events by them.
    async fn rooms(self) -> Result<Rooms, Unusable> {
        let config = self.settings.read().await?;
        Ok(self.rooms_by(config))
    }

    fn rooms_by(self, config: Config) -> Rooms {
        let limits = &self.limits;
        let endpoint = config.access.resource.endpoint().clone();
        let access = Arc::new(self.access(config.access));
        let authentication =
            Authentication::new(Arc::clone(&access), config.tenant, &self.http, limits);
        let store = Store::new(&self.sdk, &config.bucket, config.force_path_style, limits);
        let acs = Client::new(self.http.clone(), access, endpoint, config.allowed, limits);
        let transfers = Transfers::new(
            store.clone(),
            acs.clone(),
            config.transfer_concurrency,
            Arc::clone(limits),
        );
        let archive = Arc::new(Archive::new(
            store,
            acs,
            transfers,
            config.prefix,
            config.topics,
            Arc::clone(limits),
        ));
        let webhook = Webhook::new(
            Arc::clone(&archive),
            authentication,
            config.acknowledge,
            Arc::clone(limits),
        );
        Rooms {
            webhook: Arc::new(webhook),
            sweep: Sweep::new(archive, Arc::clone(limits)),
        }
    }

    /// What lets in and what signs, read again as long as it is for the same ACS resource.
    fn access(&self, first: Access) -> Kept<Access> {
        if self.settings.are_fixed() {
            return Kept::fixed(SETTINGS_NAME, first);
        }
        let (settings, endpoint) = (self.settings.clone(), first.resource.endpoint().clone());
        let read = move || {
            let (settings, endpoint) = (settings.clone(), endpoint.clone());
            Box::pin(async move {
                let access = settings.read().await?.access;
                if *access.resource.endpoint() == endpoint {
                    Ok(access)
                } else {
                    Err("the connection string is for another ACS resource; deploy a stack for that one".into())
                }
            }) as _
        };
        Kept::new(SETTINGS_NAME, Some(first), self.limits.secret, read)
    }
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
        let pace = limits.secret;
        let means = Means {
            settings,
            sdk,
            http,
            limits: Arc::clone(&limits),
        };
        let read = timeout(pace.patience, means.clone().rooms()).await;
        let first = match read {
            Ok(Ok(rooms)) => Some(rooms),
            Ok(Err(Unusable::Faults(faults))) => return Err(faults),
            Ok(Err(unread)) => {
                error!(error = chain(&unread), "starting without settings");
                None
            }
            Err(_) => {
                error!("starting without settings: Secrets Manager does not answer");
                None
            }
        };
        let pace = Pace { age: None, ..pace };
        let rooms = Kept::new(SETTINGS_NAME, first, pace, move || {
            let means = means.clone();
            Box::pin(async move { Ok(means.rooms().await?) })
        });
        Ok(Self {
            rooms: Arc::new(rooms),
            limits,
        })
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
    /// Where a tick cannot do its work, so that it counts among the function's errors.
    pub async fn invoke(
        &self,
        payload: &RawValue,
        deadline: SystemTime,
    ) -> Result<Answer, TickError> {
        let time = self.time_until(deadline);
        let shape: Option<Shape> = serde_json::from_str(payload.get()).ok();
        if shape.is_some_and(|shape| shape.detail_type.is_some() && shape.request_context.is_none())
        {
            let rooms = self.rooms.current().await.ok_or(TickError::NoSettings)?;
            return Ok(Answer::Tick(rooms.sweep.tick(time).await?));
        }
        let request = serde_json::from_str::<ApiGatewayV2httpRequest>(payload.get());
        let response = if let Ok(request) = request {
            self.answer(request, time).await
        } else {
            warn!("payload is neither an HTTP request nor a tick of the schedule");
            say(&Verdict::NotEvents)
        };
        Ok(Answer::Http(Box::new(response)))
    }

    async fn answer(
        &self,
        request: ApiGatewayV2httpRequest,
        time: Duration,
    ) -> ApiGatewayV2httpResponse {
        let Some(rooms) = self.rooms.current().await else {
            let verdict = without_sender(&request).unwrap_or(Verdict::Unverified);
            warn!("a delivery came while there are no settings");
            measure(&verdict, false);
            return say(&verdict);
        };
        let webhook = Arc::clone(&rooms.webhook);
        // In a task of its own, so that even a panic ends in an answer.
        let answer =
            tokio::spawn(async move { webhook.answer(request, time).await }.in_current_span());
        answer.await.unwrap_or_else(|_| {
            error!("delivery broke off");
            say(&Verdict::Broken)
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

/// The answer to a request that no event was taken from, so that it is the same whenever deliveries are answered.
fn say(verdict: &Verdict) -> ApiGatewayV2httpResponse {
    verdict.answer(Acknowledge::default())
}
