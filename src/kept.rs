//! A value that is read from elsewhere, kept, and read again: by age, and when something does not match it.
//!
//! The last good value is kept through an outage of where it comes from: without end, for as long
//! as it may be good without being confirmed, or until its own end.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use tokio::sync::Mutex;
use tokio::time::timeout;
use tracing::{error, info, warn};

use crate::chain::chain;
use crate::clock;
use crate::metrics::{Measured, Metric};

/// Any error, to be logged.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
/// One reading of the value.
pub type Reading<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;

/// How often a value is read, and for how long it is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// The age at which it is read again when it is next used; none where it does not age.
    pub age: Option<Duration>,
    /// The shortest time between two readings.
    pub pause: Duration,
    /// The longest time that one reading may take.
    pub patience: Duration,
}

/// The time for which a value is of use, by the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// From then on it is read again when it is next used.
    pub refresh: SystemTime,
    /// From then on it is of no use.
    pub end: SystemTime,
}

/// Where a value is in its lifetime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Fresh,
    Stale,
    Over,
}

/// A value that is read again while the function runs.
pub struct Kept<T> {
    /// Its name in the log.
    name: &'static str,
    source: Option<Source<T>>,
    value: RwLock<Option<Arc<T>>>,
    /// The longest time that a value is good after it was read; none where it is good without end.
    good_for: Option<Duration>,
    /// How long a value itself is of use, where it says so.
    lifetime: fn(&T) -> Option<Lifetime>,
    /// The metric of a reading that fails, which is then an error in the log and not a warning.
    alarm: Option<Metric>,
}

struct Source<T> {
    read: Box<dyn Fn() -> Reading<T> + Send + Sync>,
    pace: Pace,
    /// Held while the value is being read, so that many that find it wrong at once cause one reading.
    last: Mutex<Last>,
}

/// The last readings, by the wall clock: others stand still while Lambda has frozen the process.
#[derive(Clone, Copy, Default)]
struct Last {
    begun: Option<SystemTime>,
    succeeded: Option<SystemTime>,
    failed: bool,
}

/// What came of a look for a newer value.
#[derive(Debug)]
pub enum Look<T> {
    /// It has been read again.
    New(Arc<T>),
    /// It is as new as may be.
    Same,
    /// It could not be read, so nothing is known.
    Unknown,
}

impl<T> Kept<T> {
    /// A value that never changes.
    #[must_use]
    pub fn fixed(name: &'static str, value: T) -> Self {
        Self {
            name,
            source: None,
            value: RwLock::new(Some(Arc::new(value))),
            good_for: None,
            lifetime: |_| None,
            alarm: None,
        }
    }

