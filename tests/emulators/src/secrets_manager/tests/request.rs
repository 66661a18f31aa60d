use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use serde_json::Value as Json;

use crate::client::{Reply, ask};
use crate::secrets_manager::{SecretsManager, Settings};

/// A request of the SDK, which a test may change before or after it is signed.
pub(super) struct Request {
    pub(super) line: &'static str,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
}

impl Request {
    pub(super) fn new(secrets: &SecretsManager, asked: &Json) -> Self {
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

    pub(super) fn header(&mut self, name: &str) -> &mut String {
        let mut headers = self.headers.iter_mut();
        &mut headers.find(|(other, _)| other == name).unwrap().1
    }

    pub(super) fn add(&mut self, name: &str, value: &str) {
        self.headers.push((name.to_owned(), value.to_owned()));
    }

    pub(super) fn sign(mut self, settings: &Settings, service: &str, time: SystemTime) -> Self {
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

    pub(super) async fn send(&self, secrets: &SecretsManager) -> Option<Reply> {
        let headers: Vec<_> = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        ask(&secrets.endpoint(), self.line, &headers, &self.body).await
    }
}
