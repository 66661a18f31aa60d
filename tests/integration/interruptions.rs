//! The interruption sweep: a run ends at each of its requests in turn, and the next run resumes.
//!
//! The process that ends is a tokio runtime of its own: its shutdown drops every task and
//! connection at any point. At some points the process is the built binary, which is killed.

use std::collections::BTreeSet;
use std::fs;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use acs_recording_archiver::limits::Limits;
use acs_recording_archiver::sweep::Swept;
use emulators::acs::{self, Kind};
use emulators::proxy::Proxy;
use emulators::runtime::RuntimeApi;
use emulators::s3::{self, Call};
use serde_json::Value;
use tempfile::NamedTempFile;
use tokio::process::{Child, Command};
use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet, spawn_blocking};
use tokio::time::timeout;

use harness::embedded::{Response, SECRET, Setup, Status, client_to, delivery, function_over};
use harness::world::{PART, Recording, World, limits, setup};

/// A time longer than any test.
const NEVER: Duration = Duration::from_hours(1);
/// The user agent of the function that resumes after an interrupted one.
const SURVIVOR: &str = "survivor";
/// The time limit of every wait.
const PATIENCE: Duration = Duration::from_mins(10);
/// The number of concurrent runs.
const AT_ONCE: usize = 4;

/// The point of a request at which it is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Before the server acts.
    Before,
    /// In the middle of the body: that of the request to S3, or of the answer of ACS.
    Middle,
    /// After the server has acted, before its answer.
    After,
}

/// A request to S3 or ACS.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Asked {
    Acs(Kind),
    S3(&'static str, String),
}

impl Asked {
    fn acs(request: &acs::Request) -> Self {
        Self::Acs(request.kind)
    }

    fn s3(call: &Call) -> Self {
        Self::S3(call.operation, call.key.clone().unwrap_or_default())
    }

    /// The ways to cut the request that differ: a read has the same effect with and without answer.
    fn ways(&self) -> &'static [Way] {
        match self {
            Self::Acs(_) => &[Way::Before, Way::Middle],
            Self::S3("PutObject" | "UploadPart" | "CompleteMultipartUpload", _) => {
                &[Way::Before, Way::Middle, Way::After]
            }
            Self::S3("HeadObject" | "GetObject" | "ListParts" | "ListObjectsV2", _) => {
                &[Way::Before]
            }
            Self::S3(..) => &[Way::Before, Way::After],
        }
    }
}

/// The fate of a request.
enum Fate {
    Lives,
    IsCut(Way),
    /// The request is of a process that has ended.
    IsDead,
}

/// Cuts one request, by its place in the order over both ends.
struct Knife {
    at: usize,
    way: Way,
    /// Set if the process ends at the cut.
    deadly: bool,
    asked: Mutex<Vec<Asked>>,
    end: Notify,
}

impl Knife {
    fn new(at: usize, way: Way, deadly: bool) -> Arc<Self> {
        Arc::new(Self {
            at,
            way,
            deadly,
            asked: Mutex::default(),
            end: Notify::new(),
        })
    }

    /// A knife that only counts.
    fn blunt() -> Arc<Self> {
        Self::new(usize::MAX, Way::Before, false)
    }

    fn asked(&self) -> Vec<Asked> {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.clone()
    }

    fn fate(&self, asked: Asked) -> Fate {
        let mut all = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let number = all.len();
        // Concurrent requests may come in another order, so another request may be at this place.
        let way = if asked.ways().contains(&self.way) {
            self.way
        } else {
            Way::Before
        };
        all.push(asked);
        if number < self.at || (number > self.at && !self.deadly) {
            return Fate::Lives;
        }
        // The next request shows that the effect of the cut one is there.
        if number > self.at || way == Way::Before {
            self.end.notify_one();
        }
        if number > self.at {
            Fate::IsDead
        } else {
            Fate::IsCut(way)
        }
    }

