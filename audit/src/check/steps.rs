//! The checks of objects. Each makes its calls as the function does.

use std::collections::HashMap;

use acs_recording_archiver::store::Error;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumMode, CompletedPart};

use super::Fault;
use crate::bucket::Bucket;

pub(super) const CONTENT: &[u8] = b"123456789";
/// The CRC-64/NVME of the content: the algorithm's check value.
/// <https://reveng.sourceforge.io/crc-catalogue/17plus.htm#crc.cat.crc-64-nvme>
pub(super) const CRC64NVME: &str = "rosUhgp5mIg=";
/// An ETag in the form of an MD5, which no object here has.
const NO_ETAG: &str = "\"00000000000000000000000000000000\"";

/// The scratch folder of a check.
pub(super) struct Scratch<'a> {
    pub(super) client: &'a Client,
    pub(super) bucket: &'a str,
    pub(super) folder: String,
    pub(super) upload_id: String,
    pub(super) parts: Vec<CompletedPart>,
}

/// Returns `true` if a condition refused the call.
pub(super) fn refused<T, E>(
    operation: &'static str,
    sent: Result<T, SdkError<E, HttpResponse>>,
) -> Result<bool, Error>
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    match sent.map_err(|error| Error::from_sdk(operation, error)) {
        Ok(_) => Ok(false),
        Err(error) if error.is_condition() => Ok(true),
        Err(error) => Err(error),
    }
}

pub(super) fn lacking(detail: &str) -> Fault {
    Fault::Lacking(detail.to_owned())
}

pub(super) fn needed(holds: bool, detail: &str) -> Result<(), Fault> {
    if holds { Ok(()) } else { Err(lacking(detail)) }
}

pub(super) fn bearable(detail: &str) -> Fault {
    Fault::Bearable(detail.to_owned())
}

impl<'a> Scratch<'a> {
    pub(super) fn new(bucket: &'a Bucket, folder: String) -> Self {
        Self {
            client: bucket.client(),
            bucket: bucket.name(),
            folder,
            upload_id: String::new(),
            parts: vec![],
        }
    }

    pub(super) fn key(&self, name: &str) -> String {
        format!("{}/{name}", self.folder)
    }

    pub(super) fn put_object(&self, name: &str) -> PutObjectFluentBuilder {
        let request = self.client.put_object().bucket(self.bucket);
        let metadata = HashMap::from([("document-id".to_owned(), "0-check".to_owned())]);
        request
            .key(self.key(name))
            .content_type("video/mp4")
            .set_metadata(Some(metadata))
            .checksum_algorithm(ChecksumAlgorithm::Crc64Nvme)
            .body(ByteStream::from_static(CONTENT))
    }

    pub(super) async fn put(&self) -> Result<(), Fault> {
        for name in ["a", "b"] {
            let put = self.put_object(name).if_none_match("*").send().await;
            put.map_err(|error| Error::from_sdk("PutObject", error))?;
        }
        Ok(())
    }

    pub(super) async fn found(&self, name: &str) -> Result<HeadObjectOutput, Error> {
        let request = self.client.head_object().bucket(self.bucket);
        let request = request.key(self.key(name));
        let found = request.checksum_mode(ChecksumMode::Enabled).send().await;
        found.map_err(|error| Error::from_sdk("HeadObject", error))
    }

    pub(super) async fn head(&self) -> Result<(), Fault> {
        let found = self.found("a").await?;
        if found.content_length != i64::try_from(CONTENT.len()).ok() || found.e_tag.is_none() {
            return Err(lacking("size or ETag is missing or wrong"));
        }
        if found.content_type.as_deref() != Some("video/mp4") {
            return Err(bearable("the content type is not kept"));
        }
        let metadata = found.metadata.unwrap_or_default();
        match metadata.get("document-id").map(String::as_str) {
            Some("0-check") => Ok(()),
            _ => Err(lacking(
                "metadata is not kept: the function cannot recognise its objects",
            )),
        }
    }

