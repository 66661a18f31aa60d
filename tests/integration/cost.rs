//! The cost that a sender can cause: without a credential next to none, with one no more than
//! `SECURITY.md` states.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use emulators::entra::SigningKey;
use emulators::entra::claims::v1;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::keyless::Credential;
use crate::leaks::scene::{AUDIENCE, Scene, TENANT};
use harness::embedded::{Setup, Status, delivery, payload};
use harness::world::{Recording, TOPIC, World, setup};

const MIB: usize = 1024 * 1024;
/// Settings and keys are read again at most once in this time.
const PAUSE: Duration = Duration::from_secs(10);
/// Refused requests in the flood.
const FLOOD: usize = 2_000;
/// The approximate limit of Lambda for a request.
const LARGEST: usize = 5 * MIB;

/// Requests without a valid credential, by kind of credential and body.
fn strangers() -> Vec<(&'static str, String)> {
    let token = SigningKey::shared(1).token(&v1(TENANT, AUDIENCE, 0, 9_999_999_999));
    let bearer = json!({"authorization": format!("Bearer {token}")});
    let request = |query: &str, headers: &Value, body: &str, encoded: bool| {
        let mut request = payload("POST", "/", query, headers, body);
        request["isBase64Encoded"] = encoded.into();
        request.to_string()
    };
    let (wrong, none) = ("code=a-wrong-secret-of-some-length", json!({}));
    let header = json!({"x-webhook-secret": "a-wrong-secret-of-some-length"});
    let large = "x".repeat(MIB);
    let encoded = BASE64_STANDARD.encode(vec![0; LARGEST * 3 / 4]);
    let many = "code=wrong&".repeat(500);
    vec![
        ("nothing", request("", &none, "[]", false)),
        (
            "a wrong secret in the query",
            request(wrong, &none, "[]", false),
        ),
        (
            "a wrong secret in a header",
            request("", &header, "[]", false),
        ),
        ("500 wrong secrets", request(&many, &none, "[]", false)),
        (
            "a token by an unknown key",
            request("", &bearer, "[]", false),
        ),
        ("nothing, 1 MiB", request("", &none, &large, false)),
        (
            "a wrong secret, 1 MiB in base64",
            request(wrong, &none, &encoded[..MIB], true),
        ),
        (
            "a wrong token, 5 MiB",
            request("", &bearer, &"{".repeat(LARGEST), false),
        ),
        (
            "a wrong secret, 5 MiB in base64",
            request(wrong, &none, &encoded, true),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_refused_requests_causes_no_call_and_holds_no_memory() {
    // A coarse limit, which does not depend on the allocator: a few copies of the largest request.
    const CEILING: u64 = 64 * 1024 * 1024;
    let scene = Scene::set(Credential::AccessKey).await;
    let strangers = strangers();
    let (small, large) = strangers.split_at(5);
    let started = Instant::now();
    let process = scene.run(&[("RUST_LOG", "info"), ("AWS_LAMBDA_LOG_LEVEL", "INFO")]);
    let mut spent = BTreeMap::<_, (Duration, u32)>::new();
    for number in 0..FLOOD {
        let (kind, payload) = if number % 40 == 39 {
            &large[number / 40 % large.len()]
        } else {
            &small[number % small.len()]
        };
        let begun = Instant::now();
        #[expect(clippy::disallowed_methods, reason = "Lambda's deadline is a moment")]
        let deadline = SystemTime::now() + PAUSE;
        let answer = scene.lambda.runtime.invoke(payload.clone(), deadline).await;
        let answer: Value = serde_json::from_slice(&answer.unwrap()).unwrap();
        assert_eq!(answer["statusCode"], 401, "{kind}");
        let spent = spent.entry(*kind).or_default();
        *spent = (spent.0 + begun.elapsed(), spent.1 + 1);
    }
    let pauses = started.elapsed().as_secs() / PAUSE.as_secs();
    for (kind, (time, count)) in spent {
        println!("{kind}: {:?} each, of {count}", time / count);
    }
    println!("peak memory {} KiB", process.peak_memory() / 1024);

    let world = &scene.lambda.world;
    world.assert_uncalled();
    // The read at the start begins the first interval.
    assert!(scene.manager.calls() as u64 <= 1 + pauses);
    assert!(scene.entra.calls() as u64 <= 1 + pauses);
    assert!(process.peak_memory() <= CEILING);
    let (stdout, _) = process.kill().await;
    assert_eq!(
        stdout
            .lines()
            .filter(|line| line.contains("\"delivery answered\""))
            .count(),
        FLOOD
    );
}

async fn deliver(world: &World, body: &str) -> Status {
    world.call(&delivery(body, 0)).await.status
}

/// Asserts the cost of a delivery: `calls` of S3, none of ACS, and `objects` in the bucket.
fn assert_spent(world: &World, calls: usize, objects: usize) {
    assert_eq!(world.s3.calls().len(), calls, "{:?}", world.s3.calls());
    assert_eq!(world.keys().len(), objects, "{:?}", world.keys());
    world.assert_acs_uncalled();
    world.s3.clear_calls();
}

#[tokio::test]
async fn a_body_that_is_not_json_or_too_long_is_not_stored() {
    let world = World::start().await;
    let long = format!("[{}0]", "0,".repeat(MIB));
    for (body, status) in [
        ("", 400),
        ("{", 400),
        ("[1,]", 400),
        ("7", 400),
        ("\"garbage\"", 400),
        ("null", 400),
        ("[]garbage", 400),
        (&long, 413),
        ("[]", 200),
    ] {
        assert_eq!(deliver(&world, body).await, status, "{body:.20}");
        assert_spent(&world, 0, 0);
    }
}

#[tokio::test]
async fn garbage_that_comes_repeatedly_is_stored_once() {
    let world = World::start().await;
    for garbage in [
        "{}".to_owned(),
        format!("{{\"x\": \"{}\"}}", "y".repeat(MIB - 9)),
    ] {
        for _ in 0..3 {
            assert_eq!(deliver(&world, &garbage).await, 200);
            assert_spent(&world, 1, 1);
        }
        let objects = world.s3.objects();
        let (key, object) = objects.first_key_value().unwrap();
        assert!(key.starts_with("recordings/rejected/"), "{key}");
        assert!(object.size <= garbage.len() as u64 + 200);
        world.clear();
    }
}

/// Each element costs a call, and each different one an object. An array of more elements than
/// Event Grid sends is one object.
#[tokio::test]
async fn each_element_of_garbage_costs_a_call_and_each_different_one_an_object() {
    const ELEMENTS: usize = 300;
    let world = World::start().await;
    let different: Vec<usize> = (0..ELEMENTS).collect();
    for _ in 0..2 {
        assert_eq!(deliver(&world, &json!(different).to_string()).await, 200);
        assert_spent(&world, ELEMENTS, ELEMENTS);
    }
    world.clear();
    let same = json!(vec![0; ELEMENTS]).to_string();
    assert_eq!(deliver(&world, &same).await, 200);
    assert_spent(&world, ELEMENTS, 1);
    world.clear();
    let other = json!(vec![json!({"type": "Another.Type"}); ELEMENTS]).to_string();
    assert_eq!(deliver(&world, &other).await, 200);
    assert_spent(&world, 0, 0);
    for many in [
        json!(vec![0; 100_000]),
        json!(vec![json!({"type": "a"}); 80_000]),
        json!({"id": "1", "eventType": "Microsoft.Communication.RecordingFileStatusUpdated",
            "data": {"recordingStorageInfo": {"recordingChunks": vec![json!({"documentId": "a"}); 40_000]}}}),
    ] {
        world.clear();
        assert_eq!(deliver(&world, &many.to_string()).await, 200);
        assert_spent(&world, 1, 1);
    }
}

#[tokio::test]
async fn events_that_are_out_of_time_cost_nothing_and_are_delivered_again() {
    let mut hasty = setup();
    hasty.limits.stored_answer = Duration::ZERO;
    hasty.variables = vec![("ACKNOWLEDGE", "stored".to_owned())];
    let world = World::with(hasty).await;
    let different: Vec<usize> = (0..4_000).collect();
    assert_eq!(deliver(&world, &json!(different).to_string()).await, 503);
    assert_spent(&world, 0, 0);
}

#[tokio::test]
async fn a_recording_of_another_topic_costs_one_object() {
    let topics = ("EVENT_GRID_TOPICS", format!("{TOPIC}-2"));
    let world = World::with(Setup {
        variables: vec![topics],
        ..setup()
    })
    .await;
    let recording = Recording::of(&[10, 20, 30]);
    recording.publish(&world);
    let event = recording.event(&world).to_string();
    for _ in 0..3 {
        assert_eq!(deliver(&world, &event).await, 200);
        assert_spent(&world, 1, 1);
    }
}

/// A recording with forbidden locations costs four calls, and one for each chunk.
#[tokio::test]
async fn a_recording_with_forbidden_locations_costs_a_call_for_each_chunk() {
    for chunks in [1, 10, 100] {
        let world = World::start().await;
        let recording = Recording::of(&vec![10; chunks]);
        let mut event = recording.event(&world);
        let listed = &mut event["data"]["recordingStorageInfo"]["recordingChunks"];
        for chunk in listed.as_array_mut().unwrap() {
            for name in ["contentLocation", "metadataLocation"] {
                chunk[name] = "https://evil.example.com/".into();
            }
        }
        assert_eq!(deliver(&world, &event.to_string()).await, 200);
        assert_spent(&world, 4 + chunks, 1);
        let rejection = world
            .s3
            .object(&recording.told_by(&event).rejection_key())
            .unwrap();
        assert!(rejection.size <= 2 * event.to_string().len() as u64 + 1024 * chunks as u64);
    }
}

/// A new recording costs its parts and twelve calls, one of them for the check of its media. It
/// neither writes nor reads a claim.
#[tokio::test]
async fn a_new_delivery_makes_no_call_for_the_schedule() {
    let mut pages = setup();
    pages.s3.page_size = 1000;
    let world = World::with(pages).await;
    let recording = Recording::of(&[4 * harness::world::PART]);
    recording.publish(&world);
    let event = recording.event(&world).to_string();
    assert_eq!(deliver(&world, &event).await, 200);
    let calls = world.s3.calls();
    let parts = calls.iter().filter(|call| call.operation == "UploadPart");
    assert_eq!(parts.count(), 4);
    let names: Vec<_> = calls.iter().map(|call| call.operation).collect();
    assert_eq!(calls.len(), 4 + 12, "{names:?}");
}
