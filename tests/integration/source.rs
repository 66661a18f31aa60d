//! Answers of ACS: ranges, faults, redirects, and replies of another length.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use emulators::acs::{self, Document, Fault, Kind, Ranges, Request};
use emulators::media::{Format, Media};

use harness::embedded::Setup;
use harness::world::{Chunk, PART, Recording, World, impatient, setup};

/// Publishes a recording with changed documents.
fn publish(world: &World, recording: &Recording, change: impl Fn(Document) -> Document) {
    for chunk in &recording.chunks {
        world.acs.add(change(Recording::document(chunk)));
    }
}

/// A time longer than any test.
const NEVER: Duration = Duration::from_mins(10);

/// Makes the first request for media fail, and no other.
fn once(fault: Fault) -> impl Fn(&Request) -> Option<Fault> + Send + Sync {
    at(0, fault)
}

/// Makes the request for media after `before` others fail, and no other.
fn at(before: usize, fault: Fault) -> impl Fn(&Request) -> Option<Fault> + Send + Sync {
    let asked = AtomicUsize::new(0);
    move |request| {
        let media = request.kind == Kind::Media;
        (media && asked.fetch_add(1, Ordering::Relaxed) == before).then(|| fault.clone())
    }
}

#[tokio::test]
async fn a_range_that_is_ignored_fills_the_same_plan_from_one_stream() {
    for ranges in [Ranges::Ignored, Ranges::IgnoredWithoutLength] {
        for lengths in [[1, PART, PART + 1], [2 * PART, 5 * PART + 7, PART - 1]] {
            let world = World::start().await;
            let recording = Recording::of(&lengths);
            publish(&world, &recording, |document| Document {
                ranges,
                ..document
            });
            assert_eq!(
                world.deliver(&recording.event(&world)).await.status,
                200,
                "{ranges:?} {lengths:?}"
            );
            world.assert_archived(&recording);
            let whole: u64 = lengths.iter().sum();
            let sent: u64 = recording
                .chunks
                .iter()
                .map(|chunk: &Chunk| world.acs.sent(&chunk.document_id))
                .sum();
            assert_eq!(sent, whole, "each chunk was sent once");
        }
    }
}

#[tokio::test]
async fn a_stream_that_breaks_off_skips_the_parts_in_s3() {
    for ranges in [Ranges::Ignored, Ranges::IgnoredWithoutLength] {
        let world = World::start().await;
        let recording = Recording::of(&[5 * PART + 7]);
        publish(&world, &recording, |document| Document {
            ranges,
            ..document
        });
        world.acs.inject(once(Fault::CutBody {
            after: 3 * PART + 5,
        }));
        assert_eq!(
            world.deliver(&recording.event(&world)).await.status,
            200,
            "{ranges:?}"
        );
        world.assert_archived(&recording);
        for number in 1..=3 {
            let calls = world.s3.calls();
            let puts = calls
                .iter()
                .filter(|call| call.operation == "UploadPart" && call.part_number == Some(number));
            assert_eq!(puts.count(), 1, "part {number} was put again");
        }
        assert_eq!(world.count("CreateMultipartUpload"), 1);
    }
}

#[tokio::test]
async fn ranges_that_are_sometimes_ignored_are_archived() {
    for before in [0, 1, 3] {
        let world = World::start().await;
        let recording = Recording::of(&[5 * PART]);
        recording.publish(&world);
        world.acs.inject(at(before, Fault::IgnoreRange));
        assert_eq!(world.deliver(&recording.event(&world)).await.status, 200);
        world.assert_archived(&recording);
        assert_eq!(world.count("CreateMultipartUpload"), 1);
    }
}

#[tokio::test]
async fn a_source_that_stops_honouring_ranges_is_streamed_to_the_end() {
    let world = World::start().await;
    let recording = Recording::of(&[6 * PART]);
    recording.publish(&world);
    let asked = AtomicUsize::new(0);
    world.acs.inject(move |request| {
        let media = request.kind == Kind::Media;
        (media && asked.fetch_add(1, Ordering::Relaxed) >= 3).then_some(Fault::IgnoreRange)
    });
    assert_eq!(world.deliver(&recording.event(&world)).await.status, 200);
    world.assert_archived(&recording);
    assert_eq!(world.count("UploadPart"), 6, "each part once");
}

