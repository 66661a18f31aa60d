//! The storage that holds a recording. Pure.

use super::Chunk;
use crate::locations::is_azure_blob;

/// The class of an event's storage, by the `storageType` and the hosts of the locations together:
/// if the export to the customer's storage *failed*, the event names that storage, but its
/// locations are in ACS.
///
/// <https://learn.microsoft.com/azure/communication-services/quickstarts/call-automation/call-recording/bring-your-own-storage>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StorageClass {
    /// The storage of ACS, or none named.
    Acs,
    /// The customer's Azure storage, and every location is there: ACS has nothing to download.
    Customer,
    /// Another name, or the customer's storage with locations elsewhere. The locations decide.
    Other,
}

impl StorageClass {
    /// The names of the storage of ACS, in lower case.
    const OF_ACS: [&str; 4] = ["", "acs", "acsstorage", "azurecommunicationservices"];
    /// The names of the customer's storage, in lower case.
    const OF_CUSTOMER: [&str; 2] = ["azureblobstorage", "blobstorage"];

    /// The class of a `storageType` in any letter case, given the recording's chunks.
    pub(crate) fn of(storage_type: Option<&str>, chunks: &[Chunk]) -> Self {
        let name = storage_type.unwrap_or_default().trim().to_ascii_lowercase();
        if Self::OF_ACS.contains(&name.as_str()) {
            return Self::Acs;
        }
        let is_there = |chunk: &Chunk| {
            let locations = [&chunk.content_location, &chunk.metadata_location];
            let mut locations = locations.into_iter().flatten().peekable();
            locations.peek().is_some() && locations.all(|location| is_azure_blob(location))
        };
        let is_customers = Self::OF_CUSTOMER.contains(&name.as_str());
        if is_customers && !chunks.is_empty() && chunks.iter().all(is_there) {
            Self::Customer
        } else {
            Self::Other
        }
    }

    /// The name of the class. It never changes, since keys depend on it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Acs => "acs",
            Self::Customer => "customer",
            Self::Other => "other",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storage_type_is_judged_by_its_value_and_its_hosts() {
        use StorageClass::{Acs, Customer, Other};

        let (blob, acs) = (
            "https://contoso.blob.core.windows.net/1",
            "https://a.asm.skype.com/1",
        );
        let chunk = |content: Option<&str>, metadata: Option<&str>| Chunk {
            index: 0,
            document_id: "d".into(),
            content_location: content.map(str::to_owned),
            metadata_location: metadata.map(str::to_owned),
        };
        let there = || chunk(Some(blob), Some(blob));
        let at_acs = || chunk(Some(acs), Some(acs));
        let places = [
            (vec![there()], Customer),
            (vec![there(), chunk(Some(blob), None)], Customer),
            (vec![chunk(None, Some(blob))], Customer),
            (vec![at_acs()], Other),
            (vec![there(), at_acs()], Other),
            (vec![chunk(Some(blob), Some(acs))], Other),
            (vec![chunk(Some(acs), Some(blob))], Other),
            (vec![chunk(Some("https://example.com/1"), None)], Other),
            // By its documentId alone, a recording is asked for at ACS.
            (vec![chunk(None, None)], Other),
            (vec![there(), chunk(None, None)], Other),
            (vec![], Other),
        ];
        for (chunks, of_customers) in &places {
            for name in [
                "blobstorage",
                "blobStorage",
                "azureBlobStorage",
                "AZUREBLOBSTORAGE",
            ] {
                let class = StorageClass::of(Some(name), chunks);
                assert_eq!(class, *of_customers, "{name} {chunks:?}");
            }
            for name in [
                "",
                " ",
                "acs",
                "ACS",
                "acsstorage",
                "AcsStorage",
                "azureCommunicationServices",
            ] {
                assert_eq!(StorageClass::of(Some(name), chunks), Acs, "{name}");
            }
            assert_eq!(StorageClass::of(None, chunks), Acs);
            for name in [
                "AzureBlob",
                "azureFileShare",
                "blob storage",
                "none",
                "null",
            ] {
                assert_eq!(StorageClass::of(Some(name), chunks), Other, "{name}");
            }
        }
        let names = [Acs, Customer, Other].map(StorageClass::name);
        assert_eq!(names, ["acs", "customer", "other"]);
    }
}
