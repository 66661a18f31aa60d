use bytes::Bytes;

use crate::media::Media;

/// A recording's chunk that the emulator holds.
#[derive(Clone, Debug)]
pub struct Document {
    /// Its document id.
    pub id: String,
    /// Its content.
    pub media: Media,
    /// Its metadata file.
    pub metadata: Bytes,
    /// The content's `ETag`, sent as it stands here.
    pub etag: Option<String>,
    /// The content's media type where it is not that of the media's format.
    pub content_type: Option<String>,
    /// What a `Range` does, on content and metadata alike.
    pub ranges: Ranges,
}

impl Document {
    /// A document with small metadata, no `ETag`, and ranges honoured.
    pub fn new(id: &str, media: Media) -> Self {
        let metadata =
            serde_json::json!({"resourceId": id, "chunkDocumentId": id, "chunkIndex": 0});
        Self {
            id: id.to_owned(),
            media,
            metadata: metadata.to_string().into(),
            etag: None,
            content_type: None,
            ranges: Ranges::Honoured,
        }
    }
}

/// What is answered to a request with a `Range`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ranges {
    /// 206 and the range.
    #[default]
    Honoured,
    /// 206 and the beginning of the range, of at most so many bytes.
    Shortened(u64),
    /// 200 and everything, with its length.
    Ignored,
    /// 200 and everything, chunked; so is an answer to a request without a `Range`.
    IgnoredWithoutLength,
}
