//! The S3 emulator, as the SDK sees it: it refuses what Amazon S3 refuses.

#![expect(
    clippy::disallowed_methods,
    reason = "the bodies that are collected have a few bytes"
)]

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, Credentials, Region, StalledStreamProtectionConfig, timeout::TimeoutConfig,
};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use aws_sdk_s3::types::{
    ChecksumAlgorithm, ChecksumMode, ChecksumType, CompletedMultipartUpload, CompletedPart,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use crc_fast::CrcAlgorithm;
use emulators::s3::{Etags, Fault, Object, S3, Settings};
use http_body::{Frame, SizeHint};
use tokio::sync::mpsc;
use tokio::time::timeout;

const MIB: usize = 1024 * 1024;

fn client_with(s3: &S3, key_id: &str, secret: &str) -> Client {
    let credentials = Credentials::builder()
        .access_key_id(key_id)
        .secret_access_key(secret)
        .provider_name("test")
        .build();
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .endpoint_url(s3.endpoint())
        .region(Region::new("eu-central-1"))
        .credentials_provider(credentials)
        .force_path_style(true)
        .retry_config(RetryConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .timeout_config(
            TimeoutConfig::builder()
                .operation_timeout(Duration::from_mins(1))
                .build(),
        )
        .build();
    Client::from_conf(config)
}

fn client(s3: &S3) -> Client {
    client_with(s3, s3.access_key_id(), s3.secret_access_key())
}

async fn start() -> (S3, Client) {
    start_with(Settings::default()).await
}

/// An S3 that accepts parts of a few bytes.
async fn start_small() -> (S3, Client) {
    start_with(Settings {
        min_part_size: 4,
        ..Settings::default()
    })
    .await
}

async fn start_with(settings: Settings) -> (S3, Client) {
    let s3 = S3::start(settings).await;
    let client = client(&s3);
    (s3, client)
}

/// The status and code of a failure; status 0 if there was no answer.
fn failure<T, E: ProvideErrorMetadata>(result: Result<T, SdkError<E>>) -> (u16, String) {
    let Err(error) = result else {
        panic!("the call succeeded");
    };
    let status = error.raw_response().map_or(0, |raw| raw.status().as_u16());
    let code = error.code().unwrap_or_default().to_owned();
    (status, code)
}

fn refused(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

fn crc64nvme(bytes: &[u8]) -> String {
    STANDARD.encode(crc_fast::checksum(CrcAlgorithm::Crc64Nvme, bytes).to_be_bytes())
}

async fn begin(s3: &S3, client: &Client, key: &str) -> String {
    let created = client
        .create_multipart_upload()
        .bucket(s3.bucket())
        .key(key)
        .content_type("audio/wav")
        .metadata("content-id", "one")
        .checksum_algorithm(ChecksumAlgorithm::Crc64Nvme)
        .checksum_type(ChecksumType::FullObject)
        .send()
        .await
        .unwrap();
    created.upload_id().unwrap().to_owned()
}

async fn put_part(
    s3: &S3,
    client: &Client,
    key: &str,
    upload_id: &str,
    number: i32,
    body: impl Into<Bytes>,
) -> CompletedPart {
    let put = client
        .upload_part()
        .bucket(s3.bucket())
        .key(key)
        .upload_id(upload_id)
        .part_number(number)
        .checksum_algorithm(ChecksumAlgorithm::Crc64Nvme)
        .body(ByteStream::from(body.into()))
        .send()
        .await
        .unwrap();
    CompletedPart::builder()
        .part_number(number)
        .e_tag(put.e_tag().unwrap())
        .checksum_crc64_nvme(put.checksum_crc64_nvme().unwrap())
        .build()
}

fn completing(
    s3: &S3,
    client: &Client,
    key: &str,
    upload_id: &str,
    parts: &[CompletedPart],
) -> aws_sdk_s3::operation::complete_multipart_upload::builders::CompleteMultipartUploadFluentBuilder
{
    let list = CompletedMultipartUpload::builder().set_parts(Some(parts.to_vec()));
    client
        .complete_multipart_upload()
        .bucket(s3.bucket())
        .key(key)
        .upload_id(upload_id)
        .multipart_upload(list.build())
}

#[tokio::test]
async fn checks_signature_and_bucket() {
    let (s3, client) = start().await;
    let head = |client: Client, bucket: &str| client.list_objects_v2().bucket(bucket).send();

    assert!(head(client.clone(), s3.bucket()).await.is_ok());
    let wrong_secret = client_with(&s3, s3.access_key_id(), "wrong");
    assert_eq!(
        failure(head(wrong_secret.clone(), s3.bucket()).await),
        refused(403, "SignatureDoesNotMatch")
    );
    let unknown = client_with(&s3, "AKIANOBODY", s3.secret_access_key());
    assert_eq!(
        failure(head(unknown, s3.bucket()).await),
        refused(403, "InvalidAccessKeyId")
    );
    assert_eq!(
        failure(head(client.clone(), "another-bucket").await),
        refused(404, "NoSuchBucket")
    );

    // The answer arrives although a large body was not read.
    let put = wrong_secret
        .put_object()
        .bucket(s3.bucket())
        .key("k")
        .body(ByteStream::from(vec![7; 8 * MIB]))
        .send()
        .await;
    assert_eq!(failure(put), refused(403, "SignatureDoesNotMatch"));
    assert!(s3.objects().is_empty());

    let long = "k".repeat(1025);
    let put = client.put_object().bucket(s3.bucket()).key(long).send();
    assert_eq!(failure(put.await), refused(400, "KeyTooLongError"));
}

#[tokio::test]
async fn puts_and_reads_objects() {
    let (s3, client) = start().await;
    let key = "a folder/ä+b%2F.json";
    let put = client
        .put_object()
        .bucket(s3.bucket())
        .key(key)
        .content_type("application/json")
        .metadata("content-id", "one")
        .checksum_algorithm(ChecksumAlgorithm::Crc64Nvme)
        .body(ByteStream::from_static(b"0123456789"))
        .send()
        .await
        .unwrap();
    let sum = crc64nvme(b"0123456789");
    assert_eq!(put.checksum_crc64_nvme(), Some(sum.as_str()));
    assert_eq!(put.e_tag(), Some("\"781e5e245d69b566979b86e28d23f2c7\""));

    let object = s3.object(key).unwrap();
    assert_eq!(object.body, "0123456789");
    assert_eq!(object.size, 10);
    assert_eq!(Some(object.etag.as_str()), put.e_tag());
    assert_eq!(Some(object.version_id.as_str()), put.version_id());
    assert_eq!(object.content_type.as_deref(), Some("application/json"));
    assert_eq!(object.metadata["content-id"], "one");
    assert_eq!(object.crc64nvme.as_ref(), Some(&sum));
    assert_eq!(s3.received(key), 10);

    let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    s3.set_last_modified(key, then);
    let head = client.head_object().bucket(s3.bucket()).key(key);
    let plain = head.clone().send().await.unwrap();
    assert_eq!(plain.checksum_crc64_nvme(), None);
    assert_eq!(plain.content_length(), Some(10));
    assert_eq!(plain.content_type(), Some("application/json"));
    assert_eq!(plain.metadata().unwrap()["content-id"], "one");
    assert_eq!(plain.version_id(), put.version_id());
    assert_eq!(plain.last_modified().unwrap().secs(), 1_000_000_000);
    let full = head
        .checksum_mode(ChecksumMode::Enabled)
        .send()
        .await
        .unwrap();
    assert_eq!(full.checksum_crc64_nvme(), Some(sum.as_str()));
    assert_eq!(full.checksum_type(), Some(&ChecksumType::FullObject));

    let get = client.get_object().bucket(s3.bucket()).key(key);
    let whole = get.clone().send().await.unwrap();
    assert_eq!(
        whole.body.collect().await.unwrap().into_bytes(),
        "0123456789"
    );
    for (range, bytes, answered) in [
        ("bytes=2-4", "234", "bytes 2-4/10"),
        ("bytes=7-", "789", "bytes 7-9/10"),
        ("bytes=-1", "9", "bytes 9-9/10"),
    ] {
        let part = get.clone().range(range).send().await.unwrap();
        assert_eq!(part.content_range(), Some(answered));
        assert_eq!(part.body.collect().await.unwrap().into_bytes(), bytes);
    }
    assert_eq!(
        failure(get.clone().range("bytes=10-").send().await),
        refused(416, "InvalidRange")
    );
    assert_eq!(
        failure(get.if_match("\"other\"").send().await),
        refused(412, "PreconditionFailed")
    );

    for _ in 0..2 {
        let delete = client.delete_object().bucket(s3.bucket()).key(key).send();
        delete.await.unwrap();
    }
    assert!(s3.objects().is_empty());
    let head = client
        .head_object()
        .bucket(s3.bucket())
        .key(key)
        .send()
        .await;
    let error = head.unwrap_err();
    assert_eq!(error.raw_response().unwrap().status().as_u16(), 404);
    assert!(error.into_service_error().is_not_found());
    let get = client
        .get_object()
        .bucket(s3.bucket())
        .key(key)
        .send()
        .await;
    assert_eq!(failure(get), refused(404, "NoSuchKey"));
}

#[tokio::test]
async fn writes_are_conditional() {
    let (s3, client) = start().await;
    let put = |body: &'static str| {
        let body = ByteStream::from_static(body.as_bytes());
        client.put_object().bucket(s3.bucket()).key("k").body(body)
    };
    assert_eq!(
        failure(put("a").if_match("\"x\"").send().await),
        refused(404, "NoSuchKey")
    );
    let first = put("a").if_none_match("*").send().await.unwrap();
    assert_eq!(
        failure(put("b").if_none_match("*").send().await),
        refused(412, "PreconditionFailed")
    );
    assert_eq!(s3.object("k").unwrap().body, "a");
    let etag = first.e_tag().unwrap();
    put("b").if_match(etag).send().await.unwrap();
    assert_eq!(
        failure(put("c").if_match(etag).send().await),
        refused(412, "PreconditionFailed")
    );
    assert_eq!(s3.object("k").unwrap().body, "b");
    assert_eq!(s3.received("k"), 5);
    assert_eq!(
        failure(put("c").metadata("m", "x".repeat(2048)).send().await),
        refused(400, "MetadataTooLarge")
    );
}

#[tokio::test]
async fn only_one_of_many_creates() {
    let (s3, client) = start().await;
    let mut tasks = tokio::task::JoinSet::new();
    for body in 0..16_u8 {
        let put = client.put_object().bucket(s3.bucket()).key("lease");
        let put = put.if_none_match("*").body(ByteStream::from(vec![body]));
        tasks.spawn(async move { put.send().await.is_ok() });
    }
    let won = tasks.join_all().await;
    assert_eq!(won.iter().filter(|won| **won).count(), 1);
}

#[tokio::test]
async fn verifies_checksums_of_every_algorithm() {
    let (s3, client) = start().await;
    for algorithm in [
        ChecksumAlgorithm::Crc32,
        ChecksumAlgorithm::Crc32C,
        ChecksumAlgorithm::Crc64Nvme,
        ChecksumAlgorithm::Sha1,
        ChecksumAlgorithm::Sha256,
    ] {
        let put = client.put_object().bucket(s3.bucket()).key("k");
        let put = put.checksum_algorithm(algorithm.clone());
        let put = put.body(ByteStream::from_static(b"hello")).send().await;
        assert!(put.is_ok(), "{algorithm}: {put:?}");
        let reports = s3.object("k").unwrap().crc64nvme.is_some();
        assert_eq!(reports, algorithm == ChecksumAlgorithm::Crc64Nvme);
    }
    let put = client.put_object().bucket(s3.bucket()).key("k");
    let put = put.checksum_crc64_nvme(crc64nvme(b"other"));
    let put = put.body(ByteStream::from_static(b"hello")).send().await;
    assert_eq!(failure(put), refused(400, "BadDigest"));

    let id = begin(&s3, &client, "k").await;
    let part = client.upload_part().bucket(s3.bucket()).key("k");
    let part = part.upload_id(&id).part_number(1);
    let part = part.checksum_crc64_nvme(crc64nvme(b"other"));
    let part = part.body(ByteStream::from_static(b"hello")).send().await;
    assert_eq!(failure(part), refused(400, "BadDigest"));
    assert!(s3.uploads()[0].parts.is_empty());
}

/// A body of known length, whose pieces the test sends.
struct Pieces {
    pieces: mpsc::UnboundedReceiver<Bytes>,
    length: u64,
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let piece = ready!(self.pieces.poll_recv(context));
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length)
    }
}

