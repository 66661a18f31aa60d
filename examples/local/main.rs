//! `cargo run --example local`: the function between an emulated S3 and an emulated ACS.
//!
//! - `arguments`: the command line
//! - `setup`: the settings of the emulators and the function
//! - `deliveries`: the samples and files, as HTTP requests
//! - `recordings`: the documents of the emulated ACS
//! - `server`, `client`: the local Function URL, and the client that delivers to it
//! - `interrupt`: a source that fails in the middle of a recording
//! - `report`, `progress`: the lines about an answer, and the bars before it
//! - `check`, `table`, `archive`: the objects: compared, listed, and written to a folder
//! - `serve`: the commands for another terminal
//! - `screen`, `ctrl_c`: the terminal, and Ctrl-C
//! - `run`: the run from start to end

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a local run that cannot continue panics"
)]

mod archive;
mod arguments;
mod check;
mod client;
mod ctrl_c;
mod deliveries;
mod interrupt;
mod progress;
mod recordings;
mod report;
mod run;
mod screen;
mod serve;
mod server;
mod setup;
mod table;

use std::process::ExitCode;

use acs_recording_archiver::config::Logging;
use acs_recording_archiver::logging;
use clap::Parser as _;

use archive::Folder;
use arguments::Arguments;
use ctrl_c::CtrlC;
use run::Run;
use screen::{hide_bars, lost, print};

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let code = match run(&arguments).await {
        Ok(differences) if differences.is_empty() => {
            print("No differences: every object matches its source.");
            if !arguments.serve {
                print("Run with -- --serve to deliver more, list, audit and write a report.");
            }
            ExitCode::SUCCESS
        }
        Ok(differences) => {
            eprintln!("\nDifferences:");
            for difference in differences {
                eprintln!("  {difference}");
            }
            ExitCode::FAILURE
        }
        Err(Failure::Usage(fault)) => {
            eprintln!("error: {fault}\n\nFor more information, try '--help'.");
            ExitCode::from(2)
        }
        Err(Failure::Run(fault)) => {
            eprintln!("error: {fault}");
            ExitCode::FAILURE
        }
    };
    if let Some(error) = lost() {
        eprintln!("error: the output is not complete: {error}");
        return ExitCode::FAILURE;
    }
    code
}

/// The failure of a run.
enum Failure {
    /// An option or a file is wrong.
    Usage(String),
    /// The run could not be finished.
    Run(String),
}

async fn run(arguments: &Arguments) -> Result<Vec<String>, Failure> {
    let inputs = if arguments.files.is_empty() {
        deliveries::samples()
    } else {
        let files = arguments.files.iter();
        files.map(|file| deliveries::read(file)).collect()
    };
    let inputs = inputs.map_err(Failure::Usage)?;
    let folder = Folder::new(arguments.out.as_deref()).map_err(Failure::Usage)?;
    let ctrl_c = CtrlC::watch();
    if let Some(level) = arguments.log {
        // Log lines on the same terminal would break the bars.
        hide_bars();
        logging::install(Logging {
            level,
            json: false,
            installation: None,
            ignored: vec![],
        });
    }
    let mut run = Run::start(arguments, &inputs).await.map_err(Failure::Run)?;
    run.introduce();
    let must_archive = arguments.files.is_empty();
    run.deliver_all(inputs, arguments.interrupt, must_archive)
        .await
        .map_err(Failure::Run)?;
    let concluded = run.conclude(&folder).map_err(Failure::Run)?;
    if !arguments.serve {
        return Ok(concluded);
    }
    run.serve(ctrl_c.pressed()).await.map_err(Failure::Run)?;
    run.conclude(&folder).map_err(Failure::Run)
}
