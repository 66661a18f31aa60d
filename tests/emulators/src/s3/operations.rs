//! The trait of the S3 operations, which `s3s` calls, and the functions that its methods share.

use std::collections::BTreeMap;
use std::sync::Arc;

use hyper::HeaderMap;
use hyper::header::HeaderValue;
use s3s::dto;
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};

use super::body::Checksum;
use super::conditions::Condition;
use super::listings;
use super::state::State;

pub(super) struct Operations(pub(super) Arc<State>);

#[async_trait::async_trait]
impl S3 for Operations {
    async fn put_object(
        &self,
        request: S3Request<dto::PutObjectInput>,
    ) -> S3Result<S3Response<dto::PutObjectOutput>> {
        self.put(request).await
    }

    async fn get_object(
        &self,
        request: S3Request<dto::GetObjectInput>,
    ) -> S3Result<S3Response<dto::GetObjectOutput>> {
        self.get(request)
    }

    async fn head_object(
        &self,
        request: S3Request<dto::HeadObjectInput>,
    ) -> S3Result<S3Response<dto::HeadObjectOutput>> {
        self.head(request)
    }

    async fn delete_object(
        &self,
        request: S3Request<dto::DeleteObjectInput>,
    ) -> S3Result<S3Response<dto::DeleteObjectOutput>> {
        self.delete(request)
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<dto::CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<dto::CreateMultipartUploadOutput>> {
        self.create(request)
    }

    async fn upload_part(
        &self,
        request: S3Request<dto::UploadPartInput>,
    ) -> S3Result<S3Response<dto::UploadPartOutput>> {
        self.put_part(request).await
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<dto::CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<dto::CompleteMultipartUploadOutput>> {
        self.complete(request)
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<dto::AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<dto::AbortMultipartUploadOutput>> {
        self.abort(request)
    }

    async fn list_parts(
        &self,
        request: S3Request<dto::ListPartsInput>,
    ) -> S3Result<S3Response<dto::ListPartsOutput>> {
        let mut store = self.0.store_of(&request.input.bucket);
        let upload = store.upload(&request.input.key, &request.input.upload_id)?;
        listings::parts(upload, request.input, &self.0.settings).map(S3Response::new)
    }

    async fn list_multipart_uploads(
        &self,
        request: S3Request<dto::ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<dto::ListMultipartUploadsOutput>> {
        let store = self.0.store_of(&request.input.bucket);
        listings::uploads(&store, request.input, &self.0.settings).map(S3Response::new)
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<dto::ListObjectsV2Input>,
    ) -> S3Result<S3Response<dto::ListObjectsV2Output>> {
        let store = self.0.store_of(&request.input.bucket);
        listings::objects(&store, request.input, &self.0.settings).map(S3Response::new)
    }
}

impl Operations {
    /// The condition, unless the settings ignore it.
    pub(super) fn judged<T>(&self, condition: Condition, asked: Option<T>) -> Option<T> {
        asked.filter(|_| !self.0.settings.ignored.contains(&condition))
    }
}

/// The user metadata, of which Amazon S3 accepts 2 KB.
///
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html>
pub(super) fn metadata(metadata: Option<dto::Metadata>) -> S3Result<BTreeMap<String, String>> {
    let metadata: BTreeMap<_, _> = metadata.unwrap_or_default().into_iter().collect();
    let size: usize = metadata
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    if size > 2048 {
        return Err(s3_error!(MetadataTooLarge, "{size} bytes of user metadata"));
    }
    Ok(metadata)
}

pub(super) fn full_object(crc64nvme: Option<&String>) -> Option<dto::ChecksumType> {
    crc64nvme.map(|_| dto::ChecksumType::from_static(dto::ChecksumType::FULL_OBJECT))
}

pub(super) fn checksum_header(checksum: Option<&Checksum>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Some(checksum) = checksum
        && let Ok(value) = HeaderValue::from_str(&checksum.value)
    {
        headers.insert(checksum.algorithm.header(), value);
    }
    headers
}