#[tokio::test]
async fn takes_streams_with_trailers() {
    let (s3, client) = start().await;
    let piece = Bytes::from(vec![7; 200_000]);
    let (pieces, streamed) = mpsc::unbounded_channel();
    let body = SdkBody::from_body_1_x(Pieces {
        pieces: streamed,
        length: 400_000,
    });
    let id = begin(&s3, &client, "k").await;
    let put = client.upload_part().bucket(s3.bucket()).key("k");
    let put = put.upload_id(&id).part_number(1);
    let put = put.checksum_algorithm(ChecksumAlgorithm::Crc64Nvme);
    let put = tokio::spawn(put.body(ByteStream::new(body)).send());

    pieces.send(piece.clone()).unwrap();
    let half_way = async {
        while s3.received("k") == 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(30), half_way).await.unwrap();
    assert!(s3.received("k") <= 200_000);
    assert!(s3.uploads()[0].parts.is_empty());
    pieces.send(piece.clone()).unwrap();
    drop(pieces);
    let sum = crc64nvme(&[piece.clone(), piece].concat());
    let put = put.await.unwrap().unwrap();
    assert_eq!(put.checksum_crc64_nvme(), Some(sum.as_str()));
    assert_eq!(s3.received("k"), 400_000);
    assert_eq!(s3.uploads()[0].parts[&1].crc64nvme, Some(sum));
    let trailer = &s3.calls()[1].headers["x-amz-trailer"];
    assert_eq!(trailer, "x-amz-checksum-crc64nvme");
}

