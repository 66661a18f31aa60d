//! The examination of an object's container by ranges.

use std::ops::Range;

use aws_sdk_s3::config::{Config, ResponseChecksumValidation};

use super::{Error, Store};
use crate::keys::Key;
use crate::media::{Check, Examination, Step};
use crate::recording::Format;

const OPERATION: &str = "GetObject";

impl Store {
    /// Examines the media object at `key` of `size` bytes and with this ETag, by a few ranges of
    /// it. `format` is the format in the key.
    ///
    /// # Errors
    ///
    /// [`Error`]; an object that cannot be judged is no error.
    pub async fn examine(
        &self,
        key: &Key,
        size: u64,
        etag: &str,
        format: Format,
    ) -> Result<Check, Error> {
        let mut examination = Examination::new(size, format);
        loop {
            match examination.step() {
                Step::Done(check) => return Ok(check),
                Step::Read(range) => {
                    let bytes = self.read_range(key, &range, etag).await?;
                    examination.take(&range, &bytes);
                }
            }
        }
    }

    /// Reads a short half-open range of an object.
    async fn read_range(
        &self,
        key: &Key,
        range: &Range<u64>,
        etag: &str,
    ) -> Result<Vec<u8>, Error> {
        let last = range.end.saturating_sub(1);
        // A range has no checksum. A store that sends the complete object's would make the SDK
        // fail.
        let unchecked = Config::builder()
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
        let mut found = self
            .calls
            .get_object()
            .bucket(self.bucket(key))
            .key(key.as_str())
            .range(format!("bytes={}-{last}", range.start))
            .if_match(etag)
            .customize()
            .config_override(unchecked)
            .send()
            .await
            .map_err(|error| Error::from_sdk(OPERATION, error))?;
        let length = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        let mut bytes = Vec::with_capacity(length);
        // A body that is longer than the range is not read to its end.
        while bytes.len() <= length
            && let Some(next) = found.body.next().await
        {
            let next = next.map_err(|error| Error::Unanswered {
                operation: OPERATION,
                source: Box::new(error),
            })?;
            bytes.extend_from_slice(&next);
        }
        if bytes.len() == length {
            return Ok(bytes);
        }
        Err(Error::Incomplete {
            operation: OPERATION,
            missing: "the range that was asked for",
        })
    }
}
