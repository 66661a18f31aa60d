//! What can be asked for on the command line.

use std::path::PathBuf;

use clap::Parser;
use tracing_subscriber::filter::LevelFilter;

/// The options.
#[derive(Debug, Parser)]
#[command(
    name = "local",
    bin_name = "cargo run --example local --",
    about = "Runs the archiver here: the real function between an embedded S3 and an emulated ACS, no cloud and no Docker",
    long_about = "Runs the archiver here: the real function between an embedded S3 and an emulated ACS, no cloud and no \
        Docker.\n\nDelivers the handshakes and the sample recordings as Event Grid would, shows what arrived and compares \
        it with the source byte for byte.",
    after_help = "Exit status: 0 if all is as it must be, 1 if anything differs, 2 for a wrong option or file."
)]
pub struct Arguments {
    /// Event files to deliver in place of the samples: whole Lambda payloads as in events/, or bare events (an object
    /// or an array). The documents they name are published in the emulated ACS first
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// Stay up and serve deliveries until Ctrl-C, then check what arrived
    #[arg(long)]
    pub serve: bool,

    /// Cut the source after about half of the parts, so that the delivery is answered 503; then deliver again and see
    /// the transfer resumed
    #[arg(long)]
    pub interrupt: bool,

    /// Sizes of the generated media, chunk after chunk, over again when they run out: 1, 300kB, 64MiB, 1GiB. It is all
    /// held in memory
    #[arg(long, value_name = "BYTES,…", value_delimiter = ',', value_parser = bytes)]
    pub size: Vec<u64>,

    #[arg(long, value_name = "N", help = "Parts in flight (TRANSFER_CONCURRENCY); 8 unless told", value_parser = clap::value_parser!(u8).range(1..=64))]
    pub concurrency: Option<u8>,

    /// What the source sends in a second over each connection at most, so that the bars can be watched: 2MiB
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub rate: Option<u64>,

    /// The folder to write the archive to, which must be new or empty [default: target/local-archive, replaced each time]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,

    /// Show the function's own log lines, from LEVEL on: error, warn, info, debug [default when given alone: info]
    #[arg(
        long,
        value_name = "LEVEL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "info"
    )]
    pub log: Option<LevelFilter>,
}

/// A number of bytes of at least one, with a unit or without.
fn bytes(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        _ => return Err("the unit is none of kB, MB, GB, KiB, MiB, GiB".to_owned()),
    };
    let number: u64 = number
        .parse()
        .map_err(|_| "a number of bytes is wanted, such as 300000 or 64MiB".to_owned())?;
    match number.checked_mul(unit) {
        Some(0) => Err("ACS has no recordings of no bytes; take at least 1".to_owned()),
        Some(bytes) => Ok(bytes),
        None => Err("that is too many".to_owned()),
    }
}
