//! The HTTP edge: request → authenticated delivery → outcomes → response.

mod answer;

pub use answer::{Acknowledge, Verdict};

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use lambda_http::aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use lambda_http::http::{HeaderMap, Method};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tracing::{Instrument as _, error, info};

use crate::archive::{Archive, Intake, Pending};
use crate::authentication::{self, Admission, Authentication};
use crate::clock;
use crate::event_grid::{self, Event};
use crate::limits::Limits;
use crate::metrics::{Measured, Metric};
use crate::outcome::{Outcome, Report};
use crate::recording::{Recording, safe_id};
use crate::transfer::{LastPart, Order};

/// The `CloudEvents` handshake: <https://github.com/cloudevents/spec/blob/main/cloudevents/http-webhook.md>.
const REQUEST_ORIGIN: &str = "webhook-request-origin";
const REQUEST_RATE: &str = "webhook-request-rate";

/// Events that are stored at the same time.
const STORED_AT_ONCE: usize = 16;

const DELIVERY_COUNT: &str = "aeg-delivery-count";
const EVENT_TYPE: &str = "aeg-event-type";
const SUBSCRIPTION_NAME: &str = "aeg-subscription-name";

/// The webhook that Event Grid delivers to.
#[derive(Debug)]
pub struct Webhook {
    archive: Arc<Archive>,
    authentication: Authentication,
    acknowledge: Acknowledge,
    limits: Arc<Limits>,
}

