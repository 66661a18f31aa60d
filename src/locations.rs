//! The rule on the URLs that an event or a redirect may name. Pure.
//!
//! An event may be forged, and a genuine event is only as good as its sender. A signed request to
//! another host leaks a signature, and a signed request to the ACS resource itself could be any
//! management call. So no URL from an event or a redirect is called unless this rule admits it.

use url::{Host, Position, Url};

/// The hosts to which Microsoft's SDKs send a signature for a recording.
const MEDIA_HOST_SUFFIXES: [&str; 3] = [
    ".asm.skype.com",
    ".asyncgw.teams.microsoft.com",
    ".ams.gov.teams.microsoft.us",
];

/// The hosts of Azure Blob Storage, in the public and the sovereign clouds, each behind the name of
/// a storage account.
///
/// <https://learn.microsoft.com/azure/storage/common/storage-account-overview#storage-account-endpoints>
const BLOB_HOST_SUFFIXES: [&str; 5] = [
    ".blob.core.windows.net",
    ".blob.storage.azure.net",
    ".blob.core.chinacloudapi.cn",
    ".blob.core.usgovcloudapi.net",
    ".blob.core.cloudapi.de",
];

/// The rule on the URLs that are called.
#[derive(Clone, Debug)]
pub struct AllowedLocations {
    suffixes: Vec<String>,
    /// The ACS endpoint if it is plain http, as only that of an emulator is.
    emulator: Option<Url>,
}

/// A URL of an event or a redirect that the rule admits.
#[derive(Clone, PartialEq, Eq)]
pub struct Location(Url);

/// The part of the rule that a URL fails. The URL is not part of the error, since errors are
/// logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAllowed {
    /// The text cannot be parsed, or is a relative URL.
    #[error("location is not a URL")]
    NotAUrl,
    /// The scheme is plain http, or another.
    #[error("location is not https")]
    NotHttps,
    /// The URL has userinfo: `https://user:password@…`.
    #[error("location has userinfo")]
    Userinfo,
    /// The URL names a port other than that of the scheme.
    #[error("location names a port")]
    Port,
    /// The host is no media host of ACS.
    #[error(
        "location is not on a media host of ACS (it may be forged: RUNBOOK.md, Recording rejected)"
    )]
    Host,
}

/// The path on the ACS resource that the 2021 preview downloads a chunk's media from.
pub(crate) fn media_path(document_id: &str) -> String {
    format!("/recording/download/{document_id}")
}

/// The path on the ACS resource that the 2021 preview downloads a chunk's metadata from.
pub(crate) fn metadata_path(document_id: &str) -> String {
    format!("/recording/download/{document_id}/metadata")
}

impl AllowedLocations {
    /// The rule that admits the built-in media hosts and the hosts below `more` suffixes
    /// (`.example.com`, lower case). If `endpoint` is that of an emulator, which is plain http, the
    /// rule admits its origin too.
    #[must_use]
    pub fn new(endpoint: &Url, more: &[String]) -> Self {
        Self {
            suffixes: MEDIA_HOST_SUFFIXES
                .iter()
                .map(ToString::to_string)
                .chain(more.iter().cloned())
                .collect(),
            emulator: (endpoint.scheme() == "http").then(|| endpoint.clone()),
        }
    }

    /// Parses and admits a URL.
    ///
    /// # Errors
    ///
    /// [`NotAllowed`], with the first part of the rule that the URL fails.
    pub fn admit(&self, location: &str) -> Result<Location, NotAllowed> {
        let url = Url::parse(location).map_err(|_| NotAllowed::NotAUrl)?;
        self.admit_url(url)
    }

    /// Admits a parsed URL, such as that of a redirect.
    pub(crate) fn admit_url(&self, url: Url) -> Result<Location, NotAllowed> {
        if !url.username().is_empty() || url.password().is_some() {
            return Err(NotAllowed::Userinfo);
        }
        if self
            .emulator
            .as_ref()
            .is_some_and(|emulator| emulator.origin() == url.origin())
        {
            return Ok(Location(url));
        }
        if url.scheme() != "https" {
            return Err(NotAllowed::NotHttps);
        }
        // The parser drops the port of the scheme, so a port that is left is another.
        if url.port().is_some() {
            return Err(NotAllowed::Port);
        }
        match url.host() {
            Some(Host::Domain(host)) if self.is_media_host(host) => Ok(Location(url)),
            _ => Err(NotAllowed::Host),
        }
    }

