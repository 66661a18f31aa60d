//! The hosts that receive a signature or a token: ACS and no other.
//!
//! Each test runs with both kinds of credential. Every name except the media host's resolves to
//! listeners, which must receive no request.

mod places;

use std::collections::BTreeSet;
use std::net::SocketAddr;

use acs_recording_archiver::acs::http_client;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use emulators::acs::{Acs, Fault, Kind, Request};
use reqwest::Certificate;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use ring::hmac;
use serde_json::{Value, json};
use tokio_rustls::TlsAcceptor;

use crate::keyless::{Credential, Issuers};
use crate::listener::{Listener, answer};
use harness::embedded::{RESOURCE, Setup, function_over};
use harness::world::{Form, Recording, World, setup};
use places::{HOSTILE, ODD};

const MEDIA: &str = "eus-prod.asm.skype.com";
const EVIL: &str = "evil.example.com";
/// The locations in an event.
const LOCATIONS: [&str; 2] = ["contentLocation", "metadataLocation"];
const REDIRECTS: [u16; 5] = [301, 302, 303, 307, 308];
/// Other media hosts, for chains of redirects.
const HOPS: [&str; 4] = [
    "one.asm.skype.com",
    "two.asm.skype.com",
    "three.asyncgw.teams.microsoft.com",
    "four.ams.gov.teams.microsoft.us",
];

/// A world whose media hosts resolve to ACS, and all other names to listeners.
struct Trap {
    world: World,
    /// The issuers of the downloads' tokens, if downloads use tokens.
    issuers: Option<Issuers>,
    plain: Listener,
    tls: Listener,
}

struct Names {
    acs: SocketAddr,
    elsewhere: SocketAddr,
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let is_acs = name.as_str() == MEDIA || HOPS.contains(&name.as_str());
        let address = if is_acs { self.acs } else { self.elsewhere };
        let addresses: Addrs = Box::new(std::iter::once(address));
        Box::pin(std::future::ready(Ok(addresses)))
    }
}

impl Trap {
    /// One for each kind of credential.
    async fn both() -> [Self; 2] {
        Self::both_with(&[]).await
    }

