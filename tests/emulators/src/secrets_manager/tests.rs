mod request;
mod signatures;

use std::time::{Duration, SystemTime};

use serde_json::{Value as Json, json};

use self::request::Request;
use super::*;
use crate::client::Reply;

fn signed(secrets: &SecretsManager, asked: &Json) -> Request {
    let settings = &secrets.shared.settings;
    Request::new(secrets, asked).sign(settings, "secretsmanager", now())
}

#[expect(clippy::disallowed_methods, reason = "signatures are of now")]
fn now() -> SystemTime {
    SystemTime::now()
}

async fn started() -> SecretsManager {
    let secrets = SecretsManager::start(Settings::default()).await;
    secrets.set(r#"{"WEBHOOK_SECRETS":"a"}"#);
    secrets
}

fn asked(secrets: &SecretsManager) -> Json {
    json!({"SecretId": secrets.secret_id()})
}

fn code(reply: &Reply) -> String {
    let body: Json = serde_json::from_str(&reply.body).unwrap();
    let code = body["__type"].as_str().unwrap().to_owned();
    let header = format!("x-amzn-errortype: {}", code.to_ascii_lowercase());
    assert!(reply.head.contains(&header), "{}", reply.head);
    code
}

#[tokio::test]
async fn a_request_signed_by_the_sdk_is_answered_with_the_value() {
    let secrets = started().await;
    for version in 1..3 {
        let reply = signed(&secrets, &asked(&secrets))
            .send(&secrets)
            .await
            .unwrap();
        assert_eq!(reply.status, 200, "{}", reply.body);
        let answer: Json = serde_json::from_str(&reply.body).unwrap();
        let expected = json!({
            "ARN": "arn:aws:secretsmanager:eu-central-1:123456789012:\
                secret:acs-recording-archiver-a1b2c3",
            "CreatedDate": 1_795_447_234.219,
            "Name": "acs-recording-archiver",
            "SecretString": r#"{"WEBHOOK_SECRETS":"a"}"#,
            "VersionId": format!("00000000-0000-4000-8000-{version:012}"),
            "VersionStages": ["AWSCURRENT"],
        });
        assert_eq!(answer, expected);
        assert_eq!(secrets.calls(), version);
        secrets.set(r#"{"WEBHOOK_SECRETS":"a"}"#);
    }
    secrets.clear_calls();
    assert_eq!(secrets.calls(), 0);
}

#[tokio::test]
async fn a_binary_value_has_no_string() {
    let secrets = started().await;
    secrets.set_binary(&b"\0\xff"[..]);
    let reply = signed(&secrets, &asked(&secrets))
        .send(&secrets)
        .await
        .unwrap();
    let answer: Json = serde_json::from_str(&reply.body).unwrap();
    assert_eq!(answer["SecretBinary"], "AP8=");
    assert_eq!(answer.get("SecretString"), None);
}

#[tokio::test]
async fn only_the_current_value_of_the_one_secret_is_found() {
    let empty = SecretsManager::start(Settings::default()).await;
    let reply = signed(&empty, &asked(&empty)).send(&empty).await.unwrap();
    assert_eq!(code(&reply), "ResourceNotFoundException", "no value yet");

    let secrets = started().await;
    let id = secrets.secret_id();
    let arn = format!("arn:aws:secretsmanager:eu-central-1:123456789012:secret:{id}-a1b2c3");
    let version = "00000000-0000-4000-8000-000000000001";
    for (asked, expected) in [
        (json!({"SecretId": arn}), None),
        (json!({"SecretId": id, "VersionStage": "AWSCURRENT"}), None),
        (json!({"SecretId": id, "VersionId": version}), None),
        (
            json!({"SecretId": "another"}),
            Some("ResourceNotFoundException"),
        ),
        (
            json!({"SecretId": id, "VersionStage": "AWSPREVIOUS"}),
            Some("ResourceNotFoundException"),
        ),
        (json!({}), Some("InvalidParameterException")),
    ] {
        let reply = signed(&secrets, &asked).send(&secrets).await.unwrap();
        match expected {
            None => assert_eq!(reply.status, 200, "{asked}"),
            Some(expected) => {
                assert_eq!(
                    (reply.status, code(&reply).as_str()),
                    (400, expected),
                    "{asked}"
                );
            }
        }
    }
}

#[tokio::test]
async fn other_operations_are_unknown() {
    let secrets = started().await;
    let put = |request: &mut Request| {
        *request.header("x-amz-target") = "secretsmanager.PutSecretValue".to_owned();
    };
    for (name, spoil, status) in [
        ("operation", &put as &dyn Fn(&mut Request), 400),
        ("method", &|request| request.line = "PUT /", 404),
        ("path", &|request| request.line = "POST /secret", 404),
        (
            "type",
            &|request| *request.header("content-type") = "text/json".to_owned(),
            400,
        ),
    ] {
        let mut request = Request::new(&secrets, &asked(&secrets));
        spoil(&mut request);
        let settings = &secrets.shared.settings;
        let request = request.sign(settings, "secretsmanager", now());
        let reply = request.send(&secrets).await.unwrap();
        assert_eq!(code(&reply), "UnknownOperationException", "{name}");
        assert_eq!(reply.status, status, "{name}");
    }
}

#[tokio::test]
async fn faults_last_until_changed() {
    let secrets = started().await;
    let asked = asked(&secrets);
    for (fault, status, expected) in [
        (Fault::Refuse, 403, "AccessDeniedException"),
        (Fault::NotFound, 400, "ResourceNotFoundException"),
        (Fault::Throttle, 400, "ThrottlingException"),
        (Fault::Internal, 500, "InternalServiceError"),
    ] {
        secrets.fail(Some(fault));
        for _ in 0..2 {
            let reply = signed(&secrets, &asked).send(&secrets).await.unwrap();
            assert_eq!((reply.status, code(&reply).as_str()), (status, expected));
        }
        let unsigned = Request::new(&secrets, &asked);
        let reply = unsigned.send(&secrets).await.unwrap();
        assert_eq!(code(&reply), "MissingAuthenticationTokenException");
    }

    secrets.fail(Some(Fault::Malformed));
    let reply = signed(&secrets, &asked).send(&secrets).await.unwrap();
    assert_eq!(reply.status, 200);
    assert!(serde_json::from_str::<Json>(&reply.body).is_err());

    secrets.fail(Some(Fault::Drop));
    assert!(signed(&secrets, &asked).send(&secrets).await.is_none());

    secrets.fail(Some(Fault::Hang));
    let request = signed(&secrets, &asked);
    let hanging = tokio::time::timeout(Duration::from_millis(200), request.send(&secrets));
    assert!(hanging.await.is_err());

    secrets.fail(None);
    let reply = signed(&secrets, &asked).send(&secrets).await.unwrap();
    assert_eq!(reply.status, 200);
}

#[tokio::test]
async fn the_server_stops_with_its_last_handle() {
    let secrets = started().await;
    let clone = secrets.clone();
    drop(secrets);
    let reply = signed(&clone, &asked(&clone)).send(&clone).await.unwrap();
    assert_eq!(reply.status, 200);
    let address = clone.endpoint().replace("http://", "");
    drop(clone);
    // The task of the listener ends only when the runtime polls it again.
    while tokio::net::TcpStream::connect(&address).await.is_ok() {
        tokio::task::yield_now().await;
    }
}