    fn is_media_host(&self, host: &str) -> bool {
        let mut suffixes = self.suffixes.iter();
        suffixes.any(|suffix| is_below(host, suffix))
    }
}

/// Returns `true` if only its host can read a request to `url`: https, or plain http to a loopback
/// address. A name is no loopback address, since it may resolve to any host.
pub(crate) fn is_private(url: &Url) -> bool {
    match (url.scheme(), url.host()) {
        ("https", Some(_)) => true,
        ("http", Some(Host::Ipv4(address))) => address.is_loopback(),
        ("http", Some(Host::Ipv6(address))) => address.is_loopback(),
        _ => false,
    }
}

/// Returns `true` if `location` is in Azure Blob Storage, over https at its default port. A
/// signature for ACS is of no use there.
pub(crate) fn is_azure_blob(location: &str) -> bool {
    let Ok(url) = Url::parse(location) else {
        return false;
    };
    let plain = url.scheme() == "https"
        && url.port().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    match url.host() {
        Some(Host::Domain(host)) if plain => BLOB_HOST_SUFFIXES
            .iter()
            .any(|suffix| is_below(host, suffix)),
        _ => false,
    }
}

/// Returns `true` if `host` is a name below the domain that `suffix` names.
fn is_below(host: &str, suffix: &str) -> bool {
    // The parser accepts more characters in a host than a name can have.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    host.bytes().all(plain)
        && host
            .strip_suffix(suffix)
            .is_some_and(|name| !name.is_empty() && !name.starts_with('.') && !name.ends_with('.'))
}

impl Location {
    /// The URL to call.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.0
    }
}

