//! A report as one HTML page, without scripts and without anything from the network.
//!
//! The page begins with the verdict, which is known last. So the rows of the recordings are written
//! to a temporary file meanwhile, and the memory does not grow with the archive.

mod advice;
mod picture;
mod rows;
mod sections;

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write};

use acs_recording_archiver::VERSION;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::recordings::{Recording, RecordingSink};
use crate::report::Report;
use crate::table::{conclusion, several};

const STYLE: &str = include_str!("html/report.css");
/// Prevents that a browser runs or fetches anything, even if a value is not escaped.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";
/// The number of bytes that are copied at a time.
const BLOCK: usize = 64 * 1024;

/// The author and the time of a page.
#[derive(Clone, Debug)]
pub struct Provenance {
    /// The name of a person or a machine.
    pub by: String,
    /// The time, as `2026-11-23T15:20:34.219Z`.
    pub at: String,
}

/// The rows of the recordings, in a temporary file.
#[derive(Debug)]
pub struct Rows {
    file: io::BufWriter<File>,
    groups: rows::Groups,
    failure: Option<io::Error>,
}

impl Rows {
    /// Creates the temporary file.
    ///
    /// # Errors
    ///
    /// If the file cannot be created.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            file: io::BufWriter::new(tempfile::tempfile()?),
            groups: rows::Groups::default(),
            failure: None,
        })
    }
}

impl RecordingSink for Rows {
    fn add(&mut self, recording: &Recording) {
        if self.failure.is_some() {
            return;
        }
        let row = self.groups.row(recording);
        if let Err(error) = self.file.write_all(row.into_string().as_bytes()) {
            self.failure = Some(error);
        }
    }
}

/// Writes the page.
///
/// # Errors
///
/// If the page cannot be written, or a row could not be written before.
pub fn write(
    report: &Report,
    provenance: &Provenance,
    rows: Rows,
    to: &mut dyn Write,
) -> io::Result<()> {
    if let Some(failure) = rows.failure {
        return Err(failure);
    }
    let (count, end) = (rows.groups.count(), rows.groups.end());
    let mut file = rows
        .file
        .into_inner()
        .map_err(io::IntoInnerError::into_error)?;
    file.rewind()?;
    to.write_all(head(report, provenance, count).into_string().as_bytes())?;
    let mut block = vec![0; BLOCK];
    loop {
        let read = file.read(&mut block)?;
        if read == 0 {
            break;
        }
        to.write_all(block.get(..read).unwrap_or_default())?;
    }
    to.write_all(end.as_bytes())?;
    to.write_all(foot().into_string().as_bytes())?;
    to.write_all(b"</main></body></html>\n")
}

/// Returns the page up to the rows of the recordings. [`write()`] closes the open elements.
fn head(report: &Report, provenance: &Provenance, recordings: u64) -> Markup {
    let title = format!("Archive of s3://{}/{}", report.bucket, report.prefix);
    html! {
        (DOCTYPE)
        (PreEscaped("<html lang=\"en\">"))
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            meta http-equiv="Content-Security-Policy" content=(POLICY);
            title { (title) }
            style { (PreEscaped(STYLE)) }
        }
        (PreEscaped("<body><main>"))
        header {
            h1 { "Recordings in " code { "s3://" (report.bucket) "/" (report.prefix) } }
            (verdict(report))
            (about(report, provenance))
        }
        (sections::log(report))
        (sections::days(report))
        (sections::entries("Findings", "findings", &report.findings))
        (sections::entries("Doubtful media", "doubtful", &report.doubtful))
        (sections::entries("Not read", "unread", &report.unread))
        (sections::pending(&report.pending))
        (sections::notes(report))
        h2 id="recordings" { "Every recording" }
        @if recordings == 0 {
            p { "None in these days." }
        } @else {
            (PreEscaped(rows::TABLE))
        }
    }
}

fn verdict(report: &Report) -> Markup {
    let class = match report.status() {
        0 => "good",
        1 => "bad",
        _ => "unknown",
    };
    html! {
        p.verdict.(class) role="status" {
            strong { (conclusion(report)) }
            " "
            @if report.status() == 0 {
                "Every object that a manifest names exists and is unchanged."
            } @else if report.findings.is_empty() {
                "Run the audit again when the store answers."
            } @else {
                a href="#findings" { "What to do" }
            }
            @if report.against.is_none() {
                " Without ACS's own log, recordings whose event never arrived cannot be found."
            }
        }
    }
}

fn about(report: &Report, provenance: &Provenance) -> Markup {
    let days = match (&report.from, &report.to) {
        (None, None) => "all".to_owned(),
        (Some(from), Some(to)) => format!("{from} to {to}"),
        (Some(from), None) => format!("from {from}"),
        (None, Some(to)) => format!("to {to}"),
    };
    let counts = &report.counts;
    let rows = [
        ("Made by", provenance.by.clone()),
        ("Made at", provenance.at.clone()),
        ("Version", VERSION.to_owned()),
        ("Days", days),
        (
            "Work bucket",
            report
                .work_bucket
                .clone()
                .unwrap_or_else(|| "the same".to_owned()),
        ),
        ("Objects listed", counts.objects.to_string()),
        ("Manifests", counts.manifests.to_string()),
        (
            "Objects compared",
            format!("{}, {} by checksum", counts.compared, counts.by_checksum),
        ),
        ("Unfinished uploads", counts.uploads.to_string()),
    ];
    html! {
        dl.about {
            @for (name, value) in rows {
                div { dt { (name) } dd { (value) } }
            }
        }
    }
}

fn foot() -> Markup {
    html! {
        footer {
            p {
                "Sizes and checksums are from the manifests and were compared with those that S3 \
                 returns for each object, without a download. Times are in UTC. A recording with \
                 two events has two rows."
            }
        }
    }
}

/// Formats a number of bytes.
fn size(bytes: u64) -> String {
    let mut rest = bytes;
    let mut cut = 0;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if rest < 1024 {
            return match unit {
                "B" => format!("{rest} {unit}"),
                _ => format!("{rest}.{} {unit}", cut * 10 / 1024),
            };
        }
        (cut, rest) = (rest % 1024, rest / 1024);
    }
    format!("{rest} TiB")
}

/// Formats a length.
fn length(ms: u64) -> String {
    let seconds = ms / 1000;
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    format!("{hours}:{minutes:02}:{:02}", seconds % 60)
}

/// Formats a number with its noun.
fn counted(number: u64, noun: &str) -> String {
    format!("{number} {}", several(number, noun))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_lengths() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (1024 * 1024 - 1, "1023.9 KiB"),
            (5 << 30, "5.0 GiB"),
            (5 << 40, "5 TiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
        assert_eq!(length(3_661_999), "1:01:01");
        assert_eq!(counted(1, "chunk"), "1 chunk");
    }
}
