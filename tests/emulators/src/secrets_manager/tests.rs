use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use serde_json::{Value as Json, json};

use super::*;
use crate::client::{Reply, ask};

/// A request as the SDK makes it, which a test may spoil before or after it is signed.
struct Request {
    line: &'static str,
    headers: Vec<(String, String)>,
    body: String,
}

impl Request {
    fn new(secrets: &SecretsManager, asked: &Json) -> Self {
        let host = secrets.endpoint().replace("http://", "");
        let headers = [
            ("host", host.as_str()),
            ("content-type", "application/x-amz-json-1.1"),
            ("x-amz-target", "secretsmanager.GetSecretValue"),
            (
                "x-amz-user-agent",
                "aws-sdk-rust/1.3.15 os/linux  lang/rust",
            ),
        ];
        Self {
            line: "POST /",
            headers: headers
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .to_vec(),
            body: asked.to_string(),
        }
    }

    fn sign(mut self, settings: &Settings, service: &str, time: SystemTime) -> Self {
        let identity = Credentials::new(
            &settings.access_key_id,
            &settings.secret_access_key,
            None,
            None,
            "test",
        )
        .into();
        let params = SigningParams::builder()
            .identity(&identity)
            .region("eu-central-1")
            .name(service)
            .time(time)
            .settings(SigningSettings::default())
            .build()
            .unwrap()
            .into();
        let headers = self.headers.iter();
        let headers = headers.map(|(name, value)| (name.as_str(), value.as_str()));
        let body = SignableBody::Bytes(self.body.as_bytes());
        let (method, path) = self.line.split_once(' ').unwrap();
        let uri = format!("http://{}{path}", self.headers[0].1);
        let request = SignableRequest::new(method, uri, headers, body).unwrap();
        let (signed, _) = sign(request, &params).unwrap().into_parts();
        let (added, _) = signed.into_parts();
        let added = added
            .iter()
            .map(|header| (header.name().to_owned(), header.value().to_owned()));
        self.headers.extend(added);
        self
    }

    async fn send(&self, secrets: &SecretsManager) -> Option<Reply> {
        let headers: Vec<_> = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        ask(&secrets.endpoint(), self.line, &headers, &self.body).await
    }
}

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

#[tokio::test]
async fn what_the_sdk_signs_is_answered_with_the_value() {
    let secrets = started().await;
    let reply = signed(&secrets, &asked(&secrets))
        .send(&secrets)
        .await
        .unwrap();
    assert_eq!(reply.status, 200, "{}", reply.body);
    let answer: Json = serde_json::from_str(&reply.body).unwrap();
    assert_eq!(answer["SecretString"], r#"{"WEBHOOK_SECRETS":"a"}"#);
    assert_eq!(secrets.calls(), 1);
}
