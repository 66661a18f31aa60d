//! An event that is set aside.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{VERSION, if_readable};

/// Written for what cannot be understood, or is not to be archived: `rejected/{sha256}.json`.
#[derive(Debug, Serialize, Deserialize)]
pub struct SetAside<'a> {
    version: u32,
    /// The version of the program that wrote it; older documents have none.
    #[serde(
        default,
        deserialize_with = "if_readable",
        skip_serializing_if = "Option::is_none"
    )]
    pub(crate) archiver: Option<Cow<'a, str>>,
    /// Why it is not archived.
    #[serde(borrow)]
    pub reason: Cow<'a, str>,
    /// The event as it came.
    #[serde(borrow)]
    pub event: &'a RawValue,
}

impl<'a> SetAside<'a> {
    /// `event` as it came, and why it is not archived.
    pub(crate) fn new(event: &'a RawValue, reason: &'a str) -> Self {
        Self {
            version: VERSION,
            archiver: Some(crate::VERSION.into()),
            reason: reason.into(),
            event,
        }
    }
}