/// Shows the host alone, since the query string of a location may be a secret.
impl std::fmt::Debug for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Location({}…)", &self.0[..Position::BeforePath])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(endpoint: &str) -> AllowedLocations {
        AllowedLocations::new(
            &Url::parse(endpoint).unwrap(),
            &[".media.example.com".to_owned()],
        )
    }

    #[test]
    fn media_hosts_are_admitted() {
        let rule = rule("https://contoso.communication.azure.com/");
        for location in [
            "https://eus-prod.asm.skype.com/v1/objects/0-eus/content/video",
            "https://EUS.ASM.SKYPE.COM:443/v1?x=y#z",
            "https://a.b.asyncgw.teams.microsoft.com/",
            "https://x.ams.gov.teams.microsoft.us/v1",
            "https://eu.media.example.com/v1",
        ] {
            assert!(rule.admit(location).is_ok(), "{location}");
        }
        // In any spelling, the host that is called is the media host.
        for location in [
            "https://%65us.asm.skype.com/",
            "https://eus\u{3002}asm\u{3002}skype\u{3002}com/",
            "https:\\\\eus.asm.skype.com\\evil.example",
            "https:eus.asm.skype.com",
            "ht\ntps://eus.asm.\tskype.com/",
            "https://@eus.asm.skype.com:443/",
            "https://eus.asm.skype.com\\@evil.example/",
        ] {
            let admitted = rule.admit(location).expect(location);
            assert_eq!(admitted.url().host_str(), Some("eus.asm.skype.com"));
            assert_eq!(admitted.url().port_or_known_default(), Some(443));
        }
    }

    const NOT_ADMITTED: &[(&str, NotAllowed)] = &[
        ("", NotAllowed::NotAUrl),
        ("/v1/objects", NotAllowed::NotAUrl),
        ("//eus.asm.skype.com/", NotAllowed::NotAUrl),
        ("https://", NotAllowed::NotAUrl),
        ("http://eus.asm.skype.com/", NotAllowed::NotHttps),
        ("ftp://eus.asm.skype.com/", NotAllowed::NotHttps),
        ("file:///etc/passwd", NotAllowed::NotHttps),
        ("https://user@eus.asm.skype.com/", NotAllowed::Userinfo),
        ("https://:pw@eus.asm.skype.com/", NotAllowed::Userinfo),
        (
            "https://eus.asm.skype.com@evil.example/",
            NotAllowed::Userinfo,
        ),
        ("https://eus.asm.skype.com:8443/", NotAllowed::Port),
        ("https://asm.skype.com/", NotAllowed::Host),
        ("https://.asm.skype.com/", NotAllowed::Host),
        ("https://eus.asm.skype.com./", NotAllowed::Host),
        ("https://a..asm.skype.com/", NotAllowed::Host),
        ("https://eusasm.skype.com/", NotAllowed::Host),
        ("https://eus.asm.skype.com.evil.example/", NotAllowed::Host),
        ("https://evil.example/eus.asm.skype.com", NotAllowed::Host),
        ("https://evil.example\\.asm.skype.com/", NotAllowed::Host),
        ("https://evil.example#.asm.skype.com/", NotAllowed::Host),
        ("https://evil.example?.asm.skype.com/", NotAllowed::Host),
        ("https://127.0.0.1/", NotAllowed::Host),
        ("https://[::1]/", NotAllowed::Host),
        ("https://2130706433/", NotAllowed::Host),
        ("https://eus.asm.skype.cοm/", NotAllowed::Host),
        ("https://eus.asm.skype.xn--cm-fmc/", NotAllowed::Host),
        ("https://eus.\u{430}sm.skype.com/", NotAllowed::Host),
        (
            "https://eus.asm.skype.com\u{3002}evil.example/",
            NotAllowed::Host,
        ),
        (
            "https://evil.example\u{ff0f}.asm.skype.com/",
            NotAllowed::NotAUrl,
        ),
        (
            "https://evil.example\u{ff20}eus.asm.skype.com/",
            NotAllowed::NotAUrl,
        ),
        (
            "https://evil.example\u{2100}.asm.skype.com/",
            NotAllowed::NotAUrl,
        ),
        ("https://\u{ff11}27.0.0.1/", NotAllowed::Host),
        ("https://xn--.asm.skype.com/", NotAllowed::NotAUrl),
        ("https://0x7f000001/", NotAllowed::Host),
        ("https://017700000001/", NotAllowed::Host),
        ("https://127.1/", NotAllowed::Host),
        ("https://[::ffff:127.0.0.1]/", NotAllowed::Host),
        (
            "https://169.254.169.254/latest/meta-data/",
            NotAllowed::Host,
        ),
        ("https://eus.asm.skype.com.1/", NotAllowed::NotAUrl),
        ("https://localhost/", NotAllowed::Host),
        ("https://evil%2Eexample/", NotAllowed::Host),
        (
            "https://evil.example%2F.asm.skype.com/",
            NotAllowed::NotAUrl,
        ),
        (
            "https://evil.example%23.asm.skype.com/",
            NotAllowed::NotAUrl,
        ),
        (
            "https://evil.example%00.asm.skype.com/",
            NotAllowed::NotAUrl,
        ),
        (
            "https://evil.example%40eus.asm.skype.com/",
            NotAllowed::NotAUrl,
        ),
        (
            "https://evil.example%252F.asm.skype.com/",
            NotAllowed::NotAUrl,
        ),
        ("https:\\\\evil.example\\.asm.skype.com\\", NotAllowed::Host),
        (
            "https://evil.example\\@eus.asm.skype.com/",
            NotAllowed::Host,
        ),
        ("https://evil.\texam\r\nple/", NotAllowed::Host),
        ("https://evil.example .asm.skype.com/", NotAllowed::NotAUrl),
        ("https://evil.example\0.asm.skype.com/", NotAllowed::NotAUrl),
        ("https:evil.example", NotAllowed::Host),
        ("HTTPS://EVIL.EXAMPLE/", NotAllowed::Host),
        ("https://eus.asm.skype.com..", NotAllowed::Host),
        ("https://asyncgw.teams.microsoft.com/", NotAllowed::Host),
        ("https://x.ams.gov.teams.microsoft.com/", NotAllowed::Host),
        ("https://media.example.com/", NotAllowed::Host),
        ("https://evilmedia.example.com/", NotAllowed::Host),
        ("https://eus.asm.skype.com:65979/", NotAllowed::NotAUrl),
        ("https://eus.asm.skype.com:0/", NotAllowed::Port),
        ("https://eus.asm.skype.com:80/", NotAllowed::Port),
        ("http://eus.asm.skype.com:443/", NotAllowed::NotHttps),
        ("wss://eus.asm.skype.com/", NotAllowed::NotHttps),
        ("blob:https://eus.asm.skype.com/x", NotAllowed::NotHttps),
        ("data:video/mp4,x", NotAllowed::NotHttps),
        (
            "https://contoso.communication.azure.com/recording/download/x",
            NotAllowed::Host,
        ),
        (
            "https://contoso.communication.azure.com/identities/x",
            NotAllowed::Host,
        ),
        (
            "https://CONTOSO.communication.azure.com:443/identities/x",
            NotAllowed::Host,
        ),
        (
            "https://contoso.communication.azure.com:8443/",
            NotAllowed::Port,
        ),
        (
            "https://x@contoso.communication.azure.com/",
            NotAllowed::Userinfo,
        ),
        (
            "http://contoso.communication.azure.com/",
            NotAllowed::NotHttps,
        ),
        ("https://other.communication.azure.com/", NotAllowed::Host),
    ];

    #[test]
    fn all_other_urls_are_refused() {
        let rule = rule("https://contoso.communication.azure.com/");
        for (location, why) in NOT_ADMITTED {
            assert_eq!(rule.admit(location), Err(*why), "{location}");
        }
    }

    #[test]
    fn an_emulators_own_origin_is_admitted_and_no_other_plain_one() {
        let rule = rule("http://127.0.0.1:9000/");
        assert!(
            rule.admit("http://127.0.0.1:9000/v1/objects/0-eus/content/video")
                .is_ok()
        );
        assert_eq!(
            rule.admit("http://127.0.0.1:9001/"),
            Err(NotAllowed::NotHttps)
        );
        assert_eq!(
            rule.admit("http://u@127.0.0.1:9000/"),
            Err(NotAllowed::Userinfo)
        );
        assert!(rule.admit("https://eus.asm.skype.com/").is_ok());
    }

    #[test]
    fn plain_http_is_for_loopback_addresses_alone() {
        for (url, private) in [
            ("https://contoso.communication.azure.com/", true),
            ("https://192.0.2.1/", true),
            ("http://127.0.0.1:9000/", true),
            ("http://127.1.2.3/", true),
            ("http://[::1]:80/", true),
            ("http://2130706433/", true),
            ("http://contoso.communication.azure.com/", false),
            ("http://localhost:9000/", false),
            ("http://127.0.0.1.example.com/", false),
            ("http://0.0.0.0/", false),
            ("http://10.0.0.1/", false),
            ("http://169.254.169.254/", false),
            ("http://[::]/", false),
            ("http://[::ffff:127.0.0.1]/", false),
            ("ws://127.0.0.1/", false),
            ("file:///etc/passwd", false),
        ] {
            assert_eq!(is_private(&Url::parse(url).unwrap()), private, "{url}");
        }
    }

    #[test]
    fn azure_blob_hosts_are_distinguished_from_similar_names() {
        for (location, is_blob) in [
            (
                "https://contoso.blob.core.windows.net/recordings/1.mp4",
                true,
            ),
            ("HTTPS://CONTOSO.BLOB.CORE.WINDOWS.NET:443/1?sv=2", true),
            ("https://contoso.z12.blob.storage.azure.net/1", true),
            ("https://contoso.blob.core.chinacloudapi.cn/1", true),
            ("https://contoso.blob.core.usgovcloudapi.net/1", true),
            ("https://contoso.blob.core.cloudapi.de/1", true),
            ("", false),
            ("contoso.blob.core.windows.net/1", false),
            ("http://contoso.blob.core.windows.net/1", false),
            ("https://contoso.blob.core.windows.net:8443/1", false),
            ("https://u@contoso.blob.core.windows.net/1", false),
            ("https://blob.core.windows.net/1", false),
            ("https://.blob.core.windows.net/1", false),
            ("https://contosoblob.core.windows.net/1", false),
            ("https://contoso.file.core.windows.net/1", false),
            ("https://contoso.blob.core.windows.net.example.com/1", false),
            ("https://contoso.blob.core.windows.net@example.com/1", false),
            ("https://example.com/contoso.blob.core.windows.net", false),
            ("https://eus-prod.asm.skype.com/v1/objects/1", false),
            ("https://127.0.0.1/1", false),
        ] {
            assert_eq!(is_azure_blob(location), is_blob, "{location}");
        }
    }

    #[test]
    fn a_printed_location_shows_its_host_alone() {
        let location = rule("https://contoso.communication.azure.com/")
            .admit("https://eus.asm.skype.com/v1?sig=abc")
            .unwrap();
        assert_eq!(
            format!("{location:?}"),
            "Location(https://eus.asm.skype.com…)"
        );
    }
}
