//! A scene of the tests of leaks: the function, and the secrets that must appear nowhere.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use emulators::entra::{Entra, SigningKey};
use emulators::secrets_manager::{self, SecretsManager};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::binary::{Lambda, PATIENCE, Process};
use crate::keyless::{Credential, Issuers};
use harness::embedded::{RESOURCE, SECRET, Status};

pub const TENANT: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";
pub const AUDIENCE: &str = "api://recordings-archive";
/// The webhook secret in Secrets Manager.
pub const MANAGED: &str = "webhook-secret-of-the-manager";
const OLD_KEY: [u8; 32] = *b"the access key, as it was before";
pub const NEW_KEY: [u8; 32] = *b"the access key that it became to";

/// Texts that are no secret, but stand only next to one.
const TRACES: [&str; 10] = [
    "Signature=",
    "HMAC-SHA256",
    "sig=",
    "code=",
    "accesskey=",
    "api-version",
    "https://eus-prod",
    "asm.skype.com/",
    "/v1/objects/",
    "eyJ",
];

/// A function with its settings in Secrets Manager that accepts tokens, and all its output.
pub struct Scene {
    pub lambda: Lambda,
    pub manager: SecretsManager,
    pub entra: Entra,
    /// The issuers of the downloads' tokens, if downloads use tokens.
    pub issuers: Option<Issuers>,
    hidden: Vec<String>,
    answers: String,
}

impl Scene {
    pub async fn set(credential: Credential) -> Self {
        let lambda = Lambda::start().await;
        let acs = &lambda.world.acs;
        acs.set_access_keys(&[&OLD_KEY]);
        let manager = SecretsManager::start(secrets_manager::Settings::default()).await;
        let entra = Entra::start(TENANT).await;
        entra.publish(&[SigningKey::shared(0)]);
        let issuers = match credential {
            Credential::AccessKey => {
                manager.set(&Self::secret(&OLD_KEY).to_string());
                None
            }
            Credential::Token => {
                manager.set(&json!({"WEBHOOK_SECRETS": MANAGED}).to_string());
                let issuers = Issuers::of(entra.clone()).await;
                issuers.admit_to(acs);
                Some(issuers)
            }
        };
        let hidden = [
            SECRET,
            MANAGED,
            &Self::base64(&OLD_KEY),
            &Self::base64(&NEW_KEY),
            lambda.world.s3.secret_access_key(),
        ];
        Self {
            hidden: hidden.map(str::to_owned).to_vec(),
            lambda,
            manager,
            entra,
            issuers,
            answers: String::new(),
        }
    }

    pub fn base64(key: &[u8]) -> String {
        BASE64_STANDARD.encode(key)
    }

    /// The settings in Secrets Manager.
    pub fn secret(access_key: &[u8]) -> Value {
        let key = Self::base64(access_key);
        json!({
            "COMMUNICATION_SERVICES_CONNECTION_STRING":
                format!("endpoint=https://{RESOURCE}/;accesskey={key}"),
            "WEBHOOK_SECRETS": MANAGED,
        })
    }

    /// Changes the access key in ACS and Secrets Manager, or makes ACS refuse all earlier tokens.
    pub fn rotate_the_credential(&self) {
        let acs = &self.lambda.world.acs;
        if let Some(issuers) = &self.issuers {
            acs.revoke_tokens(&issuers.entra.issued());
            return;
        }
        acs.set_access_keys(&[&NEW_KEY]);
        self.manager.set(&Self::secret(&NEW_KEY).to_string());
    }

    /// The texts that must appear nowhere: secrets, and all tokens so far with their signatures.
    fn hidden(&self) -> Vec<String> {
        let issued = self.issuers.iter().flat_map(|issuers| {
            let (sts, entra) = (issuers.sts.issued(), issuers.entra.issued());
            sts.into_iter().chain(entra)
        });
        let parts = issued.flat_map(|token| {
            let signature = token.rsplit('.').next().unwrap().to_owned();
            [token, signature]
        });
        self.hidden.iter().cloned().chain(parts).collect()
    }

    /// Adds a text that must appear nowhere.
    pub fn hide(&mut self, secret: &str) {
        self.hidden.push(secret.to_owned());
    }

    /// Adds a token and its signature, which must appear nowhere.
    pub fn hide_token(&mut self, token: &str) {
        self.hide(token);
        let (_, signature) = token.rsplit_once('.').unwrap();
        if !signature.is_empty() {
            self.hide(signature);
        }
    }

