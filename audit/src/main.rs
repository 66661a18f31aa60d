//! The command line of the audit. Results go to the standard output, progress to the error output.

mod arguments;
mod progress;
mod search;

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
use acs_recording_audit::html::{self, Provenance, Rows};
use acs_recording_audit::reconciliation::{Reconciliation, export};
use acs_recording_audit::recordings::iso;
use acs_recording_audit::report::Report;
use acs_recording_audit::window::Window;
use acs_recording_audit::{audit, check, report, table};
use aws_config::SdkConfig;
use aws_credential_types::provider::ProvideCredentials as _;
use aws_credential_types::provider::error::CredentialsError;
use clap::Parser as _;

use arguments::{ArchiveOptions, Arguments, Command, Format};

/// The end of an error about options.
const HINT: &str = "\n\nFor more information, try '--help'.";

/// The text of an error, for people.
type ErrorText = String;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let ended = match &arguments.command {
        None if arguments.check_store => check_store(&arguments).await,
        None => run_audit(&arguments).await,
        Some(Command::Find(find)) => search::search(find).await,
    };
    match ended {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(report::UNREAD)
        }
    }
}

/// The buckets of an archive and of its unfinished work.
struct Buckets {
    archive: Bucket,
    work: Bucket,
}

impl Buckets {
    async fn open(options: &ArchiveOptions) -> Result<Self, ErrorText> {
        let sdk = sdk_config().await;
        check_credentials(&sdk).await?;
        let limits = Limits::default();
        let bucket = |name: &str| Bucket::new(&sdk, name, options.force_path_style, &limits);
        let archive = bucket(options.bucket());
        let work = options.work_bucket.as_deref();
        Ok(Self {
            work: work.map_or_else(|| archive.clone(), bucket),
            archive,
        })
    }
}

/// Runs an audit, and returns the exit status.
async fn run_audit(arguments: &Arguments) -> Result<u8, ErrorText> {
    let options = &arguments.archive;
    let mut scope = options.scope().map_err(|error| error + HINT)?;
    scope.check_media = arguments.check_media;
    // The files are read before the first call to S3, because an audit of a large archive takes
    // minutes and a wrong file should fail at once.
    let reconciliation = match &arguments.against {
        Some(file) => Some(read_log(
            file,
            arguments.exported.as_deref(),
            &scope.window,
        )?),
        None => None,
    };
    let rows = match arguments.format {
        Format::Html => {
            let rows = Rows::new();
            Some(rows.map_err(|error| format!("cannot create a temporary file: {error}"))?)
        }
        Format::Table | Format::Json => None,
    };
    let buckets = Buckets::open(options).await?;
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
    let audited = progress::watch(&counters, audited).await;
    let mut report = audited.map_err(|failure| error_chain(&failure))?;
    let (reconciliation, rows) = sink;
    if let Some(reconciliation) = reconciliation {
        reconciliation.conclude(now, &mut report);
    }
    match (arguments.format, rows) {
        (Format::Html, Some(rows)) => {
            let provenance = Provenance {
                by: arguments.made_by.clone().unwrap_or_else(user),
                at: iso(Timestamp::from(now)),
            };
            print_page(&report, &provenance, rows)?;
        }
        (Format::Json, _) => print(report.to_json()),
        (Format::Table | Format::Html, _) => print(table::table(&report).trim_end()),
    }
    Ok(report.status())
}

/// Reads an export of ACS's log.
fn read_log(
    file: &Path,
    exported: Option<&Path>,
    window: &Window,
) -> Result<Reconciliation, ErrorText> {
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
            "{name} is not an export of ACSCallRecordingSummary: {}",
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

/// Prints the page. A closed pipe is no error: the reader may stop early.
fn print_page(report: &Report, provenance: &Provenance, rows: Rows) -> Result<(), ErrorText> {
    let mut to = BufWriter::new(stdout().lock());
    let written = html::write(report, provenance, rows, &mut to).and_then(|()| to.flush());
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|error| format!("the page cannot be written: {error}")),
    }
}

/// Checks that there are AWS credentials. Without this check, the failure of the first call to S3
/// would name only the last provider that was tried.
async fn check_credentials(sdk: &SdkConfig) -> Result<(), ErrorText> {
    let none = |why: &str| {
        format!(
            "no AWS credentials: {why}. Set AWS_PROFILE, or AWS_ACCESS_KEY_ID and \
             AWS_SECRET_ACCESS_KEY (after `aws sso login`: \
             eval \"$(aws configure export-credentials --format env)\")"
        )
    };
    let provider = sdk.credentials_provider();
    let provider = provider.ok_or_else(|| none("no provider is configured"))?;
    match provider.provide_credentials().await {
        Ok(_) => Ok(()),
        Err(CredentialsError::CredentialsNotLoaded(_)) => {
            Err(none("none in the environment, a profile or a role"))
        }
        Err(error) => Err(none(&error_chain(&error))),
    }
}

/// Checks the store, and returns the exit status.
async fn check_store(arguments: &Arguments) -> Result<u8, ErrorText> {
    let Buckets { work, .. } = Buckets::open(&arguments.archive).await?;
    let name = work.name();
    eprintln!("writing to a folder check-store-… of s3://{name}, which is deleted afterwards");
    let checked = check::check(&work, fastrand::u64(..)).await;
    match arguments.format {
        Format::Json => print(checked.to_json()),
        Format::Table | Format::Html => print(table::checked(&checked).trim_end()),
    }
    Ok(checked.status())
}

/// Prints to the standard output. A closed pipe is no error: the reader may stop early.
fn print(text: impl Display) {
    let _ = writeln!(stdout(), "{text}");
}

/// Returns the name of the user.
#[expect(
    clippy::disallowed_methods,
    reason = "the name is shown; no decision depends on it"
)]
fn user() -> String {
    let variables = ["USER", "LOGNAME", "USERNAME"];
    let mut users = variables.iter().filter_map(|name| std::env::var(name).ok());
    users.next().unwrap_or_else(|| "unknown".to_owned())
}

#[expect(clippy::disallowed_methods, reason = "the only reading of the clock")]
fn now() -> SystemTime {
    SystemTime::now()
}
