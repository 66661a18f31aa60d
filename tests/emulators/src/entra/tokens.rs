//! Forged tokens: of other algorithms, of none, and with other signatures.
//!
//! A token is `header.claims.signature`, each in base64url. [`SigningKey::sign`] makes genuine
//! ones.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac as _};
use rsa::Pkcs1v15Sign;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::SigningKey;

/// A token with an empty signature, as with `alg: none`.
pub fn unsigned(header: &Value, claims: &Value) -> String {
    format!("{}.", signed_part(header, claims))
}

/// A token signed with HMAC-SHA-256, whose key may be public, such as an RSA modulus.
pub fn hs256(key: &[u8], header: &Value, claims: &Value) -> String {
    let signed = signed_part(header, claims);
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(signed.as_bytes());
    join(&signed, &mac.finalize().into_bytes())
}

/// A token signed by this key with RSASSA-PKCS1-v1_5 and SHA-512.
pub fn rs512(key: &SigningKey, header: &Value, claims: &Value) -> String {
    let signed = signed_part(header, claims);
    join(&signed, &key.rs512(signed.as_bytes()))
}

/// A token signed by this key with RSASSA-PSS and SHA-256.
pub fn ps256(key: &SigningKey, header: &Value, claims: &Value) -> String {
    let signed = signed_part(header, claims);
    join(&signed, &key.ps256(signed.as_bytes()))
}

/// The same token with another signature.
pub fn with_signature(token: &str, signature: &[u8]) -> String {
    let (signed, _) = token.rsplit_once('.').expect("a token has dots");
    join(signed, signature)
}

/// The decoded signature of a token.
pub fn signature(token: &str) -> Vec<u8> {
    let (_, signature) = token.rsplit_once('.').expect("a token has dots");
    URL_SAFE_NO_PAD
        .decode(signature)
        .expect("a token is base64url")
}

/// The claims of a token whose header says RS256 and whose signature this key verifies.
pub(crate) fn verified(key: &SigningKey, token: &str) -> Option<Value> {
    let (signed, signature) = token.rsplit_once('.')?;
    let (header, claims) = signed.split_once('.')?;
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).ok();
    let json = |text: &str| serde_json::from_slice::<Value>(&decode(text)?).ok();
    let scheme = Pkcs1v15Sign::new::<Sha256>();
    let hash = Sha256::digest(signed);
    let verified = key.public().verify(scheme, &hash, &decode(signature)?);
    (verified.is_ok() && json(header)?["alg"] == "RS256").then(|| json(claims))?
}

/// The part of a token that is signed: `header.claims`.
pub(super) fn signed_part(header: &Value, claims: &Value) -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", encode(header), encode(claims))
}

pub(super) fn join(signed: &str, signature: &[u8]) -> String {
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}
