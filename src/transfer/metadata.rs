//! A metadata document: small, held in memory, its bytes unchanged.

use super::begin::length_within;
use super::object::Wrote;
use super::{Archived, Error, Transfer};
use crate::acs;

impl Transfer {
    /// Makes the metadata object, unless it is there.
    pub(super) async fn metadata(&self) -> Result<Archived, Error> {
        if !self.task.first
            && let Some(object) = self.find_copy().await?
        {
            return Ok(Archived::already(object));
        }
        match self.attempts(|| self.copy_metadata()).await {
            Ok(object) => self.archived(object).await,
            Err(error) => self.unless_there(error).await,
        }
    }

    /// Fetches the complete document, up to the limit of its length, and stores its bytes.
    async fn copy_metadata(&self) -> Result<Wrote, Error> {
        // The document is held in memory, so it counts as a part in flight.
        let _slot = self.slot().await;
        let limit = self.tools.limits.metadata;
        let download = self.open(None, None).await?;
        let length = length_within(&download, limit).await?;
        let length = length.ok_or(acs::Error::TooLong { limit })?;
        let bytes = download
            .peek(usize::try_from(length).unwrap_or(usize::MAX))
            .await?;
        let task = &self.task;
        let identity = task.identity(Some(length), &download);
        let content_type = task.content_type;
        let store = &self.tools.store;
        let created = store.create(&task.key, bytes, content_type, Some(&identity));
        self.written(created.await?, length, content_type, identity)
            .await
    }
}
