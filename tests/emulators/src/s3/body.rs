//! The reader of a body, and checksums.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html>

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use crc_fast::CrcAlgorithm;
use futures_util::StreamExt as _;
use hyper::HeaderMap;
use md5::{Digest as _, Md5};
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Crc32, Crc32c, Sha1, Sha256};
use s3s::dto::StreamingBlob;
use s3s::{S3Result, TrailingHeaders, s3_error};

/// The most bytes that are reserved because a header announces them.
const LARGEST_RESERVE: u64 = 64 * 1024 * 1024;

/// A checksum algorithm of Amazon S3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    Crc32,
    Crc32c,
    Crc64Nvme,
    Sha1,
    Sha256,
}

impl Algorithm {
    const ALL: [Self; 5] = [
        Self::Crc32,
        Self::Crc32c,
        Self::Crc64Nvme,
        Self::Sha1,
        Self::Sha256,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Crc32 => "CRC32",
            Self::Crc32c => "CRC32C",
            Self::Crc64Nvme => "CRC64NVME",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
        }
    }

    pub(super) fn parse(name: &str) -> S3Result<Self> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.name() == name)
            .ok_or_else(|| s3_error!(InvalidRequest, "unknown checksum algorithm {name}"))
    }

    pub(super) fn header(self) -> &'static str {
        match self {
            Self::Crc32 => "x-amz-checksum-crc32",
            Self::Crc32c => "x-amz-checksum-crc32c",
            Self::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Self::Sha1 => "x-amz-checksum-sha1",
            Self::Sha256 => "x-amz-checksum-sha256",
        }
    }

    /// The algorithm that the headers announce, with a value or for a trailer.
    pub(super) fn announced(headers: &HeaderMap) -> S3Result<Option<Self>> {
        let trailers = text(headers, "x-amz-trailer").unwrap_or_default();
        let mut announced = Self::ALL.into_iter().filter(|algorithm| {
            let header = algorithm.header();
            headers.contains_key(header) || trailers.split(',').any(|name| name.trim() == header)
        });
        let first = announced.next();
        if announced.next().is_some() {
            return Err(s3_error!(
                InvalidRequest,
                "expecting a single x-amz-checksum- header"
            ));
        }
        // The SDK names the algorithm in a header of its own, which is no checksum by itself.
        let named = text(headers, "x-amz-sdk-checksum-algorithm")
            .map(Self::parse)
            .transpose()?;
        if named.is_some() && named != first {
            return Err(s3_error!(
                InvalidRequest,
                "x-amz-sdk-checksum-algorithm without its x-amz-checksum- header or trailer"
            ));
        }
        Ok(first)
    }
}

/// A checksum in the form of the headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Checksum {
    pub(super) algorithm: Algorithm,
    pub(super) value: String,
}

impl Checksum {
    pub(super) fn of(&self, algorithm: Algorithm) -> Option<String> {
        (self.algorithm == algorithm).then(|| self.value.clone())
    }
}

/// A CRC64NVME in the form of the headers.
pub(super) fn encode(crc64nvme: u64) -> String {
    STANDARD.encode(crc64nvme.to_be_bytes())
}

/// A complete body that matches the length and checksum in its headers.
pub(super) struct Received {
    /// The bytes; empty if they are not stored.
    pub(super) bytes: Bytes,
    pub(super) size: u64,
    pub(super) md5: Option<[u8; 16]>,
    pub(super) crc64nvme: u64,
    /// The checksum in the headers or trailers.
    pub(super) checksum: Option<Checksum>,
}

/// The results of reading a body that a caller needs.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    pub(super) bytes: bool,
    pub(super) md5: bool,
}

/// The checksums of a body that is still coming in.
struct Sums {
    algorithm: Option<Algorithm>,
    hasher: ChecksumHasher,
    crc64nvme: crc_fast::Digest,
    md5: Option<Md5>,
}

