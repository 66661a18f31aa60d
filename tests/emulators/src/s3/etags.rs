//! `ETags`.

use s3s::dto::ETag;

/// The form of `ETags`.
///
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html>
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Etags {
    /// The MD5 of the bytes, as without encryption; opaque if bodies are not stored, to save the
    /// time of hashing.
    #[default]
    Md5,
    /// A new value for each write, even of the same bytes, as under SSE-KMS.
    Opaque,
}

/// An `ETag` for `s3s`, which adds the quotes itself.
pub(super) fn strong(etag: &str) -> ETag {
    ETag::Strong(unquoted(etag).to_owned())
}

pub(super) fn unquoted(etag: &str) -> &str {
    etag.trim_matches('"')
}

pub(super) fn quoted(value: &str) -> String {
    format!("\"{value}\"")
}
