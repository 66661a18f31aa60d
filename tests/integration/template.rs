//! The template against the code: its variables are the settings, its permissions the calls, its URL the only way in.
//! What watches the function is held in `operations`.

use std::collections::BTreeSet;
use std::time::Duration;

use acs_recording_archiver::config::{Config, SETTINGS};
use emulators::acs::{Fault, Kind};
use serde_json::{Map, Value, json};
use serde_yaml_ng::Value as Yaml;

use crate::secrets::{EAGER, Vault};
use crate::world::{PART, Recording, World};

const FUNCTION: &str = "Archiver";
const BUCKET: &str = "Recordings";
const SECRET: &str = "Credentials";

/// The template as JSON; `!Sub x` becomes `{"!Sub": "x"}`.
pub fn template() -> Value {
    let text = include_str!("../../template.yaml");
    plain(serde_yaml_ng::from_str(text).expect("the template is YAML"))
}

fn plain(yaml: Yaml) -> Value {
    match yaml {
        Yaml::Tagged(tagged) => json!({tagged.tag.to_string(): plain(tagged.value)}),
        Yaml::Sequence(items) => items.into_iter().map(plain).collect(),
        Yaml::Mapping(fields) => Value::Object(fields.into_iter().map(field).collect()),
        scalar => serde_json::to_value(scalar).expect("a scalar is JSON"),
    }
}

fn field((name, value): (Yaml, Yaml)) -> (String, Value) {
    let name = name.as_str().expect("a field's name is a string");
    (name.to_owned(), plain(value))
}

fn function() -> Value {
    template()["Resources"][FUNCTION]["Properties"].take()
}

pub fn fields(value: &Value) -> &Map<String, Value> {
    value.as_object().expect("it is a mapping")
}

/// One, or a list of them.
pub fn list(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        one => vec![one],
    }
}

fn names(value: &Value) -> BTreeSet<String> {
    let name = |item: &Value| item.as_str().expect("it is a name").to_owned();
    list(value).into_iter().map(name).collect()
}

/// The statements of what the function may do.
fn statements() -> Vec<Value> {
    let function = function();
    let policies = list(&function["Policies"]);
    let statements = policies
        .into_iter()
        .flat_map(|policy| list(&policy["Statement"]));
    statements.cloned().collect()
}

fn statements_with(action: &str) -> Vec<Value> {
    let mut statements = statements();
    statements.retain(|statement| names(&statement["Action"]).contains(action));
    statements
}

#[test]
fn its_variables_are_settings_and_the_required_ones_are_there() {
    let function = function();
    let variables = fields(&function["Environment"]["Variables"]);
    for name in variables.keys() {
        assert!(SETTINGS.contains(&name.as_str()), "{name} is no setting");
    }
    let secret = members_of_the_secret();
    let missing = Config::read(|_| None).unwrap_err().to_string();
    let required: Vec<&str> = SETTINGS
        .into_iter()
        .filter(|name| missing.contains(&format!("\n  {name} is required")))
        .collect();
    assert_eq!(required.len(), 2, "{missing}");
    // A function that serves deliveries needs it as well; one that serves the schedule does not.
    for name in required.into_iter().chain(["WEBHOOK_SECRETS"]) {
        assert!(
            variables.contains_key(name) || secret.contains(name),
            "{name} is required"
        );
    }
    assert_eq!(
        variables["ACKNOWLEDGE"], "stored",
        "for there is a schedule"
    );
    assert_eq!(variables["RECORDINGS_BUCKET"], json!({"!Ref": BUCKET}));
    assert_eq!(variables["INSTALLATION"], json!({"!Ref": "AWS::StackName"}));
    assert_eq!(variables["SECRET_ID"], json!({"!Ref": SECRET}));
    // What the template passes on is not set where its parameter is empty.
    for (name, value) in variables {
        if let Some(parameter) = value["!Ref"].as_str() {
            let default = &template()["Parameters"][parameter]["Default"];
            let own = [BUCKET, SECRET, "AWS::StackName"].contains(&parameter);
            assert!(own || default.is_string(), "{name}");
        }
    }
}

