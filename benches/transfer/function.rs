//! The function, in a process of its own.

use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use emulators::runtime::RuntimeApi;
use harness::measure::{Usage, cpu, forget_peak, peak};
use serde_json::{Value, json};

use crate::servers::process::Servers;

/// The process of the function, behind a Lambda Runtime API.
pub(crate) struct Function {
    process: Child,
    api: RuntimeApi,
    /// The time from the start of the process to its first poll.
    pub(crate) startup: Duration,
}

impl Function {
    /// Starts the function built here, or the one that `BENCH_FUNCTION` names.
    pub(crate) async fn start(servers: &Servers, concurrency: usize) -> Self {
        let built = env!("CARGO_BIN_EXE_acs-recording-archiver");
        let built = std::env::var("BENCH_FUNCTION").unwrap_or_else(|_| built.to_owned());
        let api = RuntimeApi::start().await;
        let started = Instant::now();
        let process = Command::new(built)
            .env_clear()
            .envs(api.environment())
            .env("AWS_ACCESS_KEY_ID", "bench")
            .env("AWS_SECRET_ACCESS_KEY", "bench")
            .env("AWS_LAMBDA_LOG_LEVEL", "WARN")
            .env("AWS_ENDPOINT_URL_S3", &servers.origin)
            .env("S3_FORCE_PATH_STYLE", "true")
            .env("SSL_CERT_FILE", servers.ca.path())
            .env(
                "COMMUNICATION_SERVICES_CONNECTION_STRING",
                format!("endpoint={}/;accesskey=AAECAw==", servers.origin),
            )
            .env("RECORDINGS_BUCKET", "recordings")
            .env("WEBHOOK_SECRETS", "secret-of-the-benchmark")
            .env("TRANSFER_CONCURRENCY", concurrency.to_string())
            // The metrics, which Lambda would put into the log.
            .stdout(Stdio::null())
            .spawn()
            .expect("the function starts");
        api.wait_for_poll().await;
        Self {
            process,
            api,
            startup: started.elapsed(),
        }
    }

    /// Delivers a recording with chunks of these lengths and measures the process meanwhile.
    pub(crate) async fn deliver(&self, lengths: &[u64]) -> Usage {
        self.deliver_of("said", lengths).await
    }

    /// Delivers like [`Self::deliver`], with chunks that the source sends without length and
    /// ranges.
    pub(crate) async fn deliver_unsaid(&self, lengths: &[u64]) -> Usage {
        self.deliver_of("unsaid", lengths).await
    }

    async fn deliver_of(&self, kind: &str, lengths: &[u64]) -> Usage {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let payload = payload(number, kind, lengths).to_string();
        let pid = self.process.id();
        // The peak of an earlier delivery would hide that of this one.
        forget_peak(pid);
        let (cpu_before, started) = (cpu(pid), Instant::now());
        let deadline = SystemTime::now() + Duration::from_mins(15);
        let answer = self
            .api
            .invoke(payload, deadline)
            .await
            .expect("the function answers");
        let usage = Usage {
            wall: started.elapsed(),
            cpu: cpu(pid).saturating_sub(cpu_before),
            peak: peak(pid),
        };
        let answer: Value = serde_json::from_slice(&answer).expect("the answer is JSON");
        assert_eq!(answer["statusCode"], 200, "{answer}");
        usage
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The delivery of event number `number`, with chunks of these lengths.
fn payload(number: u64, kind: &str, lengths: &[u64]) -> Value {
    let chunks = lengths.iter().enumerate().map(|(index, length)| {
        json!({"documentId": format!("{length}-{number}-{index}-{kind}"), "index": index})
    });
    let chunks: Vec<_> = chunks.collect();
    let event = json!([{
        "id": format!("event-{number}"),
        "subject": format!("/recording/call/call-{number}"),
        "eventType": "Microsoft.Communication.RecordingFileStatusUpdated",
        "eventTime": "2026-11-23T15:20:34Z",
        "data": {"recordingStorageInfo": {"recordingChunks": chunks}},
    }]);
    json!({
        "version": "2.0",
        "rawPath": "/",
        "rawQueryString": "code=secret-of-the-benchmark",
        "headers": {"content-type": "application/json"},
        "requestContext": {"http": {"method": "POST", "path": "/"}},
        "body": event.to_string(),
        "isBase64Encoded": false,
    })
}
