//! Hostile input: properties of the complete delivery path over generated payloads.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::future::Future;
use std::time::{Duration, SystemTime};

use acs_recording_archiver::function::Answer;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use emulators::acs;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};
use serde_json::value::RawValue;
use serde_json::{Map, Number, Value, json};
use tokio::runtime::Builder;

use harness::embedded::{RESOURCE, SECRET, Setup, delivery, payload};
use harness::world::{Recording, TICK, TOPIC, World, setup};

const RECORDING_EVENT: &str = "Microsoft.Communication.RecordingFileStatusUpdated";
/// The number of inputs for each property.
const CASES: u32 = 300;
/// The seed of all inputs.
const SEED: u64 = 4;

/// Hosts that a hostile event names. The emulator answers for all of them and records requests.
const ELSEWHERE: [&str; 5] = [
    "evil.example.com",
    "asm.skype.com",
    "eus-prod.asm.skype.com.evil.example.com",
    "evilasm.skype.com",
    "other.communication.azure.com",
];

/// The payloads of the sample events.
const SAMPLES: [&str; 13] = [
    include_str!("../../events/acs-storage.json"),
    include_str!("../../events/customer-storage-failed.json"),
    include_str!("../../events/customer-storage.json"),
    include_str!("../../events/dead-lettered.json"),
    include_str!("../../events/foreign-host.json"),
    include_str!("../../events/recording-2021.json"),
    include_str!("../../events/recording-cloudevents-batch.json"),
    include_str!("../../events/recording-cloudevents.json"),
    include_str!("../../events/recording-current.json"),
    include_str!("../../events/recording-three-chunks.json"),
    include_str!("../../events/unknown-storage.json"),
    include_str!("../../events/unknown-type.json"),
    include_str!("../../events/validation.json"),
];

/// A set-up with short time limits.
fn hasty() -> Setup {
    let mut hasty = setup();
    hasty.limits.unknown_deadline = Duration::from_secs(5);
    hasty.limits.margin = Duration::ZERO;
    hasty.limits.attempts = 2;
    hasty.limits.not_ready_attempts = 1;
    hasty.acs.more_names = ELSEWHERE.map(str::to_owned).to_vec();
    hasty.s3.page_size = 1000;
    hasty
}

/// Runs `check` on generated inputs; a failure names the input and the seed.
fn try_all<S, F>(inputs: &S, check: impl Fn(World, S::Value) -> F)
where
    S: Strategy<Value: Clone + Debug>,
    F: Future<Output = ()>,
{
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let world = runtime.block_on(World::with(hasty()));
    let config = Config {
        cases: CASES,
        failure_persistence: None,
        max_shrink_iters: 500,
        ..Config::default()
    };
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&SEED.to_le_bytes());
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let tried = TestRunner::new_with_rng(config, random).run(inputs, |input| {
        world.clear();
        runtime.block_on(check(world.clone(), input));
        Ok(())
    });
    match tried {
        Ok(()) => println!("{CASES} inputs"),
        Err(TestError::Fail(why, input)) => panic!("seed {SEED}: {why}\nby {input:?}"),
        Err(TestError::Abort(why)) => panic!("seed {SEED}: {why}"),
    }
}

/// An answer of the function.
struct Given {
    /// `None` for a tick.
    status: Option<u64>,
    body: Value,
}

