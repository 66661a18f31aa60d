//! The completion of an upload.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html>

use crc_fast::CrcAlgorithm;
use md5::{Digest as _, Md5};
use s3s::dto::{CompleteMultipartUploadInput, CompletedPart};
use s3s::{S3Result, s3_error};

use super::body::{Algorithm, encode};
use super::conditions::check;
use super::etags::{quoted, unquoted};
use super::state::{Store, now};
use super::{Object, Part, Upload};
use crate::hashes::hex;

impl Store {
    /// Makes an object of the parts of an upload. On an error the upload stays.
    pub(super) fn complete(
        &mut self,
        asked: &CompleteMultipartUploadInput,
        min_part_size: u64,
    ) -> S3Result<Object> {
        let upload = self.upload(&asked.key, &asked.upload_id)?.clone();
        let listed = asked
            .multipart_upload
            .as_ref()
            .and_then(|listed| listed.parts.as_deref())
            .unwrap_or_default();
        let parts = chosen(&upload, listed, min_part_size)?;

        let size = parts.iter().map(|part| part.size).sum();
        if asked
            .mpu_object_size
            .is_some_and(|asked| u64::try_from(asked) != Ok(size))
        {
            return Err(s3_error!(
                InvalidRequest,
                "x-amz-mp-object-size is {:?} but the parts have {size} bytes",
                asked.mpu_object_size
            ));
        }
        let crc = parts.iter().fold(0, |crc, part| {
            crc_fast::checksum_combine(CrcAlgorithm::Crc64Nvme, crc, part.crc, part.size)
        });
        let crc64nvme = upload.full_object.then(|| encode(crc));
        check_full_object(asked, &upload, crc64nvme.as_deref())?;

        // Without encryption the `ETag` is the MD5 of the MD5s of the parts, not of the bytes.
        let md5s: Option<Vec<[u8; 16]>> = parts.iter().map(|part| part.md5).collect();
        let hash = md5s.map_or_else(|| self.fresh(), |md5s| hex(&Md5::digest(md5s.concat())));
        // Checked last, but before the upload is removed: it stays if a condition fails.
        check(
            self.objects.get(&asked.key),
            asked.if_match.as_ref(),
            asked.if_none_match.as_ref(),
        )?;
        let bodies: Vec<&[u8]> = parts.iter().map(|part| &part.body[..]).collect();
        let object = Object {
            body: bodies.concat().into(),
            size,
            etag: quoted(&format!("{hash}-{}", parts.len())),
            content_type: upload.content_type.clone(),
            metadata: upload.metadata.clone(),
            crc64nvme,
            version_id: String::new(),
            last_modified: now(),
        };
        self.uploads
            .remove(&(asked.key.clone(), asked.upload_id.clone()));
        self.put(asked.key.clone(), object, None, None)
    }
}

/// Returns the parts that a client lists, after checking their order, `ETags`, checksums and sizes.
fn chosen<'a>(
    upload: &'a Upload,
    listed: &[CompletedPart],
    min_part_size: u64,
) -> S3Result<Vec<&'a Part>> {
    if listed.is_empty() {
        return Err(s3_error!(MalformedXML, "no parts are listed"));
    }
    if !listed.is_sorted_by(|one, next| one.part_number < next.part_number) {
        return Err(s3_error!(InvalidPartOrder, "parts must ascend"));
    }
    let mut parts = Vec::with_capacity(listed.len());
    for asked in listed {
        let (Some(number), Some(etag)) = (asked.part_number, &asked.e_tag) else {
            return Err(s3_error!(
                MalformedXML,
                "a part needs a PartNumber and an ETag"
            ));
        };
        let part = upload
            .parts
            .get(&number)
            .filter(|part| unquoted(&part.etag) == etag.value())
            .ok_or_else(|| s3_error!(InvalidPart, "part {number} is not there with that ETag"))?;
        let sums = [
            (Algorithm::Crc32, &asked.checksum_crc32),
            (Algorithm::Crc32c, &asked.checksum_crc32c),
            (Algorithm::Crc64Nvme, &asked.checksum_crc64nvme),
            (Algorithm::Sha1, &asked.checksum_sha1),
            (Algorithm::Sha256, &asked.checksum_sha256),
        ];
        for (algorithm, value) in sums {
            let stored = part.checksum.as_ref().and_then(|sum| sum.of(algorithm));
            if value.is_some() && *value != stored {
                return Err(s3_error!(
                    InvalidPart,
                    "part {number} has {} {stored:?}",
                    algorithm.name()
                ));
            }
        }
        parts.push(part);
    }
    if let Some((_, before)) = parts.split_last()
        && before.iter().any(|part| part.size < min_part_size)
    {
        return Err(s3_error!(
            EntityTooSmall,
            "only the last part may have fewer than {min_part_size} bytes"
        ));
    }
    Ok(parts)
}

/// Checks the checksum of the complete object that the client expects.
fn check_full_object(
    asked: &CompleteMultipartUploadInput,
    upload: &Upload,
    crc64nvme: Option<&str>,
) -> S3Result<()> {
    let others = [
        &asked.checksum_crc32,
        &asked.checksum_crc32c,
        &asked.checksum_sha1,
        &asked.checksum_sha256,
    ];
    if others.iter().any(|sum| sum.is_some()) {
        return Err(s3_error!(
            NotImplemented,
            "of whole objects only CRC64NVME is checked here"
        ));
    }
    let kind = if upload.full_object {
        "FULL_OBJECT"
    } else {
        "COMPOSITE"
    };
    if let Some(asked) = &asked.checksum_type
        && asked.as_str() != kind
    {
        return Err(s3_error!(
            InvalidRequest,
            "the upload was created with checksum type {kind}"
        ));
    }
    match &asked.checksum_crc64nvme {
        Some(_) if crc64nvme.is_none() => Err(s3_error!(
            InvalidRequest,
            "the upload was created with another checksum algorithm"
        )),
        Some(sum) if Some(sum.as_str()) != crc64nvme => {
            Err(s3_error!(BadDigest, "the parts combine to {crc64nvme:?}"))
        }
        _ => Ok(()),
    }
}
