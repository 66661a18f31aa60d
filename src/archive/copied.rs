//! The chunks of a recording after a run, and the documents about them.

use std::borrow::Cow;

use crate::documents::{
    Manifest, ManifestChunk, ObjectOutcome, RejectedChunk, Rejection, StoredObject,
    UnfinishedUpload,
};
use crate::error_chain::error_chain;
use crate::finality::Failure;
use crate::keys::Key;
use crate::media::{Check, RecordingCheck};
use crate::recording::{Chunk, Recording};
use crate::store::Object;
use crate::transfer::UploadedParts;

/// The chunks of a recording after a run.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    pub(super) copied: Vec<CopiedChunk>,
    /// The bytes that this run fetched for them.
    pub(super) bytes: u64,
    /// The parts and small objects that this run stored.
    pub(super) parts: u32,
}

/// A chunk after a run.
#[derive(Debug)]
pub(super) struct CopiedChunk {
    pub(super) chunk: Chunk,
    pub(super) media: Copied,
    pub(super) metadata: Copied,
    /// The examination of the media, once every object of the recording is archived.
    pub(super) check: Option<Check>,
}

/// One object of a chunk after a run.
#[derive(Debug)]
pub(super) struct Copied {
    pub(super) key: Key,
    /// The object, or the failure.
    pub(super) result: Result<Object, Failure>,
}

impl Chunks {
    pub(super) fn sort(&mut self) {
        self.copied.sort_by_key(|copied| copied.chunk.index);
    }

    /// The failures of all objects.
    pub(super) fn failures(&self) -> impl Iterator<Item = &Failure> {
        let objects = self.copied.iter();
        let objects = objects.flat_map(|copied| [&copied.media, &copied.metadata]);
        objects.filter_map(|copied| copied.result.as_ref().err())
    }

    /// The manifest of the recording; `None` as long as an object is missing.
    pub(super) fn manifest<'a>(&'a self, recording: &'a Recording) -> Option<Manifest<'a>> {
        let chunks = self.copied.iter().map(CopiedChunk::archived);
        let chunks = chunks.collect::<Option<_>>()?;
        let checks = self.copied.iter();
        let checks = checks.map(|copied| Some((copied.chunk.index, copied.check.as_ref()?)));
        let checks: Option<Vec<_>> = checks.collect();
        let check = checks.map(|checks| RecordingCheck::new(recording, &checks));
        Some(Manifest::new(&recording.event, chunks, check))
    }

    /// The rejection of the recording. `uploaded` has, for each chunk in the same order, the parts
    /// of its media that S3 still holds.
    pub(super) fn rejection<'a>(
        &'a self,
        recording: &'a Recording,
        uploaded: &'a [Option<UploadedParts>],
    ) -> Rejection<'a> {
        let chunks = self.copied.iter().zip(uploaded);
        let chunks = chunks.map(|(copied, uploaded)| copied.rejected(uploaded.as_ref()));
        Rejection::new(&recording.event, chunks.collect())
    }
}

impl CopiedChunk {
    fn archived(&self) -> Option<ManifestChunk<'_>> {
        Some(ManifestChunk {
            index: self.chunk.index,
            document_id: self.chunk.document_id.as_str().into(),
            media: self.media.stored()?,
            metadata: self.metadata.stored()?,
            check: self.check.as_ref().map(Cow::Borrowed),
        })
    }

    fn rejected<'a>(&'a self, uploaded: Option<&'a UploadedParts>) -> RejectedChunk<'a> {
        RejectedChunk {
            index: self.chunk.index,
            document_id: self.chunk.document_id.as_str().into(),
            media: self.media.outcome(uploaded),
            metadata: self.metadata.outcome(None),
        }
    }
}

