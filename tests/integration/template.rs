//! The template, compared with the code: its variables with the settings, its permissions with the
//! calls. Alarms and dashboard are in `operations`.

use std::collections::BTreeSet;
use std::time::Duration;

use acs_recording_archiver::config::{Config, CredentialSource, SETTINGS};
use emulators::acs::{Fault, Kind};
use serde_json::{Map, Value, json};
use serde_yaml_ng::Value as Yaml;

use crate::policies::{KEYLESS, Stack};
use crate::secrets::{EAGER, Vault};
use harness::world::{PART, Recording, WORK, World, setup_with_work};

/// The function behind the URL, and the one behind the schedule.
const FUNCTIONS: [&str; 2] = ["Archiver", "Sweeper"];
const BUCKET: &str = "Recordings";
const WORK_BUCKET: &str = "Work";
const SECRETS: [&str; 2] = ["WebhookSecret", "ConnectionSecret"];

/// The template as JSON; `!Sub x` becomes `{"!Sub": "x"}`.
pub fn template() -> Value {
    parsed(include_str!("../../template.yaml"))
}

/// Any template as JSON.
pub fn parsed(text: &str) -> Value {
    plain(serde_yaml_ng::from_str(text).expect("a template is YAML"))
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

/// The properties of a function, with the global ones.
fn function(name: &str) -> Value {
    let mut template = template();
    let mut properties = template["Globals"]["Function"].take();
    let own = template["Resources"][name]["Properties"].take();
    for (name, value) in fields(&own) {
        if name == "Environment" {
            for (name, value) in fields(&value["Variables"]) {
                properties["Environment"]["Variables"][name] = value.clone();
            }
        } else {
            assert_eq!(properties.get(name), None, "{name}");
            properties[name] = value.clone();
        }
    }
    properties
}

pub fn fields(value: &Value) -> &Map<String, Value> {
    value.as_object().expect("it is a mapping")
}

/// The values of a list, or the one value.
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

/// The statements of the Archiver's role; `policies` compares those of the Sweeper.
fn statements() -> Vec<Value> {
    Stack::new(&[]).role("ArchiverRole")
}

fn statements_with(action: &str) -> Vec<Value> {
    let mut statements = statements();
    statements.retain(|statement| names(&statement["Action"]).contains(action));
    statements
}

#[test]
fn its_variables_are_settings_and_the_required_ones_are_there() {
    let secret = members_of_the_secrets();
    let missing = Config::read(|_| None).unwrap_err().to_string();
    let required: Vec<&str> = SETTINGS
        .into_iter()
        .filter(|name| missing.contains(&format!("\n  {name} is required")))
        .collect();
    assert_eq!(required.len(), 2, "{missing}");
    for name in FUNCTIONS {
        let function = function(name);
        let variables = fields(&function["Environment"]["Variables"]);
        for name in variables.keys() {
            assert!(SETTINGS.contains(&name.as_str()), "{name} is no setting");
        }
        // The Archiver needs webhook secrets too, the Sweeper does not.
        for name in required.iter().chain(&["WEBHOOK_SECRETS"]) {
            assert!(
                variables.contains_key(*name) || secret.contains(*name),
                "{name} is required"
            );
        }
        assert_eq!(
            variables["ACKNOWLEDGE"], "stored",
            "unfinished work is left to the schedule"
        );
        assert_eq!(variables["RECORDINGS_BUCKET"], json!({"!Ref": BUCKET}));
        assert_eq!(variables["WORK_BUCKET"], json!({"!Ref": WORK_BUCKET}));
        // Both functions have one value, so that their metrics add up.
        assert_eq!(variables["INSTALLATION"], json!({"!Ref": "AWS::StackName"}));
        // A setting with an empty parameter is absent.
        for (name, value) in variables {
            if let Some(parameter) = value["!Ref"].as_str() {
                let default = &template()["Parameters"][parameter]["Default"];
                let own = [BUCKET, WORK_BUCKET, SECRETS[1], "AWS::StackName"];
                assert!(own.contains(&parameter) || default.is_string(), "{name}");
            }
        }
    }
    let secret_id = |name: &str| function(name)["Environment"]["Variables"]["SECRET_ID"].take();
    let both = SECRETS.map(|secret| format!("${{{secret}}}")).join(",");
    let webhook = json!({"!Ref": SECRETS[0]});
    assert_eq!(
        secret_id("Archiver"),
        json!({"!If": ["Keyless", webhook, {"!Sub": both}]})
    );
    assert_eq!(
        secret_id("Sweeper"),
        json!({"!If": ["Keyless", "", {"!Ref": SECRETS[1]}]})
    );
}

/// The members of a new secret, with an empty text for a generated one.
fn members(secret: &str) -> Value {
    let secret = template()["Resources"][secret]["Properties"].take();
    let text = |value: &Value| -> Value {
        serde_json::from_str(value.as_str().unwrap()).expect("the secret is JSON")
    };
    let Some(generate) = secret.get("GenerateSecretString") else {
        return text(&secret["SecretString"]);
    };
    let mut members = text(&generate["SecretStringTemplate"]);
    members[generate["GenerateStringKey"].as_str().unwrap()] = "".into();
    members
}

/// The names of the members of all new secrets.
fn members_of_the_secrets() -> BTreeSet<String> {
    let all = SECRETS.map(members);
    let names = all.iter().flat_map(|members| fields(members).keys());
    names.cloned().collect()
}

#[test]
fn new_secrets_lack_only_the_values_of_the_operator() {
    let template = template();
    for (secret, member) in SECRETS.into_iter().zip([
        "WEBHOOK_SECRETS",
        "COMMUNICATION_SERVICES_CONNECTION_STRING",
    ]) {
        assert_eq!(
            template["Resources"][secret]["Type"],
            "AWS::SecretsManager::Secret"
        );
        // Each credential has its own secret, so that a reader of one does not read the other. An
        // empty value counts as not set.
        assert_eq!(members(secret), json!({member: ""}), "{secret}");
        assert!(SETTINGS.contains(&member), "{member}");
        // A value here would hide a missing member; an empty one counts as not set.
        let variables = &template["Globals"]["Function"]["Environment"]["Variables"];
        assert_eq!(variables[member], "", "{member}");
    }
    let generate = &template["Resources"][SECRETS[0]]["Properties"]["GenerateSecretString"];
    // The function accepts letters and digits; 43 of them have 256 bits.
    assert_eq!(generate["GenerateStringKey"], "WEBHOOK_SECRETS");
    assert_eq!(generate["ExcludePunctuation"], true);
    assert!(generate["PasswordLength"].as_u64() >= Some(43));
    for more in ["IncludeSpace", "ExcludeLowercase", "ExcludeCharacters"] {
        assert_eq!(generate.get(more), None, "{more}");
    }
    // Everybody who may see the stack sees its parameters.
    for (name, parameter) in fields(&template["Parameters"]) {
        assert_eq!(parameter.get("NoEcho"), None, "{name} is a secret");
    }
}

#[test]
fn no_output_or_parameter_shows_a_secret() {
    let outputs = template()["Outputs"].take();
    for (name, output) in fields(&outputs) {
        let value = output["Value"].to_string();
        assert!(!value.contains("resolve:"), "{name}");
        for get in value.split("!GetAtt").skip(1) {
            assert!(!SECRETS.iter().any(|secret| get.contains(secret)), "{name}");
        }
    }
}

/// The functions start with the endpoint, the tenant and the application alone.
#[test]
fn its_parameters_for_tokens_suffice_for_the_function() {
    let stack = Stack::new(&[
        KEYLESS,
        ("AcsTenantId", "9188040d-6c67-4c5b-b112-36a304b66dad"),
        ("AcsClientId", "5e1f2a3b-86f1-41af-91ab-2d7cd011db47"),
    ]);
    for name in FUNCTIONS {
        let variables = stack.resolve(&function(name)["Environment"]["Variables"]);
        let config = Config::read(|name| {
            let value = variables.as_ref()?.get(name)?;
            Some(value.as_str()?.into())
        });
        let config = config.unwrap();
        assert!(matches!(config.credential, CredentialSource::Entra(_)));
        assert_eq!(
            config.resource.endpoint().as_str(),
            format!("{}/", KEYLESS.1)
        );
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
fn its_functions_are_built_and_run_like_the_crate() {
    let template = template();
    for name in FUNCTIONS {
        let resource = &template["Resources"][name];
        assert_eq!(resource["Type"], "AWS::Serverless::Function");
        assert_eq!(resource["Metadata"]["BuildMethod"], "rust-cargolambda");
        let own = env!("CARGO_PKG_NAME");
        let only = json!({"Binary": own, "CargoLambdaFlags": ["--package", own]});
        assert_eq!(resource["Metadata"]["BuildProperties"], only);
        let properties = function(name);
        for (name, value) in [
            ("Runtime", json!("provided.al2023")),
            ("Architectures", json!(["arm64"])),
            ("Handler", json!("bootstrap")),
            ("Timeout", json!(900)),
            ("MemorySize", json!(512)),
        ] {
            assert_eq!(properties[name], value, "{name}");
        }
        // The function has no rights but those of the role.
        assert_eq!(
            properties["Role"],
            json!({"!GetAtt": format!("{name}Role.Arn")})
        );
        assert_eq!(properties.get("Policies"), None);
        assert_eq!(
            properties["ReservedConcurrentExecutions"],
            json!({"!If": [format!("{name}NotReserved"), {"!Ref": "AWS::NoValue"}, {"!Ref": format!("{name}Concurrency")}]})
        );
        let logging = &properties["LoggingConfig"];
        assert_eq!(logging["LogFormat"], "JSON");
        // Metrics are log lines of this level.
        assert_eq!(logging["ApplicationLogLevel"], "INFO");
        // Both functions share a log group.
        assert_eq!(logging["LogGroup"], json!({"!Ref": "Logs"}));
    }
    let group = &template["Resources"]["Logs"];
    assert_eq!(group["Type"], "AWS::Logs::LogGroup");
    assert!(group["Properties"].get("RetentionInDays").is_some());
    // A tick begins each minute and runs until the timeout, so this many may run concurrently.
    let ticks = &template["Parameters"]["SweeperConcurrency"]["Default"];
    assert_eq!(ticks.as_u64(), Some(900 / 60 + 1));
}

/// `cargo lambda` aborts on panic unless the release profile says otherwise. A panic at one event
/// would then end the process, and leave its deliveries without an answer.
#[test]
fn a_panic_does_not_end_the_deployed_process() {
    let manifest = include_str!("../../Cargo.toml");
    let (_, profile) = manifest.split_once("\n[profile.release]\n").unwrap();
    let (profile, _) = profile.split_once("\n[").unwrap_or((profile, ""));
    assert!(profile.lines().any(|line| line == "panic = \"unwind\""));
}

#[tokio::test]
async fn the_archivers_permissions_are_its_calls() {
    let world = World::with(setup_with_work()).await;
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
    let others = [
        "secretsmanager:GetSecretValue",
        "logs:CreateLogStream",
        "logs:PutLogEvents",
    ];
    let needed = needed.into_iter().chain(others.map(str::to_owned));
    assert_eq!(granted, needed.collect());
    for statement in &statements {
        assert_eq!(statement["Effect"], "Allow");
    }
    // The roles may delete nothing in the archive bucket.
    for call in calls.iter().filter(|call| call.operation == "DeleteObject") {
        let key = call.key.as_deref().unwrap_or_default();
        assert_eq!(call.bucket, WORK);
        assert!(key.starts_with("pending/"), "{key}");
    }
}

/// The action that a call of S3 needs.
///
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html>
pub fn action(operation: &str) -> &'static str {
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

/// Makes the function make each of its calls: for small and large recordings that are archived,
/// found archived, resumed by a delivery and by the schedule, and rejected with an upload.
pub async fn do_everything(world: &World) {
    let mut recording = Recording::of(&[1, 3 * PART]);
    recording.publish(world);
    for outcome in ["archived", "alreadyArchived"] {
        let response = world.deliver(&json!([recording.event(world)])).await;
        assert_eq!(response.outcome(), outcome);
    }

    recording.event_id = "interrupted-and-delivered-again".into();
    recording.call_id = recording.event_id.clone();
    interrupt(world, &recording).await;
    let response = world.deliver_again(&recording.event(world), 1).await;
    assert_eq!(response.status.code(), 200, "{response:?}");

    recording.event_id = "interrupted-and-left-to-the-schedule".into();
    recording.call_id = recording.event_id.clone();
    interrupt(world, &recording).await;
    let tick = json!({"detail-type": "Scheduled Event", "source": "aws.events"});
    world.make_due();
    let swept = serde_json::to_value(world.invoke(&tick).await).unwrap();
    assert_eq!(swept["finished"], 1, "{swept}");

    // A source that changes between two deliveries: its upload is replaced.
    recording.event_id = "interrupted-and-changed".into();
    recording.call_id = recording.event_id.clone();
    interrupt(world, &recording).await;
    let whole = recording.chunks.clone();
    recording.chunks[1].media = Recording::of(&[9 * PART]).chunks.remove(0).media;
    recording.publish(world);
    let response = world.deliver_again(&recording.event(world), 1).await;
    assert_eq!(response.status.code(), 200, "{response:?}");
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
    assert_eq!(response.outcome(), "setAside");
    assert!(world.s3.object(&recording.rejection_key()).is_some());
    assert_eq!(world.s3.uploads().len(), 1, "the parts are kept");

    world.age_pending(Duration::from_hours(2));
    let housekeeping = serde_json::to_value(world.invoke(&tick).await).unwrap();
    assert_eq!(housekeeping["pending"], 0);
}

/// Delivers a recording whose first part alone can be fetched.
async fn interrupt(world: &World, recording: &Recording) {
    world.acs.inject(|request| {
        let range = request.range.as_deref().unwrap_or_default();
        let busy = request.kind == Kind::Media && !range.starts_with("bytes=0-");
        busy.then(|| Fault::answer(503, ""))
    });
    let response = world.deliver(&recording.event(world)).await;
    assert_eq!(response.status.code(), 503, "{response:?}");
    world.acs.heal();
    assert_eq!(world.s3.uploads().len(), 1);
}

#[test]
fn it_allows_no_pattern_of_actions_and_deletes_only_what_is_pending() {
    let archive = "arn:aws:s3:::recordings";
    let work = "arn:aws:s3:::work";
    for statement in statements() {
        for action in names(&statement["Action"]) {
            assert!(!action.contains('*'), "{action}");
            for resource in names(&statement["Resource"]) {
                let own = match action.split(':').next() {
                    Some("s3") => resource.starts_with(archive) || resource.starts_with(work),
                    Some("secretsmanager") => SECRETS.iter().any(|name| resource.ends_with(name)),
                    Some("logs") => resource.ends_with(":Logs"),
                    _ => false,
                };
                assert!(own, "{action} {resource}");
            }
        }
    }
    for (action, resources) in [
        ("s3:DeleteObject", vec![format!("{work}/pending/*")]),
        (
            "s3:PutObject",
            vec![
                format!("{archive}/recordings/*"),
                format!("{work}/pending/*"),
            ],
        ),
        (
            "s3:GetObject",
            vec![
                format!("{archive}/recordings/*"),
                format!("{work}/pending/*"),
            ],
        ),
        (
            "s3:AbortMultipartUpload",
            vec![format!("{archive}/recordings/*")],
        ),
    ] {
        let statements = statements_with(action);
        let allowed = statements
            .iter()
            .flat_map(|statement| names(&statement["Resource"]));
        assert_eq!(allowed.collect::<Vec<_>>(), resources, "{action}");
    }
}

/// The function tells a tick from a request by the envelope that Lambda makes for a request to the
/// URL. Everybody who may invoke the function directly can forge a tick.
#[test]
fn only_the_public_url_and_the_schedule_call_the_functions() {
    let template = template();
    let (archiver, sweeper) = (function("Archiver"), function("Sweeper"));
    // With `Cors`, the URL would answer OPTIONS itself.
    assert_eq!(archiver["FunctionUrlConfig"], json!({"AuthType": "NONE"}));
    assert_eq!(archiver.get("Events"), None);
    assert_eq!(sweeper.get("FunctionUrlConfig"), None);
    // The global properties let nobody call the functions.
    for name in fields(&template["Globals"]["Function"]).keys() {
        let callers = ["FunctionUrlConfig", "Events", "Role", "Policies"];
        assert!(!callers.contains(&name.as_str()), "{name}");
    }
    let functions: Vec<_> = fields(&template["Resources"])
        .iter()
        .filter(|(_, resource)| resource["Type"] == "AWS::Serverless::Function")
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(functions, FUNCTIONS);
    for (name, resource) in fields(&template["Resources"]) {
        let kind = resource["Type"].as_str().expect("a resource has a type");
        assert_ne!(kind, "AWS::Lambda::EventSourceMapping", "{name}");
        if kind == "AWS::Lambda::Permission" {
            let principal = &resource["Properties"]["Principal"];
            assert!(!principal.to_string().contains('*'), "{name}");
        }
    }

    let events = fields(&sweeper["Events"]);
    assert_eq!(events.len(), 1, "{events:?}");
    let schedule = events.values().next().unwrap();
    assert_eq!(schedule["Type"], "ScheduleV2");
    let properties = &schedule["Properties"];
    assert_eq!(properties["ScheduleExpression"], "rate(1 minute)");
    assert_eq!(properties["RetryPolicy"]["MaximumRetryAttempts"], 0);
    // The function knows a tick by the event that EventBridge sends without an `Input`.
    assert_eq!(properties.get("Input"), None);
    assert_eq!(sweeper["EventInvokeConfig"]["MaximumRetryAttempts"], 0);

    let role = &template["Resources"]["ScheduleRole"]["Properties"];
    assert_eq!(
        properties["RoleArn"],
        json!({"!GetAtt": "ScheduleRole.Arn"})
    );
    let trust = &role["AssumeRolePolicyDocument"]["Statement"][0];
    // Scheduler acts for every account, so the role names this one.
    assert_eq!(
        trust["Condition"],
        json!({"StringEquals": {"aws:SourceAccount": {"!Ref": "AWS::AccountId"}}})
    );
    let statement = &role["Policies"][0]["PolicyDocument"]["Statement"];
    assert_eq!(
        *statement,
        json!([{
            "Effect": "Allow",
            "Action": "lambda:InvokeFunction",
            "Resource": {"!GetAtt": "Sweeper.Arn"},
        }])
    );
}

#[test]
fn its_buckets_are_private_and_retained() {
    let template = template();
    let resources = &template["Resources"];
    for name in [BUCKET, WORK_BUCKET] {
        let bucket = &resources[name];
        assert_eq!(bucket["Type"], "AWS::S3::Bucket");
        assert_eq!(bucket["DeletionPolicy"], "RetainExceptOnCreate");
        assert_eq!(bucket["UpdateReplacePolicy"], "Retain");
        let properties = &bucket["Properties"];
        assert_eq!(
            properties["PublicAccessBlockConfiguration"],
            json!({
                "BlockPublicAcls": true,
                "BlockPublicPolicy": true,
                "IgnorePublicAcls": true,
                "RestrictPublicBuckets": true,
            })
        );
        assert_eq!(
            properties["OwnershipControls"]["Rules"],
            json!([{"ObjectOwnership": "BucketOwnerEnforced"}])
        );
    }
    let properties = &resources[BUCKET]["Properties"];
    assert_eq!(properties["VersioningConfiguration"]["Status"], "Enabled");
    let lock = &properties["ObjectLockConfiguration"]["!If"];
    assert_eq!(lock[0], "Locked");
    assert_eq!(
        lock[1]["Rule"]["DefaultRetention"],
        json!({"Mode": {"!Ref": "ObjectLockMode"}, "Days": {"!Ref": "ObjectLockDays"}})
    );
    assert_eq!(template["Parameters"]["ObjectLockDays"]["Default"], 0);
    // Versions or a lock would keep finished work; a lifecycle rule would end unfinished work.
    let work = fields(&resources[WORK_BUCKET]["Properties"]);
    let only = [
        "BucketEncryption",
        "OwnershipControls",
        "PublicAccessBlockConfiguration",
    ];
    assert_eq!(work.keys().collect::<Vec<_>>(), only);

    its_buckets_refuse_plain_http(resources);
}

#[test]
fn archived_objects_expire_only_if_the_operator_asks() {
    let rules = |parameters: &[(&'static str, &'static str)]| {
        let bucket = template()["Resources"][BUCKET]["Properties"].take();
        let stack = Stack::new(parameters);
        let rules = stack.resolve(&bucket["LifecycleConfiguration"]["Rules"]);
        rules.unwrap()
    };
    // The parts of an upload may be the only copy, so an operator has a month to complete it.
    let abort = json!({
        "Id": "abort-unfinished-uploads",
        "Status": "Enabled",
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 30},
    });
    assert_eq!(rules(&[]), json!([abort]));
    assert_eq!(
        rules(&[("RecordingsExpireAfterDays", "90")]),
        json!([abort, {
            "Id": "expire-recordings",
            "Status": "Enabled",
            "Prefix": "recordings/",
            "ExpirationInDays": "90",
            "NoncurrentVersionExpiration": {"NoncurrentDays": 7},
        }])
    );
    let parameter = &template()["Parameters"]["RecordingsExpireAfterDays"];
    assert_eq!(parameter["AllowedPattern"], "0|[1-9][0-9]{1,4}");
    for (class, days) in [
        ("STANDARD_IA", 30),
        ("GLACIER_IR", 0),
        ("INTELLIGENT_TIERING", 0),
    ] {
        assert_eq!(
            rules(&[("StorageClass", class)]),
            json!([abort, {
                "Id": "move-recordings",
                "Status": "Enabled",
                "Prefix": "recordings/",
                "Transitions": [{"StorageClass": class, "TransitionInDays": days}],
            }])
        );
    }
}

#[test]
fn the_archive_notifies_eventbridge_and_logs_accesses_if_asked() {
    let bucket = |parameters: &[(&'static str, &'static str)]| {
        let properties = template()["Resources"][BUCKET]["Properties"].take();
        Stack::new(parameters).resolve(&properties).unwrap()
    };
    let default = bucket(&[]);
    assert_eq!(
        default["NotificationConfiguration"],
        json!({"EventBridgeConfiguration": {"EventBridgeEnabled": true}})
    );
    assert_eq!(default.get("LoggingConfiguration"), None);
    let other = bucket(&[("EventBridgeEvents", "false"), ("AccessLogBucket", "logs")]);
    assert_eq!(other.get("NotificationConfiguration"), None);
    assert_eq!(
        other["LoggingConfiguration"],
        json!({"DestinationBucketName": "logs", "LogFilePrefix": "stack/"})
    );
}

fn its_buckets_refuse_plain_http(resources: &Value) {
    let policies: Vec<&Value> = fields(resources)
        .values()
        .filter(|resource| resource["Type"] == "AWS::S3::BucketPolicy")
        .collect();
    assert_eq!(policies.len(), 2, "each bucket has one policy");
    for (policy, bucket) in policies.into_iter().zip([BUCKET, WORK_BUCKET]) {
        assert_eq!(
            policy["DeletionPolicy"], "RetainExceptOnCreate",
            "as the bucket"
        );
        assert_eq!(policy["Properties"]["Bucket"], json!({"!Ref": bucket}));
        let document = Stack::new(&[("ArchiveAdministrators", "arn:aws:iam::1:role/a")])
            .resolve(&policy["Properties"]["PolicyDocument"])
            .unwrap();
        for statement in list(&document["Statement"]) {
            assert_eq!(statement["Effect"], "Deny", "the policy allows nothing");
            assert_eq!(statement["Principal"], "*");
        }
        let refusal = list(&document["Statement"]).into_iter().find(|statement| {
            statement["Condition"] == json!({"Bool": {"aws:SecureTransport": "false"}})
        });
        let refusal = refusal.expect("plain http is refused");
        assert_eq!(refusal["Action"], "s3:*");
        let arn = format!("arn:aws:s3:::{}", bucket.to_lowercase());
        assert_eq!(refusal["Resource"], json!([arn, format!("{arn}/*")]));
    }
}