    fn put_to(self: &Arc<Self>, world: &World) {
        let before = if self.deadly { NEVER } else { Duration::ZERO };
        let knife = Arc::clone(self);
        world.acs.inject(move |request| {
            let half = match (request.kind, request.range.as_deref()) {
                (Kind::Media, Some(range)) if range.ends_with("-0") => 0,
                (Kind::Media, _) if request.document.as_deref() == Some(SMALL) => 0,
                (Kind::Media, _) => PART / 2,
                _ => 10,
            };
            match knife.fate(Asked::acs(request)) {
                Fate::Lives => None,
                Fate::IsCut(Way::Middle) => Some(acs::Fault::CutBody { after: half }),
                Fate::IsCut(_) if !knife.deadly => Some(acs::Fault::Close),
                Fate::IsCut(_) | Fate::IsDead => Some(acs::Fault::Hang(NEVER)),
            }
        });
        let knife = Arc::clone(self);
        world.s3.inject(move |call| {
            // The trial of the store precedes the run, and has its own tests.
            if call.key.as_ref().is_some_and(|key| key.contains("-trial-")) {
                return None;
            }
            let length = call.headers.get("content-length");
            let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
            match knife.fate(Asked::s3(call)) {
                Fate::Lives => None,
                Fate::IsCut(Way::Before) => Some(s3::Fault::Hang(before)),
                Fate::IsCut(Way::Middle) => Some(s3::Fault::CutBody {
                    after: length.unwrap_or_default() / 2,
                }),
                Fate::IsCut(Way::After) => Some(s3::Fault::LoseAnswer),
                Fate::IsDead => Some(s3::Fault::Hang(NEVER)),
            }
        });
    }
}

/// A process of the function that can end at any moment.
struct Process(Runtime);

impl Process {
    fn start() -> Self {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        Self(runtime.worker_threads(1).enable_all().build().unwrap())
    }

    fn deliver(&self, world: &World, event: &Value, concurrency: usize) -> JoinHandle<Response> {
        let (world, event) = (world.clone(), event.clone());
        self.0.spawn(async move {
            let variables = variables(concurrency);
            let other = world.another(unhurried(), &variables).await;
            other.deliver(&event).await
        })
    }

    /// Ends the process, with all its tasks.
    async fn end(self) {
        spawn_blocking(move || drop(self)).await.unwrap();
    }
}

/// Limits under which only a cut changes the requests of a run, even on a slow machine.
fn unhurried() -> Limits {
    Limits {
        relist: NEVER,
        relist_alone: NEVER,
        source_stall: PATIENCE,
        store_stall: PATIENCE,
        store_call: PATIENCE,
        ..limits()
    }
}

fn variables(concurrency: usize) -> Vec<(&'static str, String)> {
    vec![("TRANSFER_CONCURRENCY", concurrency.to_string())]
}

/// A world whose function has this many parts in flight.
async fn world(concurrency: usize) -> World {
    survivors(Setup {
        variables: variables(concurrency),
        limits: unhurried(),
        ..setup()
    })
    .await
}

/// A world whose own function has another user agent than the one that ends, whose last requests
/// may still be on the wire.
async fn survivors(setup: Setup) -> World {
    let (limits, variables) = (setup.limits.clone(), setup.variables.clone());
    let world = World::with(setup).await;
    let http = client_to(&world.acs).user_agent(SURVIVOR);
    let function = function_over(&world.s3, &world.acs, http, limits, &variables);
    World::over(&world, function.await)
}

/// The document of one byte.
const SMALL: &str = "0-eus-d0-801b3f3fc462fe8a01e6810cbff729b8";

/// A recording of one byte, of one part and a byte, and of four parts and a rest.
fn recording() -> Recording {
    Recording::of(&[1, PART + 1, 4 * PART + 99])
}

/// A recording of one byte, and of two parts and a rest.
fn smaller() -> Recording {
    Recording::of(&[1, 2 * PART + 99])
}

fn size(recording: &Recording) -> u64 {
    recording
        .chunks
        .iter()
        .map(|chunk| chunk.media.length())
        .sum()
}

/// The requests of a run without a fault.
async fn requests_of_a_run(recording: &Recording, concurrency: usize) -> Vec<Asked> {
    let world = world(concurrency).await;
    recording.publish(&world);
    let knife = Knife::blunt();
    knife.put_to(&world);
    assert_eq!(world.deliver(&recording.event(&world)).await.status, 200);
    world.assert_archived(recording);
    knife.asked()
}

/// The run that resumes after an interrupted one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Delivery,
    Tick,
}

/// An interruption.
#[derive(Clone, Copy, Debug)]
struct Point {
    at: usize,
    way: Way,
    next: Next,
    concurrency: usize,
}

/// Prints the point if the test fails there.
struct Told<T: std::fmt::Debug>(T);

impl<T: std::fmt::Debug> Drop for Told<T> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("at {:?}", self.0);
        }
    }
}

/// The state that an ended run leaves.
struct Left {
    pending: bool,
    /// Document and first byte of each part in S3 that the next run knows of.
    parts: BTreeSet<(String, u64)>,
    /// The documents with archived media.
    archived: BTreeSet<String>,
    /// The number of uploads that were begun and that no record names.
    unknown: usize,
}

