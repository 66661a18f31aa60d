//! The keys of the contract, computed from an event independently of the function, with the hashes
//! of another library.

use emulators::hashes::sha256_hex;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::embedded::RESOURCE;

/// The keys of one event's recording, below the prefix.
pub struct Keys {
    /// `pending/…`, without a slash at its end.
    pub pending: String,
    /// `{yyyy}/…`, without a slash at its end.
    pub folder: String,
    /// `{eventId}-{identity}`.
    pub event: String,
    /// `{index}-{documentId}-{location}` of media and metadata, for each chunk in the event's
    /// order.
    pub chunks: Vec<(String, String)>,
}

/// The keys of an event with times in UTC, plain ids and plain locations.
pub fn keys(event: &Value) -> Keys {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let time = |value: &Value| OffsetDateTime::parse(value.as_str()?, &Rfc3339).ok();
    let data = &event["data"];
    let topic = text(&event["topic"]).or_else(|| text(&event["source"]));
    let call = event["subject"].as_str().unwrap().split('/').nth(3);
    let call = call.unwrap().to_owned();
    let started = time(&data["recordingStartTime"]);
    let told = time(&event["eventTime"]).or_else(|| time(&event["time"]));
    // No test needs the keys of the customer's own storage.
    let storage = data["storageType"].as_str().unwrap_or_default();
    let class = match storage.to_lowercase().as_str() {
        "" | "acs" | "acsstorage" | "azurecommunicationservices" => "acs",
        _ => "other",
    };
    let format = text(&data["recordingFormatType"]).map(|format| format.to_lowercase());
    let mut chunks: Vec<_> = elements(event)
        .iter()
        .map(|chunk| {
            let place = |name| chunk[name].as_str().map(host_and_path);
            let (content, metadata) = (place("contentLocation"), place("metadataLocation"));
            (
                chunk["index"].as_u64().unwrap(),
                text(&chunk["documentId"]).unwrap(),
                content,
                metadata,
            )
        })
        .collect();
    let named = chunks.iter().map(|(index, id, content, metadata)| {
        let download = format!("{RESOURCE}/recording/download/{id}");
        let name = |place: &str| format!("{index:04}-{id}-{}", hash(place));
        let content = content.as_ref().unwrap_or(&download);
        let described = format!("{download}/metadata");
        (name(content), name(metadata.as_ref().unwrap_or(&described)))
    });
    let named = named.collect();
    chunks.sort();
    let form = json!([
        topic.unwrap_or_default().to_lowercase(),
        call,
        started.map(compact),
        format.unwrap_or_else(|| "mp4".to_owned()),
        class,
        chunks,
    ]);
    let epoch = OffsetDateTime::UNIX_EPOCH;
    let ordered = compact(told.or(started).unwrap_or(epoch));
    let begun = compact(started.or(told).unwrap_or(epoch));
    let event = format!(
        "{}-{}",
        event["id"].as_str().unwrap(),
        hash(&form.to_string())
    );
    let [year, month, day, clock] = [0..4, 4..6, 6..8, 9..15].map(|digits| &begun[digits]);
    Keys {
        pending: format!("pending/{ordered}-{event}"),
        folder: format!("{year}/{month}/{day}/{call}/{clock}Z"),
        event,
        chunks: named,
    }
}

/// The chunks of an event.
pub fn elements(event: &Value) -> &Vec<Value> {
    let chunks = &event["data"]["recordingStorageInfo"]["recordingChunks"];
    chunks.as_array().unwrap()
}

/// 16 digits of a text's hash.
pub fn hash(text: &str) -> String {
    sha256_hex(text)[..16].to_owned()
}

fn host_and_path(location: &str) -> String {
    let rest = location.strip_prefix("https://").expect(location);
    assert!(!rest.contains(['?', '#', '@']), "{location}");
    rest.to_owned()
}

/// `20261123T152034.2199328Z`.
fn compact(time: OffsetDateTime) -> String {
    let time = time.to_offset(time::UtcOffset::UTC);
    let (date, (hour, minute, second)) = (time.date(), time.to_hms());
    let (month, ticks) = (u8::from(date.month()), time.nanosecond() / 100);
    format!(
        "{:04}{month:02}{:02}T{hour:02}{minute:02}{second:02}.{ticks:07}Z",
        date.year(),
        date.day()
    )
}
