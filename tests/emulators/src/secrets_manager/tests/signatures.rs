use std::time::Duration;

use super::{Request, Settings, asked, code, now, signed, started};

#[tokio::test]
async fn a_request_that_is_signed_wrongly_is_refused() {
    let secrets = started().await;
    let ours = &secrets.shared.settings;
    let unknown_id = Settings {
        access_key_id: "AKIAANOTHEREXAMPLE00".to_owned(),
        ..ours.clone()
    };
    let other_secret = Settings {
        secret_access_key: "another".to_owned(),
        ..ours.clone()
    };
    let hour = Duration::from_hours(1);
    for (settings, service, time, expected) in [
        (
            &unknown_id,
            "secretsmanager",
            now(),
            "UnrecognizedClientException",
        ),
        (
            &other_secret,
            "secretsmanager",
            now(),
            "InvalidSignatureException",
        ),
        (ours, "s3", now(), "InvalidSignatureException"),
        (
            ours,
            "secretsmanager",
            now() - hour,
            "InvalidSignatureException",
        ),
        (
            ours,
            "secretsmanager",
            now() + hour,
            "InvalidSignatureException",
        ),
    ] {
        let request = Request::new(&secrets, &asked(&secrets)).sign(settings, service, time);
        let reply = request.send(&secrets).await.unwrap();
        assert_eq!(
            (reply.status, code(&reply).as_str()),
            (400, expected),
            "{service} {time:?}"
        );
    }
}

const INVALID: &str = "InvalidSignatureException";

type Tamper = fn(&mut Request);

/// Changes of a signed request, and the error code of the answer to each.
const TAMPERED: [(&str, Tamper, &str); 9] = [
    ("body", |request| request.body.push(' '), INVALID),
    ("path", |request| request.line = "POST //", INVALID),
    ("query", |request| request.line = "POST /?a=b", INVALID),
    (
        "target",
        |request| request.header("x-amz-target").push('s'),
        INVALID,
    ),
    (
        "a header that is not signed",
        |request| request.add("x-amz-more", "1"),
        INVALID,
    ),
    (
        "a session token of nobody",
        |request| request.add("x-amz-security-token", "1"),
        "UnrecognizedClientException",
    ),
    (
        "the signature",
        |request| request.header("authorization").push('0'),
        INVALID,
    ),
    (
        "the scheme",
        |request| *request.header("authorization") = "Basic YTpi".to_owned(),
        "IncompleteSignatureException",
    ),
    (
        "no signature",
        |request| request.headers.retain(|(name, _)| name != "authorization"),
        "MissingAuthenticationTokenException",
    ),
];

#[tokio::test]
async fn a_request_that_is_changed_after_signing_is_refused() {
    let secrets = started().await;
    for (name, tamper, expected) in TAMPERED {
        let mut request = signed(&secrets, &asked(&secrets));
        tamper(&mut request);
        let reply = request.send(&secrets).await.unwrap();
        let refused = (reply.status, code(&reply));
        assert_eq!(refused, (400, expected.to_owned()), "{name}");
    }
    assert_eq!(secrets.calls(), TAMPERED.len());
}
