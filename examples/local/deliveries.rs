//! The deliveries: samples or files.

use std::fs;
use std::path::Path;

use acs_recording_archiver::event_grid;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use harness::embedded::SECRET;

/// The number of attempts before this one.
///
/// <https://learn.microsoft.com/azure/event-grid/handler-event-hubs#message-headers>
const DELIVERY_COUNT: &str = "aeg-delivery-count";
/// The samples, in order of delivery.
const SAMPLES: [(&str, &str); 8] = [
    ("validation", include_str!("../../events/validation.json")),
    ("options", include_str!("../../events/options.json")),
    (
        "recording-current",
        include_str!("../../events/recording-current.json"),
    ),
    (
        "recording-2021",
        include_str!("../../events/recording-2021.json"),
    ),
    (
        "recording-three-chunks",
        include_str!("../../events/recording-three-chunks.json"),
    ),
    (
        "recording-cloudevents",
        include_str!("../../events/recording-cloudevents.json"),
    ),
    (
        "recording-cloudevents-batch",
        include_str!("../../events/recording-cloudevents-batch.json"),
    ),
    (
        "dead-lettered",
        include_str!("../../events/dead-lettered.json"),
    ),
];

/// The content of a file.
#[derive(Debug)]
pub(crate) enum Input {
    /// An HTTP request.
    Delivery(Delivery),
    /// A payload of EventBridge.
    Tick { name: String, payload: Value },
}

/// An HTTP request to the function.
#[derive(Clone, Debug, Default)]
pub(crate) struct Delivery {
    /// The name in the output.
    pub(crate) name: String,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Delivery {
    /// The value of a header, by lower-case name.
    pub(crate) fn header(&self, wanted: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find_map(|(name, value)| (name == wanted).then_some(value.as_str()))
    }

    /// The same delivery after `count` attempts.
    pub(crate) fn again(&self, count: u32) -> Self {
        let mut again = self.clone();
        again.headers.retain(|(name, _)| name != DELIVERY_COUNT);
        again
            .headers
            .push((DELIVERY_COUNT.to_owned(), count.to_string()));
        again
    }

    /// The same delivery with events of now. The failed recording of an old event would be expired,
    /// and not tried again.
    pub(crate) fn of_now(mut self) -> Self {
        let now = OffsetDateTime::now_utc().format(&Rfc3339);
        let (Ok(now), Ok(mut body)) = (now, serde_json::from_slice::<Value>(&self.body)) else {
            return self;
        };
        let renew = |event: &mut Value| {
            for field in ["eventTime", "time"] {
                if let Some(time) = event.get_mut(field) {
                    *time = now.as_str().into();
                }
            }
        };
        match &mut body {
            Value::Array(events) => events.iter_mut().for_each(renew),
            event => renew(event),
        }
        self.body = body.to_string().into_bytes();
        self
    }

    /// The request of a Lambda payload (2.0).
    ///
    /// <https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-payloads>
    fn of_payload(name: &str, payload: &Value) -> Result<Self, String> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let field = |pointer: &str| payload.pointer(pointer).map(text).unwrap_or_default();
        let body = field("/body");
        let body = match payload.pointer("/isBase64Encoded") {
            Some(Value::Bool(true)) => BASE64_STANDARD
                .decode(body)
                .map_err(|_| "the body is not base64, although isBase64Encoded is true")?,
            _ => body.into_bytes(),
        };
        let headers = payload.pointer("/headers").and_then(Value::as_object);
        Ok(Self {
            name: name.to_owned(),
            method: field("/requestContext/http/method"),
            path: field("/rawPath"),
            query: field("/rawQueryString"),
            // The client sets host and length itself.
            headers: headers
                .into_iter()
                .flatten()
                .map(|(name, value)| (name.to_ascii_lowercase(), text(value)))
                .filter(|(name, _)| !matches!(name.as_str(), "host" | "content-length"))
                .collect(),
            body,
        })
    }

    /// The first delivery of these events by Event Grid.
    fn of_events(name: &str, events: &Value, body: &[u8]) -> Self {
        let cloud = |event: &Value| event.get("specversion").is_some();
        let (content_type, event_type) = match events {
            Value::Array(events) if events.iter().any(cloud) => {
                ("application/cloudevents-batch+json", "Notification")
            }
            event if cloud(event) => ("application/cloudevents+json", "Notification"),
            _ => {
                let handshake = event_grid::events(body).is_ok_and(|events| {
                    matches!(events.as_slice(), [event_grid::Event::Validation { .. }])
                });
                let event_type = if handshake {
                    "SubscriptionValidation"
                } else {
                    "Notification"
                };
                ("application/json", event_type)
            }
        };
        let headers = [
            ("content-type", format!("{content_type}; charset=utf-8")),
            ("aeg-event-type", event_type.to_owned()),
            ("aeg-subscription-name", "ARCHIVE-RECORDINGS".to_owned()),
            (DELIVERY_COUNT, "0".to_owned()),
        ];
        Self {
            name: name.to_owned(),
            method: "POST".to_owned(),
            path: "/".to_owned(),
            query: format!("code={SECRET}"),
            headers: headers.map(|(name, value)| (name.to_owned(), value)).into(),
            body: body.to_owned(),
        }
    }
}

/// The handshakes and the sample recordings.
pub(crate) fn samples() -> Result<Vec<Input>, String> {
    let samples = SAMPLES.iter();
    samples
        .map(|(name, text)| input(name, text.as_bytes()))
        .collect()
}

/// Reads a file.
pub(crate) fn read(file: &Path) -> Result<Input, String> {
    let named = |fault: String| format!("{}: {fault}", file.display());
    let bytes = fs::read(file).map_err(|error| named(error.to_string()))?;
    let name = file.file_stem().unwrap_or_default().to_string_lossy();
    input(&name, &bytes).map_err(named)
}

fn input(name: &str, bytes: &[u8]) -> Result<Input, String> {
    let json: Value =
        serde_json::from_slice(bytes).map_err(|error| format!("not valid JSON: {error}"))?;
    if json.get("requestContext").is_some() {
        return Delivery::of_payload(name, &json).map(Input::Delivery);
    }
    if json.get("detail-type").is_some() {
        let name = name.to_owned();
        return Ok(Input::Tick {
            name,
            payload: json,
        });
    }
    if json.is_object() || json.is_array() {
        let delivery = Delivery::of_events(name, &json, bytes);
        return Ok(Input::Delivery(delivery));
    }
    Err("neither a Lambda payload nor an event nor an array of events".to_owned())
}