    async fn both_with(variables: &[(&'static str, String)]) -> [Self; 2] {
        let [first, second] = Credential::BOTH;
        [
            Self::set_with(first, variables).await,
            Self::set_with(second, variables).await,
        ]
    }

    async fn set_with(credential: Credential, variables: &[(&'static str, String)]) -> Self {
        let mut setup = setup();
        setup.limits.attempts = 1;
        setup.acs.more_names = HOPS.map(str::to_owned).to_vec();
        let world = World::with(Setup { ..setup }).await;
        let acs = &world.acs;
        let nothing = |_: &str| answer(404, "", "");
        let certificate = acs.authority().server(&[EVIL, RESOURCE]);
        let tls = Listener::start(Some(TlsAcceptor::from(certificate)), nothing).await;
        let plain = Listener::start(None, nothing).await;
        let issuers = match credential {
            Credential::AccessKey => None,
            Credential::Token => Some(Issuers::start().await),
        };
        if let Some(issuers) = &issuers {
            issuers.admit_to(acs);
        }
        let trap = Self {
            world: world.clone(),
            issuers,
            plain,
            tls,
        };
        let http = client(acs, trap.tls.address());
        let world = trap.over(http, variables).await;
        Self { world, ..trap }
    }

    /// The world with another instance, over another client to ACS.
    async fn over(
        &self,
        http: reqwest::ClientBuilder,
        variables: &[(&'static str, String)],
    ) -> World {
        let (s3, acs) = (&self.world.s3, &self.world.acs);
        let mut limits = setup().limits;
        limits.attempts = 1;
        let function = match &self.issuers {
            None => function_over(s3, acs, http, limits, variables).await,
            Some(issuers) => {
                issuers
                    .function_over(s3, acs, http, limits, variables)
                    .await
            }
        };
        World::over(&self.world, function)
    }

    /// Asserts that a request was authorized by its own signature, or by the token.
    fn assert_authorized(&self, request: &Request) {
        let authorization = &request.headers["authorization"];
        assert_eq!(request.headers["x-ms-host"], RESOURCE);
        let Some(issuers) = &self.issuers else {
            assert_eq!(*authorization, signature(request));
            return;
        };
        assert_eq!(
            *authorization,
            format!("Bearer {}", issuers.entra.issued()[0])
        );
        assert!(!request.headers.contains_key("x-ms-date"));
    }

    /// Asserts that a listener received a credential.
    fn assert_seen(&self, heads: &[String]) {
        let sign = match self.issuers {
            None => "Signature=",
            Some(_) => "Bearer eyJ",
        };
        assert!(heads.iter().any(|head| head.contains(sign)), "{heads:?}");
    }

    /// A place in the form that an event has.
    fn written(&self, place: &str) -> String {
        let port = |listener: &Listener| listener.address().port().to_string();
        place
            .replace("{tls}", &port(&self.tls))
            .replace("{plain}", &port(&self.plain))
    }

    /// Asserts that no host was called except the media host.
    fn assert_unseen(&self, tried: &str) {
        assert_eq!(self.plain.connections(), 0, "{tried:?}");
        assert_eq!(self.tls.connections(), 0, "{tried:?}");
        // The token was requested once, from AWS and Entra.
        if let Some(issuers) = &self.issuers {
            assert!(issuers.entra.asked().len() <= 1, "{tried:?}");
        }
        for request in self.world.acs.requests() {
            assert_eq!(
                (request.method.as_str(), request.host.as_str(), request.tls),
                ("GET", MEDIA, true),
                "{tried:?}"
            );
        }
    }
}

fn client(acs: &Acs, elsewhere: SocketAddr) -> reqwest::ClientBuilder {
    let authority = Certificate::from_pem(acs.ca_pem().as_bytes()).unwrap();
    let acs = acs.tls_address();
    http_client()
        .dns_resolver(Names { acs, elsewhere })
        .add_root_certificate(authority)
}

/// An event whose chunk has other locations.
fn event(world: &World, recording: &Recording, locations: &[(&str, &str)]) -> Value {
    let mut event = recording.event(world);
    let chunk = &mut event["data"]["recordingStorageInfo"]["recordingChunks"][0];
    for (name, location) in locations {
        chunk[name] = (*location).into();
    }
    event
}

fn hostile() -> impl Iterator<Item = &'static str> {
    HOSTILE.iter().flat_map(|(_, places)| *places).copied()
}

#[tokio::test]
async fn an_event_sends_no_credential_to_other_hosts() {
    for trap in Trap::both().await {
        let world = &trap.world;
        let recording = Recording::of(&[10]);
        recording.publish(world);
        let mut tried = 0;
        for place in hostile() {
            let place = trap.written(place);
            let [content, metadata] = LOCATIONS.map(|name| (name, place.as_str()));
            for locations in [vec![content], vec![metadata], vec![content, metadata]] {
                world.clear();
                let event = event(world, &recording, &locations);
                let response = world.deliver(&event).await;
                // The rejection is final at once, so nothing was requested.
                assert_eq!(response.status.code(), 200, "{place:?}: {response:?}");
                let outcome = response.outcome();
                assert_eq!(outcome, "setAside", "{place:?} in {locations:?}");
                // The other object is archived.
                assert_eq!(world.acs.requests().len(), 2 - locations.len(), "{place:?}");
                trap.assert_unseen(&place);
                tried += 1;
            }
        }
        println!("{tried} events in {} classes", HOSTILE.len());
    }
}

#[tokio::test]
async fn unusual_spellings_lead_to_the_media_host_alone() {
    for trap in Trap::both().await {
        let world = &trap.world;
        let recording = Recording::of(&[10]);
        recording.publish(world);
        let id = &recording.chunks[0].document_id;
        for place in ODD {
            world.clear();
            let location = |what: &str| place.replace("{id}", id).replace("{what}", what);
            let (content, metadata) = (location("video"), location("acsmetadata"));
            let locations = [
                ("contentLocation", content.as_str()),
                ("metadataLocation", &metadata),
            ];
            let response = world.deliver(&event(world, &recording, &locations)).await;
            assert_eq!(response.status.code(), 200, "{place:?}: {response:?}");
            world.assert_archived(&recording);
            trap.assert_unseen(place);
        }
    }
}

/// These names end like a media host, but no certificate can name them.
#[tokio::test]
async fn a_name_that_no_certificate_can_have_is_not_called() {
    for trap in Trap::both().await {
        let world = &trap.world;
        let recording = Recording::of(&[10]);
        recording.publish(world);
        for character in [
            ';', ',', '!', '$', '&', '\'', '(', '*', '+', '=', '~', '`', '{', '"',
        ] {
            world.clear();
            let place = format!("https://evil.example.com{character}.asm.skype.com/");
            let locations = LOCATIONS.map(|name| (name, place.as_str()));
            world.deliver(&event(world, &recording, &locations)).await;
            assert_eq!(world.acs.requests().len(), 0, "{place}");
            trap.assert_unseen(&place);
        }
    }
}

#[tokio::test]
async fn a_delete_location_is_never_called() {
    for trap in Trap::both().await {
        let world = &trap.world;
        let recording = Recording::of(&[10]);
        recording.publish(world);
        let id = &recording.chunks[0].document_id;
        let good = world.acs.delete_location(id);
        let places: Vec<String> = hostile().map(|place| trap.written(place)).collect();
        for place in places.into_iter().chain([good]) {
            world.clear();
            let event = event(world, &recording, &[("deleteLocation", &place)]);
            assert_eq!(world.deliver(&event).await.status, 200, "{place:?}");
            world.assert_archived(&recording);
            trap.assert_unseen(&place);
            assert_eq!(world.acs.requests().len(), 2, "{place:?}");
        }
        assert!(world.acs.holds(id), "the document was deleted");
    }
}

#[tokio::test]
async fn a_redirect_sends_no_credential_to_other_hosts() {
    for trap in Trap::both().await {
        let world = &trap.world;
        let recording = Recording::of(&[10]);
        recording.publish(world);
        let event = recording.event(world);
        let mut tried = 0;
        // Other places cannot be in a header.
        let printable = |place: &&str| place.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        for place in hostile().filter(printable) {
            let place = trap.written(place);
            for status in REDIRECTS {
                world.clear();
                let target = place.clone();
                world.acs.inject(move |request| {
                    let path = &request.path_and_query;
                    let original = path.starts_with("/v1/objects/0-eus-d0");
                    original.then(|| Fault::redirect(status, &target))
                });
                let response = world.deliver(&event).await;
                assert_eq!(response.status.code(), 503, "{status} to {place:?}");
                let requests = world.acs.requests();
                assert!(requests.len() >= 2, "{status} to {place:?} was answered");
                trap.assert_unseen(&place);
                tried += 1;
            }
        }
        println!("{tried} redirects");
    }
}

#[tokio::test]
async fn a_relative_redirect_stays_on_its_host() {
    for trap in Trap::both().await {
        let world = &trap.world;
        let recording = Recording::of(&[10]);
        recording.publish(world);
        let id = recording.chunks[0].document_id.clone();
        for target in [
            "/v1/objects/{id}/content/{what}",
            "../../{id}/content/{what}",
            "//eus-prod.asm.skype.com/v1/objects/{id}/content/{what}",
        ] {
            world.clear();
            let new = id.clone();
            world.acs.inject(move |request| {
                let what = match request.kind {
                    Kind::Media => "video",
                    _ => "acsmetadata",
                };
                let target = target.replace("{id}", &new).replace("{what}", what);
                let old = request.path_and_query.contains("/old/");
                old.then(|| Fault::redirect(307, &target))
            });
            let content = world.acs.content_location("old");
            let metadata = world.acs.metadata_location("old");
            let locations = [
                ("contentLocation", content.as_str()),
                ("metadataLocation", &metadata),
            ];
            let event = event(world, &recording, &locations);
            let response = world.deliver(&event).await;
            assert_eq!(response.status.code(), 200, "{target}");
            world.assert_archived(&recording.clone().told_by(&event));
            trap.assert_unseen(target);
            assert_eq!(world.acs.requests().len(), 4);
        }
    }
}

/// Redirects along [`HOPS`], the last one to the document.
fn error_chain(acs: &Acs, hops: usize) {
    let names: Vec<&str> = [MEDIA].into_iter().chain(HOPS).take(hops + 1).collect();
    acs.inject(move |request| {
        let place = names.iter().position(|name| *name == request.host);
        let next = names.get(place? + 1)?;
        // The path changes at each hop but the last, and with it the signature.
        let id = request.document.as_deref()?;
        let what = match request.kind {
            Kind::Media => "video",
            _ => "acsmetadata",
        };
        let location = format!("https://{next}/v1/objects/{id}/content/{what}?sig=hop");
        Some(Fault::redirect(302, &location))
    });
}

#[tokio::test]
async fn a_chain_of_three_hops_is_followed_and_each_is_authorized_anew() {
    for trap in Trap::both().await {
        let world = &trap.world;
        let recording = Recording::of(&[10]);
        recording.publish(world);
        error_chain(&world.acs, 3);
        assert_eq!(world.deliver(&recording.event(world)).await.status, 200);
        world.assert_archived(&recording);

        let requests = world.acs.requests();
        assert_eq!(requests.len(), 2 * (1 + 3));
        for request in &requests {
            trap.assert_authorized(request);
        }
        let hosts: BTreeSet<&str> = requests.iter().map(|one| one.host.as_str()).collect();
        let expected = [MEDIA].into_iter().chain(HOPS).take(4).collect();
        assert_eq!(hosts, expected);
    }
}

/// The signature that a request in the current form must have.
fn signature(request: &Request) -> String {
    let string = format!(
        "GET\n{}\n{};{RESOURCE};47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
        request.path_and_query, request.headers["x-ms-date"]
    );
    let key: Vec<u8> = (0..32).collect();
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), string.as_bytes());
    let signature = BASE64_STANDARD.encode(signature);
    format!("HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature={signature}")
}

#[tokio::test]
async fn a_fourth_hop_is_not_followed() {
    for trap in Trap::both().await {
        let world = &trap.world;
        let recording = Recording::of(&[10]);
        recording.publish(world);
        error_chain(&world.acs, 4);
        assert_eq!(world.deliver(&recording.event(world)).await.status, 503);
        let requests = world.acs.requests();
        assert_eq!(requests.len(), 2 * (1 + 3));
        assert!(requests.iter().all(|request| request.host != HOPS[3]));
    }
}

#[tokio::test]
async fn the_resource_may_redirect_to_a_media_host_alone() {
    for trap in Trap::both().await {
        let world = &trap.world;
        let recording = Recording::of(&[10]).in_form(Form::Preview2021);
        recording.publish(world);
        // The resource resolves to the emulator too, other names do not.
        let acs = world.acs.tls_address();
        let http = client(&world.acs, trap.tls.address()).resolve(RESOURCE, acs);
        let world = trap.over(http, &[]).await;
        let id = &recording.chunks[0].document_id;
        let media = |what: &str| format!("https://{MEDIA}/v1/objects/{id}/content/{what}");
        let (content, metadata) = (media("video"), media("acsmetadata"));
        world.acs.inject(move |request| {
            let target = match request.kind {
                Kind::Media => &content,
                _ => &metadata,
            };
            (request.host == RESOURCE).then(|| Fault::redirect(302, target))
        });
        assert_eq!(world.deliver(&recording.event(&world)).await.status, 200);
        world.assert_archived(&recording);

        for target in ["/identities/x", "https://evil.example.com/", "?x"] {
            world.clear();
            world
                .acs
                .inject(move |_| Some(Fault::redirect(302, target)));
            assert_eq!(world.deliver(&recording.event(&world)).await.status, 503);
            let requests = world.acs.requests();
            let expected = format!("/recording/download/{id}");
            for request in &requests {
                assert!(request.path_and_query.starts_with(&expected), "{request:?}");
                assert!(request.path_and_query.contains("api-version="));
            }
            assert_eq!((trap.tls.connections(), trap.plain.connections()), (0, 0));
        }
    }
}

/// The listeners do record what reaches them.
#[tokio::test]
async fn the_listeners_record_a_credential() {
    let suffixes = ("MEDIA_HOST_SUFFIXES", ".example.com".to_owned());
    for trap in Trap::both_with(&[suffixes]).await {
        let recording = Recording::of(&[10]);
        let locations = LOCATIONS.map(|name| (name, "https://evil.example.com/"));
        let event = event(&trap.world, &recording, &locations);
        trap.world.deliver(&event).await;
        assert_eq!(trap.tls.heads().len(), 2);
        trap.assert_seen(&trap.tls.heads());

        // Plain http is allowed if the resource itself has it, as only an emulator does.
        let endpoint = format!("http://{}", trap.plain.address());
        let elsewhere = match &trap.issuers {
            None => (
                "COMMUNICATION_SERVICES_CONNECTION_STRING",
                format!("endpoint={endpoint};accesskey=AAAA"),
            ),
            Some(_) => ("COMMUNICATION_SERVICES_ENDPOINT", endpoint),
        };
        let http = client(&trap.world.acs, trap.tls.address());
        let world = trap.over(http, &[elsewhere]).await;
        let recording = recording.in_form(Form::Preview2021);
        world.deliver(&json!([recording.event(&world)])).await;
        trap.assert_seen(&trap.plain.heads());
    }
}
