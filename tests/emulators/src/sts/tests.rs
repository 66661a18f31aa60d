use super::*;
use crate::client::{Reply, ask};
use crate::entra::issuer;
use crate::entra::tokens::verified;
use crate::entra::{Application, Entra};

const TENANT: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";
const CLIENT: &str = "5e1f2a3b-86f1-41af-91ab-2d7cd011db47";

fn form(fields: &[(&str, &str)]) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(fields).finish()
}

#[tokio::test]
async fn an_unsigned_request_gets_no_token() {
    let sts = Sts::start().await;
    let body = form(&[("Action", "GetWebIdentityToken"), ("Version", VERSION)]);
    let reply = ask(&sts.endpoint(), "POST /", &[("host", "sts")], &body).await;
    let reply = reply.unwrap();
    assert_eq!(reply.status, 403);
    assert!(reply.body.contains("MissingAuthenticationToken"));
    assert_eq!((sts.calls().len(), sts.issued().len()), (1, 0));
}

#[test]
fn a_token_is_issued_only_for_a_call_that_the_template_allows() {
    let shared = Shared::default();
    let (head, ()) = hyper::Request::post("/").body(()).unwrap().into_parts();
    let good = [
        ("Action", "GetWebIdentityToken"),
        ("Version", VERSION),
        ("Audience.member.1", AUDIENCE),
        ("DurationSeconds", "60"),
        ("SigningAlgorithm", "RS256"),
    ];
    let status = |changed: Option<(&str, &str)>| {
        let mut form: BTreeMap<String, String> = good
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        if let Some((name, value)) = changed {
            form.insert(name.to_owned(), value.to_owned());
        }
        truth(&shared, &head, &form).status().as_u16()
    };
    assert_eq!(status(None), 200);
    let claims = verified(Sts::key(), &lock(&shared.issued)[0]).unwrap();
    for (claim, expected) in [("aud", AUDIENCE), ("iss", ISSUER), ("sub", ROLE)] {
        assert_eq!(claims[claim], expected);
    }
    for (changed, expected) in [
        (("Action", "GetCallerIdentity"), 400),
        (("Version", "2012-01-01"), 400),
        (("Audience.member.1", "api://another"), 403),
        (("Audience.member.2", "api://another"), 403),
        (("SigningAlgorithm", "ES384"), 403),
        (("DurationSeconds", "59"), 400),
        (("DurationSeconds", "61"), 403),
        (("DurationSeconds", "3601"), 400),
    ] {
        assert_eq!(status(Some(changed)), expected, "{changed:?}");
    }
}

async fn exchange(entra: &Entra, path: &str, fields: &[(&str, &str)]) -> Reply {
    let headers = [
        ("host", "entra"),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    let line = format!("POST {path}");
    let reply = ask(&entra.authority(), &line, &headers, &form(fields)).await;
    reply.unwrap()
}

/// A tenant whose application trusts the tokens of STS.
async fn trusting() -> Entra {
    let entra = Entra::start(TENANT).await;
    entra.register(Application {
        client: CLIENT.to_owned(),
        issuer: ISSUER.to_owned(),
        subject: ROLE.to_owned(),
        audience: AUDIENCE.to_owned(),
        key: Sts::key(),
        lifetime: Duration::from_hours(1),
    });
    entra
}

#[tokio::test]
async fn entra_accepts_only_the_assertion_that_the_application_trusts() {
    let entra = trusting().await;
    let shared = Shared::default();
    let asked =
        |audience: &str| BTreeMap::from([("Audience.member.1".to_owned(), audience.to_owned())]);
    let assertion = issue(&shared, 60, &asked(AUDIENCE));
    let for_another = issue(&shared, 60, &asked("api://another"));
    let by_another = SigningKey::shared(0).token(&json!({"iss": ISSUER}));
    shared.ahead.store(-3600, Ordering::Relaxed);
    let old = issue(&shared, 60, &asked(AUDIENCE));
    shared.ahead.store(3600, Ordering::Relaxed);
    let early = issue(&shared, 60, &asked(AUDIENCE));
    let good = [
        ("grant_type", "client_credentials"),
        ("client_id", CLIENT),
        (
            "client_assertion_type",
            "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        ),
        ("client_assertion", assertion.as_str()),
        ("scope", "https://communication.azure.com//.default"),
    ];
    let path = issuer::path(TENANT);
    let reply = exchange(&entra, &path, &good).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    let claims = verified(Entra::key(), &entra.issued()[0]).unwrap();
    assert_eq!(
        (&claims["aud"], &claims["appid"]),
        (&json!(issuer::ACS), &json!(CLIENT))
    );
    for (name, value, code) in [
        ("grant_type", "password", "70003"),
        ("client_id", TENANT, "700016"),
        (
            "scope",
            "https://communication.azure.com/.default",
            "1002012",
        ),
        ("client_assertion_type", "jwt", "7000216"),
        ("client_assertion", "a.b.c", "700027"),
        ("client_assertion", by_another.as_str(), "700027"),
        ("client_assertion", for_another.as_str(), "700212"),
        ("client_assertion", old.as_str(), "700024"),
        ("client_assertion", early.as_str(), "700024"),
    ] {
        let mut fields = good;
        let field = fields.iter_mut().find(|(known, _)| *known == name);
        field.unwrap().1 = value;
        let reply = exchange(&entra, &path, &fields).await;
        assert!(reply.status == 400 || reply.status == 401, "{name}");
        assert!(
            reply.body.contains(&format!("AADSTS{code}:")),
            "{}",
            reply.body
        );
    }
    let elsewhere = exchange(&entra, &issuer::path("common"), &good).await;
    assert!(elsewhere.body.contains("AADSTS90002:"));
    assert_eq!((entra.issued().len(), entra.asked().len()), (1, 10));
}
