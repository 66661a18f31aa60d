//! The conditions of a write.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html>

use s3s::dto::ETagCondition;
use s3s::{S3Result, s3_error};

use super::Object;
use super::etags::unquoted;

/// A condition of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// `If-None-Match` of `PutObject`.
    PutIfNoneMatch,
    /// `If-Match` of `PutObject`.
    PutIfMatch,
    /// `If-None-Match` of `CompleteMultipartUpload`.
    CompleteIfNoneMatch,
}

/// Checks the conditions of a request against the object under its key.
pub(super) fn check(
    current: Option<&Object>,
    if_match: Option<&ETagCondition>,
    if_none_match: Option<&ETagCondition>,
) -> S3Result<()> {
    match if_none_match {
        Some(ETagCondition::Any) if current.is_some() => {
            return Err(s3_error!(PreconditionFailed, "If-None-Match"));
        }
        Some(ETagCondition::ETag(_)) => {
            return Err(s3_error!(
                NotImplemented,
                "a write's If-None-Match can only be *"
            ));
        }
        _ => {}
    }
    let Some(wanted) = if_match else {
        return Ok(());
    };
    // Amazon S3 answers 404, not 412, if there is no object to match.
    let Some(current) = current else {
        return Err(s3_error!(NoSuchKey, "there is nothing to match"));
    };
    match wanted {
        ETagCondition::ETag(wanted) if wanted.as_strong() != Some(unquoted(&current.etag)) => {
            Err(s3_error!(PreconditionFailed, "If-Match"))
        }
        _ => Ok(()),
    }
}
