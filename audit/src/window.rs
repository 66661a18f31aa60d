//! The selected days, in UTC: a recording counts by its start, an event set aside by the time of
//! its object.

use std::time::{Duration, SystemTime};

use acs_recording_archiver::keys::Layout;
use acs_recording_archiver::recording::Timestamp;

const DAY: Duration = Duration::from_hours(24);

/// A day.
#[derive(Clone, Debug)]
pub struct Day {
    text: String,
    begins: Timestamp,
}

impl Day {
    /// Parses `2026-11-23`.
    ///
    /// # Errors
    ///
    /// A text for people, if `text` is not a day.
    pub fn parse(text: &str) -> Result<Self, String> {
        let begins = Timestamp::parse(&format!("{text}T00:00:00Z"));
        Ok(Self {
            text: text.to_owned(),
            begins: begins.ok_or("a day is expected, as in 2026-11-23")?,
        })
    }

    /// Returns the day as it was given.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }
}

/// The selected days, both ends included.
#[derive(Clone, Debug, Default)]
pub struct Window {
    pub(crate) from: Option<Day>,
    pub(crate) to: Option<Day>,
}

impl Window {
    /// Selects the days from `from` to `to`; without one of them, the selection is open at that
    /// end.
    ///
    /// # Errors
    ///
    /// A text for people, if `from` is after `to`.
    pub fn new(from: Option<Day>, to: Option<Day>) -> Result<Self, String> {
        if let (Some(from), Some(to)) = (&from, &to)
            && from.begins > to.begins
        {
            return Err("--from is after --to".to_owned());
        }
        Ok(Self { from, to })
    }

    /// Returns the text after which a listing begins: all keys of the window are greater.
    pub(crate) fn start(&self, layout: &Layout) -> Option<String> {
        let from = self.from.as_ref()?;
        Some(layout.day(from.begins).to_string())
    }

    /// Returns `true` if keys of the window can begin with `folder`.
    pub(crate) fn overlaps(&self, layout: &Layout, folder: &str) -> bool {
        let bound = |day: &Day| {
            let day = layout.day(day.begins).to_string();
            let shorter = day.get(..folder.len());
            shorter.map_or(day.clone(), str::to_owned)
        };
        let begun = self.from.as_ref().is_none_or(|day| *folder >= *bound(day));
        begun && self.to.as_ref().is_none_or(|day| *folder <= *bound(day))
    }

    /// Returns `true` if a key is greater than all keys of the window.
    pub(crate) fn is_over(&self, layout: &Layout, key: &str) -> bool {
        self.to.as_ref().is_some_and(|to| {
            let last = layout.day(to.begins);
            key > last.as_str() && !key.starts_with(last.as_str())
        })
    }

    /// Returns `true` if a key is in the window.
    pub(crate) fn holds(&self, layout: &Layout, key: &str) -> bool {
        let begun = self.start(layout).is_none_or(|start| *key >= *start);
        begun && !self.is_over(layout, key)
    }

    /// Returns `true` if a time is in the window, or is unknown.
    #[must_use]
    pub fn has(&self, at: Option<SystemTime>) -> bool {
        let Some(at) = at else { return true };
        let into = |day: &Day| day.begins.until(at);
        let begun = self.from.as_ref().is_none_or(|day| into(day).is_some());
        let over = self
            .to
            .as_ref()
            .and_then(into)
            .is_some_and(|time| time >= DAY);
        begun && !over
    }
}
