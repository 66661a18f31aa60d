//! The template's policies, evaluated: they allow the functions' calls, and deny everybody what
//! would break a promise.

mod evaluator;

use serde_json::json;

use crate::template::{action, do_everything};
use harness::world::{WORK, World, setup_with_work};

pub use evaluator::Stack;
use evaluator::{ADMINISTRATOR, ARCHIVER, KEY, Request, SEVERAL, SWEEPER, matches};

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