impl Sums {
    fn new(algorithm: Option<Algorithm>, md5: bool) -> Self {
        let mut hasher = ChecksumHasher::default();
        match algorithm {
            Some(Algorithm::Crc32) => hasher.crc32 = Some(Crc32::new()),
            Some(Algorithm::Crc32c) => hasher.crc32c = Some(Crc32c::new()),
            Some(Algorithm::Sha1) => hasher.sha1 = Some(Sha1::new()),
            Some(Algorithm::Sha256) => hasher.sha256 = Some(Sha256::new()),
            Some(Algorithm::Crc64Nvme) | None => {}
        }
        Self {
            algorithm,
            hasher,
            crc64nvme: crc_fast::Digest::new(CrcAlgorithm::Crc64Nvme),
            md5: md5.then(Md5::new),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.crc64nvme.update(bytes);
        if let Some(md5) = &mut self.md5 {
            md5.update(bytes);
        }
    }

    /// A body with these checksums.
    fn finish(self, bytes: Bytes, size: u64) -> Received {
        let crc64nvme = self.crc64nvme.finalize();
        let sums = self.hasher.finalize();
        let checksum = self.algorithm.and_then(|algorithm| {
            let value = match algorithm {
                Algorithm::Crc32 => sums.checksum_crc32,
                Algorithm::Crc32c => sums.checksum_crc32c,
                Algorithm::Crc64Nvme => Some(encode(crc64nvme)),
                Algorithm::Sha1 => sums.checksum_sha1,
                Algorithm::Sha256 => sums.checksum_sha256,
            };
            value.map(|value| Checksum { algorithm, value })
        });
        Received {
            bytes,
            size,
            md5: self.md5.map(|md5| md5.finalize().into()),
            crc64nvme,
            checksum,
        }
    }
}

/// Reads a body to its end and checks it.
pub(super) async fn read(
    mut body: Option<StreamingBlob>,
    headers: &HeaderMap,
    trailers: Option<TrailingHeaders>,
    wanted: Wanted,
) -> S3Result<Received> {
    let mut sums = Sums::new(Algorithm::announced(headers)?, wanted.md5);
    let declared = declared_length(headers);
    // The bytes are copied: pieces that are stored would keep the read buffers of the connection,
    // which are larger, in memory.
    let capacity = declared
        .filter(|_| wanted.bytes)
        .unwrap_or(0)
        .min(LARGEST_RESERVE);
    let mut bytes = BytesMut::with_capacity(usize::try_from(capacity).unwrap_or(0));
    let mut size = 0;

    while let Some(body) = &mut body
        && let Some(chunk) = body.next().await
    {
        let chunk = chunk.map_err(|cause| s3_error!(IncompleteBody, "{cause}"))?;
        size += chunk.len() as u64;
        sums.update(&chunk);
        if wanted.bytes {
            bytes.extend_from_slice(&chunk);
        }
    }

    if declared.is_some_and(|declared| declared != size) {
        return Err(s3_error!(
            IncompleteBody,
            "{size} bytes instead of {declared:?}"
        ));
    }
    let received = sums.finish(bytes.freeze(), size);
    check_checksum(&received, headers, trailers.as_ref())?;
    check_md5(&received, headers)?;
    Ok(received)
}

/// Compares a body's checksum with the one in its header or trailer.
fn check_checksum(
    received: &Received,
    headers: &HeaderMap,
    trailers: Option<&TrailingHeaders>,
) -> S3Result<()> {
    let Some(checksum) = &received.checksum else {
        return Ok(());
    };
    let header = checksum.algorithm.header();
    let sent = text(headers, header)
        .map(str::to_owned)
        .or_else(|| trailers?.read(|trailers| text(trailers, header).map(str::to_owned))?);
    match sent {
        Some(sent) if sent == checksum.value => Ok(()),
        Some(sent) => Err(s3_error!(
            BadDigest,
            "{header} is {sent} but the body has {}",
            checksum.value
        )),
        None => Err(s3_error!(InvalidRequest, "trailer {header} is missing")),
    }
}

fn check_md5(received: &Received, headers: &HeaderMap) -> S3Result<()> {
    match (text(headers, "content-md5"), received.md5) {
        (Some(sent), Some(md5)) if STANDARD.encode(md5) != sent => {
            Err(s3_error!(BadDigest, "Content-MD5 does not match"))
        }
        _ => Ok(()),
    }
}

/// The length of a body without the framing of `aws-chunked`.
///
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html>
pub(super) fn declared_length(headers: &HeaderMap) -> Option<u64> {
    text(headers, "x-amz-decoded-content-length")
        .or_else(|| text(headers, "content-length"))?
        .parse()
        .ok()
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
