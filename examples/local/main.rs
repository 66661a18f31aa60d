//! `cargo run --example local`: the function on one machine, between an embedded S3 and an emulated ACS.
//!
//! - `arguments`: the command line
//! - `deliveries`: the samples and files that are delivered, as HTTP requests
//! - `recordings`: what the emulated ACS holds, by the events that name it
//! - `server`, `client`: the local Function URL, and who delivers to it
//! - `serve`: commands for another terminal
//! - `progress`, `interrupt`: bars; a source that breaks off
//! - `check`, `table`, `archive`: what arrived: compared, shown, and written to a folder
//! - `setup`: what the options make of it
//! - `report`: what is said of an answer
//! - `screen`, `ctrl_c`: the terminal, and Ctrl-C
//! - `run`: all of it, in order

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a local run that cannot go on fails"
)]
#![allow(
    unreachable_pub,
    reason = "what is public to the other modules of a binary is public enough"
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
            print("All is as it must be.");
            if !arguments.serve {
                print(
                    "With -- --serve it stays up, and tells the command that makes a page of it.",
                );
            }
            ExitCode::SUCCESS
        }
        Ok(differences) => {
            eprintln!("\nNot as it must be:");
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

/// Why a run came to no end.
enum Failure {
    /// Something else must be asked for.
    Usage(String),
    /// Something here does not work.
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
    let ending = CtrlC::watch();
    if let Some(level) = arguments.log {
        // Lines on the same terminal would be drawn into the bars.
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
    run.serve(ending.asked()).await.map_err(Failure::Run)?;
    run.conclude(&folder).map_err(Failure::Run)
}