impl Copied {
    fn stored(&self) -> Option<StoredObject<'_>> {
        let object = self.result.as_ref().ok()?;
        Some(self.described(object))
    }

    fn described<'a>(&'a self, object: &'a Object) -> StoredObject<'a> {
        StoredObject {
            key: self.key.as_str().into(),
            size: object.size,
            etag: object.etag.as_str().into(),
            version_id: object.version_id.as_deref().map(Cow::from),
            crc64nvme: object.crc64nvme.as_deref().map(Cow::from),
            content_type: object.content_type.as_deref().map(Cow::from),
        }
    }

    fn outcome<'a>(&'a self, uploaded: Option<&'a UploadedParts>) -> ObjectOutcome<'a> {
        let failure = match &self.result {
            Ok(object) => return ObjectOutcome::Archived(self.described(object)),
            Err(failure) => failure,
        };
        let reason = error_chain(failure);
        let upload = uploaded.map(|uploaded| UnfinishedUpload {
            key: self.key.as_str().into(),
            upload_id: uploaded.upload_id.as_str().into(),
            parts: uploaded.parts,
            planned_parts: uploaded.planned,
            bytes: uploaded.bytes,
        });
        if failure.is_expiry() {
            ObjectOutcome::Expired { reason, upload }
        } else {
            ObjectOutcome::Rejected { reason, upload }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::documents::{SetAside, from_json, to_json};
    use crate::event_grid;
    use crate::keys::{Layout, Pending, Prefix};
    use crate::store::Identity;
    use serde_json::json;

    fn recording() -> Recording {
        event_grid::recording(
            json!({
                "id": "831e1650", "topic": "", "subject": "/recording/call/08fa",
                "eventType": "Microsoft.Communication.RecordingFileStatusUpdated",
                "data": {"recordingStorageInfo": {
                    "recordingChunks": [{"documentId": "a\"b", "index": 0}],
                }},
            })
            .to_string()
            .as_bytes(),
        )
        .unwrap()
    }

    fn copied(recording: &Recording, media: Result<Object, Failure>) -> Chunks {
        let chunk = recording.chunks[0].clone();
        let endpoint = url::Url::parse("https://contoso.communication.azure.com").unwrap();
        let layout = Layout::new(Prefix::new("").unwrap(), Pending::UnderPrefix, &endpoint);
        let keys = layout.keys(recording);
        let copied = CopiedChunk {
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
        };
        Chunks {
            copied: vec![copied],
            ..Chunks::default()
        }
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
        let json = to_json(&chunks.manifest(&recording).unwrap());
        let manifest: Manifest<'_> = from_json(&json).unwrap();
        assert_eq!(manifest.archiver.as_deref(), Some(crate::VERSION));
        assert_eq!(manifest.event.get(), recording.event.get());
        assert_eq!(manifest.chunks[0].document_id, "a\"b");
        let media = chunks.copied[0].media.stored().unwrap();
        assert_eq!(manifest.chunks[0].media, media);
        assert_eq!(to_json(&manifest), json);

        let json = to_json(&chunks.rejection(&recording, &[None]));
        let rejection: Rejection<'_> = from_json(&json).unwrap();
        assert!(
            matches!(&rejection.chunks[0].media, ObjectOutcome::Archived(there) if *there == media)
        );
        assert_eq!(to_json(&rejection), json);

        let chunks = copied(&recording, Err(Failure::OutOfTime));
        let uploaded = [Some(UploadedParts {
            upload_id: "u\"".into(),
            parts: 9,
            planned: Some(10),
            bytes: 144,
            last_part: None,
        })];
        let json = to_json(&chunks.rejection(&recording, &uploaded));
        let rejection: Rejection<'_> = from_json(&json).unwrap();
        let ObjectOutcome::Rejected { reason, upload } = &rejection.chunks[0].media else {
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
        let json = without(to_json(&chunks.manifest(&recording).unwrap()));
        let manifest: Manifest<'_> = from_json(json.as_bytes()).unwrap();
        assert_eq!((manifest.archiver, manifest.chunks.len()), (None, 1));
        let json = without(to_json(&chunks.rejection(&recording, &[None])));
        let rejection: Rejection<'_> = from_json(json.as_bytes()).unwrap();
        assert_eq!((rejection.archiver, rejection.chunks.len()), (None, 1));
        let json = without(to_json(&SetAside::new(&recording.event, "a reason")));
        let set_aside: SetAside<'_> = from_json(json.as_bytes()).unwrap();
        assert_eq!((set_aside.archiver, &*set_aside.reason), (None, "a reason"));
    }

    #[test]
    fn a_manifest_without_an_examination_or_with_one_of_another_form_is_read() {
        let recording = recording();
        let chunks = copied(&recording, Ok(object()));
        let json = to_json(&chunks.manifest(&recording).unwrap());
        let manifest: Manifest<'_> = from_json(&json).unwrap();
        assert_eq!(manifest.check.unwrap().doubts, [""; 0]);
        let check = manifest.chunks[0].check.as_deref();
        assert_eq!(check, chunks.copied[0].check.as_ref());
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
}
