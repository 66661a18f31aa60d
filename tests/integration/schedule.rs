//! The schedule over time: sources slower than a run, backlogs, lasting outages, and claims.
//!
//! Time is scaled down: a run has a second or two. The tests assert which parts are kept and which
//! bytes are fetched, never a duration.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use emulators::acs::{self, Fault, Kind, Ranges};
use emulators::s3;
use serde_json::{Value, json};

use crate::interruptions::{DEPLOYED_PART, Machine};
use harness::embedded::Setup;
use harness::world::{PART, Recording, World, numbered, setup};

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

/// A set-up with a source of `bytes_per_second` on each connection, and runs of at most `run`.
fn slow(bytes_per_second: u64, run: Duration) -> Setup {
    let mut slow = setup();
    slow.acs.bytes_per_second = Some(bytes_per_second);
    slow.limits.unknown_deadline = run;
    slow.limits.margin = Duration::ZERO;
    slow.limits.rate_known = Duration::from_millis(200);
    slow.limits.source_stall = Duration::from_millis(500);
    slow
}

/// The bytes of media that ACS sent for these recordings.
fn sent(world: &World, recordings: &[Recording]) -> u64 {
    let recordings = recordings.iter();
    recordings.map(|recording| world.sent(recording)).sum()
}

/// The document `attempt.json` of a recording; null for an object that is not JSON.
fn attempt(world: &World, recording: &Recording) -> Value {
    let key = recording.attempt_key();
    let object = world.s3.object(&key).expect("the attempt is there");
    serde_json::from_slice(&object.body).unwrap_or(Value::Null)
}