#[tokio::test]
async fn refuses_a_body_of_another_length() {
    let (s3, client) = start().await;
    let (pieces, streamed) = mpsc::unbounded_channel();
    pieces.send(Bytes::from_static(b"hello")).unwrap();
    drop(pieces);
    let body = SdkBody::from_body_1_x(Pieces {
        pieces: streamed,
        length: 5,
    });
    let put = client.put_object().bucket(s3.bucket()).key("k");
    let put = put.checksum_algorithm(ChecksumAlgorithm::Crc64Nvme);
    let put = put.body(ByteStream::new(body)).customize();
    let put = put.mutate_request(|request| {
        let headers = request.headers_mut();
        headers.insert("x-amz-decoded-content-length", "6");
    });
    assert_eq!(failure(put.send().await), refused(400, "IncompleteBody"));
    assert!(s3.objects().is_empty());
}

#[tokio::test]
async fn completes_an_upload() {
    let (s3, client) = start().await;
    let (one, two) = (vec![1; 5 * MIB], vec![2; 100]);
    let id = begin(&s3, &client, "k").await;
    put_part(&s3, &client, "k", &id, 3, vec![9; 50]).await;
    let parts = [
        put_part(&s3, &client, "k", &id, 1, one.clone()).await,
        put_part(&s3, &client, "k", &id, 3, two.clone()).await,
    ];
    assert_eq!(s3.received("k"), 5 * MIB as u64 + 150);
    let upload = &s3.uploads()[0];
    assert_eq!((upload.key.as_str(), &upload.upload_id), ("k", &id));
    assert_eq!(upload.parts[&3].size, 100);
    assert_eq!(upload.parts[&3].crc64nvme, Some(crc64nvme(&two)));

    let whole = [one, two].concat();
    let done = completing(&s3, &client, "k", &id, &parts)
        .if_none_match("*")
        .mpu_object_size(i64::try_from(whole.len()).unwrap())
        .checksum_type(ChecksumType::FullObject)
        .checksum_crc64_nvme(crc64nvme(&whole))
        .send()
        .await
        .unwrap();
    let object = s3.object("k").unwrap();
    assert!(object.body == whole);
    assert_eq!(object.size, whole.len() as u64);
    assert_eq!(object.crc64nvme, Some(crc64nvme(&whole)));
    assert_eq!(object.content_type.as_deref(), Some("audio/wav"));
    assert_eq!(object.metadata["content-id"], "one");
    assert_eq!(done.e_tag(), Some(object.etag.as_str()));
    assert_eq!(object.etag, "\"686ce36d083e1d331420bff015e9a69d-2\"");
    assert_eq!(done.version_id(), Some(object.version_id.as_str()));
    assert_eq!(done.checksum_crc64_nvme(), object.crc64nvme.as_deref());
    assert_eq!(done.checksum_type(), Some(&ChecksumType::FullObject));
    assert!(s3.uploads().is_empty());
    let again = completing(&s3, &client, "k", &id, &parts).send().await;
    assert_eq!(failure(again), refused(404, "NoSuchUpload"));
}

