//! The flow of a reply's body: watched for stalls, and checked against its length.

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

/// The flow of a body.
pub(super) struct Flow {
    body: reqwest::Body,
    /// The counters of this reply and of the caller.
    counters: [Counter; 2],
    /// The bytes that have been read and not yet taken.
    rest: Bytes,
    /// The bytes still to come from `body`; `None` if the head gave no length.
    left: Option<u64>,
    /// The final frame, held back until the body is known to end.
    last: Option<Bytes>,
    ended: bool,
    /// `true` if `body` has come to its end.
    drained: bool,
    /// The replies that go on where `body` ends.
    continuation: Option<Continuation>,
    stall: Duration,
    /// The stall timer. It runs only while this waits for the source, so that a slow S3 does not
    /// count as a stall of the source.
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

    /// The next bytes, between one and `most`; `None` at the end.
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

    /// The next bytes of the body, or of the next reply's.
    ///
    /// The frame that completes the length is held back until the body has ended. S3's client stops
    /// reading at the length of a part: it would cut off a longer body silently, and the part would
    /// be stored as if the reply were sound.
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
                    // The body is complete: another reply may go on.
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
            // Counted before the length is checked: the network has carried these bytes in any
            // case.
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
            // A body that knows its end with this frame has no excess, so nothing is held back.
            if left > 0 || self.body.is_end_stream() {
                return Poll::Ready(Ok(Some(bytes)));
            }
            self.last = Some(bytes);
        }
    }

    /// Waits for the source: pending until the stall timer ends.
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