impl Left {
    fn of(world: &World, recording: &Recording, concurrency: usize) -> Self {
        let event = recording.event_key();
        let mut left = Self {
            pending: world.s3.object(&event).is_some(),
            parts: BTreeSet::new(),
            archived: BTreeSet::new(),
            unknown: 0,
        };
        for chunk in &recording.chunks {
            let (key, id) = (recording.media_key(chunk), &chunk.document_id);
            if world.s3.object(&key).is_some() {
                left.archived.insert(id.clone());
                continue;
            }
            let begun = world.s3.calls().into_iter().filter(|call| {
                call.operation == "CreateMultipartUpload" && call.key.as_ref() == Some(&key)
            });
            let Some(record) = world.s3.object(&recording.record_key(chunk)) else {
                // One of several concurrent requests may still be on the wire, and take effect
                // later.
                let on_the_wire = concurrency > 1 && chunk.media.length() > PART;
                left.unknown += begun.count().max(usize::from(on_the_wire));
                continue;
            };
            let record: Value = serde_json::from_slice(&record.body).unwrap();
            let uploads = world.s3.uploads().into_iter();
            for upload in uploads.filter(|upload| record["uploadId"] == upload.upload_id) {
                for number in upload.parts.keys() {
                    let size = record["partSize"].as_u64().unwrap();
                    let start = (u64::try_from(*number).unwrap() - 1) * size;
                    left.parts.insert((id.clone(), start));
                }
            }
        }
        left
    }

    /// Asserts that no part and no object of this state was fetched again.
    fn assert_kept(&self, world: &World) {
        for request in world.acs.requests() {
            let survives = request.headers["user-agent"] == SURVIVOR;
            let (true, Kind::Media, Some(document)) = (survives, request.kind, request.document)
            else {
                continue;
            };
            assert!(
                !self.archived.contains(&document),
                "{document} was fetched again"
            );
            let range = request.range.expect("media is fetched by ranges");
            let (start, _) = range["bytes=".len()..].split_once('-').unwrap();
            let part = (document, start.parse().unwrap());
            assert!(!self.parts.contains(&part), "{part:?} was fetched again");
        }
    }
}

/// Ends a run at `point`, lets the next one resume, and returns the request that was cut; `None` if
/// there was nothing to resume.
async fn interrupt(world: World, point: Point) -> Option<Asked> {
    let _told = Told(point);
    world.clear();
    let recording = recording();
    recording.publish(&world);
    let before = world.sent(&recording);
    let event = recording.event(&world);
    let knife = Knife::new(point.at, point.way, true);
    knife.put_to(&world);

    let process = Process::start();
    let delivery = process.deliver(&world, &event, point.concurrency);
    tokio::select! {
        () = knife.end.notified() => {}
        response = delivery => panic!("{response:?} is not interrupted"),
        () = tokio::time::sleep(PATIENCE) => panic!("the request was not made in time"),
    }
    process.end().await;
    world.acs.heal();
    world.s3.heal();
    let asked = knife.asked();
    let left = Left::of(&world, &recording, point.concurrency);
    let _told = Told((asked.get(point.at).cloned(), asked.clone()));
    world.acs.clear_requests();
    world.s3.clear_calls();

    match point.next {
        Next::Tick if !left.pending => return None,
        Next::Tick => {
            world.make_due();
            assert_eq!(world.tick().await.finished, 1);
        }
        Next::Delivery => assert_eq!(world.deliver_again(&event, 1).await.status, 200),
    }

    let unknown = world.s3.uploads();
    assert!(unknown.len() <= left.unknown, "{unknown:?}");
    for upload in unknown {
        world.s3.abort(&upload.upload_id);
    }
    world.assert_archived(&recording);
    left.assert_kept(&world);
    let in_flight = point.concurrency as u64 * PART;
    let sent = world.sent(&recording) - before;
    assert!(sent <= size(&recording) + in_flight, "{sent} bytes");
    assert_eq!(
        world.tick().await,
        Swept::default(),
        "an event is still pending"
    );
    Some(asked[point.at].clone())
}

