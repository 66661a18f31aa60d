//! The ACS emulator: the behaviour that the other tests rely on.

use std::time::{Duration, Instant, SystemTime};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use emulators::{
    acs::{Acs, Document, Fault, Kind, Ranges, Settings},
    media::{Format, Media},
};
use reqwest::{Client, Method, Response};

const ID: &str = "0-eus-d12-801b3f3fc462fe8a01e6810cbff729b8";
const RESOURCE: &str = "contoso.communication.azure.com";
const OTHER_MEDIA_HOST: &str = "weu-prod.asm.skype.com";
const EMPTY: &str = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
const LENGTH: u64 = 300_000;

#[tokio::test]
async fn a_plain_resource_serves_both_forms() {
    let (acs, client) = start(Settings::default()).await;
    let whole = media().bytes(0..LENGTH);
    for url in [
        preview(&acs, ""),
        acs.plain_content_location(ID),
        acs.content_location(ID),
    ] {
        let response = Ask::get(&acs, &url).send(&client).await;
        assert_eq!(response.status(), 200, "{url}");
        assert_eq!(header(&response, "content-type"), Some("audio/wav"));
        assert_eq!(header(&response, "content-length"), Some("300000"));
        assert_eq!(header(&response, "etag"), Some("\"v1\""));
        assert_eq!(read(response).await.unwrap(), whole, "{url}");
    }
    for url in [
        preview(&acs, "/metadata"),
        acs.plain_metadata_location(ID),
        acs.metadata_location(ID),
    ] {
        let response = Ask::get(&acs, &url).send(&client).await;
        assert_eq!(response.status(), 200, "{url}");
        assert_eq!(header(&response, "content-type"), Some("application/json"));
        assert_eq!(header(&response, "etag"), None);
        assert_eq!(read(response).await.unwrap(), document().metadata);
    }
}

#[tokio::test]
async fn a_named_resource_serves_its_form_over_tls() {
    let (acs, client) = start(named()).await;
    assert_eq!(acs.endpoint(), "https://contoso.communication.azure.com");
    assert_eq!(
        acs.connection_string(),
        "endpoint=https://contoso.communication.azure.com/;\
         accesskey=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
    );
    let elsewhere = acs
        .content_location(ID)
        .replace(acs.media_host(), OTHER_MEDIA_HOST);
    for (url, status) in [
        (preview(&acs, ""), 200),
        (preview(&acs, "/metadata"), 200),
        (acs.content_location(ID), 200),
        (acs.plain_content_location(ID), 200),
        (elsewhere, 200),
        // The path of each form on the host of the other.
        (format!("https://{RESOURCE}/v1/objects/{ID}"), 404),
        (preview(&acs, "").replace(RESOURCE, acs.media_host()), 404),
        (
            preview(&acs, "").replace(&acs.endpoint(), &acs.plain_origin()),
            404,
        ),
    ] {
        let response = Ask::get(&acs, &url).send(&client).await;
        assert_eq!(response.status(), status, "{url}");
    }
    assert!(acs.requests()[0].tls);
    assert_eq!(acs.requests()[0].host, RESOURCE);
}

