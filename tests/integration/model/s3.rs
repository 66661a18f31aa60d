//! The model of Amazon S3 and of the source: all state that a step of a transfer reads or changes.

use acs_recording_archiver::plan::{ListedPart, ListedParts, PartNumber, Plan};

/// Bytes of a part.
const PART: u64 = 10;

/// The id of an upload: its place among all uploads.
pub type Id = usize;
/// A version of the source: an index into its lengths. Each version has an `ETag` of its own.
pub type Version = usize;
/// The bytes of a version, and their checksum.
pub type Content = u64;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Part {
    pub content: Content,
    /// The `ETag`: a count of uploads of parts if ETags are opaque, else the bytes.
    pub etag: u64,
    pub size: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Upload {
    pub version: Version,
    pub parts: Vec<Option<Part>>,
    pub open: bool,
    /// Set if the only worker that knew the upload has ended.
    pub excused: bool,
}

impl Upload {
    /// The number of parts in S3.
    pub fn held(&self) -> usize {
        self.parts.iter().flatten().count()
    }
}

/// The record. Upload ids are never reused, so comparing records is comparing their ETags.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Record {
    pub upload: Id,
    pub version: Version,
    /// The uploads that this one replaces.
    pub replaced: Vec<Id>,
    /// Set if the parts may come from several replies without a range.
    pub streamed: bool,
    /// The bytes of such a reply, if one was read to its end.
    pub whole: Option<Content>,
}

impl Record {
    /// All uploads that the record names, in the order in which they are aborted.
    pub fn uploads(&self) -> Vec<Id> {
        let all = self.replaced.iter().chain([&self.upload]);
        all.copied().collect()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Object {
    pub version: Version,
    pub parts: Vec<Part>,
}

/// The state of the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    Delivers,
    /// Every request fails for a while.
    Down,
    /// ACS has deleted the source.
    Gone,
}

/// A lasting failure of S3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outage {
    /// Every write is refused, as with a KMS key that is disabled. Deletions work.
    Writes,
    /// Complete is refused (503).
    Complete,
    /// Complete answers 409, though there is no object.
    Conflict,
}

/// A reason for which Complete is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    NoSuchUpload,
    InvalidPart,
    /// 409, or 412.
    Condition,
}

/// The state of S3 and of the source.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Shared {
    pub object: Option<Object>,
    pub record: Option<Record>,
    pub uploads: Vec<Upload>,
    /// The present version of the source.
    pub version: Version,
    pub source: Source,
    pub outage: Option<Outage>,
    /// The length of each version.
    pub lengths: Vec<u64>,
    /// Set if versions of the same length have the same bytes, and differ in their `ETag` alone.
    pub same_bytes: bool,
    /// Set if the source honours ranges.
    pub ranges: bool,
    /// Set if the same bytes have another `ETag` each time they are put.
    pub opaque: bool,
}

impl Shared {
    pub fn new(lengths: &[u64], opaque: bool) -> Self {
        Self {
            object: None,
            record: None,
            uploads: vec![],
            version: 0,
            source: Source::Delivers,
            outage: None,
            lengths: lengths.to_vec(),
            same_bytes: false,
            ranges: true,
            opaque,
        }
    }

    /// The bytes of a version.
    pub fn content(&self, version: Version) -> Content {
        if self.same_bytes {
            self.lengths[version]
        } else {
            version as Content
        }
    }

    /// The plan of a version, by the code of the function itself.
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
            content: self.content(version),
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

    /// `UploadPart`; `false` if the upload is gone.
    pub fn put_part(&mut self, id: Id, number: PartNumber, version: Version) -> bool {
        let range = self.plan(version).range(number);
        let content = self.content(version);
        let opaque = self.opaque;
        let upload = &mut self.uploads[id];
        if upload.open {
            let place = &mut upload.parts[number as usize - 1];
            let etag = match place {
                _ if !opaque => content,
                Some(part) => part.etag + 1,
                None => 0,
            };
            *place = Some(Part {
                content,
                etag,
                size: range.end - range.start,
            });
        }
        upload.open
    }