    /// A value that `read` gives: `first` is what it gave just now, or nothing where that failed or was not tried.
    #[must_use]
    pub fn new(
        name: &'static str,
        first: Option<T>,
        pace: Pace,
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
                pace,
                last: Mutex::new(last),
            }),
            value: RwLock::new(first.map(Arc::new)),
            good_for: None,
            lifetime: |_| None,
            alarm: None,
        }
    }

    /// The same, but a value is good only for so long after it was read.
    #[must_use]
    pub fn good_for(self, longest: Duration) -> Self {
        Self {
            good_for: Some(longest),
            ..self
        }
    }

    /// The same, but a value says itself how long it is of use.
    #[must_use]
    pub fn lasting(self, lifetime: fn(&T) -> Option<Lifetime>) -> Self {
        Self { lifetime, ..self }
    }

    /// The same, but a reading that fails is an error, and is counted as `metric`.
    #[must_use]
    pub fn alarming(self, metric: Metric) -> Self {
        Self {
            alarm: Some(metric),
            ..self
        }
    }

    /// The last value that was read, without a look for a newer one or at its age.
    #[must_use]
    pub fn latest(&self) -> Option<Arc<T>> {
        // A panic elsewhere does not make the value wrong.
        self.value
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The value, read again where there is none or it is old. Where that fails it is the last one,
    /// or none if that is no longer good.
    pub async fn current(&self) -> Option<Arc<T>> {
        if let Some(source) = &self.source {
            let mut last = source.last.lock().await;
            let old = source
                .pace
                .age
                .is_some_and(|age| elapsed(last.succeeded) >= age);
            if (old || self.latest().is_none()) && elapsed(last.begun) >= source.pace.pause {
                self.read(source, &mut last).await;
            }
            if self.is_over(&last) {
                return None;
            }
        }
        self.latest()
    }

    /// The value for one use, by its own lifetime. While it is fresh, nobody waits. Ahead of its
    /// end, one caller reads it again and the others take what there is; after it, or where there
    /// is no value yet, all wait for one reading.
    pub async fn usable(&self) -> Option<Arc<T>> {
        let (value, stage) = self.staged();
        let Some(source) = self.source.as_ref().filter(|_| stage != Stage::Fresh) else {
            return value;
        };
        let last = match stage {
            Stage::Stale => source.last.try_lock().ok(),
            Stage::Fresh | Stage::Over => Some(source.last.lock().await),
        };
        if let Some(mut last) = last {
            // Another caller may have read it meanwhile.
            let (_, stage) = self.staged();
            if stage != Stage::Fresh && elapsed(last.begun) >= source.pace.pause {
                self.read(source, &mut last).await;
            }
        }
        let (value, stage) = self.staged();
        value.filter(|_| stage != Stage::Over)
    }

    /// The last value that was read, and where it is in its lifetime.
    fn staged(&self) -> (Option<Arc<T>>, Stage) {
        let value = self.latest();
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

    /// Returns `true` if the value is no longer good: it has ended, or has not been confirmed for
    /// too long.
    fn is_over(&self, last: &Last) -> bool {
        let good_for = self.good_for;
        let unconfirmed = good_for.is_some_and(|longest| elapsed(last.succeeded) >= longest);
        unconfirmed || self.staged().1 == Stage::Over
    }

    /// A newer value than `seen`, which something does not match.
    pub async fn other_than(&self, seen: &Arc<T>) -> Look<T> {
        let Some(source) = &self.source else {
            return Look::Same;
        };
        let mut last = source.last.lock().await;
        let newer = || self.latest().filter(|latest| !Arc::ptr_eq(latest, seen));
        if newer().is_none() && elapsed(last.begun) >= source.pace.pause {
            self.read(source, &mut last).await;
        }
        match newer() {
            Some(newer) => Look::New(newer),
            None if last.failed => Look::Unknown,
            None => Look::Same,
        }
    }

    async fn read(&self, source: &Source<T>, last: &mut Last) {
        // Noted before, so that a reading that is dropped half-way counts.
        last.begun = Some(clock::now());
        last.failed = true;
        let patience = source.pace.patience;
        let read = timeout(patience, (source.read)()).await;
        match read.unwrap_or_else(|_| Err(format!("no answer within {patience:?}").into())) {
            Ok(value) => {
                info!(what = self.name, "read");
                last.succeeded = Some(clock::now());
                last.failed = false;
                let mut kept = self.value.write().unwrap_or_else(PoisonError::into_inner);
                *kept = Some(Arc::new(value));
            }
            Err(error) => {
                let (what, error) = (self.name, chain(&*error));
                let message = match (self.latest(), self.is_over(last)) {
                    (None, _) => "could not be read",
                    (Some(_), true) => "could not be read again; what was last read is too old",
                    (Some(_), false) => "could not be read again; what was last read holds",
                };
                if let Some(metric) = self.alarm {
                    error!(what, error, "{message}");
                    Measured::once(metric).say();
                } else {
                    warn!(what, error, "{message}");
                }
            }
        }
    }
}

impl<T> fmt::Debug for Kept<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kept({})", self.name)
    }
}