#[tokio::test]
async fn wrong_signatures_are_refused() {
    type Spoil = fn(&mut Ask);
    const EITHER: [bool; 2] = [true, false];
    const CURRENT: [bool; 1] = [true];
    const PREVIEW: [bool; 1] = [false];
    let cases: &[(&str, &[bool], Spoil)] = &[
        ("signature", &EITHER, |ask| ask.key = vec![1; 32]),
        ("signature", &EITHER, |ask| {
            ask.signed_host = "eus-prod.asm.skype.com".into();
        }),
        ("signature", &EITHER, |ask| ask.signed_path = "/".into()),
        ("signature", &EITHER, |ask| {
            ask.signed_verb = "DELETE".into();
        }),
        ("too far", &EITHER, |ask| ask.date = date(-16 * 60)),
        ("too far", &EITHER, |ask| ask.date = date(16 * 60)),
        ("RFC 1123", &EITHER, |ask| {
            ask.date = ask.date.replace("GMT", "UTC");
        }),
        ("RFC 1123", &EITHER, |ask| {
            ask.date = "Tue, 6 Jul 2021 15:25:00 GMT".into();
        }),
        ("RFC 1123", &EITHER, |ask| {
            ask.date = "Tuesday, 06-Jul-21 15:25:00 GMT".into();
        }),
        ("date is missing", &CURRENT, |ask| ask.is_current = false),
        ("date is missing", &PREVIEW, |ask| ask.is_current = true),
        ("does not begin", &EITHER, |ask| {
            ask.signed_headers = "host;x-ms-content-sha256".into();
        }),
        ("x-ms-host is", &CURRENT, |ask| {
            ask.host_header = Some("eus-prod.asm.skype.com".into());
        }),
        ("x-ms-host is missing", &CURRENT, |ask| {
            ask.host_header = None;
        }),
        ("no place", &PREVIEW, |ask| {
            ask.host_header = Some(ask.signed_host.clone());
        }),
        ("empty body", &EITHER, |ask| {
            ask.content_hash = "tJPUg2Sv5E0RwBZc9HCkFk0eJgmRHvmYvoaNRq3j3k4=".into();
        }),
        ("authorization is missing", &EITHER, |ask| {
            ask.is_signed = false;
        }),
    ];

    let (acs, client) = start(Settings::default()).await;
    for (expected, forms, spoil) in cases {
        for is_current in *forms {
            let url = if *is_current {
                acs.content_location(ID)
            } else {
                preview(&acs, "")
            };
            let mut ask = Ask::get(&acs, &url);
            spoil(&mut ask);
            let response = ask.send(&client).await;
            assert_eq!(response.status(), 401, "{expected} {url}");
            let body = String::from_utf8(read(response).await.unwrap().to_vec()).unwrap();
            assert!(body.contains("\"code\":\"Denied\""), "{body}");
            assert!(body.contains("\"traceId\":\"0"), "{body}");
            assert!(body.contains(expected), "{body} for {expected}");
        }
    }
    assert_eq!(acs.sent(ID), 0);
}

#[tokio::test]
async fn dates_within_the_skew_are_accepted() {
    let (acs, client) = start(Settings {
        max_date_skew: Duration::from_mins(1),
        ..Settings::default()
    })
    .await;
    for (seconds, status) in [(-90, 401), (-50, 200), (50, 200), (90, 401)] {
        let mut ask = Ask::get(&acs, &preview(&acs, ""));
        ask.date = date(seconds);
        assert_eq!(ask.send(&client).await.status(), status, "{seconds}");
    }
}

#[tokio::test]
async fn unknown_documents_and_paths_are_refused() {
    let (acs, client) = start(named()).await;
    let mut post = Ask::get(&acs, &acs.content_location(ID));
    post.method = Method::POST;
    post.signed_verb = "POST".into();
    let response = post.send(&client).await;
    assert_eq!(response.status(), 405);
    assert_eq!(header(&response, "allow"), Some("GET"));

    let get_delete_location = Ask::get(&acs, &acs.delete_location(ID));
    assert_eq!(get_delete_location.send(&client).await.status(), 405);

    for (url, status) in [
        (acs.content_location("0-unknown"), 404),
        (preview(&acs, "").replace(ID, "0-unknown"), 404),
        (format!("https://{}/v1/objects", acs.media_host()), 404),
        (format!("https://{RESOURCE}/"), 404),
        (preview(&acs, "").replace("preview1", "preview2"), 400),
        (preview(&acs, "") + "&more=1", 400),
    ] {
        let response = Ask::get(&acs, &url).send(&client).await;
        assert_eq!(response.status(), status, "{url}");
    }

    let mut stranger = Ask::get(&acs, &acs.content_location(ID));
    stranger.sent_host = Some("evil.example".into());
    assert_eq!(stranger.send(&client).await.status(), 421);
    let mut stranger = Ask::get(&acs, &acs.plain_content_location(ID));
    stranger.sent_host = Some(RESOURCE.into());
    assert_eq!(stranger.send(&client).await.status(), 421);
}

