//! A bar chart of the days: a bar for each, divided by the states of its recordings.

use std::collections::BTreeMap;

use maud::{Markup, html};

use crate::report::Day;

/// A segment of a bar.
pub(super) struct Kind {
    pub(super) name: &'static str,
    class: &'static str,
    pub(super) count: fn(&Day) -> u64,
}

pub(super) const KINDS: [Kind; 5] = [
    Kind {
        name: "Archived",
        class: "archived",
        count: |day| day.archived,
    },
    Kind {
        name: "Pending",
        class: "pending",
        count: |day| day.pending,
    },
    Kind {
        name: "Doubtful",
        class: "doubtful",
        count: |day| day.doubtful,
    },
    Kind {
        name: "Rejected",
        class: "rejected",
        count: |day| day.rejected,
    },
    Kind {
        name: "Missing",
        class: "missing",
        count: |day| day.missing,
    },
];

/// The limit of bars. More days than that are summed by month.
const MOST: usize = 92;
const WIDTH: u64 = 720;
const HEIGHT: u64 = 160;
/// The y coordinate of the bars' lower end, above the labels.
const GROUND: u64 = 136;
/// The minimum height of a segment: 1 missing recording of 10,000 must be visible.
const LEAST: u64 = 4;

/// Draws the chart.
pub(super) fn picture(days: &BTreeMap<String, Day>) -> Markup {
    let bars = bars(days);
    let most = bars.values().map(total).max().unwrap_or_default().max(1);
    let step = WIDTH / (bars.len() as u64).max(1);
    let width = (step * 4 / 5).clamp(2, 48);
    let description = description(&bars);
    let labelled = bars.len().div_ceil(8).max(1);
    html! {
        figure {
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(description) {
                line.ground x1="0" y1=(GROUND) x2=(WIDTH) y2=(GROUND) {}
                @for (place, (day, counts)) in bars.iter().enumerate() {
                    @let left = place as u64 * step;
                    g {
                        title { (day) ": " (text(counts)) }
                        @for (class, top, height) in segments(counts, most) {
                            rect class=(class) x=(left) y=(top) width=(width) height=(height) {}
                        }
                        @if place % labelled == 0 {
                            text x=(left) y=(HEIGHT - 6) { (day) }
                        }
                    }
                }
            }
            figcaption {
                @for kind in KINDS {
                    span.key { span.swatch.(kind.class) {} (kind.name) " " (sum(&bars, &kind)) }
                }
            }
        }
    }
}

/// Returns the days, or the months if there are many days.
fn bars(days: &BTreeMap<String, Day>) -> BTreeMap<String, Day> {
    if days.len() <= MOST {
        return days.clone();
    }
    let mut months = BTreeMap::<String, Day>::new();
    for (day, counts) in days {
        let month = day.get(..7).unwrap_or(day);
        let sum = months.entry(month.to_owned()).or_default();
        sum.archived += counts.archived;
        sum.doubtful += counts.doubtful;
        sum.pending += counts.pending;
        sum.rejected += counts.rejected;
        sum.missing += counts.missing;
    }
    months
}

fn total(day: &Day) -> u64 {
    KINDS.iter().map(|kind| (kind.count)(day)).sum()
}

fn sum(bars: &BTreeMap<String, Day>, kind: &Kind) -> u64 {
    bars.values().map(kind.count).sum()
}

/// Returns the segments of a bar from the bottom: class, top and height.
fn segments(day: &Day, most: u64) -> Vec<(&'static str, u64, u64)> {
    let room = GROUND - LEAST * KINDS.len() as u64;
    let mut top = GROUND;
    let mut parts = Vec::new();
    for kind in &KINDS {
        let count = (kind.count)(day);
        if count > 0 {
            let height = (count.saturating_mul(room) / most).max(LEAST);
            top = top.saturating_sub(height);
            parts.push((kind.class, top, height));
        }
    }
    parts
}

fn text(day: &Day) -> String {
    let parts = KINDS.iter().filter_map(|kind| {
        let count = (kind.count)(day);
        (count > 0).then(|| format!("{count} {}", kind.name.to_lowercase()))
    });
    parts.collect::<Vec<_>>().join(", ")
}

fn description(bars: &BTreeMap<String, Day>) -> String {
    let totals = KINDS
        .iter()
        .map(|kind| format!("{} {}", sum(bars, kind), kind.name.to_lowercase()));
    let totals = totals.collect::<Vec<_>>().join(", ");
    let (first, last) = (bars.keys().next(), bars.keys().next_back());
    let days = first.zip(last);
    let days = days.map_or_else(String::new, |(a, b)| format!(" from {a} to {b}"));
    format!("Recordings by day{days}: {totals}. The numbers are in the table below.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_missing_of_many_is_seen_and_no_bar_leaves_the_picture() {
        let day = Day {
            archived: 10_000,
            missing: 1,
            pending: 1,
            ..Day::default()
        };
        let segments = segments(&day, total(&day));
        assert_eq!(segments.len(), 3);
        assert!(
            segments
                .iter()
                .all(|(_, top, height)| *height >= LEAST && top + height <= GROUND)
        );
        assert_eq!(segments[2].0, "missing");
    }

    #[test]
    fn many_days_become_months() {
        let days = (0..200).map(|n| {
            (
                format!("2026-{:02}-{:02}", 1 + n / 28, 1 + n % 28),
                Day {
                    archived: 1,
                    ..Day::default()
                },
            )
        });
        let bars = bars(&days.collect());
        assert_eq!(bars.len(), 8);
        assert_eq!(bars["2026-01"].archived, 28);
    }
}
