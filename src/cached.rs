//! A cached value that is refreshed when it is stale or when a caller finds it wrong.
//!
//! While its source is down, the last good value stays in use: without end, for the time that it
//! is valid without a new read, or until its own end.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use tokio::sync::Mutex;
use tokio::time::timeout;
use tracing::{error, info, warn};

use crate::clock;
use crate::error_chain::error_chain;
use crate::limits::RefreshPolicy;
use crate::metrics::{Measured, Metric};

/// Any error, to be logged.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;
/// One read of the value from its source.
pub(crate) type Reading<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;

/// The lifetime that a value states itself, by the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lifetime {
    /// The time from which the next use refreshes the value.
    pub(crate) refresh: SystemTime,
    /// The time from which the value is no longer valid.
    pub(crate) end: SystemTime,
}

/// The stage of a value within its lifetime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Fresh,
    Stale,
    Over,
}

/// A cached value that is refreshed when it is stale or when a caller finds it wrong.
pub(crate) struct Cached<T> {
    /// The value's name in the log.
    name: &'static str,
    source: Option<Source<T>>,
    value: RwLock<Option<Arc<T>>>,
    /// The longest time that a value is valid after it was read; `None` if without end.
    valid_for: Option<Duration>,
    /// Reads the lifetime off a value that states one.
    lifetime: fn(&T) -> Option<Lifetime>,
    /// The metric that counts failed reads. With it, a failed read is logged as an error, not as a
    /// warning.
    failures: Option<Metric>,
}

struct Source<T> {
    read: Box<dyn Fn() -> Reading<T> + Send + Sync>,
    policy: RefreshPolicy,
    /// The last reads. Locked during a read, so that many callers that find the value wrong at once
    /// cause one read.
    last: Mutex<Last>,
}

/// The times of the last reads, by the wall clock: a monotonic clock stands still while Lambda has
/// frozen the process.
#[derive(Clone, Copy, Default)]
struct Last {
    begun: Option<SystemTime>,
    succeeded: Option<SystemTime>,
    failed: bool,
}

/// The result of [`Cached::refresh`].
#[derive(Debug)]
pub(crate) enum Refresh<T> {
    /// A newer value.
    Refreshed(Arc<T>),
    /// Not refreshed: the last read was too recent, or the value never changes.
    TooRecent,
    /// Not refreshed: the read failed, so nothing is known.
    Failed,
}

impl<T> Cached<T> {
    /// Returns a value that never changes.
    pub(crate) fn fixed(name: &'static str, value: T) -> Self {
        Self {
            name,
            source: None,
            value: RwLock::new(Some(Arc::new(value))),
            valid_for: None,
            lifetime: |_| None,
            failures: None,
        }
    }

    /// Returns a value that `read` refreshes. `first` is the result of a read just now; `None` if
    /// that read failed or was not tried.
    pub(crate) fn new(
        name: &'static str,
        first: Option<T>,
        policy: RefreshPolicy,
        read: impl Fn() -> Reading<T> + Send + Sync + 'static,
    ) -> Self {
        let last = Last {
            begun: first.is_some().then(clock::now),
            succeeded: first.is_some().then(clock::now),
            failed: false,
        };
        Self {
            name,
            source: Some(Source {
                read: Box::new(read),
                policy,
                last: Mutex::new(last),
            }),
            value: RwLock::new(first.map(Arc::new)),
            valid_for: None,
            lifetime: |_| None,
            failures: None,
        }
    }

    /// Limits the time that a value is valid after it was read.
    pub(crate) fn valid_for(self, longest: Duration) -> Self {
        Self {
            valid_for: Some(longest),
            ..self
        }
    }

    /// Reads the lifetime of each value off the value itself.
    pub(crate) fn with_lifetime(self, lifetime: fn(&T) -> Option<Lifetime>) -> Self {
        Self { lifetime, ..self }
    }

    /// Logs a failed read as an error and counts it as `metric`.
    pub(crate) fn counting_failures(self, metric: Metric) -> Self {
        Self {
            failures: Some(metric),
            ..self
        }
    }

