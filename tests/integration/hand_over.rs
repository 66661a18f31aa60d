//! `examples/hand-over`: its rule, compared with the keys of the archive and the events of S3.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::template::{fields, list, parsed};
use harness::world::Recording;

fn resources() -> Value {
    let mut template = parsed(include_str!("../../examples/hand-over/template.yaml"));
    template["Resources"].take()
}

#[test]
fn the_rule_matches_manifests_and_rejections_alone() {
    let pattern = resources()["Rule"]["Properties"]["EventPattern"].take();
    assert_eq!(pattern["source"], json!(["aws.s3"]));
    assert_eq!(pattern["detail-type"], json!(["Object Created"]));
    assert_eq!(
        pattern["detail"]["bucket"]["name"],
        json!([{"!Ref": "ArchiveBucketName"}])
    );
    let keys = &pattern["detail"]["object"]["key"];
    let suffixes: BTreeSet<&str> = list(keys)
        .into_iter()
        .map(|key| key["suffix"].as_str().expect("a suffix"))
        .collect();
    let taken = |key: &str| suffixes.iter().any(|suffix| key.ends_with(suffix));
    let recording = Recording::of(&[1]);
    let chunk = &recording.chunks[0];
    for (key, expected) in [
        (recording.manifest_key(), true),
        (recording.rejection_key(), true),
        (recording.media_key(chunk), false),
        (recording.metadata_key(chunk), false),
        (
            "recordings/rejected/0123456789abcdef.json".to_owned(),
            false,
        ),
    ] {
        assert_eq!(taken(&key), expected, "{key}");
    }
}

#[test]
fn undelivered_events_are_kept_and_only_the_rule_sends() {
    let resources = resources();
    let letters = json!({"!GetAtt": "DeadLetters.Arn"});
    let targets = &resources["Rule"]["Properties"]["Targets"];
    for target in list(targets) {
        assert_eq!(target["DeadLetterConfig"]["Arn"], letters);
    }
    let queue = &resources["Queue"]["Properties"];
    assert_eq!(queue["RedrivePolicy"]["deadLetterTargetArn"], letters);
    for (name, resource) in fields(&resources) {
        if resource["Type"] == "AWS::SQS::Queue" {
            let properties = &resource["Properties"];
            assert_eq!(properties["SqsManagedSseEnabled"], true, "{name}");
            // Two weeks, the longest retention of SQS.
            assert_eq!(properties["MessageRetentionPeriod"], 14 * 24 * 60 * 60);
        }
    }
    let statement = &resources["QueuePolicy"]["Properties"]["PolicyDocument"]["Statement"][0];
    assert_eq!(
        statement["Principal"],
        json!({"Service": "events.amazonaws.com"})
    );
    assert_eq!(statement["Action"], "sqs:SendMessage");
    assert_eq!(
        statement["Condition"],
        json!({"ArnEquals": {"aws:SourceArn": {"!GetAtt": "Rule.Arn"}}})
    );
}
