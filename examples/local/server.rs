//! The local Function URL: passes an HTTP request to the function as a payload, and returns the
//! answer.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html>

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Instant, SystemTime};

use acs_recording_archiver::function::{Answer, Function};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use emulators::s3::S3;
use http_body_util::{BodyExt as _, Collected, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, HeaderMap};
use hyper::http::request;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use tokio::net::TcpListener;

use crate::client::Reply;
use crate::deliveries::Delivery;
use crate::progress::watched;
use crate::recordings::Recordings;
use crate::report::{beside, handshake, report};
use crate::screen::{columns, print};
use harness::embedded::{self, Embedded};

/// The longest payload of a function in bytes.
///
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
const MOST_BYTES: usize = 6 * 1024 * 1024;

/// The state of the Function URL.
pub(crate) struct Served {
    function: Function,
    s3: S3,
    recordings: Arc<Recordings>,
    /// `true` to report deliveries here; the run reports its own.
    reports: AtomicBool,
    /// The number of deliveries reported.
    count: AtomicUsize,
}

impl Served {
    /// The state for the function of `embedded`, which fetches `recordings`.
    pub(crate) fn new(embedded: &Embedded, recordings: &Arc<Recordings>) -> Arc<Self> {
        Arc::new(Self {
            function: embedded.function.clone(),
            s3: embedded.s3.clone(),
            recordings: Arc::clone(recordings),
            reports: AtomicBool::new(false),
            count: AtomicUsize::new(0),
        })
    }

    /// Reports each delivery from now on.
    pub(crate) fn report_all(&self) {
        self.reports.store(true, Ordering::Relaxed);
    }
}

/// Listens on this port of loopback, or on a free one.
pub(crate) async fn start(served: Arc<Served>, port: Option<u16>) -> Result<SocketAddr, String> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port.unwrap_or(0)));
    let failed = |error: io::Error| format!("{address}: {error}");
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let served = Arc::clone(&served);
            let service = service_fn(move |request| {
                let served = Arc::clone(&served);
                async move { Ok::<_, Infallible>(served.answer(request).await) }
            });
            // An error means that the caller has gone.
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    Ok(address)
}

impl Served {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let Ok(body) = Limited::new(body, MOST_BYTES).collect().await else {
            return plain(StatusCode::PAYLOAD_TOO_LARGE);
        };
        let body = body.to_bytes();
        if !self.reports.load(Ordering::Relaxed) {
            // The run has already published the documents of its delivery.
            return self.invoke(&head, &body).await;
        }
        let number = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        let headers = head.headers.iter().filter_map(|(name, value)| {
            Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
        });
        let delivery = Delivery {
            name: format!("{number}: {}", head.method),
            method: head.method.to_string(),
            headers: headers.collect(),
            body: body.to_vec(),
            ..Delivery::default()
        };
        let published = match self.recordings.publish(&body) {
            Ok(published) => published,
            Err(fault) => {
                print(beside(&delivery.name, &fault, columns()));
                return plain(StatusCode::INSUFFICIENT_STORAGE);
            }
        };
        let chunks = published.into_iter().flat_map(|recording| recording.chunks);
        let chunks: Vec<_> = chunks.collect();
        let started = Instant::now();
        let response = watched(&chunks, &self.s3, self.invoke(&head, &body)).await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.map(Collected::to_bytes);
        let body = body.unwrap_or_default();
        let reply = Reply::new(
            parts.status.as_u16(),
            parts.headers.clone(),
            &body,
            started.elapsed(),
        );
        let summary = match handshake(&delivery, &reply) {
            Some(Ok(said) | Err(said)) => said,
            None => reply.summary(),
        };
        report(&delivery, &reply, &summary, &self.s3);
        Response::from_parts(parts, Full::new(body))
    }

    async fn invoke(&self, head: &request::Parts, body: &Bytes) -> Response<Full<Bytes>> {
        let mut payload = embedded::payload(
            head.method.as_str(),
            head.uri.path(),
            head.uri.query().unwrap_or_default(),
            &joined(&head.headers),
            std::str::from_utf8(body).unwrap_or_default(),
        );
        // Lambda encodes a body that is not text in base64.
        if let Some(payload) = payload.as_object_mut()
            && std::str::from_utf8(body).is_err()
        {
            payload.insert("body".to_owned(), BASE64_STANDARD.encode(body).into());
            payload.insert("isBase64Encoded".to_owned(), true.into());
        }
        let Ok(payload) = RawValue::from_string(payload.to_string()) else {
            return plain(StatusCode::BAD_GATEWAY);
        };
        // The function reads a deadline of 1970 as unknown.
        match self.function.invoke(&payload, SystemTime::UNIX_EPOCH).await {
            Ok(Answer::Http(answer)) => {
                let body = answer.body.as_deref().map(Bytes::copy_from_slice);
                let mut response = Response::new(Full::new(body.unwrap_or_default()));
                let status = u16::try_from(answer.status_code).ok();
                let status = status.and_then(|status| StatusCode::from_u16(status).ok());
                *response.status_mut() = status.unwrap_or(StatusCode::BAD_GATEWAY);
                *response.headers_mut() = answer.headers;
                // hyper sets the length itself.
                response.headers_mut().remove(CONTENT_LENGTH);
                response
            }
            // Lambda answers 502 if a function fails. A request is never a tick.
            Ok(Answer::Tick(_)) | Err(_) => plain(StatusCode::BAD_GATEWAY),
        }
    }
}

fn plain(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

/// The headers in a payload: names in lower case, repeated values joined with commas.
///
/// <https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-payloads>
fn joined(headers: &HeaderMap) -> Value {
    let text = |name| {
        let values = headers.get_all(name).iter();
        let values: Vec<_> = values
            .map(|value| String::from_utf8_lossy(value.as_bytes()))
            .collect();
        values.join(",")
    };
    let fields: Map<String, Value> = headers
        .keys()
        .map(|name| (name.as_str().to_owned(), text(name).into()))
        .collect();
    fields.into()
}
