use std::collections::BTreeMap;

use hyper::{
    header::{HOST, HeaderValue, RANGE},
    http::request::Parts,
};

use super::target::Target;

/// A request that the emulator received.
#[derive(Clone, Debug)]
pub struct Request {
    /// The number, counted from 0, and from 0 again after [`super::Acs::clear_requests`].
    pub number: usize,
    /// The `Host` header.
    pub host: String,
    /// `true` if the request came over TLS.
    pub tls: bool,
    /// The method.
    pub method: String,
    /// Path and query, as sent.
    pub path_and_query: String,
    /// The document id in the path, of an existing document or not.
    pub document: Option<String>,
    /// The resource that the path names.
    pub kind: Kind,
    /// The `Range` header.
    pub range: Option<String>,
    /// All headers by lower-case name; the values of repeated headers are joined with a comma.
    pub headers: BTreeMap<String, String>,
    /// The status of the answer, once there is one.
    pub status: Option<u16>,
}

/// The kind of resource that a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The content of a document.
    Media,
    /// The metadata of a document.
    Metadata,
    /// The delete location of a document.
    Delete,
    /// Nothing that ACS serves.
    Other,
}

/// The record of a request, not yet numbered.
pub(super) fn seen(head: &Parts, tls: bool, target: &Target) -> Request {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let mut headers = BTreeMap::<String, String>::new();
    for (name, value) in &head.headers {
        headers
            .entry(name.as_str().to_owned())
            .and_modify(|values| {
                values.push_str(", ");
                values.push_str(&text(value));
            })
            .or_insert_with(|| text(value));
    }
    Request {
        number: 0,
        host: headers.get(HOST.as_str()).cloned().unwrap_or_default(),
        tls,
        method: head.method.to_string(),
        path_and_query: head
            .uri
            .path_and_query()
            .map_or_else(String::new, ToString::to_string),
        document: target.id.clone(),
        kind: target.kind,
        range: headers.get(RANGE.as_str()).cloned(),
        headers,
        status: None,
    }
}
