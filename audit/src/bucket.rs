//! The calls to S3.

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

/// Calls at the same time.
const CALLS: usize = 16;
/// Bytes of a document that are read: a manifest of more than ten thousand chunks.
const MOST_BYTES: usize = 16 * 1024 * 1024;

/// The bucket that is audited. Clones share the bound on calls.
#[derive(Clone, Debug)]
pub struct Bucket {
    client: Client,
    store: Store,
    name: String,
    calls: Arc<Semaphore>,
}

/// A document as it was read.
#[derive(Debug)]
pub(crate) enum Document {
    /// Its bytes.
    There(Vec<u8>),
    /// It has more than can be one of ours.
    TooLong,
    /// It is not there, or no longer.
    Gone,
}

impl Bucket {
    /// The bucket of that name, with the SDK's settings.
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

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The client, for calls that only a trial of the store makes.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// The object at `key`, if there is one, with its checksum if S3 keeps one.
    ///
    /// # Errors
    ///
    /// [`Error`], where S3 does not answer that question.
    pub(crate) async fn find(&self, key: &Key) -> Result<Option<Object>, Error> {
        let _slot = self.slot().await;
        self.store.find(key).await
    }

    /// Examines the media object at `key` of that size and ETag, whose key is of that format.
    ///
    /// # Errors
    ///
    /// [`Error`]; that nothing can be said of the object is none.
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

    /// Reads a small document.
    ///
    /// # Errors
    ///
    /// [`Error`], where S3 does not answer, or breaks off.
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

    /// The folders right under a prefix, in ascending order.
    ///
    /// # Errors
    ///
    /// [`Error`], where S3 does not answer.
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

    /// A link to an object that is good for so long, to whoever has it.
    ///
    /// # Errors
    ///
    /// A text for people, where the credentials cannot sign it.
    pub(crate) async fn link(&self, key: &str, lasts: Duration) -> Result<String, String> {
        let lasts = PresigningConfig::expires_in(lasts).map_err(|error| error_chain(&error))?;
        let request = self.client.get_object().bucket(&self.name).key(key);
        let link = request.presigned(lasts).await;
        link.map(|link| link.uri().to_owned())
            .map_err(|error| error_chain(&error))
    }

    async fn slot(&self) -> Option<SemaphorePermit<'_>> {
        // It is never closed.
        self.calls.acquire().await.ok()
    }
}
