//! Connections, and the faults that break them.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::header::HeaderValue;
use hyper::{Request, Response};
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::path::S3Path;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, S3Result, StdError, s3_error};
use tokio::sync::oneshot;

use super::body::declared_length;
use super::faults::{other, refusal};
use super::operations::Operations;
use super::state::State;
use super::{ACCESS_KEY_ID, Call, Fault, SECRET_ACCESS_KEY};
use crate::server::Server;

/// Starts a server for the buckets of `state`.
pub(super) async fn start(state: Arc<State>) -> Server {
    let mut builder = S3ServiceBuilder::new(Operations(Arc::clone(&state)));
    builder.set_auth(Keys);
    builder.set_access(Gate(Arc::clone(&state)));
    let s3 = builder.build();
    Server::serve(move |request| answer(Arc::clone(&state), s3.clone(), request)).await
}

/// Answers one request; an error closes the connection.
async fn answer(
    state: Arc<State>,
    s3: S3Service,
    request: Request<Incoming>,
) -> Result<Response<Body>, StdError> {
    // Recorded on arrival, so that requests that never end are seen.
    let call = state.calls().record(Call::new(&request));
    let fault = state.fault(&call);
    let (head, body) = request.into_parts();
    let mut body = Metered {
        state: Arc::clone(&state),
        object: (call.key.clone())
            .filter(|_| matches!(call.operation, "PutObject" | "UploadPart"))
            .filter(|_| state.has(&call.bucket))
            .map(|key| (call.bucket.clone(), key)),
        length: declared_length(&head.headers).unwrap_or(u64::MAX),
        wire: 0,
        body,
    };

    let mut response = match fault {
        None => serve(&s3, Request::from_parts(head, body)).await?,
        Some(Fault::Refuse { status, code }) => {
            body.read_until(u64::MAX).await;
            refusal(status, code)
        }
        Some(Fault::OkWithError { code }) => {
            body.read_until(u64::MAX).await;
            refusal(200, code)
        }
        Some(Fault::Answer { status, body: text }) => {
            body.read_until(u64::MAX).await;
            other(status, text)
        }
        Some(Fault::LoseAnswer) => {
            serve(&s3, Request::from_parts(head, body)).await?;
            return Err("the answer is lost".into());
        }
        Some(Fault::Hang(time)) => {
            tokio::time::sleep(time).await;
            return Err("the connection hung".into());
        }
        Some(Fault::CutBody { after }) => {
            body.read_until(after).await;
            return Err("the body is cut".into());
        }
    };

    if let Ok(id) = HeaderValue::from_str(&format!("{:016X}", call.serial)) {
        response.headers_mut().insert("x-amz-request-id", id);
    }
    let status = response.status().as_u16();
    state.calls().answered(call.serial, status);
    Ok(response)
}

async fn serve(s3: &S3Service, request: Request<Metered>) -> Result<Response<Body>, StdError> {
    let (give_back, returned) = oneshot::channel();
    let request = request.map(|body| {
        Body::http_body(Lent {
            body: Some(body),
            give_back: Some(give_back),
        })
    });
    let response = s3.call(request).await?;
    // An early refusal leaves the body unread. hyper would then close the connection, and the
    // client could receive a reset instead of the answer.
    if let Ok(mut rest) = returned.await {
        rest.read_until(u64::MAX).await;
    }
    Ok(response)
}

/// The body of a request, whose bytes are counted as they arrive.
struct Metered {
    state: Arc<State>,
    /// The bucket and key of a part or object.
    object: Option<(String, String)>,
    /// The length without framing; further bytes are not counted.
    length: u64,
    /// The bytes so far, framing included.
    wire: u64,
    body: Incoming,
}

impl Metered {
    async fn read_until(&mut self, wire: u64) {
        while self.wire < wire {
            let Some(Ok(_)) = self.frame().await else {
                break;
            };
        }
    }

    fn count(&mut self, bytes: usize) {
        let before = self.wire.min(self.length);
        self.wire += bytes as u64;
        let content = self.wire.min(self.length) - before;
        if let Some((bucket, key)) = &self.object {
            let mut store = self.state.store_of(bucket);
            *store.received.entry(key.clone()).or_default() += content;
        }
    }
}

impl HttpBody for Metered {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
        {
            self.count(data.len());
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A body that returns to its owner when `s3s` drops it.
struct Lent {
    body: Option<Metered>,
    give_back: Option<oneshot::Sender<Metered>>,
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let (Some(body), Some(give_back)) = (self.body.take(), self.give_back.take()) {
            let _ = give_back.send(body);
        }
    }
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map(HttpBody::size_hint)
            .unwrap_or_default()
    }
}

/// The lookup of the only access key.
struct Keys;

#[async_trait::async_trait]
impl S3Auth for Keys {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        if access_key == ACCESS_KEY_ID {
            Ok(SecretKey::from(SECRET_ACCESS_KEY))
        } else {
            Err(s3_error!(InvalidAccessKeyId, "no such access key id"))
        }
    }
}

/// The check that a request is signed and names an existing bucket.
struct Gate(Arc<State>);

#[async_trait::async_trait]
impl S3Access for Gate {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        if context.credentials().is_none() {
            return Err(s3_error!(AccessDenied, "the request is not signed"));
        }
        match context.s3_path() {
            S3Path::Bucket { bucket } | S3Path::Object { bucket, .. } if !self.0.has(bucket) => {
                Err(s3_error!(
                    NoSuchBucket,
                    "the specified bucket does not exist"
                ))
            }
            _ => Ok(()),
        }
    }
}