#[tokio::test]
async fn a_deleted_document_is_gone() {
    let (acs, client) = start(Settings::default()).await;
    let mut ask = Ask::get(&acs, &acs.delete_location(ID));
    ask.method = Method::DELETE;
    assert_eq!(ask.send(&client).await.status(), 401);
    assert!(acs.holds(ID));

    ask.signed_verb = "DELETE".into();
    assert_eq!(ask.send(&client).await.status(), 200);
    assert!(!acs.holds(ID));
    assert_eq!(ask.send(&client).await.status(), 404);
    for url in [acs.content_location(ID), acs.metadata_location(ID)] {
        assert_eq!(Ask::get(&acs, &url).send(&client).await.status(), 404);
    }
    assert_eq!(acs.requests()[0].kind, Kind::Delete);
}

#[tokio::test]
async fn ranges_are_honoured() {
    let (acs, client) = start(Settings::default()).await;
    let whole = media().bytes(0..LENGTH);
    for (range, status, content_range, bytes) in [
        ("bytes=0-0", 206, "bytes 0-0/300000", 0..1),
        ("bytes=44-70000", 206, "bytes 44-70000/300000", 44..70_001),
        (
            "bytes=65535-",
            206,
            "bytes 65535-299999/300000",
            65_535..300_000,
        ),
        (
            "bytes=299999-999999",
            206,
            "bytes 299999-299999/300000",
            299_999..300_000,
        ),
        ("bytes=300000-", 416, "bytes */300000", 0..0),
    ] {
        for url in [preview(&acs, ""), acs.content_location(ID)] {
            let response = Ask::get(&acs, &url).range(range).send(&client).await;
            assert_eq!(response.status(), status, "{range}");
            assert_eq!(header(&response, "content-range"), Some(content_range));
            let is_served = status == 206;
            assert_eq!(header(&response, "etag"), is_served.then_some("\"v1\""));
            assert_eq!(read(response).await.unwrap(), whole.slice(bytes.clone()));
        }
    }
    for range in [
        "bytes=-5",
        "bytes=5-4",
        "bytes=0-1,3-4",
        "bytes=+1-2",
        "bytes=a-b",
        "bytes=",
        "bytes = 0-1",
        "lines=0-1",
    ] {
        let ask = Ask::get(&acs, &acs.content_location(ID)).range(range);
        let response = ask.send(&client).await;
        assert_eq!(response.status(), 400, "{range}");
        let content_type = header(&response, "content-type").unwrap();
        assert!(content_type.starts_with("text/html"), "{content_type}");
    }
    let metadata = Ask::get(&acs, &acs.metadata_location(ID)).range("bytes=0-4");
    let response = metadata.send(&client).await;
    assert_eq!(response.status(), 206);
    assert_eq!(
        read(response).await.unwrap(),
        document().metadata.slice(..5)
    );
}

#[tokio::test]
async fn ranges_are_ignored() {
    let (acs, client) = start(Settings::default()).await;
    for (ranges, length) in [
        (Ranges::Ignored, Some("300000")),
        (Ranges::IgnoredWithoutLength, None),
    ] {
        acs.add(Document {
            ranges,
            ..document()
        });
        let ask = Ask::get(&acs, &acs.content_location(ID)).range("bytes=5-9");
        let response = ask.send(&client).await;
        assert_eq!(response.status(), 200);
        assert_eq!(header(&response, "content-length"), length);
        assert_eq!(header(&response, "content-range"), None);
        assert_eq!(read(response).await.unwrap(), media().bytes(0..LENGTH));
    }
}