fn answer(status: u16, headers: &[(&'static str, &str)]) -> Fault {
    Fault::answer_with(status, headers, "<html>")
}

#[tokio::test]
async fn a_backlog_that_no_run_can_finish_drains_and_nothing_is_fetched_in_vain() {
    const EVENTS: u64 = 40;
    // A part takes a sixth of a run; all of them take two and a half.
    let world = World::with(slow(200_000, Duration::from_secs(2))).await;
    let recordings: Vec<_> = (0..EVENTS)
        .map(|number| numbered(number, &[2 * PART]))
        .collect();
    for recording in &recordings {
        recording.publish(&world);
        recording.store(&world, 10 * MINUTE);
    }
    let mut before = 0;
    for ticks in 1.. {
        world.tick_when_due().await;
        let objects: usize = world
            .keys()
            .iter()
            .filter(|key| key.contains(".mp4"))
            .count();
        let parts: usize = world
            .s3
            .uploads()
            .iter()
            .map(|upload| upload.parts.len())
            .sum();
        let now = 2 * objects + parts;
        assert!(now > before, "tick {ticks} has left nothing: {now} parts");
        before = now;
        if objects == recordings.len() {
            break;
        }
        assert!(ticks < 40, "{objects} objects, {parts} parts");
    }
    while world.tick_when_due().await.pending > 0 {}
    let (sent, size) = (sent(&world, &recordings), EVENTS * 2 * PART);
    assert!(4 * sent <= 5 * size, "{sent} bytes were sent of {size}");
    for recording in &recordings {
        assert!(world.s3.object(&recording.manifest_key()).is_some());
    }
}

#[tokio::test]
async fn a_delivery_too_short_for_a_part_ends_early_and_a_tick_archives() {
    // A part takes 3 s: more than the delivery has, less than the tick.
    let mut stored = slow(PART / 3, MINUTE);
    stored.limits.stored_answer = Duration::from_millis(1_500);
    stored.variables.push(("ACKNOWLEDGE", "stored".into()));
    let world = World::with(stored).await;
    let recording = Recording::of(&[3 * PART]);
    recording.publish(&world);
    let response = world.deliver(&recording.event(&world)).await;
    assert_eq!(response.status.code(), 202);
    assert_eq!(
        attempt(&world, &recording),
        Value::Null,
        "the claim is released"
    );
    let kept = world.s3.uploads();
    assert!(
        kept.iter().all(|upload| upload.parts.is_empty()),
        "{kept:?}"
    );
    assert_eq!(world.tick().await.finished, 1);
    world.assert_archived(&recording);
    let sent = world.sent(&recording);
    assert!(sent <= 5 * PART, "{sent} bytes");
}

#[tokio::test]
async fn a_source_of_limited_total_rate_gains_a_part_in_every_run() {
    // Two thirds of a run bring the bytes of one part, over eight parts in flight.
    let mut total = slow(u64::MAX, Duration::from_secs(3));
    total.acs.bytes_per_second = None;
    total.acs.total_bytes_per_second = Some(PART / 2);
    let world = World::with(total).await;
    let recording = Recording::of(&[8 * PART]);
    recording.publish(&world);
    recording.store(&world, 10 * MINUTE);
    let mut before = 0;
    for _ in 0..3 {
        world.tick_when_due().await;
        let parts: usize = world
            .s3
            .uploads()
            .iter()
            .map(|upload| upload.parts.len())
            .sum();
        assert!(parts > before, "{parts} parts after {before}");
        before = parts;
    }
    let sent = world.sent(&recording);
    assert!(sent < 6 * PART, "{sent} bytes for {before} parts");
}

#[tokio::test]
async fn one_stream_is_resumed_by_a_tick_without_putting_a_part_twice() {
    // Without ranges all 8 parts are one reply, and a delivery has time for some of them.
    let mut stored = slow(4 * PART, MINUTE);
    stored.limits.stored_answer = Duration::from_millis(1_200);
    stored.variables.push(("ACKNOWLEDGE", "stored".into()));
    let world = World::with(stored).await;
    let recording = Recording::of(&[8 * PART]);
    world.acs.add(acs::Document {
        ranges: Ranges::Ignored,
        ..Recording::document(&recording.chunks[0])
    });
    assert_eq!(world.deliver(&recording.event(&world)).await.status, 202);
    let parts = world.s3.uploads()[0].parts.len();
    assert!((1..8).contains(&parts), "{parts} parts");
    assert_eq!(world.tick().await.finished, 1);
    world.assert_archived(&recording);
    assert_eq!(world.count("UploadPart") - parts, 8 - parts);
    assert!(world.sent(&recording) <= 2 * 8 * PART);
}

#[tokio::test]
async fn a_resumed_stream_replaces_parts_that_differ() {
    let world = World::start().await;
    let mut recording = Recording::of(&[4 * PART]);
    let publish = |recording: &Recording| {
        world.acs.add(acs::Document {
            ranges: Ranges::Ignored,
            ..Recording::document(&recording.chunks[0])
        });
    };
    publish(&recording);
    let parts = AtomicUsize::new(0);
    world.s3.inject(move |call| {
        let third = call.operation == "UploadPart" && parts.fetch_add(1, Ordering::Relaxed) >= 2;
        third.then(|| s3::Fault::refuse(403, "AccessDenied"))
    });
    assert_eq!(world.deliver(&recording.event(&world)).await.status, 503);
    world.s3.heal();
    assert_eq!(world.s3.uploads()[0].parts.len(), 2);
    // The same length with other bytes.
    recording.chunks[0].media = Recording::of(&[1, 4 * PART]).chunks.remove(1).media;
    publish(&recording);
    world.assert_archived_by_retry(&recording).await;
}

#[tokio::test]
async fn eight_slow_events_do_not_stop_a_ninth() {
    let world = World::with(slow(PART, Duration::from_secs(20))).await;
    let slow: Vec<_> = (0..8).map(|number| numbered(number, &[4 * PART])).collect();
    for recording in &slow {
        recording.publish(&world);
        recording.store(&world, 30 * MINUTE);
    }
    let quick = numbered(8, &[10]);
    quick.publish(&world);
    quick.store(&world, 5 * MINUTE);
    let other = world.another(setup().limits, &[]).await;
    let begun = async {
        while world.media_requests().len() < 8 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let swept = other.tick().await;
        assert_eq!(
            (swept.taken, swept.finished),
            (1, 1),
            "the quick one alone is free"
        );
        assert!(world.s3.object(&quick.manifest_key()).is_some());
        let done = |recording: &&Recording| world.s3.object(&recording.manifest_key()).is_some();
        assert!(
            slow.iter().filter(done).count() < 8,
            "the others are at work"
        );
    };
    let (swept, ()) = tokio::join!(world.tick(), begun);
    assert_eq!(swept.finished, 8);
}

#[tokio::test]
async fn overlapping_ticks_take_different_events() {
    const EVENTS: u64 = 24;
    let world = World::with(slow(10 * PART, Duration::from_secs(20))).await;
    let recordings: Vec<_> = (0..EVENTS)
        .map(|number| numbered(number, &[2 * PART]))
        .collect();
    for recording in &recordings {
        recording.publish(&world);
        recording.store(&world, 5 * MINUTE);
    }
    let mut others = vec![world.clone()];
    for _ in 0..3 {
        let limits = slow(0, Duration::from_secs(20)).limits;
        others.push(world.another(limits, &[]).await);
    }
    let mut ticking = tokio::task::JoinSet::new();
    for other in others {
        ticking.spawn(async move { other.tick().await });
    }
    let swept = ticking.join_all().await;
    let taken: usize = swept.iter().map(|swept| swept.taken).sum();
    let finished: usize = swept.iter().map(|swept| swept.finished).sum();
    // The event is deleted after its claim. Between the two, another tick may take the event, find
    // its manifest, and delete it again.
    assert!(taken >= 24 && taken == finished, "{swept:?}");
    let put = world.s3.calls().into_iter().filter(|call| {
        let is_manifest = |key: &String| key.ends_with(".manifest.json");
        call.operation == "PutObject" && call.key.as_ref().is_some_and(is_manifest)
    });
    assert_eq!(put.count(), 24, "each is worked on by one tick");
    assert_eq!(
        sent(&world, &recordings),
        EVENTS * 2 * PART,
        "nothing is fetched twice"
    );
    assert_eq!(world.keys().len(), 24 * 3, "{:?}", world.keys());
}

#[tokio::test]
async fn an_outage_of_complete_over_the_24_hours_destroys_nothing() {
    for fault in [
        s3::Fault::refuse(503, "SlowDown"),
        s3::Fault::refuse(400, "KMS.DisabledException"),
        s3::Fault::refuse(403, "AccessDenied"),
    ] {
        let world = World::start().await;
        let recording = Recording::of(&[4 * PART]).aged(100 * HOUR);
        recording.publish(&world);
        recording.store(&world, 100 * HOUR);
        let event = recording.event(&world);
        let lasting = fault.clone();
        world.s3.inject(move |call| {
            let hit = matches!(
                call.operation,
                "CompleteMultipartUpload" | "CreateMultipartUpload"
            );
            let first = call.operation == "CreateMultipartUpload" && call.number < 10;
            (hit && !first).then(|| lasting.clone())
        });
        assert_eq!(world.deliver(&event).await.status, 503, "{fault:?}");
        // ACS deletes the recording, so nothing can be fetched again.
        world.acs.remove(&recording.chunks[0].document_id);
        let sent_before = world.sent(&recording);
        for _ in 0..3 {
            let response = world.deliver_again(&event, 1).await;
            assert_eq!(response.outcome(), "suspended", "{fault:?}");
            assert_eq!(world.tick_when_due().await.finished, 0, "{fault:?}");
        }
        assert_eq!(world.s3.uploads()[0].parts.len(), 4, "{fault:?}");
        assert_eq!(world.sent(&recording), sent_before, "{fault:?}");
        assert_eq!(world.count("AbortMultipartUpload"), 0, "{fault:?}");
        world.s3.heal();
        assert_eq!(
            world.deliver_again(&event, 1).await.status,
            200,
            "{fault:?}"
        );
        world.assert_archived(&recording);
    }
}

#[tokio::test]
async fn an_upload_is_kept_until_its_replacement_is_begun() {
    let world = World::start().await;
    let mut recording = Recording::of(&[4 * PART]);
    recording.publish(&world);
    world.acs.inject(|request| {
        let later = request.range.as_deref()?;
        (!later.starts_with("bytes=0-")).then(|| answer(503, &[]))
    });
    let event = recording.event(&world);
    assert_eq!(world.deliver(&event).await.status, 503);
    world.acs.heal();
    let first = world.s3.uploads()[0].upload_id.clone();
    recording.chunks[0].media = Recording::of(&[5 * PART]).chunks.remove(0).media;
    recording.publish(&world);
    world.s3.inject(|call| {
        (call.operation == "CreateMultipartUpload")
            .then(|| s3::Fault::refuse(400, "KMS.DisabledException"))
    });
    assert_eq!(world.deliver_again(&event, 1).await.status, 503);
    assert_eq!(world.s3.uploads()[0].upload_id, first);
    world.s3.heal();
    assert_eq!(world.deliver_again(&event, 2).await.status, 200);
    world.assert_archived(&recording);
}

#[tokio::test]
async fn a_part_in_flight_at_the_deadline_does_not_lose_the_others() {
    let mut hasty = setup();
    hasty.limits.unknown_deadline = Duration::from_millis(1_200);
    hasty.limits.margin = Duration::ZERO;
    let world = World::with(hasty).await;
    let recording = Recording::of(&[10 * PART]).aged(50 * HOUR);
    recording.publish(&world);
    recording.store(&world, 50 * HOUR);
    world.acs.inject(|request| {
        let tenth = format!("bytes={}-", 9 * PART);
        let is_tenth = request.range.as_deref()?.starts_with(&tenth);
        is_tenth.then_some(Fault::StallBody {
            after: PART / 2,
            stall: MINUTE,
        })
    });
    let event = recording.event(&world);
    let response = world.deliver(&event).await;
    assert_eq!(response.outcome(), "suspended");
    assert_eq!(world.s3.uploads()[0].parts.len(), 9);
    world.acs.heal();
    world.assert_archived_by_retry(&recording).await;
}

#[tokio::test]
async fn a_last_attempt_has_enough_time() {
    // A tick is shorter than the stall limit, so it leaves the event to a longer one.
    let mut hasty = setup();
    hasty.limits.unknown_deadline = Duration::from_millis(600);
    hasty.limits.margin = Duration::ZERO;
    hasty.limits.source_stall = Duration::from_secs(1);
    let world = World::with(hasty).await;
    let recording = Recording::of(&[10]).aged(50 * HOUR);
    recording.publish(&world);
    recording.store(&world, 50 * HOUR);
    let swept = world.tick().await;
    assert_eq!((swept.pending, swept.taken), (1, 0));
    assert!(world.s3.object(&recording.rejection_key()).is_none());
    let other = world.another(setup().limits, &[]).await;
    assert_eq!(other.tick().await.finished, 1);
    world.assert_archived(&recording);
}

#[tokio::test]
async fn another_etag_in_each_reply_costs_one_upload_and_one_reply_more() {
    let world = World::start().await;
    let recording = Recording::of(&[6 * PART]);
    recording.publish(&world);
    let replies = AtomicUsize::new(0);
    world.acs.inject(move |request| {
        let number = replies.fetch_add(1, Ordering::Relaxed);
        let etag = Some(format!("\"{number}\""));
        (request.kind == Kind::Media).then(|| Fault::Headers(vec![("etag", etag)]))
    });
    assert_eq!(world.deliver(&recording.event(&world)).await.status, 200);
    world.acs.heal();
    world.assert_archived(&recording);
    assert_eq!(world.count("CreateMultipartUpload"), 1);
    let sent = world.sent(&recording);
    assert!(sent <= 2 * 6 * PART, "{sent} bytes");
}

#[tokio::test]
async fn refused_ranges_lead_to_one_reply_without_ranges() {
    for status in [400, 416] {
        for parts in [1, 5] {
            let world = World::start().await;
            let recording = Recording::of(&[parts * PART - 7]);
            recording.publish(&world);
            world.acs.inject(move |request| {
                let ranged = request.kind == Kind::Media && request.range.is_some();
                ranged.then(|| answer(status, &[("content-type", "text/html")]))
            });
            let response = world.deliver(&recording.event(&world)).await;
            world.acs.heal();
            assert_eq!(
                response.status.code(),
                200,
                "{status} {parts}: {response:?}"
            );
            world.assert_archived(&recording);
        }
    }
}

#[tokio::test]
async fn a_single_400_for_a_part_is_retried() {
    let world = World::start().await;
    let recording = Recording::of(&[3 * PART]).aged(2 * HOUR);
    recording.publish(&world);
    let refused = AtomicUsize::new(0);
    world.acs.inject(move |request| {
        let second = request
            .range
            .as_deref()?
            .starts_with(&format!("bytes={PART}-"));
        let first_time = second && refused.fetch_add(1, Ordering::Relaxed) == 0;
        first_time.then(|| answer(400, &[("content-type", "text/html")]))
    });
    assert_eq!(world.deliver(&recording.event(&world)).await.status, 200);
    world.acs.heal();
    world.assert_archived(&recording);
    assert_eq!(world.media_requests().len(), 4);
}

#[tokio::test]
async fn a_404_in_the_second_hour_is_retried_in_the_third() {
    let world = World::start().await;
    let recording = Recording::of(&[3 * PART]).aged(2 * HOUR);
    recording.publish(&world);
    recording.store(&world, 2 * HOUR);
    world.acs.inject(|_| Some(answer(404, &[])));
    assert_eq!(world.tick().await.finished, 0);
    let failure = attempt(&world, &recording)["failure"].clone();
    let failure = failure.as_str().unwrap();
    assert!(
        failure.contains("404") && failure.starts_with("chunk 0, media: "),
        "{failure}"
    );
    world.acs.heal();
    assert_eq!(world.tick().await.taken, 0, "not at once");
    world.age_pending(HOUR);
    assert_eq!(world.tick().await.finished, 1);
    world.assert_archived(&recording);
}

#[tokio::test]
async fn every_event_of_a_delivery_is_stored_before_any_is_worked_on() {
    let mut stored = slow(PART / 10, MINUTE);
    stored.limits.stored_answer = Duration::from_millis(1_500);
    stored.limits.events_at_once = 2;
    stored.variables.push(("ACKNOWLEDGE", "stored".into()));
    let world = World::with(stored).await;
    let recordings: Vec<_> = (0..12).map(|number| numbered(number, &[PART])).collect();
    for recording in &recordings {
        recording.publish(&world);
    }
    let events: Vec<_> = (recordings.iter())
        .map(|recording| recording.event(&world))
        .collect();
    let response = world.deliver(&json!(events)).await;
    assert_eq!(response.status.code(), 202, "{response:?}");
    for recording in &recordings {
        let event = recording.event_key();
        assert!(world.s3.object(&event).is_some());
    }
    let calls = world.s3.calls();
    let last_stored = (calls.iter()).rposition(|call| {
        call.key
            .as_deref()
            .unwrap_or_default()
            .ends_with("event.json")
    });
    let first_worked = calls
        .iter()
        .position(|call| call.key.as_deref().unwrap_or_default().contains("/0000-"));
    assert!(last_stored < first_worked.or(Some(calls.len())));
}

#[tokio::test]
async fn no_number_of_events_hides_another_event() {
    let mut few = setup();
    few.limits.remembered = 4;
    few.s3.page_size = 1000;
    let world = World::with(few).await;
    world.acs.inject(|request| {
        let old = request.document.as_deref()?.starts_with("0-eus-9");
        old.then(|| answer(503, &[("retry-after", "3600")]))
    });
    for number in 9_000..9_060 {
        numbered(number, &[10]).store(&world, 30 * HOUR);
    }
    world.age_pending(Duration::ZERO);
    let young = numbered(1, &[10]);
    young.publish(&world);
    young.store(&world, 3 * MINUTE);
    let swept = world.tick().await;
    assert_eq!((swept.pending, swept.taken), (61, 61));
    assert!(world.s3.object(&young.manifest_key()).is_some());
    // A new event precedes the events that were tried.
    let next = numbered(2, &[10]);
    next.publish(&world);
    next.store(&world, 3 * MINUTE);
    world.age_pending(2 * HOUR);
    world.acs.clear_requests();
    world.tick().await;
    assert_eq!(
        world.acs.requests()[0].document.as_deref(),
        Some(&*next.chunks[0].document_id)
    );
}

#[tokio::test]
async fn a_retry_after_holds_for_the_next_runs() {
    for by_tick in [false, true] {
        let world = World::start().await;
        let recording = Recording::of(&[10]);
        recording.publish(&world);
        world.acs.inject(|request| {
            let media = request.kind == Kind::Media;
            media.then(|| answer(429, &[("retry-after", "300")]))
        });
        if by_tick {
            recording.store(&world, 5 * MINUTE);
            assert_eq!(world.tick().await.finished, 0);
        } else {
            assert_eq!(world.deliver(&recording.event(&world)).await.status, 503);
        }
        assert_eq!(attempt(&world, &recording)["retryAfterSeconds"], 300);
        world.acs.clear_requests();
        world.acs.heal();
        for _ in 0..2 {
            world.age_pending(2 * MINUTE);
            let swept = world.tick().await;
            assert_eq!((swept.pending, swept.taken), (1, 0));
        }
        world.assert_acs_uncalled();
        world.age_pending(2 * MINUTE);
        assert_eq!(world.tick().await.finished, 1);
        world.assert_archived(&recording);
    }
}

#[tokio::test]
async fn a_redelivery_that_meets_a_live_claim_fetches_nothing() {
    for (acknowledge, status) in [("stored", 202), ("archived", 503)] {
        let mut slow = slow(2 * PART, Duration::from_secs(20));
        slow.variables.push(("ACKNOWLEDGE", acknowledge.into()));
        let world = World::with(slow).await;
        let recording = Recording::of(&[3 * PART]);
        recording.publish(&world);
        recording.store(&world, 5 * MINUTE);
        let event = recording.event(&world);
        let meets = async {
            while world.media_requests().len() < 3 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            assert_eq!(attempt(&world, &recording)["atWork"], true);
            let response = world.deliver_again(&event, 1).await;
            assert_eq!(response.status.code(), status);
            assert_eq!(
                response.body["events"][0],
                json!({"id": recording.event_id, "outcome": "suspended", "bytes": 0})
            );
        };
        let (swept, ()) = tokio::join!(world.tick(), meets);
        assert_eq!(swept.finished, 1);
        world.assert_archived(&recording);
        assert_eq!(world.sent(&recording), 3 * PART);
    }
}

#[tokio::test]
async fn a_long_run_renews_its_claim_and_a_long_delivery_writes_one() {
    let mut slow = slow(PART, Duration::from_secs(20));
    slow.limits.heartbeat = Duration::from_millis(300);
    let world = World::with(slow).await;
    let claims = |world: &World| {
        let calls = world.s3.calls().into_iter();
        calls
            .filter(|call| {
                let key = call.key.as_deref().unwrap_or_default();
                call.operation == "PutObject" && key.ends_with("attempt.json")
            })
            .count()
    };
    for by_tick in [true, false] {
        world.clear();
        let recording = Recording::of(&[2 * PART]);
        recording.publish(&world);
        if by_tick {
            recording.store(&world, 5 * MINUTE);
            assert_eq!(world.tick().await.finished, 1);
        } else {
            assert_eq!(world.deliver(&recording.event(&world)).await.status, 200);
        }
        assert!(claims(&world) >= 2, "{}", claims(&world));
        world.assert_archived(&recording);
    }
    // A short run writes its claim once.
    world.clear();
    let recording = Recording::of(&[10]);
    recording.publish(&world);
    assert_eq!(world.deliver(&recording.event(&world)).await.status, 200);
    assert_eq!(claims(&world), 0);
}

#[tokio::test]
async fn an_event_at_which_two_processes_ended_is_taken_alone() {
    let world = World::with(slow(20 * PART, Duration::from_secs(20))).await;
    let deadly = numbered(0, &[2 * PART]);
    deadly.publish(&world);
    deadly.store(&world, HOUR);
    let key = deadly.attempt_key();
    // The attempt of an event at which two processes have ended.
    let claim = json!({"run": "dead", "beat": 1, "atWork": true, "attempts": 2, "deaths": 1});
    world.s3.put(&key, claim.to_string());
    world.age_pending(20 * MINUTE);
    let others: Vec<_> = (1..6).map(|number| numbered(number, &[2 * PART])).collect();
    for recording in &others {
        recording.publish(&world);
        recording.store(&world, 5 * MINUTE);
    }
    let alone = Arc::new(AtomicUsize::new(0));
    let (seen, id) = (Arc::clone(&alone), deadly.chunks[0].document_id.clone());
    let s3 = world.s3.clone();
    world.acs.inject(move |request| {
        if request.kind == Kind::Media && request.document.as_ref() == Some(&id) {
            let at_work = |object: s3::Object| {
                let attempt = serde_json::from_slice::<Value>(&object.body);
                attempt.is_ok_and(|attempt| attempt["atWork"] == true)
            };
            let claims = s3.objects().into_iter();
            let claims = claims.filter(|(key, _)| key.ends_with("attempt.json"));
            let beside = claims.filter(|(_, object)| at_work(object.clone())).count();
            seen.fetch_max(beside, Ordering::Relaxed);
        }
        None
    });
    let swept = world.tick().await;
    world.acs.heal();
    assert_eq!(swept.finished, 6);
    assert_eq!(
        alone.load(Ordering::Relaxed),
        1,
        "no other event was claimed"
    );
    // After one ended process an event is not taken alone.
    let once = numbered(7, &[10]);
    once.publish(&world);
    once.store(&world, HOUR);
    let key = once.attempt_key();
    let claim = json!({"run": "dead", "beat": 1, "atWork": true, "attempts": 1, "deaths": 0});
    world.s3.put(&key, claim.to_string());
    world.acs.inject(|_| Some(answer(503, &[])));
    world.age_pending(20 * MINUTE);
    world.tick().await;
    let attempt = attempt(&world, &once);
    assert_eq!(
        (&attempt["attempts"], &attempt["deaths"]),
        (&json!(2), &json!(0))
    );
}

#[tokio::test]
async fn an_outage_of_s3_stops_the_tick_and_the_next_tries_one_event_first() {
    for (operation, key) in [
        ("PutObject", "attempt.json"),
        ("PutObject", ".mp4"),
        ("PutObject", ".manifest.json"),
    ] {
        let world = World::start().await;
        for number in 0..40 {
            let recording = numbered(number, &[10]);
            recording.publish(&world);
            recording.store(&world, 30 * MINUTE);
        }
        let refused = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&refused);
        world.s3.inject(move |call| {
            let fits = call.operation == operation
                && call.key.as_deref().unwrap_or_default().ends_with(key);
            if fits {
                count.fetch_add(1, Ordering::Relaxed);
            }
            fits.then(|| s3::Fault::refuse(403, "AccessDenied"))
        });
        world.tick().await;
        let first = refused.swap(0, Ordering::Relaxed);
        assert!((3..=10).contains(&first), "{key}: {first} tries");
        world.tick_when_due().await;
        let second = refused.swap(0, Ordering::Relaxed);
        assert_eq!(second, 1, "{key}");
        if key == "attempt.json" {
            world.assert_acs_uncalled();
        }
        world.s3.heal();
        let mut finished = 0;
        for _ in 0..3 {
            finished += world.tick_when_due().await.finished;
        }
        assert_eq!(finished, 40, "{key}");
    }
}

#[tokio::test]
async fn a_tick_makes_one_listing_and_no_call_for_events_that_are_not_due() {
    let mut pages = setup();
    pages.s3.page_size = 1000;
    let world = World::with(pages).await;
    world.tick().await;
    assert_eq!(world.s3.calls().len(), 1);
    for number in 0..20 {
        numbered(number, &[10]).store(&world, MINUTE);
    }
    world.s3.clear_calls();
    let swept = world.tick().await;
    assert_eq!((swept.pending, swept.taken), (20, 0));
    assert_eq!(world.s3.calls().len(), 1);
}

#[tokio::test]
async fn one_reply_longer_than_a_run_is_requested_at_growing_intervals() {
    // 8 parts in one reply, and a tick has time for some of them.
    let world = World::with(slow(4 * PART, Duration::from_millis(1_200))).await;
    let recording = Recording::of(&[8 * PART]);
    world.acs.add(acs::Document {
        ranges: Ranges::Ignored,
        ..Recording::document(&recording.chunks[0])
    });
    recording.store(&world, 2 * HOUR);
    assert_eq!(world.tick().await.finished, 0);
    let parts = world.s3.uploads()[0].parts.len();
    assert!((1..8).contains(&parts), "{parts} parts");
    let attempt = attempt(&world, &recording);
    let failure = attempt["failure"].as_str().unwrap();
    assert!(failure.contains("too short for one reply"), "{failure}");
    let pause = attempt["retryAfterSeconds"].as_u64().unwrap();
    assert!((7_200..7_300).contains(&pause), "the pause is {pause} s");
    world.age_pending(HOUR);
    assert_eq!(world.tick().await.taken, 0);
    world.age_pending(HOUR + MINUTE);
    let other = world.another(setup().limits, &[]).await;
    assert_eq!(other.tick().await.finished, 1);
    world.assert_archived(&recording);
    assert_eq!(world.count("UploadPart"), 8, "no part is put twice");
}

#[tokio::test]
async fn a_rejected_recording_with_all_parts_is_completed_by_a_new_delivery() {
    let world = World::start().await;
    let recording = Recording::of(&[4 * PART]).aged(100 * HOUR);
    recording.publish(&world);
    recording.store(&world, 100 * HOUR);
    world.acs.inject(|request| {
        let metadata = request.kind == Kind::Metadata;
        metadata.then(|| answer(404, &[]))
    });
    world.s3.inject(|call| {
        let refused = call.operation == "CompleteMultipartUpload";
        refused.then(|| s3::Fault::refuse(400, "InvalidRequest"))
    });
    let event = recording.event(&world);
    assert_eq!(
        world.deliver(&event).await.status,
        503,
        "a fault of the function's side is never final"
    );
    world.s3.heal();
    // A version that did not know this code rejected the recording and kept its parts.
    for name in ["event.json", "attempt.json"] {
        world.s3.remove(&format!("{}/{name}", recording.pending()));
    }
    world.acs.heal();
    let metadata = acs::Document {
        media: Recording::of(&[1]).chunks.remove(0).media,
        ..Recording::document(&recording.chunks[0])
    };
    world.acs.add(metadata);
    world
        .acs
        .inject(|request| (request.kind == Kind::Media).then(|| answer(404, &[])));
    assert_eq!(world.deliver(&event).await.status, 200);
    world.assert_archived(&recording);
}

#[tokio::test]
async fn failed_uploads_are_counted_over_runs_with_growing_pauses() {
    let mut patient = setup();
    patient.limits.upload_pause = HOUR;
    let world = World::with(patient).await;
    let recording = Recording::of(&[3 * PART]);
    recording.publish(&world);
    let s3 = world.s3.clone();
    world.s3.inject(move |call| {
        if call.operation == "CompleteMultipartUpload" {
            s3.abort(call.upload_id.as_deref().unwrap());
        }
        None
    });
    let event = recording.event(&world);
    assert_eq!(world.deliver(&event).await.status, 503);
    assert_eq!(world.count("CreateMultipartUpload"), 2);
    for _ in 0..2 {
        assert_eq!(world.deliver_again(&event, 1).await.status, 503);
        assert_eq!(world.count("CreateMultipartUpload"), 2, "not yet");
    }
    world.age_pending(HOUR);
    assert_eq!(world.deliver_again(&event, 1).await.status, 503);
    assert_eq!(world.count("CreateMultipartUpload"), 3);
    world.age_pending(HOUR);
    assert_eq!(world.deliver_again(&event, 1).await.status, 503);
    assert_eq!(world.count("CreateMultipartUpload"), 3, "the pause doubles");
    world.age_pending(2 * HOUR);
    world.s3.heal();
    world.assert_archived_by_retry(&recording).await;
}

/// A world for the built binary, which has the deployed limits.
async fn deployed() -> World {
    World::with(Setup {
        s3: s3::Settings::default(),
        ..setup()
    })
    .await
}

#[tokio::test]
async fn the_built_binary_needs_one_upload_if_each_reply_has_another_etag() {
    let world = deployed().await;
    let recording = Recording::of(&[3 * DEPLOYED_PART + 99]);
    recording.publish(&world);
    let replies = AtomicUsize::new(0);
    world.acs.inject(move |request| {
        let number = replies.fetch_add(1, Ordering::Relaxed);
        let etag = Some(format!("\"{number}\""));
        (request.kind == Kind::Media).then(|| Fault::Headers(vec![("etag", etag)]))
    });
    let machine = Machine::start(&world).await;
    let _process = machine.run();
    assert_eq!(machine.deliver(&recording.event(&world), 0).await, 200);
    world.acs.heal();
    world.assert_archived(&recording);
    assert_eq!(world.count("CreateMultipartUpload"), 1);
}

#[tokio::test]
async fn the_built_binary_keeps_its_parts_while_a_kms_key_is_disabled() {
    let world = deployed().await;
    let recording = Recording::of(&[2 * DEPLOYED_PART + 99]).aged(100 * HOUR);
    recording.publish(&world);
    recording.store(&world, 100 * HOUR);
    world.s3.inject(|call| {
        let hit = call.operation == "CompleteMultipartUpload";
        hit.then(|| s3::Fault::refuse(400, "KMS.DisabledException"))
    });
    let machine = Machine::start(&world).await;
    let _process = machine.run();
    let event = recording.event(&world);
    assert_eq!(machine.deliver(&event, 1).await, 503);
    world.acs.remove(&recording.chunks[0].document_id);
    assert_eq!(machine.deliver(&event, 2).await, 503);
    let uploads = world.s3.uploads();
    assert_eq!((uploads.len(), uploads[0].parts.len()), (1, 3));
    world.s3.heal();
    assert_eq!(machine.deliver(&event, 3).await, 200);
    world.assert_archived(&recording);
    let size = 2 * DEPLOYED_PART + 99;
    assert_eq!(world.sent(&recording), size, "fetched once");
}
