//! The outcome of an event. Pure.

use serde::{Serialize, Serializer};

/// The outcome of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Every chunk and the manifest are in S3.
    Archived,
    /// The recording was archived before.
    AlreadyArchived,
    /// The event needs no work, and nothing was stored.
    Ignored,
    /// The event was set aside, or its recording rejected. The event is stored with the reason.
    SetAside,
    /// The event is stored and unfinished: a later attempt continues.
    Suspended,
    /// The event could not be stored: only Event Grid has it.
    Unstored,
}

impl Outcome {
    /// Returns the name in answers and logs.
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

    /// Returns `true` if nothing is left to do for the event.
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

/// The outcome of an event, for the answer and the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Report {
    /// The event's id, made safe for keys and logs.
    pub(crate) id: String,
    /// The outcome.
    pub(crate) outcome: Outcome,
    /// The bytes that this run fetched for it.
    pub(crate) bytes: u64,
}

impl Report {
    /// Reports an event for which nothing was fetched.
    pub(crate) fn of(id: String, outcome: Outcome) -> Self {
        Self {
            id,
            outcome,
            bytes: 0,
        }
    }
}
