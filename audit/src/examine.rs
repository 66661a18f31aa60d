//! Doubts about media, from manifests and from examinations.

use acs_recording_archiver::error_chain::error_chain;
use acs_recording_archiver::keys::Bucket as At;
use acs_recording_archiver::media::{Check, RecordingCheck, Verdict};

use super::contents::{ChunkMedia, RecordingMedia};
use super::counters::Counted;
use super::folder::Context;
use super::report::{Entry, EntryKind, first_reasons};

/// Returns the doubts about the media of recordings.
pub(crate) async fn doubts(context: &Context, media: &[RecordingMedia<'_>]) -> Vec<Entry> {
    let mut entries = Vec::new();
    for recording in media {
        let examined = if context.check_media {
            examine(context, recording, &mut entries).await
        } else {
            None
        };
        let check = examined.as_ref().or(recording.check.as_ref());
        if let Some(check) = check.filter(|check| !check.doubts.is_empty()) {
            let detail = first_reasons(&check.doubts);
            entries.push(Entry::new(EntryKind::Doubtful, recording.document, detail));
        }
    }
    entries
}

/// Examines the media without a verdict. Returns `None` if all media has one.
async fn examine(
    context: &Context,
    media: &RecordingMedia<'_>,
    entries: &mut Vec<Entry>,
) -> Option<RecordingCheck> {
    let told = |check: &Check| check.verdict != Verdict::Unknown;
    if media.check.is_some()
        && media
            .chunks
            .iter()
            .all(|chunk| chunk.check.as_ref().is_some_and(told))
    {
        return None;
    }
    let mut checks = Vec::new();
    for chunk in &media.chunks {
        let check = match chunk.check.clone().filter(told) {
            Some(check) => check,
            None => match one(context, media, chunk).await {
                Ok(check) => check,
                Err(detail) => {
                    let entry = Entry::new(EntryKind::Unread, &*chunk.object.key, detail);
                    entries.push(entry.named_by(media.document));
                    return None;
                }
            },
        };
        checks.push((chunk.index, check));
    }
    let checks: Vec<_> = checks
        .iter()
        .map(|(index, check)| (*index, check))
        .collect();
    Some(RecordingCheck::new(&media.recording, &checks))
}

async fn one(
    context: &Context,
    media: &RecordingMedia<'_>,
    chunk: &ChunkMedia<'_>,
) -> Result<Check, String> {
    let object = &chunk.object;
    let key = context.layout.listed(At::Recordings, &object.key);
    let key = key.ok_or("is no key of ours")?;
    let format = media.recording.format;
    let examined = context
        .bucket
        .examine(&key, object.size, &object.etag, format);
    match examined.await {
        Ok(check) => {
            context.counters.count(Counted::Examined);
            Ok(check)
        }
        // Gone, or another object: the comparison has found that.
        Err(error) if matches!(error.status(), Some(404 | 412)) => {
            Ok(Check::failed(error_chain(&error)))
        }
        Err(error) => Err(error_chain(&error)),
    }
}
