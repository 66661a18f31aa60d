//! What can be asked for on the command line.

use std::path::PathBuf;

use acs_recording_archiver::keys::{Pending, Prefix};
use acs_recording_audit::find::Wanted;
use acs_recording_audit::window::{Day, Window};
use acs_recording_audit::{Scope, layout};
use clap::{Args, Parser, Subcommand, ValueEnum};

/// The options of the audit, or another task.
#[derive(Debug, Parser)]
#[command(
    name = "audit",
    bin_name = "cargo run --bin audit --",
    about = "Checks the archive in a bucket against its manifests, and lists what is unfinished, rejected or left over",
    long_about = "Checks the archive in a bucket against its manifests, and lists what is unfinished, rejected or left \
        over.\n\nEvery object that a manifest names is looked at with HeadObject: whether it is there, its size, and its \
        CRC64NVME where the manifest and S3 both have one, else its ETag. No media is downloaded, but for a few ranges of it \
        with --check-media, and nothing is written, except with --check-store. \
        The AWS SDK's own variables hold: AWS_REGION, AWS_PROFILE, AWS_ACCESS_KEY_ID and so on, and AWS_ENDPOINT_URL_S3 for an \
        S3-compatible store. It needs s3:ListBucket and s3:ListBucketMultipartUploads on the bucket, s3:ListBucket on the \
        work bucket, s3:GetObject on the objects of both, and kms:Decrypt where they are encrypted with a key of your own.",
    after_long_help = WHAT_COUNTS,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    #[command(flatten)]
    pub(crate) archive: ArchiveOptions,

    /// A table for people, one JSON document for machines, or a page to look at and to print
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,

    #[arg(
        long,
        value_name = "FILE",
        help = "ACS's own log of recordings, the table ACSCallRecordingSummary, as JSON of az or CSV of the portal; - is the standard input"
    )]
    pub(crate) against: Option<PathBuf>,

    #[arg(
        long,
        value_name = "FILE",
        requires = "against",
        help = "The names of the blobs in your own Azure storage, a line each, where ACS exports recordings to it"
    )]
    pub(crate) exported: Option<PathBuf>,

    #[arg(
        long,
        value_name = "NAME",
        help = "Who makes the page; the user of this machine unless told"
    )]
    pub(crate) made_by: Option<String>,

    #[arg(
        long,
        help = "Examine the media whose manifest has no verdict on it, or an unknown one: at most 8 reads and 1 MiB each"
    )]
    pub(crate) check_media: bool,

    #[arg(
        long,
        conflicts_with_all = ["from", "to", "prefix", "against", "made_by", "check_media"],
        help = "Instead of an audit, try all that the function needs of a store. It WRITES: objects and uploads in a \
            folder `check-store-…` of the work bucket (or of the bucket, if none is named), which it deletes again"
    )]
    pub(crate) check_store: bool,
}

/// What can be done besides.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Finds recordings, and makes links to play them
    Find(Find),
}

/// The options of a search.
#[derive(Debug, Args)]
#[command(
    long_about = "Finds recordings by what they have in common: a call, a recording id, a document id, days, or a text in \
        their metadata. All that is given must fit. A call and a document are found by their keys; for a recording id the \
        manifests of the days are read, for a participant their metadata documents as well, so give days there. What is \
        pending or set aside is found too, but not by participant.\n\nExit status: 0 found, 1 nothing found, 2 wrong options \
        or something could not be read.\n\nIt needs s3:ListBucket on both buckets and s3:GetObject on the objects, which \
        links need too, for as long as they are to hold."
)]
pub(crate) struct Find {
    #[command(flatten)]
    pub(crate) archive: ArchiveOptions,

    /// The call's id: the first one in the event's subject, and in the keys
    #[arg(long, value_name = "ID")]
    pub(crate) call: Option<String>,

    /// The recording's id, as ACS has it: the last one in the event's subject
    #[arg(long, value_name = "ID")]
    pub(crate) recording: Option<String>,

    /// The documentId of a chunk
    #[arg(long, value_name = "ID")]
    pub(crate) document: Option<String>,

    /// A text in the metadata, in any letter case: an id, a number or a name
    #[arg(long, value_name = "TEXT")]
    pub(crate) participant: Option<String>,

    /// Also make links to the media that are good for so long; whoever has one can play it
    #[arg(long, value_name = "MINUTES", value_parser = clap::value_parser!(u64).range(1..=7 * 24 * 60))]
    pub(crate) presign: Option<u64>,

    /// A table for people, or one JSON array for machines
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
}

/// Where the archive is, and which of its days are asked for.
#[derive(Debug, Args)]
pub(crate) struct ArchiveOptions {
    /// The bucket
    #[arg(long, required = true)]
    pub(crate) bucket: Option<String>,

    #[arg(
        long,
        value_name = "NAME",
        help = "The bucket of unfinished work, as in WORK_BUCKET; without it, that is in the same bucket"
    )]
    pub(crate) work_bucket: Option<String>,

    #[arg(
        long,
        default_value = "recordings/",
        value_parser = prefix,
        help = "What every key of the archive begins with, as in RECORDINGS_PREFIX"
    )]
    pub(crate) prefix: Prefix,

    /// Only recordings that started on this day or later, in UTC; events set aside on this day or later
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = Day::parse)]
    pub(crate) from: Option<Day>,

    /// Only recordings that started on this day or earlier, in UTC; events set aside on this day or earlier
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = Day::parse)]
    pub(crate) to: Option<Day>,

    /// Name the bucket in the path instead of the host, as many S3-compatible stores want it
    #[arg(long)]
    pub(crate) force_path_style: bool,
}