    /// Returns the cached value as it is, without a refresh, however old.
    pub(crate) fn peek(&self) -> Option<Arc<T>> {
        // A panic elsewhere does not make the value wrong.
        self.value
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Returns the value, refreshed first if it is missing or older than the policy's maximum age.
    /// If the refresh fails, returns the cached value, or `None` if that is no longer valid.
    pub(crate) async fn fresh(&self) -> Option<Arc<T>> {
        if let Some(source) = &self.source {
            let mut last = source.last.lock().await;
            let old = source
                .policy
                .max_age
                .is_some_and(|age| elapsed(last.succeeded) >= age);
            if (old || self.peek().is_none()) && elapsed(last.begun) >= source.policy.min_interval {
                self.read(source, &mut last).await;
            }
            if self.is_over(&last) {
                return None;
            }
        }
        self.peek()
    }

    /// Returns the value for one use, by the lifetime that it states. While it is fresh, no caller
    /// waits. Once it is stale, one caller refreshes it and the others take the cached value. After
    /// its end, or if there is no value yet, all callers wait for one read.
    pub(crate) async fn valid(&self) -> Option<Arc<T>> {
        let (value, stage) = self.staged();
        let Some(source) = self.source.as_ref().filter(|_| stage != Stage::Fresh) else {
            return value;
        };
        let last = match stage {
            Stage::Stale => source.last.try_lock().ok(),
            Stage::Fresh | Stage::Over => Some(source.last.lock().await),
        };
        if let Some(mut last) = last {
            // Another caller may have refreshed the value while this caller waited for the lock.
            let (_, stage) = self.staged();
            if stage != Stage::Fresh && elapsed(last.begun) >= source.policy.min_interval {
                self.read(source, &mut last).await;
            }
        }
        let (value, stage) = self.staged();
        value.filter(|_| stage != Stage::Over)
    }

    /// Returns the cached value and its stage.
    fn staged(&self) -> (Option<Arc<T>>, Stage) {
        let value = self.peek();
        let lifetime = value.as_deref().map(|value| (self.lifetime)(value));
        let stage = match lifetime {
            None => Stage::Over,
            Some(None) => Stage::Fresh,
            Some(Some(Lifetime { refresh, end })) => match clock::now() {
                now if now >= end => Stage::Over,
                now if now >= refresh => Stage::Stale,
                _ => Stage::Fresh,
            },
        };
        (value, stage)
    }

    /// Returns `true` if the value is no longer valid: its own lifetime has ended, or the last
    /// successful read is too long ago.
    fn is_over(&self, last: &Last) -> bool {
        let valid_for = self.valid_for;
        let unconfirmed = valid_for.is_some_and(|longest| elapsed(last.succeeded) >= longest);
        unconfirmed || self.staged().1 == Stage::Over
    }

    /// Refreshes the value because a caller found `seen` wrong. A value that was refreshed since
    /// `seen` was taken is returned without another read.
    pub(crate) async fn refresh(&self, seen: &Arc<T>) -> Refresh<T> {
        let Some(source) = &self.source else {
            return Refresh::TooRecent;
        };
        let mut last = source.last.lock().await;
        let newer = || self.peek().filter(|cached| !Arc::ptr_eq(cached, seen));
        if newer().is_none() && elapsed(last.begun) >= source.policy.min_interval {
            self.read(source, &mut last).await;
        }
        match newer() {
            Some(newer) => Refresh::Refreshed(newer),
            None if last.failed => Refresh::Failed,
            None => Refresh::TooRecent,
        }
    }

    /// Reads the value from the source, and logs the result.
    async fn read(&self, source: &Source<T>, last: &mut Last) {
        // Set before the read, so that a read whose caller is dropped half-way counts as a failure.
        last.begun = Some(clock::now());
        last.failed = true;
        let limit = source.policy.timeout;
        let read = timeout(limit, (source.read)()).await;
        match read.unwrap_or_else(|_| Err(format!("no answer within {limit:?}").into())) {
            Ok(value) => {
                info!(what = self.name, "cached value read");
                last.succeeded = Some(clock::now());
                last.failed = false;
                let mut cached = self.value.write().unwrap_or_else(PoisonError::into_inner);
                *cached = Some(Arc::new(value));
            }
            Err(error) => {
                let (what, error) = (self.name, error_chain(&*error));
                let message = match (self.peek(), self.is_over(last)) {
                    (None, _) => "value could not be read",
                    (Some(_), true) => "value could not be read again; the cached value is too old",
                    (Some(_), false) => {
                        "value could not be read again; the cached value stays in use"
                    }
                };
                if let Some(metric) = self.failures {
                    error!(what, error, "{message}");
                    Measured::once(metric).emit();
                } else {
                    warn!(what, error, "{message}");
                }
            }
        }
    }
}

impl<T> fmt::Debug for Cached<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cached({})", self.name)
    }
}

