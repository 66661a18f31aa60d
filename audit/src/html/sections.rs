//! The sections of the page between the verdict and the recordings.

use maud::{Markup, html};

use super::advice::advice;
use super::picture;
use crate::report::{Entry, Pending, Report};
use crate::table::span;

pub(super) fn log(report: &Report) -> Markup {
    let Some(against) = &report.against else {
        return html! {};
    };
    let totals = &against.totals;
    let rows = [
        ("Logged by ACS", totals.rows),
        ("Archived", totals.archived),
        ("Exported to your own storage", totals.exported),
        ("Pending", totals.pending),
        ("Ended less than 15 minutes ago", totals.on_its_way),
        ("Without a chunk", totals.nothing_recorded),
        ("Rejected", totals.rejected),
        ("Set aside", totals.set_aside),
        ("Matched without certainty", totals.unsure),
        ("Never archived", totals.never_archived),
        ("Archived, but not in the log", totals.not_in_log),
    ];
    html! {
        h2 { "Compared with ACS's own log" }
        p { "The rows of " code { (against.file) } "." }
        dl.about {
            @for (name, number) in rows {
                div { dt { (name) } dd { (number) } }
            }
        }
    }
}

pub(super) fn days(report: &Report) -> Markup {
    if report.days.is_empty() {
        return html! {};
    }
    html! {
        h2 { "Day by day" }
        (picture::picture(&report.days))
        details {
            summary { "The same in numbers" }
            table {
                thead { tr {
                    th scope="col" { "Day" }
                    @for kind in picture::KINDS { th scope="col" { (kind.name) } }
                } }
                tbody {
                    @for (day, counts) in &report.days {
                        tr {
                            th scope="row" { (day) }
                            @for kind in picture::KINDS {
                                td data-label=(kind.name) { ((kind.count)(counts)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

pub(super) fn entries(title: &str, id: &str, entries: &[Entry]) -> Markup {
    if entries.is_empty() {
        return html! {};
    }
    html! {
        h2 id=(id) { (title) " (" (entries.len()) ")" }
        table {
            thead { tr {
                th scope="col" { "What" }
                th scope="col" { "Where" }
                th scope="col" { "What to do" }
            } }
            tbody {
                @for entry in entries { (row(entry)) }
            }
        }
    }
}

fn row(entry: &Entry) -> Markup {
    html! {
        tr {
            td data-label="What" { span.badge.bad { (entry.kind.name()) } }
            td data-label="Where" {
                code { (entry.key) }
                p { (entry.detail) }
                @if let Some(document) = &entry.document {
                    p.faint { "named by " code { (document) } }
                }
                @if let Some(upload) = &entry.upload_id {
                    p.faint { "upload " code { (upload) } }
                }
            }
            td data-label="What to do" { (advice(entry.kind)) }
        }
    }
}

pub(super) fn pending(pending: &[Pending]) -> Markup {
    if pending.is_empty() {
        return html! {};
    }
    html! {
        h2 { "Pending (" (pending.len()) ")" }
        p { "The schedule works on these events every minute." }
        table {
            thead { tr {
                th scope="col" { "Event" }
                th scope="col" { "Age" }
                th scope="col" { "ACS keeps the source for" }
            } }
            tbody {
                @for event in pending {
                    tr {
                        td data-label="Event" { code { (event.key) } }
                        td data-label="Age" { (span(event.age_seconds)) }
                        td data-label="ACS keeps the source for" {
                            @if event.seconds_left == 0 { "no longer" }
                            @else { (span(event.seconds_left)) }
                        }
                    }
                }
            }
        }
    }
}

pub(super) fn notes(report: &Report) -> Markup {
    if report.notes.is_empty() {
        return html! {};
    }
    html! {
        h2 { "Notes" }
        p { "Notes need no action; the help of the audit explains each kind." }
        ul.notes {
            @for (kind, noted) in &report.notes {
                li {
                    strong { (noted.count) " " (kind.name()) }
                    ul {
                        @for entry in &noted.first {
                            li { code { (entry.key) } " " (entry.detail) }
                        }
                        @if noted.count > noted.first.len() {
                            li { "and " (noted.count - noted.first.len()) " more" }
                        }
                    }
                }
            }
        }
    }
}
