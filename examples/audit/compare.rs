//! An object as S3 reports it against what a manifest says of it. Pure.

use acs_recording_archiver::manifest::StoredObject;
use acs_recording_archiver::store::Object;

use super::report::What;

/// How an object compares.
#[derive(Debug, PartialEq, Eq)]
pub struct Compared {
    /// What is to be said of it, if anything.
    pub difference: Option<(What, String)>,
    /// Whether both sides had a checksum.
    pub by_checksum: bool,
}

/// Compares an object with what a manifest says of it. Two checksums and two sizes that agree mean the same bytes,
/// whatever the ETag: that depends on how an object was uploaded, or encrypted.
pub fn compare(named: &StoredObject<'_>, there: &Object) -> Compared {
    let mut differences: Vec<(What, String)> = Vec::new();
    let differs = |field: &str, there: &str, named: &str| {
        let differ = there != named;
        differ.then(|| format!("{field} is {there} instead of {named}"))
    };
    let (size, named_size) = (there.size.to_string(), named.size.to_string());
    let size = differs("size", &size, &named_size);
    differences.extend(size.map(|text| (What::SizeDiffers, text)));

    let checksums = there.crc64nvme.as_deref().zip(named.crc64nvme.as_deref());
    let checksum = checksums.and_then(|(there, named)| differs("CRC64NVME", there, named));
    differences.extend(checksum.map(|text| (What::ChecksumDiffers, text)));

    // Of other bytes the ETag says nothing more.
    if differences.is_empty() {
        let etag = differs("ETag", &there.etag, &named.etag);
        let what = match checksums {
            Some(_) => What::Rewritten,
            None => What::EtagDiffers,
        };
        differences.extend(etag.map(|text| (what, text)));
    }
    let versions = there.version_id.as_deref().zip(named.version_id.as_deref());
    let version = versions.and_then(|(there, named)| differs("version", there, named));
    differences.extend(version.map(|text| (What::Rewritten, text)));

    let worst = differences.first().map(|(what, _)| *what);
    let texts: Vec<String> = differences.into_iter().map(|(_, text)| text).collect();
    Compared {
        difference: worst.map(|what| (what, texts.join(", "))),
        by_checksum: checksums.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use acs_recording_archiver::store::Identity;

    use super::*;

    #[test]
    fn what_differs_and_how_much_that_matters() {
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
            last_modified: None,
            identity: Identity::default(),
        };
        let (v, w, c, d) = (Some("v"), Some("w"), Some("c"), Some("d"));
        for (named, there, what) in [
            (named(c), there(7, "e", v, c), None),
            (named(c), there(7, "e", None, c), None),
            (named(c), there(7, "e", v, None), None),
            (named(None), there(7, "e", v, c), None),
            (named(c), there(8, "e", v, c), Some(What::SizeDiffers)),
            (named(c), there(8, "f", w, d), Some(What::SizeDiffers)),
            (named(c), there(7, "e", v, d), Some(What::ChecksumDiffers)),
            (named(c), there(7, "f", v, None), Some(What::EtagDiffers)),
            (named(None), there(7, "f", w, c), Some(What::EtagDiffers)),
            (named(c), there(7, "f", w, c), Some(What::Rewritten)),
            (named(c), there(7, "e", w, c), Some(What::Rewritten)),
            (named(None), there(7, "e", w, None), Some(What::Rewritten)),
        ] {
            let compared = compare(&named, &there);
            assert_eq!(
                compared.difference.map(|(what, _)| what),
                what,
                "{named:?} {there:?}"
            );
        }
        let (_, detail) = compare(&named(c), &there(8, "f", w, d)).difference.unwrap();
        assert_eq!(
            detail,
            "size is 8 instead of 7, CRC64NVME is d instead of c, version is w instead of v"
        );
    }
}
