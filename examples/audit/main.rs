//! `cargo run --example audit`: the archive in a bucket, held against its manifests. Nothing is downloaded but small
//! documents, and nothing is written.
//!
//! - `arguments`: the command line
//! - `progress`: how far it is, on the error output
//! - `audit`: the audit itself, in order; what it stands on is beside it:
//! - `tally`: what has been counted so far
//! - `bucket`, `crew`: the calls to S3, several at a time
//! - `window`: which days are asked for
//! - `unfinished`, `uploads`, `set_aside`: what is under `pending/`, in no record, and under `rejected/`
//! - `folder`, `documents`, `compare`: the objects of a recording, its manifests and rejections, and how they agree
//! - `report`, `table`: what was found, as JSON and for people

#![allow(
    unreachable_pub,
    reason = "what is public to the other modules of a binary is public enough"
)]

mod arguments;
// By path, as the tests take it, so that its modules are beside it for both.
#[path = "audit.rs"]
mod audit;
mod progress;

use std::fmt::Display;
use std::io::{Write as _, stdout};
use std::process::ExitCode;

use acs_recording_archiver::chain::chain;
use acs_recording_archiver::function::sdk_config;
use acs_recording_archiver::limits::Limits;
use clap::Parser as _;

use arguments::{Arguments, Form};
use audit::bucket::Bucket;
use audit::tally::Tally;
use audit::{audit, table};

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let scope = match arguments.scope() {
        Ok(scope) => scope,
        Err(fault) => return unusable(&fault, "\n\nFor more information, try '--help'."),
    };
    let sdk = sdk_config().await;
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

fn unusable(fault: &str, hint: &str) -> ExitCode {
    eprintln!("error: {fault}{hint}");
    ExitCode::from(audit::report::UNREAD)
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