/// Runs `work` for all points, several concurrently, each in a world of its own.
async fn all<P, F>(points: Vec<P>, concurrency: usize, work: fn(World, P) -> F) -> Vec<F::Output>
where
    P: Send + 'static,
    F: Future<Output: Send> + Send + 'static,
{
    let points = Arc::new(Mutex::new(points.into_iter()));
    let mut workers = JoinSet::new();
    for _ in 0..AT_ONCE {
        let points = Arc::clone(&points);
        workers.spawn(async move {
            let world = world(concurrency).await;
            let mut done = Vec::new();
            loop {
                let point = points.lock().unwrap().next();
                let Some(point) = point else { break done };
                done.push(work(world.clone(), point).await);
            }
        });
    }
    workers.join_all().await.into_iter().flatten().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_ends_at_any_request_is_finished_by_the_next() {
    let requests = requests_of_a_run(&recording(), 1).await;
    let mut points = Vec::new();
    for (at, asked) in requests.iter().enumerate() {
        for way in asked.ways() {
            for next in [Next::Delivery, Next::Tick] {
                points.push(Point {
                    at,
                    way: *way,
                    next,
                    concurrency: 1,
                });
            }
        }
    }
    let cuts = points.len() / 2;
    let finished = all(points, 1, interrupt)
        .await
        .into_iter()
        .flatten()
        .count();
    println!(
        "{} requests, {cuts} interruptions, each finished by a delivery, {} of them also by a tick",
        requests.len(),
        finished - cuts
    );
    assert!(requests.len() >= 35, "{}", requests.len());
    assert!(cuts >= 80, "{cuts}");
    // Before the event is stored, and after it is deleted, there is no work for a tick.
    assert!(finished - cuts >= cuts - 8, "{finished}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_with_eight_parts_in_flight_that_ends_anywhere_is_finished_by_the_next() {
    let requests = requests_of_a_run(&recording(), 8).await.len();
    let ways = [Way::Before, Way::Middle, Way::After];
    let points: Vec<_> = (0..requests.saturating_sub(3))
        .step_by(2)
        .zip(ways.into_iter().cycle())
        .map(|(at, way)| Point {
            at,
            way,
            next: if at % 4 == 0 {
                Next::Delivery
            } else {
                Next::Tick
            },
            concurrency: 8,
        })
        .collect();
    let cuts = points.len();
    let finished = all(points, 8, interrupt)
        .await
        .into_iter()
        .flatten()
        .count();
    println!("{requests} requests, {cuts} interruptions, {finished} finished");
    assert!(
        finished >= 15 && finished + 2 >= cuts,
        "{finished} of {cuts}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_survives_the_failure_of_any_one_request() {
    let requests = requests_of_a_run(&smaller(), 1).await;
    let mut points = Vec::new();
    for (at, asked) in requests.iter().enumerate() {
        points.extend(asked.ways().iter().map(|way| (at, *way)));
    }
    let cuts = points.len();
    all(points, 1, survive).await;
    println!("{} requests, {cuts} failures", requests.len());
    assert!(cuts >= 45, "{cuts}");
}

async fn survive(world: World, (at, way): (usize, Way)) {
    let _told = Told((at, way));
    world.clear();
    let recording = smaller();
    recording.publish(&world);
    let knife = Knife::new(at, way, false);
    knife.put_to(&world);
    let response = world.deliver(&recording.event(&world)).await;
    let cut = knife.asked()[at].clone();
    let _told = Told(cut.clone());
    assert_eq!(response.status.code(), 200, "{response:?}");
    if let [lost] = &world.s3.uploads()[..]
        && matches!(cut, Asked::S3("CreateMultipartUpload", _))
        && way == Way::After
    {
        // No record names the upload.
        world.s3.abort(&lost.upload_id);
    }
    world.assert_archived(&recording);
}

/// The built binary, as Lambda runs it, between the emulators of a world.
pub struct Machine {
    runtime: RuntimeApi,
    proxy: Proxy,
    authority: NamedTempFile,
    world: World,
}

impl Machine {
    pub async fn start(world: &World) -> Self {
        let authority = NamedTempFile::new().unwrap();
        fs::write(authority.path(), world.acs.ca_pem()).unwrap();
        Self {
            runtime: RuntimeApi::start().await,
            proxy: Proxy::start(world.acs.tls_address()).await,
            authority,
            world: world.clone(),
        }
    }

    /// Starts a process, which is killed when it is dropped.
    pub fn run(&self) -> Child {
        let (s3, acs) = (&self.world.s3, &self.world.acs);
        Command::new(env!("CARGO_BIN_EXE_acs-recording-archiver"))
            .env_clear()
            .envs(self.runtime.environment())
            .env(
                "COMMUNICATION_SERVICES_CONNECTION_STRING",
                acs.connection_string(),
            )
            .env("RECORDINGS_BUCKET", s3.bucket())
            .env("WEBHOOK_SECRETS", SECRET)
            .env("S3_FORCE_PATH_STYLE", "true")
            .env("TRANSFER_CONCURRENCY", "2")
            .env("AWS_ENDPOINT_URL_S3", s3.endpoint())
            .env("AWS_ACCESS_KEY_ID", s3.access_key_id())
            .env("AWS_SECRET_ACCESS_KEY", s3.secret_access_key())
            .env("HTTPS_PROXY", self.proxy.url())
            .env("SSL_CERT_FILE", self.authority.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("the binary can be started")
    }

    /// The status of a delivery's answer.
    pub async fn deliver(&self, event: &Value, count: u32) -> Status {
        #[expect(clippy::disallowed_methods, reason = "Lambda's deadline is a moment")]
        let deadline = SystemTime::now() + PATIENCE;
        let payload = delivery(&event.to_string(), count).to_string();
        let answer = timeout(2 * PATIENCE, self.runtime.invoke(payload, deadline)).await;
        let answer: Value = serde_json::from_slice(&answer.unwrap().unwrap()).unwrap();
        let code = answer["statusCode"].as_u64().unwrap().try_into().unwrap();
        Status::new(code, answer["body"].as_str().unwrap_or_default())
    }
}

/// Bytes of a part, as deployed.
pub const DEPLOYED_PART: u64 = 16 * 1024 * 1024;

/// The requests at which a process is killed: operation, end of the key, number of such requests
/// before, and point.
const KILLS: [(&str, &str, usize, Way); 14] = [
    ("PutObject", "/event.json", 0, Way::Before),
    ("PutObject", "/event.json", 0, Way::After),
    ("CreateMultipartUpload", ".mp4", 0, Way::Before),
    ("CreateMultipartUpload", ".mp4", 0, Way::After),
    ("PutObject", ".upload.json", 0, Way::Before),
    ("PutObject", ".upload.json", 0, Way::After),
    ("UploadPart", ".mp4", 0, Way::Middle),
    ("UploadPart", ".mp4", 2, Way::Middle),
    ("CompleteMultipartUpload", ".mp4", 0, Way::Before),
    ("CompleteMultipartUpload", ".mp4", 0, Way::After),
    ("DeleteObject", ".upload.json", 0, Way::Before),
    ("PutObject", ".manifest.json", 0, Way::Before),
    ("PutObject", ".manifest.json", 0, Way::After),
    ("DeleteObject", "/event.json", 0, Way::Before),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_process_resumes_after_a_killed_one() {
    let world = survivors(Setup {
        s3: s3::Settings::default(),
        ..setup()
    })
    .await;
    let recording = Recording::of(&[2 * DEPLOYED_PART + 99, 7]);
    recording.publish(&world);
    let event = recording.event(&world);
    for kill in KILLS {
        let _told = Told(kill);
        world.clear();
        let before = world.sent(&recording);
        let end = Arc::new(Notify::new());
        let cut = Arc::clone(&end);
        let (operation, key, earlier, way) = kill;
        let seen = AtomicUsize::new(0);
        world.s3.inject(move |call| {
            let is_it = call.operation == operation
                && call.key.as_deref().is_some_and(|it| it.ends_with(key))
                && seen.fetch_add(1, Ordering::Relaxed) >= earlier;
            if !is_it {
                return None;
            }
            // The lost request is repeated; only then its effect is certain.
            if way != Way::After || seen.load(Ordering::Relaxed) > earlier + 1 {
                cut.notify_one();
            }
            Some(match way {
                Way::Before => s3::Fault::Hang(NEVER),
                Way::Middle => s3::Fault::CutBody { after: 1_000_000 },
                Way::After => s3::Fault::LoseAnswer,
            })
        });
        let machine = Machine::start(&world).await;
        let mut process = machine.run();
        tokio::select! {
            status = machine.deliver(&event, 0) => panic!("{status:?} is not interrupted"),
            () = end.notified() => {}
        }
        process.kill().await.unwrap();
        world.s3.heal();
        let left = Left::of(&world, &recording, 8);
        world.acs.clear_requests();
        world.s3.clear_calls();

        let _next = machine.run();
        assert_eq!(machine.deliver(&event, 1).await, 200);
        let unknown = world.s3.uploads();
        assert!(unknown.len() <= left.unknown, "{unknown:?}");
        for upload in unknown {
            world.s3.abort(&upload.upload_id);
        }
        world.assert_archived(&recording);
        left.assert_kept(&world);
        let sent = world.sent(&recording) - before;
        let most = size(&recording) + 2 * DEPLOYED_PART;
        assert!(sent <= most, "{sent} bytes");
    }
    println!("{} kills", KILLS.len());
}