#[tokio::test]
async fn refuses_to_complete_what_does_not_fit() {
    let (s3, client) = start_small().await;
    let id = begin(&s3, &client, "k").await;
    let one = put_part(&s3, &client, "k", &id, 1, "aaaa").await;
    let two = put_part(&s3, &client, "k", &id, 2, "bbb").await;
    let three = put_part(&s3, &client, "k", &id, 3, "cccc").await;
    let complete = |parts: &[&CompletedPart]| {
        let parts: Vec<_> = parts.iter().copied().cloned().collect();
        completing(&s3, &client, "k", &id, &parts)
    };
    let changed = |part: &CompletedPart, etag: &str, sum: Option<String>| {
        CompletedPart::builder()
            .set_part_number(part.part_number())
            .e_tag(etag)
            .set_checksum_crc64_nvme(sum)
            .build()
    };
    let wrong_etag = changed(&one, "\"00000000000000000000000000000000\"", None);
    let wrong_sum = changed(&one, one.e_tag().unwrap(), Some(crc64nvme(b"zzzz")));
    let absent = CompletedPart::builder()
        .part_number(9)
        .e_tag("\"x\"")
        .build();
    for (request, code) in [
        (complete(&[]), "MalformedXML"),
        (complete(&[&two, &one]), "InvalidPartOrder"),
        (complete(&[&one, &one]), "InvalidPartOrder"),
        (complete(&[&wrong_etag]), "InvalidPart"),
        (complete(&[&wrong_sum]), "InvalidPart"),
        (complete(&[&one, &absent]), "InvalidPart"),
        (complete(&[&one, &two, &three]), "EntityTooSmall"),
        (complete(&[&one, &two]).mpu_object_size(8), "InvalidRequest"),
        (
            complete(&[&one, &two]).checksum_crc64_nvme(crc64nvme(b"aaaa")),
            "BadDigest",
        ),
        (
            complete(&[&one, &two]).checksum_type(ChecksumType::Composite),
            "InvalidRequest",
        ),
    ] {
        assert_eq!(failure(request.send().await), refused(400, code));
    }
    s3.put("k", "somebody else's");
    let taken = complete(&[&one, &two]).if_none_match("*").send().await;
    assert_eq!(failure(taken), refused(412, "PreconditionFailed"));
    assert_eq!(s3.uploads().len(), 1, "the upload stays");
    s3.remove("k");
    complete(&[&one, &two])
        .if_none_match("*")
        .send()
        .await
        .unwrap();
    assert_eq!(s3.object("k").unwrap().body, "aaaabbb");
}