/// Invokes the function, and asserts what every answer has in common.
async fn give(world: &World, payload: &str) -> Given {
    let payload = RawValue::from_string(payload.to_owned()).expect("Lambda gives JSON");
    let answer = world.function.invoke(&payload, SystemTime::UNIX_EPOCH);
    let given = match answer.await.expect("what is pending can be listed") {
        Answer::Tick(_) => Given {
            status: None,
            body: Value::Null,
        },
        Answer::Http(response) => {
            let response = serde_json::to_value(response).unwrap();
            let text = response["body"].as_str().expect("every answer has a body");
            assert!(
                !text.contains("the function failed"),
                "the function panicked"
            );
            // The handshake repeats its code, which may be a URL.
            let repeats = text.starts_with("{\"validationResponse\":");
            assert!(repeats || !text.contains("://"), "a URL in {text}");
            let status = response["statusCode"].as_u64();
            let known = [200, 400, 401, 405, 413, 503];
            assert!(status.is_some_and(|it| known.contains(&it)), "{response}");
            assert_eq!(
                response["headers"]["content-length"],
                text.len().to_string()
            );
            Given {
                status,
                body: serde_json::from_str(text).expect("every body is JSON"),
            }
        }
    };
    if matches!(given.status, Some(400 | 401 | 405 | 413)) {
        assert!(world.s3.calls().is_empty(), "{:?}", world.s3.calls());
        world.assert_acs_uncalled();
    }
    assert_in_bounds(world);
    given
}

/// Asserts that all keys are below the prefix, and all requests went to ACS.
fn assert_in_bounds(world: &World) {
    let called = world.s3.calls().into_iter();
    let called: Vec<String> = called.filter_map(|call| call.key).collect();
    for key in called.iter().chain(&world.keys()) {
        assert!(key.starts_with("recordings/"), "{key}");
        assert!(key.len() <= 1024, "{key}");
        assert!(!key.chars().any(char::is_control), "{key:?}");
        let mut names = key.split('/');
        assert!(names.all(|name| !matches!(name, "" | "." | "..")), "{key}");
    }
    for request in world.acs.requests() {
        let path = &request.path_and_query;
        assert_eq!(request.method, "GET", "{path}");
        assert!(request.tls, "{path}");
        if request.host == RESOURCE {
            assert!(path.starts_with("/recording/download/"), "{path}");
        } else {
            assert_eq!(request.host, world.acs.media_host(), "{path}");
        }
    }
}

/// A field of an object. [`Value`] would misread objects with one of `serde_json`'s private names.
fn field(object: &RawValue, name: &str) -> Option<Box<RawValue>> {
    let fields: Result<BTreeMap<String, Box<RawValue>>, _> = serde_json::from_str(object.get());
    fields.ok()?.remove(name)
}

fn text(object: &RawValue, name: &str) -> Option<String> {
    serde_json::from_str(field(object, name)?.get()).ok()
}

/// The elements of a body whose envelope is that of a recording's event.
fn recordings(body: &[u8]) -> Vec<Box<RawValue>> {
    let elements = serde_json::from_slice::<Vec<Box<RawValue>>>(body);
    let elements = elements.or_else(|_| Ok(vec![serde_json::from_slice(body)?]));
    let elements: serde_json::Result<_> = elements;
    let mut elements: Vec<Box<RawValue>> = elements.unwrap_or_default();
    elements.retain(|element| {
        let event_type = text(element, "eventType").or_else(|| text(element, "type"));
        event_type.is_some_and(|it| it.eq_ignore_ascii_case(RECORDING_EVENT))
    });
    elements
}

/// Asserts that each recording's event is in the bucket: pending, in a manifest, or set aside.
fn assert_none_dropped(world: &World, body: &[u8], given: &Given) {
    if given.status == Some(400) {
        assert!(recordings(body).is_empty(), "{}", given.body);
        return;
    }
    if !matches!(given.status, Some(200 | 503)) {
        return;
    }
    let objects = world.s3.objects();
    let is_kept = |event: &RawValue| {
        let event = event.get().as_bytes();
        let holds = |body: &[u8]| body.windows(event.len()).any(|place| place == event);
        objects.values().any(|object| holds(&object.body))
    };
    let events = recordings(body);
    for event in &events {
        // An exported recording is ignored.
        let storage = field(event, "data").and_then(|data| text(&data, "storageType"));
        let customers = ["blobstorage", "azureblobstorage"];
        if storage.is_some_and(|it| customers.contains(&it.trim().to_lowercase().as_str())) {
            continue;
        }
        // Events of the same id are the same event, so one of them is kept.
        let id = text(event, "id");
        let same = |other: &&RawValue| {
            other.get() == event.get() || (id.is_some() && text(other, "id") == id)
        };
        let mut same = events.iter().map(AsRef::as_ref).filter(same);
        assert!(same.any(is_kept), "{event} is dropped");
    }
    for report in given.body["events"].as_array().into_iter().flatten() {
        assert_ne!(report["outcome"], "unstored");
    }
}

