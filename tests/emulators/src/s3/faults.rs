//! What can be made to fail.

use std::time::Duration;

use hyper::{Response, StatusCode};
use s3s::{Body, S3Error, S3ErrorCode};

/// A way for one request to fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Answers an S3 error before anything was done. The request's body is read first.
    Refuse {
        /// The HTTP status.
        status: u16,
        /// The S3 error code, such as `SlowDown`.
        code: &'static str,
    },
    /// Answers something that is no S3 error, as a proxy does, before anything was done. The
    /// request's body is read first.
    Answer {
        /// The HTTP status.
        status: u16,
        /// The body.
        body: &'static str,
    },
    /// Does the work, then closes the connection without an answer.
    LoseAnswer,
    /// Does nothing for this long, then closes the connection.
    Hang(Duration),
    /// Reads this many bytes of the request's body, or all of it if it is shorter, then closes the
    /// connection. Nothing was done.
    CutBody {
        /// How many bytes, as they come over the wire.
        after: u64,
    },
    /// Answers 200 with an error as the body, as `CompleteMultipartUpload` can. Nothing was done.
    OkWithError {
        /// The S3 error code, such as `InternalError`.
        code: &'static str,
    },
}

/// A response of no S3's.
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
