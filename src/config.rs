//! Environment → [`Config`]. Nothing else reads the environment, and every fault of it is reported at once.

use std::env;
use std::ffi::OsString;
use std::fmt;

use tracing::Level;
use tracing_subscriber::filter::{LevelFilter, Targets};

use crate::acs::Resource;
use crate::authentication::Secrets;
use crate::keys::Prefix;
use crate::locations::AllowedLocations;
use crate::recording::Topics;
use crate::webhook::Acknowledge;

/// The names of all settings, as they are documented.
pub const SETTINGS: [&str; 13] = [
    "COMMUNICATION_SERVICES_CONNECTION_STRING",
    "RECORDINGS_BUCKET",
    "RECORDINGS_PREFIX",
    "WEBHOOK_SECRETS",
    "ENTRA_TENANT_ID",
    "ENTRA_AUDIENCE",
    "ENTRA_AUTHORITY",
    "EVENT_GRID_TOPICS",
    "MEDIA_HOST_SUFFIXES",
    "SECRET_ID",
    "ACKNOWLEDGE",
    "TRANSFER_CONCURRENCY",
    "S3_FORCE_PATH_STYLE",
];

/// The settings that a later version is to know. Set today, they would promise what is not kept.
const NOT_YET: [&str; 4] = [
    "ENTRA_TENANT_ID",
    "ENTRA_AUDIENCE",
    "ENTRA_AUTHORITY",
    "SECRET_ID",
];
const DEFAULT_PREFIX: &str = "recordings/";
const DEFAULT_CONCURRENCY: usize = 8;
const MAX_CONCURRENCY: usize = 64;

/// What the function is told, checked.
#[derive(Debug)]
pub struct Config {
    /// The ACS resource.
    pub resource: Resource,
    /// Where an event may send us.
    pub allowed: AllowedLocations,
    /// The bucket.
    pub bucket: String,
    /// What all keys start with.
    pub prefix: Prefix,
    /// Who may deliver.
    pub secrets: Secrets,
    /// Whose events are archived.
    pub topics: Topics,
    /// When a delivery is answered.
    pub acknowledge: Acknowledge,
    /// Parts in flight, over all chunks and events.
    pub transfer_concurrency: usize,
    /// Whether the bucket stands in the path of a request to S3, not in its host.
    pub force_path_style: bool,
}

