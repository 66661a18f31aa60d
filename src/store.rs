//! The S3 client: objects that are only ever created, small documents that are compared and swapped, and uploads.
//!
//! Two clients share one connection pool. Calls with a body in memory are retried by the SDK and have a time-out;
//! streamed bodies are sent once, and whoever streams them watches and retries.

mod buckets;
mod conditions;
mod encoding;
mod error;
mod listing;
mod media;
mod object;
mod uploads;

pub use buckets::Buckets;
pub use error::Error;
pub use listing::Listed;
pub use object::{Identity, Object, Origin, Receipt};

use std::error::Error as StdError;
use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{Builder, SharedHttpClient, StalledStreamProtectionConfig};
use aws_sdk_s3::error::BoxError;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::put_object::PutObjectOutput;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumMode};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use bytes::Bytes;
use http_body::Body;
use tokio::time::sleep;

use crate::keys::Key;
use crate::limits::Limits;
use buckets::only_work;
use conditions::Conditions;

/// The content type of everything that is ours, and of metadata.
pub const JSON: &str = "application/json";
/// Bytes of a document of ours that are read: an event has at most 1 MiB, and its manifest names
/// 2,000 chunks besides.
pub(crate) const MAX_DOCUMENT: u64 = 8 * crate::limits::MIB;

/// The S3 client, for both buckets: each key knows which of them it is in.
#[derive(Clone, Debug)]
pub struct Store {
    calls: Client,
    streams: Client,
    buckets: Buckets,
    conditions: Conditions,
    complete_call: Duration,
    attempts: u32,
    backoff: Duration,
}

/// A small document as it was read, with the ETag to compare and swap it by.
#[derive(Clone, Debug)]
pub(crate) struct StoredDocument {
    /// Its bytes.
    pub(crate) bytes: Bytes,
    /// Its ETag.
    pub(crate) etag: String,
    /// When it was written, by S3's clock.
    pub(crate) last_modified: Option<SystemTime>,
}

/// How a conditional write ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// The object is the one that was sent.
    Here(Receipt),
    /// The condition did not hold. An answer that was lost can make it look so when the object is our own: look before
    /// you act.
    Taken,
}

/// The HTTP client of the AWS SDK, on the same TLS library as the ACS client's.
#[must_use]
pub fn http_client() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https()
}

impl Store {
    /// A client of `buckets`, with the SDK's own settings as `sdk` has them.
    #[must_use]
    pub fn new(sdk: &SdkConfig, buckets: Buckets, force_path_style: bool, limits: &Limits) -> Self {
        let connect = Duration::from_secs(5);
        // An upload whose source pauses is healthy; the SDK would end it after 5 s and blame S3.
        let config = Builder::from(sdk)
            .force_path_style(force_path_style)
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        let calls = config
            .clone()
            .retry_config(RetryConfig::standard().with_initial_backoff(limits.backoff))
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(connect)
                    .operation_attempt_timeout(limits.store_call)
                    .build(),
            )
            .build();
        let streams = encoding::encoded(config)
            .retry_config(RetryConfig::disabled())
            .timeout_config(TimeoutConfig::builder().connect_timeout(connect).build())
            .build();
        Self {
            calls: Client::from_conf(calls),
            streams: Client::from_conf(streams),
            buckets,
            conditions: Conditions::of(sdk),
            complete_call: limits.complete_call,
            attempts: limits.attempts,
            backoff: limits.backoff,
        }
    }

    /// The name of the bucket that a key is in.
    fn bucket(&self, key: &Key) -> &str {
        self.buckets.name(key.bucket())
    }

    /// The object at `key`, if there is one.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn find(&self, key: &Key) -> Result<Option<Object>, Error> {
        let found = self
            .calls
            .head_object()
            .bucket(self.bucket(key))
            .key(key.as_str())
            .checksum_mode(ChecksumMode::Enabled)
            .send()
            .await;
        match found {
            Ok(found) => Object::found(&found).map(Some),
            Err(error) => absent(Error::from_sdk("HeadObject", error)),
        }
    }

    /// Reads a small document of ours, if there is one.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub(crate) async fn read(&self, key: &Key) -> Result<Option<StoredDocument>, Error> {
        const OPERATION: &str = "GetObject";
        let found = self
            .calls
            .get_object()
            .bucket(self.bucket(key))
            .key(key.as_str())
            .send()
            .await;
        let mut found = match found {
            Ok(found) => found,
            Err(error) => return absent(Error::from_sdk(OPERATION, error)),
        };
        let mut bytes = Vec::new();
        while let Some(next) = found.body.next().await {
            let next = next.map_err(|error| Error::Unanswered {
                operation: OPERATION,
                source: Box::new(error),
            })?;
            bytes.extend_from_slice(&next);
            if bytes.len() as u64 > MAX_DOCUMENT {
                return Err(Error::Incomplete {
                    operation: OPERATION,
                    missing: "an end within 8 MiB",
                });
            }
        }
        Ok(Some(StoredDocument {
            bytes: bytes.into(),
            last_modified: found.last_modified.and_then(|at| at.try_into().ok()),
            etag: found.e_tag.ok_or(Error::Incomplete {
                operation: OPERATION,
                missing: "an ETag",
            })?,
        }))
    }

    /// Writes a small object if there is none at `key`.
    ///
    /// # Errors
    ///
    /// [`Error`]; that there is one already is none. [`Error::Contended`], after several attempts, says nothing of what is
    /// there.
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

    /// Replaces the small object at `key` under `pending/` if it is still the one with that ETag.
    ///
    /// # Errors
    ///
    /// [`Error`]; that it is another, or gone, is none. [`Error::Archive`] for any other key,
    /// without a call.
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
            // Whoever reads what is there afterwards finds out either way.
            Err(Error::Contended) => Ok(Written::Taken),
            Err(error) if error.status() == Some(404) => Ok(Written::Taken),
            result => result,
        }
    }

    /// Streams a small object of `length` bytes to `key` if there is none.
    ///
    /// # Errors
    ///
    /// [`Error`], also if `body` fails; that there is one already is none.
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

fn absent<T>(error: Error) -> Result<Option<T>, Error> {
    if error.status() == Some(404) && error.code() != Some("NoSuchBucket") {
        Ok(None)
    } else {
        Err(error)
    }
}

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
        // Somebody else is writing: nothing is said of what is there, now or afterwards.
        Err(error) if error.status() == Some(409) => Err(Error::Contended),
        Err(error) => Err(error),
    }
}

/// The SDK counts in signed numbers; no object is that long.
fn signed(length: u64) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}
