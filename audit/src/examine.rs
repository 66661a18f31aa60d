//! Doubts about media, from manifests and from examinations.

use std::collections::HashMap;

use acs_recording_archiver::documents::StoredObject;
use acs_recording_archiver::error_chain::error_chain;
use acs_recording_archiver::keys::{Bucket as At, Key};
use acs_recording_archiver::media::{Check, RecordingCheck, Verdict};

use super::contents::{ChunkMedia, RecordingMedia};
use super::counters::Counted;
use super::folder::Context;
use super::recordings::checked;
use super::report::{Entry, EntryKind, first_reasons};

/// The results for the media of a folder.
#[derive(Debug, Default)]
pub(crate) struct Examined {
    /// The doubts about recordings, and the objects that could not be read.
    pub(crate) entries: Vec<Entry>,
    /// The verdicts of new examinations, by the key of the manifest.
    pub(crate) verdicts: HashMap<String, String>,
}

/// Returns the doubts about the media of recordings, and examines media if the scope asks for it.
pub(crate) async fn doubts(context: &Context, media: &[RecordingMedia<'_>]) -> Examined {
    let mut examined = Examined::default();
    for recording in media {
        let new = if context.check_media {
            examine(context, recording, &mut examined).await
        } else {
            None
        };
        let check = new.as_ref().or(recording.check.as_ref());
        if let Some(check) = check.filter(|check| !check.doubts.is_empty()) {
            let detail = first_reasons(&check.doubts);
            let entry = Entry::new(EntryKind::Doubtful, recording.document, detail);
            examined.entries.push(entry);
        }
    }
    examined
}

/// Examines the media without a verdict. Returns `None` if all media has one.
async fn examine(
    context: &Context,
    media: &RecordingMedia<'_>,
    examined: &mut Examined,
) -> Option<RecordingCheck> {
    let is_known = |check: &Check| check.verdict != Verdict::Unknown;
    let mut chunks = media.chunks.iter();
    if media.check.is_some() && chunks.all(|chunk| chunk.check.as_ref().is_some_and(is_known)) {
        return None;
    }
    let mut checks = Vec::new();
    for chunk in &media.chunks {
        let check = match chunk.check.clone().filter(is_known) {
            Some(check) => check,
            None => match examine_chunk(context, media, chunk).await {
                Ok(check) => check,
                Err(detail) => {
                    let entry = Entry::new(EntryKind::Unread, &*chunk.object.key, detail);
                    examined.entries.push(entry.named_by(media.document));
                    return None;
                }
            },
        };
        checks.push((chunk.index, check));
    }
    let by_index: Vec<_> = checks
        .iter()
        .map(|(index, check)| (*index, check))
        .collect();
    let recording = RecordingCheck::new(&media.recording, &by_index);
    let verdicts = checked(checks.iter().map(|(_, check)| check), Some(&recording));
    let document = media.document.to_owned();
    examined
        .verdicts
        .extend(verdicts.map(|text| (document, text)));
    Some(recording)
}

async fn examine_chunk(
    context: &Context,
    media: &RecordingMedia<'_>,
    chunk: &ChunkMedia<'_>,
) -> Result<Check, String> {
    let object = &chunk.object;
    let key = context.layout.listed(At::Recordings, &object.key);
    let key = key.ok_or("is not a key that the function writes")?;
    let (bucket, format) = (&context.bucket, media.recording.format);
    let mut examined = bucket
        .examine(&key, object.size, &object.etag, format)
        .await;
    if examined
        .as_ref()
        .is_err_and(|error| error.status() == Some(412))
    {
        // A copy onto the same key, for example with another encryption, changes the ETag and not
        // the bytes.
        if let Some(etag) = etag_of_same_bytes(context, &key, object).await {
            examined = bucket.examine(&key, object.size, &etag, format).await;
        }
    }
    match examined {
        Ok(check) => {
            context.counters.count(Counted::Examined);
            Ok(check)
        }
        // The object is missing or has other bytes, which is a finding of the comparison.
        Err(error) if matches!(error.status(), Some(404 | 412)) => {
            Ok(Check::failed(error_chain(&error)))
        }
        Err(error) => Err(error_chain(&error)),
    }
}

/// Returns the current ETag of an object if the checksums prove that its bytes are the same.
async fn etag_of_same_bytes(
    context: &Context,
    key: &Key,
    named: &StoredObject<'_>,
) -> Option<String> {
    let there = context.bucket.find(key).await.ok()??;
    let checksums = there.crc64nvme.as_deref().zip(named.crc64nvme.as_deref());
    let is_same = checksums.is_some_and(|(there, named)| there == named);
    (is_same && there.size == named.size).then_some(there.etag)
}
