//! The explanations of the results in the help.

/// The part of the help that explains the results.
pub(super) const EXPLANATIONS: &str = "\
Findings, each of which needs a person:
  missing            an object that a manifest or rejection names does not exist
  sizeDiffers        its size differs
  checksumDiffers    its CRC64NVME differs
  originDiffers      its own metadata contradicts its key or its size: the document-id, the location
                     or the source-length
  etagDiffers        its ETag differs, and there are no two checksums to compare
  misplaced          a manifest or rejection names a key that is not one of that chunk in its own
                     folder; the audit does not look at that key
  incomplete         a manifest does not name every chunk of its event, or its event cannot be
                     understood, or is that of another key
  unreadable         a manifest, rejection or upload's record is broken or has an unknown version
  rejected           a recording was rejected, and no manifest shows that it was archived later
  setAside           an event is under rejected/; delete it there when it has been dealt with
  overdue            an event is pending 24 hours after its time: ACS has deleted the source
  postdated          an event is pending whose time is more than 5 minutes in the future; its age
                     counts from when it was stored
  withoutManifest    no manifest, rejection or pending event names this media or metadata
  orphanedUpload     no record under pending/ names this unfinished multipart upload
  neverArchived      ACS's log has a recording of which the archive has nothing
  chunksDiffer       ACS's log has another number of chunks than the manifests
  lengthDiffers      ACS's log has another length than the event, by more than a second
  unsureMatch        ACS's log has a recording that may be one of the archive: the starts agree only
                     to the second, or several recordings have that start, or the ids differ

Notes, which need no action; the first of each kind are shown:
  rewritten          the version or the ETag of an object differs, but its bytes are the same by its
                     checksum, or by its ETag if it has no checksum
  archivedLater      a rejected recording was archived later
  notUnderstood      a pending event cannot be understood; the schedule sets it aside
  leftOver           the event of a record is no longer pending; the schedule deletes the record
  youngUpload        an upload without a record began in the last 2 minutes; the record may not be
                     written yet
  foreign            an object under the prefix has a key that the function does not write
  notInLog           ACS's log does not have this recording, although it has the time
  onItsWay           ACS logged a recording in the last 15 minutes, and the archive has nothing of
                     it yet

Recordings that are listed apart. They are no findings, because the archive has the bytes that ACS
sent:
  doubtful           the manifest or the examination says that a chunk is truncated, unreadable or
                     of no duration, or that all chunks together last less than half of the
                     recording

Pending events are listed with their age and the time until ACS deletes the source. The age counts
from the event's time, or from when it was stored if the event has no time or one in the future.
Pending events and the records of their uploads are listed for all days; an upload counts on the day
in its key.

Verdicts of --check-store, which makes each call as the function does:
  good      the store behaves as Amazon S3
  bearable  the store behaves otherwise, and the function does not depend on it
  lacking   the function cannot work without it
  untried   a feature that it needs is lacking

Exit status:
  0  all is in order; with --check-store, the function can work with the store
  1  there are findings; with --check-store, the function cannot work with the store
  2  wrong options, nothing under the prefix, or the store could not be read. There is no result
     then, except where single objects could not be read: these are listed as unread, and the audit
     is not complete";
