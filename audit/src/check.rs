//! A trial of a store: everything that the function and the audit need of one, in a scratch folder
//! that is deleted afterwards. It writes.

mod steps;
mod uploads;

use acs_recording_archiver::error_chain::error_chain;
use acs_recording_archiver::store::Error;
use serde::Serialize;

use crate::bucket::Bucket;
use steps::Scratch;

/// What was tried of a store.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Checked {
    /// The version of this document.
    pub(crate) version: u32,
    /// The bucket.
    pub(crate) bucket: String,
    /// The folder of all that was written, without its last slash.
    pub(crate) folder: String,
    /// `true` if the function can work with the store.
    pub(crate) fit: bool,
    /// What was tried, in order.
    pub(crate) checks: Vec<Check>,
}

/// One thing that was tried.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Check {
    /// Its name.
    pub(crate) name: &'static str,
    /// The verdict on it.
    pub(crate) verdict: Verdict,
    /// What was found, where it is not good; for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) detail: String,
}

/// The verdict on one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Verdict {
    /// As Amazon S3 does it.
    Good,
    /// Not as Amazon S3 does it, and the function can do without.
    Bearable,
    /// The function cannot work without it.
    Lacking,
    /// What it stands on is lacking.
    Untried,
}

/// Why something is not good.
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
    /// The exit status: 0 if the store is fit, else 1.
    #[must_use]
    pub fn status(&self) -> u8 {
        u8::from(!self.fit)
    }

    /// As one JSON document.
    ///
    /// # Panics
    ///
    /// Never: all of it can be serialised.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}

/// Tries a store in a folder of its own, whose name ends with `number`. Whatever was written is
/// deleted again, as far as the store lets it.
pub async fn check(bucket: &Bucket, number: u64) -> Checked {
    let mut scratch = Scratch::new(bucket, format!("check-store-{number:016x}"));
    let mut checks = vec![];
    let fine = note(&mut checks, "putObject", scratch.put().await);
    if fine {
        note(&mut checks, "headObject", scratch.head().await);
        note(
            &mut checks,
            "headObjectChecksum",
            scratch.head_checksum().await,
        );
        note(&mut checks, "getObjectRange", scratch.range().await);
        note(
            &mut checks,
            "putIfNoneMatch",
            scratch.put_if_none_match().await,
        );
        note(&mut checks, "putIfMatch", scratch.put_if_match().await);
        note(&mut checks, "listObjects", scratch.list_objects().await);
    } else {
        let names = [
            "headObject",
            "headObjectChecksum",
            "getObjectRange",
            "putIfNoneMatch",
            "putIfMatch",
            "listObjects",
        ];
        untried(&mut checks, &names);
    }
    let begun = fine && note(&mut checks, "createMultipartUpload", scratch.begin().await);
    if begun && note(&mut checks, "uploadPart", scratch.put_parts().await) {
        note(&mut checks, "listParts", scratch.list_parts().await);
        note(
            &mut checks,
            "listPartsChecksums",
            scratch.list_checksums().await,
        );
        note(
            &mut checks,
            "listMultipartUploads",
            scratch.list_uploads().await,
        );
        let refused = scratch.complete_if_none_match().await;
        note(&mut checks, "completeIfNoneMatch", refused);
        note(
            &mut checks,
            "completeMultipartUpload",
            scratch.complete().await,
        );
        note(
            &mut checks,
            "fullObjectChecksum",
            scratch.whole_checksum().await,
        );
    } else {
        let names = [
            "createMultipartUpload",
            "uploadPart",
            "listParts",
            "listPartsChecksums",
            "listMultipartUploads",
            "completeIfNoneMatch",
            "completeMultipartUpload",
            "fullObjectChecksum",
        ];
        untried(&mut checks, &names);
    }
    if begun {
        note(&mut checks, "abortMultipartUpload", scratch.abort().await);
    } else {
        untried(&mut checks, &["abortMultipartUpload"]);
    }
    note(&mut checks, "deleteObject", scratch.clear().await);
    Checked {
        version: 1,
        bucket: bucket.name().to_owned(),
        folder: scratch.folder,
        fit: (checks.iter())
            .all(|check| matches!(check.verdict, Verdict::Good | Verdict::Bearable)),
        checks,
    }
}

/// Notes what was found, and returns `true` if it can be built on.
fn note(checks: &mut Vec<Check>, name: &'static str, found: Result<(), Fault>) -> bool {
    let (verdict, detail) = match found {
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

/// Notes each that is not there yet as untried.
fn untried(checks: &mut Vec<Check>, names: &[&'static str]) {
    for name in names {
        if checks.iter().all(|check| check.name != *name) {
            checks.push(Check {
                name,
                verdict: Verdict::Untried,
                detail: "what it stands on is lacking".to_owned(),
            });
        }
    }
}