/// Delivers a body, and ticks if an event is pending afterwards.
async fn deliver(world: &World, body: &str, payload: &Value) {
    let given = give(world, &payload.to_string()).await;
    assert_none_dropped(world, body.as_bytes(), &given);
    if !world.pending_keys().is_empty() {
        assert_eq!(give(world, TICK).await.status, None);
        assert_none_dropped(world, body.as_bytes(), &given);
    }
}

/// The body of a sample's payload.
fn body_of(sample: &str) -> Value {
    let sample: Value = serde_json::from_str(sample).unwrap();
    let body = sample["body"].as_str().unwrap();
    if sample["isBase64Encoded"] == true {
        serde_json::from_slice(&BASE64_STANDARD.decode(body).unwrap()).unwrap()
    } else {
        serde_json::from_str(body).unwrap()
    }
}

/// Unusual text.
fn odd_text() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "",
        " ",
        ".",
        "..",
        "../../../etc/passwd",
        "a/b",
        "/",
        "//",
        "%2e%2e%2f",
        "%",
        "%00",
        "%ff",
        "\0",
        "\r\nx-evil: 1",
        "\u{7f}\u{80}\u{9f}",
        "\u{202e}\u{feff}\u{200d}",
        "\u{ffff}\u{10ffff}",
        "e\u{301}\u{1f3f3}\u{fe0f}",
        "-",
        "_",
        "a b",
        "\"\\",
        "<script>",
        "${jndi:ldap://x}",
        "null",
        "0",
        RECORDING_EVENT,
        "microsoft.communication.recordingfilestatusupdated",
        "Microsoft.EventGrid.SubscriptionValidationEvent",
        "/recording/call/",
        "/recording/call//",
        "/recording/call/../..",
        "/recording/call/%2e%2e",
        "9999-12-31T23:59:59.9999999Z",
        "0000-01-01T00:00:00Z",
        "2026-11-23T15:20:34+23:59",
        "9999-12-31T23:59:59-23:59",
        "0000-01-01T00:00:00+23:59",
        "2026-02-30T00:00:00Z",
        "2026-11-23T23:59:60Z",
        TOPIC,
    ]);
    let repeated = (any::<char>(), 100_usize..4_000)
        .prop_map(|(one, times)| std::iter::repeat_n(one, times).collect());
    prop_oneof![
        4 => known.prop_map(str::to_owned),
        2 => any::<String>(),
        1 => repeated,
        1 => Just("x".repeat(4_000)),
        3 => odd_location(),
    ]
}

/// URLs that resemble an allowed location.
fn odd_location() -> impl Strategy<Value = String> {
    let hosts = ELSEWHERE.into_iter().map(str::to_owned).chain(
        [
            "eus-prod.asm.skype.com",
            "EUS-PROD.ASM.SKYPE.COM",
            "eus-prod.asm.skype.com.",
            "eus-prod.asm.skype.com:444",
            "eus-prod.asm.skype.com:443",
            "user:pass@eus-prod.asm.skype.com",
            "evil.example.com#.asm.skype.com",
            "evil.example.com?.asm.skype.com",
            "evil.example.com\\.asm.skype.com",
            "eus-prod.asm.skype.com@evil.example.com",
            ".asm.skype.com",
            "xn--.asm.skype.com",
            "ａｓｍ.asm.skype.com",
            "127.0.0.1",
            "[::1]",
            "169.254.169.254",
            "0x7f.1",
            "localhost",
            "",
            RESOURCE,
        ]
        .map(str::to_owned),
    );
    let schemes = [
        "https://",
        "http://",
        "HTTPS://",
        "https:/",
        "//",
        "file://",
        "ftp://",
        " https://",
    ];
    let paths = [
        "",
        "/",
        "/v1/objects/x/content/video",
        "/v1/objects/%2e%2e/../..",
        "/v1/objects/x\r\ny",
        "/?a=b&code=x#f",
        "/\u{fc}\u{1f600}",
        "//",
        "/users?api-version=1",
    ];
    let schemes = prop::sample::select(schemes.to_vec());
    let hosts = prop::sample::select(hosts.collect::<Vec<_>>());
    (schemes, hosts, prop::sample::select(paths.to_vec()))
        .prop_map(|(scheme, host, path)| format!("{scheme}{host}{path}"))
}

