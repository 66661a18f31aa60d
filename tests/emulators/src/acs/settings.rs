use std::time::Duration;

/// How an emulator is set up; the default is a sound ACS with its resource on the plain listener.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The resource's access key, decoded.
    pub access_key: Vec<u8>,
    /// The resource's name, served over TLS, as `contoso.communication.azure.com`; without one, the plain
    /// listener is the resource.
    pub resource_host: Option<String>,
    /// The name of the media host, served over TLS.
    pub media_host: String,
    /// The speed limit of each answer's body.
    pub bytes_per_second: Option<u64>,
    /// The speed limit of all answers together, which share it as they ask.
    pub total_bytes_per_second: Option<u64>,
    /// How long each answer's head takes.
    pub latency: Duration,
    /// How far a signature's date may be from now.
    pub max_date_skew: Duration,
    /// Further media hosts, served over TLS: hosts to which a test redirects.
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
