//! An event that is set aside.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{VERSION, if_readable};

/// `rejected/{sha256}.json`, written for an event that was not understood, or must not be
/// archived.
#[derive(Debug, Serialize, Deserialize)]
pub struct SetAside<'a> {
    version: u32,
    /// The version of the program that wrote the document; older documents have none.
    #[serde(
        default,
        deserialize_with = "if_readable",
        skip_serializing_if = "Option::is_none"
    )]
    pub(crate) archiver: Option<Cow<'a, str>>,
    /// The reason.
    #[serde(borrow)]
    pub reason: Cow<'a, str>,
    /// The event as it came.
    #[serde(borrow)]
    pub event: &'a RawValue,
}

impl<'a> SetAside<'a> {
    /// The document of `event`, which is not archived for this `reason`.
    pub(crate) fn new(event: &'a RawValue, reason: &'a str) -> Self {
        Self {
            version: VERSION,
            archiver: Some(crate::VERSION.into()),
            reason: reason.into(),
            event,
        }
    }
}
