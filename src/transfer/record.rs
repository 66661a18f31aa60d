//! The record of a transfer: the upload that makes an object, and its plan.

use std::sync::Arc;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::Error;
use crate::acs::reply::Head;
use crate::keys::Key;
use crate::plan::Plan;
use crate::store::{Identity, Origin, StoredDocument};

/// The document beside the pending event while an upload is unfinished.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record {
    /// The object's key, to tell the object of a record that is left over.
    pub(super) key: String,
    pub(super) upload_id: String,
    /// The source's length, in bytes; `None` if the source does not say.
    pub(super) length: Option<u64>,
    pub(super) source_etag: Option<String>,
    pub(super) content_type: String,
    /// The part size, in bytes. Each upload has its own, since versions of this function may
    /// differ.
    pub(super) part_size: u64,
    /// The number of uploads begun for the object, including this upload.
    #[serde(default = "one")]
    pub(super) begun: u32,
    /// The uploads that this upload has replaced, some of which may be ended already. The others
    /// are ended once the object is there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) replaced: Vec<String>,
    /// `true` if the parts may be of several replies without a range, and so of different versions
    /// of the document. Then only a reply that was read to its end proves that the parts fit
    /// together.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(super) streamed: bool,
    /// The CRC64NVME of a reply without a range that was read to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) crc64nvme: Option<u64>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that serde requires"
)]
fn is_false(value: &bool) -> bool {
    !value
}

fn one() -> u32 {
    1
}

impl Record {
    pub(super) fn parse(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }

    pub(super) fn to_json(&self) -> Vec<u8> {
        // Strings and numbers: serialising them cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The plan of the upload; `None` while the length is unknown. Fails if the numbers make no
    /// plan.
    pub(super) fn plan(&self) -> Result<Option<Plan>, NoPlan> {
        match self.length {
            Some(length) => Plan::new(length, self.part_size).map(Some).ok_or(NoPlan),
            None if self.part_size > 0 => Ok(None),
            None => Err(NoPlan),
        }
    }

    /// The identity of the object of this upload.
    pub(super) fn identity(&self, origin: &Arc<Origin>) -> Identity {
        Identity {
            origin: Arc::clone(origin),
            source_length: self.length,
            source_etag: self.source_etag.clone(),
        }
    }

    /// Checks that a reply has the length that the upload was begun with. If the head has no
    /// length, the end of the body shows it.
    pub(super) fn agrees_in_length(&self, head: &Head) -> Result<(), Error> {
        if head.total().is_none() || self.length == head.total() {
            Ok(())
        } else {
            Err(Error::SourceChanged)
        }
    }

    /// Checks that the reply to a range is of the same document as those to other ranges. A missing
    /// ETag says nothing: ACS does not document ETags.
    pub(super) fn agrees(&self, head: &Head) -> Result<(), Error> {
        self.agrees_in_length(head)?;
        match (&self.source_etag, &head.etag) {
            (Some(recorded), Some(replied)) if recorded != replied => Err(Error::RangesDisagree),
            _ => Ok(()),
        }
    }

    /// The uploads that were begun for the object and may still exist, this upload last.
    pub(super) fn uploads(&self) -> impl Iterator<Item = &str> {
        let all = self.replaced.iter().chain([&self.upload_id]);
        all.map(String::as_str)
    }
}

/// The numbers of a record make no plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoPlan;

/// The reason for replacing an upload by another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// The source has another length now.
    SourceChanged,
    /// The upload was completed, aborted, or ended by a lifecycle rule, and there is no object.
    Gone,
    /// S3 will never complete the upload with these parts.
    Useless,
    /// S3 refuses to complete the upload. The parts may be all that is left of the source.
    Conflict,
    /// One reply has to fill the upload, and none has for an hour. Ranges may work by now.
    StreamTooLong,
}

impl Cause {
    /// Returns `true` if the parts are of no more use. Otherwise the upload stays until the object
    /// is there.
    pub(super) fn is_end(self) -> bool {
        !matches!(self, Self::Conflict | Self::StreamTooLong)
    }

