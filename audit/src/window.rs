//! Which days are asked for: of a recording's start, or of when an event was set aside; in UTC, both ends included.

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
    /// Reads `2026-11-23`.
    ///
    /// # Errors
    ///
    /// A text for people, where it is no day.
    pub fn parse(text: &str) -> Result<Self, String> {
        let begins = Timestamp::parse(&format!("{text}T00:00:00Z"));
        Ok(Self {
            text: text.to_owned(),
            begins: begins.ok_or("a day is wanted, as in 2026-11-23")?,
        })
    }

    /// As it was read.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }
}

/// The days that are asked for: all, or those from or to one.
#[derive(Clone, Debug, Default)]
pub struct Window {
    /// The first.
    pub(crate) from: Option<Day>,
    /// The last.
    pub(crate) to: Option<Day>,
}

impl Window {
    /// The days from one to another.
    ///
    /// # Errors
    ///
    /// A text for people, where the first is after the last.
    pub fn new(from: Option<Day>, to: Option<Day>) -> Result<Self, String> {
        if let (Some(from), Some(to)) = (&from, &to)
            && from.begins > to.begins
        {
            return Err("--from is after --to".to_owned());
        }
        Ok(Self { from, to })
    }

    /// Where a listing begins: all keys of the window come after it.
    pub(crate) fn start(&self, layout: &Layout) -> Option<String> {
        let from = self.from.as_ref()?;
        Some(layout.day(from.begins).to_string())
    }

    /// Whether a folder, or one above it, can have keys of the window.
    pub(crate) fn overlaps(&self, layout: &Layout, folder: &str) -> bool {
        let bound = |day: &Day| {
            let day = layout.day(day.begins).to_string();
            let shorter = day.get(..folder.len());
            shorter.map_or(day.clone(), str::to_owned)
        };
        let begun = self.from.as_ref().is_none_or(|day| *folder >= *bound(day));
        begun && self.to.as_ref().is_none_or(|day| *folder <= *bound(day))
    }

    /// Whether a key comes after all those of the window.
    pub(crate) fn is_over(&self, layout: &Layout, key: &str) -> bool {
        self.to.as_ref().is_some_and(|to| {
            let last = layout.day(to.begins);
            key > last.as_str() && !key.starts_with(last.as_str())
        })
    }

    /// Whether a key is one of the window.
    pub(crate) fn holds(&self, layout: &Layout, key: &str) -> bool {
        let begun = self.start(layout).is_none_or(|start| *key >= *start);
        begun && !self.is_over(layout, key)
    }

    /// Whether a moment is in the window; one that is not known is.
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
