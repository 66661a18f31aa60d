//! The sink: as little of S3 as the function needs, path style.

use std::collections::HashMap;
use std::sync::Mutex;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{
    CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH,
};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};

use super::received::Received;
use super::{Body, json};

/// The `ETag` of every object.
const ETAG_OF_ALL: &str = "\"e\"";
/// The checksum of every object.
const CRC64NVME_OF_ALL: &str = "AAAAAAAAAAA=";

/// The contents of the sink. It has one upload at a time.
#[derive(Default)]
pub(super) struct Sink {
    objects: HashMap<String, Object>,
    /// The size and checksum of each part of the upload.
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

/// Answers a request, or `/calls` with the calls since it was last requested.
pub(super) async fn answer(request: Request<Incoming>, sink: &Mutex<Sink>) -> Response<Body> {
    let (head, body) = request.into_parts();
    if head.uri.path() == "/calls" {
        let calls = std::mem::take(&mut locked(sink).calls);
        return json(&serde_json::json!(calls).to_string());
    }
    let call = Call::new(head);
    // A process of its own must not become the bottleneck: bodies of media are not stored.
    let received = if call.key.ends_with("/relay") {
        Received::count(body).await
    } else if call.method == Method::PUT && call.part.is_some() {
        Received::part(body).await
    } else {
        Received::object(body).await
    };
    locked(sink).answer(call, received)
}

fn locked(sink: &Mutex<Sink>) -> std::sync::MutexGuard<'_, Sink> {
    sink.lock().expect("no request has panicked")
}

/// The fields of a request that the sink reads.
struct Call {
    method: Method,
    key: String,
    /// `true` for a request about an upload.
    upload: bool,
    part: Option<u32>,
    metadata: HashMap<String, HeaderValue>,
    if_none_match: bool,
    if_match: Option<HeaderValue>,
}

impl Call {
    fn new(head: Parts) -> Self {
        let query = head.uri.query().unwrap_or_default();
        let parameter = |name: &str| {
            let mut pairs = query.split('&');
            pairs.find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
        };
        let metadata = head.headers.iter();
        let metadata = metadata.filter(|(name, _)| name.as_str().starts_with("x-amz-meta-"));
        Self {
            key: head.uri.path().to_owned(),
            upload: parameter("uploadId").is_some() || query == "uploads",
            part: parameter("partNumber").and_then(|number| number.parse().ok()),
            metadata: metadata
                .map(|(name, value)| (name.to_string(), value.clone()))
                .collect(),
            if_none_match: head.headers.contains_key(IF_NONE_MATCH),
            if_match: head.headers.get(IF_MATCH).cloned(),
            method: head.method,
        }
    }

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
        // Both are a POST; the request that completes an upload has a body.
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
            "CompleteMultipartUpload" => self.complete(call.key),
            "PutObject" => self.put(call, received),
            "DeleteObject" | "AbortMultipartUpload" => {
                self.objects.remove(&call.key);
                empty(StatusCode::NO_CONTENT)
            }
            _ => self.read(operation, &call.key),
        }
    }

    fn complete(&mut self, key: String) -> Response<Body> {
        let object = Object {
            body: Bytes::new(),
            size: self.parts.values().map(|(size, _)| size).sum(),
            metadata: std::mem::take(&mut self.metadata),
        };
        self.objects.insert(key, object);
        let result = "CompleteMultipartUploadResult";
        let crc = format!("<ChecksumCRC64NVME>{CRC64NVME_OF_ALL}</ChecksumCRC64NVME>");
        xml(format!("<{result}><ETag>\"whole\"</ETag>{crc}</{result}>"))
    }

    fn put(&mut self, call: Call, received: Received) -> Response<Body> {
        if call.if_match.is_some_and(|etag| etag != ETAG_OF_ALL)
            || call.if_none_match && self.objects.contains_key(&call.key)
        {
            return empty(StatusCode::PRECONDITION_FAILED);
        }
        let object = Object {
            size: received.size,
            body: received.bytes,
            metadata: call.metadata,
        };
        self.objects.insert(call.key, object);
        let mut response = empty(StatusCode::OK);
        let crc = HeaderValue::from_static(CRC64NVME_OF_ALL);
        let headers = response.headers_mut();
        headers.insert("x-amz-checksum-crc64nvme", crc);
        response
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

    fn read(&self, operation: &str, key: &str) -> Response<Body> {
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
