use std::{
    collections::VecDeque,
    convert::Infallible,
    future::pending,
    ops::Range,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt as _, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::Frame;
use tokio::time::{Instant, sleep, sleep_until};

use crate::media::Media;
use crate::server::lock;

/// How much is made at once.
const BLOCK: u64 = 64 * 1024;

static SPACES: [u8; 64 * 1024] = [b' '; 64 * 1024];

pub(super) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Tells a connection to break off as soon as all it was given has gone out, or to disguise an
/// answer's version.
#[derive(Clone, Debug, Default)]
pub(super) struct Cut(Arc<Signals>);

#[derive(Debug, Default)]
struct Signals {
    due: AtomicBool,
    disguised: AtomicBool,
}

impl Cut {
    pub(super) fn is_due(&self) -> bool {
        self.0.due.load(Ordering::Relaxed)
    }

    /// The next answer is written as HTTP/1.0 and is to be sent as HTTP/1.1.
    pub(super) fn disguise(&self) {
        self.0.disguised.store(true, Ordering::Relaxed);
    }

    /// Returns `true`, once, if the bytes that are written next begin such an answer.
    pub(super) fn take_disguise(&self) -> bool {
        self.0.disguised.swap(false, Ordering::Relaxed)
    }
}

/// Where bytes come from.
#[derive(Clone, Debug)]
pub(super) enum Source {
    Media { media: Media, sent: Arc<AtomicU64> },
    Bytes(Bytes),
    Spaces,
}

impl Source {
    fn bytes(&self, range: Range<u64>) -> Bytes {
        match self {
            Self::Media { media, sent } => {
                let bytes = media.bytes(range);
                sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                bytes
            }
            Self::Bytes(bytes) => bytes.slice(size(range.start)..size(range.end)),
            Self::Spaces => Bytes::from_static(&SPACES).slice(..size(range.end - range.start)),
        }
    }
}

/// One thing that sending a body consists of.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Send { source: Source, range: Range<u64> },
    Pause(Duration),
    Cut,
}

/// Puts a step after the first `after` bytes; a body that ends before stays as it is.
pub(super) fn insert(steps: &mut Vec<Step>, mut after: u64, step: Step) {
    for index in 0..steps.len() {
        let Step::Send { source, range } = &steps[index] else {
            continue;
        };
        let length = range.end - range.start;
        if after < length {
            let middle = range.start + after;
            let before = Step::Send {
                source: source.clone(),
                range: range.start..middle,
            };
            let behind = Step::Send {
                source: source.clone(),
                range: middle..range.end,
            };
            steps.splice(index..=index, [before, step, behind]);
            return;
        }
        after -= length;
    }
}

/// Ends a body after its first `after` bytes.
pub(super) fn truncate(steps: &mut Vec<Step>, mut after: u64) {
    for step in &mut *steps {
        if let Step::Send { range, .. } = step {
            range.end = range.end.min(range.start.saturating_add(after));
            after -= range.end - range.start;
        }
    }
}

/// The number of bytes that these steps send.
pub(super) fn length(steps: &[Step]) -> u64 {
    steps
        .iter()
        .map(|step| match step {
            Step::Send { range, .. } => range.end - range.start,
            Step::Pause(_) | Step::Cut => 0,
        })
        .sum()
}

/// How fast bodies are sent.
#[derive(Debug)]
pub(super) struct RateLimit {
    /// Of one body, in bytes a second.
    each: Option<u64>,
    /// Of all bodies together, in bytes a second, and the moment up to which it is used up.
    total: Option<(u64, Mutex<Instant>)>,
}

impl RateLimit {
    pub(super) fn new(each: Option<u64>, total: Option<u64>) -> Self {
        let total = total.map(|limit| (limit, Mutex::new(Instant::now())));
        Self { each, total }
    }

    /// The bytes that are made at once.
    fn block(&self) -> u64 {
        let limits = [self.each, self.total.as_ref().map(|(limit, _)| *limit)];
        let slowest = limits.into_iter().flatten().min();
        slowest.map_or(BLOCK, |limit| (limit / 20).clamp(1, BLOCK))
    }

    /// Waits until the share of all bodies together has so many bytes more.
    async fn share(&self, bytes: u64) {
        let Some((limit, used)) = &self.total else {
            return;
        };
        let until = {
            let mut used = lock(used);
            *used = (*used).max(Instant::now()) + time_for(bytes, *limit);
            *used
        };
        sleep_until(until).await;
    }
}

/// A body that takes these steps at that pace.
pub(super) fn body(steps: Vec<Step>, rate_limit: Arc<RateLimit>, cut: Cut) -> Body {
    let sending = Sending {
        steps: steps.into(),
        rate_limit,
        since: Instant::now(),
        sent: 0,
        cut,
    };
    let blocks = stream::unfold(sending, |mut sending| async {
        let block = sending.next().await?;
        Some((Ok(Frame::data(block)), sending))
    });
    StreamBody::new(blocks).boxed_unsync()
}

struct Sending {
    steps: VecDeque<Step>,
    rate_limit: Arc<RateLimit>,
    since: Instant,
    sent: u64,
    cut: Cut,
}

impl Sending {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            match self.steps.front_mut()? {
                Step::Send { range, .. } if range.is_empty() => {
                    self.steps.pop_front();
                }
                Step::Send { source, range } => {
                    let block = self.rate_limit.block();
                    let start = range.start;
                    range.start = range.end.min(start + block);
                    let (source, range) = (source.clone(), start..range.start);
                    self.sent += range.end - range.start;
                    if let Some(limit) = self.rate_limit.each {
                        sleep_until(self.since + time_for(self.sent, limit)).await;
                    }
                    self.rate_limit.share(range.end - range.start).await;
                    return Some(source.bytes(range));
                }
                Step::Pause(pause) => {
                    sleep(*pause).await;
                    self.steps.pop_front();
                    // What the pause held back must not come all at once.
                    self.since = Instant::now();
                    self.sent = 0;
                }
                Step::Cut => {
                    // An error here would throw away what hyper still holds; waiting makes it flush.
                    self.cut.0.due.store(true, Ordering::Relaxed);
                    pending::<()>().await;
                }
            }
        }
    }
}

fn time_for(bytes: u64, bytes_per_second: u64) -> Duration {
    let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(bytes_per_second.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

fn size(length: u64) -> usize {
    usize::try_from(length).expect("the range fits in memory")
}
