//! `ETags`.

use s3s::dto::ETag;

/// How `ETags` are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Etags {
    /// From the MD5 of the bytes, as without encryption. Where bodies are not kept it is spared, and
    /// `ETags` are opaque.
    #[default]
    Md5,
    /// A fresh one for each write, even of the same bytes, as under SSE-KMS.
    Opaque,
}

/// An `ETag` for `s3s`, which wants it without its quotes.
pub(super) fn strong(etag: &str) -> ETag {
    ETag::Strong(unquoted(etag).to_owned())
}

pub(super) fn unquoted(etag: &str) -> &str {
    etag.trim_matches('"')
}

pub(super) fn quoted(value: &str) -> String {
    format!("\"{value}\"")
}
