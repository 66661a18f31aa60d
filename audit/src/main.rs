//! The command line of the audit: its options, its progress, and its result on the standard output.

mod arguments;
mod progress;

use std::fmt::Display;
use std::io::{Write as _, stdout};
use std::process::ExitCode;

use acs_recording_archiver::chain::chain;
use acs_recording_archiver::function::sdk_config;
use acs_recording_archiver::limits::Limits;
use acs_recording_audit::bucket::Bucket;
use acs_recording_audit::tally::Tally;
use acs_recording_audit::{audit, report, table};
use aws_config::SdkConfig;
use aws_credential_types::provider::ProvideCredentials as _;
use aws_credential_types::provider::error::CredentialsError;
use clap::Parser as _;

use arguments::{Arguments, Form};

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let scope = match arguments.scope() {
        Ok(scope) => scope,
        Err(fault) => return unusable(&fault, "\n\nFor more information, try '--help'."),
    };
    let sdk = sdk_config().await;
    if let Err(fault) = credentials(&sdk).await {
        return unusable(&fault, "");
    }
    let limits = Limits::default();
    let bucket = |name: &str| Bucket::new(&sdk, name, arguments.force_path_style, &limits);
    let work = arguments.work_bucket.as_deref().map(bucket);
    let bucket = bucket(&arguments.bucket);
    let work = work.as_ref().unwrap_or(&bucket);
    let tally = Tally::default();
    let audited = progress::watched(&tally, audit(&bucket, work, &scope, now(), &tally)).await;
    let report = match audited {
        Ok(report) => report,
        Err(failure) => return unusable(&chain(&failure), ""),
    };
    match arguments.format {
        Form::Table => say(table::table(&report).trim_end()),
        Form::Json => say(report.to_json()),
    }
    ExitCode::from(report.status())
}

/// Asks for the AWS credentials once, since S3's own failure for want of them names the last place
/// that was looked in instead.
async fn credentials(sdk: &SdkConfig) -> Result<(), String> {
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
        Err(error) => Err(none(&chain(&error))),
    }
}

fn unusable(fault: &str, hint: &str) -> ExitCode {
    eprintln!("error: {fault}{hint}");
    ExitCode::from(report::UNREAD)
}

/// Prints to the standard output. Whoever no longer reads has seen enough.
fn say(text: impl Display) {
    let _ = writeln!(stdout(), "{text}");
}

#[expect(
    clippy::disallowed_methods,
    reason = "the time of the audit is taken once, here"
)]
fn now() -> std::time::SystemTime {
    std::time::SystemTime::now()
}
