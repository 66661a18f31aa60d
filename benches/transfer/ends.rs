//! Both ends of a transfer over TLS, in a process of their own and as cheap as they can be: a source that knows ranges, and
//! a sink that knows just enough of S3. What they check is left to the tests' emulators.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use emulators::certificates::Authority;
use futures_util::stream;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{
    CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderName, IF_MATCH, IF_NONE_MATCH, RANGE,
};
use hyper::http::HeaderValue;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// The ETag of every object of the sink.
const ETAG_OF_ALL: &str = "\"e\"";
/// Bytes that the source writes at a time.
const BLOCK: usize = 256 * 1024;

type Body = BoxBody<Bytes, Infallible>;

/// How the source behaves, as the environment of its process says.
#[derive(Clone, Copy)]
struct Source {
    /// Bytes a second of each connection; 0 for no limit.
    rate: u64,
    latency: Duration,
}

/// What the sink holds.
#[derive(Default)]
struct Sink {
    objects: HashMap<String, Object>,
    parts: HashMap<u32, (u64, String)>,
    metadata: HashMap<String, HeaderValue>,
    calls: HashMap<&'static str, u64>,
}

#[derive(Clone, Default)]
struct Object {
    body: Bytes,
    size: u64,
    metadata: HashMap<String, HeaderValue>,
}

/// Serves both until the process is killed; first says on standard output where.
pub async fn serve(authority: &Authority) {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or(0)
    };
    let source = Source {
        rate: number("BENCH_RATE"),
        latency: Duration::from_millis(number("BENCH_LATENCY_MS")),
    };
    let tls = authority.server(&["localhost"]);
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("loopback has a free port");
    println!(
        "{}",
        listener
            .local_addr()
            .expect("a listener has an address")
            .port()
    );
    print!("{}", authority.pem());
    println!("END");
    std::io::stdout().flush().expect("the parent reads");
    let sink = Arc::new(Mutex::new(Sink::default()));
    let tls = TlsAcceptor::from(tls);
    loop {
        let Ok((connection, _)) = listener.accept().await else {
            continue;
        };
        tokio::spawn(connected(
            connection,
            tls.clone(),
            source,
            Arc::clone(&sink),
        ));
    }
}

async fn connected(
    connection: TcpStream,
    tls: TlsAcceptor,
    source: Source,
    sink: Arc<Mutex<Sink>>,
) {
    let _ = connection.set_nodelay(true);
    let Ok(connection) = tls.accept(connection).await else {
        return;
    };
    let service = service_fn(move |request: Request<Incoming>| {
        let sink = Arc::clone(&sink);
        async move {
            let path = request.uri().path();
            Ok::<_, Infallible>(
                if path.starts_with("/recording/") || path.starts_with("/source/") {
                    source.answer(&request).await
                } else {
                    answer(request, &sink).await
                },
            )
        }
    });
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(connection), service)
        .await;
}

impl Source {
    /// `…/{length}-{anything}` is a document of that length. Of one whose name ends in `unsaid`,
    /// neither length nor ranges are told.
    async fn answer(self, request: &Request<Incoming>) -> Response<Body> {
        tokio::time::sleep(self.latency).await;
        let path = request.uri().path();
        if path.ends_with("/metadata") {
            return json("{\"chunk\":0}");
        }
        let name = path.rsplit('/').next().unwrap_or_default();
        let total: u64 = name
            .split('-')
            .next()
            .and_then(|length| length.parse().ok())
            .unwrap_or(0);
        if name.ends_with("-unsaid") {
            let mut response = Response::new(self.body(total));
            let mp4 = HeaderValue::from_static("video/mp4");
            response.headers_mut().insert(CONTENT_TYPE, mp4);
            return response;
        }
        let range = request
            .headers()
            .get(RANGE)
            .and_then(|range| range.to_str().ok()?.strip_prefix("bytes=")?.split_once('-'));
        let range = range.and_then(|(first, last)| {
            Some((first.parse::<u64>().ok()?, last.parse::<u64>().ok()?))
        });
        let (status, first, last) = match range {
            Some((first, last)) => (StatusCode::PARTIAL_CONTENT, first, last.min(total - 1)),
            None => (StatusCode::OK, 0, total - 1),
        };
        let mut response = Response::new(self.body(last + 1 - first));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("video/mp4"));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(last + 1 - first));
        let content_range = format!("bytes {first}-{last}/{total}");
        headers.insert(CONTENT_RANGE, content_range.parse().expect("it is ASCII"));
        response
    }

    fn body(self, length: u64) -> Body {
        static FILLER: [u8; BLOCK] = [0x5a; BLOCK];
        let pause = (self.rate > 0)
            .then(|| Duration::from_secs_f64(BLOCK as f64 / self.rate.max(1) as f64));
        let started = tokio::time::Instant::now();
        let blocks = stream::unfold((length, 0), move |(left, sent)| async move {
            if left == 0 {
                return None;
            }
            if let Some(pause) = pause {
                tokio::time::sleep_until(started + pause * sent).await;
            }
            let size = left.min(BLOCK as u64);
            let block = Bytes::from_static(&FILLER[..usize::try_from(size).unwrap_or(BLOCK)]);
            Some((Ok(Frame::data(block)), (left - size, sent + 1)))
        });
        StreamBody::new(blocks).boxed()
    }
}

