//! The body of a reply as it flows: watched for stalls, and held to its length.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::Body;
use tokio::time::{Instant, Sleep, sleep};

use super::Error;
use super::continuation::Continuation;
use super::counter::Counter;

/// A body as it flows: watched for stalls, and held to its length.
pub(super) struct Flow {
    body: reqwest::Body,
    /// Of this reply, and of all that the caller counts together.
    counters: [Counter; 2],
    /// Bytes that have been read and not yet taken.
    rest: Bytes,
    /// Bytes still to come from `body`, where the head gave a length.
    left: Option<u64>,
    /// Bytes that end the body if it does end there, which is still to be seen.
    last: Option<Bytes>,
    ended: bool,
    /// Set when `body` has come to its end.
    drained: bool,
    /// The replies that go on where `body` ends.
    continuation: Option<Continuation>,
    stall: Duration,
    /// Runs only while the source is waited for: time that S3 takes is not the source's.
    timer: Pin<Box<Sleep>>,
    waiting: bool,
}

impl Flow {
    pub(super) fn new(
        response: reqwest::Response,
        length: Option<u64>,
        continuation: Option<Continuation>,
        stall: Duration,
        counters: [Counter; 2],
    ) -> Self {
        Self {
            body: response.into(),
            counters,
            rest: Bytes::new(),
            left: length,
            last: None,
            ended: false,
            drained: false,
            continuation,
            stall,
            timer: Box::pin(sleep(stall)),
            waiting: false,
        }
    }

    /// Reads up to `most` bytes into memory.
    pub(super) async fn hold(mut self, most: usize) -> Result<Bytes, Error> {
        let mut held = BytesMut::new();
        while held.len() < most {
            let room = (most - held.len()) as u64;
            match poll_fn(|cx| self.poll_bytes(cx, room)).await.transpose()? {
                Some(bytes) => held.extend_from_slice(&bytes),
                None => break,
            }
        }
        Ok(held.freeze())
    }

    pub(super) fn put_back(&mut self, bytes: Bytes) {
        self.rest = bytes;
    }

    /// The next bytes, at most `most` and never none; `None` at the end.
    pub(super) fn poll_bytes(
        &mut self,
        cx: &mut Context<'_>,
        most: u64,
    ) -> Poll<Option<Result<Bytes, Error>>> {
        while self.rest.is_empty() {
            if self.ended {
                return Poll::Ready(None);
            }
            match ready!(self.poll_source(cx)) {
                Ok(Some(bytes)) => self.rest = bytes,
                Ok(None) => self.ended = true,
                Err(error) => {
                    self.ended = true;
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
        let most = usize::try_from(most)
            .unwrap_or(usize::MAX)
            .min(self.rest.len());
        Poll::Ready(Some(Ok(self.rest.split_to(most))))
    }

    /// The next bytes of the body, or of the one that goes on after it, once it is sure that they
    /// do not outgrow their reply's length.
    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Error>> {
        loop {
            if self.drained {
                let Some(continuation) = self.continuation.as_mut() else {
                    return Poll::Ready(Ok(None));
                };
                let Some((response, length)) = ready!(continuation.poll_reply(cx))? else {
                    return Poll::Ready(Ok(None));
                };
                self.body = response.into();
                self.left = Some(length);
                self.drained = false;
            }
            let frame = match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Pending => return self.poll_stall(cx),
                Poll::Ready(frame) => frame,
            };
            self.waiting = false;
            let Some(frame) = frame else {
                self.drained = true;
                match (self.last.take(), self.left) {
                    (Some(bytes), _) => return Poll::Ready(Ok(Some(bytes))),
                    (None, Some(missing)) if missing > 0 => {
                        return Poll::Ready(Err(Error::Truncated { missing }));
                    }
                    (None, _) => continue,
                }
            };
            let frame = frame.map_err(Error::http)?;
            let Ok(bytes) = frame.into_data() else {
                continue;
            };
            if bytes.is_empty() {
                continue;
            }
            for counter in &self.counters {
                counter.add(bytes.len() as u64);
            }
            let Some(left) = self.left else {
                return Poll::Ready(Ok(Some(bytes)));
            };
            let Some(left) = left.checked_sub(bytes.len() as u64) else {
                return Poll::Ready(Err(Error::Excess));
            };
            self.left = Some(left);
            if left > 0 || self.body.is_end_stream() {
                return Poll::Ready(Ok(Some(bytes)));
            }
            self.last = Some(bytes);
        }
    }

    fn poll_stall(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Error>> {
        if !self.waiting {
            self.waiting = true;
            self.timer.as_mut().reset(Instant::now() + self.stall);
        }
        ready!(self.timer.as_mut().poll(cx));
        Poll::Ready(Err(Error::Stalled(self.stall)))
    }
}

impl fmt::Debug for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flow")
            .field("left", &self.left)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}
