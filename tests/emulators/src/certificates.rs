//! A certificate authority for one test run, and the certificates of its servers.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use rustls::{
    ServerConfig,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};

const DAY: Duration = Duration::from_hours(24);

/// A certificate authority, which only clients configured with [`Authority::pem`] trust.
#[derive(Debug)]
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    /// Creates an authority with a new key.
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        name(&mut params, "Authority of the emulators");
        valid_for(&mut params, 365);
        let key = KeyPair::generate().expect("a key can be made");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("the authority is sound");
        Self { issuer }
    }

    /// The authority's certificate, for a client to trust.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// The configuration of an HTTP/1.1 server with a certificate for these DNS names or IP
    /// addresses.
    pub fn server(&self, names: &[&str]) -> Arc<ServerConfig> {
        let mut params =
            CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>())
                .expect("the names can stand in a certificate");
        // Verifiers refuse a leaf that could sign certificates ("CA used as end entity").
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        name(&mut params, "Server of the emulators");
        // Some platforms refuse leaves that are valid for years.
        valid_for(&mut params, 90);

        let key = KeyPair::generate().expect("a key can be made");
        let leaf = params
            .signed_by(&key, &self.issuer)
            .expect("the leaf is sound");
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));

        let mut config =
            ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .expect("ring has cipher suites for every version")
                .with_no_client_auth()
                .with_single_cert(vec![leaf.der().clone()], key)
                .expect("key and leaf belong together");
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Arc::new(config)
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

/// Sets the common name. Authority and leaf need different ones: verifiers take a leaf with the
/// name of its issuer for self-signed.
fn name(params: &mut CertificateParams, common_name: &str) {
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
}

#[expect(clippy::disallowed_methods, reason = "certificates live from now on")]
fn valid_for(params: &mut CertificateParams, days: u32) {
    let now = SystemTime::now();
    params.not_before = (now - DAY).into();
    params.not_after = (now + DAY * days).into();
}
