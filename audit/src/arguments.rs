//! The options of the command line.

mod explanations;

use std::path::PathBuf;

use acs_recording_archiver::keys::{Pending, Prefix};
use acs_recording_audit::find::Wanted;
use acs_recording_audit::window::{Day, Window};
use acs_recording_audit::{Scope, layout};
use clap::{Args, Parser, Subcommand, ValueEnum};

use explanations::EXPLANATIONS;

/// The options of the audit, or a command.
#[derive(Debug, Parser)]
#[command(
    name = "audit",
    bin_name = "cargo run --bin audit --",
    about = "Compares the archive in a bucket with its manifests, and lists pending, rejected and \
        orphaned objects",
    long_about = "Compares the archive in a bucket with its manifests, and lists pending, rejected \
        and orphaned objects.\n\nFor each object that a manifest names, the audit calls HeadObject \
        and compares the size, and the CRC64NVME if the manifest and S3 both have one, else the \
        ETag. It downloads no media, except a few ranges with --check-media, and writes nothing, \
        except with --check-store.\n\nThe AWS SDK's variables apply: AWS_REGION, AWS_PROFILE, \
        AWS_ACCESS_KEY_ID and so on, and AWS_ENDPOINT_URL_S3 for an S3-compatible store. The audit \
        needs s3:ListBucket and s3:ListBucketMultipartUploads on the bucket, s3:ListBucket on the \
        work bucket, s3:GetObject on the objects of both, and kms:Decrypt if the objects are \
        encrypted with a key of your own.",
    after_long_help = EXPLANATIONS,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    #[command(flatten)]
    pub(crate) archive: ArchiveOptions,

    /// The format: a table, a JSON document, or an HTML page to read and to print
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,

    #[arg(
        long,
        value_name = "FILE",
        help = "Compare with ACS's own log of recordings: an export of the table \
            ACSCallRecordingSummary, as JSON of az or CSV of the portal; - is the standard input"
    )]
    pub(crate) against: Option<PathBuf>,

    #[arg(
        long,
        value_name = "FILE",
        requires = "against",
        help = "The names of the blobs in your own Azure storage, a line each, if ACS exports \
            recordings to it"
    )]
    pub(crate) exported: Option<PathBuf>,

    #[arg(
        long,
        value_name = "NAME",
        help = "The author of the HTML page [default: the user of this machine]"
    )]
    pub(crate) made_by: Option<String>,

    #[arg(
        long,
        help = "Examine the media whose manifest has no verdict, or the verdict unknown: at most 8 \
            reads and 1 MiB for each"
    )]
    pub(crate) check_media: bool,

    #[arg(
        long,
        conflicts_with_all = ["from", "to", "prefix", "against", "made_by", "check_media"],
        help = "Check the features of the store that the function needs, instead of an audit. This \
            WRITES objects and uploads to a folder `check-store-…` of the work bucket (of the \
            bucket, if there is no work bucket), and deletes them afterwards"
    )]
    pub(crate) check_store: bool,
}

/// The commands besides the audit.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Finds recordings, and creates links to play them
    Find(Find),
}

/// The options of a search.
#[derive(Debug, Args)]
#[command(
    long_about = "Finds recordings by call, recording id, document id, days, or a text in their \
        metadata. A recording must meet all criteria. A call and a document are found by their \
        keys. For a recording id, the search reads the manifests of the days, and for a \
        participant also the metadata, so select days. Pending events and events set aside are \
        found too, except by participant.\n\nExit status: 0 found, 1 nothing found, 2 wrong \
        options, or an object could not be read.\n\nThe search needs s3:ListBucket on both buckets \
        and s3:GetObject on the objects. A link works only as long as the credentials that created \
        it are valid and may read the object."
)]
pub(crate) struct Find {
    #[command(flatten)]
    pub(crate) archive: ArchiveOptions,

    /// The call's id: the first id in the event's subject, and in the keys
    #[arg(long, value_name = "ID")]
    pub(crate) call: Option<String>,

    /// The recording's id: the last id in the event's subject
    #[arg(long, value_name = "ID")]
    pub(crate) recording: Option<String>,

    /// The documentId of a chunk
    #[arg(long, value_name = "ID")]
    pub(crate) document: Option<String>,

    /// A text in the metadata, in any letter case: an id, a number or a name
    #[arg(long, value_name = "TEXT")]
    pub(crate) participant: Option<String>,

    /// Also create links to the media, valid for so long; anyone with a link can play the media
    #[arg(
        long,
        value_name = "MINUTES",
        value_parser = clap::value_parser!(u64).range(1..=7 * 24 * 60)
    )]
    pub(crate) presign: Option<u64>,

    /// The format: a table, or a JSON array
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
}

/// The place of the archive, and the selected days.
#[derive(Debug, Args)]
pub(crate) struct ArchiveOptions {
    #[arg(
        long,
        required = true,
        help = "The bucket of the archive, as in RECORDINGS_BUCKET"
    )]
    pub(crate) bucket: Option<String>,

    #[arg(
        long,
        value_name = "NAME",
        help = "The bucket of unfinished work, as in WORK_BUCKET [default: the archive's bucket]"
    )]
    pub(crate) work_bucket: Option<String>,

    #[arg(
        long,
        default_value = "recordings/",
        value_parser = prefix,
        help = "The prefix of every key of the archive, as in RECORDINGS_PREFIX"
    )]
    pub(crate) prefix: Prefix,

    /// The first day, in UTC: of the start of a recording, or when an event was set aside
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = Day::parse)]
    pub(crate) from: Option<Day>,

    /// The last day, in UTC
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = Day::parse)]
    pub(crate) to: Option<Day>,

    /// Name the bucket in the path instead of the host, as many S3-compatible stores require
    #[arg(long)]
    pub(crate) force_path_style: bool,
}

/// The format of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Table,
    Json,
    Html,
}

impl ArchiveOptions {
    /// Returns the scope, without an examination of media.
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

    /// Returns the name of the bucket, which the parser requires.
    pub(crate) fn bucket(&self) -> &str {
        self.bucket.as_deref().unwrap_or_default()
    }
}

impl Find {
    /// Returns the criteria. A search without any is an error.
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
                "name what to find: --call, --recording, --document, --participant, --from or --to"
                    .to_owned(),
            );
        }
        if self.format == Format::Html {
            return Err(
                "a search is printed as a table or as JSON; only an audit has a page".to_owned(),
            );
        }
        Ok(wanted)
    }
}

fn prefix(text: &str) -> Result<Prefix, &'static str> {
    Prefix::new(text)
}
