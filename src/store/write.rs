//! Conditional writes, and the deletion of unfinished work.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html>

use std::error::Error as StdError;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{BoxError, ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::put_object::PutObjectOutput;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::ChecksumAlgorithm;
use bytes::Bytes;
use http_body::Body;
use tokio::time::sleep;

use super::buckets::only_work;
use super::{Error, Identity, JSON, Receipt, Store, signed};
use crate::keys::Key;

/// The result of a conditional write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// The object was written.
    Here(Receipt),
    /// The condition did not hold. The object may still be this call's own: if its answer was lost,
    /// the SDK's retry finds the key taken. Read the object before acting on this.
    Taken,
}

impl Store {
    /// Writes a small object if `key` has no object.
    ///
    /// # Errors
    ///
    /// [`Error`]; an object at `key` is [`Written::Taken`]. [`Error::Contended`], after several
    /// attempts, says nothing of the object at `key`.
    pub async fn create(
        &self,
        key: &Key,
        bytes: impl Into<Bytes>,
        content_type: &str,
        identity: Option<&Identity>,
    ) -> Result<Written, Error> {
        let bytes = bytes.into();
        let mut failures = 0;
        loop {
            let put = self
                .calls
                .put_object()
                .bucket(self.bucket(key))
                .key(key.as_str())
                .if_none_match("*")
                .content_type(content_type)
                .set_metadata(identity.map(Identity::to_metadata))
                .checksum_algorithm(ChecksumAlgorithm::Crc64Nvme)
                .body(ByteStream::from(bytes.clone()))
                .send()
                .await;
            match written(put) {
                Err(Error::Contended) if failures + 1 < self.attempts => failures += 1,
                result => return result,
            }
            sleep(self.backoff * failures).await;
        }
    }

    /// Replaces the small object at `key` under `pending/` if it still has this ETag.
    ///
    /// # Errors
    ///
    /// [`Error`]; another ETag, or no object, is [`Written::Taken`]. [`Error::Archive`] for any
    /// other key, without a call.
    pub async fn replace(
        &self,
        key: &Key,
        bytes: impl Into<Bytes>,
        etag: &str,
    ) -> Result<Written, Error> {
        only_work(key)?;
        let put = self
            .calls
            .put_object()
            .bucket(self.bucket(key))
            .key(key.as_str())
            .if_match(etag)
            .content_type(JSON)
            .checksum_algorithm(ChecksumAlgorithm::Crc64Nvme)
            .body(ByteStream::from(bytes.into()))
            .send()
            .await;
        match written(put) {
            // The caller reads the object next, which tells the result either way.
            Err(Error::Contended) => Ok(Written::Taken),
            Err(error) if error.status() == Some(404) => Ok(Written::Taken),
            result => result,
        }
    }

    /// Streams an object of `length` bytes to `key` if `key` has no object.
    ///
    /// # Errors
    ///
    /// [`Error`], also if `body` fails; an object at `key` is [`Written::Taken`].
    pub(crate) async fn stream<B>(
        &self,
        key: &Key,
        body: B,
        length: u64,
        content_type: &str,
        identity: &Identity,
    ) -> Result<Written, Error>
    where
        B: Body<Data = Bytes> + Send + Sync + 'static,
        B::Error: Into<BoxError>,
    {
        let put = self
            .streams
            .put_object()
            .bucket(self.bucket(key))
            .key(key.as_str())
            .if_none_match("*")
            .content_type(content_type)
            .set_metadata(Some(identity.to_metadata()))
            .checksum_algorithm(ChecksumAlgorithm::Crc64Nvme)
            .content_length(signed(length))
            .body(ByteStream::from_body_1_x(body))
            .send()
            .await;
        written(put)
    }

    /// Deletes the object at `key` under `pending/`.
    ///
    /// # Errors
    ///
    /// [`Error`]. [`Error::Archive`] for any other key, without a call.
    pub async fn delete(&self, key: &Key) -> Result<(), Error> {
        only_work(key)?;
        self.calls
            .delete_object()
            .bucket(self.bucket(key))
            .key(key.as_str())
            .send()
            .await
            .map(drop)
            .map_err(|error| Error::from_sdk("DeleteObject", error))
    }
}

/// The result of a conditional `PutObject`.
fn written<E>(result: Result<PutObjectOutput, SdkError<E, HttpResponse>>) -> Result<Written, Error>
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    match result.map_err(|error| Error::from_sdk("PutObject", error)) {
        Ok(put) => Ok(Written::Here(Receipt {
            etag: put.e_tag,
            version_id: put.version_id,
            crc64nvme: put.checksum_crc64_nvme,
        })),
        Err(error) if error.status() == Some(412) => Ok(Written::Taken),
        // Another writer is at the key: whether its write succeeds is not known yet.
        Err(error) if error.status() == Some(409) => Err(Error::Contended),
        Err(error) => Err(error),
    }
}
