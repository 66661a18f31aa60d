//! The bodies that are streamed to S3: their encoding, signature and SDK headers.

use acs_recording_archiver::config::Settings;
use acs_recording_archiver::function::Function;
use acs_recording_archiver::limits::Limits;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use emulators::certificates::Authority;
use emulators::s3::{self, Call};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use harness::embedded::{Setup, client_to, environment, sdk};
use harness::world::{Recording, World};

const MIB: u64 = 1024 * 1024;

/// Parts of 16 MiB, as deployed.
fn setup() -> Setup {
    Setup {
        s3: s3::Settings::default(),
        limits: Limits::default(),
        ..Setup::default()
    }
}

/// Streamed as parts of 16 MiB and 1 byte, and as small objects of 16 MiB and 1 byte.
fn recording() -> Recording {
    Recording::of(&[16 * MIB + 1, 16 * MIB, 1])
}

/// The calls that streamed media.
fn streamed(world: &World, recording: &Recording) -> Vec<Call> {
    let media = |chunk| Some(recording.media_key(chunk));
    let media: Vec<_> = recording.chunks.iter().map(media).collect();
    let streams = |call: &Call| matches!(call.operation, "UploadPart" | "PutObject");
    let calls = world.s3.calls().into_iter();
    calls
        .filter(|call| streams(call) && media.contains(&call.key))
        .collect()
}

fn header<'a>(call: &'a Call, name: &str) -> &'a str {
    call.headers
        .get(name)
        .map_or("", |value| value.to_str().unwrap())
}

/// Asserts that each body was one block with a trailer, and that the SDK made the rest.
fn assert_encoded(world: &World, recording: &Recording) {
    let calls = streamed(world, recording);
    let mut lengths = vec![];
    for call in &calls {
        assert_eq!(
            header(call, "x-amz-content-sha256"),
            "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
        );
        assert_eq!(header(call, "content-encoding"), "aws-chunked");
        assert_eq!(header(call, "x-amz-trailer"), "x-amz-checksum-crc64nvme");
        assert_eq!(header(call, "x-amz-sdk-checksum-algorithm"), "CRC64NVME");
        let length: u64 = header(call, "x-amz-decoded-content-length")
            .parse()
            .unwrap();
        let line = format!("{length:X}\r\n").len() as u64;
        let trailer = "\r\n0\r\nx-amz-checksum-crc64nvme:AAAAAAAAAAA=\r\n\r\n".len() as u64;
        let encoded = (line + length + trailer).to_string();
        assert_eq!(header(call, "content-length"), encoded);
        lengths.push(length);

        let authorization = header(call, "authorization");
        for name in [
            "content-encoding",
            "content-length",
            "x-amz-decoded-content-length",
            "x-amz-trailer",
        ] {
            assert!(
                authorization.contains(name),
                "{name} is not signed: {authorization}"
            );
        }
        assert_eq!(header(call, "amz-sdk-request"), "attempt=1; max=1");
        assert_eq!(agent(call), agent(&world.s3.calls()[0]));
    }
    lengths.sort_unstable();
    assert_eq!(lengths, [1, 1, 16 * MIB, 16 * MIB]);
}

/// The user agent without the SDK's metrics, which differ by call.
fn agent(call: &Call) -> &str {
    let agent = header(call, "user-agent");
    assert!(agent.starts_with("aws-sdk-rust/"), "{agent}");
    agent.split(" m/").next().unwrap()
}

#[tokio::test]
async fn a_streamed_body_is_one_block_with_a_trailer() {
    let world = World::with(setup()).await;
    let recording = recording();
    recording.publish(&world);
    assert_eq!(world.deliver(&recording.event(&world)).await.status, 200);
    world.assert_archived(&recording);
    assert_encoded(&world, &recording);
}

#[tokio::test]
async fn a_streamed_body_over_https_is_one_block_with_a_trailer() {
    let world = World::with(setup()).await;
    let authority = Authority::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut tunnels = JoinSet::new();
    tunnels.spawn(terminate(
        listener,
        TlsAcceptor::from(authority.server(&["localhost"])),
        world.s3.endpoint(),
    ));

    let trusted = TrustStore::empty().with_pem_certificate(authority.pem());
    let tls = TlsContext::builder()
        .with_trust_store(trusted)
        .build()
        .unwrap();
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .tls_context(tls)
        .build_https();
    let sdk = sdk(&world.s3).await.into_builder();
    let sdk = sdk
        .http_client(http)
        .endpoint_url(format!("https://localhost:{port}"))
        .build();
    let settings = Settings::new(&sdk, environment(&world.s3, &world.acs, &[]));
    let acs = client_to(&world.acs).no_proxy().build().unwrap();
    let function = Function::start(settings, sdk, acs, Limits::default()).await;
    let world = World::over(&world, function.unwrap());

    let recording = recording();
    recording.publish(&world);
    assert_eq!(world.deliver(&recording.event(&world)).await.status, 200);
    world.assert_archived(&recording);
    assert_encoded(&world, &recording);
    let host = format!("localhost:{port}");
    assert!(
        world
            .s3
            .calls()
            .iter()
            .all(|call| header(call, "host") == host)
    );
}

/// Terminates the TLS of each connection, and forwards its bytes.
async fn terminate(listener: TcpListener, tls: TlsAcceptor, endpoint: String) {
    let address = endpoint.trim_start_matches("http://").to_owned();
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let (tls, address) = (tls.clone(), address.clone());
        connections.spawn(async move {
            let mut client = tls.accept(client).await?;
            let mut server = TcpStream::connect(address).await?;
            copy_bidirectional(&mut client, &mut server).await
        });
    }
}
