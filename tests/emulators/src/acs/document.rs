use bytes::Bytes;

use crate::media::Media;

/// The content and metadata of a chunk.
#[derive(Clone, Debug)]
pub struct Document {
    /// The document id.
    pub id: String,
    /// The content.
    pub media: Media,
    /// The metadata.
    pub metadata: Bytes,
    /// The value of the `ETag` header of the content.
    pub etag: Option<String>,
    /// The media type of the content, by default that of its format.
    pub content_type: Option<String>,
    /// The treatment of `Range` for content and metadata.
    pub ranges: Ranges,
}

impl Document {
    /// Creates a document with small metadata, no `ETag`, and ranges honoured.
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

/// The answer to a request with a `Range`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ranges {
    /// 206 and the range.
    #[default]
    Honoured,
    /// 206 and at most this many bytes from the beginning of the range.
    Shortened(u64),
    /// 200 and the complete file, with its length.
    Ignored,
    /// 200 and the complete file in chunked encoding, also without a `Range`.
    IgnoredWithoutLength,
}