#[tokio::test]
async fn an_empty_document_has_no_range() {
    let (acs, client) = start(Settings::default()).await;
    acs.add(Document::new(ID, Media::new(Format::Mp4, 0, 1)));
    let ask = Ask::get(&acs, &acs.content_location(ID));
    let response = ask.send(&client).await;
    assert_eq!(response.status(), 200);
    assert_eq!(header(&response, "content-length"), Some("0"));
    assert_eq!(ask.range("bytes=0-").send(&client).await.status(), 416);
}

#[tokio::test]
async fn a_large_document_streams_and_is_counted() {
    let (acs, client) = start(Settings::default()).await;
    let media = Media::new(Format::Mp4, 20_000_003, 5);
    acs.add(Document {
        content_type: Some("video/quicktime".into()),
        ..Document::new("0-large", media.clone())
    });
    let ask = Ask::get(&acs, &acs.content_location("0-large"));
    let mut response = ask.send(&client).await;
    assert_eq!(header(&response, "content-type"), Some("video/quicktime"));
    let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc64Nvme);
    while let Some(bytes) = response.chunk().await.unwrap() {
        digest.update(&bytes);
    }
    let checksum = STANDARD.encode(digest.finalize().to_be_bytes());
    assert_eq!(checksum, media.crc64nvme());
    assert_eq!(acs.sent("0-large"), 20_000_003);
    assert_eq!(acs.sent(ID), 0);

    drop(ask.range("bytes=0-9").send(&client).await);
    Ask::get(&acs, &acs.metadata_location("0-large"))
        .send(&client)
        .await;
    assert_eq!(acs.sent("0-large"), 20_000_013);
}

#[tokio::test]
async fn requests_are_recorded() {
    let (acs, client) = start(Settings::default()).await;
    let ask = Ask::get(&acs, &acs.content_location(ID)).range("bytes=0-1");
    ask.send(&client).await;
    let mut ask = Ask::get(&acs, &preview(&acs, "/metadata"));
    ask.is_signed = false;
    ask.send(&client).await;
    let elsewhere = format!("{}/elsewhere?a=%2f", acs.plain_origin());
    Ask::get(&acs, &elsewhere).send(&client).await;

    let requests = acs.requests();
    let [media, metadata, other] = &requests[..] else {
        panic!("{requests:?}");
    };
    assert_eq!(media.number, 0);
    assert_eq!(media.host, acs.media_host());
    assert!(media.tls);
    assert_eq!(media.method, "GET");
    assert_eq!(
        media.path_and_query,
        format!("/v1/objects/{ID}/content/video")
    );
    assert_eq!(media.document.as_deref(), Some(ID));
    assert_eq!(media.kind, Kind::Media);
    assert_eq!(media.range.as_deref(), Some("bytes=0-1"));
    let host = acs.plain_origin().replace("http://", "");
    assert_eq!(media.headers.get("x-ms-host"), Some(&host));
    assert_eq!(media.status, Some(206));

    assert_eq!(metadata.number, 1);
    assert_eq!(metadata.host, host);
    assert!(!metadata.tls);
    assert_eq!(metadata.kind, Kind::Metadata);
    assert_eq!(metadata.range, None);
    assert_eq!(metadata.status, Some(401));

    assert_eq!(other.path_and_query, "/elsewhere?a=%2f");
    assert_eq!((other.kind, other.document.clone()), (Kind::Other, None));
    assert_eq!(other.status, Some(404));

    acs.clear_requests();
    assert!(acs.requests().is_empty());
    ask.send(&client).await;
    assert_eq!(acs.requests()[0].number, 0);
}

