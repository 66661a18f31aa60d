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
    after_help = "The table of what arrived fits the terminal, or COLUMNS: names are shortened in the middle; where that \
        is not enough, the checksums are left out, then the sizes. A file or a pipe gets all of it.\n\nExit status: 0 if \
        all is as it must be; 1 if anything differs or fails, or the output cannot be written; 2 for a wrong option or \
        file; 130 after Ctrl-C, unless it ended --serve."
)]
pub struct Arguments {
    /// Event files to deliver in place of the samples: whole Lambda payloads as in events/, or bare events (an object
    /// or an array). The documents they name are published in the emulated ACS first
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// Stay up and serve deliveries until Ctrl-C, then check what arrived; says how to deliver, list and audit
    #[arg(long)]
    pub serve: bool,

    /// The port of the function's URL [default: a free one]
    #[arg(long, value_name = "N")]
    pub port: Option<u16>,

    /// Cut the source after about half of the parts, so that the delivery is answered 503; then deliver again and see
    /// the transfer resumed
    #[arg(long)]
    pub interrupt: bool,

    /// Sizes of the generated media, chunk after chunk, over again when they run out: 1, 300kB, 1.5MiB, 1GiB. It is
    /// all held in memory
    #[arg(
        long,
        value_name = "BYTES,…",
        value_delimiter = ',',
        value_parser = size,
        allow_negative_numbers = true
    )]
    pub size: Vec<u64>,

    #[arg(long, value_name = "N", help = "Parts in flight (TRANSFER_CONCURRENCY); 8 unless told", value_parser = clap::value_parser!(u8).range(1..=64))]
    pub concurrency: Option<u8>,

    /// What the source sends in a second over each connection at most, so that the bars can be watched: 2MiB
    #[arg(long, value_name = "BYTES", value_parser = rate, allow_negative_numbers = true)]
    pub rate: Option<u64>,

    /// The folder to write the archive to, which must be new or empty [default: target/local-archive, replaced each time]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,

    /// Show the function's own log lines in place of the bars, from LEVEL on: error, warn, info, debug [default when given alone: info]
    #[arg(
        long,
        value_name = "LEVEL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "info"
    )]
    pub log: Option<LevelFilter>,
}

/// The size of a recording.
fn size(text: &str) -> Result<u64, String> {
    match bytes(text)? {
        0 => Err("ACS has no recordings of no bytes; take at least 1".to_owned()),
        bytes => Ok(bytes),
    }
}

/// The bytes of a second.
fn rate(text: &str) -> Result<u64, String> {
    match bytes(text)? {
        0 => Err("nothing would ever arrive; take at least 1, or leave --rate out".to_owned()),
        bytes => Ok(bytes),
    }
}

/// A number of bytes, with a fraction or without, with a unit or without.
fn bytes(text: &str) -> Result<u64, String> {
    const EXAMPLES: &str = "such as 300000, 64MiB or 1.5GiB";
    let text = text.trim();
    if text.starts_with('-') {
        return Err(format!(
            "it is negative; a number of bytes is wanted, {EXAMPLES}"
        ));
    }
    let of_number = |character: char| character.is_ascii_digit() || character == '.';
    let (number, unit) = text.split_at(text.find(|it| !of_number(it)).unwrap_or(text.len()));
    let no_number = || format!("a number of bytes is wanted, {EXAMPLES}");
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
        _ => return Err("the unit is none of kB, MB, GB, TB, KiB, MiB, GiB, TiB".to_owned()),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let too_many = || "that is more than ACS, S3 or this machine could hold".to_owned();
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
            ("", "a number of bytes is wanted"),
            ("MiB", "a number of bytes is wanted"),
            (".", "a number of bytes is wanted"),
            ("1.2.3", "a number of bytes is wanted"),
            ("-1", "it is negative"),
            ("1PiB", "the unit is none of"),
            ("1e3", "the unit is none of"),
            ("99999999999999999999", "more than"),
            ("99999999TiB", "more than"),
        ] {
            let fault = bytes(text).unwrap_err();
            assert!(fault.contains(said), "{text}: {fault}");
        }
        assert!(size("0").unwrap_err().contains("recordings of no bytes"));
        assert!(rate("0").unwrap_err().contains("leave --rate out"));
    }
}
