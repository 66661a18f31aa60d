//! What was archived, or why not, as JSON.
//!
//! The manifest depends on the event, the objects and the version alone, not on which run wrote it or when: two deliveries
//! that finish at the same time write the same one, unless the examination of the media failed in one of them. The version
//! only tells; nothing is decided by it.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::finality::Failure;
use crate::keys::Key;
use crate::media::{Check, RecordingCheck};
use crate::recording::{Chunk, Recording};
use crate::store::Object;
use crate::transfer::UploadedParts;

/// The version of these documents' form, which is not that of the program.
const VERSION: u32 = 1;

/// Written when every chunk is there: `{eventId}.manifest.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest<'a> {
    version: u32,
    /// The version of the program that wrote it; older documents have none.
    #[serde(
        default,
        deserialize_with = "if_readable",
        skip_serializing_if = "Option::is_none"
    )]
    pub(crate) archiver: Option<Cow<'a, str>>,
    /// The event as it came.
    #[serde(borrow)]
    pub event: &'a RawValue,
    /// Its chunks.
    pub chunks: Vec<ManifestChunk<'a>>,
    /// The examination of all its media; older documents have none.
    #[serde(
        default,
        deserialize_with = "if_readable",
        skip_serializing_if = "Option::is_none"
    )]
    pub check: Option<RecordingCheck>,
}

/// A chunk that is there.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManifestChunk<'a> {
    /// Its place in the recording.
    pub index: u64,
    /// Its documentId, as the event has it.
    #[serde(borrow)]
    pub document_id: Cow<'a, str>,
    /// Its media.
    pub media: StoredObject<'a>,
    /// Its metadata.
    pub metadata: StoredObject<'a>,
    /// The examination of its media; older documents have none.
    #[serde(
        default,
        deserialize_with = "if_readable",
        skip_serializing_if = "Option::is_none"
    )]
    pub check: Option<Cow<'a, Check>>,
}

/// An object as S3 reports it, so that an auditor can compare without a download.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredObject<'a> {
    /// Its key.
    #[serde(borrow)]
    pub key: Cow<'a, str>,
    /// Its size, in bytes.
    pub size: u64,
    /// Its ETag, as S3 gave it.
    #[serde(borrow)]
    pub etag: Cow<'a, str>,
    /// Its version; `null` in a bucket without versions.
    pub version_id: Option<Cow<'a, str>>,
    /// Of the whole object, in base64; `null` where the store keeps none.
    pub crc64nvme: Option<Cow<'a, str>>,
    /// Its content type.
    pub content_type: Option<Cow<'a, str>>,
}

/// Written when nothing more can be done and something is missing: `{eventId}.rejected.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rejection<'a> {
    version: u32,
    /// The version of the program that wrote it; older documents have none.
    #[serde(
        default,
        deserialize_with = "if_readable",
        skip_serializing_if = "Option::is_none"
    )]
    pub(crate) archiver: Option<Cow<'a, str>>,
    /// Why the recording as a whole is rejected, where that is not the fate of a chunk.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Cow<'a, str>>,
    /// The event as it came.
    #[serde(borrow)]
    pub event: &'a RawValue,
    /// Its chunks.
    pub chunks: Vec<RejectedChunk<'a>>,
}

/// A chunk of a recording that could not be archived whole.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RejectedChunk<'a> {
    /// Its place in the recording.
    pub index: u64,
    /// Its documentId, as the event has it.
    #[serde(borrow)]
    pub document_id: Cow<'a, str>,
    /// What has become of its media.
    pub media: Fate<'a>,
    /// What has become of its metadata.
    pub metadata: Fate<'a>,
}

/// What has become of one object of such a chunk.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "camelCase")]
pub enum Fate<'a> {
    /// It is there.
    #[serde(borrow)]
    Archived(StoredObject<'a>),
    /// It cannot be archived.
    Rejected {
        /// Why.
        reason: String,
        /// The parts of it that S3 still holds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        upload: Option<KeptUpload<'a>>,
    },
    /// It could not be archived for two days.
    Expired {
        /// Why the last try failed.
        reason: String,
        /// The parts of it that S3 still holds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        upload: Option<KeptUpload<'a>>,
    },
}