    pub(super) async fn head_checksum(&self) -> Result<(), Fault> {
        match self.found("a").await?.checksum_crc64_nvme.as_deref() {
            Some(CRC64NVME) => Ok(()),
            None => Err(bearable(
                "no CRC64NVME is returned: the audit compares ETags",
            )),
            Some(_) => Err(lacking("the CRC64NVME is not that of the bytes")),
        }
    }

    pub(super) async fn range(&self) -> Result<(), Fault> {
        let request = self.client.get_object().bucket(self.bucket);
        let got = request.key(self.key("a")).range("bytes=2-4").send().await;
        let got = got.map_err(|error| Error::from_sdk("GetObject", error))?;
        let range = got.content_range.unwrap_or_default();
        if range == "bytes 2-4/9" && got.content_length == Some(3) {
            return Ok(());
        }
        Err(bearable(
            "a range is not answered as one: containers cannot be examined",
        ))
    }

    pub(super) async fn put_if_none_match(&self) -> Result<(), Fault> {
        let sent = self.put_object("a").if_none_match("*").send().await;
        needed(
            refused("PutObject", sent)?,
            "the condition is ignored: an existing object is replaced",
        )
    }

    pub(super) async fn put_if_match(&self) -> Result<(), Fault> {
        let sent = self.put_object("a").if_match(NO_ETAG).send().await;
        if !refused("PutObject", sent)? {
            return Err(lacking(
                "the condition is ignored: an object with another ETag is replaced",
            ));
        }
        let etag = self.found("a").await?.e_tag.unwrap_or_default();
        let sent = self.put_object("a").if_match(etag).send().await;
        needed(
            !refused("PutObject", sent)?,
            "the object's own ETag is refused",
        )
    }

    pub(super) async fn list_objects(&self) -> Result<(), Fault> {
        let (mut keys, mut token) = (vec![], None);
        loop {
            let request = self.client.list_objects_v2().bucket(self.bucket);
            let request = request.prefix(self.key("")).max_keys(1);
            let page = request.set_continuation_token(token).send().await;
            let page = page.map_err(|error| Error::from_sdk("ListObjectsV2", error))?;
            let told = |object: &aws_sdk_s3::types::Object| {
                object.last_modified.is_some() && object.e_tag.is_some()
            };
            let objects = page.contents.unwrap_or_default();
            if !objects.iter().all(told) {
                return Err(lacking("ETag or LastModified is missing"));
            }
            keys.extend(objects.into_iter().filter_map(|object| object.key));
            token = page.next_continuation_token;
            if page.is_truncated != Some(true) || token.is_none() || keys.len() > 2 {
                break;
            }
        }
        needed(
            keys == [self.key("a"), self.key("b")],
            "the pages do not list all objects in order",
        )
    }

    pub(super) async fn delete(&self, name: &str) -> Result<(), Error> {
        let request = self.client.delete_object().bucket(self.bucket);
        let deleted = request.key(self.key(name)).send().await;
        deleted.map_err(|error| Error::from_sdk("DeleteObject", error))?;
        Ok(())
    }

    /// Deletes everything that was written, even after a failure, and checks that it is gone.
    pub(super) async fn clear(&self) -> Result<(), Fault> {
        if !self.upload_id.is_empty() {
            // Usually the upload is completed by now, and there is nothing to abort.
            let _ = self.abort_at("whole", &self.upload_id).await;
        }
        let mut cleared = Ok(());
        for name in ["a", "b", "whole"] {
            let deleted = self.delete(name).await;
            cleared = cleared.and(deleted);
        }
        cleared?;
        match self.found("a").await {
            Err(error) if error.status() == Some(404) => Ok(()),
            Err(error) => Err(error.into()),
            Ok(_) => Err(lacking("an object exists after it was deleted")),
        }
    }
}