#[tokio::test]
async fn faults_within_a_run_are_retried() {
    let html = [("content-type", "text/html")];
    for fault in [
        Fault::answer(503, "busy"),
        Fault::answer_with(429, &[("retry-after", "0")], "slow down"),
        Fault::answer_with(500, &html, "<html>"),
        Fault::answer_with(200, &html, "<html>an error page</html>"),
        Fault::answer_with(206, &html, "<html>an error page</html>"),
        Fault::answer_with(
            200,
            &[("content-encoding", "gzip"), ("content-type", "video/mp4")],
            "\u{1f}\u{8b}",
        ),
        Fault::answer_with(200, &[("content-type", "video/mp4")], ""),
        Fault::answer_with(206, &[("content-type", "video/mp4")], "no Content-Range"),
        Fault::Close,
        Fault::Hang(NEVER),
        Fault::CutBody { after: 10 },
        Fault::CutBody { after: 0 },
        Fault::StallBody {
            after: 10,
            stall: NEVER,
        },
        Fault::LongerBody { extra: 1 },
        Fault::Headers(vec![("content-range", Some("bytes 1-65536/327680".into()))]),
        Fault::Headers(vec![("content-range", None)]),
        Fault::Headers(vec![("content-range", Some("bytes 0-65535/*".into()))]),
    ] {
        for before in [0, 2] {
            let world = World::with(impatient()).await;
            let recording = Recording::of(&[5 * PART]);
            recording.publish(&world);
            world.acs.inject(at(before, fault.clone()));
            let response = world.deliver(&recording.event(&world)).await;
            world.acs.heal();
            assert_eq!(response.status.code(), 200, "{fault:?} at request {before}");
            world.assert_archived(&recording);
            assert_eq!(world.count("CreateMultipartUpload"), 1, "{fault:?}");
        }
    }
}

#[tokio::test]
async fn faults_at_small_objects_are_retried() {
    for fault in [
        Fault::answer(503, "busy"),
        Fault::answer_with(200, &[("content-type", "text/html")], "<html>"),
        Fault::CutBody { after: 10 },
        Fault::LongerBody { extra: 1 },
        Fault::StallBody {
            after: 10,
            stall: NEVER,
        },
    ] {
        let world = World::with(impatient()).await;
        let recording = Recording::of(&[1000]);
        recording.publish(&world);
        world.acs.inject(once(fault.clone()));
        assert_eq!(
            world.deliver(&recording.event(&world)).await.status,
            200,
            "{fault:?}"
        );
        world.assert_archived(&recording);
    }
}

#[tokio::test]
async fn a_lasting_fault_is_tried_five_times_and_a_404_once() {
    for (fault, tries) in [
        (Fault::answer(503, ""), 5),
        (Fault::answer_with(503, &[("retry-after", "3600")], ""), 1),
        (Fault::answer(404, "{}"), 1),
        (Fault::answer(401, "{}"), 1),
        // A request with a range, then one without.
        (
            Fault::answer_with(400, &[("content-type", "text/html")], "<html>"),
            10,
        ),
        (Fault::answer(409, ""), 5),
        (Fault::Close, 5),
        (Fault::LongerBody { extra: 7 }, 5),
        (
            Fault::answer_with(200, &[("content-type", "text/html")], "<html>"),
            5,
        ),
    ] {
        let world = World::start().await;
        let recording = Recording::of(&[100]);
        recording.publish(&world);
        let always = fault.clone();
        world
            .acs
            .inject(move |request| (request.kind == Kind::Media).then(|| always.clone()));
        let response = world.deliver(&recording.event(&world)).await;
        assert_eq!(response.status.code(), 503, "{fault:?}");
        let media = world.media_requests();
        assert_eq!(media.len(), tries, "{fault:?}");
        assert!(
            world
                .s3
                .object(&recording.media_key(&recording.chunks[0]))
                .is_none(),
            "{fault:?}"
        );
    }
}

