//! The events of one delivery: each is stored, then archived, several at a time.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{Instrument as _, error, info};

use super::Webhook;
use crate::archive::{Archive, Intake, Pending};
use crate::event_grid::Event;
use crate::metrics::{Measured, Metric};
use crate::outcome::{Outcome, Report};
use crate::recording::{EventId, safe_id};
use crate::transfer::{LastPart, Order};

/// The result of storing an event.
enum Stored {
    /// The event is pending.
    Pending(Box<Pending>),
    /// Nothing is left to do for the event.
    Done(Report),
}

impl Webhook {
    /// Stores all events, then works on those that are pending. The failure of one event does not
    /// stop the others.
    ///
    /// All events are stored before any is worked on: the schedule finishes those that are stored,
    /// and no others.
    pub(super) async fn archive_all(
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
            while storing.len() < self.limits.events_stored_at_once
                && let Some((place, event)) = waiting.next()
            {
                if Instant::now() >= deadline {
                    // Not begun: the call would end too late to be reported.
                    missed += 1;
                    set(
                        &mut reports,
                        place,
                        Report::of(event.id(), Outcome::Unstored),
                    );
                    continue;
                }
                // In a task of its own, so that a panic ends the work on one event alone.
                let archive = Arc::clone(&self.archive);
                let store =
                    async move { (place, store(&archive, event, deletion, deadline).await) };
                storing.spawn(store.in_current_span());
            }
            match storing.join_next().await {
                None => break,
                Some(Ok((place, Stored::Done(report)))) => set(&mut reports, place, report),
                Some(Ok((place, Stored::Pending(pending)))) => {
                    admitted.push_back((place, pending));
                }
                Some(Err(_)) => error!("storing an event broke off"),
            }
        }
        if missed > 0 {
            error!(missed, "out of time before all events were stored");
            let unstored = Measured::default().and_count(Metric::EventsUnstored, missed);
            unstored.emit();
        }
        self.work(admitted, order, deadline, &mut reports).await;
        // The work on an event panicked. A status of 503 lets Event Grid deliver it again.
        let broken = || Report::of(String::new(), Outcome::Unstored);
        let reports = reports.into_iter();
        reports
            .map(|report| report.unwrap_or_else(broken))
            .collect()
    }

    /// Works on the pending events, as many at a time as there are lanes.
    async fn work(
        &self,
        admitted: VecDeque<(usize, Box<Pending>)>,
        order: Order,
        deadline: Instant,
        reports: &mut [Option<Report>],
    ) {
        let mut admitted = admitted;
        let run = self.archive.run(deadline, LastPart::Dropped);
        let mut idle = self.archive.lanes(&run);
        // A lane without an event would keep its slots from the others.
        idle.truncate(admitted.len());
        let mut working = JoinSet::new();
        loop {
            while let Some(lane) = idle.pop() {
                let Some((place, pending)) = admitted.pop_front() else {
                    break;
                };
                let archive = Arc::clone(&self.archive);
                let work = async move {
                    let work = archive.archive(*pending, order, &lane).await;
                    (place, work.report, lane)
                };
                working.spawn(work.in_current_span());
            }
            match working.join_next().await {
                None => return,
                Some(Ok((place, report, lane))) => {
                    set(reports, place, report);
                    if !admitted.is_empty() {
                        idle.push(lane);
                    }
                }
                Some(Err(_)) => error!("an event's work broke off"),
            }
        }
    }
}

fn set(reports: &mut [Option<Report>], place: usize, report: Report) {
    if let Some(slot) = reports.get_mut(place) {
        *slot = Some(report);
    }
}

/// Stores an event, unless there is nothing to archive in it.
async fn store(archive: &Archive, event: Event, deletion: bool, deadline: Instant) -> Stored {
    let ignored = |id: &EventId| Report::of(id.to_string(), Outcome::Ignored);
    let no_id = EventId::default();
    Stored::Done(match event {
        Event::Recording(recording) => match archive.admit(recording, deadline).await {
            Intake::Pending(pending) => return Stored::Pending(pending),
            Intake::Done(report) => report,
        },
        Event::Other { id, event_type } => {
            let kind = safe_id(&event_type);
            info!(event = %id, r#type = %kind, "event is of a type that is not archived");
            ignored(&id)
        }
        // A handshake inside a batch cannot be answered; ignore it.
        Event::Validation { .. } => ignored(&no_id),
        Event::NotUnderstood { reason, .. } if deletion && !reason.is_too_many() => ignored(&no_id),
        Event::NotUnderstood { event, reason } => {
            let reason = reason.to_string();
            archive.set_aside(&event, &reason, deadline).await
        }
    })
}