/// Returns the time since `since`; the longest duration if there is no such time, or if the clock
/// has been set back.
fn elapsed(since: Option<SystemTime>) -> Duration {
    since
        .and_then(|since| clock::now().duration_since(since).ok())
        .unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    const HOUR: Duration = Duration::from_hours(1);

    /// A source that counts its reads, and fails while it is broken.
    #[derive(Clone, Default)]
    struct Counter {
        readings: Arc<AtomicU32>,
        broken: Arc<AtomicU32>,
    }

    impl Counter {
        fn cached(
            &self,
            first: Option<u32>,
            age: Option<Duration>,
            pause: Duration,
        ) -> Cached<u32> {
            let counter = self.clone();
            let policy = RefreshPolicy {
                max_age: age,
                min_interval: pause,
                timeout: Duration::from_secs(5),
            };
            Cached::new("counter", first, policy, move || {
                let reading = counter.readings.fetch_add(1, Ordering::Relaxed) + 1;
                let broken = counter.broken.load(Ordering::Relaxed) > 0;
                Box::pin(async move {
                    if broken {
                        Err("broken".into())
                    } else {
                        Ok(reading)
                    }
                })
            })
        }

        fn readings(&self) -> u32 {
            self.readings.load(Ordering::Relaxed)
        }

        fn break_it(&self, broken: bool) {
            self.broken.store(broken.into(), Ordering::Relaxed);
        }
    }

    #[tokio::test]
    async fn a_wrong_value_is_read_once_within_the_interval() {
        let counter = Counter::default();
        let cached = counter.cached(None, None, HOUR);
        let seen = cached.fresh().await.unwrap();
        for _ in 0..100 {
            assert!(matches!(cached.refresh(&seen).await, Refresh::TooRecent));
            assert_eq!(cached.fresh().await.as_deref(), Some(&1));
        }
        assert_eq!(counter.readings(), 1);
    }

    #[tokio::test]
    async fn callers_that_find_a_value_wrong_at_once_cause_one_read() {
        let counter = Counter::default();
        let cached = counter.cached(Some(0), None, Duration::ZERO);
        let seen = cached.peek().unwrap();
        let looks = async { tokio::join!(cached.refresh(&seen), cached.refresh(&seen)) };
        let (one, two) = looks.await;
        let values = [one, two].map(|refresh| match refresh {
            Refresh::Refreshed(value) => Some(*value),
            Refresh::TooRecent | Refresh::Failed => None,
        });
        assert_eq!(values, [Some(1), Some(1)]);
        assert_eq!(counter.readings(), 1);
    }

    #[tokio::test]
    async fn an_old_value_is_refreshed() {
        let counter = Counter::default();
        let young = counter.cached(Some(0), Some(HOUR), Duration::ZERO);
        assert_eq!(young.fresh().await.as_deref(), Some(&0));
        let old = counter.cached(Some(0), Some(Duration::ZERO), Duration::ZERO);
        assert_eq!(old.fresh().await.as_deref(), Some(&1));
        let paused = counter.cached(Some(0), Some(Duration::ZERO), HOUR);
        assert_eq!(paused.fresh().await.as_deref(), Some(&0));
    }

    #[tokio::test]
    async fn an_outage_leaves_the_cached_value_and_a_failed_refresh() {
        let counter = Counter::default();
        let cached = counter.cached(Some(0), Some(Duration::ZERO), Duration::ZERO);
        counter.break_it(true);
        let seen = cached.fresh().await.unwrap();
        assert_eq!(*seen, 0);
        assert!(matches!(cached.refresh(&seen).await, Refresh::Failed));
        counter.break_it(false);
        assert!(matches!(cached.refresh(&seen).await, Refresh::Refreshed(_)));
    }

    #[tokio::test]
    async fn a_value_that_is_not_read_again_is_valid_for_its_time() {
        let counter = Counter::default();
        let cached = |longest| {
            let cached = counter.cached(Some(0), Some(Duration::ZERO), Duration::ZERO);
            cached.valid_for(longest)
        };
        let (short, long) = (cached(Duration::ZERO), cached(HOUR));
        counter.break_it(true);
        assert!(short.fresh().await.is_none());
        assert_eq!(long.fresh().await.as_deref(), Some(&0));
        counter.break_it(false);
        assert!(long.fresh().await.is_some_and(|value| *value > 0));
    }

    #[tokio::test]
    async fn there_is_no_value_until_a_read_succeeds() {
        let counter = Counter::default();
        counter.break_it(true);
        let cached = counter.cached(None, None, Duration::ZERO);
        assert!(cached.fresh().await.is_none());
        counter.break_it(false);
        assert_eq!(cached.fresh().await.as_deref(), Some(&2));
    }

    /// A lifetime that is stale after `refresh` hours and over after `end` hours.
    fn life(refresh: i32, end: i32) -> Lifetime {
        let moment = |hours: i32| {
            let distance = HOUR * hours.unsigned_abs();
            if hours < 0 {
                clock::now() - distance
            } else {
                clock::now() + distance
            }
        };
        Lifetime {
            refresh: moment(refresh),
            end: moment(end),
        }
    }

    /// The first read gives a stale value, the second a value that is over, any other a fresh
    /// value.
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        clippy::unnecessary_wraps,
        reason = "the signature of `Cached::with_lifetime`"
    )]
    fn by_number(value: &u32) -> Option<Lifetime> {
        Some(match value {
            1 => life(-1, 1),
            2 => life(-2, -1),
            _ => life(1, 2),
        })
    }

    #[tokio::test]
    async fn a_value_is_refreshed_before_its_end_and_not_used_after_it() {
        let counter = Counter::default();
        let cached = counter
            .cached(None, None, Duration::ZERO)
            .with_lifetime(by_number);
        assert_eq!(cached.valid().await.as_deref(), Some(&1));
        assert_eq!(
            cached.valid().await.as_deref(),
            None,
            "the value that was read is over"
        );
        counter.break_it(true);
        assert_eq!(cached.valid().await.as_deref(), None);
        counter.break_it(false);
        for _ in 0..3 {
            assert_eq!(cached.valid().await.as_deref(), Some(&4));
        }
        assert_eq!(counter.readings(), 4);

        // A stale value stays in use during an outage.
        let counter = Counter::default();
        let cached = counter.cached(Some(1), None, HOUR).with_lifetime(by_number);
        let soon = counter
            .cached(Some(1), None, Duration::ZERO)
            .with_lifetime(by_number);
        counter.break_it(true);
        for cached in [cached, soon] {
            for _ in 0..3 {
                assert_eq!(cached.valid().await.as_deref(), Some(&1));
            }
        }
        assert_eq!(
            counter.readings(),
            3,
            "reads are no closer than the interval"
        );
    }

    /// A source that answers once `go` has a permit.
    fn held(
        first: Option<u32>,
        go: &Arc<tokio::sync::Semaphore>,
        lifetime: fn(&u32) -> Option<Lifetime>,
    ) -> (Arc<Cached<u32>>, Arc<AtomicU32>) {
        let (go, readings) = (Arc::clone(go), Arc::<AtomicU32>::default());
        let counted = Arc::clone(&readings);
        let policy = RefreshPolicy {
            max_age: None,
            min_interval: Duration::ZERO,
            timeout: HOUR,
        };
        let cached = Cached::new("held", first, policy, move || {
            let (go, readings) = (Arc::clone(&go), Arc::clone(&counted));
            Box::pin(async move {
                readings.fetch_add(1, Ordering::Relaxed);
                let _ = go.acquire().await?;
                Ok(3)
            })
        });
        (Arc::new(cached.with_lifetime(lifetime)), readings)
    }

    #[tokio::test]
    async fn many_callers_cause_one_read_and_wait_only_without_a_value() {
        let go = Arc::new(tokio::sync::Semaphore::new(0));
        for first in [None, Some(1)] {
            let (cached, readings) = held(first, &go, by_number);
            let mut waiting = tokio::task::JoinSet::new();
            for _ in 0..50 {
                let cached = Arc::clone(&cached);
                waiting.spawn(async move { cached.valid().await.map(|value| *value) });
            }
            if first.is_some() {
                for _ in 0..49 {
                    let used = waiting.join_next().await.unwrap().unwrap();
                    assert_eq!(used, first, "only the caller that reads waits");
                }
            }
            tokio::task::yield_now().await;
            go.add_permits(1);
            while let Some(used) = waiting.join_next().await {
                assert_eq!(used.unwrap(), Some(3));
            }
            assert_eq!(readings.load(Ordering::Relaxed), 1);
            go.forget_permits(1);
        }
    }

    #[tokio::test]
    async fn a_fixed_value_is_never_refreshed() {
        let cached = Cached::fixed("fixed", 7);
        let seen = cached.fresh().await.unwrap();
        assert!(matches!(cached.refresh(&seen).await, Refresh::TooRecent));
    }
}
