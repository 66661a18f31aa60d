//! The requests that the server received.

use hyper::{HeaderMap, Method, Request};

/// A request.
#[derive(Clone, Debug)]
pub struct Call {
    /// The place in the order of arrival, counted from 0.
    pub number: usize,
    /// The S3 operation, such as `UploadPart`, or `Unknown`.
    pub operation: &'static str,
    /// The bucket.
    pub bucket: String,
    /// The object's key.
    pub key: Option<String>,
    /// The upload id.
    pub upload_id: Option<String>,
    /// The part number.
    pub part_number: Option<i32>,
    /// The query, as sent.
    pub query: String,
    /// The headers, as sent.
    pub headers: HeaderMap,
    /// The HTTP status of the answer, once there is one.
    pub status: Option<u16>,
    /// The number that survives [`super::S3::clear_calls`].
    pub(super) serial: u64,
}

impl Call {
    pub(super) fn new<B>(request: &Request<B>) -> Self {
        let path = decode(request.uri().path());
        let path = path.trim_start_matches('/');
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        let key = Some(key).filter(|key| !key.is_empty());
        let query = request.uri().query().unwrap_or_default();
        let parameters: Vec<(&str, String)> = query
            .split('&')
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(name, value)| (name, decode(value)))
            .collect();
        let parameter = |wanted: &str| {
            parameters
                .iter()
                .find(|(name, _)| *name == wanted)
                .map(|(_, value)| value.as_str())
        };
        let copies = request.headers().contains_key("x-amz-copy-source");
        let (uploads, upload_id) = (parameter("uploads"), parameter("uploadId"));
        let operation = match (request.method(), key) {
            (&Method::HEAD, None) => "HeadBucket",
            (&Method::GET, None) if uploads.is_some() => "ListMultipartUploads",
            (&Method::GET, None) if parameter("list-type") == Some("2") => "ListObjectsV2",
            (&Method::HEAD, Some(_)) => "HeadObject",
            (&Method::GET, Some(_)) if upload_id.is_some() => "ListParts",
            (&Method::GET, Some(_)) => "GetObject",
            (&Method::PUT, Some(_)) if copies && upload_id.is_some() => "UploadPartCopy",
            (&Method::PUT, Some(_)) if copies => "CopyObject",
            (&Method::PUT, Some(_)) if upload_id.is_some() => "UploadPart",
            (&Method::PUT, Some(_)) => "PutObject",
            (&Method::POST, Some(_)) if uploads.is_some() => "CreateMultipartUpload",
            (&Method::POST, Some(_)) if upload_id.is_some() => "CompleteMultipartUpload",
            (&Method::DELETE, Some(_)) if upload_id.is_some() => "AbortMultipartUpload",
            (&Method::DELETE, Some(_)) => "DeleteObject",
            _ => "Unknown",
        };
        Self {
            number: 0,
            operation,
            bucket: bucket.to_owned(),
            key: key.map(str::to_owned),
            upload_id: upload_id.map(str::to_owned),
            part_number: parameter("partNumber").and_then(|number| number.parse().ok()),
            query: query.to_owned(),
            headers: request.headers().clone(),
            status: None,
            serial: 0,
        }
    }
}

/// The requests, in order of arrival.
#[derive(Default)]
pub(super) struct Calls {
    pub(super) calls: Vec<Call>,
    serial: u64,
}

impl Calls {
    pub(super) fn record(&mut self, mut call: Call) -> Call {
        self.serial += 1;
        call.serial = self.serial;
        call.number = self.calls.len();
        self.calls.push(call.clone());
        call
    }

    pub(super) fn answered(&mut self, serial: u64, status: u16) {
        // The number of a call may be that of a later one after `clear_calls`; the serial is not.
        let call = self
            .calls
            .iter_mut()
            .rev()
            .find(|call| call.serial == serial);
        if let Some(call) = call {
            call.status = Some(status);
        }
    }
}

/// Decodes percent-encoding.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = (first == b'%')
            .then(|| tail.split_at_checked(2))
            .flatten()
            .and_then(|(digits, tail)| {
                let byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
                Some((byte, tail))
            });
        let (byte, tail) = escaped.unwrap_or((first, tail));
        bytes.push(byte);
        rest = tail;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