fn odd_number() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|it| Number::from_f64(it).map_or(Value::Null, Value::Number)),
        prop::sample::select(vec![
            json!(0),
            json!(-1),
            json!(u64::MAX),
            json!(1e308),
            json!(-0.0)
        ]),
    ]
}

/// Any JSON, partly with the names that the function reads.
fn odd_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        odd_number(),
        odd_text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((odd_name(), inner), 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn odd_name() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "id",
        "eventType",
        "type",
        "topic",
        "source",
        "subject",
        "eventTime",
        "time",
        "data",
        "recordingStorageInfo",
        "recordingChunks",
        "documentId",
        "index",
        "contentLocation",
        "metadataLocation",
        "storageType",
        "recordingFormatType",
        "validationCode",
        "detail-type",
        "requestContext",
        "http",
        "method",
        "headers",
        "body",
        "isBase64Encoded",
        "rawQueryString",
        "$serde_json::private::RawValue",
        "$serde_json::private::Number",
    ]);
    prop_oneof![9 => known.prop_map(str::to_owned), 1 => odd_text()]
}

/// A change of JSON at a place in it.
#[derive(Clone, Debug)]
enum Change {
    /// Replaces the value.
    Replace(Value),
    Remove,
    /// Repeats the value, in an object under another name.
    Copy(String),
    /// Nests the value in this many arrays.
    Bury(usize),
}

fn change() -> impl Strategy<Value = (prop::sample::Index, Change)> {
    let change = prop_oneof![
        5 => odd_value().prop_map(Change::Replace),
        3 => odd_text().prop_map(|text| Change::Replace(text.into())),
        2 => Just(Change::Remove),
        1 => odd_name().prop_map(Change::Copy),
        1 => (1_usize..100).prop_map(Change::Bury),
    ];
    (any::<prop::sample::Index>(), change)
}

/// The number of places in a JSON value.
fn places(value: &Value) -> usize {
    1 + match value {
        Value::Array(elements) => elements.iter().map(places).sum(),
        Value::Object(fields) => fields.values().map(places).sum(),
        _ => 0,
    }
}

/// Changes the place with this number, and returns `true` if it was found.
fn change_at(value: &mut Value, place: &mut usize, change: &Change) -> bool {
    let found = |place: &mut usize| {
        *place = place.wrapping_sub(1);
        *place == usize::MAX
    };
    match value {
        Value::Array(elements) => {
            for index in 0..elements.len() {
                if found(place) {
                    match change {
                        Change::Remove => {
                            elements.remove(index);
                        }
                        Change::Copy(_) => elements.insert(index, elements[index].clone()),
                        _ => replace(&mut elements[index], change),
                    }
                    return true;
                }
                if change_at(&mut elements[index], place, change) {
                    return true;
                }
            }
        }
        Value::Object(fields) => {
            let names: Vec<String> = fields.keys().cloned().collect();
            for name in names {
                if found(place) {
                    change_field(fields, &name, change);
                    return true;
                }
                if change_at(&mut fields[&name], place, change) {
                    return true;
                }
            }
        }
        _ => {}
    }
    false
}

