use super::{Condition, Etags};

/// The settings of a server.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The name of the first bucket.
    pub bucket: String,
    /// The names of further buckets. None by default.
    pub more_buckets: Vec<String>,
    /// The least size of a part that is not the last. 5 MiB by default, as in Amazon S3:
    /// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>
    pub min_part_size: u64,
    /// The most entries of a page of any listing, whatever a client asks for. 1,000 by default.
    pub page_size: usize,
    /// `true` to store bodies. Otherwise parts, and objects of 1 MiB or more put in one request,
    /// are only counted and checksummed; reading such an object answers 501.
    pub keep_bodies: bool,
    /// `true` to list checksums in `ListParts`. Otherwise this is a store that checks them without
    /// listing them.
    pub part_checksums: bool,
    /// The form of `ETags`.
    pub etags: Etags,
    /// The conditions that are ignored, as some S3-compatible stores do. None by default.
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
