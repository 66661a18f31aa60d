//! Rounds at a media object: what is there decides what is done next, until the object is there.

use std::sync::Arc;

use super::begin::Begun;
use super::object::Wrote;
use super::record::{Cause, Found};
use super::upload::Upload;
use super::{Archived, Error, Opened, Transfer};
use crate::clock;

/// The end of a round.
pub(super) enum Round {
    Done(Archived),
    /// Another delivery's record was first; the next round goes on with its upload.
    Outrun,
    /// The next round begins another upload in the place of this one.
    Stale(Stale),
}

/// An upload that another is to take the place of.
#[derive(Clone, Debug)]
pub(super) struct Stale {
    pub(super) upload_id: String,
    pub(super) cause: Cause,
}

impl Transfer {
    /// Makes the media object, or goes on with it.
    pub(super) async fn media(&self) -> Result<Archived, Error> {
        let uploads = self.tools.limits.uploads;
        let (mut stale, mut cause): (Option<Stale>, _) = (None, Cause::Gone);
        for number in 0..=uploads {
            let unread = self.task.first && number == 0;
            let round = match self.round(stale.take(), unread).await {
                Err(error) => {
                    let error = match (cause, error) {
                        // All of it is in S3, which refuses it. What the source says adds nothing.
                        (Cause::Conflict, Error::Source(_)) => Error::Conflict,
                        (_, error) => error,
                    };
                    let archived = self.unless_there(error).await?;
                    // The object is there: what this run has begun meanwhile is of no more use.
                    let (key, record) = (&self.task.key, &self.task.record);
                    let ended = self.tools.clear(key, record).await;
                    return ended.map(|()| archived).map_err(Error::LeftOver);
                }
                Ok(round) => round,
            };
            match round {
                Round::Done(archived) => return Ok(archived),
                Round::Outrun => {}
                Round::Stale(upload) => {
                    cause = upload.cause;
                    stale = Some(upload);
                }
            }
        }
        Err(cause.unsettled(uploads))
    }

    async fn round(&self, stale: Option<Stale>, unread: bool) -> Result<Round, Error> {
        // The record before the object: a run that completes the object deletes the record after
        // it. So if the record is no longer here, the object is already there.
        let mut found = None;
        if !unread {
            let record = self.tools.store.read(&self.task.record).await?;
            found = record.map(|document| Found::of(document, &self.task.key));
            if let Some(object) = self.find_copy().await? {
                if let Some(found) = &found {
                    self.clear(found.record.as_ref()).await?;
                }
                return Ok(Round::Done(Archived::already(object)));
            }
        }
        let record = found.as_ref().and_then(|found| found.record.as_ref());
        // Another run may have replaced the upload meanwhile; then its own is the one to fill.
        let stale = stale.filter(|stale| {
            let upload_id = record.map(|record| &record.upload_id);
            upload_id == Some(&stale.upload_id)
        });
        let stale = stale.or_else(|| self.too_long(found.as_ref()));
        let usable = found.as_ref().filter(|_| stale.is_none());
        if let Some(upload) = usable.and_then(|found| Upload::resumed(self, found)) {
            return self.fill_and_complete(upload, None).await;
        }
        let cause = stale.map_or(Cause::Useless, |stale| stale.cause);
        match self.begin(found.as_ref(), cause).await? {
            Begun::Outrun => Ok(Round::Outrun),
            Begun::Streams(opened) => {
                let upload = found
                    .as_ref()
                    .and_then(|found| Upload::resumed(self, found));
                match upload {
                    Some(upload) => self.fill_and_complete(upload, Some(opened)).await,
                    None => Ok(Round::Outrun),
                }
            }
            Begun::Copied(object) => {
                if let Some(found) = &found {
                    self.clear(found.record.as_ref()).await?;
                }
                Ok(Round::Done(self.archived(object).await?))
            }
            Begun::Upload(begun) => {
                let (upload, opened) = *begun;
                self.fill_and_complete(upload, Some(opened)).await
            }
        }
    }

    /// The upload of a record that one reply has to fill, and for an hour none has.
    fn too_long(&self, found: Option<&Found>) -> Option<Stale> {
        let record = found.and_then(|found| found.record.as_ref())?;
        let written = found.and_then(|found| found.written)?;
        let age = clock::now().duration_since(written).unwrap_or_default();
        let waits = record.streamed && record.crc64nvme.is_none();
        (waits && age >= self.tools.limits.stream_patience).then(|| Stale {
            upload_id: record.upload_id.clone(),
            cause: Cause::StreamTooLong,
        })
    }

    async fn fill_and_complete(
        &self,
        upload: Upload,
        opened: Option<Opened>,
    ) -> Result<Round, Error> {
        let mut opened = opened;
        let upload = Arc::new(upload);
        for _ in 0..self.tools.limits.attempts {
            let filled = match upload.fill(opened.take()).await {
                Ok(filled) => filled,
                Err(Error::SourceChanged) => return Ok(upload.stale(Cause::SourceChanged)),
                Err(Error::UploadGone) => return upload.settle().await,
                Err(error) => return Err(error),
            };
            if let Some(round) = upload.complete(&filled).await? {
                return Ok(round);
            }
        }
        Err(Error::PartsVanish)
    }
}

impl Upload {
    /// Finds out the end of an upload that is gone or may not be completed: only the object tells.
    pub(super) async fn settle(&self) -> Result<Round, Error> {
        let transfer = &self.transfer;
        let Some(object) = transfer.find_copy().await? else {
            return Ok(self.stale(Cause::Gone));
        };
        transfer.clear(Some(&self.record)).await?;
        // Most likely another run has completed it, and counts it.
        Ok(Round::Done(Archived::already(object)))
    }

    /// Ends the round: another upload is to take the place of this one.
    pub(super) fn stale(&self, cause: Cause) -> Round {
        Round::Stale(Stale {
            upload_id: self.record.upload_id.clone(),
            cause,
        })
    }

    /// Ends the round: the object is there.
    pub(super) async fn made(&self, wrote: Wrote) -> Result<Round, Error> {
        Ok(Round::Done(self.transfer.archived(wrote).await?))
    }
}
