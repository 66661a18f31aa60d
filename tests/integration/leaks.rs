//! Secrets in the log: the built binary at log level `trace`, through every fault near a secret,
//! with an access key and with tokens.

pub mod scene;

use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use emulators::acs::{Fault, Kind, Request};
use emulators::entra::claims::v1;
use emulators::entra::tokens::{hs256, unsigned};
use emulators::entra::{self, SigningKey};
use emulators::{secrets_manager, sts};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::binary::PATIENCE;
use crate::keyless::Credential;
use crate::listener::{Listener, answer};
use crate::tokens::now;
use harness::embedded::{SECRET, payload};
use harness::world::{TOPIC, named};
use scene::{AUDIENCE, MANAGED, Scene, TENANT};

const WRONG: [&str; 2] = ["wrong-secret-in-the-query", "wrong-secret-in-the-header"];
/// The formats of the log.
const FORMATS: [&str; 2] = ["JSON", "Text"];

/// The cases, each with both kinds of credential.
fn with_either<T: Clone>(
    cases: impl IntoIterator<Item = T>,
) -> impl Iterator<Item = (Credential, T)> {
    let both = |case: T| Credential::BOTH.map(|credential| (credential, case.clone()));
    cases.into_iter().flat_map(both)
}

fn key() -> &'static SigningKey {
    SigningKey::shared(0)
}

fn claims(until: i64) -> Value {
    v1(TENANT, AUDIENCE, now() - 7200, until)
}

/// A handshake with these credentials.
fn knock(query: &str, headers: &Value) -> Value {
    let body = json!([{"id": "1", "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
        "data": {"validationCode": "hello"}}]);
    payload("POST", "/", query, headers, &body.to_string())
}

/// A delivery of no events with this token; a handshake would need the secret.
fn bearer(token: &str) -> Value {
    let headers = json!({"authorization": format!("Bearer {token}")});
    payload("POST", "/", "", &headers, "[]")
}

/// The same request from this source address.
fn with_source(mut request: Value, source: &str) -> Value {
    request["requestContext"]["http"]["sourceIp"] = source.into();
    request
}

/// A delivery with the right secret.
fn delivery(body: &str) -> Value {
    payload("POST", "/", &format!("code={MANAGED}"), &json!({}), body)
}

#[tokio::test]
async fn refused_requests_leak_nothing() {
    for (credential, format) in with_either(FORMATS) {
        let mut scene = Scene::set(credential).await;
        let process = scene.run(&[("AWS_LAMBDA_LOG_FORMAT", format)]);
        let [query, header] = WRONG;
        let honest = key().token(&claims(now() + 3600));
        let expired = key().token(&claims(now() - 3600));
        let good = claims(now() + 3600);
        let forged = SigningKey::shared(1).with_kid(key().kid()).token(&good);
        let unknown = SigningKey::shared(1).token(&good);
        let confused = hs256(key().public_pem().as_bytes(), &key().header(), &good);
        let none = unsigned(&key().header(), &good);
        let garbled = format!("{honest}{honest}");
        for token in [&honest, &expired, &forged, &unknown, &confused, &none] {
            scene.hide_token(token);
        }
        for wrong in WRONG {
            scene.hide(wrong);
        }
        let named = |header: &str| json!({"x-webhook-secret": header});
        for (status, payload) in [
            (401, knock(&format!("code={query}"), &json!({}))),
            (401, knock(&format!("a=b&code=x&code={query}"), &json!({}))),
            (401, knock("", &named(header))),
            (401, knock(&format!("code={query}"), &named(header))),
            (401, knock(&format!("code={MANAGED}x"), &named(header))),
            // The secret of the environment, which that of Secrets Manager replaces.
            (401, knock(&format!("code={SECRET}"), &json!({}))),
            (401, bearer(&expired)),
            (401, bearer(&forged)),
            (401, bearer(&unknown)),
            (401, bearer(&confused)),
            (401, bearer(&none)),
            (401, bearer(&garbled)),
            (401, knock(&format!("code={honest}"), &json!({}))),
            (
                401,
                knock("", &json!({"authorization": format!("Basic {honest}")})),
            ),
            (200, bearer(&honest)),
            (
                401,
                knock("", &json!({"authorization": format!("Bearer {honest}")})),
            ),
            (200, knock(&format!("code={MANAGED}"), &json!({}))),
            (200, knock("", &named(MANAGED))),
            (
                405,
                payload(
                    "GET",
                    &format!("/code={query}"),
                    &format!("code={query}"),
                    &json!({}),
                    query,
                ),
            ),
            (
                401,
                payload(
                    "OPTIONS",
                    "/",
                    &format!("code={query}"),
                    &json!({"authorization": format!("Bearer {honest}")}),
                    "",
                ),
            ),
            (
                200,
                payload("OPTIONS", "/", &format!("code={MANAGED}"), &json!({}), ""),
            ),
            // Without a proxy the sender chooses the address.
            (200, with_source(delivery("[]"), MANAGED)),
            (
                401,
                with_source(knock(&format!("code={query}"), &json!({})), query),
            ),
        ] {
            scene.call(status, &payload).await;
        }
        // Payloads that Lambda never sends: neither request nor tick, and no JSON.
        let stray = json!({"body": MANAGED, "headers": {"authorization": honest}});
        scene.call(400, &stray).await;
        assert!(
            !scene
                .invoke(format!("{{{MANAGED} {honest}").as_bytes())
                .await
        );
        assert_eq!(scene.entra.calls(), 1);
        scene.end(process).await;
    }
}

