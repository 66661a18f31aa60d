//! The calls to S3 of an audit.

mod listing;

use std::sync::Arc;
use std::time::Duration;

use acs_recording_archiver::error_chain::error_chain;
use acs_recording_archiver::keys::Key;
use acs_recording_archiver::limits::Limits;
use acs_recording_archiver::media::Check;
use acs_recording_archiver::recording::Format;
use acs_recording_archiver::store::{Buckets, Error, Object, Store};
use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::Builder;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::presigning::PresigningConfig;
use tokio::sync::{Semaphore, SemaphorePermit};

use listing::endless;

/// The limit of calls at the same time.
const CALLS: usize = 16;
/// The limit of a document's bytes: a manifest of more than ten thousand chunks.
const MOST_BYTES: usize = 16 * 1024 * 1024;

/// A bucket. Clones share the limit of calls.
#[derive(Clone, Debug)]
pub struct Bucket {
    client: Client,
    store: Store,
    name: String,
    calls: Arc<Semaphore>,
}

/// The result of reading a document.
#[derive(Debug)]
pub(crate) enum Document {
    /// The bytes of the document.
    There(Vec<u8>),
    /// The document is longer than any that the function writes.
    TooLong,
    /// The document does not exist, or no longer.
    Gone,
}

impl Bucket {
    /// Opens the bucket `name`.
    #[must_use]
    pub fn new(sdk: &SdkConfig, name: &str, force_path_style: bool, limits: &Limits) -> Self {
        let timeouts = TimeoutConfig::builder().operation_attempt_timeout(limits.store_call);
        let config = Builder::from(sdk)
            .force_path_style(force_path_style)
            .retry_config(RetryConfig::standard().with_initial_backoff(limits.backoff))
            .timeout_config(timeouts.build());
        let buckets = Buckets {
            recordings: name.to_owned(),
            work: None,
        };
        Self {
            client: Client::from_conf(config.build()),
            store: Store::new(sdk, buckets, force_path_style, limits),
            name: name.to_owned(),
            calls: Arc::new(Semaphore::new(CALLS)),
        }
    }

    /// Returns the name of the bucket.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the client, for the calls that only the check of a store makes.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Finds the object at `key`, with its checksum if S3 has one.
    pub(crate) async fn find(&self, key: &Key) -> Result<Option<Object>, Error> {
        let _slot = self.slot().await;
        self.store.find(key).await
    }

    /// Examines the container of the media object at `key`. An object of unknown form is no error.
    pub(crate) async fn examine(
        &self,
        key: &Key,
        size: u64,
        etag: &str,
        format: Format,
    ) -> Result<Check, Error> {
        let _slot = self.slot().await;
        self.store.examine(key, size, etag, format).await
    }

    /// Reads a document.
    pub(crate) async fn read(&self, key: &str) -> Result<Document, Error> {
        const OPERATION: &str = "GetObject";
        let _slot = self.slot().await;
        let request = self.client.get_object().bucket(&self.name).key(key);
        let mut found = match request.send().await {
            Ok(found) => found,
            Err(SdkError::ServiceError(error)) if error.err().is_no_such_key() => {
                return Ok(Document::Gone);
            }
            Err(error) => return Err(Error::from_sdk(OPERATION, error)),
        };
        let mut bytes = Vec::new();
        while let Some(next) = found.body.next().await {
            let next = next.map_err(|error| Error::Unanswered {
                operation: OPERATION,
                source: Box::new(error),
            })?;
            if bytes.len() + next.len() > MOST_BYTES {
                return Ok(Document::TooLong);
            }
            bytes.extend_from_slice(&next);
        }
        Ok(Document::There(bytes))
    }

    /// Lists the folders directly under a prefix, in ascending order.
    pub(crate) async fn folders(&self, prefix: &str) -> Result<Vec<String>, Error> {
        const OPERATION: &str = "ListObjectsV2";
        let mut folders = Vec::new();
        let mut token = None;
        loop {
            let request = self.client.list_objects_v2().bucket(&self.name);
            let request = request.prefix(prefix).delimiter("/");
            let _slot = self.slot().await;
            let page = request.set_continuation_token(token.clone()).send().await;
            let page = page.map_err(|error| Error::from_sdk(OPERATION, error))?;
            let common = page.common_prefixes.unwrap_or_default().into_iter();
            folders.extend(common.filter_map(|common| common.prefix));
            if page.is_truncated != Some(true) {
                return Ok(folders);
            }
            let next = page.next_continuation_token;
            if next.is_none() || next == token {
                return Err(endless(OPERATION));
            }
            token = next;
        }
    }

    /// Creates a link to an object. Anyone who has the link can read the object until it expires.
    pub(crate) async fn link(&self, key: &str, expires_in: Duration) -> Result<String, String> {
        let config =
            PresigningConfig::expires_in(expires_in).map_err(|error| error_chain(&error))?;
        let request = self.client.get_object().bucket(&self.name).key(key);
        let link = request.presigned(config).await;
        link.map(|link| link.uri().to_owned())
            .map_err(|error| error_chain(&error))
    }

    async fn slot(&self) -> Option<SemaphorePermit<'_>> {
        // The semaphore is never closed, so acquiring a slot cannot fail.
        self.calls.acquire().await.ok()
    }
}
