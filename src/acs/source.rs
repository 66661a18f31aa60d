//! The source of a document: its URL, and the form of the request for it.

use std::fmt;

use url::Url;

use super::signature::Form;
use super::{Client, InvalidSource};
use crate::locations::{media_path, metadata_path};
use crate::recording::{Chunk, is_plain_id};

/// The version that downloads by documentId were published under.
const API_VERSION_2021: &str = "2021-04-15-preview1";
/// Which of a chunk's documents is asked for: an error page of one is not taken for the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Document {
    /// Video or audio.
    Media,
    /// Small JSON.
    Metadata,
}

/// Where a document is, and in which form it is asked for.
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
    /// Where a chunk's media is.
    ///
    /// # Errors
    ///
    /// [`InvalidSource`].
    pub(crate) fn media(&self, chunk: &Chunk) -> Result<Source, InvalidSource> {
        self.source(
            Document::Media,
            chunk.content_location.as_deref(),
            &chunk.document_id,
        )
    }

    /// Where a chunk's metadata is.
    ///
    /// # Errors
    ///
    /// [`InvalidSource`].
    pub(crate) fn metadata(&self, chunk: &Chunk) -> Result<Source, InvalidSource> {
        self.source(
            Document::Metadata,
            chunk.metadata_location.as_deref(),
            &chunk.document_id,
        )
    }

    /// A document without a location is asked for by the documentId in the 2021 form, also where the chunk's other one
    /// has a location.
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
