//! The comparison of the objects in S3 with the documents of ACS.

use std::collections::BTreeMap;

use emulators::media::Media;
use emulators::s3::{Object, S3};
use serde_json::Value;

use crate::recordings::{Expected, ExpectedChunk, PREFIX};
use crate::setup::WORK;

/// The objects, and the differences from their sources.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    pub(crate) objects: Vec<Row>,
    pub(crate) differences: Vec<String>,
}

/// An object and the result of its comparison.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) key: String,
    pub(crate) object: Object,
    pub(crate) verdict: &'static str,
}

/// The expected content of a key.
enum Kind<'a> {
    Media(&'a Media),
    Metadata(&'a [u8]),
    Manifest(&'a Expected),
    Rejection,
}

/// Compares every object with its source, and reports unfinished uploads and pending events. The
/// comparison of a manifest finds missing objects.
pub(crate) fn check(s3: &S3, expected: &[Expected]) -> Checked {
    let objects = s3.objects();
    let kinds = kinds(expected);
    let verdicts = verdicts(&objects);
    let mut checked = Checked::default();
    for (key, object) in &objects {
        let judged = match kinds.get(key.as_str()) {
            Some(Kind::Media(media)) => is_media(object, media).map(|verified| {
                let verdict = verdicts.get(key.as_str());
                verdict.copied().unwrap_or(verified)
            }),
            Some(Kind::Metadata(bytes)) if object.body == *bytes => Ok("verified"),
            Some(Kind::Metadata(_)) => Err("is not the metadata that ACS has".to_owned()),
            Some(Kind::Manifest(recording)) => is_manifest(object, recording, &objects),
            Some(Kind::Rejection) => Ok("rejected"),
            None if key.starts_with(&format!("{PREFIX}rejected/")) => Ok("set aside"),
            None => Err("is named by no event".to_owned()),
        };
        let verdict = judged.unwrap_or_else(|difference| {
            checked.differences.push(format!("{key} {difference}"));
            "DIFFERS"
        });
        checked.objects.push(Row {
            key: key.clone(),
            object: object.clone(),
            verdict,
        });
    }
    for (key, object) in s3.of(WORK).objects() {
        let difference = format!("{key} is left over: its event is still pending");
        checked.differences.push(difference);
        checked.objects.push(Row {
            key,
            object,
            verdict: "DIFFERS",
        });
    }
    for upload in s3.uploads() {
        let parts = upload.parts.len();
        checked.differences.push(format!(
            "{} has an unfinished upload of {parts} parts",
            upload.key
        ));
    }
    checked
}

/// The verdicts of the media check in the manifests, by the key of the media.
fn verdicts(objects: &BTreeMap<String, Object>) -> BTreeMap<String, &'static str> {
    let manifests = objects
        .iter()
        .filter(|(key, _)| key.ends_with(".manifest.json"));
    let manifests = manifests.filter_map(|(_, object)| {
        let manifest: Value = serde_json::from_slice(&object.body).ok()?;
        manifest.get("chunks")?.as_array().cloned()
    });
    let verdicts = manifests.flatten().filter_map(|chunk| {
        let key = chunk.pointer("/media/key")?.as_str()?.to_owned();
        let verdict = match chunk.pointer("/check/verdict")?.as_str()? {
            "complete" => "verified, complete",
            "truncated" => "verified, truncated",
            "unreadable" => "verified, unreadable",
            _ => "verified, unknown",
        };
        Some((key, verdict))
    });
    verdicts.collect()
}

fn kinds(expected: &[Expected]) -> BTreeMap<&str, Kind<'_>> {
    let mut kinds = BTreeMap::new();
    for recording in expected {
        kinds.insert(&*recording.manifest_key, Kind::Manifest(recording));
        kinds.insert(&*recording.rejection_key, Kind::Rejection);
        for chunk in &recording.chunks {
            kinds.insert(&*chunk.media_key, Kind::Media(&chunk.media));
            kinds.insert(&*chunk.metadata_key, Kind::Metadata(&chunk.metadata));
        }
    }
    kinds
}

fn is_media(object: &Object, media: &Media) -> Result<&'static str, String> {
    const BLOCK: usize = 1 << 20;
    if object.size != media.length() {
        let length = media.length();
        return Err(format!("has {} bytes, its source {length}", object.size));
    }
    let crc64nvme = media.crc64nvme();
    if object.crc64nvme.as_deref() != Some(&crc64nvme) {
        let there = object.crc64nvme.as_deref().unwrap_or("none");
        return Err(format!(
            "has the checksum {there}, its source has {crc64nvme}"
        ));
    }
    if object.content_type.as_deref() != Some(media.content_type()) {
        let there = object.content_type.as_deref().unwrap_or("none");
        let source = media.content_type();
        return Err(format!(
            "has the content type {there}, its source has {source}"
        ));
    }
    // Block by block, so that no second copy of a large object is in memory.
    let mut offset = 0;
    for block in object.body.chunks(BLOCK) {
        let end = offset + block.len() as u64;
        if media.bytes(offset..end) != block {
            return Err(format!(
                "has other bytes than its source from {offset} to {end}"
            ));
        }
        offset = end;
    }
    if offset == media.length() {
        Ok("verified")
    } else {
        Err(format!("contains only {offset} bytes"))
    }
}

fn is_manifest(
    object: &Object,
    recording: &Expected,
    objects: &BTreeMap<String, Object>,
) -> Result<&'static str, String> {
    let manifest: Value = serde_json::from_slice(&object.body)
        .map_err(|error| format!("is not valid JSON: {error}"))?;
    if manifest.get("event") != Some(&recording.event) {
        return Err("does not contain the event as delivered".to_owned());
    }
    let chunks = manifest.get("chunks").and_then(Value::as_array);
    let chunks = chunks.ok_or("has no chunks")?;
    if chunks.len() != recording.chunks.len() {
        let (there, expected) = (chunks.len(), recording.chunks.len());
        return Err(format!("has {there} chunks, the event {expected}"));
    }
    for expected in &recording.chunks {
        let chunk = chunks.iter().find(|chunk| {
            chunk.get("index").and_then(Value::as_u64) == Some(expected.index)
                && chunk.get("documentId").and_then(Value::as_str) == Some(&expected.document_id)
        });
        let chunk = chunk.ok_or_else(|| format!("does not list chunk {}", expected.index))?;
        is_listed(chunk, expected, objects)?;
    }
    Ok("verified")
}

fn is_listed(
    chunk: &Value,
    expected: &ExpectedChunk,
    objects: &BTreeMap<String, Object>,
) -> Result<(), String> {
    for (name, key) in [
        ("media", &expected.media_key),
        ("metadata", &expected.metadata_key),
    ] {
        let object = objects
            .get(key)
            .ok_or_else(|| format!("lists {key}, which does not exist"))?;
        let is = [
            ("key", Value::from(key.as_str())),
            ("size", object.size.into()),
            ("etag", object.etag.as_str().into()),
            ("versionId", object.version_id.as_str().into()),
            ("crc64nvme", object.crc64nvme.as_deref().into()),
            ("contentType", object.content_type.as_deref().into()),
        ];
        let listed = chunk.get(name);
        for (field, is) in is {
            if listed.and_then(|listed| listed.get(field)) != Some(&is) {
                return Err(format!(
                    "lists another {field} of {key} than S3, which has {is}"
                ));
            }
        }
    }
    Ok(())
}
