//! Log lines of recordings that are at risk.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::binary::Lambda;
use harness::world::named;

#[tokio::test]
async fn each_recording_at_risk_has_a_log_line() {
    let lambda = Lambda::start().await;
    let world = &lambda.world;
    let process = lambda.run(&[("AWS_LAMBDA_LOG_FORMAT", "JSON")]);
    let mut pending = BTreeMap::new();
    for (name, minutes) in [
        ("young", 59),
        ("hour", 61),
        ("between", 63),
        ("day", 24 * 60 + 1),
        ("later", 47 * 60),
    ] {
        let recording = named(name, &[10]);
        recording.store(world, Duration::from_mins(minutes));
        pending.insert(name, recording.pending());
    }
    let pending = pending["hour"].clone();
    let attempt = format!("{pending}/attempt.json");
    let contents = json!({"run": "a", "attempts": 3, "failure": "ACS answered 500"});
    world.s3.put(&attempt, contents.to_string());
    lambda.tick().await;
    lambda.runtime.wait_for_poll().await;
    let (stdout, _) = process.kill().await;
    let lines = stdout
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut said: Vec<Value> = lines
        .filter(|line| line["message"] == "recording is in trouble")
        .collect();
    said.sort_by_key(|line| line["age_seconds"].as_u64());
    let events: Vec<_> = said.iter().map(|line| line["event"].as_str()).collect();
    assert_eq!(events, [Some("hour"), Some("day")]);
    let [hour, day] = said.as_slice() else {
        panic!("the log has not two such lines")
    };
    assert_eq!(hour["level"], "ERROR");
    assert_eq!(hour["failure"], "ACS answered 500");
    assert_eq!(day["failure"], Value::Null);
    assert_eq!(hour["key"], format!("{pending}/event.json"));
    let seconds = hour["age_seconds"].as_u64().unwrap();
    assert!((3660..3720).contains(&seconds), "{seconds}");
    assert!(hour["hours_left"].as_f64().unwrap() < 23.0);
    assert!(day["hours_left"].as_f64().unwrap() < 0.0);
}
