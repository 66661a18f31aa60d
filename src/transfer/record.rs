//! The record of a transfer: which upload an object is being made by, and what it was planned on.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Error;
use crate::acs::reply::Head;
use crate::keys::Key;
use crate::plan::Plan;
use crate::store::{Identity, Origin, StoredDocument};

/// What is kept beside the pending event while an upload is unfinished.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record {
    /// The object's key, for whoever finds a record that was left over.
    pub(super) key: String,
    pub(super) upload_id: String,
    /// The source's length, in bytes; none where the source does not say.
    pub(super) length: Option<u64>,
    pub(super) source_etag: Option<String>,
    pub(super) content_type: String,
    /// In bytes. Versions of this function may differ in it, so each upload has its own.
    pub(super) part_size: u64,
}

impl Record {
    pub(super) fn parse(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }

    pub(super) fn to_json(&self) -> Vec<u8> {
        // Strings and numbers: serialising them cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// What the object says of its source.
    pub(super) fn identity(&self, origin: &Arc<Origin>) -> Identity {
        Identity {
            origin: Arc::clone(origin),
            source_length: self.length,
            source_etag: self.source_etag.clone(),
        }
    }

    /// Whether a reply is of the source that the upload was begun for. An ETag that is missing on either side says
    /// nothing: ACS does not document any.
    pub(super) fn agrees(&self, head: &Head) -> Result<(), Error> {
        // A length that this reply does not give shows at the end of its body.
        let same_length = head.total().is_none() || self.length == head.total();
        let same_etag = match (&self.source_etag, &head.etag) {
            (Some(recorded), Some(replied)) => recorded == replied,
            _ => true,
        };
        if same_length && same_etag {
            Ok(())
        } else {
            Err(Error::SourceChanged)
        }
    }
}

/// A record as it was read; none that can be used where it is broken, or names another object.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) record: Option<Record>,
    /// What it is swapped against.
    pub(super) etag: String,
}

impl Found {
    /// The record that was read for the object at `key`.
    pub(super) fn of(document: StoredDocument, key: &Key) -> Self {
        let record = Record::parse(&document.bytes);
        Self {
            record: record.filter(|record| record.key == key.as_str()),
            etag: document.etag,
        }
    }
}

/// An upload to be filled.
#[derive(Debug)]
pub(super) struct Upload {
    pub(super) record: Record,
    /// Its grid; none as long as the length is not known.
    pub(super) plan: Option<Plan>,
    /// Whether this run has begun it, so that there is nothing to list yet.
    pub(super) fresh: bool,
}

impl Upload {
    pub(super) fn fresh(record: Record) -> Option<Self> {
        Self::planned(record, true)
    }

    /// The upload of a record that was found; none of a record whose numbers make no plan.
    pub(super) fn resumed(record: Record) -> Option<Self> {
        Self::planned(record, false)
    }

    fn planned(record: Record, fresh: bool) -> Option<Self> {
        let plan = match record.length {
            Some(length) => Some(Plan::new(length, record.part_size)?),
            None if record.part_size > 0 => None,
            None => return None,
        };
        Some(Self {
            record,
            plan,
            fresh,
        })
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
        }
    }

    #[test]
    fn a_record_survives_json() {
        let unknown = Record {
            length: None,
            source_etag: None,
            ..record()
        };
        for record in [record(), unknown] {
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
    fn a_record_whose_numbers_make_no_plan_is_not_resumed() {
        assert_eq!(Upload::resumed(record()).unwrap().plan.unwrap().count(), 3);
        assert!(
            Upload::resumed(Record {
                length: None,
                ..record()
            })
            .unwrap()
            .plan
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
            assert!(Upload::resumed(broken).is_none());
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
        assert!(record().agrees(&head(40, Some("\"b\""))).is_err());
        assert!(record().agrees(&head(41, Some("\"a\""))).is_err());
        let unknown = Head {
            extent: Extent::Whole { length: None },
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