/// The names in the secret as it is made.
fn members_of_the_secret() -> BTreeSet<String> {
    let secret = template()["Resources"][SECRET]["Properties"].take();
    let generate = &secret["GenerateSecretString"];
    let filled_in = generate["SecretStringTemplate"].as_str();
    let filled_in: Value = serde_json::from_str(filled_in.unwrap()).expect("it is JSON");
    let generated = generate["GenerateStringKey"].as_str().unwrap().to_owned();
    fields(&filled_in)
        .keys()
        .cloned()
        .chain([generated])
        .collect()
}

#[test]
fn its_secret_is_made_usable_but_for_what_the_operator_fills_in() {
    let template = template();
    let secret = &template["Resources"][SECRET];
    assert_eq!(secret["Type"], "AWS::SecretsManager::Secret");
    let members = members_of_the_secret();
    assert_eq!(
        members,
        [
            "COMMUNICATION_SERVICES_CONNECTION_STRING",
            "WEBHOOK_SECRETS"
        ]
        .map(str::to_owned)
        .into()
    );
    for member in &members {
        assert!(SETTINGS.contains(&member.as_str()), "{member}");
        // A value here would hide what is missing in the secret; an empty one counts as not set.
        let variables = &template["Resources"][FUNCTION]["Properties"]["Environment"]["Variables"];
        assert_eq!(variables[member], "", "{member}");
    }
    let generate = &secret["Properties"]["GenerateSecretString"];
    // Not set, until it is filled in.
    let filled_in = generate["SecretStringTemplate"].as_str().unwrap();
    let filled_in: Value = serde_json::from_str(filled_in).unwrap();
    assert!(fields(&filled_in).values().all(|value| value == ""));
    // Letters and digits, which the function takes; 43 of them are 256 bits.
    assert_eq!(generate["GenerateStringKey"], "WEBHOOK_SECRETS");
    assert_eq!(generate["ExcludePunctuation"], true);
    assert!(generate["PasswordLength"].as_u64() >= Some(43));
    for more in ["IncludeSpace", "ExcludeLowercase", "ExcludeCharacters"] {
        assert_eq!(generate.get(more), None, "{more}");
    }
    // Parameters are seen by whoever may see the stack.
    for (name, parameter) in fields(&template["Parameters"]) {
        assert_eq!(parameter.get("NoEcho"), None, "{name} is a secret");
    }
}

#[test]
fn it_shows_the_secret_to_nobody() {
    let outputs = template()["Outputs"].take();
    for (name, output) in fields(&outputs) {
        let value = output["Value"].to_string();
        assert!(!value.contains("resolve:"), "{name}");
        for get in value.split("!GetAtt").skip(1) {
            assert!(!get.contains(SECRET), "{name}");
        }
    }
}

#[test]
fn its_prefix_is_the_default_one() {
    let config = Config::read(|name| {
        let value = match name {
            "COMMUNICATION_SERVICES_CONNECTION_STRING" => "endpoint=https://a.b/;accesskey=AAAA",
            "RECORDINGS_BUCKET" => "bucket",
            "WEBHOOK_SECRETS" => "0123456789abcdef",
            _ => return None,
        };
        Some(value.into())
    });
    let prefix = template()["Parameters"]["RecordingsPrefix"]["Default"].take();
    assert_eq!(prefix, config.unwrap().prefix.to_string());
}

#[test]
fn its_function_is_built_and_run_as_the_crate_is() {
    let template = template();
    let archiver = &template["Resources"][FUNCTION];
    assert_eq!(archiver["Type"], "AWS::Serverless::Function");
    assert_eq!(archiver["Metadata"]["BuildMethod"], "rust-cargolambda");
    let properties = &archiver["Properties"];
    for (name, value) in [
        ("Runtime", json!("provided.al2023")),
        ("Architectures", json!(["arm64"])),
        ("Handler", json!("bootstrap")),
        ("Timeout", json!(900)),
        ("MemorySize", json!(512)),
    ] {
        assert_eq!(properties[name], value, "{name}");
    }
    let logging = &properties["LoggingConfig"];
    assert_eq!(logging["LogFormat"], "JSON");
    // The metrics are in the log, at this level.
    assert_eq!(logging["ApplicationLogLevel"], "INFO");
    let group = logging["LogGroup"]["!Ref"].as_str().unwrap();
    let group = &template["Resources"][group];
    assert_eq!(group["Type"], "AWS::Logs::LogGroup");
    assert!(group["Properties"].get("RetentionInDays").is_some());
}

