//! The command line.

use std::path::PathBuf;

use clap::Parser;
use tracing_subscriber::filter::LevelFilter;

/// The options.
#[derive(Debug, Parser)]
#[command(
    name = "local",
    bin_name = "cargo run --example local --",
    about = "Runs the function on this machine, between an emulated S3 and an emulated ACS: no \
        cloud, no Docker",
    long_about = "Runs the function on this machine, between an emulated S3 and an emulated ACS: \
        no cloud, no Docker.\n\nDelivers the handshakes and the sample recordings as Event Grid \
        does, lists the objects in S3 and compares them with their sources byte for byte.",
    after_help = "The table of objects fits the terminal, or the variable COLUMNS: names are \
        shortened in the middle; if that is not enough, the checksums are left out, then the \
        sizes. Output to a file or a pipe is complete.\n\nExit status: 0 if there are no \
        differences; 1 if there are, or if the run fails or its output cannot be written; 2 for a \
        wrong option or file; 130 after Ctrl-C, except during --serve."
)]
pub(crate) struct Arguments {
    /// Files to deliver in place of the samples: Lambda payloads, as in events/, or events (a JSON
    /// object or array). The emulated ACS serves the documents that they name
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,

    /// Serve deliveries until Ctrl-C, then compare the objects again; prints commands to deliver,
    /// list and audit
    #[arg(long)]
    pub(crate) serve: bool,

    /// The port of the Function URL [default: a free port]
    #[arg(long, value_name = "N")]
    pub(crate) port: Option<u16>,

    /// Let the source fail after about half of the parts, so that the answer is 503, and deliver
    /// again: the transfer resumes
    #[arg(long)]
    pub(crate) interrupt: bool,

    /// The sizes of the generated chunks in turn, from the first again after the last: 1, 300kB,
    /// 1.5MiB, 1GiB. All media is held in memory
    #[arg(
        long,
        value_name = "BYTES,…",
        value_delimiter = ',',
        value_parser = size,
        allow_negative_numbers = true
    )]
    pub(crate) size: Vec<u64>,

    #[arg(
        long,
        value_name = "N",
        help = "The parts in flight (TRANSFER_CONCURRENCY) [default: 8]",
        value_parser = clap::value_parser!(u8).range(1..=64)
    )]
    pub(crate) concurrency: Option<u8>,

    /// The rate limit of each connection to the source, in bytes a second, to watch the bars: 2MiB
    #[arg(long, value_name = "BYTES", value_parser = rate, allow_negative_numbers = true)]
    pub(crate) rate: Option<u64>,

    /// The folder for the archive, new or empty [default: target/local-archive, which is replaced]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,

    /// Print the log lines of the function in place of the bars, from LEVEL on: error, warn, info,
    /// debug [default without LEVEL: info]
    #[arg(
        long,
        value_name = "LEVEL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "info"
    )]
    pub(crate) log: Option<LevelFilter>,
}

/// Parses the size of a chunk.
fn size(text: &str) -> Result<u64, String> {
    match bytes(text)? {
        0 => Err("a chunk has at least 1 byte".to_owned()),
        bytes => Ok(bytes),
    }
}

/// Parses a rate in bytes a second.
fn rate(text: &str) -> Result<u64, String> {
    match bytes(text)? {
        0 => Err("the rate is at least 1; without --rate there is no limit".to_owned()),
        bytes => Ok(bytes),
    }
}

/// Parses a number of bytes, with an optional fraction and unit.
fn bytes(text: &str) -> Result<u64, String> {
    const EXAMPLES: &str = "such as 300000, 64MiB or 1.5GiB";
    let text = text.trim();
    if text.starts_with('-') {
        return Err(format!(
            "the number is negative; expected a number of bytes, {EXAMPLES}"
        ));
    }
    let of_number = |character: char| character.is_ascii_digit() || character == '.';
    let (number, unit) = text.split_at(text.find(|it| !of_number(it)).unwrap_or(text.len()));
    let no_number = || format!("expected a number of bytes, {EXAMPLES}");
    let unit: u128 = match unit.trim().to_ascii_lowercase().as_str() {
        _ if number.is_empty() => return Err(no_number()),
        "" | "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        _ => return Err("the unit is not one of kB, MB, GB, TB, KiB, MiB, GiB, TiB".to_owned()),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let too_many = || "the number is too large".to_owned();
    if whole.len() + fraction.len() > 18 {
        return Err(too_many());
    }
    let digits: u128 = format!("{whole}{fraction}")
        .parse()
        .map_err(|_| no_number())?;
    let scale = 10_u128.pow(u32::try_from(fraction.len()).unwrap_or_default());
    u64::try_from(digits * unit / scale).map_err(|_| too_many())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_bytes() {
        for (text, expected) in [
            ("1", 1),
            ("300kB", 300_000),
            ("1.5MiB", 1_572_864),
            (".5 GiB", 1 << 29),
            ("64mib", 64 << 20),
            ("10TiB", 10 << 40),
            ("0.1B", 0),
        ] {
            assert_eq!(bytes(text), Ok(expected), "{text}");
        }
        for (text, said) in [
            ("", "expected a number of bytes"),
            ("MiB", "expected a number of bytes"),
            (".", "expected a number of bytes"),
            ("1.2.3", "expected a number of bytes"),
            ("-1", "is negative"),
            ("1PiB", "the unit is not one of"),
            ("1e3", "the unit is not one of"),
            ("99999999999999999999", "too large"),
            ("99999999TiB", "too large"),
        ] {
            let fault = bytes(text).unwrap_err();
            assert!(fault.contains(said), "{text}: {fault}");
        }
        assert!(size("0").unwrap_err().contains("at least 1 byte"));
        assert!(rate("0").unwrap_err().contains("without --rate"));
    }
}