/// Just enough of S3, path style.
async fn answer(request: Request<Incoming>, sink: &Mutex<Sink>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let key = head.uri.path().to_owned();
    let query = head.uri.query().unwrap_or_default().to_owned();
    let parameter = |name: &str| {
        query.split('&').find_map(|pair| {
            pair.strip_prefix(name)?
                .strip_prefix('=')
                .map(str::to_owned)
        })
    };
    let metadata: HashMap<String, HeaderValue> = head
        .headers
        .iter()
        .filter(|(name, _)| name.as_str().starts_with("x-amz-meta-"))
        .map(|(name, value)| (name.to_string(), value.clone()))
        .collect();
    if head.uri.path() == "/calls" {
        let calls = std::mem::take(&mut locked(sink).calls);
        return json(&serde_json::json!(calls).to_string());
    }
    let received = if key.ends_with("/relay") {
        count(body).await
    } else if head.method == Method::PUT && parameter("partNumber").is_some() {
        drain(body).await
    } else {
        hold(body).await
    };
    let request = Call {
        method: head.method,
        key,
        upload: parameter("uploadId").is_some() || query == "uploads",
        part: parameter("partNumber").and_then(|number| number.parse().ok()),
        metadata,
        is_new: head.headers.contains_key(IF_NONE_MATCH),
        swap: head.headers.get(IF_MATCH).cloned(),
    };
    locked(sink).answer(request, received)
}

/// A request as far as the sink looks at it.
struct Call {
    method: Method,
    key: String,
    upload: bool,
    part: Option<u32>,
    metadata: HashMap<String, HeaderValue>,
    /// Only if there is none.
    is_new: bool,
    /// Only over the one with this ETag.
    swap: Option<HeaderValue>,
}

impl Call {
    fn operation(&self) -> &'static str {
        match (self.method.as_str(), self.upload, self.part) {
            ("PUT", true, Some(_)) => "UploadPart",
            ("GET", true, _) => "ListParts",
            ("DELETE", true, _) => "AbortMultipartUpload",
            ("POST", ..) => "CompleteMultipartUpload",
            ("PUT", ..) => "PutObject",
            ("DELETE", ..) => "DeleteObject",
            ("HEAD", ..) => "HeadObject",
            _ => "GetObject",
        }
    }
}

impl Sink {
    fn answer(&mut self, call: Call, received: Received) -> Response<Body> {
        let begins = call.method == Method::POST && received.size == 0;
        let operation = if begins {
            "CreateMultipartUpload"
        } else {
            call.operation()
        };
        *self.calls.entry(operation).or_default() += 1;
        match operation {
            "CreateMultipartUpload" => {
                self.parts.clear();
                self.metadata = call.metadata;
                let result = "InitiateMultipartUploadResult";
                xml(format!("<{result}><UploadId>upload</UploadId></{result}>"))
            }
            "UploadPart" => {
                let part = (received.size, received.crc64nvme());
                self.parts.insert(call.part.unwrap_or(0), part);
                empty(StatusCode::OK)
            }
            "ListParts" => xml(self.list()),
            "CompleteMultipartUpload" => {
                let size = self.parts.values().map(|(size, _)| size).sum();
                let metadata = std::mem::take(&mut self.metadata);
                self.objects.insert(
                    call.key,
                    Object {
                        body: Bytes::new(),
                        size,
                        metadata,
                    },
                );
                let result = "CompleteMultipartUploadResult";
                let crc = "<ChecksumCRC64NVME>AAAAAAAAAAA=</ChecksumCRC64NVME>";
                xml(format!("<{result}><ETag>\"whole\"</ETag>{crc}</{result}>"))
            }
            "PutObject"
                if call.swap.as_ref().is_some_and(|etag| etag != ETAG_OF_ALL)
                    || call.is_new && self.objects.contains_key(&call.key) =>
            {
                empty(StatusCode::PRECONDITION_FAILED)
            }
            "PutObject" => {
                let (size, metadata) = (received.size, call.metadata);
                self.objects.insert(
                    call.key,
                    Object {
                        body: received.bytes,
                        size,
                        metadata,
                    },
                );
                let mut response = empty(StatusCode::OK);
                let crc = HeaderValue::from_static("AAAAAAAAAAA=");
                response
                    .headers_mut()
                    .insert("x-amz-checksum-crc64nvme", crc);
                response
            }
            "DeleteObject" | "AbortMultipartUpload" => {
                self.objects.remove(&call.key);
                empty(StatusCode::NO_CONTENT)
            }
            _ => self.look(operation, &call.key),
        }
    }