#[tokio::test]
async fn the_function_may_do_what_it_does_and_nothing_else() {
    let world = World::start().await;
    do_everything(&world).await;
    let calls = world.s3.calls();

    let needed: BTreeSet<String> = calls
        .iter()
        .map(|call| action(call.operation).to_owned())
        .collect();
    let statements = statements();
    let granted: BTreeSet<String> = statements
        .iter()
        .flat_map(|statement| names(&statement["Action"]))
        .collect();
    // The only call that the emulated Secrets Manager answers.
    let vault = Vault::start().await;
    vault.set(&json!({}));
    vault.world(EAGER, &[]).await;
    assert!(vault.manager.calls() > 0);
    let secret = "secretsmanager:GetSecretValue".to_owned();
    assert_eq!(granted, needed.into_iter().chain([secret]).collect());
    for statement in &statements {
        assert_eq!(statement["Effect"], "Allow");
    }
    // Whoever sees the list deletes what is under `pending/`, and nothing that was archived.
    for call in calls.iter().filter(|call| call.operation == "DeleteObject") {
        let key = call.key.as_deref().unwrap_or_default();
        assert!(key.starts_with("recordings/pending/"), "{key}");
    }
}

/// What S3 asks for when this is called: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html>.
fn action(operation: &str) -> &'static str {
    match operation {
        "PutObject" | "CreateMultipartUpload" | "UploadPart" | "CompleteMultipartUpload" => {
            "s3:PutObject"
        }
        "HeadObject" | "GetObject" => "s3:GetObject",
        "ListParts" => "s3:ListMultipartUploadParts",
        "AbortMultipartUpload" => "s3:AbortMultipartUpload",
        "DeleteObject" => "s3:DeleteObject",
        "ListObjectsV2" => "s3:ListBucket",
        other => panic!("{other} is no call of the function"),
    }
}

/// Makes the function call all that it can: recordings small and large, archived, found archived, resumed by a
/// delivery and by the schedule, and one given up with its upload.
async fn do_everything(world: &World) {
    let mut recording = Recording::of(&[1, 3 * PART]);
    recording.publish(world);
    for outcome in ["archived", "alreadyArchived"] {
        let response = world.deliver(&json!([recording.event(world)])).await;
        assert_eq!(response.body["events"][0]["outcome"], outcome);
    }

    recording.event_id = "interrupted-and-delivered-again".into();
    recording.call_id = recording.event_id.clone();
    interrupt(world, &recording).await;
    let response = world.deliver_again(&recording.event(world), 1).await;
    assert_eq!(response.status, 200, "{response:?}");

    recording.event_id = "interrupted-and-left-to-the-schedule".into();
    recording.call_id = recording.event_id.clone();
    interrupt(world, &recording).await;
    let tick = json!({"detail-type": "Scheduled Event", "source": "aws.events"});
    world.make_due();
    let swept = serde_json::to_value(world.invoke(&tick).await).unwrap();
    assert_eq!(swept["finished"], 1, "{swept}");

    // A source that is another one when it is asked again: its upload is replaced.
    recording.event_id = "interrupted-and-changed".into();
    recording.call_id = recording.event_id.clone();
    interrupt(world, &recording).await;
    let whole = recording.chunks.clone();
    recording.chunks[1].media = Recording::of(&[9 * PART]).chunks.remove(0).media;
    recording.publish(world);
    let response = world.deliver_again(&recording.event(world), 1).await;
    assert_eq!(response.status, 200, "{response:?}");
    recording.chunks = whole;
    recording.publish(world);

    recording.event_id = "interrupted-and-gone".into();
    recording.call_id = recording.event_id.clone();
    let recording = recording.aged(Duration::from_hours(25));
    interrupt(world, &recording).await;
    world.age_pending(Duration::from_hours(2));
    for chunk in &recording.chunks {
        world.acs.remove(&chunk.document_id);
    }
    let response = world.deliver_again(&recording.event(world), 1).await;
    assert_eq!(response.body["events"][0]["outcome"], "setAside");
    assert!(world.s3.object(&recording.rejection_key()).is_some());
    assert_eq!(world.s3.uploads().len(), 1, "its parts are kept");

    world.age_pending(Duration::from_hours(2));
    let housekeeping = serde_json::to_value(world.invoke(&tick).await).unwrap();
    assert_eq!(housekeeping["pending"], 0);
}

