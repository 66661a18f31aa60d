//! Settings: environment variables, and over them the members of secrets in Secrets Manager, become
//! a [`Config`]. Nothing else reads the environment, and all faults are reported at once.

mod acs;
mod lambda;
mod logging;
mod reader;
mod secret;
mod senders;
mod settings;
mod values;

pub use acs::CredentialSource;
pub use lambda::lacking_of_lambda;
pub use logging::Logging;
pub use reader::Faults;
use reader::Reader;
pub(crate) use senders::Senders;
use senders::{secrets, senders};
pub use settings::{Settings, Unusable};

use std::env;
use std::ffi::OsString;

use url::Url;

use crate::access::{AccessKey, Resource, Secrets};
use crate::keys::Prefix;
use crate::locations::AllowedLocations;
use crate::recording::Topics;
use crate::store::Buckets;

/// The names of all settings, as they are documented.
pub const SETTINGS: [&str; 19] = [
    "COMMUNICATION_SERVICES_CONNECTION_STRING",
    "COMMUNICATION_SERVICES_ENDPOINT",
    "ACS_TENANT_ID",
    "ACS_CLIENT_ID",
    "RECORDINGS_BUCKET",
    "RECORDINGS_PREFIX",
    "WORK_BUCKET",
    "WEBHOOK_SECRETS",
    "ENTRA_TENANT_ID",
    "ENTRA_AUDIENCE",
    "ENTRA_AUTHORITY",
    "REQUIRE",
    "EVENT_GRID_TOPICS",
    "MEDIA_HOST_SUFFIXES",
    "SECRET_ID",
    "ACKNOWLEDGE",
    "INSTALLATION",
    "TRANSFER_CONCURRENCY",
    "S3_FORCE_PATH_STYLE",
];

const DEFAULT_PREFIX: &str = "recordings/";
const DEFAULT_AUTHORITY: &str = "https://login.microsoftonline.com";
const DEFAULT_CONCURRENCY: usize = 8;

/// The settings, parsed and checked.
#[derive(Debug)]
pub struct Config {
    /// The ACS resource.
    pub resource: Resource,
    /// The source of the credential for downloads from the resource.
    pub credential: CredentialSource,
    /// The senders that may deliver.
    pub(crate) senders: Senders,
    /// The locations that an event may name.
    pub(crate) allowed: AllowedLocations,
    /// The buckets.
    pub(crate) buckets: Buckets,
    /// The prefix of all keys.
    pub prefix: Prefix,
    /// The topics whose events are archived.
    pub(crate) topics: Topics,
    /// When a delivery is answered.
    pub(crate) acknowledge: Acknowledge,
    /// The most parts in flight, over all chunks and events.
    pub(crate) transfer_concurrency: usize,
    /// Set if a request to S3 names the bucket in its path, not in its host.
    pub(crate) force_path_style: bool,
}

/// When a delivery is answered (`ACKNOWLEDGE`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Acknowledge {
    /// Once its events are archived or set aside. Event Grid's retries finish the rest.
    #[default]
    Archived,
    /// Once its events are stored, if they cannot be archived in time. The schedule finishes the
    /// rest.
    Stored,
}

impl Config {
    /// Reads settings by name. An empty setting counts as not set, since CloudFormation passes an
    /// empty parameter on as an empty variable.
    ///
    /// # Errors
    ///
    /// [`Faults`]: all that is wrong.
    pub fn read(lookup: impl Fn(&str) -> Option<OsString>) -> Result<Self, Faults> {
        let mut reader = Reader::new(lookup);
        let authority = reader.parsed("ENTRA_AUTHORITY", values::authority);
        let authority = authority.or_else(|| Url::parse(DEFAULT_AUTHORITY).ok());
        let acs = acs::acs(&mut reader, authority.as_ref());
        let buckets = buckets(&mut reader);
        let senders = senders(&mut reader, authority);
        // `Settings` has followed SECRET_ID already; here it is only checked to be text.
        let _ = reader.text("SECRET_ID");
        let prefix = reader.parsed("RECORDINGS_PREFIX", values::prefix);
        let default_prefix = || Prefix::new(DEFAULT_PREFIX).ok();
        let topics = reader.parsed("EVENT_GRID_TOPICS", Topics::parse);
        let suffixes = reader.parsed("MEDIA_HOST_SUFFIXES", values::host_suffixes);
        let acknowledge = reader.parsed("ACKNOWLEDGE", values::acknowledge);
        let concurrency = reader.parsed("TRANSFER_CONCURRENCY", values::concurrency);
        let force_path_style = reader.parsed("S3_FORCE_PATH_STYLE", values::boolean);
        let faults = reader.into_faults();
        match (acs, buckets, prefix.or_else(default_prefix)) {
            (Some((resource, credential)), Some(buckets), Some(prefix)) if faults.is_empty() => {
                let suffixes = suffixes.unwrap_or_default();
                Ok(Self {
                    allowed: AllowedLocations::new(resource.endpoint(), &suffixes),
                    resource,
                    credential,
                    senders,
                    buckets,
                    prefix,
                    topics: topics.unwrap_or_default(),
                    acknowledge: acknowledge.unwrap_or_default(),
                    transfer_concurrency: concurrency.unwrap_or(DEFAULT_CONCURRENCY),
                    force_path_style: force_path_style.unwrap_or_default(),
                })
            }
            _ => Err(faults),
        }
    }

