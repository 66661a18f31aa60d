//! The rows of the recordings, grouped by day.

use maud::{Markup, PreEscaped, html};

use super::{counted, length, size};
use crate::recordings::{Recording, State, iso};

/// The start of the table.
pub(super) const TABLE: &str = concat!(
    "<table class=\"recordings\"><thead><tr>",
    "<th scope=\"col\">Start</th><th scope=\"col\">Call and recording</th>",
    "<th scope=\"col\">Length</th><th scope=\"col\">Size and checksum</th>",
    "<th scope=\"col\">Media</th><th scope=\"col\">State</th>",
    "</tr></thead>"
);
const COLUMNS: usize = 6;

/// The open group of rows.
#[derive(Debug, Default)]
pub(super) struct Groups {
    name: Option<String>,
    count: u64,
}

impl Groups {
    /// Returns the number of recordings so far.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Returns the end of the table, if one was started.
    pub(super) fn end(&self) -> &'static str {
        if self.name.is_some() {
            "</tbody></table>"
        } else {
            ""
        }
    }

    /// Returns the row of a recording, after the heading of its group if the recording is the
    /// first.
    pub(super) fn row(&mut self, recording: &Recording) -> Markup {
        self.count += 1;
        let group = match recording.state {
            State::Pending => "Pending".to_owned(),
            State::SetAside | State::Exported => "Set aside".to_owned(),
            State::Archived | State::Rejected => recording
                .day()
                .unwrap_or_else(|| "Without a start".to_owned()),
        };
        let begins = self.name.as_ref() != Some(&group);
        let before = self.name.is_some();
        let markup = html! {
            @if begins {
                @if before { (PreEscaped("</tbody>")) }
                (PreEscaped("<tbody>"))
                tr.group { th colspan=(COLUMNS) scope="rowgroup" { (group) } }
            }
            (row(recording))
        };
        self.name = Some(group);
        markup
    }
}

fn row(recording: &Recording) -> Markup {
    let facts = &recording.facts;
    let started = facts.started.map(iso);
    let clock = started.as_deref().and_then(|text| text.get(11..19));
    html! {
        tr {
            td data-label="Start" {
                @if let (Some(started), Some(clock)) = (&started, clock) {
                    time datetime=(started) { (clock) }
                } @else { "unknown" }
            }
            td data-label="Call and recording" {
                code { (facts.call.as_deref().unwrap_or("unknown")) }
                @if let Some(id) = &facts.recording_id { p.faint { code { (id) } } }
                p.faint { code { (recording.document) } }
            }
            td data-label="Length" {
                @if let Some(ms) = facts.duration_ms { (length(ms)) } @else { "unknown" }
            }
            td data-label="Size and checksum" { (objects(recording)) }
            td data-label="Media" { (media(recording)) }
            td data-label="State" { (state(recording)) }
        }
    }
}

fn objects(recording: &Recording) -> Markup {
    let media = recording.objects.iter().filter(|object| object.is_media);
    let media: Vec<_> = media.collect();
    html! {
        @if media.is_empty() {
            "nothing archived"
        } @else {
            (size(recording.bytes))
            @if media.len() > 1 { ", " (counted(media.len() as u64, "chunk")) }
            @for object in media {
                p.faint {
                    code { (object.crc64nvme.as_deref().unwrap_or("no checksum")) }
                }
            }
        }
    }
}

/// Returns the verdicts on the media, if it was examined.
fn media(recording: &Recording) -> Markup {
    html! {
        @if let Some(verdict) = &recording.media { (verdict) }
        @else { span.faint { "not examined" } }
    }
}

fn state(recording: &Recording) -> Markup {
    let (class, name) = match (recording.state, recording.findings) {
        (State::Archived, 0) => ("good", "archived"),
        (State::Archived, _) => ("bad", "doubtful"),
        (State::Pending, _) => ("busy", "pending"),
        (State::Rejected, _) => ("bad", "rejected"),
        (State::SetAside, _) => ("bad", "set aside"),
        (State::Exported, _) => ("busy", "exported"),
    };
    html! {
        span.badge.(class) { (name) }
        @if let Some(reason) = &recording.reason { p { (reason) } }
    }
}