    /// `ListParts`; `None` if the upload is gone.
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
                    crc64nvme: Some(part.content),
                    last_modified: None,
                },
            ))
        });
        upload.open.then(|| listed.collect())
    }

    /// Complete with `If-None-Match: *`.
    pub fn complete(&mut self, id: Id, etags: &[u64]) -> Result<(), Refusal> {
        let upload = &self.uploads[id];
        if !upload.open {
            return Err(Refusal::NoSuchUpload);
        }
        let parts: Vec<Part> = upload.parts.iter().copied().flatten().collect();
        if !parts.iter().map(|part| &part.etag).eq(etags) {
            return Err(Refusal::InvalidPart);
        }
        if self.object.is_some() || self.outage == Some(Outage::Conflict) {
            return Err(Refusal::Condition);
        }
        self.object = Some(Object {
            version: upload.version,
            parts,
        });
        self.end(id);
        Ok(())
    }

    /// Removes an upload: completed, or aborted by a worker or a lifecycle rule.
    pub fn end(&mut self, id: Id) {
        let upload = &mut self.uploads[id];
        upload.open = false;
        upload.parts.clear();
    }

    /// `PutObject` of the record: over the record that was read (`If-Match`), or as the first one
    /// (`If-None-Match: *`).
    pub fn write_record(&mut self, over: Option<&Record>, record: &Record) -> bool {
        let holds = self.record.as_ref() == over;
        if holds {
            self.record = Some(record.clone());
        }
        holds
    }

    /// `DeleteObject` of the record, without a condition, since not every store has conditional
    /// deletes. If the record is that of another worker, no record names its upload any more, and
    /// the bucket's lifecycle rule aborts it.
    pub fn delete_record(&mut self, record: &Record) {
        let there = self.record.take();
        if let Some(other) = there.filter(|there| there.upload != record.upload) {
            for upload in other.uploads() {
                self.uploads[upload].excused = true;
            }
        }
    }

    /// Returns `true` if the record is that of this upload.
    pub fn names(&self, upload: Id) -> bool {
        self.record
            .as_ref()
            .is_some_and(|record| record.upload == upload)
    }

    /// Returns `true` if S3 refuses to store anything, or to complete an upload.
    pub fn refuses(&self, completes: bool) -> bool {
        match self.outage {
            Some(Outage::Writes) => true,
            Some(Outage::Complete) => completes,
            Some(Outage::Conflict) | None => false,
        }
    }

    /// `PutObject` of the record over a record of the same upload.
    pub fn rewrite_record(&mut self, record: &Record) -> bool {
        let same = |there: &Record| there.upload == record.upload;
        let holds = self.record.as_ref().is_some_and(same);
        if holds {
            self.record = Some(record.clone());
        }
        holds
    }

    /// Returns `true` if S3 holds all parts of the upload that the record names, and they are known
    /// to fit together.
    pub fn is_all_there(&self) -> bool {
        let Some(record) = &self.record else {
            return false;
        };
        let upload = &self.uploads[record.upload];
        let mut parts = upload.parts.iter().flatten();
        let fit = !record.streamed || parts.all(|part| Some(part.content) == record.whole);
        upload.open && upload.held() == upload.parts.len() && fit
    }

    /// The fault of the object, if there is one.
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
        let mut parts = object.parts.iter().map(|part| part.content);
        let first = parts.next();
        let mixed = parts.any(|content| Some(content) != first);
        mixed.then_some("the object is of several versions of its source")
    }

    /// The open uploads that a worker could have ended.
    pub fn left_over(&self) -> impl Iterator<Item = Id> {
        let left = |(id, upload): (Id, &Upload)| (upload.open && !upload.excused).then_some(id);
        self.uploads.iter().enumerate().filter_map(left)
    }
}
