//! The template's policies, evaluated: they allow the functions' calls, and deny everybody what
//! would break a promise.
//!
//! The evaluator knows the part of IAM's language that the template uses: Allow and Deny, actions
//! and resources with wildcards, condition keys of one value and of several, and a few operators.
//! It panics at anything else.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::template::{action, do_everything, fields, list, template};
use harness::world::{WORK, World, setup_with_work};

const ACCOUNT: &str = "123456789012";
const ARCHIVER: &str = "arn:aws:iam::123456789012:role/ArchiverRole";
const SWEEPER: &str = "arn:aws:iam::123456789012:role/SweeperRole";
/// A principal whose own policies allow everything.
const ADMINISTRATOR: &str = "arn:aws:iam::123456789012:role/Administrator";
/// The separator of the values of a condition key.
const SEVERAL: char = '\n';
const KEY: &str = "arn:aws:kms:eu-central-1:123456789012:key/0a1b";

/// The template with values of parameters and its functions resolved.
pub struct Stack {
    template: Value,
    parameters: BTreeMap<&'static str, &'static str>,
}

impl Stack {
    pub fn new(parameters: &[(&'static str, &'static str)]) -> Self {
        Self {
            template: template(),
            parameters: parameters.iter().copied().collect(),
        }
    }

    /// A value with its functions resolved; `None` for `AWS::NoValue`.
    pub fn resolve(&self, value: &Value) -> Option<Value> {
        match value {
            Value::Array(items) => {
                let items = items.iter().filter_map(|item| self.resolve(item));
                Some(items.collect())
            }
            Value::Object(members) => self.resolve_object(members),
            plain => Some(plain.clone()),
        }
    }

    fn resolve_object(&self, members: &Map<String, Value>) -> Option<Value> {
        let function = members.iter().next().filter(|(name, _)| {
            assert!(!name.starts_with('!') || members.len() == 1);
            name.starts_with('!')
        });
        let Some((name, argument)) = function else {
            let members = members
                .iter()
                .filter_map(|(name, value)| Some((name.clone(), self.resolve(value)?)));
            return Some(Value::Object(members.collect()));
        };
        match name.as_str() {
            "!Ref" => self.reference(argument.as_str().unwrap()),
            "!GetAtt" => Some(self.arn(argument.as_str().unwrap()).into()),
            "!Sub" => Some(self.substitute(argument.as_str().unwrap()).into()),
            "!If" => {
                let chosen = self.condition(argument[0].as_str().unwrap());
                self.resolve(&argument[if chosen { 1 } else { 2 }])
            }
            other => panic!("{other} is not known here"),
        }
    }

    fn reference(&self, name: &str) -> Option<Value> {
        if let Some(parameter) = self.template["Parameters"].get(name) {
            let set = self.parameters.get(name).map(|value| json!(value));
            let value = set.unwrap_or_else(|| parameter["Default"].clone());
            if parameter["Type"] == "CommaDelimitedList" {
                let values = value.as_str().unwrap().split(',');
                return Some(values.map(|value| json!(value.trim())).collect());
            }
            return Some(value);
        }
        let text = match name {
            "AWS::NoValue" => return None,
            "AWS::AccountId" => ACCOUNT.to_owned(),
            "AWS::Region" => "eu-central-1".to_owned(),
            "AWS::StackName" => "stack".to_owned(),
            resource => match self.template["Resources"][resource]["Type"].as_str() {
                Some("AWS::S3::Bucket") => resource.to_lowercase(),
                Some(_) => self.arn(&format!("{resource}.Arn")),
                None => panic!("there is no {resource}"),
            },
        };
        Some(text.into())
    }

