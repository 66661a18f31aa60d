//! The search for uploads that no record names.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use acs_recording_archiver::store::Error;

use super::Scope;
use super::bucket::Bucket;
use super::counters::{Counted, Counters};
use super::report::{Entry, EntryKind, Report};

/// The time that the function may take to write the record of a new upload, with retries.
const RECORDED_WITHIN: Duration = Duration::from_mins(2);

/// Lists the uploads under the prefix, and reports those that are not in `recorded`.
///
/// The caller has read the records before, and `now` before the records. So an upload that is older
/// than [`RECORDED_WITHIN`] had its record when the records were read, or has none.
pub(crate) async fn check(
    bucket: &Bucket,
    scope: &Scope,
    now: SystemTime,
    recorded: &HashSet<String>,
    counters: &Counters,
    report: &mut Report,
) -> Result<(), Error> {
    let layout = &scope.layout;
    let mut listing = bucket.uploads(&layout.prefix().to_string());
    while let Some(page) = listing.page().await? {
        for upload in page {
            if !scope.window.holds(layout, &upload.key) {
                continue;
            }
            counters.count(Counted::Upload);
            if recorded.contains(&upload.id) {
                continue;
            }
            let age = upload.initiated.map(|at| now.duration_since(at));
            let age = age.map(Result::unwrap_or_default);
            let young = age.is_some_and(|age| age < RECORDED_WITHIN);
            let (kind, detail) = if young {
                (EntryKind::YoungUpload, "its record may not be written yet")
            } else {
                (
                    EntryKind::OrphanedUpload,
                    "no record under pending/ names it",
                )
            };
            let begun = age.map(|age| format!(", begun {} ago", super::table::span(age.as_secs())));
            let detail = format!("{detail}{}", begun.unwrap_or_default());
            let mut entry = Entry::new(kind, upload.key, detail);
            entry.upload_id = Some(upload.id);
            report.add(entry);
        }
    }
    Ok(())
}
