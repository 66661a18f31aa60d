//! What a person does about a finding.

use crate::report::What;

/// One sentence or two, for whoever runs the archive.
pub(super) fn advice(what: What) -> &'static str {
    match what {
        What::Missing => {
            "Find out who deleted it (CloudTrail). In a versioned bucket, restore the version \
             below the delete marker."
        }
        What::SizeDiffers | What::ChecksumDiffers | What::EtagDiffers | What::OriginDiffers => {
            "The object was written by somebody else. Find out who (CloudTrail), and restore the \
             version that the manifest names."
        }
        What::Misplaced | What::Incomplete => {
            "The manifest was not written by the function. Find out who wrote it, and restore the \
             version before it."
        }
        What::Unreadable => {
            "Restore the version before it. A newer version of the function may have written it: \
             then audit with that."
        }
        What::Rejected => {
            "Read the reason. While ACS still has the source, remove the cause and post the event \
             again."
        }
        What::SetAside => {
            "Read the reason. If the event is real, post it again and then delete it from \
             rejected/; if it is forged, change the webhook secret."
        }
        What::Overdue => {
            "ACS has deleted the source. Look into the log for what failed, and whether the \
             upload can be completed."
        }
        What::Postdated => "Real events have no time to come: look whether it was forged.",
        What::WithoutManifest => {
            "Post its event again: the function writes the manifest if all chunks are there."
        }
        What::OrphanedUpload => {
            "The bucket's lifecycle rule ends it. If its recording is not archived, it may be the \
             only copy: look before."
        }
        What::NeverArchived => {
            "Find out where its event was lost (RUNBOOK, Find events that never arrived), at \
             once: ACS keeps a recording for 24 hours. Post the event again."
        }
        What::ChunksDiffer => {
            "Another event may tell of the other chunks: find it in the dead-letter container, \
             and post it again."
        }
        What::LengthDiffers => "Play the recording to its end, and compare it with the call.",
        What::UnsureMatch => {
            "Compare call, start and length by eye; the log's correlation id leads to the call."
        }
        What::Doubtful => {
            "Play it. While ACS still has the source, fetch it again (RUNBOOK, Media doubtful): \
             after 24 hours this is all there is."
        }
        What::Unread => "Give the reader s3:GetObject, or run the audit again.",
        What::Rewritten
        | What::ArchivedLater
        | What::NotUnderstood
        | What::LeftOver
        | What::YoungUpload
        | What::Foreign
        | What::NotInLog
        | What::OnItsWay => "Nothing.",
    }
}