    fn list(&self) -> String {
        let mut numbers: Vec<_> = self.parts.iter().collect();
        numbers.sort_unstable();
        let parts = numbers.iter().map(|(number, (size, crc))| {
            let size = format!("<ETag>\"{number}\"</ETag><Size>{size}</Size>");
            let crc = format!("<ChecksumCRC64NVME>{crc}</ChecksumCRC64NVME>");
            format!("<Part><PartNumber>{number}</PartNumber>{size}{crc}</Part>")
        });
        let parts: String = parts.collect();
        format!("<ListPartsResult><IsTruncated>false</IsTruncated>{parts}</ListPartsResult>")
    }

    fn look(&self, operation: &str, key: &str) -> Response<Body> {
        let Some(object) = self.objects.get(key).cloned() else {
            return empty(StatusCode::NOT_FOUND);
        };
        let mut response = empty(StatusCode::OK);
        let headers = response.headers_mut();
        headers.extend(
            object
                .metadata
                .into_iter()
                .filter_map(|(name, value)| Some((HeaderName::try_from(name).ok()?, value))),
        );
        if operation == "HeadObject" {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(object.size));
        } else {
            *response.body_mut() = Full::new(object.body).boxed();
        }
        response
    }
}

/// A body as it came: of a part, only what is needed of it.
#[derive(Default)]
struct Received {
    size: u64,
    bytes: Bytes,
    /// The end of it, where the checksum's trailer stands.
    tail: Vec<u8>,
}

impl Received {
    fn crc64nvme(&self) -> String {
        let tail = String::from_utf8_lossy(&self.tail);
        let trailer = tail
            .rsplit_once("x-amz-checksum-crc64nvme:")
            .map(|(_, value)| value.trim());
        trailer.unwrap_or_default().to_owned()
    }
}

/// Reads a body and counts it.
async fn count(mut body: Incoming) -> Received {
    let mut received = Received::default();
    while let Some(Ok(frame)) = body.frame().await {
        received.size += frame.into_data().map_or(0, |bytes| bytes.len() as u64);
    }
    received
}

/// Reads a body that is sent in blocks (`aws-chunked`), each with a line before it that gives its size; adds the sizes up,
/// and keeps what comes after the last, which is the trailer.
async fn drain(mut body: Incoming) -> Received {
    let mut received = Received::default();
    let mut line = Vec::new();
    // Of the block: bytes to come, its line end included.
    let mut block = 0_usize;
    let mut ended = false;
    while let Some(Ok(frame)) = body.frame().await {
        let Ok(mut bytes) = frame.into_data() else {
            continue;
        };
        while !bytes.is_empty() {
            if ended {
                received.tail.extend_from_slice(&bytes);
                break;
            }
            if block > 0 {
                let taken = block.min(bytes.len());
                block -= taken;
                bytes.advance(taken);
                continue;
            }
            let end = bytes.iter().position(|byte| *byte == b'\n');
            line.extend_from_slice(&bytes[..end.unwrap_or(bytes.len())]);
            bytes.advance(end.map_or(bytes.len(), |end| end + 1));
            if end.is_some() {
                let digits: Vec<u8> = line.drain(..).take_while(u8::is_ascii_hexdigit).collect();
                let size =
                    usize::from_str_radix(&String::from_utf8_lossy(&digits), 16).unwrap_or(0);
                received.size += size as u64;
                ended = size == 0;
                block = size + 2;
            }
        }
    }
    received
}

async fn hold(body: Incoming) -> Received {
    let bytes = body
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    // Signed in blocks where it is signed at all: the content is between the first line and the last.
    let content = match bytes.iter().position(|byte| *byte == b'\n') {
        Some(end)
            if bytes
                .windows(16)
                .any(|window| window == b"x-amz-checksum-c") =>
        {
            let head: Vec<u8> = bytes
                .iter()
                .copied()
                .take_while(u8::is_ascii_hexdigit)
                .collect();
            let size = usize::from_str_radix(&String::from_utf8_lossy(&head), 16).unwrap_or(0);
            bytes.slice(end + 1..(end + 1 + size).min(bytes.len()))
        }
        _ => bytes,
    };
    Received {
        size: content.len() as u64,
        bytes: content,
        tail: vec![],
    }
}

fn locked(sink: &Mutex<Sink>) -> std::sync::MutexGuard<'_, Sink> {
    sink.lock().expect("no request has panicked")
}

fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::new()).boxed());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(ETAG, HeaderValue::from_static(ETAG_OF_ALL));
    response
}

fn xml(body: String) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::from(body)).boxed());
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    response
}

fn json(body: &str) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::from(body.to_owned())).boxed());
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