impl Webhook {
    /// A webhook for whoever `authentication` admits.
    #[must_use]
    pub fn new(
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
    #[must_use]
    pub fn acknowledge(&self) -> Acknowledge {
        self.acknowledge
    }

    /// Judges a POST with credentials that came at `started`, by `deadline` at the latest.
    pub async fn judge(
        &self,
        request: &ApiGatewayV2httpRequest,
        started: Instant,
        deadline: Instant,
    ) -> Verdict {
        let deadline = match self.acknowledge {
            Acknowledge::Archived => deadline,
            Acknowledge::Stored => deadline.min(started + self.limits.stored_answer),
        };
        // Nothing of the body is looked at, nor even decoded, before the sender is known.
        let query = request.raw_query_string.as_deref().unwrap_or_default();
        let admission = self.authentication.admit(query, &request.headers);
        match timeout_at(deadline, admission).await {
            Ok(Admission::Admitted) => {}
            Ok(Admission::Refused) => return Verdict::Unauthenticated,
            Ok(Admission::Unverified) | Err(_) => return Verdict::Unverified,
        }
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
        if let [Event::Validation { code }] = events.as_mut_slice() {
            return Verdict::Validated {
                code: std::mem::take(code),
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

    /// Stores every event, then works on each, several at a time; none is left out because of
    /// another.
    async fn archive_all(
        &self,
        events: Vec<Event>,
        deletion: bool,
        order: Order,
        deadline: Instant,
    ) -> Vec<Report> {
        let count = events.len();
        let mut reports: Vec<Option<Report>> = vec![None; count];
        let mut admitted = VecDeque::new();
        let mut storing = JoinSet::new();
        let mut waiting = events.into_iter().enumerate();
        let mut missed = 0;
        loop {
            while storing.len() < STORED_AT_ONCE
                && let Some((place, event)) = waiting.next()
            {
                if Instant::now() >= deadline {
                    // Not even begun: each would cost a call that comes too late.
                    missed += 1;
                    set(
                        &mut reports,
                        place,
                        Report::of(event.id(), Outcome::Unstored),
                    );
                    continue;
                }
                let archive = Arc::clone(&self.archive);
                let store =
                    async move { (place, store(&archive, event, deletion, deadline).await) };
                storing.spawn(store.in_current_span());
            }
            match storing.join_next().await {
                None => break,
                Some(Ok((place, Stored::Done(report)))) => set(&mut reports, place, report),
                Some(Ok((place, Stored::Pending(work)))) => admitted.push_back((place, work)),
                Some(Err(_)) => error!("storing an event broke off"),
            }
        }
        if missed > 0 {
            error!(missed, "out of time before all events were stored");
            let unstored = Measured::default().and_count(Metric::EventsUnstored, missed);
            unstored.say();
        }
        self.work(admitted, order, deadline, &mut reports).await;
        let broken = || Report::of(String::new(), Outcome::Unstored);
        let reports = reports.into_iter();
        reports
            .map(|report| report.unwrap_or_else(broken))
            .collect()
    }

    /// Works on the events that are stored, as many at a time as there are lanes.
    async fn work(
        &self,
        admitted: VecDeque<(usize, Work)>,
        order: Order,
        deadline: Instant,
        reports: &mut [Option<Report>],
    ) {
        let mut admitted = admitted;
        let run = self.archive.run(deadline, LastPart::Dropped);
        let mut idle = self.archive.lanes(&run);
        idle.truncate(admitted.len());
        let mut working = JoinSet::new();
        loop {
            while let Some(lane) = idle.pop() {
                let Some((place, (recording, pending))) = admitted.pop_front() else {
                    break;
                };
                let archive = Arc::clone(&self.archive);
                let work = async move {
                    let work = archive.archive(&recording, *pending, order, &lane).await;
                    (place, work.report, lane)
                };
                working.spawn(work.in_current_span());
            }
            match working.join_next().await {
                None => return,
                Some(Ok((place, report, lane))) => {
                    set(reports, place, report);
                    // A lane without an event would keep a slot from the others.
                    if !admitted.is_empty() {
                        idle.push(lane);
                    }
                }
                Some(Err(_)) => error!("an event's work broke off"),
            }
        }
    }
}

/// A recording whose event is stored.
type Work = (Box<Recording>, Box<Pending>);

/// The end of storing an event.
enum Stored {
    Pending(Work),
    Done(Report),
}

fn set(reports: &mut [Option<Report>], place: usize, report: Report) {
    if let Some(slot) = reports.get_mut(place) {
        *slot = Some(report);
    }
}

/// A request as the log tells of it.
#[derive(Debug)]
pub struct Delivery {
    started: Instant,
    attempt: Option<u64>,
    subscription: Option<String>,
}

impl Delivery {
    /// What is told of `request`, which came at `started`.
    #[must_use]
    pub fn of(request: &ApiGatewayV2httpRequest, started: Instant) -> Self {
        let subscription = text(&request.headers, SUBSCRIPTION_NAME).map(safe_id);
        Self {
            started,
            attempt: attempt(request),
            subscription: subscription.map(Cow::into_owned),
        }
    }

    /// The answer to it. The one place that logs a request, and counts what was not let in.
    #[must_use]
    pub fn answered(
        &self,
        verdict: &Verdict,
        acknowledge: Acknowledge,
    ) -> ApiGatewayV2httpResponse {
        let response = verdict.answer(acknowledge);
        let reports = verdict.reports();
        info!(
            status = response.status_code,
            attempt = self.attempt,
            subscription = self.subscription,
            events = reports.len(),
            bytes = reports.iter().map(|report| report.bytes).sum::<u64>(),
            milliseconds = clock::milliseconds(self.started),
            "delivery"
        );
        match verdict {
            // Nobody's stray request says that it comes from Event Grid.
            Verdict::Unauthenticated if self.subscription.is_some() => {
                Measured::once(Metric::DeliveriesRefused).say();
            }
            Verdict::Unverified => Measured::once(Metric::DeliveriesUnverified).say(),
            _ => {}
        }
        response
    }
}

/// How often Event Grid has tried this delivery before.
fn attempt(request: &ApiGatewayV2httpRequest) -> Option<u64> {
    text(&request.headers, DELIVERY_COUNT)?.parse().ok()
}

/// The verdict on a request that needs no credentials, or that has none to look at.
#[must_use]
pub fn without_credentials(request: &ApiGatewayV2httpRequest) -> Option<Verdict> {
    let method = &request.request_context.http.method;
    if method == Method::OPTIONS {
        let header = |name| request.headers.get(name).cloned();
        return Some(Verdict::Allowed {
            origin: header(REQUEST_ORIGIN),
            rate: header(REQUEST_RATE),
        });
    }
    if method != Method::POST {
        return Some(Verdict::MethodNotAllowed);
    }
    let query = request.raw_query_string.as_deref().unwrap_or_default();
    let presents = authentication::presents_any(query, &request.headers);
    (!presents).then_some(Verdict::Unauthenticated)
}

/// Stores an event, or ends it where there is nothing to work on.
async fn store(archive: &Archive, event: Event, deletion: bool, deadline: Instant) -> Stored {
    let ignored = |id: &str| Report::of(safe_id(id).into_owned(), Outcome::Ignored);
    Stored::Done(match event {
        Event::Recording(recording) => match archive.admit(&recording, deadline).await {
            Intake::Pending(pending) => return Stored::Pending((recording, pending)),
            Intake::Done(report) => report,
        },
        Event::Other { id, event_type } => {
            info!(event = %safe_id(&id), r#type = %safe_id(&event_type), "event is of a type that is not archived");
            ignored(&id)
        }
        // A handshake inside a batch cannot be answered; ignore it.
        Event::Validation { .. } => ignored(""),
        Event::NotUnderstood { reason, .. } if deletion && !reason.is_too_many() => ignored(""),
        Event::NotUnderstood { event, reason } => {
            let reason = reason.to_string();
            archive.set_aside("", &event, &reason, deadline).await
        }
    })
}

/// The body, if it is one that may be read. What is over the limit is not decoded.
fn body(request: &ApiGatewayV2httpRequest, limit: usize) -> Result<Cow<'_, [u8]>, Verdict> {
    let body = request.body.as_deref().unwrap_or_default();
    if !request.is_base64_encoded {
        return if body.len() > limit {
            Err(Verdict::TooLarge)
        } else {
            Ok(Cow::Borrowed(body.as_bytes()))
        };
    }
    if body.len() / 4 * 3 > limit + 2 {
        return Err(Verdict::TooLarge);
    }
    let decoded = BASE64_STANDARD
        .decode(body)
        .map_err(|_| Verdict::NotEvents)?;
    if decoded.len() > limit {
        Err(Verdict::TooLarge)
    } else {
        Ok(Cow::Owned(decoded))
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
