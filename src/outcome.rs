//! What has become of an event. Pure.

use serde::{Serialize, Serializer};

/// What has become of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Every chunk is in S3, and the manifest with them.
    Archived,
    /// It was archived before.
    AlreadyArchived,
    /// It is none of ours to archive; nothing was stored.
    Ignored,
    /// It cannot be archived, and is kept with the reason.
    SetAside,
    /// It is stored and unfinished: a later attempt goes on.
    Suspended,
    /// It could not even be stored: only Event Grid has it.
    Unstored,
}

impl Outcome {
    /// Its name in answers and logs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Archived => "archived",
            Self::AlreadyArchived => "alreadyArchived",
            Self::Ignored => "ignored",
            Self::SetAside => "setAside",
            Self::Suspended => "suspended",
            Self::Unstored => "unstored",
        }
    }

    /// Whether there is nothing more to do for the event.
    pub(crate) fn is_final(self) -> bool {
        match self {
            Self::Archived | Self::AlreadyArchived | Self::Ignored | Self::SetAside => true,
            Self::Suspended | Self::Unstored => false,
        }
    }
}

impl Serialize for Outcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// What is answered, and logged, of an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Report {
    /// The event's id, as it stands in keys.
    pub(crate) id: String,
    /// What has become of it.
    pub(crate) outcome: Outcome,
    /// The bytes that this run fetched for it.
    pub(crate) bytes: u64,
}

impl Report {
    /// Of an event that nothing was fetched for.
    pub(crate) fn of(id: String, outcome: Outcome) -> Self {
        Self {
            id,
            outcome,
            bytes: 0,
        }
    }
}