/// Delivers a recording of which only the first part can be fetched.
async fn interrupt(world: &World, recording: &Recording) {
    world.acs.inject(|request| {
        let range = request.range.as_deref().unwrap_or_default();
        let busy = request.kind == Kind::Media && !range.starts_with("bytes=0-");
        busy.then(|| Fault::Answer {
            status: 503,
            headers: vec![],
            body: "".into(),
        })
    });
    let response = world.deliver(&recording.event(world)).await;
    assert_eq!(response.status, 503, "{response:?}");
    world.acs.heal();
    assert_eq!(world.s3.uploads().len(), 1);
}

#[test]
fn it_allows_no_pattern_of_actions_and_deletes_only_what_is_pending() {
    for statement in statements() {
        for action in names(&statement["Action"]) {
            assert!(!action.contains('*'), "{action}");
        }
        let own = match statement["Action"].as_str() {
            Some("secretsmanager:GetSecretValue") => json!({"!Ref": SECRET}).to_string(),
            _ => "Recordings.Arn".to_owned(),
        };
        for resource in list(&statement["Resource"]) {
            let resource = resource.to_string();
            assert!(resource.contains(&own), "{resource}");
        }
    }
    for (action, suffix) in [
        ("s3:DeleteObject", "${RecordingsPrefix}pending/*"),
        ("s3:PutObject", "${RecordingsPrefix}*"),
        ("s3:GetObject", "${RecordingsPrefix}*"),
    ] {
        let statements = statements_with(action);
        let [statement] = statements.as_slice() else {
            panic!("{action} is allowed once");
        };
        assert_eq!(
            statement["Resource"],
            json!({"!Sub": format!("${{Recordings.Arn}}/{suffix}")}),
            "{action}"
        );
    }
    let delete = &statements_with("s3:DeleteObject")[0];
    assert_eq!(delete["Action"], "s3:DeleteObject", "alone");
}

/// A tick is told from a request by what Lambda puts around a request to the URL; whoever may invoke the function in
/// another way can forge one.
#[test]
fn the_public_may_call_the_url_and_nothing_else_may_call_but_the_schedule() {
    let template = template();
    let function = &template["Resources"][FUNCTION]["Properties"];
    // With Cors, the URL would answer OPTIONS itself.
    assert_eq!(function["FunctionUrlConfig"], json!({"AuthType": "NONE"}));
    assert_eq!(template.get("Globals"), None);
    for (name, resource) in fields(&template["Resources"]) {
        let kind = resource["Type"].as_str().expect("a resource has a type");
        assert_ne!(kind, "AWS::Lambda::EventSourceMapping", "{name}");
        if kind == "AWS::Lambda::Permission" {
            let principal = &resource["Properties"]["Principal"];
            assert!(!principal.to_string().contains('*'), "{name}");
        }
    }

    let events = fields(&function["Events"]);
    assert_eq!(events.len(), 1, "{events:?}");
    let schedule = events.values().next().unwrap();
    assert_eq!(schedule["Type"], "ScheduleV2");
    let properties = &schedule["Properties"];
    assert_eq!(properties["ScheduleExpression"], "rate(1 minute)");
    assert_eq!(properties["RetryPolicy"]["MaximumRetryAttempts"], 0);
    // What EventBridge sends where nothing else is asked for is what the function knows a tick by.
    assert_eq!(properties.get("Input"), None);
    assert_eq!(function["EventInvokeConfig"]["MaximumRetryAttempts"], 0);
}