    fn arn(&self, attribute: &str) -> String {
        let name = attribute.strip_suffix(".Arn").expect("an ARN");
        let service = match self.template["Resources"][name]["Type"].as_str() {
            Some("AWS::S3::Bucket") => return format!("arn:aws:s3:::{}", name.to_lowercase()),
            Some("AWS::IAM::Role") => return format!("arn:aws:iam::{ACCOUNT}:role/{name}"),
            Some("AWS::IAM::ManagedPolicy") => {
                return format!("arn:aws:iam::{ACCOUNT}:policy/{name}");
            }
            Some("AWS::SecretsManager::Secret") => "secretsmanager",
            Some("AWS::Logs::LogGroup") => "logs",
            Some("AWS::Serverless::Function") => "lambda",
            other => panic!("{name} is {other:?}"),
        };
        format!("arn:aws:{service}:eu-central-1:{ACCOUNT}:{name}")
    }

    fn substitute(&self, text: &str) -> String {
        let mut parts = text.split("${");
        let mut done = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (name, rest) = part.split_once('}').expect("a name ends");
            if name.ends_with(".Arn") {
                done += &self.arn(name);
            } else {
                done += self.reference(name).unwrap().as_str().unwrap();
            }
            done += rest;
        }
        done
    }

    /// Returns `true` if the stack has this resource.
    fn has(&self, resource: &str) -> bool {
        self.is_there(&self.template["Resources"][resource])
    }

    /// Returns `true` unless the condition of a resource or an output does not hold.
    fn is_there(&self, part: &Value) -> bool {
        let condition = part.get("Condition").and_then(Value::as_str);
        condition.is_none_or(|condition| self.condition(condition))
    }

    /// The resources and outputs of the stack, resolved; a dashboard and commands are left as they
    /// are.
    fn parts(&self) -> Vec<(&'static str, String, Value)> {
        let mut parts = vec![];
        for section in ["Resources", "Outputs"] {
            for (name, part) in fields(&self.template[section]) {
                if self.is_there(part) {
                    parts.push((section, name.clone(), self.chosen(part)));
                }
            }
        }
        parts
    }

    /// A value with its conditions resolved, and its other functions left.
    fn chosen(&self, value: &Value) -> Value {
        match value {
            Value::Array(items) => items.iter().map(|item| self.chosen(item)).collect(),
            Value::Object(members) => {
                if let Some(choice) = members.get("!If") {
                    let holds = self.condition(choice[0].as_str().unwrap());
                    return self.chosen(&choice[if holds { 1 } else { 2 }]);
                }
                let chosen = members
                    .iter()
                    .map(|(name, value)| (name.clone(), self.chosen(value)));
                Value::Object(chosen.collect())
            }
            plain => plain.clone(),
        }
    }

    fn condition(&self, name: &str) -> bool {
        self.holds(&self.template["Conditions"][name])
    }

    fn holds(&self, condition: &Value) -> bool {
        if let Some(negated) = condition.get("!Not") {
            return !self.holds(&negated[0]);
        }
        let texts = |value: &Value| -> String {
            // The template compares a list only as a text joined without separator.
            let value = value.get("!Join").map_or(value, |join| &join[1]);
            let resolved = self.resolve(value).unwrap();
            let text = |one: &Value| one.as_str().map_or(one.to_string(), str::to_owned);
            list(&resolved).into_iter().map(text).collect()
        };
        let both = condition["!Equals"].as_array().expect("an equation");
        texts(&both[0]) == texts(&both[1])
    }

    /// The statements of a policy document.
    fn document(&self, document: &Value) -> Vec<Value> {
        let document = self.resolve(document).unwrap();
        list(&document["Statement"]).into_iter().cloned().collect()
    }

    /// The statements of a role of the template.
    pub fn role(&self, name: &str) -> Vec<Value> {
        let resources = &self.template["Resources"];
        let role = &resources[name]["Properties"];
        let mut statements = vec![];
        for policy in role["ManagedPolicyArns"].as_array().into_iter().flatten() {
            let policy = policy["!Ref"].as_str().expect("a policy of the template");
            let policy = &resources[policy];
            assert_eq!(policy["Type"], "AWS::IAM::ManagedPolicy");
            statements.extend(self.document(&policy["Properties"]["PolicyDocument"]));
        }
        for policy in role["Policies"].as_array().into_iter().flatten() {
            statements.extend(self.document(&policy["PolicyDocument"]));
        }
        statements
    }

    /// The statements of all bucket policies.
    fn buckets(&self) -> Vec<Value> {
        let resources = fields(&self.template["Resources"]).values();
        resources
            .filter(|resource| resource["Type"] == "AWS::S3::BucketPolicy")
            .flat_map(|policy| self.document(&policy["Properties"]["PolicyDocument"]))
            .collect()
    }

    /// Returns `true` if the principal's own policies allow a request, and no policy denies it.
    fn allows(&self, request: &Request) -> bool {
        let identity = match request.principal {
            ARCHIVER => self.role("ArchiverRole"),
            SWEEPER => self.role("SweeperRole"),
            _ => vec![json!({"Effect": "Allow", "Action": "*", "Resource": "*"})],
        };
        let all: Vec<Value> = identity.into_iter().chain(self.buckets()).collect();
        let applies = |effect: &str| {
            let mut statements = all.iter().filter(|statement| statement["Effect"] == effect);
            statements.any(|statement| request.is_meant_by(statement))
        };
        applies("Allow") && !applies("Deny")
    }
}

