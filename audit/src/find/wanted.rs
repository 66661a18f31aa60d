//! The criteria of a search.

use acs_recording_archiver::error_chain::error_chain;
use acs_recording_archiver::recording::safe_id;
use serde_json::Value;

use crate::bucket::{Bucket, Document};
use crate::reconciliation::Id;
use crate::recordings::Recording;
use crate::report::{Entry, EntryKind};

/// What is searched for. A recording must fit all that is given.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// The call's id.
    pub call: Option<String>,
    /// The recording's id, as ACS has it or one of the ids that it encodes.
    pub recording: Option<String>,
    /// The documentId of a chunk.
    pub document: Option<String>,
    /// A text that the metadata document of a chunk holds: a name, a number, an id.
    pub participant: Option<String>,
}

impl Wanted {
    /// Returns `true` if a recording is one of those, its metadata aside.
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

    /// Returns `true` if the metadata of a chunk holds the text, in any letter case.
    pub(super) async fn is_taken_part_in(
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
                Ok(Document::There(bytes)) if holds(&bytes, &text) => return Ok(true),
                Ok(Document::There(_) | Document::Gone) => {}
                Ok(Document::TooLong) => {
                    let detail = "is too long to be searched";
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

/// Returns `true` if a document holds a text, as it is spelt in JSON or as it is meant.
fn holds(document: &[u8], text: &str) -> bool {
    let plain = String::from_utf8_lossy(document)
        .to_lowercase()
        .contains(text);
    plain || serde_json::from_slice(document).is_ok_and(|json| value_holds(&json, text))
}

fn value_holds(value: &Value, text: &str) -> bool {
    match value {
        Value::String(own) => own.to_lowercase().contains(text),
        Value::Array(values) => values.iter().any(|value| value_holds(value, text)),
        Value::Object(fields) => fields.values().any(|value| value_holds(value, text)),
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
            assert!(holds(document.as_bytes(), "jürgen"), "{document}");
            assert!(!holds(document.as_bytes(), "nobody"), "{document}");
        }
    }
}
