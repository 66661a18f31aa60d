//! Advice for each kind of finding.

use crate::report::EntryKind;

/// Returns the advice for the operator of the archive.
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
            "Another writer replaced the object. Find out who (CloudTrail), and restore the \
             version that the manifest names."
        }
        EntryKind::Misplaced | EntryKind::Incomplete => {
            "Another writer replaced the manifest. Find out who (CloudTrail), and restore the \
             previous version."
        }
        EntryKind::Unreadable => {
            "If a newer version of the function wrote it, audit with that version. Otherwise \
             restore the previous version."
        }
        EntryKind::Rejected => {
            "Read the reason. While ACS still has the source, remove the cause and post the event \
             again."
        }
        EntryKind::SetAside => {
            "Read the reason. If the event is genuine, post it again and then delete it from \
             rejected/; if it is forged, change the webhook secret."
        }
        EntryKind::Overdue => {
            "ACS has deleted the source. Find the failure in the log, and find out whether the \
             upload can be completed."
        }
        EntryKind::Postdated => {
            "The time of a genuine event is past: find out whether the event was forged."
        }
        EntryKind::WithoutManifest => {
            "Post the event again: the function writes the manifest if all chunks are archived."
        }
        EntryKind::OrphanedUpload => {
            "The bucket's lifecycle rule will abort it. If its recording is not archived, it may \
             be the only copy: find that out before."
        }
        EntryKind::NeverArchived => {
            "Find the lost event at once (RUNBOOK, Find events that never arrived), because ACS \
             keeps a recording for 24 hours. Post the event again."
        }
        EntryKind::ChunksDiffer => {
            "Another event may name the other chunks: find it in the dead-letter container, and \
             post it again."
        }
        EntryKind::LengthDiffers => "Play the recording to its end, and compare it with the call.",
        EntryKind::UnsureMatch => {
            "Compare call, start and length; the correlation id in ACS's log identifies the call."
        }
        EntryKind::Doubtful => {
            "Play it. While ACS still has the source, for 24 hours, archive it again (RUNBOOK, \
             Media doubtful)."
        }
        EntryKind::Unread => "Grant s3:GetObject to the audit, or run the audit again.",
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
