//! The HTTP edge: request → authenticated delivery → outcomes → response.

mod answer;
mod batch;
mod judgement;
mod request;

pub use answer::STATUSES;
pub(crate) use answer::checked;

use std::sync::Arc;

use lambda_http::aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use serde_json::value::RawValue;
use tokio::time::{Instant, timeout_at};
use tracing::{Instrument as _, error, warn};

use crate::archive::Archive;
use crate::authentication::{Authentication, Decision};
use crate::cached::Cached;
use crate::config::Acknowledge;
use crate::event_grid::{self, Event};
use crate::limits::Limits;
use crate::transfer::Order;
use answer::Verdict;
use judgement::{Delivery, Judgement, refusal};
use request::{allowed, attempt, body, is_options, presents_any, text, without_credentials};

const EVENT_TYPE: &str = "aeg-event-type";

/// Answers the HTTP request in Lambda's `payload`, which arrived at `started`, by `deadline`. The
/// webhook is one of the cached `handlers`; only a request with credentials makes these be read.
pub(crate) async fn respond<H>(
    handlers: &Cached<H>,
    payload: &RawValue,
    started: Instant,
    deadline: Instant,
) -> ApiGatewayV2httpResponse
where
    H: AsRef<Webhook> + Send + Sync + 'static,
{
    let Ok(request) = serde_json::from_str::<ApiGatewayV2httpRequest>(payload.get()) else {
        warn!("payload is neither an HTTP request nor a tick of the schedule");
        return Verdict::NotEvents.answer(Acknowledge::default());
    };
    let delivery = Delivery::of(&request, started);
    // First, because a stranger's request must not cause a read of settings.
    if let Some(verdict) = without_credentials(&request) {
        return delivery.answered(&verdict.into(), Acknowledge::default());
    }
    // A handshake may come without credentials; it is judged by settings that were read before.
    let handlers = if presents_any(&request) {
        let handlers = timeout_at(deadline, handlers.fresh()).await;
        handlers.ok().flatten()
    } else {
        handlers.peek()
    };
    let Some(handlers) = handlers else {
        return delivery.answered(&Verdict::Unverified.into(), Acknowledge::default());
    };
    let acknowledge = H::as_ref(&handlers).acknowledge;
    // In a task of its own, so that a delivery that panics is answered all the same.
    let judgement = async move {
        let webhook = H::as_ref(&handlers);
        webhook.judge(&request, started, deadline).await
    };
    let judgement = tokio::spawn(judgement.in_current_span()).await;
    let judgement = judgement.unwrap_or_else(|_| {
        error!("delivery broke off");
        Verdict::Broken.into()
    });
    delivery.answered(&judgement, acknowledge)
}

/// The webhook that Event Grid delivers to.
#[derive(Debug)]
pub(crate) struct Webhook {
    archive: Arc<Archive>,
    authentication: Authentication,
    acknowledge: Acknowledge,
    limits: Arc<Limits>,
}

impl Webhook {
    /// Makes a webhook for the senders that `authentication` admits.
    pub(crate) fn new(
        archive: Arc<Archive>,
        authentication: Authentication,
        acknowledge: Acknowledge,
        limits: Arc<Limits>,
    ) -> Self {
        Self {
            archive,
            authentication,
            acknowledge,
            limits,
        }
    }

    /// Judges a request that arrived at `started`, by `deadline`.
    async fn judge(
        &self,
        request: &ApiGatewayV2httpRequest,
        started: Instant,
        deadline: Instant,
    ) -> Judgement {
        let deadline = match self.acknowledge {
            Acknowledge::Archived => deadline,
            Acknowledge::Stored => deadline.min(started + self.limits.stored_answer),
        };
        // The body is not even decoded before the sender is known.
        let query = request.raw_query_string.as_deref().unwrap_or_default();
        // The handshake of `CloudEvents` is in the headers, so it has no body to wait for.
        if is_options(request) {
            let consent = self.authentication.consent(query, &request.headers);
            return match timeout_at(deadline, consent).await {
                Ok(Ok(credential)) => Judgement {
                    verdict: allowed(request),
                    credential,
                },
                Ok(Err(decision)) => refusal(decision).into(),
                Err(_) => Verdict::Unverified.into(),
            };
        }
        let admission = self.authentication.admit(query, &request.headers);
        let Ok(admission) = timeout_at(deadline, admission).await else {
            return Verdict::Unverified.into();
        };
        match (admission.delivery, admission.handshake) {
            (Decision::Admitted(credential), handshake) => {
                let verdict = self.deliver(request, handshake, deadline).await;
                Judgement::of(verdict, credential)
            }
            // A handshake needs no token, so the secret alone admits it. Only the body tells a
            // handshake from a delivery.
            (delivery, Decision::Admitted(credential)) => match self.handshake(request) {
                Some(verdict) => Judgement::of(verdict, credential),
                None => refusal(delivery).into(),
            },
            // Neither is admitted, so the body stays unread, and either decision may be the one
            // that counts. 503 takes precedence: Event Grid never tries a 401 again.
            (Decision::Refused, handshake) => refusal(handshake).into(),
            (delivery, _) => refusal(delivery).into(),
        }
    }

    /// Returns the answer to Event Grid's handshake; `None` if the request is another.
    fn handshake(&self, request: &ApiGatewayV2httpRequest) -> Option<Verdict> {
        let body = body(request, self.limits.body).ok()?;
        let mut events = event_grid::events(&body).ok()?;
        validated(&mut events)
    }

    /// Works on a request that is admitted as a delivery. If its body is a handshake, the decision
    /// on `handshake` counts.
    async fn deliver(
        &self,
        request: &ApiGatewayV2httpRequest,
        handshake: Decision,
        deadline: Instant,
    ) -> Verdict {
        let body = match body(request, self.limits.body) {
            Ok(body) => body,
            Err(verdict) => return verdict,
        };
        // Event Grid's notice that the subscription was deleted. Its body is not documented, so
        // events in it that are not understood are ignored.
        let deletion = text(&request.headers, EVENT_TYPE) == Some("SubscriptionDeletion");
        let mut events = match event_grid::events(&body) {
            Ok(events) => events,
            Err(_) if deletion => vec![],
            Err(event_grid::NotEvents) => return Verdict::NotEvents,
        };
        if let Some(verdict) = validated(&mut events) {
            return match handshake {
                Decision::Admitted(_) => verdict,
                decision => refusal(decision),
            };
        }
        // Even and odd attempts begin at opposite ends, so that two at the same time meet in the
        // middle instead of fetching the same parts.
        let order = if attempt(request).unwrap_or_default().is_multiple_of(2) {
            Order::FromFront
        } else {
            Order::FromBack
        };
        Verdict::Judged(self.archive_all(events, deletion, order, deadline).await)
    }
}

/// Returns the answer to Event Grid's handshake, if `events` are one.
/// <https://learn.microsoft.com/azure/event-grid/end-point-validation-event-grid-events-schema>
fn validated(events: &mut [Event]) -> Option<Verdict> {
    let [Event::Validation { code }] = events else {
        return None;
    };
    Some(Verdict::Validated {
        code: std::mem::take(code),
    })
}