#[test]
fn its_bucket_keeps_what_it_is_given_to_itself() {
    let template = template();
    let resources = &template["Resources"];
    let bucket = &resources[BUCKET];
    assert_eq!(bucket["Type"], "AWS::S3::Bucket");
    assert_eq!(bucket["DeletionPolicy"], "RetainExceptOnCreate");
    assert_eq!(bucket["UpdateReplacePolicy"], "Retain");
    let properties = &bucket["Properties"];
    assert_eq!(properties["VersioningConfiguration"]["Status"], "Enabled");
    let encryption = &properties["BucketEncryption"]["ServerSideEncryptionConfiguration"];
    let algorithm = &encryption[0]["ServerSideEncryptionByDefault"]["SSEAlgorithm"];
    assert!(algorithm.is_string(), "{encryption}");
    assert_eq!(
        properties["PublicAccessBlockConfiguration"],
        json!({"BlockPublicAcls": true, "BlockPublicPolicy": true, "IgnorePublicAcls": true, "RestrictPublicBuckets": true})
    );

    let rules = list(&properties["LifecycleConfiguration"]["Rules"]);
    let (asked_for, rules): (Vec<_>, Vec<_>) = rules
        .into_iter()
        .partition(|rule| rule.get("!If").is_some());
    assert!(rules.iter().all(|rule| rule["Status"] == "Enabled"));
    let abort: Vec<_> = rules
        .iter()
        .filter_map(|rule| rule.get("AbortIncompleteMultipartUpload"))
        .collect();
    let [abort] = abort.as_slice() else {
        panic!("uploads that nobody knows are aborted by one rule")
    };
    // The parts of an upload may be the only copy, so a person has a month to complete it.
    assert_eq!(abort["DaysAfterInitiation"], 30);
    for rule in rules {
        assert_eq!(rule.get("ExpirationInDays"), None, "an archive is kept");
        if rule.get("NoncurrentVersionExpiration").is_some() {
            let prefix = json!({"!Sub": "${RecordingsPrefix}pending/"});
            assert_eq!(rule["Prefix"], prefix, "versions of the archive are kept");
        }
    }
    // Unless the operator asks for it, and then for longer than anything is pending.
    let [rule] = asked_for.as_slice() else {
        panic!("one rule is a choice")
    };
    assert_eq!(rule["!If"][0], "Expiring");
    assert_eq!(
        rule["!If"][1]["ExpirationInDays"],
        json!({"!Ref": "RecordingsExpireAfterDays"})
    );
    let parameter = &template["Parameters"]["RecordingsExpireAfterDays"];
    assert_eq!(parameter["Default"], "0");
    assert_eq!(parameter["AllowedPattern"], "0|[1-9][0-9]{1,4}");
    assert_eq!(
        template["Conditions"]["Expiring"],
        json!({"!Not": [{"!Equals": [{"!Ref": "RecordingsExpireAfterDays"}, "0"]}]})
    );
    let lock = &properties["ObjectLockConfiguration"]["!If"];
    assert_eq!(lock[0], "Locked");
    assert_eq!(
        lock[1]["Rule"]["DefaultRetention"],
        json!({"Mode": {"!Ref": "ObjectLockMode"}, "Days": {"!Ref": "ObjectLockDays"}})
    );
    assert_eq!(template["Parameters"]["ObjectLockDays"]["Default"], 0);
    assert_eq!(
        template["Conditions"]["Locked"],
        json!({"!Not": [{"!Equals": [{"!Ref": "ObjectLockDays"}, 0]}]})
    );

    its_bucket_refuses_plain_http(resources);
}

fn its_bucket_refuses_plain_http(resources: &Value) {
    let policies: Vec<&Value> = fields(resources)
        .values()
        .filter(|resource| resource["Type"] == "AWS::S3::BucketPolicy")
        .collect();
    let [policy] = policies.as_slice() else {
        panic!("the bucket has one policy")
    };
    assert_eq!(
        policy["DeletionPolicy"], "RetainExceptOnCreate",
        "as the bucket"
    );
    assert_eq!(policy["Properties"]["Bucket"], json!({"!Ref": BUCKET}));
    for statement in list(&policy["Properties"]["PolicyDocument"]["Statement"]) {
        assert_eq!(statement["Effect"], "Deny", "it lets nobody in");
    }
    let document = &policy["Properties"]["PolicyDocument"];
    let refusal = list(&document["Statement"]).into_iter().find(|statement| {
        statement["Condition"] == json!({"Bool": {"aws:SecureTransport": "false"}})
    });
    let refusal = refusal.expect("plain http is refused");
    assert_eq!(refusal["Principal"], "*");
    assert_eq!(refusal["Action"], "s3:*");
    assert_eq!(
        refusal["Resource"],
        json!([{"!GetAtt": "Recordings.Arn"}, {"!Sub": "${Recordings.Arn}/*"}])
    );
}
