//! The criteria of a search.

use acs_recording_archiver::error_chain::error_chain;
use acs_recording_archiver::recording::safe_id;
use serde_json::Value;

use crate::bucket::{Bucket, Document};
use crate::reconciliation::Id;
use crate::recordings::Recording;
use crate::report::{Entry, EntryKind};

/// The criteria of a search. A recording must meet all that are given.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// The call's id.
    pub call: Option<String>,
    /// The recording's id, or an id that the recording's id encodes.
    pub recording: Option<String>,
    /// The documentId of a chunk.
    pub document: Option<String>,
    /// A text in the metadata of a chunk: a name, a number, an id.
    pub participant: Option<String>,
}

impl Wanted {
    /// Returns `true` if a recording meets the criteria, apart from the participant.
    pub(super) fn fits(&self, recording: &Recording) -> bool {
        let facts = &recording.facts;
        let call = self
            .call
            .as_deref()
            .is_none_or(|call| facts.call.as_deref() == Some(&*safe_id(call)));
        let id = || facts.recording_id.as_deref().and_then(Id::new);
        let same = |wanted: &str| id().is_some_and(|id| id.is_named_by(wanted));
        let document = |wanted: &str| facts.chunks.iter().any(|(_, id)| id == wanted);
        call && self.recording.as_deref().is_none_or(same)
            && self.document.as_deref().is_none_or(document)
    }

    /// Returns `true` if the metadata of a chunk contains the participant, in any letter case.
    pub(super) async fn has_participant(
        &self,
        bucket: &Bucket,
        recording: &Recording,
    ) -> Result<bool, Entry> {
        let Some(text) = &self.participant else {
            return Ok(true);
        };
        let text = text.to_lowercase();
        for object in recording.objects.iter().filter(|object| !object.is_media) {
            match bucket.read(&object.key).await {
                Ok(Document::There(bytes)) if contains(&bytes, &text) => return Ok(true),
                Ok(Document::There(_) | Document::Gone) => {}
                Ok(Document::TooLong) => {
                    let detail = "is too long to search";
                    return Err(Entry::new(EntryKind::Unread, &object.key, detail));
                }
                Err(error) => {
                    return Err(Entry::new(
                        EntryKind::Unread,
                        &object.key,
                        error_chain(&error),
                    ));
                }
            }
        }
        Ok(false)
    }
}

/// Returns `true` if a document contains a text, either as bytes or in a JSON string, where
/// characters may be escaped.
fn contains(document: &[u8], text: &str) -> bool {
    let plain = String::from_utf8_lossy(document)
        .to_lowercase()
        .contains(text);
    plain || serde_json::from_slice(document).is_ok_and(|json| json_contains(&json, text))
}

fn json_contains(value: &Value, text: &str) -> bool {
    match value {
        Value::String(own) => own.to_lowercase().contains(text),
        Value::Array(values) => values.iter().any(|value| json_contains(value, text)),
        Value::Object(fields) => fields.values().any(|value| json_contains(value, text)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_found_in_any_spelling() {
        for document in [
            "{\"displayName\": \"J\\u00fcrgen M\\u00fcller\"}",
            "{\"a\": [{\"displayName\": \"Jürgen Müller\"}]}",
            "no JSON: JÜRGEN",
        ] {
            assert!(contains(document.as_bytes(), "jürgen"), "{document}");
            assert!(!contains(document.as_bytes(), "nobody"), "{document}");
        }
    }
}
