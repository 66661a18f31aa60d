//! The operations on multipart uploads.

use s3s::dto;
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::Upload;
use super::body::{self, Algorithm, Wanted};
use super::conditions::Condition;
use super::etags::strong;
use super::listings;
use super::operations::{Operations, checksum_header, full_object, metadata};

impl Operations {
    pub(super) fn create(
        &self,
        request: S3Request<dto::CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<dto::CreateMultipartUploadOutput>> {
        let input = request.input;
        let algorithm = input
            .checksum_algorithm
            .as_ref()
            .map(|algorithm| Algorithm::parse(algorithm.as_str()))
            .transpose()?;
        let full_object = is_full_object(algorithm, input.checksum_type.as_ref())?;
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

    pub(super) async fn put_part(
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
        // The lock is not held while the body arrives, so the upload is looked up again behind it.
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
                "Checksum Type mismatch occurred, expected checksum Type: {}, \
                 actual checksum Type: {}",
                name(agreed),
                name(announced)
            ));
        }
        let wanted = Wanted {
            bytes: self.0.settings.keep_bodies,
            md5: self.0.hashes(),
        };
        let body = body::read(
            input.body,
            &request.headers,
            request.trailing_headers,
            wanted,
        )
        .await?;
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

    pub(super) fn complete(
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

    pub(super) fn abort(
        &self,
        request: S3Request<dto::AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<dto::AbortMultipartUploadOutput>> {
        let input = request.input;
        let mut store = self.0.store_of(&input.bucket);
        store.upload(&input.key, &input.upload_id)?;
        store.uploads.remove(&(input.key, input.upload_id));
        Ok(S3Response::new(dto::AbortMultipartUploadOutput::default()))
    }
}

/// Returns `true` if the object's checksum is to be that of all its bytes, `false` if it is to be
/// composed of those of its parts.
///
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html>
fn is_full_object(
    algorithm: Option<Algorithm>,
    asked: Option<&dto::ChecksumType>,
) -> S3Result<bool> {
    let asked = asked.map(dto::ChecksumType::as_str);
    match (algorithm, asked) {
        (None, None) | (Some(Algorithm::Crc64Nvme), None | Some("FULL_OBJECT")) => Ok(true),
        (Some(Algorithm::Crc32 | Algorithm::Crc32c), Some("FULL_OBJECT")) => Err(s3_error!(
            NotImplemented,
            "of whole objects only CRC64NVME is checked here"
        )),
        (Some(algorithm), None | Some("COMPOSITE")) if algorithm != Algorithm::Crc64Nvme => {
            Ok(false)
        }
        _ => Err(s3_error!(
            InvalidRequest,
            "checksum type {asked:?} cannot be used with algorithm {algorithm:?}"
        )),
    }
}