/// An unfinished upload that a rejection leaves in S3, so that a person can still complete it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeptUpload<'a> {
    /// Its key.
    #[serde(borrow)]
    pub(crate) key: Cow<'a, str>,
    /// Its upload id.
    #[serde(borrow)]
    pub(crate) upload_id: Cow<'a, str>,
    /// The number of parts that S3 holds.
    pub(crate) parts: u64,
    /// The number of parts of the object; `null` where its length is not known.
    pub(crate) planned_parts: Option<u32>,
    /// The size of the parts that S3 holds, in bytes.
    pub(crate) bytes: u64,
}

/// Written for what cannot be understood, or is not to be archived: `rejected/{sha256}.json`.
#[derive(Debug, Serialize, Deserialize)]
pub struct SetAside<'a> {
    version: u32,
    /// The version of the program that wrote it; older documents have none.
    #[serde(
        default,
        deserialize_with = "if_readable",
        skip_serializing_if = "Option::is_none"
    )]
    pub(crate) archiver: Option<Cow<'a, str>>,
    /// Why it is not archived.
    #[serde(borrow)]
    pub reason: Cow<'a, str>,
    /// The event as it came.
    #[serde(borrow)]
    pub event: &'a RawValue,
}

/// Why one of these documents cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// No JSON, or JSON of another form.
    #[error("document cannot be read")]
    Form(#[from] serde_json::Error),
    /// Of a later version, whose form is not known here.
    #[error("document is of version {0} instead of {VERSION}")]
    Version(u64),
}

/// What has become of one object of a chunk.
#[derive(Debug)]
pub(crate) struct Copied {
    /// Its key.
    pub(crate) key: Key,
    /// The object, or why it is not there.
    pub(crate) result: Result<Object, Failure>,
}

/// What has become of a chunk.
#[derive(Debug)]
pub(crate) struct CopiedChunk {
    /// The chunk.
    pub(crate) chunk: Chunk,
    /// Its media.
    pub(crate) media: Copied,
    /// Its metadata.
    pub(crate) metadata: Copied,
    /// The examination of its media, once all of the recording is there.
    pub(crate) check: Option<Check>,
}

impl<'a> Manifest<'a> {
    /// The manifest of a recording; none as long as anything is missing.
    pub(crate) fn new(recording: &'a Recording, chunks: &'a [CopiedChunk]) -> Option<Self> {
        let checks = chunks
            .iter()
            .map(|copied| Some((copied.chunk.index, copied.check.as_ref()?)));
        let checks: Option<Vec<_>> = checks.collect();
        let chunks = chunks.iter().map(|copied| {
            Some(ManifestChunk {
                index: copied.chunk.index,
                document_id: copied.chunk.document_id.as_str().into(),
                media: StoredObject::new(&copied.media)?,
                metadata: StoredObject::new(&copied.metadata)?,
                check: copied.check.as_ref().map(Cow::Borrowed),
            })
        });
        Some(Self {
            version: VERSION,
            archiver: Some(crate::VERSION.into()),
            event: &recording.event,
            chunks: chunks.collect::<Option<_>>()?,
            check: checks.map(|checks| RecordingCheck::new(recording, &checks)),
        })
    }
}

impl<'a> Rejection<'a> {
    /// The rejection of a recording, with what has become of each chunk, and for each in the same
    /// order the parts of its media that S3 still holds.
    pub(crate) fn new(
        recording: &'a Recording,
        chunks: &'a [CopiedChunk],
        kept: &'a [Option<UploadedParts>],
    ) -> Self {
        let fate = |copied: &'a Copied, kept: Option<&'a UploadedParts>| {
            let failure = match &copied.result {
                Ok(object) => return Fate::Archived(StoredObject::from((&copied.key, object))),
                Err(failure) => failure,
            };
            let reason = crate::error_chain::error_chain(failure);
            let upload = kept.map(|kept| KeptUpload {
                key: copied.key.as_str().into(),
                upload_id: kept.upload_id.as_str().into(),
                parts: kept.parts,
                planned_parts: kept.planned,
                bytes: kept.bytes,
            });
            if failure.is_expiry() {
                Fate::Expired { reason, upload }
            } else {
                Fate::Rejected { reason, upload }
            }
        };
        let chunks = chunks.iter().zip(kept).map(|(copied, kept)| RejectedChunk {
            index: copied.chunk.index,
            document_id: copied.chunk.document_id.as_str().into(),
            media: fate(&copied.media, kept.as_ref()),
            metadata: fate(&copied.metadata, None),
        });
        Self {
            version: VERSION,
            archiver: Some(crate::VERSION.into()),
            reason: None,
            event: &recording.event,
            chunks: chunks.collect(),
        }
    }

