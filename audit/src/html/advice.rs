//! What a person does about a finding.

use crate::report::EntryKind;

/// One sentence or two, for whoever runs the archive.
pub(super) fn advice(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::Missing => {
            "Find out who deleted it (CloudTrail). In a versioned bucket, restore the version \
             below the delete marker."
        }
        EntryKind::SizeDiffers
        | EntryKind::ChecksumDiffers
        | EntryKind::EtagDiffers
        | EntryKind::OriginDiffers => {
            "The object was written by somebody else. Find out who (CloudTrail), and restore the \
             version that the manifest names."
        }
        EntryKind::Misplaced | EntryKind::Incomplete => {
            "The manifest was not written by the function. Find out who wrote it, and restore the \
             version before it."
        }
        EntryKind::Unreadable => {
            "Restore the version before it. A newer version of the function may have written it: \
             then audit with that."
        }
        EntryKind::Rejected => {
            "Read the reason. While ACS still has the source, remove the cause and post the event \
             again."
        }
        EntryKind::SetAside => {
            "Read the reason. If the event is real, post it again and then delete it from \
             rejected/; if it is forged, change the webhook secret."
        }
        EntryKind::Overdue => {
            "ACS has deleted the source. Look into the log for what failed, and whether the \
             upload can be completed."
        }
        EntryKind::Postdated => "Real events have no time to come: look whether it was forged.",
        EntryKind::WithoutManifest => {
            "Post its event again: the function writes the manifest if all chunks are there."
        }
        EntryKind::OrphanedUpload => {
            "The bucket's lifecycle rule ends it. If its recording is not archived, it may be the \
             only copy: look before."
        }
        EntryKind::NeverArchived => {
            "Find out where its event was lost (RUNBOOK, Find events that never arrived), at \
             once: ACS keeps a recording for 24 hours. Post the event again."
        }
        EntryKind::ChunksDiffer => {
            "Another event may tell of the other chunks: find it in the dead-letter container, \
             and post it again."
        }
        EntryKind::LengthDiffers => "Play the recording to its end, and compare it with the call.",
        EntryKind::UnsureMatch => {
            "Compare call, start and length by eye; the log's correlation id leads to the call."
        }
        EntryKind::Doubtful => {
            "Play it. While ACS still has the source, fetch it again (RUNBOOK, Media doubtful): \
             after 24 hours this is all there is."
        }
        EntryKind::Unread => "Give the reader s3:GetObject, or run the audit again.",
        EntryKind::Rewritten
        | EntryKind::ArchivedLater
        | EntryKind::NotUnderstood
        | EntryKind::LeftOver
        | EntryKind::YoungUpload
        | EntryKind::Foreign
        | EntryKind::NotInLog
        | EntryKind::OnItsWay => "Nothing.",
    }
}
