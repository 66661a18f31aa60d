//! The command `find`: prints each recording as soon as it is found.

use std::io::{self, Write as _, stdout};
use std::time::Duration;

use acs_recording_archiver::error_chain::error_chain;
use acs_recording_audit::counters::Counters;
use acs_recording_audit::find::{Found, Query, find};
use acs_recording_audit::table::found;

use crate::arguments::{Find, Format};
use crate::{Buckets, ErrorText, HINT, now, progress};

/// Runs a search, prints the recordings, and returns the exit status.
pub(crate) async fn search(arguments: &Find) -> Result<u8, ErrorText> {
    let wanted = arguments.wanted().map_err(|error| error + HINT)?;
    let scope = arguments.archive.scope().map_err(|error| error + HINT)?;
    let buckets = Buckets::open(&arguments.archive).await?;
    let counters = Counters::default();
    let mut printer = Printer {
        format: arguments.format,
        count: 0,
    };
    let mut show = |found: Found| printer.show(&found).is_ok();
    let query = Query {
        scope: &scope,
        wanted: &wanted,
        presign: arguments
            .presign
            .map(|minutes| Duration::from_secs(minutes * 60)),
        now: now(),
    };
    let search = find(&buckets.archive, &buckets.work, query, &counters, &mut show);
    let searched = progress::watch(&counters, search).await;
    let searched = searched.map_err(|failure| error_chain(&failure))?;
    // A closed pipe is no error: the reader may stop early.
    let _ = printer.end();
    for entry in &searched.unread {
        eprintln!("could not be read: {}: {}", entry.key, entry.detail);
    }
    Ok(match (searched.unread.is_empty(), searched.found) {
        (false, _) => 2,
        (true, 0) => {
            eprintln!("Nothing found.");
            1
        }
        (true, _) => 0,
    })
}

/// The output of a search.
struct Printer {
    format: Format,
    count: u64,
}

impl Printer {
    fn show(&mut self, recording: &Found) -> io::Result<()> {
        let mut to = stdout().lock();
        match self.format {
            Format::Json => {
                let before = if self.count == 0 { "[\n" } else { ",\n" };
                to.write_all(before.as_bytes())?;
                serde_json::to_writer(&mut to, recording)?;
            }
            Format::Table | Format::Html => to.write_all(found(recording).as_bytes())?,
        }
        self.count += 1;
        to.flush()
    }

    fn end(&self) -> io::Result<()> {
        let mut to = stdout().lock();
        match (self.format, self.count) {
            (Format::Json, 0) => writeln!(to, "[]"),
            (Format::Json, _) => writeln!(to, "\n]"),
            _ => Ok(()),
        }
    }
}
