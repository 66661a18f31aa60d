//! The HTTP edge: request → authenticated delivery → outcomes → response.

mod answer;
mod batch;
mod judgement;
mod request;

pub use answer::STATUSES;
pub(crate) use answer::Verdict;
pub(crate) use judgement::{Delivery, Judgement};
pub(crate) use request::{presents_any, without_credentials};

use std::sync::Arc;

use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use tokio::time::{Instant, timeout_at};

use crate::archive::Archive;
use crate::authentication::{Authentication, Decision};
use crate::config::Acknowledge;
use crate::event_grid::{self, Event};
use crate::limits::Limits;
use crate::transfer::Order;
use judgement::refusal;
use request::{allowed, attempt, body, is_options, text};

const EVENT_TYPE: &str = "aeg-event-type";

/// The webhook that Event Grid delivers to.
#[derive(Debug)]
pub(crate) struct Webhook {
    archive: Arc<Archive>,
    authentication: Authentication,
    acknowledge: Acknowledge,
    limits: Arc<Limits>,
}

impl Webhook {
    /// A webhook for whoever `authentication` admits.
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

    /// When a delivery is answered.
    pub(crate) fn acknowledge(&self) -> Acknowledge {
        self.acknowledge
    }

    /// Judges a request that came at `started`, by `deadline` at the latest.
    pub(crate) async fn judge(
        &self,
        request: &ApiGatewayV2httpRequest,
        started: Instant,
        deadline: Instant,
    ) -> Judgement {
        let deadline = match self.acknowledge {
            Acknowledge::Archived => deadline,
            Acknowledge::Stored => deadline.min(started + self.limits.stored_answer),
        };
        // Nothing of the body is looked at, nor even decoded, before the sender is known.
        let query = request.raw_query_string.as_deref().unwrap_or_default();
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
            // The secret is right, and the token is not, which a handshake does not need.
            (delivery, Decision::Admitted(credential)) => match self.handshake(request) {
                Some(verdict) => Judgement::of(verdict, credential),
                None => refusal(delivery).into(),
            },
            (Decision::Refused, handshake) => refusal(handshake).into(),
            (delivery, _) => refusal(delivery).into(),
        }
    }

    /// The answer to a handshake of Event Grid's; `None` if the request is none.
    fn handshake(&self, request: &ApiGatewayV2httpRequest) -> Option<Verdict> {
        let body = body(request, self.limits.body).ok()?;
        let mut events = event_grid::events(&body).ok()?;
        validated(&mut events)
    }

    /// Works on a delivery that is let in, unless it is a handshake that is not.
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
        // Attempts of even and of odd count begin at different ends, so that two at the same time meet in the middle.
        let order = if attempt(request).unwrap_or_default().is_multiple_of(2) {
            Order::FromFront
        } else {
            Order::FromBack
        };
        Verdict::Judged(self.archive_all(events, deletion, order, deadline).await)
    }
}

/// The answer to Event Grid's handshake, if the events are one.
fn validated(events: &mut [Event]) -> Option<Verdict> {
    let [Event::Validation { code }] = events else {
        return None;
    };
    Some(Verdict::Validated {
        code: std::mem::take(code),
    })
}
