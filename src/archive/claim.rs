//! The claim of a run on a pending event, which advises other runs not to work on it.
//!
//! The claim is `attempt.json` beside the event. The run writes it on the condition that nobody
//! else has written it since, and again at each heartbeat. A claim is only advice: a run that has
//! lost its claim, or never had one, does no harm. The conditional writes of S3 decide alone which
//! of two runs claims an event:
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html>

use std::time::Duration;

use tokio::time::sleep;
use tracing::warn;

use super::attempt::Attempt;
use crate::error_chain::error_chain;
use crate::keys::Key;
use crate::store::{self, JSON, Receipt, Store, Written};

/// The claim of this run on one event.
#[derive(Debug)]
pub(super) struct Claim {
    store: Store,
    key: Key,
    attempt: Attempt,
    state: State,
    /// `true` if a write was begun. The run may have been dropped before the answer.
    written: bool,
    /// The time between two writes.
    heartbeat: Duration,
}

/// The state of `attempt.json`, as far as this run knows.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Absent,
    /// A run that has ended wrote the document.
    There {
        etag: String,
    },
    Ours {
        etag: String,
    },
    /// Another run has written or deleted the document since.
    Lost,
}

/// The state in which a run has left an event that it could not finish.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Unfinished {
    /// The failure, unless the run only ran out of time.
    pub(super) failure: Option<String>,
    /// The pause before the next attempt.
    pub(super) retry_after: Option<Duration>,
    /// `true` if the next attempt may start at once.
    pub(super) at_once: bool,
}

impl Claim {
    /// A claim that is first written after one heartbeat, so that a short run makes no call for it.
    /// `there` is the ETag of an earlier `attempt.json`.
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

    /// Claims an event at once. `there` and `previous` are the ETag and the content of an earlier
    /// `attempt.json`. Returns `None` if another run was first.
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

    /// Does `work`, and renews the claim at each heartbeat meanwhile.
    pub(super) async fn renew_during<T>(&mut self, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        loop {
            tokio::select! {
                // A write of the claim may be dropped here before its answer: see `release`.
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
            warn!(key = %self.key, error = error_chain(&error), "claim could not be renewed");
        }
    }

    /// Deletes the claim on a finished event.
    pub(super) async fn end(self) -> Result<(), store::Error> {
        match self.state {
            // No call for a claim that was never written: a short run stays cheap.
            State::Absent if !self.written => Ok(()),
            _ => self.store.delete(&self.key).await,
        }
    }

    /// Releases an unfinished event, and writes for the next run how it was left.
    pub(super) async fn release(mut self, left: Unfinished) -> Result<(), store::Error> {
        if self.state == State::Lost {
            return Ok(());
        }
        self.attempt.at_work = false;
        // The process is alive to write this, so the deaths before it do not count any more.
        self.attempt.deaths = 0;
        self.attempt.retry_after_seconds = left.retry_after.map(|asked| asked.as_secs());
        self.attempt.failure = left.failure;
        self.attempt.beat += 1;
        // The listing shows an empty object by its size alone, so that the next tick may claim the
        // event without a read.
        let json = if left.at_once {
            vec![]
        } else {
            self.attempt.to_json()
        };
        if self.put(json.clone()).await? == Written::Taken && self.written {
            // The heartbeat before may have been dropped between its write and the answer: then the
            // document is ours, of an ETag that this run does not know.
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
            // A store may answer without an ETag, and a write may be refused because of this run's
            // own.
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

    /// The state after a refused write. The document that stands in the way may be this run's own:
    /// the answer to an earlier write was lost.
    async fn read(&self) -> Result<State, store::Error> {
        let there = self.store.read(&self.key).await?;
        let run = &self.attempt.run;
        let ours = there.filter(|there| Attempt::parse(&there.bytes).run == *run);
        Ok(ours.map_or(State::Lost, |ours| State::Ours { etag: ours.etag }))
    }
}

/// A random id, different in each run.
fn run_id() -> String {
    format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..))
}