/// The time since then: without end where it never was, or where the clock has been put back.
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

    /// A source that counts its readings and fails while it is told to.
    #[derive(Clone, Default)]
    struct Counter {
        readings: Arc<AtomicU32>,
        broken: Arc<AtomicU32>,
    }

    impl Counter {
        fn kept(&self, first: Option<u32>, age: Option<Duration>, pause: Duration) -> Kept<u32> {
            let counter = self.clone();
            let patience = Duration::from_secs(5);
            let pace = Pace {
                age,
                pause,
                patience,
            };
            Kept::new("counter", first, pace, move || {
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
    async fn a_mismatch_reads_once_within_the_pause() {
        let counter = Counter::default();
        let kept = counter.kept(None, None, HOUR);
        let seen = kept.current().await.unwrap();
        for _ in 0..100 {
            assert!(matches!(kept.other_than(&seen).await, Look::Same));
            assert_eq!(kept.current().await.as_deref(), Some(&1));
        }
        assert_eq!(counter.readings(), 1);
    }

    #[tokio::test]
    async fn many_that_find_it_wrong_at_once_cause_one_reading() {
        let counter = Counter::default();
        let kept = counter.kept(Some(0), None, Duration::ZERO);
        let seen = kept.latest().unwrap();
        let looks = async { tokio::join!(kept.other_than(&seen), kept.other_than(&seen)) };
        let (one, two) = looks.await;
        assert!(matches!((one, two), (Look::New(one), Look::New(two)) if *one == 1 && *two == 1));
        assert_eq!(counter.readings(), 1);
    }

    #[tokio::test]
    async fn age_reads_again() {
        let counter = Counter::default();
        let young = counter.kept(Some(0), Some(HOUR), Duration::ZERO);
        assert_eq!(young.current().await.as_deref(), Some(&0));
        let old = counter.kept(Some(0), Some(Duration::ZERO), Duration::ZERO);
        assert_eq!(old.current().await.as_deref(), Some(&1));
        let paused = counter.kept(Some(0), Some(Duration::ZERO), HOUR);
        assert_eq!(paused.current().await.as_deref(), Some(&0));
    }

    #[tokio::test]
    async fn an_outage_leaves_the_last_good_value_and_says_that_nothing_is_known() {
        let counter = Counter::default();
        let kept = counter.kept(Some(0), Some(Duration::ZERO), Duration::ZERO);
        counter.break_it(true);
        let seen = kept.current().await.unwrap();
        assert_eq!(*seen, 0);
        assert!(matches!(kept.other_than(&seen).await, Look::Unknown));
        counter.break_it(false);
        assert!(matches!(kept.other_than(&seen).await, Look::New(_)));
    }

    #[tokio::test]
    async fn a_value_that_is_not_confirmed_is_good_for_its_time_and_no_longer() {
        let counter = Counter::default();
        let kept = |longest| {
            let kept = counter.kept(Some(0), Some(Duration::ZERO), Duration::ZERO);
            kept.good_for(longest)
        };
        let (short, long) = (kept(Duration::ZERO), kept(HOUR));
        counter.break_it(true);
        assert!(short.current().await.is_none());
        assert_eq!(long.current().await.as_deref(), Some(&0));
        counter.break_it(false);
        assert!(long.current().await.is_some_and(|value| *value > 0));
    }

    #[tokio::test]
    async fn nothing_is_there_until_a_reading_succeeds() {
        let counter = Counter::default();
        counter.break_it(true);
        let kept = counter.kept(None, None, Duration::ZERO);
        assert!(kept.current().await.is_none());
        counter.break_it(false);
        assert_eq!(kept.current().await.as_deref(), Some(&2));
    }

    /// A lifetime that is stale, or over, so many hours from now.
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

    /// The first reading gives a value that is stale, the second one that is over, and the others
    /// one that is fresh.
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        clippy::unnecessary_wraps,
        reason = "so that it is a lifetime like any"
    )]
    fn by_number(value: &u32) -> Option<Lifetime> {
        Some(match value {
            1 => life(-1, 1),
            2 => life(-2, -1),
            _ => life(1, 2),
        })
    }

    #[tokio::test]
    async fn a_value_is_read_again_ahead_of_its_end_and_not_used_after_it() {
        let counter = Counter::default();
        let kept = counter.kept(None, None, Duration::ZERO).lasting(by_number);
        assert_eq!(kept.usable().await.as_deref(), Some(&1));
        assert_eq!(
            kept.usable().await.as_deref(),
            None,
            "what was read is over"
        );
        counter.break_it(true);
        assert_eq!(kept.usable().await.as_deref(), None);
        counter.break_it(false);
        for _ in 0..3 {
            assert_eq!(kept.usable().await.as_deref(), Some(&4));
        }
        assert_eq!(counter.readings(), 4);

        // One that is stale holds through an outage.
        let counter = Counter::default();
        let kept = counter.kept(Some(1), None, HOUR).lasting(by_number);
        let soon = counter
            .kept(Some(1), None, Duration::ZERO)
            .lasting(by_number);
        counter.break_it(true);
        for kept in [kept, soon] {
            for _ in 0..3 {
                assert_eq!(kept.usable().await.as_deref(), Some(&1));
            }
        }
        assert_eq!(
            counter.readings(),
            3,
            "and is tried no more often than may be"
        );
    }

    /// A source that answers once it is told to.
    fn held(
        first: Option<u32>,
        go: &Arc<tokio::sync::Semaphore>,
        lifetime: fn(&u32) -> Option<Lifetime>,
    ) -> (Arc<Kept<u32>>, Arc<AtomicU32>) {
        let (go, readings) = (Arc::clone(go), Arc::<AtomicU32>::default());
        let counted = Arc::clone(&readings);
        let pace = Pace {
            age: None,
            pause: Duration::ZERO,
            patience: HOUR,
        };
        let kept = Kept::new("held", first, pace, move || {
            let (go, readings) = (Arc::clone(&go), Arc::clone(&counted));
            Box::pin(async move {
                readings.fetch_add(1, Ordering::Relaxed);
                let _ = go.acquire().await?;
                Ok(3)
            })
        });
        (Arc::new(kept.lasting(lifetime)), readings)
    }

    #[tokio::test]
    async fn many_that_want_a_value_cause_one_reading_and_wait_only_where_there_is_none() {
        let go = Arc::new(tokio::sync::Semaphore::new(0));
        for first in [None, Some(1)] {
            let (kept, readings) = held(first, &go, by_number);
            let mut waiting = tokio::task::JoinSet::new();
            for _ in 0..50 {
                let kept = Arc::clone(&kept);
                waiting.spawn(async move { kept.usable().await.map(|value| *value) });
            }
            if first.is_some() {
                for _ in 0..49 {
                    let used = waiting.join_next().await.unwrap().unwrap();
                    assert_eq!(used, first, "nobody waits but the one who reads");
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
    async fn what_is_fixed_is_as_new_as_may_be() {
        let kept = Kept::fixed("fixed", 7);
        let seen = kept.current().await.unwrap();
        assert!(matches!(kept.other_than(&seen).await, Look::Same));
    }
}
