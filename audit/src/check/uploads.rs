//! The checks of multipart uploads. Each makes its calls as the function does.

use acs_recording_archiver::store::Error;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    ChecksumAlgorithm, ChecksumType, CompletedMultipartUpload, CompletedPart, Part,
};
use bytes::Bytes;
use http_body_util::Full;

use super::Fault;
use super::steps::{CONTENT, CRC64NVME, Scratch, bearable, lacking, needed, refused};

/// The minimum size of a part that is not the last.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>
const PART: usize = 5 * 1024 * 1024;

impl Scratch<'_> {
    pub(super) async fn begin(&mut self) -> Result<(), Fault> {
        self.upload_id = self.begin_at("whole").await?;
        Ok(())
    }

    async fn begin_at(&self, name: &str) -> Result<String, Fault> {
        let request = self.client.create_multipart_upload().bucket(self.bucket);
        let request = request
            .key(self.key(name))
            .checksum_algorithm(ChecksumAlgorithm::Crc64Nvme)
            .checksum_type(ChecksumType::FullObject);
        let begun = request.send().await;
        let begun = begun.map_err(|error| Error::from_sdk("CreateMultipartUpload", error))?;
        begun
            .upload_id
            .ok_or_else(|| lacking("no upload id is returned"))
    }

    /// Puts two parts: one of the minimum size, and one with a known checksum.
    pub(super) async fn put_parts(&mut self) -> Result<(), Fault> {
        for (number, bytes) in [
            (1, Bytes::from(vec![0; PART])),
            (2, Bytes::from_static(CONTENT)),
        ] {
            let request = self.client.upload_part().bucket(self.bucket);
            let request = request
                .key(self.key("whole"))
                .upload_id(&self.upload_id)
                .part_number(number)
                .content_length(i64::try_from(bytes.len()).unwrap_or(i64::MAX))
                .checksum_algorithm(ChecksumAlgorithm::Crc64Nvme);
            // The SDK sends a streaming body with its checksum in a trailer, as the function does;
            // a body that is known to be in memory would be sent otherwise.
            let body = ByteStream::from_body_1_x(Full::new(bytes));
            let put = request.body(body).send().await;
            let put = put.map_err(|error| Error::from_sdk("UploadPart", error))?;
            let etag = put.e_tag.ok_or_else(|| lacking("no ETag is returned"))?;
            let part = CompletedPart::builder().part_number(number).e_tag(etag);
            self.parts.push(part.build());
        }
        Ok(())
    }

    async fn listed(&self, most: i32) -> Result<Vec<Part>, Fault> {
        let (mut parts, mut marker) = (vec![], None);
        loop {
            let request = self.client.list_parts().bucket(self.bucket);
            let request = request
                .key(self.key("whole"))
                .upload_id(&self.upload_id)
                .max_parts(most);
            let page = request.set_part_number_marker(marker).send().await;
            let page = page.map_err(|error| Error::from_sdk("ListParts", error))?;
            parts.extend(page.parts.unwrap_or_default());
            marker = page.next_part_number_marker;
            if page.is_truncated != Some(true) || marker.is_none() || parts.len() > 2 {
                return Ok(parts);
            }
        }
    }

    pub(super) async fn list_parts(&self) -> Result<(), Fault> {
        let parts = self.listed(1).await?;
        let told = parts.iter().map(|part| (part.part_number, part.size));
        let there = [(Some(1), Some(5 * 1024 * 1024)), (Some(2), Some(9))];
        let etags = parts.iter().all(|part| part.e_tag.is_some());
        needed(
            told.eq(there) && etags,
            "numbers, sizes or ETags are not those of the parts",
        )
    }

    pub(super) async fn list_checksums(&self) -> Result<(), Fault> {
        let parts = self.listed(1000).await?;
        let last = parts
            .last()
            .and_then(|part| part.checksum_crc64_nvme.as_deref());
        match last {
            Some(CRC64NVME) => Ok(()),
            None => Err(bearable(
                "no CRC64NVME of parts is returned: the function completes uploads without one",
            )),
            Some(_) => Err(lacking("the CRC64NVME is not that of the part")),
        }
    }

    pub(super) async fn list_uploads(&self) -> Result<(), Fault> {
        let request = self.client.list_multipart_uploads().bucket(self.bucket);
        let listed = request.prefix(self.key("")).send().await;
        let listed = listed.map_err(|error| Error::from_sdk("ListMultipartUploads", error));
        let is_there = listed.map(|listed| {
            let mut uploads = listed.uploads.unwrap_or_default().into_iter();
            uploads.any(|upload| upload.upload_id.as_ref() == Some(&self.upload_id))
        });
        match is_there {
            Ok(true) => Ok(()),
            Ok(false) => Err(bearable(
                "an upload is not listed: the audit cannot find orphaned uploads",
            )),
            Err(error) => Err(Fault::Bearable(format!("the audit needs it: {error}"))),
        }
    }

    async fn try_to_complete(&self) -> Result<bool, Error> {
        let parts = CompletedMultipartUpload::builder().set_parts(Some(self.parts.clone()));
        let request = self.client.complete_multipart_upload().bucket(self.bucket);
        let request = request
            .key(self.key("whole"))
            .upload_id(&self.upload_id)
            .multipart_upload(parts.build())
            .checksum_type(ChecksumType::FullObject)
            .if_none_match("*");
        refused("CompleteMultipartUpload", request.send().await)
    }

    pub(super) async fn complete_if_none_match(&self) -> Result<(), Fault> {
        let put = self.put_object("whole").send().await;
        put.map_err(|error| Error::from_sdk("PutObject", error))?;
        needed(
            self.try_to_complete().await?,
            "the condition is ignored: an existing object is replaced",
        )
    }

    pub(super) async fn complete(&self) -> Result<(), Fault> {
        self.delete("whole").await?;
        let refused = self.try_to_complete().await?;
        let size = self.found("whole").await?.content_length;
        needed(
            !refused && size == i64::try_from(PART + CONTENT.len()).ok(),
            "the object is not made of the parts",
        )
    }

    pub(super) async fn whole_checksum(&self) -> Result<(), Fault> {
        let found = self.found("whole").await?;
        let is_full = found.checksum_type == Some(ChecksumType::FullObject);
        match found.checksum_crc64_nvme {
            Some(_) if is_full => Ok(()),
            _ => Err(bearable(
                "no CRC64NVME of the object is returned: the audit compares ETags",
            )),
        }
    }

    pub(super) async fn abort(&self) -> Result<(), Fault> {
        let upload_id = self.begin_at("aborted").await?;
        self.abort_at("aborted", &upload_id).await?;
        let request = self.client.list_parts().bucket(self.bucket);
        let request = request.key(self.key("aborted")).upload_id(upload_id);
        match request
            .send()
            .await
            .map_err(|error| Error::from_sdk("ListParts", error))
        {
            Err(error) if error.is_no_such_upload() => Ok(()),
            Err(error) => Err(error.into()),
            Ok(_) => Err(lacking("the upload exists after it was aborted")),
        }
    }

    pub(super) async fn abort_at(&self, name: &str, upload_id: &str) -> Result<(), Error> {
        let request = self.client.abort_multipart_upload().bucket(self.bucket);
        let aborted = request
            .key(self.key(name))
            .upload_id(upload_id)
            .send()
            .await;
        match aborted.map_err(|error| Error::from_sdk("AbortMultipartUpload", error)) {
            Err(error) if !error.is_no_such_upload() => Err(error),
            _ => Ok(()),
        }
    }
}
