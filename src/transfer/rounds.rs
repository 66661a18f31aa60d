//! The rounds at a media object. Each reads the record and the object from S3 and does the next
//! step, until the object is there.

use std::sync::Arc;

use super::begin::Begun;
use super::object::Wrote;
use super::record::{Cause, Found};
use super::upload::Upload;
use super::{Archived, Error, Opened, Transfer};
use crate::clock;

/// The result of a round.
pub(super) enum Round {
    /// The object is there.
    Done(Archived),
    /// Another run's record was first. The next round goes on with that run's upload.
    Outrun,
    /// The next round begins another upload instead of this.
    Stale(Stale),
}

/// An upload that another upload is to replace.
#[derive(Clone, Debug)]
pub(super) struct Stale {
    pub(super) upload_id: String,
    pub(super) cause: Cause,
}

impl Transfer {
    /// Makes the media object, or goes on with an unfinished one.
    pub(super) async fn media(&self) -> Result<Archived, Error> {
        let uploads = self.tools.limits.uploads;
        let (mut stale, mut cause): (Option<Stale>, _) = (None, Cause::Gone);
        for number in 0..=uploads {
            let unread = self.task.first && number == 0;
            let round = match self.round(stale.take(), unread).await {
                Err(error) => {
                    let error = match (cause, error) {
                        // All parts are in S3, which refuses to complete them. The conflict is the
                        // cause, whatever the source says now.
                        (Cause::Conflict, Error::Source(_)) => Error::Conflict,
                        (_, error) => error,
                    };
                    let archived = self.unless_there(error).await?;
                    // Another run has made the object: an upload of this run is of no more use.
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

    /// Does one round. With `unread`, this run has just stored the event, so neither record nor
    /// object is read.
    async fn round(&self, stale: Option<Stale>, unread: bool) -> Result<Round, Error> {
        // First the record, then the object: a run deletes its record after Complete. So if the
        // record is gone, the object is already there. In the other order, both could be missed.
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
        // If another run has replaced the stale upload meanwhile, its upload is not stale.
        let stale = stale.filter(|stale| {
            let upload_id = record.map(|record| &record.upload_id);
            upload_id == Some(&stale.upload_id)
        });
        let stale = stale.or_else(|| self.too_long(found.as_ref()));
        let usable = found.as_ref().filter(|_| stale.is_none());
        if let Some(upload) = usable.and_then(|found| Upload::resumed(self, found)) {
            return self.fill_and_complete(upload, None).await;
        }
        // Without a stale upload, there is no record, or none that can be used.
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

    /// The upload of the record, if one reply has to fill it and none has for too long.
    fn too_long(&self, found: Option<&Found>) -> Option<Stale> {
        let record = found.and_then(|found| found.record.as_ref())?;
        let written = found.and_then(|found| found.written)?;
        let age = clock::now().duration_since(written).unwrap_or_default();
        let waits = record.streamed && record.crc64nvme.is_none();
        (waits && age >= self.tools.limits.stream_timeout).then(|| Stale {
            upload_id: record.upload_id.clone(),
            cause: Cause::StreamTooLong,
        })
    }

    /// Fills an upload and completes it. Parts may turn out to be missing at Complete, because
    /// another run has put one from another reply: then fills again.
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
    /// Ends the round of an upload that is gone. Only the object tells whether it was completed.
    pub(super) async fn settle(&self) -> Result<Round, Error> {
        let transfer = &self.transfer;
        let Some(object) = transfer.find_copy().await? else {
            return Ok(self.stale(Cause::Gone));
        };
        transfer.clear(Some(&self.record)).await?;
        // Most likely another run has completed the upload, and counts the object.
        Ok(Round::Done(Archived::already(object)))
    }

    /// Ends the round: another upload is to replace this upload.
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
