//! A bar for each chunk, drawn on the error output until a delivery is answered.

use std::pin::pin;
use std::time::Duration;

use console::Term;
use emulators::s3::S3;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::interval;

use crate::recordings::ExpectedChunk;
use crate::screen::bars;

/// The templates of a bar, each with the columns that it needs. The first that fits is used.
const TEMPLATES: [(u16, &str); 3] = [
    (
        78,
        "  {prefix:18}  [{bar:26}]  {bytes:>10} of {total_bytes}",
    ),
    (
        58,
        "  {prefix:18}  [{wide_bar}]  {bytes:>10} of {total_bytes:10}",
    ),
    (0, "{prefix:18} [{wide_bar}] {percent:>3}%"),
];
/// The time between two updates.
const PAUSE: Duration = Duration::from_millis(50);

/// Waits for `work` and draws the bytes of each chunk that S3 has received meanwhile.
pub(crate) async fn watched<T>(
    chunks: &[ExpectedChunk],
    s3: &S3,
    work: impl Future<Output = T>,
) -> T {
    let bars: Vec<_> = chunks
        .iter()
        .map(|chunk| (bars().add(bar(chunk)), chunk))
        .collect();
    let draw = || {
        for (bar, chunk) in &bars {
            let received = s3.received(&chunk.media_key);
            bar.set_position(received.min(chunk.media.length()));
        }
    };
    let mut work = pin!(work);
    let mut ticks = interval(PAUSE);
    let done = loop {
        tokio::select! {
            done = &mut work => break done,
            _ = ticks.tick() => draw(),
        }
    };
    draw();
    // Left on the screen, above the line about the answer.
    for (bar, _) in &bars {
        bar.abandon();
    }
    done
}

fn bar(chunk: &ExpectedChunk) -> ProgressBar {
    let columns = Term::stderr().size().1;
    let fits = |template: &&(u16, &str)| columns >= template.0;
    let template = TEMPLATES
        .iter()
        .find(fits)
        .map_or("", |(_, template)| template);
    let style = ProgressStyle::with_template(template);
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(chunk.media.length())
        .with_style(style.progress_chars("=> "))
        .with_prefix(short(&chunk.media_key))
}

/// Shortens a key to fit beside a bar: `0000-…29f9698f.mp4`.
fn short(key: &str) -> String {
    let name = key.rsplit('/').next().unwrap_or(key);
    let (index, rest) = name.split_once('-').unwrap_or(("", name));
    let tail: String = rest.chars().rev().take(12).collect();
    let tail: String = tail.chars().rev().collect();
    format!("{index}-…{tail}")
}