#[tokio::test]
async fn refuses_wrong_parts_and_uploads() {
    let (s3, client) = start().await;
    let id = begin(&s3, &client, "k").await;
    let part = |key: &str, id: &str, number: i32, algorithm: ChecksumAlgorithm| {
        let part = client.upload_part().bucket(s3.bucket()).key(key);
        let part = part.upload_id(id).part_number(number);
        let part = part.checksum_algorithm(algorithm);
        part.body(ByteStream::from_static(b"hello")).send()
    };
    let agreed = || ChecksumAlgorithm::Crc64Nvme;
    for number in [0, 10_001] {
        assert_eq!(
            failure(part("k", &id, number, agreed()).await),
            refused(400, "InvalidArgument")
        );
    }
    for (key, id) in [("other", id.as_str()), ("k", "unknown")] {
        assert_eq!(
            failure(part(key, id, 1, agreed()).await),
            refused(404, "NoSuchUpload")
        );
    }
    assert_eq!(
        failure(part("k", &id, 1, ChecksumAlgorithm::Crc32).await),
        refused(400, "InvalidRequest")
    );
    part("k", &id, 10_000, agreed()).await.unwrap();

    // The SDK adds a CRC32 to parts even if the upload has no algorithm.
    let plain = client
        .create_multipart_upload()
        .bucket(s3.bucket())
        .key("k");
    let plain = plain.send().await.unwrap().upload_id.unwrap();
    let mixed = client.upload_part().bucket(s3.bucket()).key("k");
    let mixed = mixed.upload_id(plain).part_number(1);
    let mixed = mixed.body(ByteStream::from_static(b"x")).send().await;
    assert_eq!(failure(mixed), refused(400, "InvalidRequest"));

    let composite = client
        .create_multipart_upload()
        .bucket(s3.bucket())
        .key("k");
    let composite = composite.checksum_algorithm(agreed());
    let composite = composite
        .checksum_type(ChecksumType::Composite)
        .send()
        .await;
    assert_eq!(failure(composite), refused(400, "InvalidRequest"));

    let abort = || client.abort_multipart_upload().bucket(s3.bucket()).key("k");
    abort().upload_id(&id).send().await.unwrap();
    assert_eq!(
        failure(abort().upload_id(&id).send().await),
        refused(404, "NoSuchUpload")
    );
    let foreign = s3.begin("k");
    s3.abort(&foreign);
    let gone = part("k", &foreign, 1, agreed()).await;
    assert_eq!(failure(gone), refused(404, "NoSuchUpload"));
}

