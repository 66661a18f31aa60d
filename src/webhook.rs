//! The HTTP edge: request → authenticated delivery → outcomes → response.

mod answer;
mod judgement;
mod request;

pub use answer::STATUSES;
pub(crate) use answer::Verdict;
pub(crate) use judgement::{Delivery, Judgement};
pub(crate) use request::{presents_any, without_credentials};

use std::collections::VecDeque;
use std::sync::Arc;

use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tracing::{Instrument as _, error, info};

use crate::archive::{Archive, Intake, Pending};
use crate::authentication::{Authentication, Decision};
use crate::config::Acknowledge;
use crate::event_grid::{self, Event};
use crate::limits::Limits;
use crate::metrics::{Measured, Metric};
use crate::outcome::{Outcome, Report};
use crate::recording::{Recording, safe_id};
use crate::transfer::{LastPart, Order};
use judgement::refusal;
use request::{allowed, attempt, body, is_options, text};

/// Events that are stored at the same time.
const STORED_AT_ONCE: usize = 16;

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
            unstored.emit();
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

/// The answer to Event Grid's handshake, if the events are one.
fn validated(events: &mut [Event]) -> Option<Verdict> {
    let [Event::Validation { code }] = events else {
        return None;
    };
    Some(Verdict::Validated {
        code: std::mem::take(code),
    })
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
