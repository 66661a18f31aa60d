//! The rest of a range whose reply is shorter than the request.
//!
//! A 206 may cover less than was requested. Further requests ask for the rest. Each is signed anew,
//! and each reply is verified like the first, so that a reader of the bytes sees one body.
//!
//! <https://www.rfc-editor.org/rfc/rfc9110#section-15.3.7>

use std::fmt;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::time::timeout;

use super::reply::{Asked, Extent, Head};
use super::{Client, Error, Source};

/// The largest number of further replies to one range: enough for a part of 16 MiB from a source
/// that sends 64 KiB at a time, and few enough that a source of single bytes cannot keep a run
/// busy.
const MOST_REPLIES: u32 = 256;

type Reply = Result<(Head, reqwest::Response), Error>;

/// The bytes of a range that no reply has covered yet.
pub(super) struct Continuation {
    client: Client,
    source: Source,
    /// Half-open.
    range: Range<u64>,
    /// The document's length, in bytes.
    total: u64,
    etag: Option<String>,
    replies: u32,
    /// The request in flight.
    opening: Option<Pin<Box<dyn Future<Output = Reply> + Send>>>,
}

impl Continuation {
    /// The rest of the range `asked` after a reply with this `head`; `None` if nothing is left.
    pub(super) fn after(
        head: &Head,
        asked: Option<&Range<u64>>,
        client: &Client,
        source: &Source,
    ) -> Option<Self> {
        let (Some(asked), Extent::Range { range, total }) = (asked, &head.extent) else {
            return None;
        };
        // A range that ends after the document is cut at its end.
        let range = range.end..asked.end.min(*total);
        (!range.is_empty()).then(|| Self {
            client: client.clone(),
            source: source.clone(),
            range,
            total: *total,
            etag: head.etag.clone(),
            replies: 0,
            opening: None,
        })
    }

    /// The next reply and the length of its body, in bytes; `None` once the range is covered.
    pub(super) fn poll_reply(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<(reqwest::Response, u64)>, Error>> {
        if self.range.is_empty() {
            return Poll::Ready(Ok(None));
        }
        if self.opening.is_none() {
            self.replies += 1;
            if self.replies > MOST_REPLIES {
                return Poll::Ready(Err(Error::Scraps {
                    replies: MOST_REPLIES,
                }));
            }
        }
        let (client, source) = (&self.client, &self.source);
        let (range, total) = (&self.range, self.total);
        let opening = self.opening.get_or_insert_with(|| {
            let ask = ask(client.clone(), source.clone(), range.clone(), total);
            Box::pin(ask)
        });
        let reply = ready!(opening.as_mut().poll(cx));
        self.opening = None;
        let (head, response) = reply?;
        let length = self.advance(&head)?;
        Poll::Ready(Ok(Some((response, length))))
    }

    /// Takes the bytes of a reply off the range, and returns their number. Fails if the document
    /// has changed.
    fn advance(&mut self, head: &Head) -> Result<u64, Error> {
        let Extent::Range { range, total } = &head.extent else {
            return Err(Error::RangeIgnored);
        };
        let same_etag = match (&self.etag, &head.etag) {
            (Some(first), Some(now)) => first == now,
            // A missing ETag says nothing: ACS does not document ETags.
            _ => true,
        };
        if *total != self.total || !same_etag {
            return Err(Error::Changed);
        }
        self.range.start = range.end;
        Ok(range.end - range.start)
    }
}

/// Requests the next bytes of a range. A stall limits the time with all redirects, since a reader
/// waits for the bytes of one body.
async fn ask(client: Client, source: Source, range: Range<u64>, total: u64) -> Reply {
    let asked = Asked {
        document: source.document,
        range: Some(&range),
        length: Some(total),
    };
    let stall = client.stall;
    let reply = timeout(stall, client.reply(&source, asked));
    match reply.await.unwrap_or(Err(Error::Stalled(stall))) {
        Err(Error::BeyondEnd { .. }) => Err(Error::Changed),
        reply => reply,
    }
}

impl fmt::Debug for Continuation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Continuation")
            .field("range", &self.range)
            .field("total", &self.total)
            .field("replies", &self.replies)
            .finish_non_exhaustive()
    }
}