#[tokio::test]
async fn pages_parts() {
    let settings = Settings {
        page_size: 2,
        ..Settings::default()
    };
    let (s3, client) = start_with(settings).await;
    let id = begin(&s3, &client, "k").await;
    for number in [5, 1, 4, 2, 3] {
        put_part(
            &s3,
            &client,
            "k",
            &id,
            number,
            vec![0; usize::try_from(number).unwrap()],
        )
        .await;
    }
    let list = || {
        let list = client.list_parts().bucket(s3.bucket()).key("k");
        list.upload_id(&id)
    };
    let page = list().max_parts(1000).send().await.unwrap();
    assert_eq!(page.is_truncated(), Some(true));
    assert_eq!(page.next_part_number_marker(), Some("2"));
    assert_eq!(
        page.checksum_algorithm(),
        Some(&ChecksumAlgorithm::Crc64Nvme)
    );
    assert_eq!(page.checksum_type(), Some(&ChecksumType::FullObject));
    let first = &page.parts()[0];
    let sum = crc64nvme(&[0]);
    assert_eq!(first.checksum_crc64_nvme(), Some(sum.as_str()));
    assert_eq!(first.e_tag(), Some(s3.uploads()[0].parts[&1].etag.as_str()));
    let rest = list().part_number_marker("4").send().await.unwrap();
    assert_eq!(rest.is_truncated(), Some(false));

    let mut seen = Vec::new();
    let mut pages = list().into_paginator().send();
    while let Some(page) = pages.next().await {
        for part in page.unwrap().parts() {
            seen.push((part.part_number().unwrap(), part.size().unwrap()));
        }
    }
    assert_eq!(seen, [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5)]);
}

#[tokio::test]
async fn can_hide_part_checksums() {
    let settings = Settings {
        part_checksums: false,
        ..Settings::default()
    };
    let (s3, client) = start_with(settings).await;
    let id = begin(&s3, &client, "k").await;
    let part = put_part(&s3, &client, "k", &id, 1, "hello").await;
    let list = client.list_parts().bucket(s3.bucket()).key("k");
    let list = list.upload_id(&id).send().await.unwrap();
    assert_eq!(list.parts()[0].checksum_crc64_nvme(), None);
    assert_eq!(list.parts()[0].e_tag(), part.e_tag());
    let complete = completing(&s3, &client, "k", &id, &[part]);
    let complete = complete.checksum_crc64_nvme(crc64nvme(b"hello"));
    complete.send().await.unwrap();
}

#[tokio::test]
async fn pages_uploads() {
    let settings = Settings {
        page_size: 2,
        ..Settings::default()
    };
    let (s3, client) = start_with(settings).await;
    let mut begun = Vec::new();
    for key in ["k", "k", "k", "kk", "other"] {
        begun.push((key.to_owned(), s3.begin(key)));
    }
    begun.pop();
    begun.sort();
    let mut seen = Vec::new();
    let mut markers = (None, None);
    loop {
        let page = client.list_multipart_uploads().bucket(s3.bucket());
        let page = page.prefix("k").set_key_marker(markers.0);
        let page = page.set_upload_id_marker(markers.1).send().await.unwrap();
        assert!(page.uploads().len() <= 2);
        for upload in page.uploads() {
            assert!(upload.initiated().is_some());
            let (key, id) = (upload.key().unwrap(), upload.upload_id().unwrap());
            seen.push((key.to_owned(), id.to_owned()));
        }
        if page.is_truncated() != Some(true) {
            break;
        }
        markers = (page.next_key_marker, page.next_upload_id_marker);
    }
    assert_eq!(seen, begun);
}

