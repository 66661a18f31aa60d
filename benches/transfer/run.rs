//! The processes that are compared, and one run of each.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use acs_recording_archiver::acs::http_client;
use emulators::runtime::RuntimeApi;
use serde_json::{Value, json};

use harness::measure::{Usage, cpu, forget_peak, peak};

/// Source and sink, in a process of their own.
pub struct Ends {
    process: Child,
    origin: String,
    ca: tempfile::NamedTempFile,
}

impl Ends {
    /// A source with a limit of bytes a second for each connection (0 for none) and a latency in milliseconds.
    pub fn start(rate: u64, latency: u64) -> Self {
        let mut process = Command::new(std::env::current_exe().expect("this program has a path"))
            .env("BENCH_ROLE", "ends")
            .env("BENCH_RATE", rate.to_string())
            .env("BENCH_LATENCY_MS", latency.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the ends start");
        let mut lines = BufReader::new(process.stdout.take().expect("a pipe"))
            .lines()
            .map_while(Result::ok);
        let port = lines.next().expect("the ends say their port");
        let pem: String = lines
            .take_while(|line| line != "END")
            .map(|line| line + "\n")
            .collect();
        let ca = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(ca.path(), pem).expect("it can be written");
        Self {
            process,
            origin: format!("https://localhost:{port}"),
            ca,
        }
    }

    /// The calls that the sink has answered since it was last asked.
    pub async fn calls(&self) -> BTreeMap<String, u64> {
        let url = format!("{}/calls", self.origin);
        let answer = self
            .client()
            .get(url)
            .send()
            .await
            .expect("the sink answers");
        let calls = answer.text().await.expect("it says what it saw");
        serde_json::from_str(&calls).expect("it is JSON")
    }

    fn client(&self) -> reqwest::Client {
        let pem = std::fs::read(self.ca.path()).expect("it is there");
        let ca = reqwest::Certificate::from_pem(&pem).expect("it is PEM");
        http_client()
            .no_proxy()
            .add_root_certificate(ca)
            .build()
            .expect("a client")
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The function's process, behind a Lambda Runtime API.
pub struct Function {
    process: Child,
    api: RuntimeApi,
    /// From the start of the process to its first poll.
    pub startup: Duration,
}

impl Function {
    /// Starts the function as it was built here, or the one that `BENCH_FUNCTION` names.
    pub async fn start(ends: &Ends, concurrency: usize) -> Self {
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
            .env("AWS_ENDPOINT_URL_S3", &ends.origin)
            .env("S3_FORCE_PATH_STYLE", "true")
            .env("SSL_CERT_FILE", ends.ca.path())
            .env(
                "COMMUNICATION_SERVICES_CONNECTION_STRING",
                format!("endpoint={}/;accesskey=AAECAw==", ends.origin),
            )
            .env("RECORDINGS_BUCKET", "recordings")
            .env("WEBHOOK_SECRETS", "secret-of-the-benchmark")
            .env("TRANSFER_CONCURRENCY", concurrency.to_string())
            // Its metrics, as Lambda's log has them.
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

    /// Delivers a recording with chunks of these lengths, and measures the process over it.
    pub async fn deliver(&self, lengths: &[u64]) -> Usage {
        self.deliver_of("said", lengths).await
    }

    /// The same with chunks of which the source tells neither length nor ranges.
    pub async fn deliver_unsaid(&self, lengths: &[u64]) -> Usage {
        self.deliver_of("unsaid", lengths).await
    }

    async fn deliver_of(&self, kind: &str, lengths: &[u64]) -> Usage {
        static NUMBER: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let chunks = lengths.iter().enumerate().map(|(index, length)| json!({"documentId": format!("{length}-{number}-{index}-{kind}"), "index": index}));
        let event = json!([{
            "id": format!("event-{number}"), "subject": format!("/recording/call/call-{number}"),
            "eventType": "Microsoft.Communication.RecordingFileStatusUpdated", "eventTime": "2026-11-23T15:20:34Z",
            "data": {"recordingStorageInfo": {"recordingChunks": chunks.collect::<Vec<_>>()}},
        }]);
        let payload = json!({
            "version": "2.0", "rawPath": "/", "rawQueryString": "code=secret-of-the-benchmark", "headers": {"content-type": "application/json"},
            "requestContext": {"http": {"method": "POST", "path": "/"}}, "body": event.to_string(), "isBase64Encoded": false,
        });
        let pid = self.process.id();
        forget_peak(pid);
        let (cpu_before, started) = (cpu(pid), Instant::now());
        let deadline = SystemTime::now() + Duration::from_mins(15);
        let answer = self
            .api
            .invoke(payload.to_string(), deadline)
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

/// One GET piped into one PUT of known length: what any program must do at the least.
pub async fn relay() {
    let variable = |name: &str| std::env::var(name).expect("the parent sets it");
    let ca = std::fs::read(variable("SSL_CERT_FILE")).expect("it is there");
    let ca = reqwest::Certificate::from_pem(&ca).expect("it is PEM");
    let client = http_client()
        .no_proxy()
        .add_root_certificate(ca)
        .build()
        .expect("a client");
    let source = client
        .get(variable("BENCH_SOURCE"))
        .send()
        .await
        .expect("the source answers");
    let length = source.content_length().expect("it has a length");
    let put = client
        .put(variable("BENCH_SINK"))
        .header("content-length", length)
        .body(source);
    let answer = put.send().await.expect("the sink answers");
    assert!(answer.status().is_success());
    let pid = std::process::id();
    println!("{} {}", cpu(pid).as_millis(), peak(pid));
}

/// The same in a process of its own.
pub fn relayed(ends: &Ends, length: u64) -> Usage {
    let started = Instant::now();
    let output = Command::new(std::env::current_exe().expect("this program has a path"))
        .env("BENCH_ROLE", "relay")
        .env(
            "BENCH_SOURCE",
            format!("{}/source/{length}-relay", ends.origin),
        )
        .env("BENCH_SINK", format!("{}/recordings/relay", ends.origin))
        .env("SSL_CERT_FILE", ends.ca.path())
        .output()
        .expect("the relay runs");
    let text = String::from_utf8(output.stdout).expect("it is text");
    let mut figures = text
        .split_whitespace()
        .filter_map(|figure| figure.parse().ok());
    let (cpu, peak) = (
        figures.next().expect("its CPU"),
        figures.next().expect("its peak"),
    );
    Usage {
        wall: started.elapsed(),
        cpu: Duration::from_millis(cpu),
        peak,
    }
}

/// `curl … | aws s3 cp -`, if both are installed: its own figures by the kernel's accounting of finished children.
pub fn general_tool(ends: &Ends, length: u64) -> Option<Usage> {
    let script = format!(
        "curl -sf --cacert $SSL_CERT_FILE {o}/source/{length}-tool | aws s3 cp --expected-size {length} --endpoint-url {o} --ca-bundle $SSL_CERT_FILE - s3://recordings/tool",
        o = ends.origin
    );
    // The shell's own `times`, last, says what its children used.
    let script = format!("{script} >/dev/null || exit 1; times");
    let started = Instant::now();
    let output = Command::new("sh")
        .args(["-c", &script])
        .env("SSL_CERT_FILE", ends.ca.path())
        .env("AWS_ACCESS_KEY_ID", "bench")
        .env("AWS_SECRET_ACCESS_KEY", "bench")
        .env("AWS_REGION", "eu-central-1")
        .output()
        .ok()?;
    let wall = started.elapsed();
    let text = String::from_utf8(output.stdout)
        .ok()
        .filter(|_| output.status.success())?;
    let children = text.lines().last()?.split_whitespace();
    let seconds = |time: &str| {
        let (minutes, seconds) = time.trim_end_matches('s').split_once('m')?;
        Some(minutes.parse::<f64>().ok()? * 60.0 + seconds.parse::<f64>().ok()?)
    };
    let cpu: f64 = children.filter_map(seconds).sum();
    Some(Usage {
        wall,
        cpu: Duration::from_secs_f64(cpu),
        peak: 0,
    })
}