#[tokio::test]
async fn metadata_is_bounded_and_checked_like_media() {
    for fault in [
        Fault::EndlessBody,
        Fault::answer_with(200, &[("content-type", "text/html")], "<html>"),
        Fault::answer_with(200, &[("content-type", "application/json")], ""),
        Fault::answer_with(
            206,
            &[
                ("content-range", "bytes 0-1/3"),
                ("content-type", "application/json"),
            ],
            "{}",
        ),
    ] {
        let mut small = setup();
        small.limits.metadata = 1000;
        let world = World::with(small).await;
        let recording = Recording::of(&[100]);
        recording.publish(&world);
        let always = fault.clone();
        world
            .acs
            .inject(move |request| (request.kind == Kind::Metadata).then(|| always.clone()));
        let response = world.deliver(&recording.event(&world)).await;
        world.acs.heal();
        assert_eq!(response.status.code(), 503, "{fault:?}");
        assert!(
            world
                .s3
                .object(&recording.metadata_key(&recording.chunks[0]))
                .is_none()
        );
    }
}

#[tokio::test]
async fn redirects_are_followed_to_allowed_hosts_alone() {
    let acs = acs::Settings {
        more_names: vec!["weu-prod.asm.skype.com".into(), "evil.example.net".into()],
        ..setup().acs
    };
    let location = |host: &str, id: &str| format!("https://{host}/v1/objects/{id}/content/video");
    let recording = Recording::of(&[PART + 1]);
    let id = &recording.chunks[0].document_id;
    for (target, taken) in [
        (location("weu-prod.asm.skype.com", id), true),
        (location("evil.example.net", id), false),
        (
            location("eus-prod.asm.skype.com.evil.example.net", id),
            false,
        ),
        (
            format!("https://{}/identities/x", harness::embedded::RESOURCE),
            false,
        ),
        (
            format!("http://weu-prod.asm.skype.com/v1/objects/{id}/content/video"),
            false,
        ),
        ("/v1/elsewhere".into(), false),
    ] {
        let world = World::with(Setup {
            acs: acs.clone(),
            ..setup()
        })
        .await;
        recording.publish(&world);
        let hop = target.clone();
        world.acs.inject(move |request| {
            let first = request.kind == Kind::Media && request.host == "eus-prod.asm.skype.com";
            first.then(|| Fault::redirect(302, &hop))
        });
        let response = world.deliver(&recording.event(&world)).await;
        let hosts: Vec<_> = world
            .acs
            .requests()
            .into_iter()
            .map(|request| request.host)
            .collect();
        if taken {
            assert_eq!(response.status.code(), 200, "{target}");
            world.assert_archived(&recording);
            assert!(
                hosts.iter().any(|host| host == "weu-prod.asm.skype.com"),
                "the emulator verified the signature"
            );
        } else {
            assert_eq!(response.status.code(), 503, "{target}");
            assert!(
                !hosts
                    .iter()
                    .any(|host| host.contains("evil") || host.contains("contoso")),
                "{hosts:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_circle_of_redirects_ends_after_three_hops() {
    let world = World::start().await;
    let recording = Recording::of(&[10]);
    recording.publish(&world);
    let here = world.acs.content_location(&recording.chunks[0].document_id);
    world
        .acs
        .inject(move |request| (request.kind == Kind::Media).then(|| Fault::redirect(307, &here)));
    assert_eq!(world.deliver(&recording.event(&world)).await.status, 503);
    assert_eq!(world.media_requests().len(), 1 + 3);
}

#[tokio::test]
async fn a_host_that_cannot_be_trusted_or_reached_suspends() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let refused = nobody.local_addr().unwrap();
    drop(nobody);
    let world = World::start().await;
    // Without the test's certificate authority, at a port without listener, and without an address.
    for addresses in [vec![world.acs.tls_address()], vec![refused], vec![]] {
        let recording = Recording::of(&[10]);
        recording.publish(&world);
        let http = acs_recording_archiver::acs::http_client();
        let http = http.resolve_to_addrs(world.acs.media_host(), &addresses);
        let limits = setup().limits;
        let function = harness::embedded::function_over(&world.s3, &world.acs, http, limits, &[]);
        let world = World::over(&world, function.await);
        let response = world.deliver(&recording.event(&world)).await;
        assert_eq!(response.status.code(), 503, "{addresses:?}");
        assert_eq!(response.outcome(), "suspended");
        world.assert_acs_uncalled();
    }
}

#[tokio::test]
async fn the_parts_in_flight_are_bounded_by_the_setting() {
    let mut two = setup();
    two.variables.push(("TRANSFER_CONCURRENCY", "2".into()));
    two.acs.latency = Duration::from_millis(3);
    let world = World::with(two).await;
    let recording = Recording::of(&[6 * PART, 5 * PART, 1, 2]);
    recording.publish(&world);
    let most = std::sync::Arc::new(AtomicUsize::new(0));
    let seen = std::sync::Arc::clone(&most);
    let acs = world.acs.clone();
    world.acs.inject(move |_| {
        let open = acs
            .requests()
            .iter()
            .filter(|request| request.status.is_none())
            .count();
        seen.fetch_max(open, Ordering::Relaxed);
        None
    });
    assert_eq!(world.deliver(&recording.event(&world)).await.status, 200);
    world.acs.heal();
    world.assert_archived(&recording);
    assert_eq!(most.load(Ordering::Relaxed), 2);
    let response = world.deliver(&recording.event(&world)).await;
    assert_eq!(response.outcome(), "alreadyArchived");
}

#[tokio::test]
async fn a_source_that_changes_between_two_ranges_leads_to_a_new_upload() {
    for (changed, uploads) in [
        // The bytes may be the same, so one reply without a range follows.
        (vec![("etag", Some("\"another\"".to_owned()))], 1),
        (
            vec![(
                "content-range",
                Some(format!("bytes {}-{}/999999", 3 * PART, 4 * PART - 1)),
            )],
            2,
        ),
    ] {
        let world = World::start().await;
        let recording = Recording::of(&[6 * PART]);
        publish(&world, &recording, |document| Document {
            etag: Some("\"one\"".into()),
            ..document
        });
        let once = std::sync::atomic::AtomicBool::new(false);
        world.acs.inject(move |request| {
            let fourth = format!("bytes={}-", 3 * PART);
            let is_fourth = request.range.as_deref()?.starts_with(&fourth);
            (is_fourth && !once.swap(true, Ordering::Relaxed))
                .then(|| Fault::Headers(changed.clone()))
        });
        assert_eq!(world.deliver(&recording.event(&world)).await.status, 200);
        world.assert_archived(&recording);
        assert_eq!(world.count("CreateMultipartUpload"), uploads);
    }
}

/// The range of a request, half-open.
fn asked(request: &Request) -> Option<(u64, u64)> {
    let (first, last) = request
        .range
        .as_deref()?
        .strip_prefix("bytes=")?
        .split_once('-')?;
    Some((first.parse().ok()?, last.parse::<u64>().ok()? + 1))
}

/// The true bytes of a range, with a status and `Content-Range` of the test.
fn part_of(media: &Media, range: std::ops::Range<u64>, status: u16, content_range: &str) -> Fault {
    Fault::Answer {
        status,
        headers: vec![
            ("content-type", media.content_type().to_owned()),
            ("content-range", content_range.to_owned()),
        ],
        body: media.bytes(range),
    }
}

#[tokio::test]
async fn a_range_that_is_sent_as_the_complete_content_is_never_archived() {
    for (length, sent) in [(5 * PART, PART), (5 * PART, 3 * PART), (1000, 500)] {
        let world = World::start().await;
        let recording = Recording::of(&[length]);
        recording.publish(&world);
        let media = recording.chunks[0].media.clone();
        world.acs.inject(move |request| {
            let content_range = format!("bytes 0-{}/{length}", sent - 1);
            // The requested range would be true.
            let lie =
                asked(request).is_some_and(|(start, end)| (start, end.min(length)) != (0, sent));
            lie.then(|| part_of(&media, 0..sent, 200, &content_range))
        });
        let response = world.deliver(&recording.event(&world)).await;
        let key = recording.media_key(&recording.chunks[0]);
        match world.s3.object(&key) {
            Some(object) => assert_eq!(object.body.len() as u64, length, "{sent} of {length}"),
            None => assert_eq!(response.status.code(), 503, "{sent} of {length}"),
        }
        world.acs.heal();
        assert_eq!(world.deliver(&recording.event(&world)).await.status, 200);
        world.assert_archived(&recording);
    }
}

#[tokio::test]
async fn a_range_of_metadata_is_not_stored_as_the_document() {
    for status in [200, 206] {
        let world = World::start().await;
        let recording = Recording::of(&[10]);
        recording.publish(&world);
        world.acs.inject(move |request| {
            let headers = [
                ("content-range", "bytes 0-1/5000"),
                ("content-type", "application/json"),
            ];
            (request.kind == Kind::Metadata).then(|| Fault::answer_with(status, &headers, "{}"))
        });
        assert_eq!(world.deliver(&recording.event(&world)).await.status, 503);
        let key = recording.metadata_key(&recording.chunks[0]);
        assert!(world.s3.object(&key).is_none(), "{status}");
        world.acs.heal();
        assert_eq!(world.deliver(&recording.event(&world)).await.status, 200);
        world.assert_archived(&recording);
    }
}

/// A form of reply that a server may choose, made from the range and the length.
type Head = fn(u64, u64, u64) -> (u16, String);

#[tokio::test]
async fn every_valid_form_of_reply_is_understood() {
    let heads: [(&str, Head); 5] = [
        ("another letter case", |start, end, length| {
            (206, format!("Bytes {start}-{}/{length}", end - 1))
        }),
        (
            "200 with the range that was asked for",
            |start, end, length| (200, format!("bytes {start}-{}/{length}", end - 1)),
        ),
        (
            "no total once the length is known",
            |start, end, length| match start {
                0 => (206, format!("bytes 0-{}/{length}", end - 1)),
                _ => (206, format!("bytes {start}-{}/*", end - 1)),
            },
        ),
        (
            "200 with the range, no total",
            |start, end, length| match start {
                0 => (200, format!("bytes 0-{}/{length}", end - 1)),
                _ => (200, format!("BYTES {start}-{}/*", end - 1)),
            },
        ),
        ("a range that is shorter", |start, end, length| {
            let end = end.min(start + PART / 2 + 1);
            (206, format!("bytes {start}-{}/{length}", end - 1))
        }),
    ];
    for (way, head) in heads {
        for length in [1, PART, 3 * PART + 5] {
            let world = World::start().await;
            let recording = Recording::of(&[length]);
            recording.publish(&world);
            let media = recording.chunks[0].media.clone();
            world.acs.inject(move |request| {
                let (start, end) = asked(request)?;
                let (status, content_range) = head(start, end.min(length), length);
                let (_, said) = content_range.split_once(' ')?;
                let (_, last) = said.split_once('/')?.0.split_once('-')?;
                let end = last.parse::<u64>().ok()? + 1;
                Some(part_of(&media, start..end, status, &content_range))
            });
            let response = world.deliver(&recording.event(&world)).await;
            world.acs.heal();
            assert_eq!(response.status.code(), 200, "{way}, {length}");
            world.assert_archived(&recording);
            assert!(world.count("CreateMultipartUpload") <= 1, "{way}, {length}");
        }
    }
}

#[tokio::test]
async fn every_valid_form_of_a_complete_reply_is_understood() {
    for status in [200, 206] {
        let world = World::start().await;
        let recording = Recording::of(&[3 * PART + 5, 7]);
        recording.publish(&world);
        let chunks = recording.chunks.clone();
        world.acs.inject(move |request| {
            let document = request.document.as_deref();
            let chunk = chunks
                .iter()
                .find(|chunk| Some(&*chunk.document_id) == document)?;
            if request.kind == Kind::Media {
                let length = chunk.media.length();
                let content_range = format!("bytes 0-{}/{length}", length - 1);
                return Some(part_of(&chunk.media, 0..length, status, &content_range));
            }
            let body = chunk.metadata();
            let content_range = format!("bytes 0-{}/{}", body.len() - 1, body.len());
            let headers = vec![("content-range", content_range)];
            Some(Fault::Answer {
                status,
                headers,
                body: body.into(),
            })
        });
        assert_eq!(
            world.deliver(&recording.event(&world)).await.status,
            200,
            "{status}"
        );
        world.acs.heal();
        world.assert_archived(&recording);
        assert_eq!(
            world.acs.requests().len(),
            4,
            "one request for each document"
        );
    }
}

#[tokio::test]
async fn a_body_that_ends_with_the_connection_proves_no_length() {
    for length in [1000, 5 * PART] {
        for after in [0, 1, length / 5, length] {
            let world = World::start().await;
            let recording = Recording::of(&[length]);
            publish(&world, &recording, |document| Document {
                ranges: Ranges::Ignored,
                ..document
            });
            world.acs.inject(move |request| {
                (request.kind == Kind::Media).then_some(Fault::CloseBody { after })
            });
            let response = world.deliver(&recording.event(&world)).await;
            assert_eq!(response.status.code(), 503, "{after} of {length}");
            let key = recording.media_key(&recording.chunks[0]);
            assert!(world.s3.object(&key).is_none(), "{after} of {length}");
            world.acs.heal();
            assert_eq!(world.deliver(&recording.event(&world)).await.status, 200);
            world.assert_archived(&recording);
        }
    }
    // A metadata document that is cut like this is not stored either.
    let world = World::start().await;
    let recording = Recording::of(&[10]);
    recording.publish(&world);
    world.acs.inject(|request| {
        (request.kind == Kind::Metadata).then_some(Fault::CloseBody { after: 20 })
    });
    assert_eq!(world.deliver(&recording.event(&world)).await.status, 503);
    let key = recording.metadata_key(&recording.chunks[0]);
    assert!(world.s3.object(&key).is_none());
}

#[tokio::test]
async fn a_range_that_ends_with_the_connection_is_accepted_at_its_stated_length() {
    let world = World::start().await;
    let recording = Recording::of(&[5 * PART, 9]);
    recording.publish(&world);
    world.acs.inject(|request| {
        (request.kind == Kind::Media).then_some(Fault::CloseBody { after: u64::MAX })
    });
    assert_eq!(world.deliver(&recording.event(&world)).await.status, 200);
    world.acs.heal();
    world.assert_archived(&recording);
    assert_eq!(world.acs.sent(&recording.chunks[0].document_id), 5 * PART);

    let world = World::start().await;
    let recording = Recording::of(&[5 * PART]);
    recording.publish(&world);
    world.acs.inject(at(2, Fault::CloseBody { after: 10 }));
    assert_eq!(world.deliver(&recording.event(&world)).await.status, 200);
    world.acs.heal();
    world.assert_archived(&recording);
}

#[tokio::test]
async fn the_rest_of_a_short_range_is_requested() {
    for most in [PART - 1, PART / 3, PART / 64] {
        let world = World::start().await;
        let recording = Recording::of(&[1, PART, 3 * PART + 12_345]);
        publish(&world, &recording, |document| Document {
            ranges: Ranges::Shortened(most),
            etag: Some("\"one\"".into()),
            ..document
        });
        let response = world.deliver(&recording.event(&world)).await;
        assert_eq!(response.status.code(), 200, "{most}");
        world.assert_archived(&recording);
        for chunk in &recording.chunks {
            let (length, sent) = (chunk.media.length(), world.acs.sent(&chunk.document_id));
            assert_eq!(sent, length, "each byte once");
        }
        let requests = world.acs.requests();
        let ranges = requests.iter().filter_map(asked);
        assert!(ranges.into_iter().all(|(start, end)| end - start <= PART));
        let asked = requests.iter().map(|it| (&it.path_and_query, &it.range));
        let asked: std::collections::BTreeSet<_> = asked.collect();
        assert_eq!(asked.len(), requests.len(), "a range was requested twice");
    }
}

#[tokio::test]
async fn a_range_in_many_short_replies_is_replaced_by_one_reply_without_a_range() {
    let world = World::start().await;
    let recording = Recording::of(&[PART]);
    publish(&world, &recording, |document| Document {
        ranges: Ranges::Shortened(1),
        ..document
    });
    assert_eq!(world.deliver(&recording.event(&world)).await.status, 200);
    let media = world.media_requests().len();
    assert!(media < 5 * 300, "{media} requests");
    world.assert_archived(&recording);
}

#[tokio::test]
async fn the_rest_of_a_range_must_be_of_the_same_document() {
    let html = [("content-type", "text/html")];
    for (fault, etag) in [
        (Fault::Headers(vec![("etag", Some("\"two\"".into()))]), true),
        (Fault::Headers(vec![("etag", None)]), true),
        (
            Fault::Headers(vec![("content-range", Some("bytes 1-2/3".into()))]),
            true,
        ),
        (
            Fault::Headers(vec![(
                "content-range",
                Some(format!("bytes {}-{}/999999", PART / 2, PART - 1)),
            )]),
            false,
        ),
        (Fault::IgnoreRange, false),
        (Fault::Close, false),
        (Fault::CutBody { after: 3 }, false),
        (Fault::LongerBody { extra: 1 }, false),
        (
            Fault::answer_with(206, &[("content-type", "video/mp4")], ""),
            false,
        ),
        (Fault::answer_with(200, &html, "<html>"), false),
        (Fault::answer(503, ""), false),
        (
            Fault::StallBody {
                after: 3,
                stall: NEVER,
            },
            false,
        ),
        (Fault::Hang(NEVER), false),
    ] {
        let world = World::with(impatient()).await;
        let recording = Recording::of(&[3 * PART]);
        publish(&world, &recording, |document| Document {
            ranges: Ranges::Shortened(PART / 2),
            etag: etag.then(|| "\"one\"".into()),
            ..document
        });
        let once = std::sync::atomic::AtomicBool::new(false);
        let rest = fault.clone();
        world.acs.inject(move |request| {
            let (start, _) = asked(request)?;
            (start == PART / 2 && !once.swap(true, Ordering::Relaxed)).then(|| rest.clone())
        });
        assert_eq!(
            world.deliver(&recording.event(&world)).await.status,
            200,
            "{fault:?}"
        );
        world.acs.heal();
        world.assert_archived(&recording);
    }
}

/// A stream puts parts of new bytes into an upload that holds parts of old bytes. If the stream is
/// cut off when no part is missing, the next run must not complete a mixture.
#[tokio::test]
async fn a_stream_over_other_bytes_that_is_cut_off_makes_no_mixed_object() {
    let mut patient = setup();
    patient.limits.backoff = Duration::from_millis(20);
    let world = World::with(patient).await;
    let recording = Recording::of(&[3 * PART]);
    let chunk = &recording.chunks[0];
    publish(&world, &recording, |document| Document {
        etag: Some("\"old\"".into()),
        ..document
    });
    // All parts but the first arrive.
    let cut = |request: &Request| {
        let is_first = request.range.as_deref()?.starts_with("bytes=0-");
        (is_first && request.kind == Kind::Media).then_some(Fault::CutBody { after: 9 })
    };
    world.acs.inject(cut);
    world.deliver(&recording.event(&world)).await;
    let uploads = world.s3.uploads();
    assert_eq!(uploads[0].parts.keys().collect::<Vec<_>>(), [&2, &3]);
    // Other bytes of the same length, and streams that end in the first part.
    let other = Media::new(Format::Mp4, 3 * PART, 99);
    world.acs.add(Document {
        etag: Some("\"new\"".into()),
        media: other.clone(),
        ..Recording::document(chunk)
    });
    world.acs.inject(|request| {
        let is_stream = request.kind == Kind::Media && request.range.is_none();
        is_stream.then_some(Fault::CutBody { after: PART + 9 })
    });
    world.deliver(&recording.event(&world)).await;
    world.acs.heal();
    world.deliver(&recording.event(&world)).await;
    let object = world.s3.object(&recording.media_key(chunk)).unwrap();
    let is_of = |media: &Media| object.body == media.bytes(0..media.length());
    assert!(
        is_of(&chunk.media) || is_of(&other),
        "the object mixes old and new bytes"
    );
}
