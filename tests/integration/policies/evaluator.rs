//! An evaluator of the template's policies.
//!
//! It knows the part of IAM's language that the template uses: Allow and Deny, actions and
//! resources with wildcards, condition keys of one value and of several, and a few operators. It
//! panics at anything else.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::template::{fields, list, template};

pub const ACCOUNT: &str = "123456789012";
pub const ARCHIVER: &str = "arn:aws:iam::123456789012:role/ArchiverRole";
pub const SWEEPER: &str = "arn:aws:iam::123456789012:role/SweeperRole";
/// A principal whose own policies allow everything.
pub const ADMINISTRATOR: &str = "arn:aws:iam::123456789012:role/Administrator";
/// The separator of the values of a condition key.
pub const SEVERAL: char = '\n';
pub const KEY: &str = "arn:aws:kms:eu-central-1:123456789012:key/0a1b";

/// The template with values of parameters and its functions resolved.
pub struct Stack {
    pub template: Value,
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

    pub fn arn(&self, attribute: &str) -> String {
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
    pub fn has(&self, resource: &str) -> bool {
        self.is_there(&self.template["Resources"][resource])
    }

    /// Returns `true` unless the condition of a resource or an output does not hold.
    fn is_there(&self, part: &Value) -> bool {
        let condition = part.get("Condition").and_then(Value::as_str);
        condition.is_none_or(|condition| self.condition(condition))
    }

    /// The resources and outputs of the stack, resolved; a dashboard and commands are left as they
    /// are.
    pub fn parts(&self) -> Vec<(&'static str, String, Value)> {
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
    pub fn allows(&self, request: &Request) -> bool {
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
pub struct Request {
    principal: &'static str,
    action: String,
    resource: String,
    pub context: BTreeMap<&'static str, String>,
}

impl Request {
    pub fn new(principal: &'static str, action: &str, resource: &str) -> Self {
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

    pub fn with(mut self, key: &'static str, value: &str) -> Self {
        self.context.insert(key, value.to_owned());
        self
    }

    /// `PutObject` or `CompleteMultipartUpload`, with `If-None-Match: *` or without.
    pub fn write(principal: &'static str, resource: &str, conditional: bool) -> Self {
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

    pub fn meets(&self, condition: &Value) -> bool {
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
pub fn matches(pattern: &str, text: &str) -> bool {
    assert!(!pattern.contains('?'), "{pattern}");
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, after)) => text.strip_prefix(before).is_some_and(|rest| {
            let ends = (0..=rest.len()).filter(|end| rest.is_char_boundary(*end));
            ends.into_iter().any(|end| matches(after, &rest[end..]))
        }),
    }
}
