//! The entries of a report.

use serde::Serialize;

/// The limit of reasons in one detail.
const MOST_REASONS: usize = 3;

/// An object or upload, and what is to be said of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// The key that it has, or would have; of what is in ACS's log alone, the recording's id.
    pub key: String,
    /// The kind of the entry.
    #[serde(rename = "what")]
    pub kind: EntryKind,
    /// The manifest or rejection that names it.
    pub document: Option<String>,
    /// The upload, where the entry is of one.
    pub upload_id: Option<String>,
    /// For people.
    pub detail: String,
}

/// The kind of an entry. The help explains each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum EntryKind {
    /// An object that is named is not there.
    Missing,
    /// It has another size.
    SizeDiffers,
    /// It has another CRC64NVME.
    ChecksumDiffers,
    /// Its own metadata does not fit its key or its size.
    OriginDiffers,
    /// It has another ETag, and no two checksums can be compared.
    EtagDiffers,
    /// A document names a key that is not one of its own.
    Misplaced,
    /// A manifest does not hold and name all of its event.
    Incomplete,
    /// A document cannot be read.
    Unreadable,
    /// A recording could not be archived.
    Rejected,
    /// An event is under `rejected/`.
    SetAside,
    /// An event is pending past the age at which ACS deletes.
    Overdue,
    /// An event is pending whose time is still to come.
    Postdated,
    /// No document and no pending event names the object.
    WithoutManifest,
    /// No record names the upload.
    OrphanedUpload,
    /// ACS's log has a recording of which the archive has nothing.
    NeverArchived,
    /// ACS's log has another number of chunks.
    ChunksDiffer,
    /// ACS's log has another length.
    LengthDiffers,
    /// ACS's log has a recording that may be one of the archive, or not.
    UnsureMatch,
    /// Another version or ETag, but the same bytes.
    Rewritten,
    /// A rejection whose recording was archived later.
    ArchivedLater,
    /// A pending event that cannot be understood.
    NotUnderstood,
    /// A record whose event is no longer pending.
    LeftOver,
    /// An upload so young that its record may be on its way.
    YoungUpload,
    /// An object that has no form of ours.
    Foreign,
    /// A recording of which ACS's log has nothing.
    NotInLog,
    /// A recording in ACS's log that ended a moment ago.
    OnItsWay,
    /// The media of a recording is doubtful.
    Doubtful,
    /// An object that could not be looked at.
    Unread,
}

impl EntryKind {
    /// Its name in JSON, in the table and in the help.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::SizeDiffers => "sizeDiffers",
            Self::ChecksumDiffers => "checksumDiffers",
            Self::OriginDiffers => "originDiffers",
            Self::EtagDiffers => "etagDiffers",
            Self::Misplaced => "misplaced",
            Self::Incomplete => "incomplete",
            Self::Unreadable => "unreadable",
            Self::Rejected => "rejected",
            Self::SetAside => "setAside",
            Self::Overdue => "overdue",
            Self::Postdated => "postdated",
            Self::WithoutManifest => "withoutManifest",
            Self::OrphanedUpload => "orphanedUpload",
            Self::NeverArchived => "neverArchived",
            Self::ChunksDiffer => "chunksDiffer",
            Self::LengthDiffers => "lengthDiffers",
            Self::UnsureMatch => "unsureMatch",
            Self::Rewritten => "rewritten",
            Self::ArchivedLater => "archivedLater",
            Self::NotUnderstood => "notUnderstood",
            Self::LeftOver => "leftOver",
            Self::YoungUpload => "youngUpload",
            Self::Foreign => "foreign",
            Self::NotInLog => "notInLog",
            Self::OnItsWay => "onItsWay",
            Self::Doubtful => "doubtful",
            Self::Unread => "unread",
        }
    }

    /// Whether it is only worth a look.
    pub(super) fn is_note(self) -> bool {
        matches!(
            self,
            Self::Rewritten
                | Self::ArchivedLater
                | Self::NotUnderstood
                | Self::LeftOver
                | Self::YoungUpload
                | Self::Foreign
                | Self::NotInLog
                | Self::OnItsWay
        )
    }
}

impl Entry {
    /// An entry without a document or an upload.
    pub(crate) fn new(kind: EntryKind, key: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            kind,
            document: None,
            upload_id: None,
            detail: detail.into(),
        }
    }

    /// An object that has no form of ours.
    pub(crate) fn foreign(key: String) -> Self {
        Self::new(EntryKind::Foreign, key, "has no form of ours")
    }

    /// Returns `true` if it is a finding about the recording of that document.
    pub(crate) fn is_about(&self, document: &str) -> bool {
        let named = self.document.as_deref() == Some(document) || self.key == document;
        named && !self.kind.is_note()
    }

    /// The same, as a manifest or rejection names it.
    pub(crate) fn named_by(self, document: &str) -> Self {
        Self {
            document: Some(document.to_owned()),
            ..self
        }
    }
}

/// Joins the first reasons, with the number of the others.
pub(crate) fn first_reasons(reasons: &[String]) -> String {
    let mut texts: Vec<&str> = reasons.iter().take(MOST_REASONS).map(|it| &**it).collect();
    let more = reasons.len().saturating_sub(MOST_REASONS);
    let more_text = format!("and {more} more");
    if more > 0 {
        texts.push(&more_text);
    }
    texts.join("; ")
}
