//! The JSON documents of the archive: manifest, rejection, event that is set aside. Pure.
//!
//! A manifest depends on the event, the objects and the version alone, not on which run wrote it or
//! when: two deliveries that finish at the same time write the same one, unless the examination of
//! the media failed in one of them. The version of the program informs readers; nothing is decided
//! by it.

mod manifest;
mod rejection;
mod set_aside;
mod stored_object;

pub use manifest::{Manifest, ManifestChunk};
pub use rejection::{ObjectOutcome, RejectedChunk, Rejection, UnfinishedUpload};
pub use set_aside::SetAside;
pub use stored_object::StoredObject;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

/// The version of the form of all documents, which is not the version of the program.
const VERSION: u32 = 1;

/// The reason that a document cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// The bytes are no JSON, or JSON of another form.
    #[error("document cannot be read")]
    Form(#[from] serde_json::Error),
    /// The document has another version, whose form is unknown to this program.
    #[error("document is of version {0} instead of {VERSION}")]
    Version(u64),
}

/// The bytes of a document.
pub(crate) fn to_json(document: &impl Serialize) -> Vec<u8> {
    // A document holds strings, numbers and parsed JSON, so serialising it cannot fail.
    serde_json::to_vec_pretty(document).unwrap_or_default()
}

/// Reads a document, which anybody may have written.
///
/// # Errors
///
/// [`Unreadable`], with the reason.
pub fn from_json<'a, D: Deserialize<'a>>(json: &'a [u8]) -> Result<D, Unreadable> {
    /// The fields that documents of every version have.
    #[derive(Deserialize)]
    struct Versioned {
        version: u64,
    }

    let Versioned { version } = serde_json::from_slice(json)?;
    if version != u64::from(VERSION) {
        return Err(Unreadable::Version(version));
    }
    Ok(serde_json::from_slice(json)?)
}

/// Reads a member that only informs readers. A value of another form counts as absent: the document
/// stays valid without the member.
fn if_readable<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let raw = <&RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str(raw.get()).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_version_of_another_form_makes_no_document_unreadable() {
        let event = RawValue::from_string("{}".into()).unwrap();
        let json = to_json(&SetAside::new(&event, "a reason"));
        let mut json: serde_json::Value = serde_json::from_slice(&json).unwrap();
        json["archiver"] = json!({"version": 7});
        let json = json.to_string();
        let set_aside: SetAside<'_> = from_json(json.as_bytes()).unwrap();
        assert_eq!((set_aside.archiver, &*set_aside.reason), (None, "a reason"));
    }

    #[test]
    fn json_of_another_form_or_version_is_not_read() {
        for json in [
            "",
            "{",
            "[]",
            "null",
            "\u{0}",
            "{}",
            r#"{"version": 1}"#,
            r#"{"version": "1", "event": {}, "chunks": []}"#,
            r#"{"version": 1, "event": {}, "chunks": [{}]}"#,
            r#"{"version": 1, "event": {}, "chunks": {}}"#,
        ] {
            let read = from_json::<Manifest<'_>>(json.as_bytes());
            assert!(matches!(read, Err(Unreadable::Form(_))), "{json}");
        }
        // An event is passed over without recursion, however deep it is.
        let deep = format!(
            r#"{{"version": 1, "event": {}1{}, "chunks": []}}"#,
            "[".repeat(100_000),
            "]".repeat(100_000)
        );
        assert!(from_json::<Manifest<'_>>(deep.as_bytes()).is_ok());
        let later = from_json::<Manifest<'_>>(br#"{"version": 2, "things": []}"#);
        assert!(matches!(later, Err(Unreadable::Version(2))));
    }
}
