//! The slots of parts in flight, which events share fairly.
//!
//! A free slot goes to the event with the fewest slots, and one slot stays free for each event
//! without any: eight slow recordings do not keep a ninth waiting.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// All slots of an instance.
#[derive(Debug)]
pub(super) struct Slots {
    count: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    free: usize,
    seats: BTreeMap<u64, Share>,
    /// The last number given to a seat or a request.
    next: u64,
}

/// The slots that one seat holds, and its requests for more.
#[derive(Debug, Default)]
struct Share {
    held: usize,
    waiting: VecDeque<Request>,
}

#[derive(Debug)]
struct Request {
    number: u64,
    granted: oneshot::Sender<()>,
}

/// A seat among the events that share the slots. One slot is kept free for each seat without any.
#[derive(Debug)]
pub(super) struct Seat {
    number: u64,
    slots: Arc<Slots>,
}

/// A slot, taken until this value is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    seat: Arc<Seat>,
}

impl Slots {
    pub(super) fn new(count: usize) -> Arc<Self> {
        let state = State {
            free: count,
            ..State::default()
        };
        Arc::new(Self {
            count,
            state: Mutex::new(state),
        })
    }

    /// The number of slots.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// A seat for one more event.
    pub(super) fn seat(self: &Arc<Self>) -> Arc<Seat> {
        let mut state = self.lock();
        let number = state.number();
        state.seats.insert(number, Share::default());
        Arc::new(Seat {
            number,
            slots: Arc::clone(self),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere does not make the counts wrong.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// Waits for a slot.
    pub(super) async fn slot(self: &Arc<Self>) -> Slot {
        loop {
            let granted = {
                let mut state = self.slots.lock();
                let (sender, receiver) = oneshot::channel();
                let number = state.number();
                if let Some(share) = state.seats.get_mut(&self.number) {
                    share.waiting.push_back(Request {
                        number,
                        granted: sender,
                    });
                }
                state.grant();
                Granted {
                    receiver,
                    seat: self,
                }
            };
            if let Some(slot) = granted.slot().await {
                return slot;
            }
        }
    }
}

/// A request that waits for its slot. If it is dropped after the slot was granted, the slot is
/// released.
struct Granted<'a> {
    receiver: oneshot::Receiver<()>,
    seat: &'a Arc<Seat>,
}

impl Granted<'_> {
    async fn slot(mut self) -> Option<Slot> {
        let granted = (&mut self.receiver).await;
        granted.ok().map(|()| Slot {
            seat: Arc::clone(self.seat),
        })
    }
}

impl Drop for Granted<'_> {
    fn drop(&mut self) {
        if self.receiver.try_recv().is_ok() {
            self.seat.slots.lock().release(self.seat.number);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.seat.slots.lock().release(self.seat.number);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut state = self.slots.lock();
        state.seats.remove(&self.number);
        // The slot that was kept free for this seat can be granted now.
        state.grant();
    }
}

impl State {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn release(&mut self, seat: u64) {
        if let Some(share) = self.seats.get_mut(&seat) {
            share.held -= 1;
            self.free += 1;
        }
        self.grant();
    }

    /// Grants free slots to waiting requests, to the seat with the fewest slots first.
    fn grant(&mut self) {
        while self.free > 0 {
            let without = self.seats.values().filter(|share| share.held == 0).count();
            let waiting = self.seats.values_mut().filter_map(|share| {
                let number = share.waiting.front()?.number;
                Some((share.held, number, share))
            });
            let Some((held, _, share)) = waiting.min_by_key(|(held, number, _)| (*held, *number))
            else {
                return;
            };
            // The free slots are kept for the seats without any.
            if held > 0 && self.free <= without {
                return;
            }
            let Some(request) = share.waiting.pop_front() else {
                return;
            };
            // Counted before the answer is sent: the receiver may run at once on another thread and
            // release the slot.
            share.held += 1;
            if request.granted.send(()).is_ok() {
                self.free -= 1;
            } else {
                share.held -= 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::{Duration, timeout};

    /// A slot, if the seat gets one almost at once.
    async fn now(seat: &Arc<Seat>) -> Option<Slot> {
        timeout(Duration::from_millis(20), seat.slot()).await.ok()
    }

    #[tokio::test]
    async fn an_event_alone_gets_all_slots() {
        let slots = Slots::new(3);
        let seat = slots.seat();
        let held = [now(&seat).await, now(&seat).await, now(&seat).await];
        assert!(held.iter().all(Option::is_some));
        assert!(now(&seat).await.is_none());
        drop(held);
        assert!(now(&seat).await.is_some());
    }

    #[tokio::test]
    async fn a_slot_stays_free_for_an_event_without_any() {
        let slots = Slots::new(3);
        let (greedy, late) = (slots.seat(), slots.seat());
        let held = [now(&greedy).await, now(&greedy).await, now(&greedy).await];
        assert_eq!(held.iter().flatten().count(), 2);
        assert!(now(&late).await.is_some());
        drop(late);
        assert!(now(&greedy).await.is_some(), "no other event is there");
    }

    #[tokio::test]
    async fn a_free_slot_goes_to_the_event_with_the_fewest() {
        let slots = Slots::new(2);
        let greedy = slots.seat();
        let (one, two) = (greedy.slot().await, greedy.slot().await);
        let third = tokio::spawn({
            let greedy = Arc::clone(&greedy);
            async move { greedy.slot().await }
        });
        tokio::task::yield_now().await;
        let late = slots.seat();
        let first = tokio::spawn({
            let late = Arc::clone(&late);
            async move { late.slot().await }
        });
        tokio::task::yield_now().await;
        drop(one);
        let held_by_late = timeout(Duration::from_secs(5), first).await;
        assert!(
            held_by_late.is_ok(),
            "although the other request came first"
        );
        assert!(!third.is_finished());
        drop(two);
        assert!(timeout(Duration::from_secs(5), third).await.is_ok());
    }

    #[tokio::test]
    async fn a_dropped_request_loses_no_slot() {
        let slots = Slots::new(1);
        let seat = slots.seat();
        for _ in 0..10 {
            let held = seat.slot().await;
            let mut waiting = Box::pin(seat.slot());
            assert!(
                timeout(Duration::from_millis(1), &mut waiting)
                    .await
                    .is_err()
            );
            // The slot is granted, and the request dropped before it has seen that.
            drop(held);
            drop(waiting);
        }
        assert!(now(&seat).await.is_some());
    }

    #[tokio::test]
    async fn a_seat_keeps_its_place_until_its_last_slot_is_dropped() {
        let slots = Slots::new(1);
        let seat = slots.seat();
        let slot = seat.slot().await;
        drop(seat);
        let other = slots.seat();
        assert!(now(&other).await.is_none());
        drop(slot);
        assert!(now(&other).await.is_some());
    }
}