fn change_field(fields: &mut Map<String, Value>, name: &str, change: &Change) {
    match change {
        Change::Remove => {
            fields.remove(name);
        }
        Change::Copy(other) => {
            let value = fields[name].clone();
            fields.insert(other.clone(), value);
        }
        _ => replace(&mut fields[name], change),
    }
}

fn replace(value: &mut Value, change: &Change) {
    match change {
        Change::Replace(other) => *value = other.clone(),
        Change::Bury(depth) => {
            for _ in 0..*depth {
                *value = json!([value.take()]);
            }
        }
        Change::Remove | Change::Copy(_) => {}
    }
}

fn changed(mut value: Value, changes: &[(prop::sample::Index, Change)]) -> Value {
    for (index, change) in changes {
        let places = places(&value);
        if places > 1 {
            change_at(&mut value, &mut index.index(places - 1), change);
        }
    }
    value
}

fn changes() -> impl Strategy<Value = Vec<(prop::sample::Index, Change)>> {
    prop::collection::vec(change(), 1..4)
}

/// A change of text at a place in it.
#[derive(Clone, Debug)]
enum Slip {
    /// Ends the text.
    End,
    /// Removes some characters.
    Gap(usize),
    /// Inserts a text.
    Insert(String),
}

fn slip() -> impl Strategy<Value = (prop::sample::Index, Slip)> {
    let inserted = prop::sample::select(vec![
        "\\ud800",
        "\\udfff\\ud800",
        "\\u0000",
        "\"",
        "\\",
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\0",
        "\u{feff}",
        "1e999",
        "-",
        "99999999999999999999999999",
        "0.1e-400",
        "null",
        "\"id\":\"twice\",",
        "\"eventType\":\"Microsoft.Communication.RecordingFileStatusUpdated\",",
        "\"\\ud800\":1,",
        "\u{1f600}",
    ]);
    let slip = prop_oneof![
        1 => Just(Slip::End),
        2 => (1_usize..40).prop_map(Slip::Gap),
        4 => inserted.prop_map(|text| Slip::Insert(text.to_owned())),
        1 => (1_usize..20_000).prop_map(|depth| Slip::Insert("[".repeat(depth))),
        1 => (1_usize..20_000).prop_map(|depth| Slip::Insert(format!("\"x\":{}1{},", "[".repeat(depth), "]".repeat(depth)))),
    ];
    (any::<prop::sample::Index>(), slip)
}

fn slipped(mut text: String, slips: &[(prop::sample::Index, Slip)]) -> String {
    for (index, slip) in slips {
        let at = (0..=text.len()).rev().collect::<Vec<_>>();
        let mut at = at[index.index(at.len())];
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        match slip {
            Slip::End => text.truncate(at),
            Slip::Gap(length) => {
                let rest: String = text[at..].chars().skip(*length).collect();
                text.truncate(at);
                text.push_str(&rest);
            }
            Slip::Insert(other) => text.insert_str(at, other),
        }
    }
    text
}

fn sample() -> impl Strategy<Value = &'static str> {
    prop::sample::select(SAMPLES.to_vec())
}

#[test]
fn any_bytes_as_a_body() {
    let bytes = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        odd_value().prop_map(|value| value.to_string().into_bytes()),
        any::<String>().prop_map(String::into_bytes),
    ];
    try_all(
        &(bytes, any::<bool>()),
        |world, (bytes, encoded)| async move {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let mut payload = delivery(&text, 0);
            if encoded {
                payload["body"] = BASE64_STANDARD.encode(&bytes).into();
                payload["isBase64Encoded"] = true.into();
                let given = give(&world, &payload.to_string()).await;
                assert_none_dropped(&world, &bytes, &given);
            } else {
                deliver(&world, &text, &payload).await;
            }
        },
    );
}

#[test]
fn bodies_of_text_marked_as_base64() {
    let text = prop_oneof![any::<String>(), "[A-Za-z0-9+/=]{0,40}"];
    try_all(&text, |world, text| async move {
        let mut payload = delivery(&text, 0);
        payload["isBase64Encoded"] = true.into();
        give(&world, &payload.to_string()).await;
    });
}

