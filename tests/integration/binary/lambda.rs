//! The surroundings of the built binary, and its process.

use std::fs;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, SystemTime};

use emulators::proxy::Proxy;
use emulators::runtime::RuntimeApi;
use emulators::s3;
use serde_json::Value;
use tempfile::NamedTempFile;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use harness::embedded::{Response, SECRET, Setup, Status, delivery};
use harness::world::World;

pub const BINARY: &str = env!("CARGO_BIN_EXE_acs-recording-archiver");
pub const EVENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/events");
pub const MIB: u64 = 1024 * 1024;
/// Bytes of a part, as deployed.
pub const PART: u64 = 16 * MIB;
/// The time limit of each wait that does not depend on the function's limits.
pub const PATIENCE: Duration = Duration::from_mins(10);

/// The surroundings of the binary: Lambda's Runtime API, both emulators, and a proxy that leads the
/// real names of ACS to its emulator.
pub struct Lambda {
    pub world: World,
    pub runtime: RuntimeApi,
    pub proxy: Proxy,
    authority: NamedTempFile,
}

/// A running process of the function, killed when it is dropped.
pub struct Process {
    child: Child,
    // Read continuously: a full pipe would block the process.
    stdout: JoinHandle<String>,
    stderr: JoinHandle<String>,
}

impl Lambda {
    pub async fn start() -> Self {
        Self::over(s3::Settings::default()).await
    }

    pub async fn over(s3: s3::Settings) -> Self {
        let world = World::with(Setup {
            s3,
            ..Setup::default()
        })
        .await;
        let proxy = Proxy::start(world.acs.tls_address()).await;
        let authority = NamedTempFile::new().unwrap();
        fs::write(authority.path(), world.acs.ca_pem()).unwrap();
        Self {
            world,
            runtime: RuntimeApi::start().await,
            proxy,
            authority,
        }
    }

    /// Starts the function with these variables in addition to the required ones.
    pub fn run(&self, variables: &[(&str, &str)]) -> Process {
        let s3 = &self.world.s3;
        let mut command = bare();
        command
            .envs(self.runtime.environment())
            .env(
                "COMMUNICATION_SERVICES_CONNECTION_STRING",
                self.world.acs.connection_string(),
            )
            .env("RECORDINGS_BUCKET", s3.bucket())
            .env("WEBHOOK_SECRETS", SECRET)
            .env("S3_FORCE_PATH_STYLE", "true")
            .env("AWS_ENDPOINT_URL_S3", s3.endpoint())
            .env("AWS_ACCESS_KEY_ID", s3.access_key_id())
            .env("AWS_SECRET_ACCESS_KEY", s3.secret_access_key())
            .env("HTTPS_PROXY", self.proxy.url())
            .env("SSL_CERT_FILE", self.authority.path())
            .envs(variables.iter().copied());
        Process::start(&mut command)
    }

    /// Invokes the function with a deadline `time` from now, and returns its answer.
    pub async fn invoke(&self, payload: &[u8], time: Duration) -> Value {
        #[expect(clippy::disallowed_methods, reason = "Lambda's deadline is a moment")]
        let deadline = SystemTime::now() + time;
        let answered = self.runtime.invoke(payload.to_vec(), deadline);
        let answer = timeout(time.max(PATIENCE), answered).await;
        let answer = answer
            .expect("the function answers")
            .expect("the answer is not an error");
        serde_json::from_slice(&answer).expect("an answer is JSON")
    }

    pub async fn call(&self, payload: &Value, time: Duration) -> Response {
        response(&self.invoke(payload.to_string().as_bytes(), time).await)
    }

    pub async fn deliver(&self, events: &Value, count: u32) -> Response {
        self.call(&delivery(&events.to_string(), count), PATIENCE)
            .await
    }

    pub async fn tick(&self) -> Value {
        let tick = fs::read(format!("{EVENTS}/schedule-rule.json")).unwrap();
        self.invoke(&tick, PATIENCE).await
    }

    /// Empties the bucket, and forgets the requests to both emulators.
    pub fn clear(&self) {
        for key in self.world.keys() {
            self.world.s3.remove(&key);
        }
        self.forget();
    }

    pub fn forget(&self) {
        self.world.s3.clear_calls();
        self.world.acs.clear_requests();
    }
}

impl Process {
    pub fn start(command: &mut Command) -> Self {
        let mut child = command.spawn().expect("the binary can be started");
        Self {
            stdout: tokio::spawn(read(child.stdout.take().unwrap())),
            stderr: tokio::spawn(read(child.stderr.take().unwrap())),
            child,
        }
    }

    /// The peak of its resident memory, in bytes.
    pub fn peak_memory(&self) -> u64 {
        let pid = self.child.id().expect("it runs");
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = peak.unwrap().trim().trim_end_matches(" kB");
        kib.parse::<u64>().unwrap() * 1024
    }

    /// Kills the process, and returns its output and error output.
    pub async fn kill(mut self) -> (String, String) {
        self.child.start_kill().expect("the process is running");
        let (_, stdout, stderr) = self.end().await;
        (stdout, stderr)
    }

    pub async fn end(mut self) -> (ExitStatus, String, String) {
        let status = timeout(PATIENCE, self.child.wait()).await;
        let status = status.expect("the process ends").unwrap();
        (
            status,
            self.stdout.await.unwrap(),
            self.stderr.await.unwrap(),
        )
    }
}

pub async fn read(mut pipe: impl AsyncRead + Unpin) -> String {
    let mut text = String::new();
    let read = pipe.read_to_string(&mut text).await;
    read.expect("the process writes text");
    text
}

/// The lines of a log in JSON.
pub fn log_lines(stdout: &str) -> Vec<Value> {
    let lines = stdout.lines();
    lines
        .map(|line| serde_json::from_str(line).expect(line))
        .collect()
}

/// The binary with an empty environment.
pub fn bare() -> Command {
    let mut command = Command::new(BINARY);
    command
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// The answer to the caller of the Function URL, from the answer to Lambda.
pub fn response(answer: &Value) -> Response {
    let status = answer["statusCode"].as_u64().expect("it is a response");
    let body = answer["body"].as_str().expect("every answer has a body");
    assert_eq!(answer["headers"]["content-length"], body.len().to_string());
    assert_eq!(answer["isBase64Encoded"], false);
    Response {
        status: Status::new(status.try_into().unwrap(), body),
        headers: answer["headers"].clone(),
        body: serde_json::from_str(body).expect("every body is JSON"),
    }
}
