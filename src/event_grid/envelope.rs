//! The fields of an event that are read, in both envelopes.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::NotUnderstood;
use super::chunks::ChunkList;
use super::fields::{number, text};
use crate::recording::{Format, Recording, Timestamp, sha256_hex};

/// The fields of both envelopes that are read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Envelope<'a> {
    #[serde(default, deserialize_with = "text")]
    pub(super) id: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(super) event_type: Option<String>,
    #[serde(default, deserialize_with = "text", rename = "type")]
    pub(super) cloud_event_type: Option<String>,
    #[serde(default, deserialize_with = "text")]
    topic: Option<String>,
    #[serde(default, deserialize_with = "text")]
    source: Option<String>,
    #[serde(default, deserialize_with = "text")]
    subject: Option<String>,
    #[serde(default, deserialize_with = "text")]
    event_time: Option<String>,
    #[serde(default, deserialize_with = "text")]
    time: Option<String>,
    #[serde(default, borrow)]
    pub(super) data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ValidationFields {
    #[serde(default, deserialize_with = "text")]
    pub(super) validation_code: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RecordingFields<'a> {
    #[serde(borrow)]
    recording_storage_info: StorageFields<'a>,
    #[serde(default, deserialize_with = "text")]
    recording_start_time: Option<String>,
    #[serde(default, deserialize_with = "text")]
    recording_format_type: Option<String>,
    #[serde(default, deserialize_with = "text")]
    storage_type: Option<String>,
    #[serde(default, deserialize_with = "number")]
    recording_duration_ms: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StorageFields<'a> {
    #[serde(borrow)]
    recording_chunks: Vec<&'a RawValue>,
}

impl Envelope<'_> {
    pub(super) fn recording(self, raw: &RawValue) -> Result<Recording, NotUnderstood> {
        let data = self
            .data
            .and_then(|data| serde_json::from_str(data.get()).ok());
        let data: RecordingFields<'_> = data.ok_or(NotUnderstood::NoChunks)?;
        let time = |text: Option<String>| text.as_deref().and_then(Timestamp::parse);
        let ChunkList { chunks, is_last } =
            ChunkList::read(data.recording_storage_info.recording_chunks)?;
        Ok(Recording {
            // Without an id, a hash of the bytes tells the event from others.
            event_id: self
                .id
                .filter(|id| !id.is_empty())
                .unwrap_or_else(|| sha256_hex(raw.get().as_bytes()))
                .into(),
            event_time: time(self.event_time).or_else(|| time(self.time)),
            started: time(data.recording_start_time),
            topic: self.topic.or(self.source).unwrap_or_default(),
            subject: self.subject.unwrap_or_default(),
            format: data
                .recording_format_type
                .as_deref()
                .map(Format::named)
                .unwrap_or_default(),
            storage_type: data.storage_type,
            duration_ms: data.recording_duration_ms,
            is_last,
            chunks,
            event: raw.to_owned(),
        })
    }
}