/// What is wrong with the settings: each by its variable's name, none with its value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults(Vec<(&'static str, String)>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the settings are not usable:")?;
        for (name, fault) in &self.0 {
            write!(f, "\n  {name} {fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

impl Config {
    /// Reads the process's environment.
    ///
    /// # Errors
    ///
    /// [`Faults`], all of them.
    pub fn from_env() -> Result<Self, Faults> {
        Self::read(variable)
    }

    /// Reads settings by name. One that is empty counts as not set, as a template's empty parameter makes it.
    ///
    /// # Errors
    ///
    /// [`Faults`], all of them.
    pub fn read(lookup: impl Fn(&str) -> Option<OsString>) -> Result<Self, Faults> {
        let mut reader = Reader {
            lookup,
            faults: Faults::default(),
        };
        for name in NOT_YET {
            if reader.text(name).is_some() {
                reader.fault(name, "is not supported by this version; remove it");
            }
        }
        let resource = reader.required(
            "COMMUNICATION_SERVICES_CONNECTION_STRING",
            "is required: the ACS resource's connection string",
            |text| Resource::from_connection_string(text).map_err(|error| error.to_string()),
        );
        let bucket = reader.required(
            "RECORDINGS_BUCKET",
            "is required: the name of the bucket to archive into",
            bucket,
        );
        let secrets = reader.required(
            "WEBHOOK_SECRETS",
            "is required: without a secret anyone could deliver events, so the function does not start",
            |text| Secrets::parse(text).map_err(|error| error.to_string()),
        );
        let prefix = reader.parsed("RECORDINGS_PREFIX", |text| {
            Prefix::new(text).map_err(str::to_owned)
        });
        let default_prefix = || Prefix::new(DEFAULT_PREFIX).ok();
        let topics = reader.parsed("EVENT_GRID_TOPICS", |text| Ok(Topics::parse(text)));
        let suffixes = reader
            .parsed("MEDIA_HOST_SUFFIXES", host_suffixes)
            .unwrap_or_default();
        let acknowledge = reader.parsed("ACKNOWLEDGE", |text| match text {
            "archived" => Ok(Acknowledge::Archived),
            "stored" => Ok(Acknowledge::Stored),
            _ => Err("must be `archived` or `stored`".to_owned()),
        });
        let concurrency = reader.parsed("TRANSFER_CONCURRENCY", |text| {
            let number = text
                .parse()
                .ok()
                .filter(|number| (1..=MAX_CONCURRENCY).contains(number));
            number.ok_or_else(|| format!("must be a whole number from 1 to {MAX_CONCURRENCY}"))
        });
        let force_path_style = reader.parsed("S3_FORCE_PATH_STYLE", |text| match text {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err("must be `true` or `false`".to_owned()),
        });
        match (resource, bucket, secrets, prefix.or_else(default_prefix)) {
            (Some(resource), Some(bucket), Some(secrets), Some(prefix))
                if reader.faults.0.is_empty() =>
            {
                Ok(Self {
                    allowed: AllowedLocations::new(resource.endpoint(), &suffixes),
                    resource,
                    bucket,
                    prefix,
                    secrets,
                    topics: topics.unwrap_or_default(),
                    acknowledge: acknowledge.unwrap_or_default(),
                    transfer_concurrency: concurrency.unwrap_or(DEFAULT_CONCURRENCY),
                    force_path_style: force_path_style.unwrap_or_default(),
                })
            }
            _ => Err(reader.faults),
        }
    }
}

/// Reads settings, and collects what is wrong with them.
struct Reader<F> {
    lookup: F,
    faults: Faults,
}

impl<F: Fn(&str) -> Option<OsString>> Reader<F> {
    fn text(&mut self, name: &'static str) -> Option<String> {
        let Ok(text) = (self.lookup)(name)?.into_string() else {
            self.fault(name, "is not valid UTF-8");
            return None;
        };
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    fn parsed<T>(
        &mut self,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        match parse(&self.text(name)?) {
            Ok(value) => Some(value),
            Err(fault) => {
                self.fault(name, fault);
                None
            }
        }
    }

    fn required<T>(
        &mut self,
        name: &'static str,
        why: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let before = self.faults.0.len();
        let value = self.parsed(name, parse);
        if value.is_none() && self.faults.0.len() == before {
            self.fault(name, why);
        }
        value
    }

    fn fault(&mut self, name: &'static str, fault: impl Into<String>) {
        self.faults.0.push((name, fault.into()));
    }
}

fn bucket(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let name = (3..=255).contains(&text.len()) && text.bytes().all(plain);
    let access_point = text.starts_with("arn:")
        && text
            .bytes()
            .all(|byte| plain(byte) || matches!(byte, b':' | b'/'));
    if name || access_point {
        Ok(text.to_owned())
    } else {
        Err("must be the bucket's name alone, without `s3://` or a path".to_owned())
    }
}

fn host_suffixes(list: &str) -> Result<Vec<String>, String> {
    let suffix = |text: &str| {
        let text = text.trim().to_ascii_lowercase();
        let labels = text.strip_prefix('.')?;
        let label = |label: &str| {
            !label.is_empty()
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        (labels.contains('.') && labels.split('.').all(label)).then_some(text)
    };
    let suffixes: Option<_> = list.split(',').map(suffix).collect();
    suffixes.ok_or_else(|| "must be host suffixes of two or more labels, each with a dot before it (`.example.com`), separated by commas".to_owned())
}

/// How the function logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Logging {
    /// The function's own level. Its dependencies log no lower than warnings, because below them they print URLs.
    pub level: LevelFilter,
    /// One JSON object a line, as CloudWatch reads it.
    pub json: bool,
}

impl Logging {
    /// Reads `RUST_LOG` and, from Lambda, `AWS_LAMBDA_LOG_LEVEL` and `AWS_LAMBDA_LOG_FORMAT`.
    #[must_use]
    pub fn from_env() -> Self {
        Self::read(variable)
    }

    fn read(lookup: impl Fn(&str) -> Option<OsString>) -> Self {
        let text = |name| {
            lookup(name)
                .and_then(|text| text.into_string().ok())
                .filter(|text| !text.is_empty())
        };
        let level = text("RUST_LOG")
            .and_then(|directives| own_level(&directives))
            .or_else(|| text("AWS_LAMBDA_LOG_LEVEL")?.parse().ok());
        let json = match text("AWS_LAMBDA_LOG_FORMAT") {
            Some(format) => format.eq_ignore_ascii_case("json"),
            None => text("AWS_LAMBDA_FUNCTION_NAME").is_some(),
        };
        Self {
            level: level.unwrap_or(LevelFilter::INFO),
            json,
        }
    }
}

/// The level that directives in the form of `RUST_LOG` give to this crate.
fn own_level(directives: &str) -> Option<LevelFilter> {
    let targets: Targets = directives.parse().ok()?;
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

/// Whether Lambda has started this process.
#[must_use]
pub fn is_on_lambda() -> bool {
    variable("AWS_LAMBDA_RUNTIME_API").is_some()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the environment"
)]
fn variable(name: &str) -> Option<OsString> {
    env::var_os(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: [(&str, &str); 3] = [
        (
            "COMMUNICATION_SERVICES_CONNECTION_STRING",
            "endpoint=https://contoso.communication.azure.com/;accesskey=AAECAw==",
        ),
        ("RECORDINGS_BUCKET", "recordings"),
        ("WEBHOOK_SECRETS", "0123456789abcdef"),
    ];

    fn read(more: &[(&str, &str)]) -> Result<Config, Faults> {
        let all: Vec<_> = more.iter().chain(&GOOD).copied().collect();
        Config::read(|name| {
            all.iter()
                .find(|(set, _)| *set == name)
                .map(|(_, value)| value.into())
        })
    }

    #[test]
    fn defaults() {
        let config = read(&[("RECORDINGS_PREFIX", ""), ("EVENT_GRID_TOPICS", " ")]).unwrap();
        assert_eq!(config.prefix.to_string(), "recordings/");
        assert_eq!(config.acknowledge, Acknowledge::Archived);
        assert_eq!(
            (config.transfer_concurrency, config.force_path_style),
            (8, false)
        );
        assert!(config.topics.take("any"));
    }

    #[test]
    fn every_setting_has_its_effect() {
        let config = read(&[
            ("RECORDINGS_PREFIX", "calls"),
            ("EVENT_GRID_TOPICS", "/subscriptions/a"),
            ("MEDIA_HOST_SUFFIXES", ".Example.com, .b.example.org"),
            ("ACKNOWLEDGE", "stored"),
            ("TRANSFER_CONCURRENCY", "3"),
            ("S3_FORCE_PATH_STYLE", "true"),
        ])
        .unwrap();
        assert_eq!(config.prefix.to_string(), "calls/");
        assert!(!config.topics.take("/subscriptions/b"));
        assert!(
            config.allowed.admit("https://x.example.com/").is_ok()
                && config.allowed.admit("https://x.b.example.org/").is_ok()
        );
        assert_eq!(config.acknowledge, Acknowledge::Stored);
        assert_eq!(
            (config.transfer_concurrency, config.force_path_style),
            (3, true)
        );
    }

    #[test]
    fn all_faults_at_once_by_name_and_without_values() {
        let broken = [
            (
                "COMMUNICATION_SERVICES_CONNECTION_STRING",
                "endpoint=https://secret-host/;accesskey=!!secret!!",
            ),
            ("RECORDINGS_BUCKET", "s3://secret/path"),
            ("RECORDINGS_PREFIX", "/secret"),
            ("WEBHOOK_SECRETS", "secret"),
            ("ENTRA_TENANT_ID", "secret"),
            ("ENTRA_AUDIENCE", "secret"),
            ("ENTRA_AUTHORITY", "secret"),
            ("MEDIA_HOST_SUFFIXES", "secret"),
            ("SECRET_ID", "secret"),
            ("ACKNOWLEDGE", "secret"),
            ("TRANSFER_CONCURRENCY", "secret"),
            ("S3_FORCE_PATH_STYLE", "secret"),
        ];
        let text = read(&broken).unwrap_err().to_string();
        for (name, _) in broken {
            assert_eq!(
                text.matches(&format!("\n  {name} ")).count(),
                1,
                "{name} in {text}"
            );
        }
        assert!(
            !text.contains("secret-host")
                && !text.contains("!!secret")
                && !text.contains("//secret"),
            "{text}"
        );
    }

    #[test]
    fn what_is_required_says_so() {
        let text = Config::read(|_| None).unwrap_err().to_string();
        for (name, _) in GOOD {
            assert!(text.contains(&format!("{name} is required")), "{text}");
        }
    }

    #[test]
    fn values_out_of_range() {
        for (name, value) in [
            ("TRANSFER_CONCURRENCY", "0"),
            ("TRANSFER_CONCURRENCY", "65"),
            ("TRANSFER_CONCURRENCY", "-1"),
            ("ACKNOWLEDGE", "Stored"),
            ("S3_FORCE_PATH_STYLE", "1"),
            ("MEDIA_HOST_SUFFIXES", ".com"),
            ("MEDIA_HOST_SUFFIXES", "example.com"),
            ("MEDIA_HOST_SUFFIXES", ".example.com,"),
            ("MEDIA_HOST_SUFFIXES", "..example.com"),
            ("MEDIA_HOST_SUFFIXES", ".exa mple.com"),
            ("RECORDINGS_BUCKET", "ab"),
            ("RECORDINGS_BUCKET", "a/b/c"),
        ] {
            assert!(read(&[(name, value)]).is_err(), "{name}={value}");
        }
        assert!(
            read(&[(
                "RECORDINGS_BUCKET",
                "arn:aws:s3:eu-west-1:123456789012:accesspoint/calls"
            )])
            .is_ok()
        );
    }

    #[test]
    fn log_levels() {
        for (variables, level, json) in [
            (vec![], LevelFilter::INFO, false),
            (vec![("RUST_LOG", "debug")], LevelFilter::DEBUG, false),
            (
                vec![("RUST_LOG", "hyper=trace,acs_recording_archiver=warn")],
                LevelFilter::WARN,
                false,
            ),
            (vec![("RUST_LOG", "hyper=trace")], LevelFilter::OFF, false),
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
            assert_eq!(read, Logging { level, json }, "{variables:?}");
        }
    }
}
