//! Multipart uploads: begin, put a part, list, complete, abort.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html>

use aws_sdk_s3::config::Config;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::error::BoxError;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    ChecksumAlgorithm, ChecksumType, CompletedMultipartUpload, CompletedPart, Part,
};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use http_body::Body;

use super::{Error, Identity, Receipt, Store, signed};
use crate::keys::Key;
use crate::plan::{ListedPart, ListedParts, PartNumber, combined_crc64nvme};

impl Store {
    /// Begins an upload with a full-object CRC64NVME, and returns the upload id.
    pub(crate) async fn begin(
        &self,
        key: &Key,
        content_type: &str,
        identity: &Identity,
    ) -> Result<String, Error> {
        const OPERATION: &str = "CreateMultipartUpload";
        let begun = self
            .calls
            .create_multipart_upload()
            .bucket(self.bucket(key))
            .key(key.as_str())
            .content_type(content_type)
            .set_metadata(Some(identity.to_metadata()))
            .checksum_algorithm(ChecksumAlgorithm::Crc64Nvme)
            .checksum_type(ChecksumType::FullObject)
            .send()
            .await
            .map_err(|error| Error::from_sdk(OPERATION, error))?;
        begun.upload_id.ok_or(Error::Incomplete {
            operation: OPERATION,
            missing: "an upload id",
        })
    }

    /// Streams a part of `length` bytes, and returns the CRC64NVME that S3 has computed, if it
    /// says. Replaces any part uploaded earlier under this number.
    ///
    /// # Errors
    ///
    /// [`Error`], also if `body` fails.
    pub(crate) async fn put_part<B>(
        &self,
        key: &Key,
        upload_id: &str,
        number: PartNumber,
        body: B,
        length: u64,
    ) -> Result<Option<u64>, Error>
    where
        B: Body<Data = Bytes> + Send + Sync + 'static,
        B::Error: Into<BoxError>,
    {
        let part = self
            .streams
            .upload_part()
            .bucket(self.bucket(key))
            .key(key.as_str())
            .upload_id(upload_id)
            .part_number(number.cast_signed())
            .content_length(signed(length))
            .checksum_algorithm(ChecksumAlgorithm::Crc64Nvme)
            .body(ByteStream::from_body_1_x(body))
            .send()
            .await
            .map_err(|error| Error::from_sdk("UploadPart", error))?;
        Ok(part
            .checksum_crc64_nvme
            .as_deref()
            .and_then(crc_from_base64))
    }

    /// The parts of an upload, from all pages.
    ///
    /// # Errors
    ///
    /// [`Error`], also if the upload is gone: see [`Error::is_no_such_upload`].
    pub(crate) async fn list_parts(
        &self,
        key: &Key,
        upload_id: &str,
    ) -> Result<ListedParts, Error> {
        const OPERATION: &str = "ListParts";
        let mut listed = ListedParts::new();
        let mut marker: Option<String> = None;
        loop {
            let page = self
                .calls
                .list_parts()
                .bucket(self.bucket(key))
                .key(key.as_str())
                .upload_id(upload_id)
                .set_part_number_marker(marker.clone())
                .send()
                .await
                .map_err(|error| Error::from_sdk(OPERATION, error))?;
            let parts = page.parts.unwrap_or_default();
            listed.extend(parts.into_iter().filter_map(listed_part));
            if page.is_truncated != Some(true) {
                return Ok(listed);
            }
            // A repeated marker would list the same page for ever.
            if page.next_part_number_marker.is_none() || page.next_part_number_marker == marker {
                return Err(Error::Incomplete {
                    operation: OPERATION,
                    missing: "a new marker for the next page",
                });
            }
            marker = page.next_part_number_marker;
        }
    }

    /// Completes an upload of `parts` if `key` has no object. S3 compares the total length, every
    /// ETag and, if the store reports the parts' checksums, the checksum of the object with what it
    /// holds: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html>
    ///
    /// # Errors
    ///
    /// [`Error`]. After a lost answer, 409, 412 or `NoSuchUpload`, only a look at the object tells
    /// whether it was made.
    pub(crate) async fn complete(
        &self,
        key: &Key,
        upload_id: &str,
        parts: &ListedParts,
    ) -> Result<Receipt, Error> {
        let completed = parts.iter().map(|(number, part)| {
            CompletedPart::builder()
                .part_number(number.cast_signed())
                .e_tag(&part.etag)
                .set_checksum_crc64_nvme(part.crc64nvme.map(crc_to_base64))
                .build()
        });
        let completed = CompletedMultipartUpload::builder()
            .set_parts(Some(completed.collect()))
            .build();
        let length = parts.values().map(|part| part.size).sum();
        // S3 may take minutes to complete an upload of many parts.
        let timeout = TimeoutConfig::builder()
            .operation_attempt_timeout(self.complete_call)
            .build();
        let completed = self
            .calls
            .complete_multipart_upload()
            .bucket(self.bucket(key))
            .key(key.as_str())
            .upload_id(upload_id)
            .multipart_upload(completed)
            .if_none_match("*")
            .mpu_object_size(signed(length))
            .checksum_type(ChecksumType::FullObject)
            .set_checksum_crc64_nvme(combined_crc64nvme(parts.values()).map(crc_to_base64))
            .customize()
            .config_override(Config::builder().timeout_config(timeout))
            .send()
            .await
            .map_err(|error| Error::from_sdk("CompleteMultipartUpload", error))?;
        Ok(Receipt {
            etag: completed.e_tag,
            version_id: completed.version_id,
            crc64nvme: completed.checksum_crc64_nvme,
        })
    }

    /// Ends an upload without an object. Succeeds if the upload is already gone.
    pub(crate) async fn abort(&self, key: &Key, upload_id: &str) -> Result<(), Error> {
        let ended = self
            .calls
            .abort_multipart_upload()
            .bucket(self.bucket(key))
            .key(key.as_str())
            .upload_id(upload_id)
            .send()
            .await
            .map_err(|error| Error::from_sdk("AbortMultipartUpload", error));
        match ended {
            Err(error) if !error.is_no_such_upload() => Err(error),
            _ => Ok(()),
        }
    }
}

/// A part of a page of `ListParts`; `None` if its number, size or ETag is missing.
fn listed_part(part: Part) -> Option<(PartNumber, ListedPart)> {
    let number = PartNumber::try_from(part.part_number?).ok()?;
    let listed = ListedPart {
        size: u64::try_from(part.size?).ok()?,
        etag: part.e_tag?,
        crc64nvme: part
            .checksum_crc64_nvme
            .as_deref()
            .and_then(crc_from_base64),
        last_modified: part.last_modified.and_then(|at| at.try_into().ok()),
    };
    Some((number, listed))
}

/// A CRC in S3's form: the base64 of its bytes, the most significant first.
pub(super) fn crc_to_base64(crc: u64) -> String {
    BASE64_STANDARD.encode(crc.to_be_bytes())
}

fn crc_from_base64(text: &str) -> Option<u64> {
    let bytes = BASE64_STANDARD.decode(text).ok()?;
    Some(u64::from_be_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_have_the_form_of_s3() {
        // The check value of CRC-64/NVME, for "123456789".
        assert_eq!(crc_to_base64(0xae8b_1486_0a79_9888), "rosUhgp5mIg=");
        assert_eq!(crc_from_base64("rosUhgp5mIg="), Some(0xae8b_1486_0a79_9888));
        assert_eq!(crc_from_base64("rosUhg=="), None);
        assert_eq!(crc_from_base64("?"), None);
    }
}
