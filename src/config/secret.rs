//! A secret in Secrets Manager whose members are settings (`SECRET_ID`).

use std::collections::BTreeMap;
use std::fmt;

use aws_config::SdkConfig;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::config::StalledStreamProtectionConfig;
use serde_json::Value;

use super::SETTINGS;
use crate::cached::BoxError;

/// A secret in Secrets Manager.
#[derive(Clone, Debug)]
pub(super) struct Secret {
    client: Client,
    id: String,
}

/// The settings in a secret. `Debug` prints their names alone.
#[derive(Default, PartialEq, Eq)]
pub(super) struct Members(BTreeMap<&'static str, String>);

/// The fault of a secret that settings cannot be read from. It never repeats any of the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "must name a secret that is a JSON object, each setting in it a string, a number or true or \
     false"
)]
pub(super) struct Malformed;

impl Secret {
    pub(super) fn new(sdk: &SdkConfig, id: String) -> Self {
        let config = aws_sdk_secretsmanager::config::Builder::from(sdk)
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        Self {
            client: Client::from_conf(config.build()),
            id,
        }
    }

    /// Reads the current value of the secret.
    ///
    /// The outer error may pass with time; the inner one needs another value.
    pub(super) async fn read(&self) -> Result<Result<Members, Malformed>, BoxError> {
        let read = self.client.get_secret_value().secret_id(&self.id);
        let value = read.send().await?;
        let text = match (&value.secret_string, &value.secret_binary) {
            (Some(text), _) => text.as_bytes(),
            (None, Some(bytes)) => bytes.as_ref(),
            (None, None) => &[],
        };
        Ok(Members::parse(text))
    }
}

impl Members {
    /// Reads the settings from a JSON object. Other members are ignored: they may be for others.
    fn parse(text: &[u8]) -> Result<Self, Malformed> {
        let object = serde_json::from_slice(text).map_err(|_| Malformed)?;
        let Value::Object(mut object) = object else {
            return Err(Malformed);
        };
        let mut members = BTreeMap::new();
        for name in SETTINGS {
            let text = match object.remove(name) {
                None | Some(Value::Null) => continue,
                Some(Value::String(text)) => text,
                Some(value @ (Value::Number(_) | Value::Bool(_))) => value.to_string(),
                Some(Value::Array(_) | Value::Object(_)) => return Err(Malformed),
            };
            members.insert(name, text);
        }
        Ok(Self(members))
    }

    /// Returns the setting of that name, if the secret has it.
    pub(super) fn member(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

impl fmt::Debug for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_by_name_and_other_members_are_ignored() {
        let text = br#"{"WEBHOOK_SECRETS": "0123456789abcdef", "TRANSFER_CONCURRENCY": 4,
            "ACKNOWLEDGE": null, "S3_FORCE_PATH_STYLE": true, "RECORDINGS_PREFIX": "",
            "password": {"of": "somebody else"}}"#;
        let members = Members::parse(text).unwrap();
        for (name, value) in [
            ("WEBHOOK_SECRETS", Some("0123456789abcdef")),
            ("TRANSFER_CONCURRENCY", Some("4")),
            ("S3_FORCE_PATH_STYLE", Some("true")),
            ("RECORDINGS_PREFIX", Some("")),
            ("ACKNOWLEDGE", None),
            ("RECORDINGS_BUCKET", None),
            ("password", None),
        ] {
            assert_eq!(members.member(name), value, "{name}");
        }
        assert!(!format!("{members:?}").contains("0123456789abcdef"));
    }

    #[test]
    fn a_text_that_is_no_object_of_settings_is_refused() {
        for text in [
            &b""[..],
            b"endpoint=https://contoso.communication.azure.com/;accesskey=AAECAw==",
            b"[]",
            b"\"text\"",
            b"{\"WEBHOOK_SECRETS\": [\"0123456789abcdef\"]}",
            b"{\"WEBHOOK_SECRETS\": \"0123456789abcdef\"",
        ] {
            assert_eq!(Members::parse(text), Err(Malformed));
        }
    }
}