#[tokio::test]
async fn pages_objects() {
    let settings = Settings {
        page_size: 2,
        ..Settings::default()
    };
    let (s3, client) = start_with(settings).await;
    for key in ["a/1", "a/2", "a/3", "b", "c/1", "c/2", "d", "e"] {
        s3.put(key, key);
    }
    let list = || client.list_objects_v2().bucket(s3.bucket());
    let mut all = Vec::new();
    let mut folders = Vec::new();
    for (seen, list) in [(&mut all, list()), (&mut folders, list().delimiter("/"))] {
        let mut pages = list.into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.unwrap();
            assert!(page.contents().len() + page.common_prefixes().len() <= 2);
            let mut names: Vec<_> = page
                .contents()
                .iter()
                .filter_map(|object| object.key())
                .chain(page.common_prefixes().iter().filter_map(|one| one.prefix()))
                .map(str::to_owned)
                .collect();
            names.sort();
            seen.extend(names);
        }
    }
    assert_eq!(all, ["a/1", "a/2", "a/3", "b", "c/1", "c/2", "d", "e"]);
    assert_eq!(folders, ["a/", "b", "c/", "d", "e"]);

    let keys = |page: aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output| {
        let keys = page.contents().iter().filter_map(|object| object.key());
        keys.map(str::to_owned).collect::<Vec<_>>()
    };
    let under = list().prefix("a/").start_after("a/1").send().await.unwrap();
    assert_eq!(keys(under), ["a/2", "a/3"]);
    let one = list().max_keys(1).send().await.unwrap();
    assert_eq!(one.is_truncated(), Some(true));
    assert_eq!(keys(one), ["a/1"]);
    let wrong = list().continuation_token("?").send().await;
    assert_eq!(failure(wrong), refused(400, "InvalidArgument"));
}

#[tokio::test]
async fn opaque_etags_differ_for_the_same_bytes() {
    let settings = Settings {
        etags: Etags::Opaque,
        ..Settings::default()
    };
    let (s3, client) = start_with(settings).await;
    let id = begin(&s3, &client, "k").await;
    let stale = put_part(&s3, &client, "k", &id, 1, "hello").await;
    let part = put_part(&s3, &client, "k", &id, 1, "hello").await;
    assert_ne!(stale.e_tag(), part.e_tag());
    let refusal = completing(&s3, &client, "k", &id, &[stale]).send().await;
    assert_eq!(failure(refusal), refused(400, "InvalidPart"));
    completing(&s3, &client, "k", &id, &[part])
        .send()
        .await
        .unwrap();
    assert!(s3.object("k").unwrap().etag.ends_with("-1\""));
}

#[tokio::test]
async fn bodies_need_not_be_kept() {
    let settings = Settings {
        keep_bodies: false,
        ..Settings::default()
    };
    let (s3, client) = start_with(settings).await;
    let id = begin(&s3, &client, "k").await;
    let part = put_part(&s3, &client, "k", &id, 1, "hello").await;
    completing(&s3, &client, "k", &id, &[part])
        .send()
        .await
        .unwrap();
    let object = s3.object("k").unwrap();
    assert_eq!((object.size, object.body.len()), (5, 0));
    assert_eq!(object.crc64nvme, Some(crc64nvme(b"hello")));
    let get = client
        .get_object()
        .bucket(s3.bucket())
        .key("k")
        .send()
        .await;
    assert_eq!(failure(get), refused(501, "NotImplemented"));
    let note = client.put_object().bucket(s3.bucket()).key("note");
    let note = note.body(ByteStream::from_static(b"small"));
    note.send().await.unwrap();
    assert_eq!(s3.object("note").unwrap().body, "small");
}