/// A request as IAM sees it.
#[derive(Clone, Debug)]
struct Request {
    principal: &'static str,
    action: String,
    resource: String,
    context: BTreeMap<&'static str, String>,
}

impl Request {
    fn new(principal: &'static str, action: &str, resource: &str) -> Self {
        let context = [
            ("aws:PrincipalArn", principal.to_owned()),
            ("aws:SecureTransport", "true".to_owned()),
        ];
        Self {
            principal,
            action: action.to_owned(),
            resource: resource.to_owned(),
            context: context.into(),
        }
    }

    fn with(mut self, key: &'static str, value: &str) -> Self {
        self.context.insert(key, value.to_owned());
        self
    }

    /// `PutObject` or `CompleteMultipartUpload`, with `If-None-Match: *` or without.
    fn write(principal: &'static str, resource: &str, conditional: bool) -> Self {
        let request = Self::new(principal, "s3:PutObject", resource);
        let request = request.with("s3:ObjectCreationOperation", "true");
        if conditional {
            request.with("s3:if-none-match", "*")
        } else {
            request
        }
    }

    fn is_meant_by(&self, statement: &Value) -> bool {
        for member in fields(statement).keys() {
            let known = [
                "Sid",
                "Effect",
                "Principal",
                "Action",
                "Resource",
                "Condition",
            ];
            assert!(known.contains(&member.as_str()), "{member}");
        }
        if let Some(principal) = statement.get("Principal") {
            assert_eq!(principal, "*");
        }
        let action = self.action.to_lowercase();
        let any = |value: &Value, matches: &dyn Fn(&str) -> bool| {
            let mut patterns = list(value).into_iter();
            patterns.any(|pattern| matches(pattern.as_str().unwrap()))
        };
        any(&statement["Action"], &|pattern| {
            matches(&pattern.to_lowercase(), &action)
        }) && any(&statement["Resource"], &|pattern| {
            matches(pattern, &self.resource)
        }) && self.meets(&statement["Condition"])
    }