#[tokio::test]
async fn a_failing_key_server_leaks_nothing() {
    let elsewhere = format!("https://evil.example.com/?sig=a&code={MANAGED}");
    for (credential, fault) in with_either([
        entra::Fault::Redirect(elsewhere),
        entra::Fault::Status(500),
        entra::Fault::Drop,
    ]) {
        let mut scene = Scene::set(credential).await;
        let process = scene.run(&[]);
        scene.entra.fail(Some(fault));
        let token = key().token(&claims(now() + 3600));
        scene.hide_token(&token);
        scene.call(503, &bearer(&token)).await;
        assert_eq!(scene.entra.calls(), 1);
        scene.end(process).await;
    }
    // A key server that repeats the request, and answers with no JSON.
    for credential in Credential::BOTH {
        let mut scene = Scene::set(credential).await;
        let echo = |head: &str| answer(200, "", &format!("{{\"keys\": \"{head} sig={MANAGED}"));
        let server = Listener::start(None, echo).await;
        let authority = format!("http://{}", server.address());
        let process = scene.run(&[("ENTRA_AUTHORITY", &authority)]);
        let token = key().token(&claims(now() + 3600));
        scene.hide_token(&token);
        scene.call(503, &bearer(&token)).await;
        assert_eq!(server.heads().len(), 1);
        scene.end(process).await;
    }
}

#[tokio::test]
async fn a_failing_secrets_manager_leaks_nothing() {
    for (credential, fault) in with_either([
        secrets_manager::Fault::Refuse,
        secrets_manager::Fault::NotFound,
        secrets_manager::Fault::Internal,
        secrets_manager::Fault::Malformed,
        secrets_manager::Fault::Drop,
    ]) {
        let mut scene = Scene::set(credential).await;
        scene.manager.fail(Some(fault));
        let process = scene.run(&[]);
        scene
            .call(503, &knock(&format!("code={MANAGED}"), &json!({})))
            .await;
        assert!(scene.manager.calls() >= 1);
        // A tick that fails reports its error to Lambda.
        let tick = json!({"detail-type": "Scheduled Event", "source": "aws.scheduler"});
        assert!(!scene.invoke(tick.to_string().as_bytes()).await);
        scene.end(process).await;
    }
    // Answers that break off inside the secret, or hold it in another place.
    let secret = Scene::secret(&[3; 32]).to_string();
    let quoted = json!(secret).to_string();
    for (credential, (status, body)) in with_either([
        (
            200,
            format!("{{\"SecretString\": {}", &quoted[..quoted.len() - 20]),
        ),
        (200, format!("{{\"SecretString\": {secret}}}")),
        (400, format!("{{\"__type\": {quoted}, \"Message\": 7}}")),
        (500, quoted.clone()),
    ]) {
        let mut scene = Scene::set(credential).await;
        scene.hide(&Scene::base64(&[3; 32]));
        let scripted = answer(
            status,
            "content-type: application/x-amz-json-1.1\r\n",
            &body,
        );
        let server = Listener::start(None, move |_| scripted.clone()).await;
        let endpoint = format!("http://{}", server.address());
        let process = scene.run(&[("AWS_ENDPOINT_URL_SECRETS_MANAGER", &endpoint)]);
        scene
            .call(503, &knock(&format!("code={MANAGED}"), &json!({})))
            .await;
        assert!(!server.heads().is_empty());
        scene.end(process).await;
    }
}

