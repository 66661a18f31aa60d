//! The operations on objects.

use bytes::Bytes;
use s3s::dto;
use s3s::{Body, S3Request, S3Response, S3Result, s3_error};

use super::Object;
use super::body::{self, Algorithm, Checksum, Wanted, encode};
use super::conditions::{Condition, check};
use super::etags::strong;
use super::operations::{Operations, checksum_header, full_object, metadata};
use super::state::now;

/// Objects below this size are stored even when bodies are not: manifests and records, not media.
const SMALL: u64 = 1024 * 1024;

impl Operations {
    pub(super) async fn put(
        &self,
        request: S3Request<dto::PutObjectInput>,
    ) -> S3Result<S3Response<dto::PutObjectOutput>> {
        let input = request.input;
        let metadata = metadata(input.metadata)?;
        let small = body::declared_length(&request.headers).is_some_and(|length| length < SMALL);
        let wanted = Wanted {
            bytes: self.0.settings.keep_bodies || small,
            md5: self.0.hashes(),
        };
        let body = body::read(
            input.body,
            &request.headers,
            request.trailing_headers,
            wanted,
        )
        .await?;
        // Amazon S3 computes a CRC64NVME for an object that comes without any checksum.
        let checksum = body.checksum.unwrap_or_else(|| Checksum {
            algorithm: Algorithm::Crc64Nvme,
            value: encode(body.crc64nvme),
        });

        let mut store = self.0.store_of(&input.bucket);
        let object = Object {
            body: body.bytes,
            size: body.size,
            etag: store.etag(body.md5.as_ref()),
            content_type: input.content_type,
            metadata,
            crc64nvme: checksum.of(Algorithm::Crc64Nvme),
            version_id: String::new(),
            last_modified: now(),
        };
        let object = store.put(
            input.key,
            object,
            self.judged(Condition::PutIfMatch, input.if_match.as_ref()),
            self.judged(Condition::PutIfNoneMatch, input.if_none_match.as_ref()),
        )?;
        let output = dto::PutObjectOutput {
            e_tag: Some(strong(&object.etag)),
            version_id: Some(object.version_id),
            checksum_type: Some(dto::ChecksumType::from_static(
                dto::ChecksumType::FULL_OBJECT,
            )),
            ..Default::default()
        };
        Ok(S3Response::with_headers(
            output,
            checksum_header(Some(&checksum)),
        ))
    }

    pub(super) fn get(
        &self,
        request: S3Request<dto::GetObjectInput>,
    ) -> S3Result<S3Response<dto::GetObjectOutput>> {
        let input = request.input;
        let object = self.find(&input.bucket, &input.key, input.if_match.as_ref())?;
        if object.body.len() as u64 != object.size {
            return Err(s3_error!(NotImplemented, "this body was not kept"));
        }
        let range = input
            .range
            .map(|range| range.check(object.size))
            .transpose()?;
        let (body, content_range) = match range {
            None => (object.body.clone(), None),
            Some(range) => {
                let header = format!("bytes {}-{}/{}", range.start, range.end - 1, object.size);
                (slice(&object.body, range)?, Some(header))
            }
        };
        // Amazon S3 sends no checksum with a range: that of the complete object would not match.
        let crc64nvme = object
            .crc64nvme
            .filter(|_| asks_for_checksum(input.checksum_mode.as_ref()) && content_range.is_none());
        Ok(S3Response::new(dto::GetObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: i64::try_from(body.len()).ok(),
            body: Some(dto::StreamingBlob::from(Body::from(body))),
            content_range,
            content_type: Some(content_type(object.content_type)),
            checksum_type: full_object(crc64nvme.as_ref()),
            checksum_crc64nvme: crc64nvme,
            e_tag: Some(strong(&object.etag)),
            last_modified: Some(object.last_modified.into()),
            metadata: Some(object.metadata.into_iter().collect()),
            version_id: Some(object.version_id),
            ..Default::default()
        }))
    }

    pub(super) fn head(
        &self,
        request: S3Request<dto::HeadObjectInput>,
    ) -> S3Result<S3Response<dto::HeadObjectOutput>> {
        let input = request.input;
        let object = self.find(&input.bucket, &input.key, input.if_match.as_ref())?;
        let crc64nvme = object
            .crc64nvme
            .filter(|_| asks_for_checksum(input.checksum_mode.as_ref()));
        Ok(S3Response::new(dto::HeadObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: i64::try_from(object.size).ok(),
            content_type: Some(content_type(object.content_type)),
            checksum_type: full_object(crc64nvme.as_ref()),
            checksum_crc64nvme: crc64nvme,
            e_tag: Some(strong(&object.etag)),
            last_modified: Some(object.last_modified.into()),
            metadata: Some(object.metadata.into_iter().collect()),
            version_id: Some(object.version_id),
            ..Default::default()
        }))
    }

    pub(super) fn delete(
        &self,
        request: S3Request<dto::DeleteObjectInput>,
    ) -> S3Result<S3Response<dto::DeleteObjectOutput>> {
        let input = request.input;
        let mut store = self.0.store_of(&input.bucket);
        check(store.objects.get(&input.key), input.if_match.as_ref(), None)?;
        store.objects.remove(&input.key);
        Ok(S3Response::new(dto::DeleteObjectOutput::default()))
    }

    fn find(
        &self,
        bucket: &str,
        key: &str,
        if_match: Option<&dto::ETagCondition>,
    ) -> S3Result<Object> {
        let store = self.0.store_of(bucket);
        let object = store.objects.get(key);
        check(object, if_match, None)?;
        object
            .cloned()
            .ok_or_else(|| s3_error!(NoSuchKey, "the specified key does not exist"))
    }
}

fn slice(body: &Bytes, range: std::ops::Range<u64>) -> S3Result<Bytes> {
    let bound = |bound: u64| usize::try_from(bound).map_err(|_| s3_error!(InvalidRange));
    Ok(body.slice(bound(range.start)?..bound(range.end)?))
}

fn content_type(content_type: Option<String>) -> String {
    content_type.unwrap_or_else(|| "binary/octet-stream".to_owned())
}

fn asks_for_checksum(mode: Option<&dto::ChecksumMode>) -> bool {
    mode.is_some_and(|mode| mode.as_str() == dto::ChecksumMode::ENABLED)
}