#[tokio::test]
async fn scripted_answers_precede_the_check_of_the_signature() {
    let (acs, client) = start(Settings::default()).await;
    let mut ask = Ask::get(&acs, &acs.content_location(ID));
    ask.is_signed = false;

    acs.inject(|_| {
        Some(Fault::Answer {
            status: 503,
            headers: vec![("Retry-After", "7".into()), ("x-a", "1".into())],
            body: Bytes::from_static(b"busy"),
        })
    });
    let response = ask.send(&client).await;
    assert_eq!(response.status(), 503);
    assert_eq!(header(&response, "retry-after"), Some("7"));
    assert_eq!(header(&response, "content-length"), Some("4"));
    assert_eq!(read(response).await.unwrap(), "busy");

    for status in [200, 204, 304] {
        acs.inject(move |_| Some(Fault::answer(status, "")));
        let response = ask.send(&client).await;
        assert_eq!(response.status(), status);
        assert_eq!(read(response).await.unwrap(), "");
    }

    acs.inject(|_| {
        Some(Fault::Answer {
            status: 200,
            headers: vec![("content-length", "9".into())],
            body: Bytes::from_static(b"short"),
        })
    });
    let response = ask.send(&client).await;
    assert_eq!(header(&response, "content-length"), Some("9"));
    assert_eq!(read(response).await.unwrap_err(), "short");

    acs.heal();
    assert_eq!(ask.send(&client).await.status(), 401);
}

#[tokio::test]
async fn connections_close_without_an_answer() {
    let (acs, client) = start(Settings::default()).await;
    let long = Duration::from_millis(60);
    for url in [acs.content_location(ID), acs.plain_content_location(ID)] {
        acs.clear_requests();
        let ask = Ask::get(&acs, &url);
        acs.inject(|request| (request.number < 2).then_some(Fault::Close));
        ask.try_send(&client).await.unwrap_err();
        ask.try_send(&client).await.unwrap_err();
        assert_eq!(acs.requests()[1].status, None);
        assert_eq!(ask.send(&client).await.status(), 200);

        acs.inject(move |_| Some(Fault::Hang(long)));
        let start = Instant::now();
        ask.try_send(&client).await.unwrap_err();
        assert!(start.elapsed() >= long);
        acs.heal();
    }
}

#[tokio::test]
async fn bodies_are_cut_to_the_byte() {
    let (acs, client) = start(Settings::default()).await;
    let whole = media().bytes(0..LENGTH);
    for url in [acs.content_location(ID), acs.plain_content_location(ID)] {
        for ranges in [Ranges::Honoured, Ranges::IgnoredWithoutLength] {
            acs.add(Document {
                ranges,
                ..document()
            });
            for after in [0, 1, 65_536, 200_001] {
                acs.inject(move |_| Some(Fault::CutBody { after }));
                let sent = acs.sent(ID);
                let response = Ask::get(&acs, &url).send(&client).await;
                assert_eq!(response.status(), 200);
                let got = read(response).await.unwrap_err();
                let expected = whole.slice(..usize::try_from(after).unwrap());
                assert_eq!(got.len(), expected.len(), "{url} {ranges:?}");
                assert_eq!(got, expected);
                assert_eq!(acs.sent(ID) - sent, after);
            }
        }
        acs.add(document());
        acs.inject(|_| Some(Fault::CutBody { after: 3 }));
        let response = Ask::get(&acs, &url)
            .range("bytes=50-99")
            .send(&client)
            .await;
        assert_eq!(header(&response, "content-length"), Some("50"));
        assert_eq!(read(response).await.unwrap_err(), whole.slice(50..53));
        let response = Ask::get(&acs, &url)
            .range("bytes=50-52")
            .send(&client)
            .await;
        assert_eq!(read(response).await.unwrap(), whole.slice(50..53));
    }
}

#[tokio::test]
async fn bodies_without_a_length_end_with_the_connection() {
    let (acs, client) = start(Settings::default()).await;
    for url in [acs.content_location(ID), acs.plain_content_location(ID)] {
        for (range, after, expected) in [
            (None, u64::MAX, 0..LENGTH),
            (None, 100_000, 0..100_000),
            (Some("bytes=50-99"), 3, 50..53),
        ] {
            acs.inject(move |_| Some(Fault::CloseBody { after }));
            let mut ask = Ask::get(&acs, &url);
            ask.range = range.map(str::to_owned);
            let response = ask.send(&client).await;
            assert_eq!(response.version(), reqwest::Version::HTTP_11);
            assert_eq!(header(&response, "content-length"), None);
            assert_eq!(header(&response, "transfer-encoding"), None);
            assert_eq!(read(response).await.unwrap(), media().bytes(expected));
        }
    }
}

