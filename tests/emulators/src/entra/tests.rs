use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rsa::{BigUint, Pkcs1v15Sign, RsaPublicKey};
use sha2::{Digest as _, Sha256};

use super::*;
use crate::client::{Reply, ask};

const TENANT: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";

async fn get(entra: &Entra, path: &str) -> Option<Reply> {
    let line = format!("GET {path}");
    ask(&entra.authority(), &line, &[("host", "entra.test")], "").await
}

fn decode(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

#[tokio::test]
async fn a_token_verifies_with_the_published_key() {
    let entra = Entra::start(TENANT).await;
    let (first, second) = (SigningKey::shared(0), SigningKey::shared(1));
    entra.publish(&[first, second]);

    let reply = get(&entra, &keys_path(TENANT)).await.unwrap();
    assert_eq!(reply.status, 200, "{}", reply.head);
    let published: Value = serde_json::from_str(&reply.body).unwrap();
    let token = second.token(&claims::v1(TENANT, "https://archiver.example", 1, 2));
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let verified = published["keys"].as_array().unwrap().iter().map(|key| {
        let number = |member| BigUint::from_bytes_be(&decode(key[member].as_str().unwrap()));
        let public = RsaPublicKey::new(number("n"), number("e")).unwrap();
        let scheme = Pkcs1v15Sign::new::<Sha256>();
        let verified = public.verify(scheme, &Sha256::digest(signed), &decode(signature));
        (key["kid"].as_str().unwrap(), verified.is_ok())
    });
    assert_eq!(
        verified.collect::<Vec<_>>(),
        [("key-0", false), ("key-1", true)]
    );
    assert_eq!(entra.calls(), 1);
}
