use super::{Condition, Etags};

/// How an [`S3`] behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The name of the first bucket.
    pub bucket: String,
    /// The names of further buckets; none by default.
    pub more_buckets: Vec<String>,
    /// The size below which only the last part of an upload may be. 5 MiB by default, as Amazon S3
    /// has it.
    pub min_part_size: u64,
    /// The longest page of any listing, whatever a client asks for. 1,000 by default.
    pub page_size: usize,
    /// Whether bodies are kept. If not, parts, and whole objects of 1 MiB or more, are only counted
    /// and checksummed; reading such an object answers 501.
    pub keep_bodies: bool,
    /// Whether `ListParts` reports checksums. If not, this plays a store that has them checked but
    /// does not list them.
    pub part_checksums: bool,
    /// How `ETags` are made.
    pub etags: Etags,
    /// The conditions that are ignored, as by some S3-compatible stores; none by default.
    pub ignored: Vec<Condition>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            bucket: "recordings".to_owned(),
            more_buckets: vec![],
            min_part_size: 5 * 1024 * 1024,
            page_size: 1000,
            keep_bodies: true,
            part_checksums: true,
            etags: Etags::Md5,
            ignored: vec![],
        }
    }
}
