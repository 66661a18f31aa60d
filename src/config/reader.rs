//! The reader of settings, which collects their faults.

use std::ffi::OsString;
use std::fmt;

/// The faults of the settings, each with its variable's name and none with its value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults(Vec<(&'static str, String)>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the settings are not usable:")?;
        for (name, fault) in &self.0 {
            write!(f, "\n  {name} {fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

impl Faults {
    /// Makes the faults of one setting.
    pub(super) fn one(name: &'static str, fault: impl Into<String>) -> Self {
        Self(vec![(name, fault.into())])
    }

    pub(super) fn push(&mut self, name: &'static str, fault: impl Into<String>) {
        self.0.push((name, fault.into()));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Reads settings by name and collects their faults.
pub(super) struct Reader<F> {
    lookup: F,
    faults: Faults,
}

impl<F: Fn(&str) -> Option<OsString>> Reader<F> {
    pub(super) fn new(lookup: F) -> Self {
        Self {
            lookup,
            faults: Faults::default(),
        }
    }

    /// Returns the faults of all settings that were read.
    pub(super) fn into_faults(self) -> Faults {
        self.faults
    }

    /// Returns `true` if a setting has any value but white space, valid or not.
    pub(super) fn is_set(&self, name: &str) -> bool {
        let text = (self.lookup)(name);
        text.is_some_and(|text| text.to_str().is_none_or(|text| !text.trim().is_empty()))
    }

    /// Reads a setting as text. An empty setting is `None`.
    pub(super) fn text(&mut self, name: &'static str) -> Option<String> {
        let Ok(text) = (self.lookup)(name)?.into_string() else {
            self.fault(name, "is not valid UTF-8");
            return None;
        };
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    /// Reads and parses a setting. `None` if the setting is empty or has a fault.
    pub(super) fn parsed<T>(
        &mut self,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        match parse(&self.text(name)?) {
            Ok(value) => Some(value),
            Err(fault) => {
                self.fault(name, fault);
                None
            }
        }
    }

    /// Reads and parses a setting. If it is empty, `why` is the fault.
    pub(super) fn required<T>(
        &mut self,
        name: &'static str,
        why: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let before = self.faults.0.len();
        let value = self.parsed(name, parse);
        if value.is_none() && self.faults.0.len() == before {
            self.fault(name, why);
        }
        value
    }

    pub(super) fn fault(&mut self, name: &'static str, fault: impl Into<String>) {
        self.faults.push(name, fault);
    }
}
