//! The answers to requests: the status tells Event Grid whether to retry.

use std::time::Duration;

use acs_recording_archiver::function::Answer;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use emulators::acs::{Fault, Kind};
use emulators::hashes::sha256_hex;
use emulators::s3;
use serde_json::{Value, json};

use harness::embedded::{Response, SECRET, Setup, delivery, payload};
use harness::world::{Form, PART, Recording, TOPIC, World, named, setup};

const MIB: usize = 1024 * 1024;
const QUERY: &str = "code=local-secret-for-trying-out";

/// A world whose function has these settings too.
async fn world_with(variables: &[(&'static str, &str)]) -> World {
    let variables = variables.iter();
    World::with(Setup {
        variables: variables
            .map(|(name, value)| (*name, (*value).to_owned()))
            .collect(),
        ..setup()
    })
    .await
}

/// Calls the function, and asserts what every answer has in common.
async fn ask(world: &World, payload: &Value) -> Response {
    let response = world.call(payload).await;
    let body = response.body.to_string();
    assert_eq!(
        response.headers["content-length"],
        body.len().to_string(),
        "{body}"
    );
    assert_eq!(response.headers["content-type"], "application/json");
    assert!(
        !body.contains("://") && !body.contains(SECRET),
        "{body} tells too much"
    );
    assert_eq!(
        response.headers.get("retry-after").is_some(),
        response.status == 503,
        "{response:?}"
    );
    response
}

/// Delivers this body, and returns the status and the outcome of each event by its id.
async fn deliver(world: &World, body: &Value) -> (u16, Value) {
    let response = ask(world, &delivery(&body.to_string(), 0)).await;
    let events = response.body["events"]
        .as_array()
        .expect("the answer lists events");
    let outcomes = events.iter().map(|event| {
        (
            event["id"].as_str().unwrap().to_owned(),
            event["outcome"].clone(),
        )
    });
    (response.status.code(), Value::Object(outcomes.collect()))
}

/// The same request with its body in base64.
fn in_base64(mut payload: Value) -> Value {
    let body = BASE64_STANDARD.encode(payload["body"].as_str().unwrap());
    payload["body"] = body.into();
    payload["isBase64Encoded"] = true.into();
    payload
}

fn busy() -> Fault {
    Fault::answer(503, "")
}

/// An event of a type that is not archived.
fn other_event(event_type: &str) -> Value {
    json!({
        "id": "other",
        "topic": TOPIC,
        "subject": "",
        "eventType": event_type,
        "data": {},
        "dataVersion": "1.0",
    })
}

#[tokio::test]
async fn the_cloud_events_handshake_is_answered_with_its_origin_and_rate() {
    let world = World::start().await;
    for (headers, origin, rate) in [
        (
            json!({"webhook-request-origin": "eventgrid.azure.net", "webhook-request-rate": "120"}),
            Some("eventgrid.azure.net"),
            Some("120"),
        ),
        (
            json!({"webhook-request-origin": "eventgrid.azure.net"}),
            Some("eventgrid.azure.net"),
            Some("*"),
        ),
        (json!({}), None, None),
    ] {
        let request = |query| payload("OPTIONS", "/", query, &headers, "");
        let response = ask(&world, &request(QUERY)).await;
        assert_eq!(response.status.code(), 200);
        let header = |name| response.headers.get(name).and_then(Value::as_str);
        assert_eq!(header("webhook-allowed-origin"), origin);
        assert_eq!(header("webhook-allowed-rate"), rate);
        assert_eq!(header("allow"), Some("POST, OPTIONS"));
        for query in ["", "code=wrong"] {
            let response = ask(&world, &request(query)).await;
            assert_eq!(response.status.code(), 401);
            for header in ["webhook-allowed-origin", "webhook-allowed-rate"] {
                assert_eq!(response.headers.get(header), None, "{query}");
            }
        }
    }
    world.assert_uncalled();
}

#[tokio::test]
async fn the_event_grid_handshake_repeats_the_code() {
    let world = World::start().await;
    for event_type in [
        "Microsoft.EventGrid.SubscriptionValidationEvent",
        "MICROSOFT.EVENTGRID.SUBSCRIPTIONVALIDATIONEVENT",
    ] {
        let mut event = other_event(event_type);
        event["data"] = json!({
            "validationCode": "0214d9ca-2cb7",
            "validationUrl": "https://rp-eastus.eventgrid.azure.net:553/eventsubscriptions/a\
                /validate?id=0214d9ca",
        });
        for body in [json!([event]), event.clone()] {
            let delivery = delivery(&body.to_string(), 0);
            for payload in [in_base64(delivery.clone()), delivery] {
                let response = ask(&world, &payload).await;
                assert_eq!(response.status.code(), 200);
                assert_eq!(
                    response.body,
                    json!({"validationResponse": "0214d9ca-2cb7"})
                );
            }
        }
        let stranger = payload("POST", "/", "", &json!({}), &json!([event]).to_string());
        assert_eq!(ask(&world, &stranger).await.status, 401);
    }
    world.assert_uncalled();
}

#[tokio::test]
async fn a_request_without_the_secret_is_refused_unread() {
    let world = World::start().await;
    let recording = Recording::of(&[PART]);
    recording.publish(&world);
    let event = json!([recording.event(&world)]).to_string();
    let twice = format!("code={SECRET}{SECRET}");
    let upper = format!("code={}", SECRET.to_uppercase());
    let other_name = format!("secret={SECRET}");
    for (query, headers) in [
        ("", json!({})),
        ("code=", json!({"x-webhook-secret": ""})),
        ("code=local-secret-for-trying-ou", json!({})),
        (&*twice, json!({})),
        (&*upper, json!({})),
        (&*other_name, json!({"x-secret": SECRET})),
        (
            "code=wrong-secret-of-some-length",
            json!({"x-webhook-secret": "wrong"}),
        ),
        ("", json!({"authorization": format!("Bearer {SECRET}")})),
    ] {
        let mut request = payload("POST", "/", query, &headers, &event);
        assert_eq!(ask(&world, &request).await.status, 401, "{query}");
        assert_eq!(ask(&world, &in_base64(request.clone())).await.status, 401);
        request["body"] = "not in base64!".into();
        request["isBase64Encoded"] = true.into();
        assert_eq!(ask(&world, &request).await.status, 401, "{query}");
    }
    let large = payload("POST", "/", "", &json!({}), &"x".repeat(2 * MIB));
    assert_eq!(ask(&world, &large).await.status, 401);
    world.assert_uncalled();
    assert!(world.s3.objects().is_empty());
}

#[tokio::test]
async fn each_secret_is_accepted_in_query_and_header() {
    let secrets = ["the-secret-so-far-1", "the_secret_from_now-2"];
    let world = world_with(&[("WEBHOOK_SECRETS", &secrets.join(","))]).await;
    for secret in secrets {
        for (query, headers) in [
            (format!("code={secret}"), json!({})),
            (format!("a=b&code={secret}&c"), json!({})),
            (String::new(), json!({"x-webhook-secret": secret})),
            ("code=wrong".to_owned(), json!({"x-webhook-secret": secret})),
            (
                format!("code={secret}"),
                json!({"x-webhook-secret": "wrong"}),
            ),
        ] {
            let request = payload("POST", "/", &query, &headers, "[]");
            assert_eq!(ask(&world, &request).await.status, 200, "{query} {headers}");
        }
    }
    let both = payload(
        "POST",
        "/",
        &format!("code={}", secrets.join(",")),
        &json!({}),
        "[]",
    );
    assert_eq!(ask(&world, &both).await.status, 401);
    let former = payload("POST", "/", QUERY, &json!({}), "[]");
    assert_eq!(ask(&world, &former).await.status, 401);
}

#[tokio::test]
async fn bodies_in_text_and_base64_are_archived_once() {
    for encoded in [false, true] {
        let world = World::start().await;
        let recording = Recording::of(&[2 * PART + 1, 7]);
        recording.publish(&world);
        let mut request = delivery(&json!([recording.event(&world)]).to_string(), 0);
        if encoded {
            request = in_base64(request);
        }
        let response = ask(&world, &request).await;
        response.assert_outcome(200, "archived");
        world.assert_archived(&recording);

        world.acs.clear_requests();
        world.s3.clear_calls();
        let response = ask(&world, &request).await;
        assert_eq!(response.status.code(), 200);
        assert_eq!(
            response.body,
            json!({"events": [
                {"id": recording.event_id, "outcome": "alreadyArchived", "bytes": 0}
            ]})
        );
        world.assert_acs_uncalled();
        let calls = world.s3.calls();
        let reads = ["HeadObject", "GetObject"];
        assert!(
            calls.iter().all(|call| reads.contains(&call.operation)),
            "{calls:?}"
        );
        world.assert_archived(&recording);
    }
}

#[tokio::test]
async fn events_of_other_types_and_storage_are_ignored() {
    let world = World::start().await;
    let mut events = vec![
        other_event("Microsoft.Communication.CallEnded"),
        other_event("Microsoft.EventGrid.SubscriptionDeletedEvent"),
    ];
    for storage_type in [
        "blobstorage",
        "blobStorage",
        "azureBlobStorage",
        "AZUREBLOBSTORAGE",
    ] {
        for host in [
            "core.windows.net",
            "core.chinacloudapi.cn",
            "core.usgovcloudapi.net",
        ] {
            let location = format!("https://contosorecordings.blob.{host}/recordings/1");
            events.push(stored_at(
                &Recording::of(&[PART]).event(&world),
                storage_type,
                &location,
            ));
        }
    }
    for event in events {
        for body in [json!([event]), event.clone()] {
            let (status, outcomes) = deliver(&world, &body).await;
            assert_eq!(status, 200, "{event}");
            let outcomes = outcomes.as_object().unwrap();
            assert_eq!(outcomes.values().collect::<Vec<_>>(), ["ignored"]);
        }
    }
    // A deleted subscription is announced by a header, with any body or none.
    let headers = json!({"aeg-event-type": "SubscriptionDeletion"});
    for body in ["", "{}", "[]", "gone"] {
        let response = ask(&world, &payload("POST", "/", QUERY, &headers, body)).await;
        assert_eq!(response.status.code(), 200, "{body}");
    }
    let mut without_body = payload("POST", "/", QUERY, &headers, "");
    without_body.as_object_mut().unwrap().remove("body");
    assert_eq!(ask(&world, &without_body).await.status, 200);
    world.assert_uncalled();
}

/// The same event with this `storageType`, and with this location for each of its URLs.
fn stored_at(event: &Value, storage_type: &str, location: &str) -> Value {
    let mut event = event.clone();
    event["data"]["storageType"] = storage_type.into();
    let chunk = &mut event["data"]["recordingStorageInfo"]["recordingChunks"][0];
    for name in ["contentLocation", "metadataLocation", "deleteLocation"] {
        chunk[name] = location.into();
    }
    event
}

#[tokio::test]
async fn an_export_that_failed_is_archived() {
    for storage_type in ["blobstorage", "azureBlobStorage", "AzureBlob"] {
        let world = World::start().await;
        let recording = Recording::of(&[PART]);
        recording.publish(&world);
        let mut event = recording.event(&world);
        event["data"]["storageType"] = storage_type.into();
        assert_eq!(deliver(&world, &event).await.0, 200, "{storage_type}");
        world.assert_archived(&recording.told_by(&event));
    }
}

#[tokio::test]
async fn every_name_of_acs_storage_is_archived_in_both_forms() {
    for storage_type in [
        "",
        "acs",
        "ACS",
        "acsstorage",
        "AcsStorage",
        "azureCommunicationServices",
    ] {
        for form in [Form::Preview2021, Form::Current] {
            let world = World::start().await;
            let recording = Recording::of(&[PART]).in_form(form);
            recording.publish(&world);
            let mut event = recording.event(&world);
            event["data"]["storageType"] = storage_type.into();
            assert_eq!(deliver(&world, &event).await.0, 200, "{storage_type}");
            world.assert_archived(&recording.told_by(&event));
        }
    }
}

#[tokio::test]
async fn an_event_of_unknown_storage_is_set_aside() {
    let blob = "https://contosorecordings.blob.core.windows.net/recordings/1";
    let elsewhere = "https://media.contoso.example/recordings/1";
    for (storage_type, location) in [
        ("acsstorage", elsewhere),
        ("acs", blob),
        ("", elsewhere),
        ("azureBlobStorage", elsewhere),
        ("AzureBlob", blob),
        ("azureFileShare", blob),
        ("azureFileShare", elsewhere),
    ] {
        let world = World::start().await;
        let recording = Recording::of(&[PART]);
        let event = stored_at(&recording.event(&world), storage_type, location);
        let (status, outcomes) = deliver(&world, &event).await;
        assert_eq!(status, 200, "{storage_type} {location}");
        assert_eq!(outcomes, json!({&recording.event_id: "setAside"}));
        let recording = recording.told_by(&event);
        let rejection = world.json(&recording.rejection_key());
        assert_eq!(rejection["event"], event);
        world.assert_acs_uncalled();
    }
}

#[tokio::test]
async fn an_event_that_is_not_understood_is_set_aside_with_the_reason() {
    let world = World::start().await;
    for (event, reason) in [
        ("42", "not a JSON object"),
        ("null", "not a JSON object"),
        (r#"{ "id": "1",  "data": 1e3 }"#, "no type"),
        (
            r#"{"eventType":"Microsoft.Communication.RecordingFileStatusUpdated","data":{}}"#,
            "recordingChunks",
        ),
        (
            r#"{"eventType":"Microsoft.Communication.RecordingFileStatusUpdated","data":{"recordingStorageInfo":{"recordingChunks":[]}}}"#,
            "empty list",
        ),
        (
            r#"{"eventType":"Microsoft.EventGrid.SubscriptionValidationEvent","data":{}}"#,
            "validationCode",
        ),
    ] {
        let response = ask(&world, &delivery(&format!("[{event}]"), 0)).await;
        assert_eq!(response.status.code(), 200, "{event}");
        assert_eq!(response.outcome(), "setAside");
        assert_set_aside(&world, event, reason);
    }
    world.assert_acs_uncalled();
}

#[tokio::test]
async fn an_event_of_another_topic_is_set_aside() {
    let topics = format!("{},{TOPIC}-3", TOPIC.to_uppercase());
    let world = world_with(&[("EVENT_GRID_TOPICS", &topics)]).await;
    let recording = Recording::of(&[PART]);
    recording.publish(&world);
    let mut event = recording.event(&world);
    event["topic"] = format!("{TOPIC}-2").into();
    let (status, outcomes) = deliver(&world, &event).await;
    assert_eq!(status, 200);
    assert_eq!(outcomes, json!({&recording.event_id: "setAside"}));
    assert_set_aside(&world, &event.to_string(), "topic");
    world.assert_acs_uncalled();

    for event in [recording.event(&world), recording.cloud_event(&world)] {
        assert_eq!(deliver(&world, &event).await.0, 200);
    }
    world.assert_archived(&recording);
}

/// Asserts that the bucket holds only this event, set aside for this reason, and removes it.
fn assert_set_aside(world: &World, event: &str, reason: &str) {
    let key = format!("recordings/rejected/{}.json", sha256_hex(canonical(event)));
    assert_eq!(world.keys(), [key.as_str()]);
    let object = world.s3.object(&key).unwrap();
    assert_eq!(object.content_type.as_deref(), Some("application/json"));
    let text = String::from_utf8(object.body.to_vec()).unwrap();
    assert!(
        text.contains(event),
        "{event} is not as delivered in {text}"
    );
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        document["event"],
        serde_json::from_str::<Value>(event).unwrap()
    );
    let given = document["reason"].as_str().unwrap();
    assert!(given.contains(reason), "{given} for {event}");
    world.s3.remove(&key);
}

/// The canonical form of an event in this module: sorted, without white space or fractions.
fn canonical(event: &str) -> String {
    let value: Value = serde_json::from_str(event).unwrap();
    value.to_string().replace("1000.0", "1000")
}

#[tokio::test]
async fn an_event_that_is_set_aside_twice_in_other_spellings_is_one_object() {
    let world = World::start().await;
    let event = r#"{"id":"1","type":7.0,"data":{"b":[1e3,"\u0061"],"a":{}}}"#;
    let response = ask(&world, &delivery(&format!("[{event}]"), 0)).await;
    assert_eq!(response.outcome(), "setAside");
    let keys = world.keys();
    let document = world.json(&keys[0]);
    // The output of `jq .event` on the document, and that of a tool that sorts and compacts.
    let indented = serde_json::to_string_pretty(&document["event"]).unwrap();
    let shortened = r#"{"data":{"a":{},"b":[1000,"a"]},"id":"1","type":7}"#;
    for again in [indented.as_str(), shortened] {
        let response = ask(&world, &delivery(again, 0)).await;
        assert_eq!(response.outcome(), "setAside");
        assert_eq!(world.keys(), keys, "{again}");
    }
}

#[tokio::test]
async fn a_suspended_event_is_left_to_event_grid_or_to_the_schedule() {
    for (acknowledge, status) in [("", 503), ("archived", 503), ("stored", 202)] {
        let world = world_with(&[("ACKNOWLEDGE", acknowledge)]).await;
        let recording = Recording::of(&[PART]);
        recording.publish(&world);
        for fault in [
            busy(),
            // A 401 of ACS: the access key can be corrected without losing the recording.
            Fault::answer(401, ""),
            Fault::Close,
        ] {
            world.acs.inject(move |_| Some(fault.clone()));
            let (actual, outcomes) = deliver(&world, &recording.event(&world)).await;
            assert_eq!(actual, status, "{acknowledge}");
            assert_eq!(outcomes, json!({&recording.event_id: "suspended"}));
            let left = ["attempt.json", "event.json"];
            let pending = recording.pending();
            assert_eq!(world.keys(), left.map(|name| format!("{pending}/{name}")));
            let attempt = world.s3.object(&format!("{pending}/attempt.json"));
            assert!(attempt.unwrap().body.is_empty(), "the event is released");
        }
        world.acs.heal();
        assert_eq!(deliver(&world, &recording.event(&world)).await.0, 200);
        world.assert_archived(&recording);
    }
}

#[tokio::test]
async fn a_fault_of_s3_after_the_event_is_stored_suspends_the_event() {
    for (acknowledge, status) in [("archived", 503), ("stored", 202)] {
        let world = world_with(&[("ACKNOWLEDGE", acknowledge)]).await;
        let recording = Recording::of(&[PART]);
        recording.publish(&world);
        let manifest = recording.manifest_key();
        world.s3.inject(move |call| {
            let refused = call.operation == "PutObject" && call.key.as_deref() == Some(&*manifest);
            refused.then_some(s3::Fault::refuse(403, "AccessDenied"))
        });
        assert_eq!(deliver(&world, &recording.event(&world)).await.0, status);
        world.s3.heal();
        assert_eq!(deliver(&world, &recording.event(&world)).await.0, 200);
        world.assert_archived(&recording);
    }
}

#[tokio::test]
async fn an_event_that_cannot_be_stored_is_left_to_event_grid() {
    for acknowledge in ["archived", "stored"] {
        let world = world_with(&[("ACKNOWLEDGE", acknowledge)]).await;
        let recording = Recording::of(&[PART]);
        recording.publish(&world);
        world.s3.inject(|call| {
            let stores = call.operation == "PutObject";
            stores.then_some(s3::Fault::refuse(403, "AccessDenied"))
        });
        let (status, outcomes) = deliver(&world, &recording.event(&world)).await;
        assert_eq!(status, 503, "{acknowledge}");
        assert_eq!(outcomes, json!({&recording.event_id: "unstored"}));
        // An event that is not understood cannot be set aside either.
        assert_eq!(deliver(&world, &json!([42])).await.0, 503);
        world.assert_acs_uncalled();
        assert!(world.s3.objects().is_empty());
    }
}

#[tokio::test]
async fn a_body_that_is_no_object_or_array_is_a_bad_request() {
    let world = World::start().await;
    for body in [
        "", " ", "null", "true", "1", "\"[]\"", "{", "[1", "[] []", "[\u{0}]", "code=1",
    ] {
        let request = delivery(body, 0);
        assert_eq!(ask(&world, &request).await.status, 400, "{body:?}");
        assert_eq!(ask(&world, &in_base64(request)).await.status, 400);
    }
    let mut request = delivery("not in base64!", 0);
    request["isBase64Encoded"] = true.into();
    assert_eq!(ask(&world, &request).await.status, 400);
    // Base64 of bytes that are no UTF-8.
    request["body"] = BASE64_STANDARD.encode([0x5B, 0xFF, 0x5D]).into();
    assert_eq!(ask(&world, &request).await.status, 400);
    world.assert_uncalled();

    let (status, outcomes) = deliver(&world, &json!([])).await;
    assert_eq!((status, outcomes), (200, json!({})));
    world.assert_uncalled();
}

#[tokio::test]
async fn a_byte_order_mark_before_the_body_is_ignored() {
    for encoded in [false, true] {
        let world = World::start().await;
        let recording = Recording::of(&[PART]);
        recording.publish(&world);
        let event = recording.event(&world);
        let request = |body: &Value| {
            let request = delivery(&format!("\u{feff}{body}"), 0);
            if encoded { in_base64(request) } else { request }
        };
        world.acs.inject(|_| Some(busy()));
        assert_eq!(ask(&world, &request(&json!([event]))).await.status, 503);
        world.acs.heal();
        let pending = recording.event_key();
        let stored = world.s3.object(&pending).unwrap();
        assert_eq!(
            stored.body,
            event.to_string(),
            "the byte order mark was stored"
        );
        assert_eq!(ask(&world, &request(&event)).await.status, 200);
        world.assert_archived(&recording);
    }
}

#[tokio::test]
async fn times_without_an_offset_and_unusual_numbers_lead_to_the_same_keys() {
    let world = World::start().await;
    let recording = Recording::of(&[1, 2]);
    recording.publish(&world);
    let mut event = recording.event(&world);
    let without_offset = |time: &Value| time.as_str().unwrap().trim_end_matches('Z').to_owned();
    event["eventTime"] = without_offset(&event["eventTime"]).into();
    let data = &mut event["data"];
    data["recordingStartTime"] = without_offset(&data["recordingStartTime"]).into();
    let chunks = &mut data["recordingStorageInfo"]["recordingChunks"];
    chunks[0]["index"] = json!(0.0);
    chunks[1]["index"] = "1".into();
    chunks.as_array_mut().unwrap().reverse();
    assert_eq!(deliver(&world, &event).await.0, 200);
    world.assert_archived(&recording);
}

#[tokio::test]
async fn other_methods_are_not_allowed() {
    let world = World::start().await;
    for method in ["GET", "HEAD", "PUT", "PATCH", "DELETE"] {
        for query in [QUERY, ""] {
            let response = ask(&world, &payload(method, "/", query, &json!({}), "[]")).await;
            assert_eq!(response.status.code(), 405, "{method}");
            assert_eq!(response.headers["allow"], "POST, OPTIONS");
        }
    }
    world.assert_uncalled();
}

#[tokio::test]
async fn a_body_over_one_mebibyte_is_refused() {
    let world = World::start().await;
    let body = |length: usize| format!("[{}]", " ".repeat(length - 2));
    // Multi-byte characters: the limit is in bytes.
    let wide = |length: usize| format!("\"{}\"", "é".repeat((length - 2) / 2));
    for (body, status) in [
        (body(MIB), 200),
        // One of three consecutive lengths has base64 without padding.
        (body(MIB + 1), 413),
        (body(MIB + 2), 413),
        (body(MIB + 3), 413),
        (wide(MIB + 2), 413),
    ] {
        let request = delivery(&body, 0);
        let length = body.len();
        assert_eq!(ask(&world, &request).await.status, status, "{length}");
        assert_eq!(
            ask(&world, &in_base64(request)).await.status,
            status,
            "{length}"
        );
    }
    // A body that is too long is refused before it is decoded.
    let mut request = delivery(&"!".repeat(2 * MIB), 0);
    request["isBase64Encoded"] = true.into();
    assert_eq!(ask(&world, &request).await.status, 413);
    world.assert_uncalled();
}

#[tokio::test]
async fn the_worst_outcome_decides_the_status_and_the_others_are_archived() {
    let (archived, unfinished) = (
        named("archived", &[2 * PART + 1]),
        named("unfinished", &[PART]),
    );
    let unstored = named("unstored", &[PART]);
    for (acknowledge, without_unstored) in [("archived", 503), ("stored", 202)] {
        let world = world_with(&[("ACKNOWLEDGE", acknowledge)]).await;
        for recording in [&archived, &unfinished, &unstored] {
            recording.publish(&world);
        }
        world.acs.inject(|request| {
            let wanted = request.document.as_deref() == Some("0-eus-0-unfinished");
            (wanted && request.kind == Kind::Media).then(busy)
        });
        world.s3.inject(|call| {
            let key = call.key.as_deref().unwrap_or_default();
            let unstored = key.contains("-unstored-") && key.ends_with("/event.json");
            let refused = call.operation == "PutObject" && unstored;
            refused.then_some(s3::Fault::refuse(403, "AccessDenied"))
        });

        let mut events = vec![
            json!(42),
            unfinished.event(&world),
            other_event("Microsoft.Communication.CallEnded"),
            archived.cloud_event(&world),
        ];
        let (status, outcomes) = deliver(&world, &events.clone().into()).await;
        assert_eq!(status, without_unstored);
        assert_eq!(
            outcomes,
            json!({
                "archived": "archived",
                "other": "ignored",
                "unfinished": "suspended",
                sha_id(""): "setAside",
            })
        );
        assert!(world.s3.object(&archived.manifest_key()).is_some());

        events.insert(0, unstored.event(&world));
        let (status, outcomes) = deliver(&world, &events.into()).await;
        assert_eq!(status, 503, "{acknowledge}");
        assert_eq!(
            outcomes,
            json!({
                "archived": "alreadyArchived",
                "other": "ignored",
                "unfinished": "suspended",
                "unstored": "unstored",
                sha_id(""): "setAside",
            })
        );

        for key in [
            unfinished.metadata_key(&unfinished.chunks[0]),
            archived.media_key(&archived.chunks[0]),
            archived.metadata_key(&archived.chunks[0]),
            unfinished.event_key(),
            format!("recordings/rejected/{}.json", sha256_hex("42")),
        ] {
            assert!(world.s3.object(&key).is_some(), "{key}");
        }
        assert!(world.s3.object(&unstored.manifest_key()).is_none());
        assert!(world.s3.object(&unfinished.manifest_key()).is_none());
    }
}

/// The form in which an id that is unfit for a key is written.
fn sha_id(id: &str) -> String {
    format!("x-{}", &sha256_hex(id)[..32])
}

#[tokio::test]
async fn both_envelopes_are_archived_single_and_batched() {
    type Events = fn(&World, &Recording, &Recording) -> Value;
    let (first, second) = (named("first", &[PART]), named("second", &[3]));
    let cases: [(&str, Events); 5] = [
        ("one event", |world, first, _| first.event(world)),
        ("one CloudEvent", |world, first, _| first.cloud_event(world)),
        ("a batch", |world, first, second| {
            json!([first.cloud_event(world), second.cloud_event(world)])
        }),
        ("both at once", |world, first, second| {
            json!([first.event(world), second.cloud_event(world)])
        }),
        ("a dead letter", |world, first, _| {
            let mut event = first.event(world);
            event["deadLetterReason"] = "MaxDeliveryAttemptsExceeded".into();
            event["deliveryAttempts"] = 11.into();
            event["lastDeliveryOutcome"] = "TimedOut".into();
            event["publishTime"] = "2026-11-23T09:00:01.8120046Z".into();
            event["lastDeliveryAttemptTime"] = "2026-11-23T20:10:55.2093374Z".into();
            event["data"]["more"] = json!({"to": ["come"]});
            json!([event])
        }),
    ];
    for (case, events) in cases {
        let world = World::start().await;
        for recording in [&first, &second] {
            recording.publish(&world);
        }
        let body = events(&world, &first, &second);
        let (status, outcomes) = deliver(&world, &body).await;
        assert_eq!(status, 200, "{case}: {outcomes}");
        let delivered = if body.as_array().is_some_and(|events| events.len() == 2) {
            vec![&first, &second]
        } else {
            vec![&first]
        };
        assert_eq!(outcomes.as_object().unwrap().len(), delivered.len());
        assert_eq!(world.keys().len(), 3 * delivered.len(), "{case}");
        for recording in delivered {
            assert_eq!(outcomes[&recording.event_id], "archived", "{case}");
            let chunk = &recording.chunks[0];
            let media = world.s3.object(&recording.media_key(chunk)).unwrap();
            assert!(media.body == chunk.media.bytes(0..chunk.media.length()));
            let metadata = world.s3.object(&recording.metadata_key(chunk)).unwrap();
            assert_eq!(metadata.body, chunk.metadata());
            assert!(world.s3.object(&recording.manifest_key()).is_some());
        }
    }
}

#[tokio::test]
async fn no_request_is_taken_for_a_tick() {
    let world = World::start().await;
    // An event that a tick would archive.
    let recording = Recording::of(&[PART]).aged(Duration::from_mins(1));
    recording.publish(&world);
    world
        .s3
        .put(&recording.event_key(), recording.event(&world).to_string());

    let tick = json!({
        "version": "0",
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "detail": {},
    });
    let text = tick.to_string();
    for (path, query, headers) in [
        ("/", "", json!({})),
        ("/detail-type", "detail-type=Scheduled+Event", json!({})),
        ("/events", "", json!({"detail-type": "Scheduled Event"})),
    ] {
        let mut request = payload("POST", path, query, &headers, &text);
        assert_eq!(ask(&world, &request).await.status, 401, "{path}");
        // The fields of a request outweigh those of a tick.
        request["detail-type"] = "Scheduled Event".into();
        request["source"] = "aws.events".into();
        assert_eq!(ask(&world, &request).await.status, 401, "{path}");
    }
    world.assert_uncalled();

    // With the secret, the tick is an event without a type.
    let (status, outcomes) = deliver(&world, &tick).await;
    assert_eq!(status, 200);
    assert_eq!(outcomes, json!({sha_id(""): "setAside"}));
    world
        .s3
        .remove(&format!("recordings/rejected/{}.json", sha256_hex(&text)));
    world.assert_acs_uncalled();

    world.make_due();
    let Answer::Tick(swept) = world.invoke(&tick).await else {
        panic!("the payload of a tick was answered as a request")
    };
    assert_eq!((swept.pending, swept.finished), (1, 1));
    world.assert_archived(&recording);
}

#[tokio::test]
async fn a_payload_that_is_neither_request_nor_tick_is_a_bad_request() {
    let world = World::start().await;
    for payload in [
        json!({}),
        json!([]),
        json!("POST"),
        json!(null),
        json!({"detail-type": null}),
        json!({"Records": [{"eventSource": "aws:sqs", "body": "[]"}]}),
        json!({"body": "[]", "rawQueryString": QUERY}),
    ] {
        assert_eq!(ask(&world, &payload).await.status, 400, "{payload}");
    }
    world.assert_uncalled();
}
