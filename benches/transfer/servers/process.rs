//! The handle of the benchmark on the process of the servers.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use acs_recording_archiver::acs::http_client;

/// The process of the source and the sink.
pub(crate) struct Servers {
    process: Child,
    pub(crate) origin: String,
    /// The certificate of both, for a client to trust.
    pub(crate) ca: tempfile::NamedTempFile,
}

impl Servers {
    /// Starts a source with a rate limit for each connection in bytes a second (0 for none) and a
    /// latency in milliseconds.
    pub(crate) fn start(rate: u64, latency: u64) -> Self {
        let mut process = Command::new(std::env::current_exe().expect("this program has a path"))
            .env("BENCH_ROLE", "servers")
            .env("BENCH_RATE", rate.to_string())
            .env("BENCH_LATENCY_MS", latency.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the servers start");
        let mut lines = BufReader::new(process.stdout.take().expect("a pipe"))
            .lines()
            .map_while(Result::ok);
        let port = lines.next().expect("the servers print their port");
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

    /// The calls that the sink answered since the last request for them.
    pub(crate) async fn calls(&self) -> BTreeMap<String, u64> {
        let url = format!("{}/calls", self.origin);
        let answer = self
            .client()
            .get(url)
            .send()
            .await
            .expect("the sink answers");
        let calls = answer.text().await.expect("the sink sends them");
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

impl Drop for Servers {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
