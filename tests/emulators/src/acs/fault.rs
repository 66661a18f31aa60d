use std::time::Duration;

use bytes::Bytes;

/// A fault of a request.
///
/// The first three replace the answer before the signature is checked. The others change the
/// answer, a file or an error; offsets into a body count from the first byte sent.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Sends this answer, with a `Content-Length` unless the headers contain a framing header or
    /// the status allows no body.
    Answer {
        /// The status.
        status: u16,
        /// The headers, without date and length.
        headers: Vec<(&'static str, String)>,
        /// The body.
        body: Bytes,
    },
    /// Closes the connection without an answer.
    Close,
    /// Closes the connection without an answer after this time.
    Hang(Duration),
    /// Breaks the connection after this many bytes of the body (over TLS, without a close alert). A
    /// body that is no longer than that stays complete.
    CutBody {
        /// The number of bytes.
        after: u64,
    },
    /// Pauses after this many bytes of the body.
    StallBody {
        /// The number of bytes.
        after: u64,
        /// The length of the pause.
        stall: Duration,
    },
    /// Sends the body in chunked encoding, with more bytes than its `Content-Range` says.
    LongerBody {
        /// The number of bytes added.
        extra: u64,
    },
    /// Sends the body without a length and without chunked encoding, then closes the connection in
    /// good order (over TLS, with a close alert) after this many bytes or at the end.
    CloseBody {
        /// The number of bytes.
        after: u64,
    },
    /// Replaces, adds or removes headers. Under another `Content-Length`, a longer body is
    /// truncated and a shorter one breaks off.
    Headers(Vec<(&'static str, Option<String>)>),
    /// Answers as if there were no `Range`: 200 and the complete file, with its length.
    IgnoreRange,
    /// Answers 200 and the complete file in chunked encoding, followed by spaces without an end.
    EndlessBody,
}

impl Fault {
    /// An answer with this body and no headers of its own.
    pub fn answer(status: u16, body: &'static str) -> Self {
        Self::Answer {
            status,
            headers: vec![],
            body: body.into(),
        }
    }

    /// An answer with these headers and this body.
    #[must_use]
    pub fn answer_with(status: u16, headers: &[(&'static str, &str)], body: &'static str) -> Self {
        let headers = headers.iter();
        Self::Answer {
            status,
            headers: headers
                .map(|(name, value)| (*name, (*value).to_owned()))
                .collect(),
            body: body.into(),
        }
    }

    /// An answer that redirects to this location.
    pub fn redirect(status: u16, location: &str) -> Self {
        Self::Answer {
            status,
            headers: vec![("location", location.to_owned())],
            body: "".into(),
        }
    }
}
