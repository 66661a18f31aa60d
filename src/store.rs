//! The S3 client: objects that are created and never replaced, small documents that are compared
//! and swapped, and multipart uploads.
//!
//! Two clients share one connection pool. The SDK retries calls with a body in memory and limits
//! their time. It sends a streamed body once; the caller watches the stream and retries.

mod buckets;
mod conditions;
mod document;
mod encoding;
mod error;
mod listing;
mod media;
mod object;
mod uploads;
mod write;

pub use buckets::Buckets;
pub(crate) use document::{MAX_DOCUMENT, StoredDocument};
pub use error::Error;
pub use listing::Listed;
pub use object::{Identity, Object, Origin, Receipt};
pub use write::Written;

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{Builder, SharedHttpClient, StalledStreamProtectionConfig};
use aws_sdk_s3::types::ChecksumMode;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

use crate::keys::Key;
use crate::limits::Limits;
use conditions::Conditions;

/// The content type of the function's own documents and of metadata.
pub const JSON: &str = "application/json";

/// The S3 client for both buckets. Each key knows its bucket.
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

/// The HTTP client of the AWS SDK, on the same TLS library as the ACS client.
#[must_use]
pub fn http_client() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https()
}

impl Store {
    /// A client of `buckets` with the SDK's settings `sdk`.
    #[must_use]
    pub fn new(sdk: &SdkConfig, buckets: Buckets, force_path_style: bool, limits: &Limits) -> Self {
        let connect = Duration::from_secs(5);
        // An upload whose source pauses is healthy. The SDK would end it after 5 s and blame S3.
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
        // The SDK cannot send a streamed body twice, and a part may take as long as its source.
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

    /// The name of the bucket of a key.
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
}

/// `None` if the error says that there is no object. Without its bucket, nothing is known.
fn absent<T>(error: Error) -> Result<Option<T>, Error> {
    if error.status() == Some(404) && error.code() != Some("NoSuchBucket") {
        Ok(None)
    } else {
        Err(error)
    }
}

/// A length for the SDK, which counts in signed numbers. No object is too long for them.
fn signed(length: u64) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}