/// How the result is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Table,
    Json,
    Html,
}

const WHAT_COUNTS: &str = "\
Findings, each of which needs a person:
  missing            an object that a manifest or rejection names is not there
  sizeDiffers        it has another size
  checksumDiffers    it has another CRC64NVME
  originDiffers      its own document-id or location is not that of its key, or its own source-length is not its size
  etagDiffers        it has another ETag, and there are no two checksums to compare
  misplaced          a manifest or rejection names a key that is not one of that chunk in its own folder; it is not looked
                     at
  incomplete         a manifest does not name every chunk of its event, or holds none that can be understood, or that of
                     another key
  unreadable         a manifest, rejection or upload's record is broken, or of a version that is not known
  rejected           a recording could not be archived whole, and no manifest says that it was later
  setAside           an event is under rejected/; delete it there when it has been dealt with
  overdue            an event is pending 24 hours after its time: ACS has deleted the source
  postdated          an event is pending whose time is more than 5 minutes ahead: it ages from when it was stored
  withoutManifest    media or metadata that no manifest or rejection names, and no pending event either
  orphanedUpload     an unfinished multipart upload that no record under pending/ names
  neverArchived      ACS's log has a recording of which the archive has nothing
  chunksDiffer       ACS's log has another number of chunks than the manifests
  lengthDiffers      ACS's log has another length than the event, by more than a second
  unsureMatch        ACS's log has a recording that may be one of the archive or not: it has its start to the second, or
                     several have one start, or its id is another

Notes, which are counted and of which the first are shown:
  rewritten          an object is another version, or has another ETag, but its bytes are the same by its checksum, or by
                     its ETag where there is none
  archivedLater      a rejection whose recording was archived later
  notUnderstood      a pending event that cannot be understood; the schedule sets it aside
  leftOver           a record whose event is no longer pending; the schedule ends it
  youngUpload        an upload without a record, begun in the last 2 minutes: the record may be on its way
  foreign            an object under the prefix that has no form of ours
  notInLog           a recording of the time that ACS's log is of, which that log does not have
  onItsWay           a recording that ACS logged in the last 15 minutes, of which the archive has nothing yet

Recordings that are listed apart, all of them, and are no findings, since what is archived is what ACS has sent:
  doubtful           its manifest, or the examination, says that a chunk is truncated, unreadable or of no duration, or
                     that all chunks last for less than half of the recording

Pending events are listed with their age and the time until ACS deletes the source, 24 hours after the event's time (or
after it was stored, if it has none or one that is still to come). They and the records of their uploads are listed whatever days are asked for; an
upload counts to the day in its key.

With --check-store, each thing is tried as the function does it, and is
  good      as Amazon S3 does it
  bearable  the function can do without
  lacking   the function cannot work without it
  untried   what it stands on is lacking

Exit status:
  0  all is in order, or the store is one that the function can work with
  1  there are findings, or it is not
  2  wrong options, nothing under the prefix, or the store could not be read: nothing is shown then, except where single
     objects could not be looked at; these are listed as unread, and the audit is not complete";

impl ArchiveOptions {
    /// What is to be looked at.
    pub(crate) fn scope(&self) -> Result<Scope, String> {
        let pending = match self.work_bucket {
            Some(_) => Pending::OwnBucket,
            None => Pending::UnderPrefix,
        };
        Ok(Scope {
            layout: layout(self.prefix.clone(), pending)?,
            window: Window::new(self.from.clone(), self.to.clone())?,
            check_media: false,
        })
    }

    /// The name of the bucket, without which the command line is not read.
    pub(crate) fn bucket(&self) -> &str {
        self.bucket.as_deref().unwrap_or_default()
    }
}

impl Find {
    /// What is searched for; an error if that is everything.
    pub(crate) fn wanted(&self) -> Result<Wanted, String> {
        let wanted = Wanted {
            call: self.call.clone(),
            recording: self.recording.clone(),
            document: self.document.clone(),
            participant: self.participant.clone(),
        };
        let ids = [
            &self.call,
            &self.recording,
            &self.document,
            &self.participant,
        ];
        if ids
            .iter()
            .any(|id| id.as_deref().is_some_and(|id| id.trim().is_empty()))
        {
            return Err("an id or a text is empty".to_owned());
        }
        let days = self.archive.from.is_some() || self.archive.to.is_some();
        if ids.iter().all(|id| id.is_none()) && !days {
            return Err(
                "say what to find: --call, --recording, --document, --participant, --from or --to"
                    .to_owned(),
            );
        }
        if self.format == Format::Html {
            return Err(
                "a search is shown as a table or as JSON; the page is the audit's".to_owned(),
            );
        }
        Ok(wanted)
    }
}

fn prefix(text: &str) -> Result<Prefix, &'static str> {
    Prefix::new(text)
}