    /// The same, for a reason that no chunk gives.
    pub(crate) fn because(self, reason: &'a str) -> Self {
        let reason = Some(reason.into());
        Self { reason, ..self }
    }
}

impl<'a> SetAside<'a> {
    /// `event` as it came, and why it is not archived.
    pub(crate) fn new(event: &'a RawValue, reason: &'a str) -> Self {
        Self {
            version: VERSION,
            archiver: Some(crate::VERSION.into()),
            reason: reason.into(),
            event,
        }
    }
}

impl<'a> StoredObject<'a> {
    fn new(copied: &'a Copied) -> Option<Self> {
        copied
            .result
            .as_ref()
            .ok()
            .map(|object| Self::from((&copied.key, object)))
    }
}

impl<'a> From<(&'a Key, &'a Object)> for StoredObject<'a> {
    fn from((key, object): (&'a Key, &'a Object)) -> Self {
        Self {
            key: key.as_str().into(),
            size: object.size,
            etag: object.etag.as_str().into(),
            version_id: object.version_id.as_deref().map(Cow::from),
            crc64nvme: object.crc64nvme.as_deref().map(Cow::from),
            content_type: object.content_type.as_deref().map(Cow::from),
        }
    }
}

/// The bytes of one of these documents.
pub(crate) fn to_json(document: &impl Serialize) -> Vec<u8> {
    // Strings, numbers and JSON that was read: serialising them cannot fail.
    serde_json::to_vec_pretty(document).unwrap_or_default()
}

