//! The programs that the function is compared with.

use std::process::Command;
use std::time::{Duration, Instant};

use acs_recording_archiver::acs::http_client;
use harness::measure::{Usage, cpu, peak};

use crate::servers::process::Servers;

/// Pipes one GET into one PUT of known length, the least that any program must do. Runs in a
/// process of its own and prints the CPU time and peak memory.
pub(crate) async fn relay() {
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

/// Runs [`relay`] and measures it.
pub(crate) fn relayed(servers: &Servers, length: u64) -> Usage {
    let started = Instant::now();
    let output = Command::new(std::env::current_exe().expect("this program has a path"))
        .env("BENCH_ROLE", "relay")
        .env(
            "BENCH_SOURCE",
            format!("{}/source/{length}-relay", servers.origin),
        )
        .env("BENCH_SINK", format!("{}/recordings/relay", servers.origin))
        .env("SSL_CERT_FILE", servers.ca.path())
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

/// Runs and measures `curl … | aws s3 cp -`, if both are installed.
pub(crate) fn general_tool(servers: &Servers, length: u64) -> Option<Usage> {
    let script = format!(
        "curl -sf --cacert $SSL_CERT_FILE {o}/source/{length}-tool | \
         aws s3 cp --expected-size {length} --endpoint-url {o} --ca-bundle $SSL_CERT_FILE \
         - s3://recordings/tool",
        o = servers.origin
    );
    // `times` prints the CPU time of the shell's children on its last line.
    let script = format!("{script} >/dev/null || exit 1; times");
    let started = Instant::now();
    let output = Command::new("sh")
        .args(["-c", &script])
        .env("SSL_CERT_FILE", servers.ca.path())
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