#[tokio::test]
async fn records_calls() {
    let (s3, client) = start_small().await;
    let id = begin(&s3, &client, "a b").await;
    let part = put_part(&s3, &client, "a b", &id, 7, "hello").await;
    let list = client.list_parts().bucket(s3.bucket()).key("a b");
    list.upload_id(&id).send().await.unwrap();
    let list = client.list_multipart_uploads().bucket(s3.bucket());
    list.prefix("a b").send().await.unwrap();
    completing(&s3, &client, "a b", &id, &[part])
        .send()
        .await
        .unwrap();
    let abort = client
        .abort_multipart_upload()
        .bucket(s3.bucket())
        .key("a b");
    abort.upload_id(&id).send().await.unwrap_err();
    let list = client.list_objects_v2().bucket(s3.bucket());
    list.send().await.unwrap();
    let put = client.put_object().bucket(s3.bucket()).key("a b");
    put.send().await.unwrap();
    let head = client.head_object().bucket(s3.bucket()).key("a b");
    head.send().await.unwrap();
    let get = client.get_object().bucket(s3.bucket()).key("a b");
    get.send().await.unwrap();
    let delete = client.delete_object().bucket(s3.bucket()).key("a b");
    delete.send().await.unwrap();

    let calls = s3.calls();
    let names: Vec<_> = calls
        .iter()
        .map(|call| (call.operation, call.status.unwrap()))
        .collect();
    assert_eq!(
        names,
        [
            ("CreateMultipartUpload", 200),
            ("UploadPart", 200),
            ("ListParts", 200),
            ("ListMultipartUploads", 200),
            ("CompleteMultipartUpload", 200),
            ("AbortMultipartUpload", 404),
            ("ListObjectsV2", 200),
            ("PutObject", 200),
            ("HeadObject", 200),
            ("GetObject", 200),
            ("DeleteObject", 204),
        ]
    );
    assert!(calls.iter().map(|call| call.number).eq(0..11));
    let part = &calls[1];
    assert_eq!(part.key.as_deref(), Some("a b"));
    assert_eq!(part.upload_id, Some(id));
    assert_eq!(part.part_number, Some(7));
    assert_eq!(calls[3].key, None);
    assert!(calls[3].query.contains("prefix=a%20b"));
    s3.clear_calls();
    assert!(s3.calls().is_empty());
}

#[tokio::test]
async fn fails_on_purpose() {
    let (s3, client) = start_small().await;
    let put = || {
        let put = client.put_object().bucket(s3.bucket()).key("k");
        put.body(ByteStream::from(vec![7; MIB])).send()
    };
    let status = 503;
    s3.inject(move |_| {
        Some(Fault::Refuse {
            status,
            code: "SlowDown",
        })
    });
    assert_eq!(failure(put().await), refused(503, "SlowDown"));
    assert!(s3.objects().is_empty());
    assert_eq!(s3.received("k"), MIB as u64);

    s3.inject(|_| Some(Fault::CutBody { after: 300_000 }));
    assert_eq!(failure(put().await), refused(0, ""));
    assert!(s3.objects().is_empty());
    let cut = s3.received("k") - MIB as u64;
    assert!((300_000..MIB as u64).contains(&cut), "{cut}");

    s3.inject(|_| Some(Fault::Hang(Duration::from_millis(20))));
    assert_eq!(failure(put().await), refused(0, ""));
    assert!(s3.objects().is_empty());

    s3.inject(|call| (call.operation == "PutObject").then_some(Fault::LoseAnswer));
    assert_eq!(failure(put().await), refused(0, ""));
    assert_eq!(s3.object("k").unwrap().size, MIB as u64);
    assert_eq!(s3.calls().last().unwrap().status, None);

    s3.heal();
    let id = begin(&s3, &client, "k").await;
    let part = put_part(&s3, &client, "k", &id, 1, "hello").await;
    let once = AtomicBool::new(true);
    s3.inject(move |call| {
        let hit = call.operation == "CompleteMultipartUpload" && once.swap(false, Ordering::SeqCst);
        hit.then_some(Fault::OkWithError {
            code: "InternalError",
        })
    });
    let complete = || completing(&s3, &client, "k", &id, std::slice::from_ref(&part)).send();
    let (_, code) = failure(complete().await);
    assert_eq!(code, "InternalError");
    assert_eq!(s3.uploads().len(), 1);
    complete().await.unwrap();
    assert_eq!(s3.object("k").unwrap().body, "hello");
}

#[tokio::test]
async fn a_test_may_change_its_contents() {
    let (s3, client) = start().await;
    let object = Object {
        metadata: [("content-id".to_owned(), "theirs".to_owned())].into(),
        ..Object::new("theirs")
    };
    s3.put_object("k", object);
    let head = client.head_object().bucket(s3.bucket()).key("k");
    let head = head.send().await.unwrap();
    assert_eq!(head.metadata().unwrap()["content-id"], "theirs");
    assert_eq!(head.content_length(), Some(6));
}

#[tokio::test]
async fn stops_with_its_last_clone() {
    let (s3, client) = start().await;
    let clone = s3.clone();
    let list = || client.list_objects_v2().bucket("recordings").send();
    drop(s3);
    list().await.unwrap();
    drop(clone);
    assert_eq!(failure(list().await), refused(0, ""));
}
