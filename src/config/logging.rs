//! The settings of the log.

use std::ffi::OsString;

use tracing::Level;
use tracing_subscriber::filter::{LevelFilter, Targets};

/// The settings of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logging {
    /// The level of the function's own lines. Dependencies log warnings and errors alone, because
    /// at lower levels they print URLs.
    pub level: LevelFilter,
    /// Set if each line is a JSON object, as CloudWatch reads it.
    pub json: bool,
    /// The installation's name, which is the dimension of the metrics; on Lambda only. The
    /// functions of an installation share the name, so that their metrics add up.
    pub installation: Option<String>,
    /// The variables that set no level of the function's own and had no effect.
    pub ignored: Vec<&'static str>,
}

const RUST_LOG: &str = "RUST_LOG";
const LAMBDA_LEVEL: &str = "AWS_LAMBDA_LOG_LEVEL";

impl Logging {
    /// Reads `RUST_LOG`, `INSTALLATION` and, from Lambda, `AWS_LAMBDA_LOG_LEVEL` and
    /// `AWS_LAMBDA_LOG_FORMAT`.
    #[must_use]
    pub fn from_env() -> Self {
        Self::read(super::variable)
    }

    fn read(lookup: impl Fn(&str) -> Option<OsString>) -> Self {
        let text = |name| {
            lookup(name)
                .and_then(|text| text.into_string().ok())
                .filter(|text| !text.is_empty())
        };
        let mut ignored = vec![];
        // RUST_LOG takes precedence. A variable that sets no level is reported by the logger, which
        // is not installed yet.
        let mut level = None;
        for (name, read) in [
            (RUST_LOG, own_level as fn(&str) -> Option<LevelFilter>),
            (LAMBDA_LEVEL, lambda_level),
        ] {
            let Some(told) = text(name) else { continue };
            match read(&told) {
                Some(read) => level = level.or(Some(read)),
                None => ignored.push(name),
            }
        }
        let function = text("AWS_LAMBDA_FUNCTION_NAME");
        let json = match text("AWS_LAMBDA_LOG_FORMAT") {
            Some(format) => format.eq_ignore_ascii_case("json"),
            None => function.is_some(),
        };
        // Outside Lambda, nobody reads metrics.
        let installation = function.map(|function| text("INSTALLATION").unwrap_or(function));
        Self {
            level: level.unwrap_or(LevelFilter::INFO),
            json,
            installation,
            ignored,
        }
    }
}

/// Parses the level of Lambda's own setting, which has one level more than `tracing`.
/// <https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html>
fn lambda_level(level: &str) -> Option<LevelFilter> {
    if level.eq_ignore_ascii_case("fatal") {
        return Some(LevelFilter::ERROR);
    }
    level.parse().ok()
}

/// Returns the level that `RUST_LOG`'s directives set for this crate, if any. A misspelt level
/// counts as the name of another crate.
fn own_level(directives: &str) -> Option<LevelFilter> {
    let targets: Targets = directives.parse().ok()?;
    let own = env!("CARGO_CRATE_NAME");
    let names_own = || targets.iter().any(|(target, _)| own.starts_with(target));
    if targets.default_level().is_none() && !names_own() {
        return None;
    }
    let levels = [
        Level::TRACE,
        Level::DEBUG,
        Level::INFO,
        Level::WARN,
        Level::ERROR,
    ];
    let most = levels
        .iter()
        .find(|level| targets.would_enable(env!("CARGO_CRATE_NAME"), level));
    Some(most.map_or(LevelFilter::OFF, |level| LevelFilter::from_level(*level)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_and_the_format_follow_the_variables() {
        for (variables, level, json) in [
            (vec![], LevelFilter::INFO, false),
            (vec![("RUST_LOG", "debug")], LevelFilter::DEBUG, false),
            (
                vec![("RUST_LOG", "hyper=trace,acs_recording_archiver=warn")],
                LevelFilter::WARN,
                false,
            ),
            (vec![("RUST_LOG", "hyper=trace")], LevelFilter::INFO, false),
            (vec![("RUST_LOG", "infos")], LevelFilter::INFO, false),
            (vec![("RUST_LOG", "off")], LevelFilter::OFF, false),
            (
                vec![("RUST_LOG", "infos"), ("AWS_LAMBDA_LOG_LEVEL", "WARN")],
                LevelFilter::WARN,
                false,
            ),
            (
                vec![("AWS_LAMBDA_LOG_LEVEL", "FATAL")],
                LevelFilter::ERROR,
                false,
            ),
            (vec![("RUST_LOG", "=???=")], LevelFilter::INFO, false),
            (
                vec![("AWS_LAMBDA_FUNCTION_NAME", "f")],
                LevelFilter::INFO,
                true,
            ),
            (
                vec![
                    ("AWS_LAMBDA_LOG_LEVEL", "DEBUG"),
                    ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
                ],
                LevelFilter::DEBUG,
                true,
            ),
            (
                vec![
                    ("AWS_LAMBDA_FUNCTION_NAME", "f"),
                    ("AWS_LAMBDA_LOG_FORMAT", "Text"),
                ],
                LevelFilter::INFO,
                false,
            ),
        ] {
            let read = Logging::read(|name| {
                variables
                    .iter()
                    .find(|(set, _)| *set == name)
                    .map(|(_, value)| value.into())
            });
            assert_eq!((read.level, read.json), (level, json), "{variables:?}");
        }
    }

    #[test]
    fn variables_that_set_no_level_are_reported() {
        for (directives, of_lambda, ignored) in [
            ("infos", "INFOS", vec![RUST_LOG, LAMBDA_LEVEL]),
            ("hyper=trace", "INFO", vec![RUST_LOG]),
            ("acs_recording_archiver::store=debug", "", vec![RUST_LOG]),
            ("hyper=trace,warn", "fatal", vec![]),
            ("acs_recording_archiver=debug", "", vec![]),
            ("off", "", vec![]),
            ("", "", vec![]),
        ] {
            let read = Logging::read(|name| match name {
                RUST_LOG => Some(directives.into()),
                LAMBDA_LEVEL => Some(of_lambda.into()),
                _ => None,
            });
            assert_eq!(read.ignored, ignored, "{directives} {of_lambda}");
        }
    }

    #[test]
    fn the_installation_is_named_by_its_setting_or_by_the_function() {
        let function = ("AWS_LAMBDA_FUNCTION_NAME", "f");
        let installation = ("INSTALLATION", "stack");
        for (variables, expected) in [
            (vec![function], Some("f")),
            (vec![function, installation], Some("stack")),
            (vec![function, ("INSTALLATION", "")], Some("f")),
            // Nobody reads metrics outside Lambda.
            (vec![installation], None),
        ] {
            let read = Logging::read(|name| {
                variables
                    .iter()
                    .find(|(set, _)| *set == name)
                    .map(|(_, value)| value.into())
            });
            assert_eq!(read.installation.as_deref(), expected, "{variables:?}");
        }
    }
}