#[tokio::test]
async fn invalid_settings_leak_nothing() {
    let connection = "COMMUNICATION_SERVICES_CONNECTION_STRING";
    let good = Scene::base64(&[3; 32]);
    for (credential, secret) in with_either([
        format!("{{\"WEBHOOK_SECRETS\": \"{MANAGED}"),
        format!("endpoint=https://x.communication.azure.com/;accesskey={good}"),
        json!({"WEBHOOK_SECRETS": [MANAGED]}).to_string(),
        json!({"WEBHOOK_SECRETS": format!("{MANAGED},short")}).to_string(),
        json!({connection: format!("endpoint=https://x.communication.azure.com/;accesskey={good}=!")}).to_string(),
        json!({connection: format!("endpoint=https://u:{MANAGED}@x/;accesskey={good}")}).to_string(),
        json!({"ENTRA_AUTHORITY": format!("https://u:{MANAGED}@login.microsoftonline.com/?sig=x")}).to_string(),
        json!({"RECORDINGS_BUCKET": format!("s3://{MANAGED}")}).to_string(),
        json!({"ACS_TENANT_ID": MANAGED}).to_string(),
        json!({"COMMUNICATION_SERVICES_ENDPOINT": format!("https://u:{MANAGED}@x/")}).to_string(),
    ]) {
        let mut scene = Scene::set(credential).await;
        scene.hide(&good);
        scene.manager.set(&secret);
        let process = scene.run(&[]);
        scene.fail(process).await;
    }
}

/// Answers that repeat the request: its URL, its signature, and a location with another signature.
fn echoes(request: &Request) -> Vec<Fault> {
    let authorization = &request.headers["authorization"];
    let url = format!("https://{}{}", request.host, request.path_and_query);
    let text = format!("{authorization} {url}?sig=abc {MANAGED}");
    let plain = format!("{authorization}+{url}");
    let (_, bare) = authorization.split_once(' ').unwrap();
    let fault = |status, headers: &[(&'static str, &str)], body: String| Fault::Answer {
        status,
        headers: headers
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()))
            .collect(),
        body: body.into(),
    };
    let json = json!({"error": {"code": plain, "message": text}, "traceId": text}).to_string();
    let elsewhere = format!("https://evil.example.com/?sig=abc&code={MANAGED}");
    let resource = format!("https://contoso.communication.azure.com/identities/{MANAGED}?sig=abc");
    let hop = format!("{url}?sig=abc");
    let is_json = [("content-type", "application/json"), ("x-echo", &text)];
    vec![
        fault(401, &is_json, json.clone()),
        fault(403, &is_json, json.clone()),
        fault(403, &[("www-authenticate", &text)], text.clone()),
        fault(404, &is_json, json!({"traceId": plain}).to_string()),
        fault(404, &is_json, json!({"traceId": bare}).to_string()),
        fault(409, &is_json, json[..json.len() - 9].to_owned()),
        fault(429, &[("retry-after", &text)], json),
        fault(
            500,
            &[("content-type", "text/html")],
            format!("<html>{text}"),
        ),
        fault(
            200,
            &[("content-type", "text/html")],
            format!("<html>{text}"),
        ),
        fault(206, &[("content-type", "video/mp4")], text.clone()),
        fault(302, &[("location", &elsewhere)], text.clone()),
        fault(307, &[("location", &resource)], text.clone()),
        fault(308, &[("location", &hop)], text.clone()),
        fault(
            302,
            &[(
                "location",
                &format!("https://{MANAGED}@eus-prod.asm.skype.com/"),
            )],
            text.clone(),
        ),
        fault(302, &[("location", &format!("%{text}"))], text.clone()),
        fault(
            200,
            &[("content-type", &format!("text/html; x={authorization}"))],
            "<html>".into(),
        ),
        fault(
            206,
            &[
                ("content-type", "video/mp4"),
                ("content-range", authorization),
            ],
            "x".into(),
        ),
        fault(
            206,
            &[
                ("content-type", "video/mp4"),
                ("content-range", "bytes 0-9/10"),
                ("etag", &format!("\"{authorization}\"")),
            ],
            "0123456789".into(),
        ),
        fault(
            206,
            &[
                ("content-type", &format!("video/mp4; x={authorization}")),
                ("content-range", "bytes 0-9/10"),
            ],
            "0123456789".into(),
        ),
        Fault::Close,
        Fault::CutBody { after: 3 },
    ]
}

