//! The progress on the error output: one line that is redrawn on a terminal, else a line now and
//! then.

use std::io::{IsTerminal as _, stderr};
use std::pin::pin;
use std::time::Duration;

use acs_recording_audit::counters::Counters;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::{Instant, interval_at};

const REDRAW: Duration = Duration::from_millis(100);
/// The interval of lines where there is no terminal. A shorter run prints none.
const LINES: Duration = Duration::from_secs(5);

/// Runs `work`, and shows the counters meanwhile.
pub(crate) async fn watch<T>(counters: &Counters, work: impl Future<Output = T>) -> T {
    let terminal = stderr().is_terminal();
    let bar = if terminal {
        let style = ProgressStyle::with_template("{spinner} {msg}");
        let style = style.unwrap_or_else(|_| ProgressStyle::default_spinner());
        ProgressBar::new_spinner().with_style(style)
    } else {
        ProgressBar::hidden()
    };
    let pause = if terminal { REDRAW } else { LINES };
    let mut ticks = interval_at(Instant::now() + pause, pause);
    let mut work = pin!(work);
    let done = loop {
        tokio::select! {
            done = &mut work => break done,
            _ = ticks.tick() => {
                if terminal {
                    bar.set_message(counters.to_string());
                    bar.tick();
                } else {
                    eprintln!("{counters}");
                }
            }
        }
    };
    bar.finish_and_clear();
    done
}