#[test]
fn sample_events_with_other_values_in_them() {
    try_all(
        &(sample(), changes()),
        |world, (sample, changes)| async move {
            let body = changed(body_of(sample), &changes).to_string();
            deliver(&world, &body, &delivery(&body, 0)).await;
        },
    );
}

#[test]
fn events_of_existing_recordings_with_other_values_in_them() {
    try_all(&changes(), |world, changes| async move {
        let recording = Recording::of(&[10, 100_000]);
        recording.publish(&world);
        let body = changed(recording.event(&world), &changes).to_string();
        deliver(&world, &body, &delivery(&body, 1)).await;
    });
}

#[test]
fn sample_events_that_are_cut_and_changed() {
    let slips = prop::collection::vec(slip(), 1..4);
    try_all(&(sample(), slips), |world, (sample, slips)| async move {
        let body = slipped(body_of(sample).to_string(), &slips);
        deliver(&world, &body, &delivery(&body, 0)).await;
    });
}

#[test]
fn sample_payloads_with_other_values_in_them() {
    let samples = SAMPLES.into_iter().chain([
        include_str!("../../events/options.json"),
        include_str!("../../events/refused-secret.json"),
        TICK,
        include_str!("../../events/schedule-scheduler.json"),
        include_str!("../../events/subscription-deletion.json"),
    ]);
    let sample = prop::sample::select(samples.collect::<Vec<_>>());
    try_all(
        &(sample, changes()),
        |world, (sample, changes)| async move {
            let payload = changed(serde_json::from_str(sample).unwrap(), &changes);
            give(&world, &payload.to_string()).await;
        },
    );
}

#[test]
fn any_json_as_a_payload() {
    let tick = (odd_value(), odd_value())
        .prop_map(|(detail, context)| json!({"detail-type": detail, "requestContext": context}));
    let request = (odd_text(), odd_text(), odd_text(), odd_value()).prop_map(
        |(method, path, query, body)| {
            let mut payload = payload(
                &method,
                &path,
                &query,
                &json!({"x-webhook-secret": SECRET}),
                "",
            );
            payload["body"] = body;
            payload
        },
    );
    let any = prop_oneof![odd_value(), tick, request];
    try_all(&any, |world, payload| async move {
        give(&world, &payload.to_string()).await;
    });
}

#[test]
fn ids_and_subjects_of_any_text() {
    let texts = (odd_text(), odd_text(), odd_text(), any::<u64>());
    try_all(&texts, |world, (id, subject, document, index)| async move {
        let chunk = json!({
            "documentId": document,
            "index": index,
            "contentLocation": world.acs.content_location("x"),
            "metadataLocation": world.acs.metadata_location("x"),
        });
        let event = json!({
            "id": id,
            "topic": TOPIC,
            "subject": subject,
            "eventType": RECORDING_EVENT,
            "eventTime": "2020-01-01T00:00:00Z",
            "data": {"recordingStorageInfo": {"recordingChunks": [chunk]}},
        });
        let body = event.to_string();
        deliver(&world, &body, &delivery(&body, 0)).await;
    });
}

/// The emulator does record requests to other hosts.
#[tokio::test]
async fn requests_to_other_hosts_are_recorded() {
    let settings = acs::Settings {
        more_names: ELSEWHERE.map(str::to_owned).to_vec(),
        ..hasty().acs
    };
    let world = World::with(Setup {
        acs: settings,
        variables: vec![("MEDIA_HOST_SUFFIXES", ".example.com".to_owned())],
        ..hasty()
    })
    .await;
    let mut event = Recording::of(&[1]).event(&world);
    event["data"]["recordingStorageInfo"]["recordingChunks"][0]["contentLocation"] =
        "https://evil.example.com/v1/objects/x/content/video".into();
    world.deliver(&event).await;
    let mut requests = world.acs.requests().into_iter();
    assert!(requests.any(|request| request.host == "evil.example.com"));
}