    pub fn run(&self, variables: &[(&str, &str)]) -> Process {
        let (authority, endpoint) = (self.entra.authority(), self.manager.endpoint());
        let own = [
            ("RUST_LOG", "trace"),
            ("AWS_LAMBDA_LOG_LEVEL", "TRACE"),
            ("RUST_BACKTRACE", "full"),
            ("SECRET_ID", self.manager.secret_id()),
            ("AWS_ENDPOINT_URL_SECRETS_MANAGER", &endpoint),
            ("ENTRA_TENANT_ID", TENANT),
            ("ENTRA_AUDIENCE", AUDIENCE),
            ("ENTRA_AUTHORITY", &authority),
        ];
        let mut tokens = vec![];
        if let Some(issuers) = &self.issuers {
            tokens = issuers.variables(&self.lambda.world.acs);
            tokens.push(("AWS_ENDPOINT_URL_STS", issuers.sts.endpoint()));
        }
        let tokens = tokens.iter().map(|(name, value)| (*name, value.as_str()));
        let all = own.into_iter().chain(tokens);
        let all: Vec<_> = all.chain(variables.iter().copied()).collect();
        self.lambda.run(&all)
    }

    /// Sends a request, and asserts the status of its answer.
    pub async fn call(&mut self, status: u16, payload: &Value) {
        let given = self.call_within(PATIENCE, payload).await;
        assert_eq!(given, status, "{payload}");
    }

    pub async fn call_within(&mut self, time: Duration, payload: &Value) -> Status {
        let response = self.lambda.call(payload, time).await;
        writeln!(self.answers, "{} {}", response.headers, response.body).unwrap();
        response.status
    }

    /// Invokes the function with any payload, and returns `true` if it succeeded.
    pub async fn invoke(&mut self, payload: &[u8]) -> bool {
        #[expect(clippy::disallowed_methods, reason = "Lambda's deadline is a moment")]
        let deadline = SystemTime::now() + PATIENCE;
        let answered = self.lambda.runtime.invoke(payload.to_vec(), deadline);
        let answer = timeout(PATIENCE, answered).await.expect("it answers");
        let (Ok(said) | Err(said)) = &answer;
        self.answers.push_str(text(said));
        self.answers.push('\n');
        answer.is_ok()
    }

    /// Ends the process, asserts that no secret is in its output, and returns the output.
    pub async fn end(self, process: Process) -> (String, String) {
        self.lambda.runtime.wait_for_poll().await;
        let (stdout, stderr) = process.kill().await;
        assert!(!self.answers.is_empty() && !(stdout.clone() + &stderr).is_empty());
        self.assert_told_nothing(&stdout, &stderr);
        (stdout, stderr)
    }

    /// Waits for a process that cannot start, and asserts that no secret is in its output.
    pub async fn fail(self, process: Process) {
        let (status, stdout, stderr) = process.end().await;
        assert!(!status.success());
        assert!(stdout.contains("cannot run"), "{stdout}");
        self.assert_told_nothing(&stdout, &stderr);
    }

    fn assert_told_nothing(&self, stdout: &str, stderr: &str) {
        let hidden = self.hidden();
        let errors = self.lambda.runtime.init_errors();
        let errors = errors.iter().map(|error| ("an error", text(error)));
        let said = [
            ("stdout", stdout),
            ("stderr", stderr),
            ("an answer", &self.answers),
        ];
        for (place, text) in said.into_iter().chain(errors) {
            assert_eq!(told(text, &hidden), None, "in {place}");
        }
        self.assert_stored_nothing(None);
    }

    /// Asserts that no object holds a secret, except those that an event itself brought.
    pub fn assert_stored_nothing(&self, brought: Option<&str>) {
        let signs = ["Signature=", "HMAC-SHA256", "accesskey=", "Bearer "];
        let hidden = self.hidden();
        let hidden: Vec<&str> = hidden.iter().map(String::as_str).chain(signs).collect();
        for (key, object) in self.lambda.world.s3.objects() {
            let mut body = String::from_utf8_lossy(&object.body).into_owned();
            if let Some(brought) = brought {
                body = body.replace(brought, "");
            }
            let stored = [&key, &body].into_iter().chain(&object.content_type);
            for text in stored.chain(object.metadata.values()) {
                for secret in &hidden {
                    assert!(!text.contains(secret), "{secret} in {key}: {text}");
                }
            }
        }
    }

    /// Removes every object from the bucket.
    pub fn clear(&self) {
        self.lambda.world.clear();
    }
}

/// The first secret in a text, with its line.
fn told(text: &str, hidden: &[String]) -> Option<String> {
    let mut secrets = hidden.iter().map(String::as_str).chain(TRACES);
    secrets.find_map(|secret| {
        let line = text.lines().find(|line| line.contains(secret))?;
        Some(format!("{secret} in {line}"))
    })
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("the output is UTF-8")
}

#[test]
fn a_secret_in_the_output_is_found() {
    let hidden = [MANAGED.to_owned(), Scene::base64(&OLD_KEY)];
    for secret in hidden.iter().map(String::as_str).chain(TRACES) {
        let text = format!("first line\n{{\"error\": \"at {secret}, or so\"}}\nlast line");
        let found = told(&text, &hidden).expect(secret);
        assert!(found.starts_with(secret), "{found}");
    }
    assert_eq!(told("nothing at all", &hidden), None);
}
