//! The command line of the audit: its options, its progress, and its results on the standard output.

mod arguments;
mod progress;
mod searching;

use std::fmt::Display;
use std::fs;
use std::io::{self, BufWriter, Read as _, Write as _, stdout};
use std::path::Path;
use std::process::ExitCode;
use std::time::SystemTime;

use acs_recording_archiver::error_chain::error_chain;
use acs_recording_archiver::function::sdk_config;
use acs_recording_archiver::limits::Limits;
use acs_recording_archiver::recording::Timestamp;
use acs_recording_audit::bucket::Bucket;
use acs_recording_audit::counters::Counters;
use acs_recording_audit::html::{self, Made, Rows};
use acs_recording_audit::reconciliation::{Reconciliation, export};
use acs_recording_audit::recordings::iso;
use acs_recording_audit::report::Report;
use acs_recording_audit::window::Window;
use acs_recording_audit::{audit, check, report, table};
use aws_config::SdkConfig;
use aws_credential_types::provider::ProvideCredentials as _;
use aws_credential_types::provider::error::CredentialsError;
use clap::Parser as _;

use arguments::{Arguments, Form, Place, Task};

/// The end of a message about wrong options.
const HINT: &str = "\n\nFor more information, try '--help'.";

/// A fault, for people.
type Fault = String;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match &arguments.task {
        None if arguments.check_store => check_store(&arguments).await,
        None => audited(&arguments).await,
        Some(Task::Find(find)) => searching::search(find).await,
    };
    match done {
        Ok(status) => ExitCode::from(status),
        Err(fault) => {
            eprintln!("error: {fault}");
            ExitCode::from(report::UNREAD)
        }
    }
}

/// Both buckets.
struct Buckets {
    archive: Bucket,
    work: Bucket,
}

impl Buckets {
    async fn of(place: &Place) -> Result<Self, Fault> {
        let sdk = sdk_config().await;
        credentials(&sdk).await?;
        let limits = Limits::default();
        let bucket = |name: &str| Bucket::new(&sdk, name, place.force_path_style, &limits);
        let archive = bucket(place.bucket());
        Ok(Self {
            work: place
                .work_bucket
                .as_deref()
                .map_or_else(|| archive.clone(), bucket),
            archive,
        })
    }
}

/// Audits, and returns the exit status.
async fn audited(arguments: &Arguments) -> Result<u8, Fault> {
    let place = &arguments.place;
    let mut scope = place.scope().map_err(|fault| fault + HINT)?;
    scope.check_media = arguments.check_media;
    // Before anything is asked of S3: what is wrong with a file is known at once.
    let reconciliation = match &arguments.against {
        Some(file) => Some(log(file, arguments.exported.as_deref(), &scope.window)?),
        None => None,
    };
    let rows = match arguments.format {
        Form::Html => {
            let rows = Rows::new();
            Some(rows.map_err(|error| format!("no temporary file can be made: {error}"))?)
        }
        Form::Table | Form::Json => None,
    };
    let buckets = Buckets::of(place).await?;
    let (counters, now) = (Counters::default(), now());
    let mut sink = (reconciliation, rows);
    let audited = audit(
        &buckets.archive,
        &buckets.work,
        &scope,
        now,
        &counters,
        &mut sink,
    );
    let audited = progress::watched(&counters, audited).await;
    let mut report = audited.map_err(|failure| error_chain(&failure))?;
    let (reconciliation, rows) = sink;
    if let Some(reconciliation) = reconciliation {
        reconciliation.conclude(now, &mut report);
    }
    match (arguments.format, rows) {
        (Form::Html, Some(rows)) => {
            let made = Made {
                by: arguments.made_by.clone().unwrap_or_else(user),
                at: iso(Timestamp::from(now)),
            };
            page(&report, &made, rows)?;
        }
        (Form::Json, _) => say(report.to_json()),
        (Form::Table | Form::Html, _) => say(table::table(&report).trim_end()),
    }
    Ok(report.status())
}

/// Reads ACS's log.
fn log(file: &Path, exported: Option<&Path>, window: &Window) -> Result<Reconciliation, Fault> {
    let name = file.display().to_string();
    let unreadable = |file: &Path| {
        let name = file.display().to_string();
        move |error: io::Error| format!("{name} cannot be read: {error}")
    };
    let bytes = if name == "-" {
        let mut bytes = Vec::new();
        let read = io::stdin().read_to_end(&mut bytes);
        read.map_err(unreadable(file))?;
        bytes
    } else {
        fs::read(file).map_err(unreadable(file))?
    };
    let rows = export::read(&bytes).map_err(|error| {
        format!(
            "{name} is no export of ACSCallRecordingSummary: {}",
            error_chain(&error)
        )
    })?;
    let reconciliation = Reconciliation::new(&name, rows, window);
    Ok(match exported {
        Some(file) => {
            let blobs = fs::read_to_string(file).map_err(unreadable(file))?;
            reconciliation.with_exported(&blobs)
        }
        None => reconciliation,
    })
}

/// Prints the page. Whoever no longer reads has seen enough.
fn page(report: &Report, made: &Made, rows: Rows) -> Result<(), Fault> {
    let mut to = BufWriter::new(stdout().lock());
    let written = html::write(report, made, rows, &mut to).and_then(|()| to.flush());
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|error| format!("the page cannot be written: {error}")),
    }
}

/// Asks for the AWS credentials once, since S3's own failure for want of them names the last place
/// that was looked in instead.
async fn credentials(sdk: &SdkConfig) -> Result<(), Fault> {
    let none = |why: &str| {
        format!(
            "no AWS credentials: {why}. Set AWS_PROFILE, or AWS_ACCESS_KEY_ID and \
             AWS_SECRET_ACCESS_KEY (after `aws sso login`: \
             eval \"$(aws configure export-credentials --format env)\")"
        )
    };
    let provider = sdk.credentials_provider();
    let provider = provider.ok_or_else(|| none("no provider is set up"))?;
    match provider.provide_credentials().await {
        Ok(_) => Ok(()),
        Err(CredentialsError::CredentialsNotLoaded(_)) => {
            Err(none("none in the environment, a profile or a role"))
        }
        Err(error) => Err(none(&error_chain(&error))),
    }
}

/// Tries the store, and returns the exit status.
async fn check_store(arguments: &Arguments) -> Result<u8, Fault> {
    let Buckets { work, .. } = Buckets::of(&arguments.place).await?;
    let name = work.name();
    eprintln!("writing into a folder check-store-… of s3://{name}, which is deleted afterwards");
    let checked = check::check(&work, fastrand::u64(..)).await;
    match arguments.format {
        Form::Json => say(checked.to_json()),
        Form::Table | Form::Html => say(table::checked(&checked).trim_end()),
    }
    Ok(checked.status())
}

/// Prints to the standard output. Whoever no longer reads has seen enough.
fn say(text: impl Display) {
    let _ = writeln!(stdout(), "{text}");
}

/// The name of whoever runs this.
#[expect(
    clippy::disallowed_methods,
    reason = "for people; nothing is decided by it"
)]
fn user() -> String {
    let variables = ["USER", "LOGNAME", "USERNAME"];
    let mut users = variables.iter().filter_map(|name| std::env::var(name).ok());
    users.next().unwrap_or_else(|| "unknown".to_owned())
}

#[expect(
    clippy::disallowed_methods,
    reason = "the time of the audit is taken once, here"
)]
fn now() -> SystemTime {
    SystemTime::now()
}