    fn meets(&self, condition: &Value) -> bool {
        let operators = condition.as_object().into_iter().flatten();
        let mut tests = operators.flat_map(|(operator, keys)| {
            let keys = fields(keys).iter();
            keys.map(move |(key, values)| (operator.as_str(), key.as_str(), values))
        });
        tests.all(|(operator, key, values)| {
            let found = self.context.get(key);
            let text = |value: &Value| value.as_str().map_or(value.to_string(), str::to_owned);
            let values: Vec<String> = list(values).into_iter().map(text).collect();
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            let any = |test: &dyn Fn(&str, &str) -> bool| {
                found.map(|found| values.iter().any(|value| test(value, found)))
            };
            let same = |value: &str, found: &str| value == found;
            let number = |text: &str| text.parse::<u64>().unwrap();
            match operator {
                // In IAM this is true for no values too.
                "ForAllValues:StringEquals" => {
                    let mut found = found.into_iter().flat_map(|found| found.split(SEVERAL));
                    found.all(|found| values.contains(&found))
                }
                "NumericLessThanEquals" => {
                    any(&|value, found| number(found) <= number(value)).unwrap_or(false)
                }
                "Null" => found.is_none() == (values == ["true"]),
                "Bool" | "StringEquals" => any(&same).unwrap_or(false),
                "StringLikeIfExists" => any(&matches).unwrap_or(true),
                "ArnNotEquals" => !any(&same).unwrap_or(false),
                "ArnNotLike" => !any(&matches).unwrap_or(false),
                other => panic!("{other} is not known here"),
            }
        })
    }
}

/// Returns `true` if a text matches a pattern with `*` for any text; `?` is not used.
fn matches(pattern: &str, text: &str) -> bool {
    assert!(!pattern.contains('?'), "{pattern}");
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, after)) => text.strip_prefix(before).is_some_and(|rest| {
            let ends = (0..=rest.len()).filter(|end| rest.is_char_boundary(*end));
            ends.into_iter().any(|end| matches(after, &rest[end..]))
        }),
    }
}

/// The parameters of downloads with tokens.
pub const KEYLESS: (&str, &str) = (
    "CommunicationServicesEndpoint",
    "https://contoso.communication.azure.com",
);
const MEDIA: &str = "arn:aws:s3:::recordings/recordings/2026/11/23/call/150211Z/0000-d-1.mp4";
const EVENT: &str = "arn:aws:s3:::work/pending/20261123T150211Z-e-1/event.json";

#[test]
fn the_evaluator_implements_the_language() {
    for (pattern, text, expected) in [
        ("a", "a", true),
        ("a", "ab", false),
        ("a*", "ab", true),
        ("*b*d", "abcd", true),
        ("*b*d", "abce", false),
        ("s3:*", "s3:GetObject", true),
        ("*", "", true),
    ] {
        assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
    }
    let request = Request::new(SWEEPER, "s3:GetObject", MEDIA)
        .with("one", "a")
        .with("several", &format!("a{SEVERAL}b"))
        .with("number", "60");
    for (condition, expected) in [
        (json!({}), true),
        (json!({"Bool": {"aws:SecureTransport": "true"}}), true),
        (json!({"Bool": {"aws:SecureTransport": "false"}}), false),
        (json!({"Bool": {"s3:other": "true"}}), false),
        (json!({"Null": {"s3:other": "true"}}), true),
        (json!({"Null": {"aws:SecureTransport": "true"}}), false),
        (json!({"StringLikeIfExists": {"s3:prefix": "a*"}}), true),
        (json!({"StringEquals": {"one": "a"}}), true),
        (json!({"StringEquals": {"several": "a"}}), false),
        (json!({"ForAllValues:StringEquals": {"one": "a"}}), true),
        (
            json!({"ForAllValues:StringEquals": {"several": "a"}}),
            false,
        ),
        (
            json!({"ForAllValues:StringEquals": {"several": ["b", "a"]}}),
            true,
        ),
        (json!({"ForAllValues:StringEquals": {"none": "a"}}), true),
        (json!({"NumericLessThanEquals": {"number": 60}}), true),
        (json!({"NumericLessThanEquals": {"number": "59"}}), false),
        (json!({"NumericLessThanEquals": {"none": 60}}), false),
        (
            json!({"ArnNotLike": {"aws:PrincipalArn": "*/Sweep*"}}),
            false,
        ),
        (
            json!({"ArnNotLike": {"aws:PrincipalArn": [ARCHIVER]}}),
            true,
        ),
        (
            json!({"ArnNotEquals": {"aws:PrincipalArn": [ARCHIVER, SWEEPER]}}),
            false,
        ),
    ] {
        assert_eq!(request.meets(&condition), expected, "{condition}");
    }
}

