//! The source of a document: a URL, and the form of the request.

use std::fmt;

use url::Url;

use super::signature::Form;
use super::{Client, InvalidSource};
use crate::locations::{media_path, metadata_path};
use crate::recording::{Chunk, is_plain_id};

/// The API version of downloads by documentId.
const API_VERSION_2021: &str = "2021-04-15-preview1";

/// The kind of a chunk's document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Document {
    /// Video or audio.
    Media,
    /// Metadata: a small JSON document.
    Metadata,
}

/// The source of a document.
#[derive(Clone)]
pub(crate) struct Source {
    pub(super) url: Url,
    pub(super) form: Form,
    pub(super) document: Document,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({:?}, {:?})", self.document, self.form)
    }
}

impl Client {
    /// The source of a chunk's media.
    pub(crate) fn media(&self, chunk: &Chunk) -> Result<Source, InvalidSource> {
        self.source(
            Document::Media,
            chunk.content_location.as_deref(),
            &chunk.document_id,
        )
    }

    /// The source of a chunk's metadata.
    pub(crate) fn metadata(&self, chunk: &Chunk) -> Result<Source, InvalidSource> {
        self.source(
            Document::Metadata,
            chunk.metadata_location.as_deref(),
            &chunk.document_id,
        )
    }

    /// The source of a document. A document without a location is requested by its documentId in
    /// the 2021 form, even if the chunk's other document has a location.
    fn source(
        &self,
        document: Document,
        location: Option<&str>,
        document_id: &str,
    ) -> Result<Source, InvalidSource> {
        if let Some(location) = location {
            let url = self.allowed.admit(location)?.url().clone();
            return Ok(Source {
                url,
                form: Form::Current,
                document,
            });
        }
        if !is_plain_id(document_id) {
            return Err(InvalidSource::DocumentId);
        }
        let path = match document {
            Document::Media => media_path(document_id),
            Document::Metadata => metadata_path(document_id),
        };
        let mut url = self.resource.endpoint().clone();
        url.set_path(&path);
        url.set_query(Some(&format!("api-version={API_VERSION_2021}")));
        Ok(Source {
            url,
            form: Form::Preview2021,
            document,
        })
    }
}
