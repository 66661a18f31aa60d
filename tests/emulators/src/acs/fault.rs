use std::time::Duration;

use bytes::Bytes;

/// What goes wrong with a request.
///
/// The first three come before the signature is looked at. The others change what would truly have been answered,
/// be that the content or an error; offsets into a body count from the first byte sent, not from that of the media.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Exactly this answer. Its length is sent, unless the headers give one or there can be no body.
    Answer {
        /// The status.
        status: u16,
        /// All headers but the date and the length.
        headers: Vec<(&'static str, String)>,
        /// The body.
        body: Bytes,
    },
    /// The connection is closed without an answer.
    Close,
    /// No answer for this long, then the connection is closed.
    Hang(Duration),
    /// The true head, this many bytes of the body, then the connection is closed without an end (over TLS, without
    /// a close alert). A body that is no longer than that is whole.
    CutBody {
        /// The number of bytes.
        after: u64,
    },
    /// The true answer, with a pause after this many bytes of the body.
    StallBody {
        /// The number of bytes.
        after: u64,
        /// How long the pause is.
        stall: Duration,
    },
    /// The true answer, chunked, with more bytes than its `Content-Range` says.
    LongerBody {
        /// How many more.
        extra: u64,
    },
    /// The true answer without a length or chunks: this many bytes of the body, or all, and the
    /// connection is closed in good order (over TLS, with a close alert).
    CloseBody {
        /// The number of bytes.
        after: u64,
    },
    /// The true answer with headers put in place of true ones (or added), or taken away. With another
    /// `Content-Length`, a body that is too long is cut to it and one that is too short breaks off.
    Headers(Vec<(&'static str, Option<String>)>),
    /// 200, the whole body and its length, as if there were no `Range`.
    IgnoreRange,
    /// 200 and a chunked body that never ends: the true one, then spaces.
    EndlessBody,
}