#[tokio::test]
async fn ranges_are_shortened() {
    let (acs, client) = start(Settings::default()).await;
    acs.add(Document {
        ranges: Ranges::Shortened(4),
        ..document()
    });
    for (range, status, content_range) in [
        ("bytes=5-9", 206, Some("bytes 5-8/300000")),
        ("bytes=5-6", 206, Some("bytes 5-6/300000")),
        ("bytes=299999-", 206, Some("bytes 299999-299999/300000")),
        ("bytes=300000-", 416, Some("bytes */300000")),
    ] {
        let ask = Ask::get(&acs, &acs.content_location(ID)).range(range);
        let response = ask.send(&client).await;
        assert_eq!(response.status(), status, "{range}");
        assert_eq!(header(&response, "content-range"), content_range);
    }
}

#[tokio::test]
async fn bodies_stall() {
    let (acs, client) = start(Settings::default()).await;
    let stall = Duration::from_millis(80);
    acs.inject(move |_| Some(Fault::StallBody { after: 10, stall }));
    let start = Instant::now();
    let ask = Ask::get(&acs, &acs.content_location(ID));
    let mut response = ask.send(&client).await;
    let first = response.chunk().await.unwrap().unwrap();
    assert_eq!(first, media().bytes(0..10));
    let rest = read(response).await.unwrap();
    assert!(start.elapsed() >= stall);
    assert_eq!(rest, media().bytes(10..LENGTH));
}

#[tokio::test]
async fn bodies_are_longer_than_they_say() {
    let (acs, client) = start(Settings::default()).await;
    acs.inject(|_| Some(Fault::LongerBody { extra: 70_000 }));
    let ask = Ask::get(&acs, &acs.content_location(ID)).range("bytes=0-9");
    let response = ask.send(&client).await;
    assert_eq!(response.status(), 206);
    assert_eq!(header(&response, "content-length"), None);
    assert_eq!(header(&response, "content-range"), Some("bytes 0-9/300000"));
    let body = read(response).await.unwrap();
    assert_eq!(body.len(), 70_010);
    assert_eq!(body.slice(..10), media().bytes(0..10));

    acs.inject(|_| Some(Fault::EndlessBody));
    let ask = Ask::get(&acs, &acs.metadata_location(ID)).range("bytes=0-9");
    let mut response = ask.send(&client).await;
    assert_eq!(response.status(), 200);
    assert_eq!(header(&response, "content-length"), None);
    let mut length = 0;
    while length < 3 << 20 {
        length += response.chunk().await.unwrap().unwrap().len();
    }
}

#[tokio::test]
async fn headers_are_replaced() {
    let (acs, client) = start(Settings::default()).await;
    acs.inject(|_| {
        Some(Fault::Headers(vec![
            ("content-range", Some("bytes 1-10/11".into())),
            ("ETag", Some("\"v2\"".into())),
            ("content-type", None),
            ("x-new", Some("1".into())),
        ]))
    });
    let ask = Ask::get(&acs, &acs.content_location(ID)).range("bytes=0-9");
    let response = ask.send(&client).await;
    assert_eq!(response.status(), 206);
    assert_eq!(header(&response, "content-range"), Some("bytes 1-10/11"));
    assert_eq!(header(&response, "etag"), Some("\"v2\""));
    assert_eq!(header(&response, "content-type"), None);
    assert_eq!(header(&response, "x-new"), Some("1"));
    assert_eq!(read(response).await.unwrap(), media().bytes(0..10));

    for (length, expected) in [("8", Ok(8)), ("12", Err(10))] {
        acs.inject(move |_| {
            Some(Fault::Headers(vec![(
                "content-length",
                Some(length.into()),
            )]))
        });
        let body = read(ask.send(&client).await).await;
        assert_eq!(
            body.map(|body| body.len()).map_err(|body| body.len()),
            expected
        );
    }
}