#[tokio::test]
async fn every_call_to_s3_is_allowed_to_both_functions() {
    let world = World::with(setup_with_work()).await;
    do_everything(&world).await;
    let stacks = [
        Stack::new(&[]),
        Stack::new(&[("ArchiveAdministrators", ADMINISTRATOR)]),
    ];
    let mut seen = 0;
    for call in world.s3.calls() {
        let bucket = if call.bucket == WORK {
            "work"
        } else {
            "recordings"
        };
        let key = call.key.as_deref().map(|key| format!("/{key}"));
        let resource = format!("arn:aws:s3:::{bucket}{}", key.unwrap_or_default());
        for principal in [ARCHIVER, SWEEPER] {
            let mut request = Request::new(principal, action(call.operation), &resource);
            let creates = match call.operation {
                "PutObject" | "CompleteMultipartUpload" => Some("true"),
                "CreateMultipartUpload" | "UploadPart" => Some("false"),
                _ => None,
            };
            if let Some(creates) = creates {
                request = request.with("s3:ObjectCreationOperation", creates);
            }
            if let Some(value) = call.headers.get("if-none-match") {
                request = request.with("s3:if-none-match", value.to_str().unwrap());
            }
            if call.operation == "ListObjectsV2" {
                let mut query = url::form_urlencoded::parse(call.query.as_bytes());
                let prefix = query.find(|(name, _)| name == "prefix").unwrap().1;
                request = request.with("s3:prefix", &prefix);
            }
            for stack in &stacks {
                assert!(stack.allows(&request), "{} {request:?}", call.operation);
            }
            // S3 requires the right to read for a compare-and-swap.
            if call.headers.contains_key("if-match") {
                let read = Request::new(principal, "s3:GetObject", &resource);
                assert!(stacks[0].allows(&read), "{resource}");
            }
        }
        seen += 1;
    }
    assert!(seen > 50, "{seen}");
}

#[test]
fn nobody_replaces_or_deletes_archived_objects() {
    let stack = Stack::new(&[]);
    for principal in [ARCHIVER, SWEEPER, ADMINISTRATOR] {
        assert!(stack.allows(&Request::write(principal, MEDIA, true)));
        assert!(!stack.allows(&Request::write(principal, MEDIA, false)));
        // PutObject with If-Match replaces an object.
        let replace = Request::write(principal, MEDIA, false).with("s3:if-match", "\"etag\"");
        assert!(!stack.allows(&replace), "{principal}");
        for action in ["s3:DeleteObject", "s3:DeleteObjectVersion"] {
            assert!(
                !stack.allows(&Request::new(principal, action, MEDIA)),
                "{principal} {action}"
            );
        }
    }
    for (principal, expected) in [(ARCHIVER, true), (SWEEPER, true), (ADMINISTRATOR, false)] {
        let abort = Request::new(principal, "s3:AbortMultipartUpload", MEDIA);
        assert_eq!(stack.allows(&abort), expected, "{principal}");
    }
}

