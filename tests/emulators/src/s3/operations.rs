//! The S3 operations.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::header::HeaderValue;
use s3s::dto;
use s3s::{Body, S3, S3Request, S3Response, S3Result, s3_error};

use super::body::{self, Algorithm, Checksum, Keep, encode};
use super::conditions::{Condition, check};
use super::etags::strong;
use super::listings;
use super::state::{State, now};
use super::{Object, Upload};

/// Whole objects below this size are kept even when bodies are not: they are a client's notes, not
/// its freight.
const SMALL: u64 = 1024 * 1024;

pub(super) struct Operations(pub(super) Arc<State>);

#[async_trait::async_trait]
impl S3 for Operations {
    async fn put_object(
        &self,
        request: S3Request<dto::PutObjectInput>,
    ) -> S3Result<S3Response<dto::PutObjectOutput>> {
        let input = request.input;
        let metadata = metadata(input.metadata)?;
        let small = body::declared_length(&request.headers).is_some_and(|length| length < SMALL);
        let keep = Keep {
            bytes: self.0.settings.keep_bodies || small,
            md5: self.0.hashes(),
        };
        let body = body::read(input.body, &request.headers, request.trailing_headers, keep).await?;
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

    async fn get_object(
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
        // Of a range Amazon S3 tells no checksum: the full one would not fit its bytes.
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

    async fn head_object(
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

    async fn delete_object(
        &self,
        request: S3Request<dto::DeleteObjectInput>,
    ) -> S3Result<S3Response<dto::DeleteObjectOutput>> {
        let input = request.input;
        let mut store = self.0.store_of(&input.bucket);
        check(store.objects.get(&input.key), input.if_match.as_ref(), None)?;
        store.objects.remove(&input.key);
        Ok(S3Response::new(dto::DeleteObjectOutput::default()))
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<dto::CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<dto::CreateMultipartUploadOutput>> {
        let input = request.input;
        let algorithm = input
            .checksum_algorithm
            .as_ref()
            .map(|algorithm| Algorithm::parse(algorithm.as_str()))
            .transpose()?;
        let asked = input.checksum_type.as_ref().map(dto::ChecksumType::as_str);
        let full_object = match (algorithm, asked) {
            (None, None) | (Some(Algorithm::Crc64Nvme), None | Some("FULL_OBJECT")) => true,
            (Some(Algorithm::Crc32 | Algorithm::Crc32c), Some("FULL_OBJECT")) => {
                return Err(s3_error!(
                    NotImplemented,
                    "of whole objects only CRC64NVME is checked here"
                ));
            }
            (Some(algorithm), None | Some("COMPOSITE")) if algorithm != Algorithm::Crc64Nvme => {
                false
            }
            _ => {
                return Err(s3_error!(
                    InvalidRequest,
                    "checksum type {asked:?} cannot be used with algorithm {algorithm:?}"
                ));
            }
        };
        let upload = Upload {
            content_type: input.content_type,
            metadata: metadata(input.metadata)?,
            algorithm,
            full_object,
            ..Upload::new(&input.key)
        };
        let (checksum_algorithm, checksum_type) = listings::agreed(&upload);
        let upload_id = self.0.store_of(&input.bucket).begin(upload);
        Ok(S3Response::new(dto::CreateMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(upload_id),
            checksum_algorithm,
            checksum_type,
            ..Default::default()
        }))
    }

    async fn upload_part(
        &self,
        request: S3Request<dto::UploadPartInput>,
    ) -> S3Result<S3Response<dto::UploadPartOutput>> {
        let input = request.input;
        if !(1..=10_000).contains(&input.part_number) {
            return Err(s3_error!(
                InvalidArgument,
                "part number must be an integer between 1 and 10000, inclusive"
            ));
        }
        let agreed = self
            .0
            .store_of(&input.bucket)
            .upload(&input.key, &input.upload_id)?
            .algorithm;
        let announced = Algorithm::announced(&request.headers)?;
        if agreed != announced {
            let name = |algorithm: Option<Algorithm>| algorithm.map_or("null", Algorithm::name);
            return Err(s3_error!(
                InvalidRequest,
                "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {}",
                name(agreed),
                name(announced)
            ));
        }
        let keep = Keep {
            bytes: self.0.settings.keep_bodies,
            md5: self.0.hashes(),
        };
        let body = body::read(input.body, &request.headers, request.trailing_headers, keep).await?;
        let part = self.0.store_of(&input.bucket).put_part(
            &input.key,
            &input.upload_id,
            input.part_number,
            body,
            self.0.settings.part_checksums,
        )?;
        let output = dto::UploadPartOutput {
            e_tag: Some(strong(&part.etag)),
            ..Default::default()
        };
        Ok(S3Response::with_headers(
            output,
            checksum_header(part.checksum.as_ref()),
        ))
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<dto::CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<dto::CompleteMultipartUploadOutput>> {
        let mut input = request.input;
        let condition = input.if_none_match.take();
        input.if_none_match = self
            .judged(Condition::CompleteIfNoneMatch, condition.as_ref())
            .cloned();
        let min_part_size = self.0.settings.min_part_size;
        let object = self
            .0
            .store_of(&input.bucket)
            .complete(&input, min_part_size)?;
        Ok(S3Response::new(dto::CompleteMultipartUploadOutput {
            location: Some(format!("/{}/{}", input.bucket, input.key)),
            bucket: Some(input.bucket),
            key: Some(input.key),
            e_tag: Some(strong(&object.etag)),
            version_id: Some(object.version_id),
            checksum_type: full_object(object.crc64nvme.as_ref()),
            checksum_crc64nvme: object.crc64nvme,
            ..Default::default()
        }))
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<dto::AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<dto::AbortMultipartUploadOutput>> {
        let input = request.input;
        let mut store = self.0.store_of(&input.bucket);
        store.upload(&input.key, &input.upload_id)?;
        store.uploads.remove(&(input.key, input.upload_id));
        Ok(S3Response::new(dto::AbortMultipartUploadOutput::default()))
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
    /// A condition, unless it is one that is ignored here.
    fn judged<T>(&self, condition: Condition, asked: Option<T>) -> Option<T> {
        asked.filter(|_| !self.0.settings.ignored.contains(&condition))
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

/// User metadata, of which Amazon S3 takes 2 KB.
fn metadata(metadata: Option<dto::Metadata>) -> S3Result<BTreeMap<String, String>> {
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

fn full_object(crc64nvme: Option<&String>) -> Option<dto::ChecksumType> {
    crc64nvme.map(|_| dto::ChecksumType::from_static(dto::ChecksumType::FULL_OBJECT))
}

fn checksum_header(checksum: Option<&Checksum>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Some(checksum) = checksum
        && let Ok(value) = HeaderValue::from_str(&checksum.value)
    {
        headers.insert(checksum.algorithm.header(), value);
    }
    headers
}
