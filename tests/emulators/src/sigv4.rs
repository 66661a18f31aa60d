//! AWS Signature Version 4, in the header `Authorization`.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use hmac::{Hmac, Mac as _};
use hyper::HeaderMap;
use hyper::http::request::Parts;
use sha2::Sha256;
use time::PrimitiveDateTime;
use time::format_description::FormatItem;
use time::macros::format_description;

use crate::hashes::{hex, sha256_hex};
use crate::headers::one;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const TERMINATOR: &str = "aws4_request";
const DATE: &[FormatItem<'_>] = format_description!("[year][month][day]T[hour][minute][second]Z");
/// The most that the date of a signature may differ from now.
const SKEW: Duration = Duration::from_mins(5);

/// The refusal of a request: the error code of AWS, and a reason for the reader of a test's output.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: &'static str,
    pub(crate) reason: String,
}

impl Refusal {
    fn new(code: &'static str, reason: impl Into<String>) -> Self {
        Self {
            code,
            reason: reason.into(),
        }
    }

    fn invalid(reason: impl Into<String>) -> Self {
        Self::new("InvalidSignatureException", reason)
    }

    fn incomplete(reason: impl Into<String>) -> Self {
        Self::new("IncompleteSignatureException", reason)
    }
}

/// The only valid credentials.
#[derive(Clone, Copy)]
pub(crate) struct Credentials<'a> {
    pub(crate) access_key_id: &'a str,
    pub(crate) secret_access_key: &'a str,
}

/// Checks that these credentials signed the request, now and for this service, and returns the
/// region that it was signed for.
pub(crate) fn check(
    credentials: Credentials<'_>,
    service: &str,
    now: SystemTime,
    head: &Parts,
    body: &[u8],
) -> Result<String, Refusal> {
    let authorization = Authorization::of(&head.headers)?;
    let date = one(&head.headers, "x-amz-date").map_err(Refusal::incomplete)?;
    let scope = &authorization.scope;
    if authorization.access_key_id != credentials.access_key_id
        || head.headers.contains_key("x-amz-security-token")
    {
        return Err(Refusal::new(
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
        ));
    }
    if scope.service != service || scope.terminator != TERMINATOR {
        return Err(Refusal::invalid(
            "the credential's scope is of another service",
        ));
    }
    // Otherwise a signing key, which is derived from the day, would sign for other days.
    if !date.starts_with(&scope.day) || scope.day.len() != 8 {
        return Err(Refusal::invalid("the credential's scope is of another day"));
    }
    check_date(now, date)?;
    check_signed_headers(&head.headers, &authorization.signed_headers)?;
    let expected = sign(
        credentials.secret_access_key,
        scope,
        date,
        &canonical_request(head, &authorization.signed_headers, body)?,
    );
    if authorization.signature == expected {
        Ok(scope.region.clone())
    } else {
        Err(Refusal::invalid(
            "The request signature we calculated does not match the signature you provided.",
        ))
    }
}

/// The parsed header `Authorization`.
struct Authorization {
    access_key_id: String,
    scope: Scope,
    signed_headers: Vec<String>,
    signature: String,
}

/// The scope of a signing key.
struct Scope {
    day: String,
    region: String,
    service: String,
    terminator: String,
}

impl Authorization {
    fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        if !headers.contains_key("authorization") {
            return Err(Refusal::new(
                "MissingAuthenticationTokenException",
                "Missing Authentication Token",
            ));
        }
        let value = one(headers, "authorization").map_err(Refusal::incomplete)?;
        Self::parse(value).ok_or_else(|| {
            Refusal::incomplete("the header authorization is not one of Signature Version 4")
        })
    }

    fn parse(value: &str) -> Option<Self> {
        let fields = value.strip_prefix(ALGORITHM)?.strip_prefix(' ')?;
        let mut fields = fields.split(',').map(str::trim);
        let credential = fields.next()?.strip_prefix("Credential=")?;
        let signed_headers = fields.next()?.strip_prefix("SignedHeaders=")?;
        let signature = fields.next()?.strip_prefix("Signature=")?;
        let mut credential = credential.split('/').map(str::to_owned);
        let access_key_id = credential.next()?;
        let scope = Scope {
            day: credential.next()?,
            region: credential.next()?,
            service: credential.next()?,
            terminator: credential.next()?,
        };
        (fields.next().is_none() && credential.next().is_none()).then(|| Self {
            access_key_id,
            scope,
            signed_headers: signed_headers.split(';').map(str::to_owned).collect(),
            signature: signature.to_owned(),
        })
    }
}

fn check_date(now: SystemTime, date: &str) -> Result<(), Refusal> {
    let instant = PrimitiveDateTime::parse(date, DATE)
        .map_err(|_| Refusal::incomplete(format!("x-amz-date is {date:?}")))?;
    let instant = SystemTime::from(instant.assume_utc());
    let skew = now
        .duration_since(instant)
        .unwrap_or_else(|error| error.duration());
    // The date is in whole seconds, so a signature made just now may be almost one second old.
    if skew.as_secs() > SKEW.as_secs() {
        return Err(Refusal::invalid(format!("{date} is too far from now")));
    }
    Ok(())
}

