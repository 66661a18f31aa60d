//! The start of the process.

use std::process::ExitCode;

use acs_recording_archiver::VERSION;
use acs_recording_archiver::config::{self, Logging};
use acs_recording_archiver::function::Function;
use acs_recording_archiver::{error_chain::error_chain, logging};
use tracing::{error, info};

const USAGE: &str = "\
acs-recording-archiver is an AWS Lambda function: Lambda starts it, with its settings in the
environment.

  cargo run --example local    runs it here, against an emulated S3 and an emulated ACS
  deploy/deploy.sh --help      puts it into an AWS account (see docs/deploying.md)";

// One thread has several times the throughput of Lambda's network, and needs a third less memory
// than two.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    // Without these variables the runtime would panic, which tells nobody how to run the function.
    let lacking = config::lacking_of_lambda();
    if !lacking.is_empty() {
        let lacking = lacking.join(", ");
        eprintln!("acs-recording-archiver {VERSION}\n\n{USAGE}\n");
        eprintln!("Not set here, or not as Lambda sets them: {lacking}");
        return ExitCode::from(2);
    }
    logging::install(Logging::from_env());
    match start().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let error = error_chain(&*error);
            error!(version = VERSION, error, "the function cannot run");
            ExitCode::FAILURE
        }
    }
}

async fn start() -> Result<(), lambda_http::Error> {
    let function = Function::deployed().await?;
    info!(version = VERSION, "the function has started");
    function.run().await
}