/// The numbers of the answers that cover a complete document.
fn whole_answers(request: &Request) -> Vec<usize> {
    let whole = ("content-range", "bytes 0-9/10".to_owned());
    let covers =
        |fault: &Fault| matches!(fault, Fault::Answer { headers, .. } if headers.contains(&whole));
    let echoes = echoes(request).into_iter().enumerate();
    echoes
        .filter(|(_, fault)| covers(fault))
        .map(|(number, _)| number)
        .collect()
}

#[tokio::test]
async fn bad_answers_of_acs_leak_nothing() {
    // There are pauses between attempts, so all deliveries run concurrently.
    let mut scenes = JoinSet::new();
    for (credential, format) in with_either(FORMATS) {
        scenes.spawn(answer_badly(credential, format));
    }
    while let Some(scene) = scenes.join_next().await {
        scene.unwrap();
    }
}

async fn answer_badly(credential: Credential, format: &str) {
    let mut scene = Scene::set(credential).await;
    let process = scene.run(&[("AWS_LAMBDA_LOG_FORMAT", format)]);
    let acs = scene.lambda.world.acs.clone();
    let good = named("good", &[10]);
    good.publish(&scene.lambda.world);
    let event = good.event(&scene.lambda.world).to_string();
    scene.call(200, &delivery(&event)).await;
    let request = acs.requests().remove(0);
    for number in 0..echoes(&request).len() {
        let recording = named(&format!("fault-{number}"), &[10]);
        recording.publish(&scene.lambda.world);
        acs.clear_requests();
        acs.inject(move |request| {
            let media = request.kind != Kind::Delete;
            media.then(|| echoes(request).swap_remove(number))
        });
        let event = recording.event(&scene.lambda.world).to_string();
        let delivery = delivery(&event);
        // Two answers are valid for a document, and their other contents are in no object.
        let wholes = whole_answers(&request);
        let expected = if wholes.contains(&number) { 200 } else { 503 };
        let status = scene.call_within(PATIENCE, &delivery);
        assert_eq!(status.await, expected, "fault {number}");
        assert!(acs.requests().len() >= 2, "fault {number} was met");
    }
    let (stdout, stderr) = scene.end(process).await;
    let said = stdout + &stderr;
    assert!(said.contains("ACS answered 403"), "{said}");
    assert!(said.contains("a location that is not allowed"), "{said}");
}

