//! The body of an open reply, read in pieces and never held in memory as a whole.
//!
//! If a reply covers only the beginning of the requested range, the body goes on with the replies
//! to further requests. A reader of the body does not notice.
//!
//! A [`Piece`] is the body of a part: exactly so many bytes of the source, or an error. The error
//! of a piece stays with the download, so that a fault of the source is told from a fault of S3.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use crc_fast::{CrcAlgorithm, Digest};
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use super::Error;
use super::continuation::Continuation;
use super::counter::Counter;
use super::flow::Flow;
use super::reply::{Extent, Head};

/// A reply whose head has been verified, and whose body is still to be read.
#[derive(Debug)]
pub(crate) struct Download {
    head: Head,
    received: Counter,
    shared: Arc<Mutex<Shared>>,
}

/// The state that a download shares with its pieces.
#[derive(Debug)]
struct Shared {
    flow: Flow,
    failure: Option<Error>,
    moved: Instant,
}

impl Download {
    pub(super) fn new(
        head: Head,
        response: reqwest::Response,
        rest: Option<Continuation>,
        stall: Duration,
        all: &Counter,
    ) -> Self {
        let received = Counter::default();
        let counters = [received.clone(), all.clone()];
        let flow = Flow::new(response, head.body_length(), rest, stall, counters);
        let shared = Shared {
            flow,
            failure: None,
            moved: Instant::now(),
        };
        Self {
            head,
            received,
            shared: Arc::new(Mutex::new(shared)),
        }
    }

    /// The head of the reply; of the first reply, if several cover the range.
    pub(crate) fn head(&self) -> &Head {
        &self.head
    }

    /// The bytes that the reply covers; the first reply, if several cover the range.
    pub(crate) fn extent(&self) -> &Extent {
        &self.head.extent
    }

    /// The next `length` bytes, as the body of a part. Pieces are read one after another, each to
    /// its end.
    pub(crate) fn piece(&self, length: u64) -> Piece {
        lock(&self.shared).moved = Instant::now();
        Piece {
            shared: Arc::clone(&self.shared),
            left: length,
        }
    }

    /// Reads up to `most` bytes into memory, fewer only at the end of the body. The bytes are not
    /// consumed: the next piece, or the next `peek`, begins with them.
    pub(crate) async fn peek(&self, most: usize) -> Result<Bytes, Error> {
        let mut held = BytesMut::new();
        while held.len() < most {
            let next = poll_fn(|cx| lock(&self.shared).flow.poll_bytes(cx, u64::MAX)).await;
            match next.transpose()? {
                Some(bytes) => held.extend_from_slice(&bytes),
                None => break,
            }
        }
        // All bytes go back, also those of the last frame beyond `most`.
        let mut held = held.freeze();
        lock(&self.shared).flow.put_back(held.clone());
        held.truncate(most);
        Ok(held)
    }

    /// Reads `length` bytes, drops them, and returns their CRC64NVME.
    pub(crate) async fn skip(&self, length: u64) -> Result<u64, Error> {
        let mut crc64nvme = Digest::new(CrcAlgorithm::Crc64Nvme);
        let mut left = length;
        while left > 0 {
            let next = poll_fn(|cx| lock(&self.shared).flow.poll_bytes(cx, left)).await;
            let bytes = next
                .transpose()?
                .ok_or(Error::Truncated { missing: left })?;
            crc64nvme.update(&bytes);
            left = left.saturating_sub(bytes.len() as u64);
        }
        Ok(crc64nvme.finalize())
    }

    /// The error of the source that the last piece ended with, if any.
    pub(crate) fn take_failure(&self) -> Option<Error> {
        lock(&self.shared).failure.take()
    }

    /// The time at which a byte was last taken from the body.
    pub(crate) fn moved(&self) -> Instant {
        lock(&self.shared).moved
    }

    /// The counter of the bytes of this reply that have come so far.
    pub(crate) fn received(&self) -> &Counter {
        &self.received
    }
}

/// The body of a part: exactly so many bytes of a download.
#[derive(Debug)]
pub(crate) struct Piece {
    shared: Arc<Mutex<Shared>>,
    left: u64,
}

/// The failure of a piece. The download holds the cause.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("source failed")]
pub(crate) struct SourceFailed;

impl Body for Piece {
    type Data = Bytes;
    type Error = SourceFailed;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, SourceFailed>>> {
        let left = self.left;
        if left == 0 {
            return Poll::Ready(None);
        }
        let mut shared = lock(&self.shared);
        let next = ready!(shared.flow.poll_bytes(cx, left));
        let next = next.unwrap_or(Err(Error::Truncated { missing: left }));
        match next {
            Ok(bytes) => {
                let taken = bytes.len() as u64;
                shared.moved = Instant::now();
                drop(shared);
                self.left = left.saturating_sub(taken);
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Err(error) => {
                // Kept here, since the S3 client reports only that the body failed.
                shared.failure = Some(error);
                Poll::Ready(Some(Err(SourceFailed)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    // A panic elsewhere does not make the bytes wrong.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
