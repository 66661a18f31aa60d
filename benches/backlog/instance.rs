//! An instance of the function: a process that runs one tick after another.

use std::process::Stdio;
use std::time::{Duration, SystemTime};

use acs_recording_archiver::acs::http_client;
use acs_recording_archiver::config::Settings;
use acs_recording_archiver::function::{Answer, Function, sdk_config};
use acs_recording_archiver::limits::Limits;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::servers::Servers;
use harness::measure::peak;

const MIB: u64 = 1024 * 1024;
/// The ratio of the deployed sizes to those of a scaled run.
pub(crate) const SMALLER: u64 = 16;
/// The ratio of the deployed times to those of a scaled run.
pub(crate) const SHORTER: u32 = 20;
/// The time limit of a tick, as deployed.
const TICK: Duration = Duration::from_mins(15);

/// The scale of an instance's limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    /// The deployed limits.
    Deployed,
    /// Part sizes of 1/16 and times of 1/20. The timeouts of stalled connections are scaled less,
    /// so that a busy machine is not taken for a stall.
    Scaled,
}

impl Scale {
    fn limits(self) -> Limits {
        let deployed = Limits::default();
        match self {
            Self::Deployed => deployed,
            Self::Scaled => Limits {
                part_size: deployed.part_size / SMALLER,
                backoff: deployed.backoff / SHORTER,
                upload_pause: deployed.upload_pause / SHORTER,
                rate_known: deployed.rate_known / SHORTER,
                relist: deployed.relist / SHORTER,
                relist_alone: deployed.relist_alone / SHORTER,
                heartbeat: deployed.heartbeat / SHORTER,
                source_stall: deployed.source_stall / 6,
                store_stall: deployed.store_stall / 6,
                ..deployed
            },
        }
    }

    fn tick(self) -> Duration {
        match self {
            Self::Deployed => TICK,
            Self::Scaled => TICK / SHORTER,
        }
    }

    /// The size of a recording of `mib` MiB.
    pub(crate) fn size(self, mib: u64) -> u64 {
        match self {
            Self::Deployed => mib * MIB,
            Self::Scaled => mib * MIB / SMALLER,
        }
    }

    /// The rate at which a part needs the same share of a tick as when deployed.
    pub(crate) fn rate(self, bytes_per_second: u64) -> u64 {
        match self {
            Self::Deployed => bytes_per_second,
            Self::Scaled => bytes_per_second / SMALLER * u64::from(SHORTER),
        }
    }
}

/// A running instance, killed when it is dropped.
pub(crate) struct Instance {
    process: Child,
    commands: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Instance {
    pub(crate) async fn start(servers: &Servers, scale: Scale) -> Self {
        let program = std::env::current_exe().expect("this program has a path");
        let mut process = Command::new(program)
            .env_clear()
            .envs(servers.environment())
            .env("BENCH_ROLE", "instance")
            .env("BENCH_SCALED", (scale == Scale::Scaled).to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("an instance starts");
        let answers = process.stdout.take().expect("a pipe");
        let mut instance = Self {
            commands: process.stdin.take().expect("a pipe"),
            answers: BufReader::new(answers).lines(),
            process,
        };
        instance.answer().await;
        instance
    }

    /// Runs a tick and returns its summary.
    pub(crate) async fn tick(&mut self) -> Value {
        let sent = self.commands.write_all(b"tick\n").await;
        sent.expect("the instance reads");
        self.answer().await
    }

    /// The peak of resident memory in KiB.
    pub(crate) fn peak(&self) -> u64 {
        self.process.id().map_or(0, peak)
    }

    async fn answer(&mut self) -> Value {
        let line = self.answers.next_line().await.expect("it can be read");
        let line = line.expect("the instance answers");
        serde_json::from_str(&line).expect("an answer is JSON")
    }
}

/// Runs a tick for each line on the standard input, until the parent closes it.
pub(crate) async fn serve() {
    let is_scaled = std::env::var("BENCH_SCALED").is_ok_and(|is| is == "true");
    let scale = if is_scaled {
        Scale::Scaled
    } else {
        Scale::Deployed
    };
    let sdk = sdk_config().await;
    let http = http_client().no_proxy().build().expect("a client");
    let settings = Settings::from_env(&sdk);
    let started = Function::start(settings, sdk, http, scale.limits()).await;
    let function = started.expect("the settings are good");
    println!("{{}}");
    let payload = include_str!("../../events/schedule-rule.json").to_owned();
    let payload = RawValue::from_string(payload).expect("a tick is JSON");
    let mut commands = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(_)) = commands.next_line().await {
        let deadline = SystemTime::now() + scale.tick();
        match function.invoke(&payload, deadline).await {
            Ok(Answer::Tick(swept)) => {
                println!("{}", serde_json::to_string(&swept).expect("it is JSON"));
            }
            Ok(Answer::Http(_)) => panic!("a tick is no request"),
            Err(error) => panic!("{error}"),
        }
    }
}
