//! The listings of parts, uploads and objects, page by page.

use std::ops::Bound;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use s3s::dto;
use s3s::{S3Result, s3_error};

use super::body::Algorithm;
use super::etags::strong;
use super::state::Store;
use super::{Settings, Upload};

/// The checksum algorithm and type that an upload was created with.
pub(super) fn agreed(
    upload: &Upload,
) -> (Option<dto::ChecksumAlgorithm>, Option<dto::ChecksumType>) {
    let kind = if upload.full_object {
        dto::ChecksumType::FULL_OBJECT
    } else {
        dto::ChecksumType::COMPOSITE
    };
    let algorithm = upload.algorithm.map(Algorithm::name);
    (
        algorithm.map(dto::ChecksumAlgorithm::from_static),
        algorithm.map(|_| dto::ChecksumType::from_static(kind)),
    )
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListParts.html>
pub(super) fn parts(
    upload: &Upload,
    asked: dto::ListPartsInput,
    settings: &Settings,
) -> S3Result<dto::ListPartsOutput> {
    let limit = limit(asked.max_parts, settings)?;
    let marker = asked.part_number_marker.unwrap_or(0);
    let mut rest = upload
        .parts
        .range((Bound::Excluded(marker), Bound::Unbounded));
    let page: Vec<dto::Part> = rest
        .by_ref()
        .take(limit)
        .map(|(&number, part)| {
            let sum = |algorithm| {
                let checksum = part.checksum.as_ref().filter(|_| settings.part_checksums)?;
                checksum.of(algorithm)
            };
            dto::Part {
                part_number: Some(number),
                size: i64::try_from(part.size).ok(),
                e_tag: Some(strong(&part.etag)),
                last_modified: Some(part.last_modified.into()),
                checksum_crc32: sum(Algorithm::Crc32),
                checksum_crc32c: sum(Algorithm::Crc32c),
                checksum_crc64nvme: sum(Algorithm::Crc64Nvme),
                checksum_sha1: sum(Algorithm::Sha1),
                checksum_sha256: sum(Algorithm::Sha256),
            }
        })
        .collect();
    let truncated = limit > 0 && rest.next().is_some();
    let (checksum_algorithm, checksum_type) = if settings.part_checksums {
        agreed(upload)
    } else {
        (None, None)
    };
    Ok(dto::ListPartsOutput {
        bucket: Some(asked.bucket),
        key: Some(asked.key),
        upload_id: Some(asked.upload_id),
        part_number_marker: Some(marker),
        next_part_number_marker: page
            .last()
            .filter(|_| truncated)
            .and_then(|part| part.part_number),
        max_parts: i32::try_from(limit).ok(),
        is_truncated: Some(truncated),
        parts: Some(page),
        checksum_algorithm,
        checksum_type,
        ..Default::default()
    })
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListMultipartUploads.html>
pub(super) fn uploads(
    store: &Store,
    asked: dto::ListMultipartUploadsInput,
    settings: &Settings,
) -> S3Result<dto::ListMultipartUploadsOutput> {
    if asked.delimiter.is_some() {
        return Err(s3_error!(
            NotImplemented,
            "uploads are listed without a delimiter here"
        ));
    }
    let limit = limit(asked.max_uploads, settings)?;
    let prefix = asked.prefix.clone().unwrap_or_default();
    let key_marker = asked.key_marker.as_deref().unwrap_or_default();
    // Amazon S3 ignores an upload id marker without a key marker; a key marker alone skips all
    // uploads of its key.
    let follows = |upload: &Upload| match asked.upload_id_marker.as_deref() {
        _ if key_marker.is_empty() => true,
        Some(id) if upload.key == key_marker => upload.upload_id.as_str() > id,
        _ => upload.key.as_str() > key_marker,
    };
    let mut rest = store
        .uploads
        .values()
        .filter(|upload| upload.key.starts_with(&prefix) && follows(upload));
    let page: Vec<dto::MultipartUpload> = rest
        .by_ref()
        .take(limit)
        .map(|upload| {
            let (checksum_algorithm, checksum_type) = agreed(upload);
            dto::MultipartUpload {
                key: Some(upload.key.clone()),
                upload_id: Some(upload.upload_id.clone()),
                initiated: Some(upload.initiated.into()),
                checksum_algorithm,
                checksum_type,
                ..Default::default()
            }
        })
        .collect();
    let truncated = limit > 0 && rest.next().is_some();
    let last = page.last().filter(|_| truncated);
    Ok(dto::ListMultipartUploadsOutput {
        bucket: Some(asked.bucket),
        prefix: asked.prefix.clone(),
        key_marker: asked.key_marker.clone(),
        upload_id_marker: asked.upload_id_marker.clone(),
        next_key_marker: last.and_then(|upload| upload.key.clone()),
        next_upload_id_marker: last.and_then(|upload| upload.upload_id.clone()),
        max_uploads: i32::try_from(limit).ok(),
        is_truncated: Some(truncated),
        uploads: Some(page),
        ..Default::default()
    })
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html>
pub(super) fn objects(
    store: &Store,
    asked: dto::ListObjectsV2Input,
    settings: &Settings,
) -> S3Result<dto::ListObjectsV2Output> {
    let limit = limit(asked.max_keys, settings)?;
    let after = match &asked.continuation_token {
        Some(token) => Place::parse(token)?,
        None => Place::Key(asked.start_after.clone().unwrap_or_default()),
    };
    let page = Page::of(
        store,
        &after,
        asked.prefix.as_deref().unwrap_or_default(),
        asked.delimiter.as_deref().filter(|text| !text.is_empty()),
        limit,
    );
    let common_prefixes = page.prefixes.into_iter().map(|prefix| dto::CommonPrefix {
        prefix: Some(prefix),
    });
    let common_prefixes: Vec<_> = common_prefixes.collect();
    Ok(dto::ListObjectsV2Output {
        name: Some(asked.bucket),
        prefix: asked.prefix,
        delimiter: asked.delimiter,
        start_after: asked.start_after,
        max_keys: i32::try_from(limit).ok(),
        key_count: i32::try_from(page.contents.len() + common_prefixes.len()).ok(),
        continuation_token: asked.continuation_token,
        next_continuation_token: page
            .last
            .filter(|_| page.truncated)
            .map(|place| place.token()),
        is_truncated: Some(page.truncated),
        contents: Some(page.contents),
        common_prefixes: Some(common_prefixes),
        ..Default::default()
    })
}

/// A page of objects.
#[derive(Default)]
struct Page {
    contents: Vec<dto::Object>,
    prefixes: Vec<String>,
    last: Option<Place>,
    truncated: bool,
}

impl Page {
    /// The first `limit` objects and common prefixes behind `after`.
    fn of(
        store: &Store,
        after: &Place,
        prefix: &str,
        delimiter: Option<&str>,
        limit: usize,
    ) -> Self {
        let mut page = Self::default();
        for (key, object) in &store.objects {
            let Some(rest) = key.strip_prefix(prefix) else {
                continue;
            };
            let seen = |prefix: &String| key.starts_with(prefix);
            if after.covers(key) || page.prefixes.last().is_some_and(seen) {
                continue;
            }
            if page.contents.len() + page.prefixes.len() == limit {
                // A page of no entries could not be continued, so Amazon S3 does not truncate it.
                page.truncated = limit > 0;
                break;
            }
            let common = delimiter.and_then(|delimiter| {
                let (head, _) = rest.split_once(delimiter)?;
                Some(format!("{prefix}{head}{delimiter}"))
            });
            if let Some(common) = common {
                page.last = Some(Place::Prefix(common.clone()));
                page.prefixes.push(common);
            } else {
                page.last = Some(Place::Key(key.clone()));
                page.contents.push(dto::Object {
                    key: Some(key.clone()),
                    size: i64::try_from(object.size).ok(),
                    e_tag: Some(strong(&object.etag)),
                    last_modified: Some(object.last_modified.into()),
                    ..Default::default()
                });
            }
        }
        page
    }
}

/// The last entry of a page of objects.
enum Place {
    Key(String),
    Prefix(String),
}

impl Place {
    fn covers(&self, key: &str) -> bool {
        match self {
            Self::Key(last) => key <= last.as_str(),
            Self::Prefix(last) => key <= last.as_str() || key.starts_with(last),
        }
    }

    fn token(&self) -> String {
        URL_SAFE_NO_PAD.encode(match self {
            Self::Key(key) => format!("k{key}"),
            Self::Prefix(prefix) => format!("p{prefix}"),
        })
    }

    fn parse(token: &str) -> S3Result<Self> {
        let text = URL_SAFE_NO_PAD
            .decode(token)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok());
        match text.as_deref().and_then(|text| text.split_at_checked(1)) {
            Some(("k", key)) => Ok(Self::Key(key.to_owned())),
            Some(("p", prefix)) => Ok(Self::Prefix(prefix.to_owned())),
            _ => Err(s3_error!(
                InvalidArgument,
                "the continuation token provided is incorrect"
            )),
        }
    }
}

fn limit(asked: Option<i32>, settings: &Settings) -> S3Result<usize> {
    let Some(asked) = asked else {
        return Ok(settings.page_size);
    };
    usize::try_from(asked)
        .map(|asked| asked.min(settings.page_size))
        .map_err(|_| s3_error!(InvalidArgument, "a page cannot have {asked} entries"))
}