#[test]
fn only_named_administrators_delete_and_change_the_policy() {
    let bucket = "arn:aws:s3:::recordings";
    let other = "arn:aws:iam::123456789012:role/Other";
    let named = Stack::new(&[(
        "ArchiveAdministrators",
        "arn:aws:iam::123456789012:role/Admin*",
    )]);
    let nobody = Stack::new(&[]);
    for (action, resource) in [
        ("s3:DeleteObject", MEDIA),
        ("s3:DeleteObjectVersion", MEDIA),
    ] {
        assert!(named.allows(&Request::new(ADMINISTRATOR, action, resource)));
        for principal in [other, ARCHIVER, SWEEPER] {
            assert!(!named.allows(&Request::new(principal, action, resource)));
        }
    }
    for action in [
        "s3:DeleteBucketPolicy",
        "s3:PutBucketObjectLockConfiguration",
        "s3:PutBucketPolicy",
        "s3:PutBucketVersioning",
        "s3:PutLifecycleConfiguration",
    ] {
        assert!(named.allows(&Request::new(ADMINISTRATOR, action, bucket)));
        assert!(
            !named.allows(&Request::new(other, action, bucket)),
            "{action}"
        );
        assert!(
            nobody.allows(&Request::new(other, action, bucket)),
            "or no update of the stack"
        );
    }
    // Named administrators neither replace objects nor abort uploads.
    assert!(!named.allows(&Request::write(ADMINISTRATOR, MEDIA, false)));
    assert!(!named.allows(&Request::new(
        ADMINISTRATOR,
        "s3:AbortMultipartUpload",
        MEDIA
    )));
}

#[test]
fn the_roles_have_no_rights_elsewhere() {
    let stack = Stack::new(&[]);
    for principal in [ARCHIVER, SWEEPER] {
        for resource in [
            "arn:aws:s3:::recordings/elsewhere/1.mp4",
            "arn:aws:s3:::work/elsewhere.json",
            "arn:aws:s3:::another/recordings/1.mp4",
        ] {
            assert!(
                !stack.allows(&Request::write(principal, resource, true)),
                "{resource}"
            );
            assert!(!stack.allows(&Request::new(principal, "s3:GetObject", resource)));
            assert!(!stack.allows(&Request::new(principal, "s3:DeleteObject", resource)));
        }
        let delete = Request::new(principal, "s3:DeleteObject", EVENT);
        assert!(stack.allows(&delete));
        // The bucket policy refuses plain http to everybody.
        assert!(!stack.allows(&delete.with("aws:SecureTransport", "false")));
        let list = Request::new(principal, "s3:ListBucket", "arn:aws:s3:::work");
        assert!(stack.allows(&list.clone().with("s3:prefix", "pending/")));
        assert!(!stack.allows(&list.with("s3:prefix", "elsewhere/")));
        for action in [
            "s3:PutBucketPolicy",
            "s3:PutLifecycleConfiguration",
            "s3:DeleteBucket",
        ] {
            assert!(!stack.allows(&Request::new(principal, action, "arn:aws:s3:::recordings")));
        }
    }
}

#[test]
fn the_roles_differ_only_in_the_webhook_secret() {
    let stack = Stack::new(&[]);
    let secret = |name: &str| stack.arn(&format!("{name}.Arn"));
    for (principal, name, expected) in [
        (ARCHIVER, "WebhookSecret", true),
        (SWEEPER, "WebhookSecret", false),
        (ARCHIVER, "ConnectionSecret", true),
        (SWEEPER, "ConnectionSecret", true),
    ] {
        let read = Request::new(principal, "secretsmanager:GetSecretValue", &secret(name));
        assert_eq!(stack.allows(&read), expected, "{principal} {name}");
        let write = Request::new(principal, "secretsmanager:PutSecretValue", &secret(name));
        assert!(!stack.allows(&write));
    }
    let (archiver, sweeper) = (stack.role("ArchiverRole"), stack.role("SweeperRole"));
    assert_eq!(archiver[..sweeper.len()], sweeper);
    assert_eq!(archiver.len(), sweeper.len() + 1);
    let trust = |role: &str| {
        stack.template["Resources"][role]["Properties"]["AssumeRolePolicyDocument"].clone()
    };
    assert_eq!(trust("ArchiverRole"), trust("SweeperRole"));
}

/// The function's request to STS.
fn assertion(principal: &'static str) -> Request {
    Request::new(principal, "sts:GetWebIdentityToken", "*")
        .with("sts:IdentityTokenAudience", "api://AzureADTokenExchange")
        .with("sts:SigningAlgorithm", "RS256")
        .with("sts:DurationSeconds", "60")
}