/// Checks that the host and every header of AWS are signed, as AWS requires: an unsigned header
/// could be changed on the way.
fn check_signed_headers(headers: &HeaderMap, signed: &[String]) -> Result<(), Refusal> {
    if !signed.is_sorted_by(|left, right| left < right) {
        return Err(Refusal::invalid("the signed headers are not in order"));
    }
    let of_aws = headers.keys().map(hyper::header::HeaderName::as_str);
    let of_aws = of_aws.filter(|name| name.starts_with("x-amz-"));
    for name in of_aws.chain(["host"]) {
        if !signed.iter().any(|signed| signed == name) {
            return Err(Refusal::invalid(format!("{name} is not signed")));
        }
    }
    Ok(())
}

fn canonical_request(head: &Parts, signed: &[String], body: &[u8]) -> Result<String, Refusal> {
    let mut request = format!("{}\n{}\n", head.method, head.uri.path());
    // AWS sorts the query. The requests of the services emulated here have none.
    request.push_str(head.uri.query().unwrap_or_default());
    request.push('\n');
    for name in signed {
        let value = one(&head.headers, name).map_err(Refusal::invalid)?;
        let words: Vec<&str> = value.split(' ').filter(|word| !word.is_empty()).collect();
        let _ = writeln!(request, "{name}:{}", words.join(" "));
    }
    let _ = write!(request, "\n{}\n{}", signed.join(";"), sha256_hex(body));
    Ok(request)
}

fn sign(secret_access_key: &str, scope: &Scope, date: &str, canonical_request: &str) -> String {
    let Scope {
        day,
        region,
        service,
        terminator,
    } = scope;
    let mut key = format!("AWS4{secret_access_key}").into_bytes();
    for step in [day, region, service, terminator] {
        key = hmac(&key, step);
    }
    let hash = sha256_hex(canonical_request);
    let string_to_sign =
        format!("{ALGORITHM}\n{date}\n{day}/{region}/{service}/{terminator}\n{hash}");
    hex(&hmac(&key, &string_to_sign))
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The credentials in the documentation of AWS.
    const CREDENTIALS: Credentials<'_> = Credentials {
        access_key_id: "AKIDEXAMPLE",
        secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
    };
    const BODY: &str = r#"{"SecretId":"archiver"}"#;

    fn head(request: hyper::http::request::Builder) -> Parts {
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn the_known_answers_of_aws() {
        let scope = Scope {
            day: "20150830".to_owned(),
            region: "us-east-1".to_owned(),
            service: "service".to_owned(),
            terminator: TERMINATOR.to_owned(),
        };
        let date = "20150830T123600Z";
        let signed = ["host", "x-amz-date"].map(str::to_owned);
        let get = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";
        let post = "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b";
        for (method, expected) in [("GET", get), ("POST", post)] {
            let head = hyper::Request::builder()
                .method(method)
                .uri("/")
                .header("host", "example.amazonaws.com")
                .header("x-amz-date", date);
            let request = canonical_request(&self::head(head), &signed, b"").unwrap();
            let actual = sign(CREDENTIALS.secret_access_key, &scope, date, &request);
            assert_eq!(actual, expected, "{method}");
        }
    }

    #[test]
    fn a_known_request_is_accepted_only_as_it_was_signed() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_447_234);
        let authorization = "AWS4-HMAC-SHA256 \
            Credential=AKIDEXAMPLE/20261123/eu-central-1/secretsmanager/aws4_request, \
            SignedHeaders=content-type;host;x-amz-date;x-amz-target, \
            Signature=78074e223e0181663adac80bd341d36ab1e6060bc3ac323c090ccdb928298fce";
        let signed = hyper::Request::builder()
            .method("POST")
            .uri("/")
            .header("host", "secretsmanager.eu-central-1.amazonaws.com")
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", "secretsmanager.GetSecretValue")
            .header("x-amz-date", "20261123T152034Z")
            .header("authorization", authorization);
        let mut head = head(signed);
        let check = |head: &Parts, body: &str, now| {
            let checked = check(CREDENTIALS, "secretsmanager", now, head, body.as_bytes());
            checked.map_err(|refusal| refusal.code)
        };
        assert_eq!(check(&head, BODY, now), Ok("eu-central-1".to_owned()));
        let invalid = Err("InvalidSignatureException");
        assert_eq!(check(&head, &BODY.to_uppercase(), now), invalid);
        assert_eq!(check(&head, BODY, now + SKEW + SKEW), invalid);
        assert_eq!(check(&head, BODY, now - SKEW - SKEW), invalid);
        head.method = hyper::Method::GET;
        assert_eq!(check(&head, BODY, now), invalid);
    }
}
