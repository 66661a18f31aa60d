//! What can be asked for on the command line.

use std::path::PathBuf;

use acs_recording_archiver::keys::{Pending, Prefix};
use acs_recording_audit::window::{Day, Window};
use acs_recording_audit::{Scope, layout};
use clap::{Args, Parser, ValueEnum};

/// The options.
#[derive(Debug, Parser)]
#[command(
    name = "audit",
    bin_name = "cargo run --bin audit --",
    about = "Checks the archive in a bucket against its manifests, and lists what is unfinished, rejected or left over",
    long_about = "Checks the archive in a bucket against its manifests, and lists what is unfinished, rejected or left \
        over.\n\nEvery object that a manifest names is looked at with HeadObject: whether it is there, its size, and its \
        CRC64NVME where the manifest and S3 both have one, else its ETag. No media is downloaded and nothing is written. \
        The AWS SDK's own variables hold: AWS_REGION, AWS_PROFILE, AWS_ACCESS_KEY_ID and so on, and AWS_ENDPOINT_URL_S3 for an \
        S3-compatible store. It needs s3:ListBucket and s3:ListBucketMultipartUploads on the bucket, s3:ListBucket on the \
        work bucket, s3:GetObject on the objects of both, and kms:Decrypt where they are encrypted with a key of your own.",
    after_long_help = WHAT_COUNTS
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) place: Place,

    /// A table for people, one JSON document for machines, or a page to look at and to print
    #[arg(long, value_enum, default_value_t = Form::Table)]
    pub(crate) format: Form,

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
}

/// Where the archive is, and which of its days are asked for.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// The bucket
    #[arg(long)]
    pub(crate) bucket: String,

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
pub(crate) enum Form {
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

Pending events are listed with their age and the time until ACS deletes the source, 24 hours after the event's time (or
after it was stored, if it has none or one that is still to come). They and the records of their uploads are listed whatever days are asked for; an
upload counts to the day in its key.

Exit status:
  0  all is in order
  1  there are findings
  2  wrong options, nothing under the prefix, or the store could not be read: nothing is shown then, except where single
     objects could not be looked at; these are listed as unread, and the audit is not complete";

impl Place {
    /// What is to be looked at.
    pub(crate) fn scope(&self) -> Result<Scope, String> {
        let pending = match self.work_bucket {
            Some(_) => Pending::OwnBucket,
            None => Pending::UnderPrefix,
        };
        Ok(Scope {
            layout: layout(self.prefix.clone(), pending)?,
            window: Window::new(self.from.clone(), self.to.clone())?,
        })
    }
}

fn prefix(text: &str) -> Result<Prefix, &'static str> {
    Prefix::new(text)
}
