use std::time::Duration;

/// The settings of an emulator. By default the resource is on the plain listener, and nothing is
/// slow.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The access key of the resource, decoded.
    pub access_key: Vec<u8>,
    /// The host name of the resource, served over TLS, such as `contoso.communication.azure.com`;
    /// without one, the plain listener is the resource.
    pub resource_host: Option<String>,
    /// The name of the media host, served over TLS.
    pub media_host: String,
    /// The rate limit of the body of each answer.
    pub bytes_per_second: Option<u64>,
    /// The rate limit of all bodies together.
    pub total_bytes_per_second: Option<u64>,
    /// The time before the head of each answer.
    pub latency: Duration,
    /// The most that the date of a signature may differ from now.
    pub max_date_skew: Duration,
    /// The names of further media hosts, served over TLS, such as targets of redirects.
    pub more_names: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            access_key: (0..32).collect(),
            resource_host: None,
            media_host: "eus-prod.asm.skype.com".to_owned(),
            bytes_per_second: None,
            total_bytes_per_second: None,
            latency: Duration::ZERO,
            max_date_skew: Duration::from_mins(15),
            more_names: Vec::new(),
        }
    }
}