#[tokio::test]
async fn a_range_is_ignored_once() {
    let (acs, client) = start(Settings::default()).await;
    acs.inject(|request| (request.number == 0).then_some(Fault::IgnoreRange));
    let ask = Ask::get(&acs, &acs.content_location(ID)).range("bytes=0-9");
    let response = ask.send(&client).await;
    assert_eq!(response.status(), 200);
    assert_eq!(header(&response, "content-length"), Some("300000"));
    assert_eq!(read(response).await.unwrap(), media().bytes(0..LENGTH));
    assert_eq!(ask.send(&client).await.status(), 206);
}

#[tokio::test]
async fn faults_of_the_body_do_not_change_refusals() {
    let (acs, client) = start(Settings::default()).await;
    acs.inject(|_| Some(Fault::IgnoreRange));
    let mut ask = Ask::get(&acs, &acs.content_location(ID));
    ask.is_signed = false;
    assert_eq!(ask.send(&client).await.status(), 401);
}

#[tokio::test]
async fn a_closure_may_use_its_emulator() {
    let (acs, client) = start(Settings::default()).await;
    let same = acs.clone();
    acs.inject(move |request| {
        assert_eq!(same.requests().len(), request.number + 1);
        same.heal();
        Some(Fault::Close)
    });
    let ask = Ask::get(&acs, &acs.content_location(ID));
    ask.try_send(&client).await.unwrap_err();
    assert_eq!(ask.send(&client).await.status(), 200);
}

#[tokio::test]
async fn answers_are_delayed() {
    let (acs, client) = start(Settings {
        bytes_per_second: Some(1_000_000),
        latency: Duration::from_millis(50),
        ..Settings::default()
    })
    .await;
    let begin = Instant::now();
    let ask = Ask::get(&acs, &acs.content_location(ID));
    let response = ask.send(&client).await;
    assert!(begin.elapsed() >= Duration::from_millis(50));
    assert_eq!(read(response).await.unwrap().len(), 300_000);
    assert!(begin.elapsed() >= Duration::from_millis(350));
}

#[tokio::test]
async fn dropping_the_last_clone_stops_the_servers() {
    let (acs, client) = start(Settings::default()).await;
    let urls = [acs.content_location(ID), acs.plain_content_location(ID)];
    let asks = urls.map(|url| Ask::get(&acs, &url));
    let clone = acs.clone();
    drop(acs);
    for ask in &asks {
        assert_eq!(ask.send(&client).await.status(), 200);
    }
    drop(clone);
    for ask in &asks {
        ask.try_send(&client).await.unwrap_err();
    }
}

#[tokio::test]
async fn a_client_must_trust_the_authority() {
    let (acs, client) = start(Settings::default()).await;
    let other = Acs::start(Settings::default()).await;
    let ask = Ask::get(&acs, &acs.content_location(ID));
    assert_eq!(ask.send(&client).await.status(), 200);
    ask.try_send(&trusting(&other.ca_pem(), &acs))
        .await
        .unwrap_err();
    // A name that is not in the certificate.
    let mut ask = ask;
    ask.url = ask.url.replace(acs.media_host(), "evil.example");
    ask.try_send(&client).await.unwrap_err();
    assert_eq!(acs.requests().len(), 1);
}

fn named() -> Settings {
    Settings {
        resource_host: Some(RESOURCE.into()),
        more_names: vec![OTHER_MEDIA_HOST.into()],
        ..Settings::default()
    }
}

fn media() -> Media {
    Media::new(Format::Wav, LENGTH, 1)
}

fn document() -> Document {
    Document {
        etag: Some("\"v1\"".into()),
        ..Document::new(ID, media())
    }
}

async fn start(settings: Settings) -> (Acs, Client) {
    let acs = Acs::start(settings).await;
    acs.add(document());
    let client = trusting(&acs.ca_pem(), &acs);
    (acs, client)
}

