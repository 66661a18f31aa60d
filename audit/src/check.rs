//! A check of a store: the S3 features that the function and the audit need are tried in a scratch
//! folder, which is deleted afterwards. Unlike an audit, the check writes.

mod steps;
mod uploads;

use acs_recording_archiver::error_chain::error_chain;
use acs_recording_archiver::store::Error;
use serde::Serialize;

use crate::bucket::Bucket;
use steps::Scratch;

/// The checks that need an object.
const OBJECT_CHECKS: [&str; 6] = [
    "headObject",
    "headObjectChecksum",
    "getObjectRange",
    "putIfNoneMatch",
    "putIfMatch",
    "listObjects",
];
/// The checks that need an upload with parts.
const UPLOAD_CHECKS: [&str; 8] = [
    "createMultipartUpload",
    "uploadPart",
    "listParts",
    "listPartsChecksums",
    "listMultipartUploads",
    "completeIfNoneMatch",
    "completeMultipartUpload",
    "fullObjectChecksum",
];

/// The result of a check.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Checked {
    /// The version of the JSON document.
    pub(crate) version: u32,
    pub(crate) bucket: String,
    /// The scratch folder, without a slash at the end.
    pub(crate) folder: String,
    /// `true` if the function can work with the store.
    pub(crate) fit: bool,
    /// The checks in the order in which they ran.
    pub(crate) checks: Vec<Check>,
}

/// The check of one feature.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Check {
    pub(crate) name: &'static str,
    pub(crate) verdict: Verdict,
    /// The reason for a verdict other than good, for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) detail: String,
}

/// The verdict on a feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Verdict {
    /// The store behaves as Amazon S3.
    Good,
    /// The store behaves otherwise, and the function does not depend on it.
    Bearable,
    /// The function cannot work without the feature.
    Lacking,
    /// A feature that the check depends on is lacking.
    Untried,
}

/// The reason why a feature is not good.
#[derive(Debug)]
enum Fault {
    Lacking(String),
    Bearable(String),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Lacking(error_chain(&error))
    }
}

impl Checked {
    /// Returns the exit status: 0 if the function can work with the store, else 1.
    #[must_use]
    pub fn status(&self) -> u8 {
        u8::from(!self.fit)
    }

    /// Returns the result as JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}

/// Checks a store in a folder whose name ends with `number`. Deletes the folder, as far as the
/// store allows.
pub async fn check(bucket: &Bucket, number: u64) -> Checked {
    let mut scratch = Scratch::new(bucket, format!("check-store-{number:016x}"));
    let mut checks = vec![];
    let can_put = check_objects(&mut scratch, &mut checks).await;
    check_uploads(&mut scratch, &mut checks, can_put).await;
    record(&mut checks, "deleteObject", scratch.clear().await);
    let is_fit = |check: &Check| matches!(check.verdict, Verdict::Good | Verdict::Bearable);
    Checked {
        version: 1,
        bucket: bucket.name().to_owned(),
        folder: scratch.folder,
        fit: checks.iter().all(is_fit),
        checks,
    }
}

/// Checks the calls for objects. Returns `false` if the store takes none.
async fn check_objects(scratch: &mut Scratch<'_>, checks: &mut Vec<Check>) -> bool {
    if !record(checks, "putObject", scratch.put().await) {
        record_untried(checks, &OBJECT_CHECKS);
        return false;
    }
    record(checks, "headObject", scratch.head().await);
    record(checks, "headObjectChecksum", scratch.head_checksum().await);
    record(checks, "getObjectRange", scratch.range().await);
    record(checks, "putIfNoneMatch", scratch.put_if_none_match().await);
    record(checks, "putIfMatch", scratch.put_if_match().await);
    record(checks, "listObjects", scratch.list_objects().await);
    true
}

/// Checks the calls for multipart uploads, unless the store takes no objects.
async fn check_uploads(scratch: &mut Scratch<'_>, checks: &mut Vec<Check>, can_put: bool) {
    let can_begin = can_put && record(checks, "createMultipartUpload", scratch.begin().await);
    if can_begin && record(checks, "uploadPart", scratch.put_parts().await) {
        record(checks, "listParts", scratch.list_parts().await);
        record(checks, "listPartsChecksums", scratch.list_checksums().await);
        record(checks, "listMultipartUploads", scratch.list_uploads().await);
        let refused = scratch.complete_if_none_match().await;
        record(checks, "completeIfNoneMatch", refused);
        record(checks, "completeMultipartUpload", scratch.complete().await);
        record(checks, "fullObjectChecksum", scratch.whole_checksum().await);
    } else {
        record_untried(checks, &UPLOAD_CHECKS);
    }
    if can_begin {
        record(checks, "abortMultipartUpload", scratch.abort().await);
    } else {
        record_untried(checks, &["abortMultipartUpload"]);
    }
}

/// Records the result of a check. Returns `false` if the feature is lacking.
fn record(checks: &mut Vec<Check>, name: &'static str, checked: Result<(), Fault>) -> bool {
    let (verdict, detail) = match checked {
        Ok(()) => (Verdict::Good, String::new()),
        Err(Fault::Bearable(detail)) => (Verdict::Bearable, detail),
        Err(Fault::Lacking(detail)) => (Verdict::Lacking, detail),
    };
    checks.push(Check {
        name,
        verdict,
        detail,
    });
    verdict != Verdict::Lacking
}

/// Records the checks that did not run.
fn record_untried(checks: &mut Vec<Check>, names: &[&'static str]) {
    for name in names {
        if checks.iter().all(|check| check.name != *name) {
            checks.push(Check {
                name,
                verdict: Verdict::Untried,
                detail: "a feature that it needs is lacking".to_owned(),
            });
        }
    }
}
