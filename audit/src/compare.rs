//! The comparison of an object with the manifest that names it. Pure.

use acs_recording_archiver::documents::StoredObject;
use acs_recording_archiver::keys::ChunkName;
use acs_recording_archiver::store::Object;

use super::report::EntryKind;

/// The result of a comparison.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Compared {
    /// The most serious kind of difference, and the text of all differences.
    pub(crate) difference: Option<(EntryKind, String)>,
    /// `true` if both sides have a checksum.
    pub(crate) by_checksum: bool,
}

/// Compares an object with its description in a manifest, and with the chunk's name in its key.
/// Equal checksums and sizes mean equal bytes, even if the ETags differ.
pub(crate) fn compare(named: &StoredObject<'_>, name: ChunkName<'_>, there: &Object) -> Compared {
    let mut differences: Vec<(EntryKind, String)> = Vec::new();
    let differs = |field: &str, there: &str, named: &str| {
        let differ = there != named;
        differ.then(|| format!("{field} is {there} instead of {named}"))
    };
    let (size, named_size) = (there.size.to_string(), named.size.to_string());
    let size = differs("size", &size, &named_size);
    differences.extend(size.map(|text| (EntryKind::SizeDiffers, text)));

    let checksums = there.crc64nvme.as_deref().zip(named.crc64nvme.as_deref());
    let checksum = checksums.and_then(|(there, named)| differs("CRC64NVME", there, named));
    differences.extend(checksum.map(|text| (EntryKind::ChecksumDiffers, text)));

    let same_bytes = differences.is_empty();
    // The key contains the documentId and a hash of the location of the source. The function writes
    // both into the metadata of the object, with the length of the source. An object with other
    // values was not written for this key, even if a manifest has its checksum.
    let (own, size) = (&there.identity, there.size.to_string());
    let source_length = own.source_length.map(|length| length.to_string());
    let origins = [
        differs("document-id", &own.origin.document_id, name.document_id),
        differs("location", &own.origin.location, name.location),
        source_length.and_then(|length| differs("source-length", &length, &size)),
    ];
    let origins = origins.into_iter().flatten();
    differences.extend(origins.map(|text| (EntryKind::OriginDiffers, text)));

    // The ETag also depends on the part size and the encryption, so it is evidence of other bytes
    // only where no checksums can be compared.
    // https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html
    if same_bytes {
        let etag = differs("ETag", &there.etag, &named.etag);
        let kind = match checksums {
            Some(_) => EntryKind::Rewritten,
            None => EntryKind::EtagDiffers,
        };
        differences.extend(etag.map(|text| (kind, text)));
    }
    let versions = there.version_id.as_deref().zip(named.version_id.as_deref());
    let version = versions.and_then(|(there, named)| differs("version", there, named));
    differences.extend(version.map(|text| (EntryKind::Rewritten, text)));

    let worst = differences.first().map(|(kind, _)| *kind);
    let texts: Vec<String> = differences.into_iter().map(|(_, text)| text).collect();
    Compared {
        difference: worst.map(|kind| (kind, texts.join(", "))),
        by_checksum: checksums.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use acs_recording_archiver::store::{Identity, Origin};

    use super::*;

    const NAME: ChunkName<'_> = ChunkName {
        index: 0,
        document_id: "d",
        location: "0123456789abcdef",
    };

    #[test]
    fn the_most_serious_difference_decides() {
        let named = |crc64nvme: Option<&'static str>| StoredObject {
            key: "k".into(),
            size: 7,
            etag: "e".into(),
            version_id: Some("v".into()),
            crc64nvme: crc64nvme.map(Into::into),
            content_type: None,
        };
        let there = |size, etag: &str, version: Option<&str>, crc64nvme: Option<&str>| Object {
            size,
            etag: etag.into(),
            version_id: version.map(str::to_owned),
            crc64nvme: crc64nvme.map(str::to_owned),
            content_type: None,
            identity: Identity {
                origin: Arc::new(Origin {
                    document_id: NAME.document_id.to_owned(),
                    location: NAME.location.to_owned(),
                }),
                ..Identity::default()
            },
        };
        let (v, w, c, d) = (Some("v"), Some("w"), Some("c"), Some("d"));
        for (named, there, kind) in [
            (named(c), there(7, "e", v, c), None),
            (named(c), there(7, "e", None, c), None),
            (named(c), there(7, "e", v, None), None),
            (named(None), there(7, "e", v, c), None),
            (named(c), there(8, "e", v, c), Some(EntryKind::SizeDiffers)),
            (named(c), there(8, "f", w, d), Some(EntryKind::SizeDiffers)),
            (
                named(c),
                there(7, "e", v, d),
                Some(EntryKind::ChecksumDiffers),
            ),
            (
                named(c),
                there(7, "f", v, None),
                Some(EntryKind::EtagDiffers),
            ),
            (
                named(None),
                there(7, "f", w, c),
                Some(EntryKind::EtagDiffers),
            ),
            (named(c), there(7, "f", w, c), Some(EntryKind::Rewritten)),
            (named(c), there(7, "e", w, c), Some(EntryKind::Rewritten)),
            (
                named(None),
                there(7, "e", w, None),
                Some(EntryKind::Rewritten),
            ),
        ] {
            let compared = compare(&named, NAME, &there);
            assert_eq!(
                compared.difference.map(|(kind, _)| kind),
                kind,
                "{named:?} {there:?}"
            );
        }
        let (_, detail) = compare(&named(c), NAME, &there(8, "f", w, d))
            .difference
            .unwrap();
        assert_eq!(
            detail,
            "size is 8 instead of 7, CRC64NVME is d instead of c, version is w instead of v"
        );
    }
}