fn trusting(pem: &str, acs: &Acs) -> Client {
    // Another test of this binary may have installed a provider.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let authority = reqwest::Certificate::from_pem(pem.as_bytes()).unwrap();
    let names = [acs.media_host(), RESOURCE, OTHER_MEDIA_HOST, "evil.example"];
    let builder = Client::builder()
        .tls_certs_only([authority])
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy();
    names
        .iter()
        .fold(builder, |builder, name| {
            builder.resolve(name, acs.tls_address())
        })
        .build()
        .unwrap()
}

fn preview(acs: &Acs, suffix: &str) -> String {
    format!(
        "{}/recording/download/{ID}{suffix}?api-version=2021-04-15-preview1",
        acs.endpoint()
    )
}

#[expect(clippy::disallowed_methods, reason = "these requests are signed now")]
fn date(seconds_from_now: i64) -> String {
    let now = SystemTime::now();
    let seconds = Duration::from_secs(seconds_from_now.unsigned_abs());
    httpdate::fmt_http_date(if seconds_from_now < 0 {
        now - seconds
    } else {
        now + seconds
    })
}

fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response
        .headers()
        .get(name)
        .map(|value| value.to_str().unwrap())
}

/// The complete body, or the bytes before it broke off.
async fn read(mut response: Response) -> Result<Bytes, Bytes> {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(bytes)) => body.extend_from_slice(&bytes),
            Ok(None) => return Ok(body.into()),
            Err(_) => return Err(body.into()),
        }
    }
}

/// A request and the parts of its signature, for tests to make each of them wrong.
struct Ask {
    method: Method,
    url: String,
    range: Option<String>,
    sent_host: Option<String>,
    is_signed: bool,
    is_current: bool,
    key: Vec<u8>,
    date: String,
    content_hash: String,
    host_header: Option<String>,
    signed_headers: String,
    signed_verb: String,
    signed_path: String,
    signed_host: String,
}

impl Ask {
    /// A GET that ACS accepts, in the form of the path.
    fn get(acs: &Acs, url: &str) -> Self {
        let is_current = !url.contains("/recording/");
        let endpoint = acs.endpoint();
        let resource = endpoint.split_once("//").unwrap().1;
        let origin = url.match_indices('/').nth(2).unwrap().0;
        let date_header = if is_current { "x-ms-date" } else { "date" };
        Self {
            method: Method::GET,
            url: url.to_owned(),
            range: None,
            sent_host: None,
            is_signed: true,
            is_current,
            key: (0..32).collect(),
            date: date(0),
            content_hash: EMPTY.to_owned(),
            host_header: is_current.then(|| resource.to_owned()),
            signed_headers: format!("{date_header};host;x-ms-content-sha256"),
            signed_verb: "GET".to_owned(),
            signed_path: url[origin..].to_owned(),
            signed_host: resource.to_owned(),
        }
    }

    fn range(mut self, range: &str) -> Self {
        self.range = Some(range.to_owned());
        self
    }

    async fn send(&self, client: &Client) -> Response {
        self.try_send(client).await.unwrap()
    }

    async fn try_send(&self, client: &Client) -> reqwest::Result<Response> {
        let string_to_sign = format!(
            "{}\n{}\n{};{};{}",
            self.signed_verb, self.signed_path, self.date, self.signed_host, self.content_hash
        );
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &self.key);
        let signature = STANDARD.encode(ring::hmac::sign(&key, string_to_sign.as_bytes()));
        let date_header = if self.is_current { "x-ms-date" } else { "date" };
        let mut request = client
            .request(self.method.clone(), &self.url)
            .header(date_header, &self.date)
            .header("x-ms-content-sha256", &self.content_hash);
        if self.is_signed {
            let authorization = format!(
                "HMAC-SHA256 SignedHeaders={}&Signature={signature}",
                self.signed_headers
            );
            request = request.header("authorization", authorization);
        }
        for (name, value) in [
            ("x-ms-host", &self.host_header),
            ("range", &self.range),
            ("host", &self.sent_host),
        ] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        request.send().await
    }
}
