//! A report as a table for people.

use std::fmt::Write as _;

use super::check::{Checked, Verdict};
use super::find::Found;
use super::reconciliation::thousandths;
use super::recordings::iso;
use super::report::{Entry, EntryKind, Pending, Report};

/// Formats a report.
#[must_use]
pub fn table(report: &Report) -> String {
    let mut text = head(report);
    counts(&mut text, report);
    against(&mut text, report);
    section(&mut text, "FINDINGS", &report.findings);
    section(&mut text, "UNREAD", &report.unread);
    section(&mut text, "DOUBTFUL", &report.doubtful);
    pending(&mut text, &report.pending);
    notes(&mut text, report);
    let _ = writeln!(text, "\n{}", conclusion(report));
    text
}

/// Formats the check of a store.
#[must_use]
pub fn checked(checked: &Checked) -> String {
    let bucket = &checked.bucket;
    let mut text = format!("s3://{}\n\n", shown(bucket));
    let names = checked.checks.iter().map(|check| check.name.len());
    let width = names.max().unwrap_or_default();
    for check in &checked.checks {
        let verdict = match check.verdict {
            Verdict::Good => "good",
            Verdict::Bearable => "bearable",
            Verdict::Lacking => "LACKING",
            Verdict::Untried => "untried",
        };
        let (name, detail) = (check.name, shown(&check.detail));
        let line = format!("  {verdict:8}  {name:width$}  {detail}");
        let _ = writeln!(text, "{}", line.trim_end());
    }
    let conclusion = if checked.fit {
        "The function can work with this store."
    } else {
        "The function cannot work with this store."
    };
    let _ = writeln!(text, "\n{conclusion}");
    text
}

fn head(report: &Report) -> String {
    let from = report.from.as_deref();
    let to = report.to.as_deref();
    let days = match (from, to) {
        (None, None) => String::new(),
        (Some(from), Some(to)) => format!(", {from} to {to}"),
        (Some(from), None) => format!(", from {from}"),
        (None, Some(to)) => format!(", to {to}"),
    };
    let (bucket, prefix) = (&report.bucket, &report.prefix);
    shown(&format!("s3://{bucket}/{prefix}{days}")) + "\n\n"
}

fn counts(text: &mut String, report: &Report) {
    let counts = &report.counts;
    for (number, one, what) in [
        (counts.objects, "object", " listed".to_owned()),
        (counts.manifests, "manifest", String::new()),
        (counts.rejections, "rejection", String::new()),
        (
            counts.compared,
            "object",
            format!(" compared, {} by checksum", counts.by_checksum),
        ),
        (counts.examined, "media object", " examined".to_owned()),
        (counts.unfinished, "object", " of pending events".to_owned()),
        (counts.uploads, "unfinished upload", String::new()),
    ] {
        let _ = writeln!(text, "{number:>10}  {}{what}", several(number, one));
    }
}

fn against(text: &mut String, report: &Report) {
    let Some(against) = &report.against else {
        return;
    };
    let _ = writeln!(text, "\nACS'S LOG, {}", shown(&against.file));
    let totals = &against.totals;
    let _ = writeln!(
        text,
        "{:>10}  {}",
        totals.rows,
        several(totals.rows, "recording")
    );
    for (number, what) in [
        (totals.archived, "archived"),
        (totals.exported, "exported to your own storage"),
        (totals.pending, "pending"),
        (totals.on_its_way, "ended less than 15 minutes ago"),
        (totals.nothing_recorded, "without a chunk"),
        (totals.rejected, "rejected"),
        (totals.set_aside, "set aside"),
        (totals.unsure, "matched without certainty"),
        (totals.never_archived, "never archived"),
        (totals.not_in_log, "archived, but not in the log"),
        (totals.outside, "of other days, left out"),
    ] {
        if number > 0 {
            let _ = writeln!(text, "{number:>10}  {what}");
        }
    }
}

/// Returns the singular or the plural of a noun.
pub(crate) fn several(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{noun}{plural}")
}

fn section(text: &mut String, title: &str, entries: &[Entry]) {
    if entries.is_empty() {
        return;
    }
    let names = entries.iter().map(|entry| entry.kind.name().len());
    let width = names.max().unwrap_or_default();
    let _ = writeln!(text, "\n{title}");
    for entry in entries {
        row(text, width, entry.kind.name(), entry);
    }
}