/// Reads one of these documents, whoever wrote it.
///
/// # Errors
///
/// [`Unreadable`], with what is wrong.
pub fn from_json<'a, D: Deserialize<'a>>(json: &'a [u8]) -> Result<D, Unreadable> {
    /// What every version has.
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

/// A member that only tells. One of another form counts as absent, so that it does not make the
/// document one of something else.
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
    use crate::event_grid;
    use crate::keys::{Layout, Pending, Prefix};
    use crate::store::Identity;
    use serde_json::json;

    fn recording() -> Recording {
        event_grid::recording(
            json!({
                "id": "831e1650", "topic": "", "subject": "/recording/call/08fa",
                "eventType": "Microsoft.Communication.RecordingFileStatusUpdated",
                "data": {"recordingStorageInfo": {"recordingChunks": [{"documentId": "a\"b", "index": 0}]}},
            })
            .to_string()
            .as_bytes(),
        )
        .unwrap()
    }

    fn copied(recording: &Recording, media: Result<Object, Failure>) -> Vec<CopiedChunk> {
        let chunk = recording.chunks[0].clone();
        let endpoint = url::Url::parse("https://contoso.communication.azure.com").unwrap();
        let layout = Layout::new(Prefix::new("").unwrap(), Pending::UnderPrefix, &endpoint);
        let keys = layout.keys(recording);
        vec![CopiedChunk {
            media: Copied {
                key: keys.media(&chunk),
                result: media,
            },
            metadata: Copied {
                key: keys.metadata(&chunk),
                result: Ok(object()),
            },
            check: Some(Check::failed("as the test says")),
            chunk,
        }]
    }

    fn object() -> Object {
        Object {
            size: 7,
            etag: "\"e\"".into(),
            version_id: Some("v".into()),
            crc64nvme: None,
            content_type: Some("video/mp4".into()),
            identity: Identity::default(),
        }
    }

    #[test]
    fn documents_are_read_as_they_were_written() {
        let recording = recording();
        let chunks = copied(&recording, Ok(object()));
        let json = to_json(&Manifest::new(&recording, &chunks).unwrap());
        let manifest: Manifest<'_> = from_json(&json).unwrap();
        assert_eq!(manifest.archiver.as_deref(), Some(crate::VERSION));
        assert_eq!(manifest.event.get(), recording.event.get());
        assert_eq!(manifest.chunks[0].document_id, "a\"b");
        let there = object();
        let media = StoredObject::from((&chunks[0].media.key, &there));
        assert_eq!(manifest.chunks[0].media, media);
        assert_eq!(to_json(&manifest), json);

        let json = to_json(&Rejection::new(&recording, &chunks, &[None]));
        let rejection: Rejection<'_> = from_json(&json).unwrap();
        assert!(matches!(&rejection.chunks[0].media, Fate::Archived(there) if *there == media));
        assert_eq!(to_json(&rejection), json);

        let chunks = copied(&recording, Err(Failure::OutOfTime));
        let kept = [Some(UploadedParts {
            upload_id: "u\"".into(),
            parts: 9,
            planned: Some(10),
            bytes: 144,
            last_part: None,
        })];
        let json = to_json(&Rejection::new(&recording, &chunks, &kept));
        let rejection: Rejection<'_> = from_json(&json).unwrap();
        let Fate::Rejected { reason, upload } = &rejection.chunks[0].media else {
            panic!("{:?}", rejection.chunks[0].media);
        };
        let upload = upload.as_ref().unwrap();
        assert_eq!(reason, "out of time");
        assert_eq!((&*upload.upload_id, upload.parts), ("u\"", 9));
        assert_eq!((upload.planned_parts, upload.bytes), (Some(10), 144));
        assert_eq!(to_json(&rejection), json);

        let json = to_json(&SetAside::new(&recording.event, "a \"reason\""));
        let set_aside: SetAside<'_> = from_json(&json).unwrap();
        assert_eq!(set_aside.reason, "a \"reason\"");
    }

    #[test]
    fn documents_without_the_programs_version_are_read() {
        let recording = recording();
        let chunks = copied(&recording, Ok(object()));
        let without = |json: Vec<u8>| {
            let mut json: serde_json::Value = serde_json::from_slice(&json).unwrap();
            let archiver = json.as_object_mut().unwrap().remove("archiver");
            assert_eq!(archiver, Some(json!(crate::VERSION)));
            json.to_string()
        };
        let json = without(to_json(&Manifest::new(&recording, &chunks).unwrap()));
        let manifest: Manifest<'_> = from_json(json.as_bytes()).unwrap();
        assert_eq!((manifest.archiver, manifest.chunks.len()), (None, 1));
        let json = without(to_json(&Rejection::new(&recording, &chunks, &[None])));
        let rejection: Rejection<'_> = from_json(json.as_bytes()).unwrap();
        assert_eq!((rejection.archiver, rejection.chunks.len()), (None, 1));
        let json = without(to_json(&SetAside::new(&recording.event, "a reason")));
        let set_aside: SetAside<'_> = from_json(json.as_bytes()).unwrap();
        assert_eq!((set_aside.archiver, &*set_aside.reason), (None, "a reason"));
    }

    #[test]
    fn a_version_of_another_form_makes_no_document_unreadable() {
        let recording = recording();
        let json = to_json(&SetAside::new(&recording.event, "a reason"));
        let mut json: serde_json::Value = serde_json::from_slice(&json).unwrap();
        json["archiver"] = json!({"version": 7});
        let json = json.to_string();
        let set_aside: SetAside<'_> = from_json(json.as_bytes()).unwrap();
        assert_eq!((set_aside.archiver, &*set_aside.reason), (None, "a reason"));
    }

    #[test]
    fn a_manifest_without_an_examination_or_with_one_of_another_form_is_read() {
        let recording = recording();
        let chunks = copied(&recording, Ok(object()));
        let json = to_json(&Manifest::new(&recording, &chunks).unwrap());
        let manifest: Manifest<'_> = from_json(&json).unwrap();
        assert_eq!(manifest.check.unwrap().doubts, [""; 0]);
        let check = manifest.chunks[0].check.as_deref();
        assert_eq!(check, chunks[0].check.as_ref());
        let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
        for other in [
            None,
            Some(json!(null)),
            Some(json!(7)),
            Some(json!({"verdict": "odd"})),
        ] {
            let mut json = json.clone();
            for place in ["", "/chunks/0"] {
                let fields = json.pointer_mut(place).unwrap().as_object_mut().unwrap();
                fields.remove("check");
                fields.extend(other.clone().map(|other| ("check".to_owned(), other)));
            }
            let json = json.to_string();
            let manifest: Manifest<'_> = from_json(json.as_bytes()).unwrap();
            assert!(manifest.check.is_none() && manifest.chunks[0].check.is_none());
        }
    }

    #[test]
    fn what_is_no_such_document_is_not_read() {
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