    /// The error of a run that has to wait before it begins another upload.
    pub(super) fn unsettled(self, uploads: u32) -> Error {
        match self {
            Self::SourceChanged | Self::StreamTooLong => Error::SourceUnsettled { uploads },
            Self::Gone | Self::Useless | Self::Conflict => Error::Unsettled { uploads },
        }
    }
}

/// A record that was read.
#[derive(Debug)]
pub(super) struct Found {
    /// The record; `None` if the JSON is invalid, or if it names another object.
    pub(super) record: Option<Record>,
    /// The time at which the record was written, by S3's clock.
    pub(super) written: Option<SystemTime>,
    /// The ETag to compare and swap the record by.
    pub(super) etag: String,
}

impl Found {
    /// The record that was read for the object at `key`.
    pub(super) fn of(document: StoredDocument, key: &Key) -> Self {
        let record = Record::parse(&document.bytes);
        Self {
            record: record.filter(|record| record.key == key.as_str()),
            written: document.last_modified,
            etag: document.etag,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acs::reply::Extent;

    fn record() -> Record {
        Record {
            key: "k".into(),
            upload_id: "u".into(),
            length: Some(40),
            source_etag: Some("\"a\"".into()),
            content_type: "video/mp4".into(),
            part_size: 16,
            begun: 1,
            replaced: vec![],
            streamed: false,
            crc64nvme: None,
        }
    }

    #[test]
    fn a_record_survives_json() {
        let unknown = Record {
            length: None,
            source_etag: None,
            ..record()
        };
        let third = Record {
            begun: 3,
            replaced: vec!["one".into(), "two".into()],
            streamed: true,
            crc64nvme: Some(u64::MAX),
            ..record()
        };
        assert_eq!(third.uploads().collect::<Vec<_>>(), ["one", "two", "u"]);
        let old = r#"{"key":"k","uploadId":"u","contentType":"","partSize":1}"#;
        assert_eq!(Record::parse(old.as_bytes()).unwrap().begun, 1);
        for record in [record(), unknown, third] {
            assert_eq!(Record::parse(&record.to_json()), Some(record));
        }
        for json in [
            "",
            "{}",
            "[]",
            r#"{"key":"k","uploadId":"u","length":-1,"contentType":"","partSize":1}"#,
        ] {
            assert_eq!(Record::parse(json.as_bytes()), None, "{json}");
        }
    }

    #[test]
    fn a_record_whose_numbers_make_no_plan_has_none() {
        assert_eq!(record().plan().unwrap().unwrap().count(), 3);
        assert!(
            Record {
                length: None,
                ..record()
            }
            .plan()
            .unwrap()
            .is_none()
        );
        for broken in [
            Record {
                part_size: 0,
                ..record()
            },
            Record {
                length: Some(0),
                ..record()
            },
            Record {
                length: Some(u64::MAX),
                ..record()
            },
            Record {
                length: None,
                part_size: 0,
                ..record()
            },
        ] {
            assert_eq!(broken.plan(), Err(NoPlan));
        }
    }

    #[test]
    fn a_reply_agrees_by_length_and_etag() {
        let head = |total, etag: Option<&str>| Head {
            extent: Extent::Range {
                range: 0..16,
                total,
            },
            etag: etag.map(str::to_owned),
            content_type: None,
        };
        assert!(record().agrees(&head(40, Some("\"a\""))).is_ok());
        assert!(record().agrees(&head(40, None)).is_ok());
        let other = head(40, Some("\"b\""));
        assert!(matches!(
            record().agrees(&other),
            Err(Error::RangesDisagree)
        ));
        assert!(record().agrees_in_length(&other).is_ok());
        assert!(matches!(
            record().agrees(&head(41, Some("\"a\""))),
            Err(Error::SourceChanged)
        ));
        let unknown = Head {
            extent: Extent::Complete { length: None },
            etag: None,
            content_type: None,
        };
        assert!(record().agrees(&unknown).is_ok());
        let no_length = Record {
            length: None,
            ..record()
        };
        assert!(no_length.agrees(&head(40, None)).is_err());
        assert!(
            Record {
                length: None,
                ..record()
            }
            .agrees(&unknown)
            .is_ok()
        );
    }
}
