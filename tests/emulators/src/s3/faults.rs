//! The faults that a test injects.

use std::time::Duration;

use hyper::{Response, StatusCode};
use s3s::{Body, S3Error, S3ErrorCode};

/// A fault of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Answers an S3 error. Reads the body of the request and does nothing.
    Refuse {
        /// The HTTP status.
        status: u16,
        /// The S3 error code, such as `SlowDown`.
        code: &'static str,
    },
    /// Answers an error of a proxy, which is no S3 error. Reads the body of the request and does
    /// nothing.
    Answer {
        /// The HTTP status.
        status: u16,
        /// The body.
        body: &'static str,
    },
    /// Executes the request, then closes the connection without an answer.
    LoseAnswer,
    /// Closes the connection without an answer after this time. Does nothing.
    Hang(Duration),
    /// Reads at most this many bytes of the body of the request, then closes the connection. Does
    /// nothing.
    CutBody {
        /// The number of bytes, framing included.
        after: u64,
    },
    /// Answers 200 with an error in the body, as `CompleteMultipartUpload` can. Does nothing.
    ///
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html>
    OkWithError {
        /// The S3 error code, such as `InternalError`.
        code: &'static str,
    },
}

impl Fault {
    /// A refusal of this status and code.
    pub const fn refuse(status: u16, code: &'static str) -> Self {
        Self::Refuse { status, code }
    }
}

/// A response that is no S3 error.
pub(super) fn other(status: u16, body: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(body.to_owned()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
    response
}

/// An S3 error as a response.
pub(super) fn refusal(status: u16, code: &'static str) -> Response<Body> {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let code = S3ErrorCode::from_bytes(code.as_bytes()).unwrap_or(S3ErrorCode::InternalError);
    let mut error = S3Error::with_message(code, "injected by the test");
    error.set_status_code(status);
    error.to_http_response().unwrap_or_else(|_| {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        response
    })
}