/// Writes a line for the key, and lines for the other facts of an entry.
fn row(text: &mut String, width: usize, name: &str, entry: &Entry) {
    let _ = writeln!(text, "  {name:width$}  {}", shown(&entry.key));
    let mut more = |line: String| {
        let _ = writeln!(text, "  {:width$}    {}", "", shown(&line));
    };
    more(entry.detail.clone());
    if let Some(document) = &entry.document {
        let (_, name) = split(document);
        more(format!("named by {name}"));
    }
    if let Some(upload_id) = &entry.upload_id {
        more(format!("upload {upload_id}"));
    }
}

fn pending(text: &mut String, pending: &[Pending]) {
    if pending.is_empty() {
        return;
    }
    let _ = writeln!(
        text,
        "\nPENDING\n  {:12}  {:12}  event",
        "age", "source kept"
    );
    for event in pending {
        let left = match event.seconds_left {
            0 => "no longer".to_owned(),
            left => span(left),
        };
        let _ = writeln!(
            text,
            "  {:12}  {left:12}  {}",
            span(event.age_seconds),
            shown(&event.key)
        );
    }
}

fn notes(text: &mut String, report: &Report) {
    if report.notes.is_empty() {
        return;
    }
    let names = report.notes.keys().map(|kind| kind.name().len());
    let width = names.max().unwrap_or_default();
    let _ = writeln!(text, "\nNOTES");
    for (kind, noted) in &report.notes {
        let mut name = kind.name();
        for entry in &noted.first {
            if *kind == EntryKind::Foreign {
                let _ = writeln!(text, "  {name:width$}  {}", shown(&entry.key));
            } else {
                row(text, width, name, entry);
            }
            name = "";
        }
        let more = noted.count - noted.first.len();
        if more > 0 {
            let _ = writeln!(text, "  {:width$}  and {more} more", "");
        }
    }
}

/// Formats a recording that was found.
#[must_use]
pub fn found(found: &Found) -> String {
    let recording = &found.recording;
    let facts = &recording.facts;
    let started = facts
        .started
        .map_or_else(|| "without a start".to_owned(), iso);
    let length = facts
        .duration_ms
        .map(|ms| format!("  {} s", thousandths(ms)));
    let size = (recording.bytes > 0).then(|| format!("  {} bytes", recording.bytes));
    let mut lines = vec![format!(
        "{started}  {}{}{}",
        recording.state.name(),
        length.unwrap_or_default(),
        size.unwrap_or_default()
    )];
    let call = facts.call.iter().map(|id| format!("  call {id}"));
    lines.extend(call);
    let id = facts
        .recording_id
        .iter()
        .map(|id| format!("  recording {id}"));
    lines.extend(id);
    lines.extend(recording.reason.iter().map(|why| format!("  {why}")));
    lines.push(format!("  {}", recording.document));
    let objects = recording.objects.iter().filter(|object| object.is_media);
    lines.extend(objects.map(|object| format!("  {}", object.key)));
    lines.extend(found.links.iter().map(|link| format!("  {link}")));
    let lines: Vec<String> = lines.iter().map(|line| shown(line)).collect();
    lines.join("\n") + "\n\n"
}

pub(crate) fn conclusion(report: &Report) -> String {
    let findings = match report.findings.len() {
        0 => "No finding".to_owned(),
        more => format!("{more} {}", several(more as u64, "finding")),
    };
    match report.unread.len() {
        0 if report.in_order => "All is in order.".to_owned(),
        0 => format!("{findings}."),
        unread => format!("{findings}, but {unread} could not be read: the audit is not complete."),
    }
}

fn split(key: &str) -> (&str, &str) {
    key.split_at(key.rfind('/').map_or(0, |slash| slash + 1))
}

/// Formats seconds in their two largest units.
pub(crate) fn span(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, _, _) => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

/// Escapes control characters, so that a key or a text cannot control the terminal.
fn shown(text: &str) -> String {
    let mut fit = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            fit.extend(character.escape_default());
        } else {
            fit.push(character);
        }
    }
    fit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans() {
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (3_599, "59 min"),
            (3_600, "1 h 0 min"),
            (86_399, "23 h 59 min"),
            (90_000, "1 d 1 h"),
        ] {
            assert_eq!(span(seconds), text);
        }
    }

    #[test]
    fn nothing_in_a_key_reaches_the_terminal_as_a_command() {
        assert_eq!(shown("a\u{1b}[2Jb\nc\u{9b}ü"), "a\\u{1b}[2Jb\\nc\\u{9b}ü");
    }
}
