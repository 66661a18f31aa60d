//! The claim of a run on a pending event: advice to other runs that one is at work on it.
//!
//! The claim is `attempt.json` beside the event. It is written on the condition that nobody else
//! has written it since, and again each minute. It is advice alone: a run whose claim is lost, or
//! that never had one, does no harm.

use std::time::Duration;

use tokio::time::sleep;
use tracing::warn;

use super::attempt::Attempt;
use crate::error_chain::error_chain;
use crate::keys::Key;
use crate::store::{self, JSON, Receipt, Store, Written};

/// The claim of this run on one event.
#[derive(Debug)]
pub(crate) struct Claim {
    store: Store,
    key: Key,
    attempt: Attempt,
    state: State,
    /// `true` if a write was begun, whose answer may not have been waited for.
    written: bool,
    /// The time between two writes.
    heartbeat: Duration,
}

/// The `attempt.json`, as far as this run knows.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Absent,
    /// Written by another run, which has ended.
    There {
        etag: String,
    },
    Ours {
        etag: String,
    },
    /// Another run has written it since, or has deleted it.
    Lost,
}

/// The state in which a run has left an event that it could not finish.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unfinished {
    /// The reason, unless only time was wanting.
    pub(crate) failure: Option<String>,
    /// The time that ACS asked for before the next attempt.
    pub(crate) retry_after: Option<Duration>,
    /// `true` if the next attempt may come at once.
    pub(crate) at_once: bool,
}

impl Claim {
    /// The claim of a run that begins to write it only after a heartbeat's time, over the
    /// `attempt.json` of that ETag if there is one. So a run that is quick makes no call for it.
    pub(super) fn later(store: &Store, key: Key, there: Option<String>, beat: Duration) -> Self {
        Self {
            store: store.clone(),
            key,
            attempt: Attempt::default().next(&run_id()),
            state: there.map_or(State::Absent, |etag| State::There { etag }),
            written: false,
            heartbeat: beat,
        }
    }

    /// Claims an event over the `attempt.json` of that ETag, if there is one, which said
    /// `previous`. `None` if another run was first.
    pub(super) async fn now(
        store: &Store,
        key: Key,
        there: Option<String>,
        previous: Attempt,
        beat: Duration,
    ) -> Result<Option<Self>, store::Error> {
        let mut claim = Self {
            attempt: previous.next(&run_id()),
            ..Self::later(store, key, there, beat)
        };
        claim.write().await?;
        Ok((claim.state != State::Lost).then_some(claim))
    }

    /// Does `work`, and says each minute that this run is still at it.
    pub(super) async fn keep<T>(&mut self, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                () = self.beat() => {}
            }
        }
    }

    async fn beat(&mut self) {
        sleep(self.heartbeat).await;
        if self.state != State::Lost
            && let Err(error) = self.write().await
        {
            warn!(key = %self.key, error = error_chain(&error), "a claim could not be written again");
        }
    }

    /// Ends the claim on an event that is finished.
    pub(super) async fn end(self) -> Result<(), store::Error> {
        match self.state {
            State::Absent if !self.written => Ok(()),
            _ => self.store.delete(&self.key).await,
        }
    }

    /// Ends the claim on an event that is unfinished, and leaves behind how it was left.
    pub(super) async fn release(mut self, left: Unfinished) -> Result<(), store::Error> {
        if self.state == State::Lost {
            return Ok(());
        }
        self.attempt.at_work = false;
        // The process has lived to write this.
        self.attempt.deaths = 0;
        self.attempt.retry_after_seconds = left.retry_after.map(|asked| asked.as_secs());
        self.attempt.failure = left.failure;
        self.attempt.beat += 1;
        let json = if left.at_once {
            vec![]
        } else {
            self.attempt.to_json()
        };
        if self.put(json.clone()).await? == Written::Taken && self.written {
            // A heartbeat may have been cut off between its write and the answer.
            self.state = self.read().await?;
            self.put(json).await?;
        }
        Ok(())
    }

    async fn write(&mut self) -> Result<(), store::Error> {
        self.attempt.beat += 1;
        let json = self.attempt.to_json();
        self.written = true;
        self.state = match self.put(json).await? {
            Written::Here(Receipt {
                etag: Some(etag), ..
            }) => State::Ours { etag },
            Written::Here(_) | Written::Taken => self.read().await?,
        };
        Ok(())
    }

    async fn put(&self, json: Vec<u8>) -> Result<Written, store::Error> {
        match &self.state {
            State::Absent => self.store.create(&self.key, json, JSON, None).await,
            State::There { etag } | State::Ours { etag } => {
                self.store.replace(&self.key, json, etag).await
            }
            State::Lost => Ok(Written::Taken),
        }
    }

    /// The state after a write that was refused: perhaps by our own hand, its answer lost.
    async fn read(&self) -> Result<State, store::Error> {
        let there = self.store.read(&self.key).await?;
        let run = &self.attempt.run;
        let ours = there.filter(|there| Attempt::parse(&there.bytes).run == *run);
        Ok(ours.map_or(State::Lost, |ours| State::Ours { etag: ours.etag }))
    }
}

/// An id that no other run has.
fn run_id() -> String {
    format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..))
}