    /// Reads the ACS resource and its access key alone.
    pub(crate) fn read_connection(
        lookup: impl Fn(&str) -> Option<OsString>,
    ) -> Result<(Resource, AccessKey), Faults> {
        let mut reader = Reader::new(lookup);
        acs::connection(&mut reader).ok_or_else(|| reader.into_faults())
    }

    /// Reads the webhook secrets alone. The caller decides whether having none is a fault.
    pub(crate) fn read_secrets(
        lookup: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Option<Secrets>, Faults> {
        let mut reader = Reader::new(lookup);
        let secrets = secrets(&mut reader);
        let faults = reader.into_faults();
        if faults.is_empty() {
            Ok(secrets)
        } else {
            Err(faults)
        }
    }
}

/// Reads the names of the buckets.
fn buckets<F>(reader: &mut Reader<F>) -> Option<Buckets>
where
    F: Fn(&str) -> Option<OsString>,
{
    let recordings = reader.required(
        "RECORDINGS_BUCKET",
        "is required: the name of the bucket to archive into",
        values::bucket,
    );
    let work = reader.parsed("WORK_BUCKET", values::bucket);
    if work.is_some() && work == recordings {
        reader.fault(
            "WORK_BUCKET",
            "must be another bucket than RECORDINGS_BUCKET",
        );
    }
    Some(Buckets {
        recordings: recordings?,
        work,
    })
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
    const TOPIC: &str = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Communication\
        /communicationServices/contoso";

    fn read(more: &[(&str, &str)]) -> Result<Config, Faults> {
        let all: Vec<_> = more.iter().chain(&GOOD).copied().collect();
        Config::read(|name| {
            all.iter()
                .find(|(set, _)| *set == name)
                .map(|(_, value)| value.into())
        })
    }

    #[test]
    fn unset_settings_have_defaults() {
        let config = read(&[("RECORDINGS_PREFIX", ""), ("EVENT_GRID_TOPICS", " ")]).unwrap();
        assert_eq!(config.prefix.to_string(), "recordings/");
        assert_eq!(config.buckets.work, None);
        assert_eq!(config.acknowledge, Acknowledge::Archived);
        assert_eq!(
            (config.transfer_concurrency, config.force_path_style),
            (8, false)
        );
        assert!(config.topics.accepts("any"));
    }

    #[test]
    fn every_setting_has_its_effect() {
        let config = read(&[
            ("RECORDINGS_PREFIX", "calls"),
            ("WORK_BUCKET", "work"),
            ("EVENT_GRID_TOPICS", TOPIC),
            ("MEDIA_HOST_SUFFIXES", ".Example.com, .b.example.org"),
            ("ACKNOWLEDGE", "stored"),
            ("TRANSFER_CONCURRENCY", "3"),
            ("S3_FORCE_PATH_STYLE", "true"),
        ])
        .unwrap();
        assert_eq!(config.prefix.to_string(), "calls/");
        assert_eq!(config.buckets.recordings, "recordings");
        assert_eq!(config.buckets.work.as_deref(), Some("work"));
        assert!(config.topics.accepts(TOPIC) && !config.topics.accepts("/subscriptions/b"));
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
            ("WORK_BUCKET", "secret/path"),
            ("WEBHOOK_SECRETS", "secret"),
            ("ENTRA_TENANT_ID", "secret"),
            ("ENTRA_AUTHORITY", "secret"),
            ("REQUIRE", "secret"),
            ("EVENT_GRID_TOPICS", "secret"),
            ("MEDIA_HOST_SUFFIXES", "secret"),
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
    fn a_missing_required_setting_is_named() {
        let text = Config::read(|_| None).unwrap_err().to_string();
        for (name, _) in &GOOD[..2] {
            assert!(text.contains(&format!("{name} is required")), "{text}");
        }
    }

    #[test]
    fn the_senders_that_may_deliver() {
        let tenant = ("ENTRA_TENANT_ID", "01234567-89AB-cdef-0123-456789abcdef");
        let audience = ("ENTRA_AUDIENCE", "api://archive");
        let no_secrets = ("WEBHOOK_SECRETS", "");
        let config = read(&[tenant, audience, no_secrets]).unwrap();
        assert!(config.senders.secrets.is_none() && !config.senders.need_a_secret());
        let read_tenant = config.senders.tenant.unwrap();
        assert_eq!(read_tenant.id, "01234567-89ab-cdef-0123-456789abcdef");
        assert_eq!(read_tenant.audiences, ["api://archive"]);
        assert_eq!(
            read_tenant.authority.as_str(),
            "https://login.microsoftonline.com/"
        );
        let config = read(&[
            tenant,
            ("ENTRA_AUDIENCE", "api://archive, ,01234567,"),
            ("ENTRA_AUTHORITY", "http://127.0.0.1:80/x"),
            ("REQUIRE", "both"),
        ])
        .unwrap();
        assert!(config.senders.secrets.is_some() && config.senders.need_a_secret());
        let audiences = config.senders.tenant.unwrap().audiences;
        assert_eq!(audiences, ["api://archive", "01234567"]);
        // A function that serves the schedule alone needs no sender.
        let config = read(&[no_secrets]).unwrap();
        assert!(config.senders.secrets.is_none() && config.senders.need_a_secret());

        for (variables, missing) in [
            (vec![tenant], "ENTRA_AUDIENCE"),
            (vec![audience], "ENTRA_TENANT_ID"),
            (vec![tenant, no_secrets], "ENTRA_AUDIENCE"),
        ] {
            let text = read(&variables).unwrap_err().to_string();
            assert!(
                text.contains(&format!("\n  {missing} is required")),
                "{text}"
            );
            assert_eq!(text.lines().count(), 2, "{text}");
        }
    }

    #[test]
    fn a_stray_comma_or_white_space_in_a_list_is_no_fault() {
        let topics = format!(",{TOPIC} ,");
        let config = read(&[
            ("WEBHOOK_SECRETS", ", 0123456789abcdef,\n,"),
            ("EVENT_GRID_TOPICS", &topics),
            ("MEDIA_HOST_SUFFIXES", " ,.example.com,, .example.org,"),
        ])
        .unwrap();
        assert!(config.senders.secrets.is_some());
        assert!(config.topics.accepts(TOPIC) && !config.topics.accepts(""));
        for host in ["example.com", "example.org"] {
            let location = format!("https://x.{host}/");
            assert!(config.allowed.admit(&location).is_ok(), "{location}");
        }
    }

    #[test]
    fn invalid_values_are_faults() {
        for (name, value) in [
            ("TRANSFER_CONCURRENCY", "0"),
            ("TRANSFER_CONCURRENCY", "65"),
            ("TRANSFER_CONCURRENCY", "-1"),
            ("ACKNOWLEDGE", "Stored"),
            ("S3_FORCE_PATH_STYLE", "1"),
            ("MEDIA_HOST_SUFFIXES", ".com"),
            ("MEDIA_HOST_SUFFIXES", "example.com"),
            ("MEDIA_HOST_SUFFIXES", "..example.com"),
            ("MEDIA_HOST_SUFFIXES", ".exa mple.com"),
            ("ENTRA_TENANT_ID", "contoso.onmicrosoft.com"),
            ("ENTRA_TENANT_ID", "01234567-89ab-cdef-0123-456789abcdeg"),
            ("ENTRA_TENANT_ID", "0123456789abcdef0123456789abcdef"),
            ("ENTRA_AUTHORITY", "login.microsoftonline.com"),
            ("ENTRA_AUTHORITY", "https://u:p@login.microsoftonline.com"),
            ("ENTRA_AUTHORITY", "https://login.microsoftonline.com/?x"),
            ("ENTRA_AUTHORITY", "ldap://login.microsoftonline.com"),
            ("ENTRA_AUTHORITY", "http://login.microsoftonline.com"),
            ("ENTRA_AUTHORITY", "http://localhost:80"),
            ("ENTRA_AUDIENCE", ","),
            ("REQUIRE", "Both"),
            ("REQUIRE", "both"),
            ("WEBHOOK_SECRETS", ","),
            ("RECORDINGS_BUCKET", "ab"),
            ("RECORDINGS_BUCKET", "a/b/c"),
            ("WORK_BUCKET", "s3://work"),
            ("WORK_BUCKET", "recordings"),
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
}
