//! Amazon S3 as one object's transfer sees it, and the source: everything a step can read or change.

use acs_recording_archiver::plan::{ListedPart, ListedParts, PartNumber, Plan};

/// Bytes of a part.
const PART: u64 = 10;

/// An upload, by its place among all that were ever begun.
pub type Id = usize;
/// What the source was at some time: an index into its lengths.
pub type Version = usize;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Part {
    pub version: Version,
    /// How often it was put, where ETags are opaque; else 0.
    pub etag: u8,
    pub size: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Upload {
    pub version: Version,
    pub parts: Vec<Option<Part>>,
    pub open: bool,
    /// Whether whoever knew of it ended before anybody else could.
    pub excused: bool,
}

/// The record. Upload ids are never used twice, so comparing it whole is comparing its ETag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Record {
    pub upload: Id,
    pub version: Version,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Object {
    pub version: Version,
    pub parts: Vec<Part>,
}

/// Why Complete was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    NoSuchUpload,
    InvalidPart,
    PreconditionFailed,
}

/// All that workers share.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Shared {
    pub object: Option<Object>,
    pub record: Option<Record>,
    pub uploads: Vec<Upload>,
    /// The source's present version.
    pub source: Version,
    /// The length of each version.
    pub lengths: Vec<u64>,
    /// Whether the same bytes have another `ETag` each time they are put.
    pub opaque: bool,
}

impl Shared {
    pub fn new(lengths: &[u64], opaque: bool) -> Self {
        Self {
            object: None,
            record: None,
            uploads: vec![],
            source: 0,
            lengths: lengths.to_vec(),
            opaque,
        }
    }

    /// The grid of a version, as the function itself lays it.
    pub fn plan(&self, version: Version) -> Plan {
        Plan::new(self.lengths[version], PART).expect("a length makes a plan")
    }

    pub fn is_small(&self, version: Version) -> bool {
        self.lengths[version] <= PART
    }

    /// `PutObject` of a small object with `If-None-Match: *`.
    pub fn put_object(&mut self, version: Version) -> bool {
        if self.object.is_some() {
            return false;
        }
        let part = Part {
            version,
            etag: 0,
            size: self.lengths[version],
        };
        self.object = Some(Object {
            version,
            parts: vec![part],
        });
        true
    }

    pub fn begin(&mut self, version: Version) -> Id {
        let parts = vec![None; self.plan(version).count() as usize];
        self.uploads.push(Upload {
            version,
            parts,
            open: true,
            excused: false,
        });
        self.uploads.len() - 1
    }

    /// `UploadPart`; false where the upload is gone.
    pub fn put_part(&mut self, id: Id, number: PartNumber, version: Version) -> bool {
        let range = self.plan(version).range(number);
        let opaque = self.opaque;
        let upload = &mut self.uploads[id];
        if upload.open {
            let place = &mut upload.parts[number as usize - 1];
            let etag = place.map_or(0, |part| part.etag + u8::from(opaque));
            *place = Some(Part {
                version,
                etag,
                size: range.end - range.start,
            });
        }
        upload.open
    }

    /// `ListParts`, as the function sees it; none where the upload is gone.
    pub fn list(&self, id: Id) -> Option<ListedParts> {
        let upload = &self.uploads[id];
        let listed = (1..).zip(&upload.parts).filter_map(|(number, part)| {
            let part = (*part)?;
            let etag = part.etag.to_string();
            Some((
                number,
                ListedPart {
                    size: part.size,
                    etag,
                    crc64nvme: None,
                    last_modified: None,
                },
            ))
        });
        upload.open.then(|| listed.collect())
    }

    /// Complete with `If-None-Match: *`.
    pub fn complete(&mut self, id: Id, etags: &[u8]) -> Result<(), Refusal> {
        let upload = &self.uploads[id];
        if !upload.open {
            return Err(Refusal::NoSuchUpload);
        }
        let parts: Vec<Part> = upload.parts.iter().copied().flatten().collect();
        if !parts.iter().map(|part| &part.etag).eq(etags) {
            return Err(Refusal::InvalidPart);
        }
        if self.object.is_some() {
            return Err(Refusal::PreconditionFailed);
        }
        self.object = Some(Object {
            version: upload.version,
            parts,
        });
        self.end(id);
        Ok(())
    }

    /// An upload is no more: completed, aborted, or ended by a lifecycle rule.
    pub fn end(&mut self, id: Id) {
        let upload = &mut self.uploads[id];
        upload.open = false;
        upload.parts.clear();
    }

    /// `PutObject` of the record, over what it was (`If-Match`) or where there was none (`If-None-Match: *`).
    pub fn write_record(&mut self, over: Option<Record>, record: Record) -> bool {
        let holds = self.record == over;
        if holds {
            self.record = Some(record);
        }
        holds
    }

    /// `DeleteObject` of the record, whatever it is by now: not every store knows conditional deletes. Where it is another's,
    /// nobody knows of its upload any more, and the bucket's lifecycle rule ends it.
    pub fn delete_record(&mut self, record: Record) {
        let there = self.record.take();
        if let Some(other) = there.filter(|there| *there != record) {
            self.uploads[other.upload].excused = true;
        }
    }

    /// What is wrong with the object, if anything.
    pub fn fault(&self) -> Option<&'static str> {
        let object = self.object.as_ref()?;
        let plan = self.plan(object.version);
        let sizes = plan.numbers().map(|number| {
            let range = plan.range(number);
            range.end - range.start
        });
        if !object.parts.iter().map(|part| part.size).eq(sizes) {
            return Some("the object is not whole");
        }
        let mixed = object
            .parts
            .iter()
            .any(|part| part.version != object.version);
        mixed.then_some("the object is of several versions of its source")
    }

    /// Uploads that are open though somebody could have ended them.
    pub fn left_over(&self) -> impl Iterator<Item = Id> {
        let left = |(id, upload): (Id, &Upload)| (upload.open && !upload.excused).then_some(id);
        self.uploads.iter().enumerate().filter_map(left)
    }
}
