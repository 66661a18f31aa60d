//! The entries of a report.

use serde::Serialize;

/// The limit of reasons in one detail.
const MOST_REASONS: usize = 3;

/// A statement about an object, an upload or a recording.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// The key of the object or upload; the recording's id if only ACS's log has the recording.
    pub key: String,
    /// The kind of the entry.
    #[serde(rename = "what")]
    pub kind: EntryKind,
    /// The manifest or rejection that names the object.
    pub document: Option<String>,
    /// The id of an upload.
    pub upload_id: Option<String>,
    /// The statement, for people.
    pub detail: String,
}

/// The kind of an entry. The help explains each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum EntryKind {
    /// A named object does not exist.
    Missing,
    /// The size differs from that in the document.
    SizeDiffers,
    /// The CRC64NVME differs from that in the document.
    ChecksumDiffers,
    /// The object's own metadata contradicts its key or its size.
    OriginDiffers,
    /// The ETag differs, and there are no two checksums to compare.
    EtagDiffers,
    /// A document names a key that is not its own.
    Misplaced,
    /// A manifest contradicts the event that it holds.
    Incomplete,
    /// A document cannot be parsed.
    Unreadable,
    /// A recording was rejected.
    Rejected,
    /// An event was set aside.
    SetAside,
    /// An event is pending although ACS has deleted the source.
    Overdue,
    /// A pending event has a time in the future.
    Postdated,
    /// No document and no pending event names the object.
    WithoutManifest,
    /// No record names the upload.
    OrphanedUpload,
    /// The archive has nothing of a recording in ACS's log.
    NeverArchived,
    /// ACS's log has another number of chunks.
    ChunksDiffer,
    /// ACS's log has another length.
    LengthDiffers,
    /// A recording in ACS's log matches one of the archive without certainty.
    UnsureMatch,
    /// The version or the ETag differs, but the bytes are the same.
    Rewritten,
    /// A rejected recording was archived later.
    ArchivedLater,
    /// A pending event cannot be understood.
    NotUnderstood,
    /// The event of a record is no longer pending.
    LeftOver,
    /// An upload is so young that its record may not be written yet.
    YoungUpload,
    /// The function does not write such a key.
    Foreign,
    /// ACS's log does not have a recording of the archive.
    NotInLog,
    /// A recording in ACS's log is so young that its event may still be on its way.
    OnItsWay,
    /// The media of a recording is doubtful.
    Doubtful,
    /// An object could not be read.
    Unread,
}

impl EntryKind {
    /// Returns the name in JSON, in the table and in the help.
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

    /// Returns `true` for a note, which needs no action.
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
    /// Creates an entry without a document or an upload.
    pub(crate) fn new(kind: EntryKind, key: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            kind,
            document: None,
            upload_id: None,
            detail: detail.into(),
        }
    }

    /// Creates the note of an object whose key the function does not write.
    pub(crate) fn foreign(key: String) -> Self {
        Self::new(EntryKind::Foreign, key, "has no form of ours")
    }

    /// Returns `true` for a finding about the recording of a document.
    pub(crate) fn is_about(&self, document: &str) -> bool {
        let named = self.document.as_deref() == Some(document) || self.key == document;
        named && !self.kind.is_note()
    }

    /// Sets the manifest or rejection that names the object.
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
