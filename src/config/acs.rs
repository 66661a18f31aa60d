//! The ACS resource, and the credential for downloads from it: an access key or Entra's tokens.

use std::ffi::OsString;

use url::Url;

use super::reader::Reader;
use super::values::guid;
use crate::access::{AccessKey, Application, Resource};

const CONNECTION_STRING: &str = "COMMUNICATION_SERVICES_CONNECTION_STRING";
const ENDPOINT: &str = "COMMUNICATION_SERVICES_ENDPOINT";
const TENANT: &str = "ACS_TENANT_ID";
const CLIENT: &str = "ACS_CLIENT_ID";

/// The source of the credential for downloads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialSource {
    /// The connection string. The key may change while the function runs.
    AccessKey(AccessKey),
    /// Microsoft Entra, for this application.
    Entra(Application),
}

/// Reads the ACS resource and its access key.
pub(super) fn connection<F>(reader: &mut Reader<F>) -> Option<(Resource, AccessKey)>
where
    F: Fn(&str) -> Option<OsString>,
{
    reader.required(
        CONNECTION_STRING,
        "is required: the ACS resource's connection string; or, for Microsoft Entra tokens in \
         place of its access key, COMMUNICATION_SERVICES_ENDPOINT, ACS_TENANT_ID and ACS_CLIENT_ID",
        |text| Resource::from_connection_string(text).map_err(|error| error.to_string()),
    )
}

/// Reads the ACS resource and the source of the credential. Tokens are issued by `authority`.
pub(super) fn acs<F>(
    reader: &mut Reader<F>,
    authority: Option<&Url>,
) -> Option<(Resource, CredentialSource)>
where
    F: Fn(&str) -> Option<OsString>,
{
    // Any of the three asks for tokens, so that the others are reported as missing.
    if ![ENDPOINT, TENANT, CLIENT]
        .iter()
        .any(|name| reader.is_set(name))
    {
        let (resource, access_key) = connection(reader)?;
        return Some((resource, CredentialSource::AccessKey(access_key)));
    }
    if reader.is_set(CONNECTION_STRING) {
        reader.fault(
            CONNECTION_STRING,
            "cannot be set beside COMMUNICATION_SERVICES_ENDPOINT, ACS_TENANT_ID and \
             ACS_CLIENT_ID: downloads are authorized by an access key or by Microsoft Entra \
             tokens, not by both",
        );
    }
    let resource = reader.required(
        ENDPOINT,
        "is required with ACS_TENANT_ID and ACS_CLIENT_ID: the ACS resource's endpoint",
        |text| Resource::from_endpoint(text).map_err(|error| error.to_string()),
    );
    let tenant = reader.required(
        TENANT,
        "is required with COMMUNICATION_SERVICES_ENDPOINT: the tenant of the ACS resource",
        |text| guid(text, "the tenant's id"),
    );
    let client = reader.required(
        CLIENT,
        "is required with COMMUNICATION_SERVICES_ENDPOINT: the application that the functions act \
         as",
        |text| guid(text, "the application's id"),
    );
    let application = Application {
        tenant: tenant?,
        client: client?,
        authority: authority?.clone(),
    };
    Some((resource?, CredentialSource::Entra(application)))
}

#[cfg(test)]
mod tests {
    use super::super::{Config, Faults};
    use super::*;

    const GUID: &str = "01234567-89AB-cdef-0123-456789abcdef";
    const KEYLESS: [(&str, &str); 3] = [
        (ENDPOINT, "https://contoso.communication.azure.com"),
        (TENANT, GUID),
        (CLIENT, "fedcba98-89ab-cdef-0123-456789abcdef"),
    ];

    fn read(settings: &[(&str, &str)]) -> Result<Config, Faults> {
        let bucket = ("RECORDINGS_BUCKET", "recordings");
        Config::read(|name| {
            let mut all = settings.iter().chain([&bucket]);
            let found = all.find(|(set, _)| *set == name);
            found.map(|(_, value)| value.into())
        })
    }

    #[test]
    fn an_application_stands_in_for_the_connection_string() {
        for (authority, expected) in [
            ("", "https://login.microsoftonline.com/"),
            (
                "https://login.microsoftonline.us",
                "https://login.microsoftonline.us/",
            ),
        ] {
            let settings = [&KEYLESS[..], &[("ENTRA_AUTHORITY", authority)]].concat();
            let config = read(&settings).unwrap();
            assert_eq!(config.resource.host(), "contoso.communication.azure.com");
            let CredentialSource::Entra(application) = config.credential else {
                panic!("{:?}", config.credential)
            };
            assert_eq!(application.tenant, GUID.to_lowercase());
            assert_eq!(application.client, KEYLESS[2].1);
            assert_eq!(application.authority.as_str(), expected);
            assert!(config.senders.tenant.is_none(), "a tenant for deliveries");
        }
    }

    #[test]
    fn both_kinds_of_credential_together_are_a_fault() {
        let connection = "endpoint=https://contoso.communication.azure.com/;accesskey=AAECAw==";
        for some in [&KEYLESS[..], &KEYLESS[..1], &KEYLESS[1..2]] {
            let settings = [some, &[(CONNECTION_STRING, connection)]].concat();
            let text = read(&settings).unwrap_err().to_string();
            assert!(
                text.contains(&format!("\n  {CONNECTION_STRING} cannot be set")),
                "{text}"
            );
            assert!(
                !text.contains("contoso") && !text.contains("AAECAw"),
                "{text}"
            );
        }
        // An empty setting counts as not set.
        assert!(read(&[&KEYLESS[..], &[(CONNECTION_STRING, "")]].concat()).is_ok());
        let empty = KEYLESS.map(|(name, _)| (name, " "));
        assert!(read(&[&empty[..], &[(CONNECTION_STRING, connection)]].concat()).is_ok());
    }

    #[test]
    fn a_missing_or_wrong_setting_is_named() {
        for (number, (name, _)) in KEYLESS.iter().enumerate() {
            let mut settings = KEYLESS.to_vec();
            settings.remove(number);
            let text = read(&settings).unwrap_err().to_string();
            assert!(
                text.contains(&format!("\n  {name} is required with ")),
                "{text}"
            );
            assert_eq!(text.lines().count(), 2, "{text}");
            for wrong in [
                "secret",
                "http://contoso.communication.azure.com",
                "https://contoso.communication.azure.com/path",
                "https://u:secret@contoso.communication.azure.com",
                "contoso.onmicrosoft.com",
                "0123456789abcdef0123456789abcdef",
            ] {
                settings = KEYLESS.to_vec();
                settings[number].1 = wrong;
                let text = read(&settings).unwrap_err().to_string();
                assert_eq!(
                    text.matches(&format!("\n  {name} must be ")).count(),
                    1,
                    "{text}"
                );
                assert!(
                    !text.contains("secret") && text.lines().count() == 2,
                    "{text}"
                );
            }
        }
        // The authority serves downloads and deliveries, but its fault is reported once.
        let settings = [&KEYLESS[..], &[("ENTRA_AUTHORITY", "http://x")]].concat();
        let text = read(&settings).unwrap_err().to_string();
        assert_eq!(text.matches("ENTRA_AUTHORITY").count(), 1, "{text}");
    }
}
