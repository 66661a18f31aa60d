use std::time::Duration;

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use hmac::{Hmac, Mac as _};
use rsa::pkcs8::DecodePublicKey as _;
use rsa::traits::PublicKeyParts as _;
use rsa::{BigUint, Pkcs1v15Sign, Pss, RsaPublicKey};
use sha2::{Digest as _, Sha256, Sha512};

use super::*;
use crate::client::{Reply, ask};

const TENANT: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";
const AUDIENCE: &str = "https://archiver.example";

async fn get(entra: &Entra, path: &str) -> Option<Reply> {
    let line = format!("GET {path}");
    ask(&entra.authority(), &line, &[("host", "entra.test")], "").await
}

async fn keys(entra: &Entra) -> Reply {
    get(entra, &keys_path(TENANT)).await.unwrap()
}

fn decode(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

/// The public key of a published key.
fn public(jwk: &Value) -> RsaPublicKey {
    let number = |member| BigUint::from_bytes_be(&decode(jwk[member].as_str().unwrap()));
    RsaPublicKey::new(number("n"), number("e")).unwrap()
}

/// Returns `true` if this key signed the token with RS256.
fn verifies(public: &RsaPublicKey, token: &str) -> bool {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let scheme = Pkcs1v15Sign::new::<Sha256>();
    let verified = public.verify(scheme, &Sha256::digest(signed), &decode(signature));
    verified.is_ok()
}

#[tokio::test]
async fn a_token_verifies_with_the_published_key_of_its_id() {
    let entra = Entra::start(TENANT).await;
    let (first, second) = (SigningKey::shared(0), SigningKey::shared(1));
    entra.publish(&[first, second]);

    let reply = keys(&entra).await;
    assert_eq!(reply.status, 200, "{}", reply.head);
    let published: Value = serde_json::from_str(&reply.body).unwrap();
    let token = second.token(&claims::v1(TENANT, AUDIENCE, 1, 2));
    let verified = published["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|jwk| (jwk["kid"].as_str().unwrap(), verifies(&public(jwk), &token)));
    let verified: Vec<_> = verified.collect();
    assert_eq!(verified, [("key-0", false), ("key-1", true)]);
    assert_eq!(entra.calls(), 1);
}

#[test]
fn a_published_key_has_entras_members() {
    let key = SigningKey::shared(0).with_kid("another");
    let jwk = key.jwk(TENANT);
    for (member, expected) in [
        ("kty", "RSA"),
        ("use", "sig"),
        ("kid", "another"),
        ("e", "AQAB"),
    ] {
        assert_eq!(jwk[member], expected, "{member}");
    }
    let issuer = format!("https://login.microsoftonline.com/{TENANT}/v2.0");
    assert_eq!(jwk["issuer"], issuer);
    assert_eq!(jwk["x5t"].as_str().unwrap().len(), 27);
    let certificate = STANDARD.decode(jwk["x5c"][0].as_str().unwrap()).unwrap();
    let of_the_key = key.public_pkcs1_der();
    let mut windows = certificate.windows(of_the_key.len());
    assert!(windows.any(|window| window == of_the_key));
}

#[test]
fn a_public_key_is_the_same_in_every_form() {
    let key = SigningKey::shared(0);
    let expected = key.public();
    let pem = RsaPublicKey::from_public_key_pem(&key.public_pem()).unwrap();
    let der = RsaPublicKey::from_public_key_der(&key.public_der()).unwrap();
    assert_eq!((&pem, &der), (&expected, &expected));
    assert_eq!(public(&key.jwk(TENANT)), expected);
    assert_eq!(expected.n().to_bytes_be(), key.modulus());
}

#[test]
fn a_token_has_the_given_header_and_claims() {
    let header = json!({"alg": "none", "kid": "../../etc", "jku": "https://evil.example"});
    let claims = claims::v2(TENANT, AUDIENCE, 1, 2);
    let token = SigningKey::shared(0).sign(&header, &claims);
    let parts: Vec<&str> = token.split('.').collect();
    for (part, expected) in [(parts[0], header), (parts[1], claims)] {
        let part: Value = serde_json::from_slice(&decode(part)).unwrap();
        assert_eq!(part, expected);
    }
    assert!(verifies(&SigningKey::shared(0).public(), &token));
}

#[test]
fn claims_are_of_their_version() {
    let (v1, v2) = (
        claims::v1(TENANT, AUDIENCE, 10, 20),
        claims::v2(TENANT, AUDIENCE, 10, 20),
    );
    for claims in [&v1, &v2] {
        assert_eq!(claims["aud"], AUDIENCE);
        assert_eq!(claims["tid"], TENANT);
        for (name, expected) in [("iat", 10), ("nbf", 10), ("exp", 20)] {
            assert_eq!(claims[name], expected, "{name}");
        }
    }
    assert_eq!((&v1["ver"], &v2["ver"]), (&json!("1.0"), &json!("2.0")));
    let (caller, other) = (json!(claims::EVENT_GRID), None);
    assert_eq!((v1.get("appid"), v1.get("azp")), (Some(&caller), other));
    assert_eq!((v2.get("azp"), v2.get("appid")), (Some(&caller), other));
}

#[test]
fn forged_tokens_are_signed_as_their_names_say() {
    let key = SigningKey::shared(0);
    let (header, claims) = (json!({"alg": "HS256"}), json!({}));

    let unsigned = tokens::unsigned(&header, &claims);
    assert!(unsigned.ends_with('.') && tokens::signature(&unsigned).is_empty());

    let token = tokens::hs256(&key.modulus(), &header, &claims);
    let (signed, _) = token.rsplit_once('.').unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key.modulus()).unwrap();
    mac.update(signed.as_bytes());
    mac.verify_slice(&tokens::signature(&token)).unwrap();

    let token = tokens::rs512(key, &header, &claims);
    let signature = tokens::signature(&token);
    let scheme = Pkcs1v15Sign::new::<Sha512>();
    let verified = key
        .public()
        .verify(scheme, &Sha512::digest(signed), &signature);
    verified.unwrap();

    let token = tokens::ps256(key, &header, &claims);
    let signature = tokens::signature(&token);
    let scheme = Pss::new::<Sha256>();
    let verified = key
        .public()
        .verify(scheme, &Sha256::digest(signed), &signature);
    verified.unwrap();

    let token = key.token(&claims);
    let signature = tokens::signature(&token);
    assert_eq!(tokens::with_signature(&token, &signature), token);
    let cut = tokens::with_signature(&token, &signature[1..]);
    assert!(verifies(&key.public(), &token) && !verifies(&key.public(), &cut));
}

#[test]
fn a_short_key_signs_too() {
    let key = SigningKey::generate_short("short");
    assert_eq!(key.modulus().len(), 128);
    assert!(verifies(&key.public(), &key.token(&json!({}))));
    assert_eq!(key.jwk(TENANT)["x5c"], json!([]));
}

#[tokio::test]
async fn only_the_tenants_keys_are_served() {
    let entra = Entra::start(TENANT).await;
    assert_eq!(keys(&entra).await.body, r#"{"keys":[]}"#, "none published");
    for path in [
        "/",
        "/common/discovery/v2.0/keys",
        "/72f988bf-86f1-41af-91ab-2d7cd011db47/discovery/v2.0/keys/",
    ] {
        assert_eq!(get(&entra, path).await.unwrap().status, 404, "{path}");
    }
    entra.set_body("<html>");
    assert_eq!(keys(&entra).await.body, "<html>");
    assert_eq!(entra.calls(), 5);
    entra.clear_calls();
    assert_eq!(entra.calls(), 0);
}

#[tokio::test]
async fn faults_last_until_changed() {
    let entra = Entra::start(TENANT).await;
    entra.fail(Some(Fault::Status(503)));
    for _ in 0..2 {
        assert_eq!(keys(&entra).await.status, 503);
    }
    entra.fail(Some(Fault::Redirect("http://127.0.0.1:1/keys".to_owned())));
    let reply = keys(&entra).await;
    assert_eq!(reply.status, 302);
    assert!(reply.head.contains("\r\nlocation: http://127.0.0.1:1/keys"));

    entra.fail(Some(Fault::Drop));
    assert!(get(&entra, &keys_path(TENANT)).await.is_none());

    entra.fail(Some(Fault::Endless));
    let reply = keys(&entra).await;
    assert_eq!(reply.status, 200);
    assert!(!reply.head.contains("content-length"));
    assert!(reply.body.len() > 1_000_000);

    entra.fail(Some(Fault::Hang));
    let path = keys_path(TENANT);
    let asking = tokio::time::timeout(Duration::from_millis(200), get(&entra, &path));
    assert!(asking.await.is_err());

    entra.fail(None);
    assert_eq!(keys(&entra).await.status, 200);
    assert_eq!(entra.calls(), 7);
}
