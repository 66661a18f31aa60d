//! The logger: the function's lines at the level of the settings, the dependencies' warnings and
//! errors, and on Lambda the metrics.

use std::panic;

use tracing::level_filters::LevelFilter;
use tracing::{error, warn};
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::Logging;
use crate::metrics::{self, Measured, Metric};

/// Installs the process's logger. If there is one already, such as a test's, it stays.
pub fn install(logging: Logging) {
    // Below warnings, the HTTP clients print the URLs and headers of requests.
    let filter = Targets::new()
        .with_default(logging.level.min(LevelFilter::WARN))
        .with_target(env!("CARGO_CRATE_NAME"), logging.level);
    let format = tracing_subscriber::fmt::layer()
        .with_target(false)
        .with_ansi(false);
    let layer = if logging.json {
        format
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .boxed()
    } else {
        format.with_writer(std::io::stderr).boxed()
    };
    if let Some(installation) = logging.installation {
        metrics::install(installation);
        // The message of a panic may hold anything, so only its place is logged.
        panic::set_hook(Box::new(|panic| {
            let place = panic.location().map(ToString::to_string);
            error!(place, "the function panicked");
            Measured::once(Metric::Panics).emit();
        }));
    }
    // Fails only if there is a logger already.
    let _ = tracing_subscriber::registry()
        .with(layer.with_filter(filter))
        .try_init();
    for name in logging.ignored {
        let level = logging.level.to_string();
        warn!(
            setting = name,
            level, "setting names no level of the function's own and is ignored"
        );
    }
}