#[tokio::test]
async fn a_rotated_credential_leaks_nothing() {
    for (credential, refused) in [
        (Credential::AccessKey, "ACS refused the access key"),
        (Credential::Token, "ACS refused the token"),
    ] {
        let mut scene = Scene::set(credential).await;
        let process = scene.run(&[]);
        let [before, after] = ["before", "rotated"].map(|name| {
            let recording = named(name, &[10]);
            recording.publish(&scene.lambda.world);
            delivery(&recording.event(&scene.lambda.world).to_string())
        });
        scene.call(200, &before).await;
        scene.rotate_the_credential();
        // Settings and tokens are read again at least 10 s after the last read.
        let end = Instant::now() + PATIENCE;
        while scene.call_within(PATIENCE, &after).await != 200 {
            assert!(Instant::now() < end, "the new credential was not read");
            sleep(Duration::from_millis(200)).await;
        }
        let (stdout, _) = scene.end(process).await;
        assert!(stdout.contains(refused), "{stdout}");
    }
}

#[tokio::test]
async fn failing_issuers_of_tokens_leak_nothing() {
    let elsewhere = format!("https://evil.example.com/?sig=a&code={MANAGED}");
    let xml = "<GetWebIdentityTokenResponse><GetWebIdentityTokenResult>".to_owned();
    let code = "<ErrorResponse><Error><Code>{token}</Code><Message>{token}</Message>".to_owned();
    let json = |token: &str| {
        let said = json!({"token_type": token, "access_token": token, "expires_in": token});
        entra::Fault::Answer(200, "application/json", said.to_string())
    };
    let token = key().token(&claims(now() + 3600));
    let faults = [
        (Some(sts::Fault::Echo), None),
        (Some(sts::Fault::Redirect(elsewhere.clone())), None),
        (
            Some(sts::Fault::Answer(200, format!("{xml}<Token>{{token}}"))),
            None,
        ),
        (
            Some(sts::Fault::Answer(200, "<html>{token}".to_owned())),
            None,
        ),
        (Some(sts::Fault::Answer(400, code.clone())), None),
        (
            Some(sts::Fault::Answer(
                500,
                format!("{code}</Error></ErrorResponse>"),
            )),
            None,
        ),
        (None, Some(entra::Fault::Echo(200))),
        (None, Some(entra::Fault::Echo(401))),
        (None, Some(entra::Fault::Echo(500))),
        (None, Some(entra::Fault::Redirect(elsewhere))),
        (None, Some(json(&token))),
        (None, Some(json(&format!("{token}\r\nx: y")))),
    ];
    let mut scenes = JoinSet::new();
    for (number, (of_sts, of_entra)) in faults.into_iter().enumerate() {
        let token = token.clone();
        let format = FORMATS[number % FORMATS.len()];
        scenes.spawn(async move {
            let mut scene = Scene::set(Credential::Token).await;
            scene.hide_token(&token);
            let process = scene.run(&[("AWS_LAMBDA_LOG_FORMAT", format)]);
            let issuers = scene.issuers.clone().unwrap();
            issuers.sts.fail(of_sts.clone());
            issuers.entra.fail(of_entra.clone());
            let recording = named("untold", &[10]);
            recording.publish(&scene.lambda.world);
            let event = recording.event(&scene.lambda.world).to_string();
            scene.call(503, &delivery(&event)).await;
            scene.lambda.world.assert_acs_uncalled();
            let (stdout, stderr) = scene.end(process).await;
            let told = (stdout + &stderr).contains("Microsoft Entra token for ACS");
            assert!(told, "{of_sts:?} {of_entra:?}");
        });
    }
    while let Some(scene) = scenes.join_next().await {
        scene.unwrap();
    }
}

