use std::{fmt, sync::Arc};

use bytes::Bytes;
use hyper::{
    Method, Response, StatusCode,
    header::{ALLOW, AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG},
    http::request::Parts,
};
use tokio::time::sleep;

use super::{
    Document, Fault, Kind, Ranges, Request, bearer,
    body::{Body, Cut, Source},
    reply::Reply,
    request::seen,
    shared::{Shared, lock},
    signature::{self, Form},
    target::{Site, Target},
};

const PREVIEW_QUERY: &str = "api-version=2021-04-15-preview1";

/// The connection is to be closed without an answer.
#[derive(Debug)]
pub(super) struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("closed on purpose")
    }
}

impl std::error::Error for Closed {}

/// Records a request and answers it, truly or with the fault injected for it.
pub(super) async fn answer(
    shared: Arc<Shared>,
    tls: bool,
    cut: Cut,
    head: Parts,
) -> Result<Response<Body>, Closed> {
    let target = Target::parse(head.uri.path());
    let mut request = seen(&head, tls, &target);
    let entry = shared.record(&mut request);

    let reply = if let Some(site) = Site::of(&shared, &request) {
        match shared.fault(&request) {
            Some(Fault::Close) => return Err(Closed),
            Some(Fault::Hang(time)) => {
                sleep(time).await;
                return Err(Closed);
            }
            Some(Fault::Answer {
                status,
                headers,
                body,
            }) => Reply::scripted(status, headers, body),
            fault => {
                let ranges = !matches!(fault, Some(Fault::IgnoreRange | Fault::EndlessBody));
                truth(&shared, site, &target, &head, &request, ranges).with(fault)
            }
        }
    } else {
        let message = format!("{} is not served here", request.host);
        Reply::error(421, "Misdirected", &message, &request)
    };

    sleep(shared.settings.latency).await;
    shared.answered(entry, reply.status.as_u16());
    Ok(reply.response(Arc::clone(&shared.pace), cut))
}

/// What ACS would answer.
fn truth(
    shared: &Shared,
    site: Site,
    target: &Target,
    head: &Parts,
    request: &Request,
    ranges: bool,
) -> Reply {
    // A path of neither form may be signed in either.
    let form = target.form.unwrap_or_else(|| {
        if head.headers.contains_key("x-ms-host") {
            Form::Current
        } else {
            Form::Preview
        }
    });
    if let Err((status, message)) = authorized(shared, form, head) {
        return Reply::error(status, "Denied", &message, request);
    }

    let document = target.id.as_deref().and_then(|id| shared.document(id));
    let (Some(_), true, Some(document)) = (target.form, site.serves(form), document) else {
        return Reply::error(404, "NotFound", "there is no such document here", request);
    };
    if form == Form::Preview && head.uri.query() != Some(PREVIEW_QUERY) {
        let message = format!("the query is not {PREVIEW_QUERY}");
        return Reply::error(400, "UnsupportedApiVersion", &message, request);
    }
    let allowed = if target.kind == Kind::Delete {
        Method::DELETE
    } else {
        Method::GET
    };
    if head.method != allowed {
        let message = format!("{} is not allowed", head.method);
        return Reply::error(405, "MethodNotAllowed", &message, request)
            .header(ALLOW, allowed.as_str());
    }

    let metadata = &document.metadata;
    let (source, length, content_type, etag) = match target.kind {
        Kind::Delete => {
            shared.delete(&document.id);
            return Reply::new(StatusCode::OK, Source::Bytes(Bytes::new()), 0..0);
        }
        Kind::Metadata => (
            Source::Bytes(metadata.clone()),
            metadata.len() as u64,
            "application/json",
            None,
        ),
        Kind::Media | Kind::Other => {
            let media = document.media.clone();
            let content_type = document.content_type.as_deref();
            (
                Source::Media {
                    media,
                    sent: shared.sent(&document.id),
                },
                document.media.length(),
                content_type.unwrap_or_else(|| document.media.content_type()),
                document.etag.as_deref(),
            )
        }
    };
    let reply = content(&document, source, length, request, ranges);
    if !reply.status.is_success() {
        return reply;
    }
    let reply = reply.header(CONTENT_TYPE, content_type);
    match etag {
        Some(etag) => reply.header(ETAG, etag),
        None => reply,
    }
}

/// Whether the request has a credential that is good here; if not, the status and why.
fn authorized(shared: &Shared, form: Form, head: &Parts) -> Result<(), (u16, String)> {
    let authorization = head.headers.get(AUTHORIZATION);
    if authorization.is_some_and(|value| value.as_bytes().starts_with(b"Bearer ")) {
        return bearer::check(shared, form, head);
    }
    if lock(&shared.rules).without_keys {
        return Err((401, "access keys are disabled here".to_owned()));
    }
    signature::check(shared, form, head).map_err(|message| (401, message))
}

/// The range that was asked for, or everything.
fn content(
    document: &Document,
    source: Source,
    length: u64,
    request: &Request,
    ranges: bool,
) -> Reply {
    match (document.ranges, &request.range) {
        (Ranges::Honoured | Ranges::Shortened(_), Some(range)) if ranges => {
            match parse_range(range) {
                Some((start, _)) if start >= length => Reply::new(
                    StatusCode::RANGE_NOT_SATISFIABLE,
                    Source::Bytes(Bytes::new()),
                    0..0,
                )
                .header(CONTENT_RANGE, &format!("bytes */{length}")),
                Some((start, last)) => {
                    let most = match document.ranges {
                        Ranges::Shortened(most) => most.max(1),
                        _ => u64::MAX,
                    };
                    let last = last.min(length - 1).min(start.saturating_add(most - 1));
                    Reply::new(StatusCode::PARTIAL_CONTENT, source, start..last + 1)
                        .header(CONTENT_RANGE, &format!("bytes {start}-{last}/{length}"))
                }
                None => Reply::html(StatusCode::BAD_REQUEST),
            }
        }
        (Ranges::IgnoredWithoutLength, _) => {
            Reply::new(StatusCode::OK, source, 0..length).without(&CONTENT_LENGTH)
        }
        (Ranges::Honoured | Ranges::Shortened(_) | Ranges::Ignored, _) => {
            Reply::new(StatusCode::OK, source, 0..length)
        }
    }
}

/// First and last byte of `bytes=a-b` or `bytes=a-`.
fn parse_range(range: &str) -> Option<(u64, u64)> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let number = |digits: &str| {
        digits
            .bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| digits.parse().ok())?
    };
    let first = number(first)?;
    let last = if last.is_empty() {
        u64::MAX
    } else {
        number(last)?
    };
    (first <= last).then_some((first, last))
}
