use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_RSA_SHA256};
use rsa::pkcs1::EncodeRsaPublicKey as _;
use rsa::pkcs8::{EncodePrivateKey as _, EncodePublicKey as _, LineEnding};
use rsa::rand_core::OsRng;
use rsa::traits::PublicKeyParts as _;
use rsa::{Pkcs1v15Sign, Pss, RsaPrivateKey, RsaPublicKey};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256, Sha512};

use super::tokens;

/// The number of keys of [`SigningKey::shared`].
const SHARED: usize = 4;

/// An RSA key that signs tokens.
#[derive(Clone, Debug)]
pub struct SigningKey {
    kid: String,
    key: RsaPrivateKey,
    /// The certificate for `x5c`, in DER. A short key has none.
    certificate: Option<Vec<u8>>,
}

impl SigningKey {
    /// Generates a key of 2048 bits, which is slow: see [`Self::shared`].
    pub fn generate(kid: &str) -> Self {
        let key = rsa(2048);
        Self {
            kid: kid.to_owned(),
            certificate: Some(certificate(&key)),
            key,
        }
    }

    /// Generates a key of 1024 bits, which RS256 does not allow.
    pub fn generate_short(kid: &str) -> Self {
        Self {
            kid: kid.to_owned(),
            certificate: None,
            key: rsa(1024),
        }
    }

    /// One of four keys of 2048 bits that the process generates once. `number` is at most 3; the id
    /// is `key-0` to `key-3`.
    pub fn shared(number: usize) -> &'static Self {
        // Generating a key is slow, and most tests need one.
        static KEYS: [OnceLock<SigningKey>; SHARED] = [const { OnceLock::new() }; SHARED];
        KEYS[number].get_or_init(|| Self::generate(&format!("key-{number}")))
    }

    /// The same key under another id.
    pub fn with_kid(&self, kid: &str) -> Self {
        let mut key = self.clone();
        kid.clone_into(&mut key.kid);
        key
    }

    /// The key id.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The JSON Web Key that a tenant publishes.
    pub fn jwk(&self, tenant: &str) -> Value {
        json!({
            "kty": "RSA",
            "use": "sig",
            "kid": self.kid,
            "x5t": self.thumbprint(),
            "n": URL_SAFE_NO_PAD.encode(self.modulus()),
            "e": URL_SAFE_NO_PAD.encode(self.key.e().to_bytes_be()),
            "x5c": Vec::from_iter(self.certificate.as_ref().map(|der| STANDARD.encode(der))),
            "cloud_instance_name": "microsoftonline.com",
            "issuer": format!("https://login.microsoftonline.com/{tenant}/v2.0"),
        })
    }

    /// The header of a genuine token.
    pub fn header(&self) -> Value {
        json!({"typ": "JWT", "alg": "RS256", "x5t": self.thumbprint(), "kid": self.kid})
    }

    /// A token with this header, signed with RS256 regardless of the header.
    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        let signed = tokens::signed_part(header, claims);
        let signature = self.sign_hash(Pkcs1v15Sign::new::<Sha256>(), &Sha256::digest(&signed));
        tokens::join(&signed, &signature)
    }

    /// A genuine token.
    pub fn token(&self, claims: &Value) -> String {
        self.sign(&self.header(), claims)
    }

    pub(super) fn rs512(&self, signed: &[u8]) -> Vec<u8> {
        self.sign_hash(Pkcs1v15Sign::new::<Sha512>(), &Sha512::digest(signed))
    }

    pub(super) fn ps256(&self, signed: &[u8]) -> Vec<u8> {
        self.key
            .sign_with_rng(&mut OsRng, Pss::new::<Sha256>(), &Sha256::digest(signed))
            .expect("the key is long enough")
    }

    fn sign_hash(&self, scheme: Pkcs1v15Sign, hash: &[u8]) -> Vec<u8> {
        self.key.sign(scheme, hash).expect("the key is long enough")
    }

    /// The public key.
    pub(super) fn public(&self) -> RsaPublicKey {
        self.key.to_public_key()
    }

    /// The public key as PEM (`BEGIN PUBLIC KEY`), line ends included.
    pub fn public_pem(&self) -> String {
        self.public()
            .to_public_key_pem(LineEnding::LF)
            .expect("a key can be written")
    }

    /// The public key as DER (`SubjectPublicKeyInfo`).
    pub fn public_der(&self) -> Vec<u8> {
        let der = self.public().to_public_key_der();
        der.expect("a key can be written").into_vec()
    }

    /// The public key as DER (`RSAPublicKey`), without the name of the algorithm.
    pub fn public_pkcs1_der(&self) -> Vec<u8> {
        let der = self.public().to_pkcs1_der();
        der.expect("a key can be written").into_vec()
    }

    /// The modulus, big-endian.
    pub fn modulus(&self) -> Vec<u8> {
        self.key.n().to_bytes_be()
    }

    /// The thumbprint of the certificate: the SHA-1 hash.
    fn thumbprint(&self) -> String {
        let certificate = self.certificate.as_deref().unwrap_or_default();
        URL_SAFE_NO_PAD.encode(<sha1::Sha1 as sha1::Digest>::digest(certificate))
    }
}

fn rsa(bits: usize) -> RsaPrivateKey {
    RsaPrivateKey::new(&mut OsRng, bits).expect("a key can be made")
}

/// A self-signed certificate for the key, as Entra ID publishes. No client should trust it.
fn certificate(key: &RsaPrivateKey) -> Vec<u8> {
    let der = key.to_pkcs8_der().expect("a key can be written");
    let der = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(der.as_bytes()));
    let pair = KeyPair::from_der_and_sign_algo(&der, &PKCS_RSA_SHA256).expect("the key is sound");
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::CommonName, "accounts.accesscontrol.windows.net");
    let certificate = params.self_signed(&pair).expect("the certificate is sound");
    certificate.der().to_vec()
}