#[tokio::test]
async fn events_and_headers_with_secrets_leak_nothing() {
    let brought = format!("?sig=abc&code={MANAGED}");
    let url = format!("https://eus-prod.asm.skype.com/v1/objects/x{brought}");
    let foreign = format!("https://evil.example.com/{brought}");
    for (credential, format) in with_either(FORMATS) {
        let mut scene = Scene::set(credential).await;
        let process = scene.run(&[
            ("AWS_LAMBDA_LOG_FORMAT", format),
            ("EVENT_GRID_TOPICS", TOPIC),
        ]);
        let world = scene.lambda.world.clone();
        let mut event = named("known", &[10]).event(&world);
        event["topic"] = TOPIC.into();
        let with = |changes: &[(&str, &str)]| {
            let mut event = event.clone();
            for (path, value) in changes {
                *event.pointer_mut(path).unwrap() = (*value).into();
            }
            event.to_string()
        };
        let chunk = "/data/recordingStorageInfo/recordingChunks/0";
        let [content, metadata, document] = ["contentLocation", "metadataLocation", "documentId"]
            .map(|name| format!("{chunk}/{name}"));
        for (status, body) in [
            (200, with(&[("/id", &url)])),
            (
                200,
                with(&[("/id", &url), ("/subject", &url), ("/eventTime", &url)]),
            ),
            (200, with(&[("/eventType", &url)])),
            (200, with(&[("/topic", &url)])),
            (200, with(&[(&content, &foreign), (&metadata, &foreign)])),
            (200, with(&[(&content, &url.replace("https:", "http:"))])),
            (200, with(&[(&document, &url)])),
            (200, with(&[("/data", &url)])),
            (200, json!({"type": &url, "id": &url}).to_string()),
            (
                200,
                json!([{"url": &url}, &url, [&url], {&url: 1}]).to_string(),
            ),
            (400, format!("[{{\"id\": \"{url}")),
            (400, url.clone()),
            (400, json!(url).to_string()),
        ] {
            scene.clear();
            let given = scene.call_within(PATIENCE, &delivery(&body)).await;
            // A path of another name on the media host is not found.
            assert!(given == status || given == 503, "{given:?}: {body}");
            scene.assert_stored_nothing(Some(&brought));
        }
        for name in [
            "aeg-subscription-name",
            "aeg-delivery-count",
            "aeg-event-type",
            "content-type",
            "user-agent",
            "x-forwarded-for",
            "cookie",
        ] {
            for query in [format!("code={MANAGED}"), format!("code={url}")] {
                let request = payload("POST", &url, &query, &json!({name: url}), "[]");
                scene.call_within(PATIENCE, &request).await;
            }
        }
        // Two bodies in base64, valid and invalid.
        let mut encoded = delivery("not base64");
        encoded["isBase64Encoded"] = true.into();
        scene.call(400, &encoded).await;
        encoded["body"] = BASE64_STANDARD.encode(&url).into();
        scene.call(400, &encoded).await;
        scene.clear();
        scene.end(process).await;
    }
}

/// A complete answer to a request with this head.
type Says = fn(&str) -> String;

#[tokio::test]
async fn verbose_answers_of_s3_leak_nothing() {
    // The answer of Amazon S3 to a wrong signature, and one that a proxy may give.
    let echo = |head: &str| {
        let head = head.replace('<', "").replace('&', "&amp;");
        answer(
            403,
            "content-type: application/xml\r\n",
            &format!(
                "<Error><Code>SignatureDoesNotMatch</Code><Message>The request signature we calculated does not match the signature you provided.</Message>\
             <StringToSign>{head}</StringToSign><CanonicalRequest>{head}</CanonicalRequest><SignatureProvided>Signature={MANAGED}</SignatureProvided></Error>"
            ),
        )
    };
    let html = |head: &str| {
        answer(
            403,
            "content-type: text/html\r\n",
            &format!("<html>{head}{MANAGED}"),
        )
    };
    for (credential, says) in with_either([echo as Says, html]) {
        let mut scene = Scene::set(credential).await;
        let server = Listener::start(None, says).await;
        let endpoint = format!("http://{}", server.address());
        let process = scene.run(&[("AWS_ENDPOINT_URL_S3", &endpoint)]);
        let event = named("event", &[10]).event(&scene.lambda.world).to_string();
        scene.call(503, &delivery(&event)).await;
        let tick = json!({"detail-type": "Scheduled Event", "source": "aws.scheduler"});
        assert!(!scene.invoke(tick.to_string().as_bytes()).await);
        let heads = server.heads();
        assert!(heads.iter().all(|head| head.contains("Signature=")) && heads.len() >= 2);
        scene.end(process).await;
    }
}