#[test]
fn sts_issues_assertions_for_entra_alone_and_only_with_tokens() {
    let keyless = Stack::new(&[KEYLESS]);
    let both = format!("api://AzureADTokenExchange{SEVERAL}https://evil.example.com");
    for principal in [ARCHIVER, SWEEPER] {
        assert!(keyless.allows(&assertion(principal)));
        for (key, value) in [
            ("sts:IdentityTokenAudience", "https://evil.example.com"),
            ("sts:IdentityTokenAudience", &both),
            ("sts:IdentityTokenAudience", ""),
            ("sts:SigningAlgorithm", "ES384"),
            ("sts:DurationSeconds", "61"),
            ("sts:DurationSeconds", "3600"),
        ] {
            let request = assertion(principal).with(key, value);
            assert!(!keyless.allows(&request), "{key} {value}");
        }
        for key in [
            "sts:IdentityTokenAudience",
            "sts:SigningAlgorithm",
            "sts:DurationSeconds",
        ] {
            let mut request = assertion(principal);
            request.context.remove(key);
            assert!(!keyless.allows(&request), "without {key}");
        }
        for action in ["sts:TagGetWebIdentityToken", "sts:AssumeRole"] {
            assert!(!keyless.allows(&Request::new(principal, action, "*")));
        }
        assert!(!Stack::new(&[]).allows(&assertion(principal)), "by default");
    }
}

#[test]
fn with_tokens_the_stack_has_no_secret_of_azure() {
    let keyless = Stack::new(&[KEYLESS]);
    assert!(Stack::new(&[]).has("ConnectionSecret") && !keyless.has("ConnectionSecret"));
    assert!(keyless.has("WebhookSecret"));
    for principal in [ARCHIVER, SWEEPER] {
        let secret = keyless.arn("ConnectionSecret.Arn");
        let read = Request::new(principal, "secretsmanager:GetSecretValue", &secret);
        assert!(!keyless.allows(&read));
    }
    // The rest of the stack refers to no missing resource.
    for (section, name, value) in keyless.parts() {
        let value = value.to_string();
        assert!(
            !value.contains("ConnectionSecret"),
            "{section} {name}: {value}"
        );
    }
    // The two roles still differ.
    let (archiver, sweeper) = (keyless.role("ArchiverRole"), keyless.role("SweeperRole"));
    assert_eq!(archiver[..sweeper.len()], sweeper);
    assert_eq!(archiver.len(), sweeper.len() + 1);
}

#[test]
fn a_kms_key_is_allowed_for_s3_and_the_secrets_alone() {
    let stack = Stack::new(&[("KmsKeyArn", KEY)]);
    for principal in [ARCHIVER, SWEEPER] {
        for action in ["kms:Decrypt", "kms:GenerateDataKey"] {
            let request = Request::new(principal, action, KEY);
            for service in ["s3", "secretsmanager"] {
                let via = format!("{service}.eu-central-1.amazonaws.com");
                assert!(stack.allows(&request.clone().with("kms:ViaService", &via)));
            }
            assert!(!stack.allows(&request), "directly");
            assert!(!Stack::new(&[]).allows(&request));
        }
    }
    let resources = &stack.template["Resources"];
    for name in ["Recordings", "Work"] {
        let encryption = stack.resolve(&resources[name]["Properties"]["BucketEncryption"]);
        assert_eq!(
            encryption.unwrap()["ServerSideEncryptionConfiguration"],
            json!([{
                "ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": KEY},
                "BucketKeyEnabled": true,
            }])
        );
        let without = Stack::new(&[]).resolve(&resources[name]["Properties"]["BucketEncryption"]);
        assert_eq!(
            without.unwrap()["ServerSideEncryptionConfiguration"],
            json!([{"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}])
        );
    }
    for name in ["WebhookSecret", "ConnectionSecret", "Logs"] {
        let properties = stack.resolve(&resources[name]["Properties"]).unwrap();
        assert_eq!(properties["KmsKeyId"], KEY, "{name}");
    }
}
