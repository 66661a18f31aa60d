//! The HTTP client that delivers as Event Grid does.

use std::time::{Duration, Instant};

use acs_recording_archiver::acs::http_client;
use acs_recording_archiver::error_chain::error_chain;
use reqwest::header::HeaderMap;
use serde_json::Value;

use crate::deliveries::Delivery;

/// The client of the local Function URL.
#[derive(Debug)]
pub(crate) struct Client {
    client: reqwest::Client,
    origin: String,
}

/// The answer to a delivery.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
    pub(crate) took: Duration,
}

impl Client {
    /// Creates a client that delivers to `origin`.
    pub(crate) fn new(origin: String) -> Result<Self, String> {
        let client = http_client().no_proxy().build();
        let client = client.map_err(|error| error_chain(&error))?;
        Ok(Self { client, origin })
    }

    /// Delivers and waits for the answer without a limit of time.
    pub(crate) async fn deliver(&self, delivery: &Delivery) -> Result<Reply, String> {
        let named = |fault: String| format!("{}: {fault}", delivery.name);
        let method = reqwest::Method::from_bytes(delivery.method.as_bytes())
            .map_err(|_| named(format!("{:?} is not an HTTP method", delivery.method)))?;
        let url = format!("{}{}?{}", self.origin, delivery.path, delivery.query);
        let mut request = self.client.request(method, url).body(delivery.body.clone());
        for (name, value) in &delivery.headers {
            request = request.header(name, value);
        }
        let started = Instant::now();
        let failed = |error: reqwest::Error| named(error_chain(&error.without_url()));
        let mut response = request.send().await.map_err(failed)?;
        let mut body = Vec::new();
        while let Some(bytes) = response.chunk().await.map_err(failed)? {
            body.extend_from_slice(&bytes);
        }
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Reply::new(status, headers, &body, started.elapsed()))
    }
}

impl Reply {
    /// An answer whose body is JSON or text.
    pub(crate) fn new(status: u16, headers: HeaderMap, body: &[u8], took: Duration) -> Self {
        let text = || Value::from(String::from_utf8_lossy(body).into_owned());
        Self {
            status,
            headers,
            body: serde_json::from_slice(body).unwrap_or_else(|_| text()),
            took,
        }
    }

    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The outcome of each event.
    pub(crate) fn outcomes(&self) -> Vec<&str> {
        let events = self.body.get("events").and_then(Value::as_array);
        events
            .into_iter()
            .flatten()
            .filter_map(|event| event.get("outcome")?.as_str())
            .collect()
    }

    /// The bytes that the function fetched for all events.
    pub(crate) fn bytes(&self) -> u64 {
        let events = self.body.get("events").and_then(Value::as_array);
        events
            .into_iter()
            .flatten()
            .filter_map(|event| event.get("bytes")?.as_u64())
            .sum()
    }

    /// The answer in a few words.
    pub(crate) fn summary(&self) -> String {
        let outcomes = self.outcomes();
        if !outcomes.is_empty() {
            return counted(&outcomes);
        }
        match self.body.get("error").and_then(Value::as_str) {
            Some(error) => error.to_owned(),
            None => self.body.to_string(),
        }
    }
}

/// The outcomes in order of first occurrence, each with its count.
fn counted(outcomes: &[&str]) -> String {
    let mut counts: Vec<(&str, usize)> = vec![];
    for outcome in outcomes {
        match counts.iter_mut().find(|(known, _)| known == outcome) {
            Some((_, count)) => *count += 1,
            None => counts.push((outcome, 1)),
        }
    }
    let words = counts.iter().map(|(outcome, count)| match count {
        1 => (*outcome).to_owned(),
        _ => format!("{count} {outcome}"),
    });
    words.collect::<Vec<_>>().join(", ")
}
