use std::{fmt, sync::Arc};

use bytes::Bytes;
use hyper::{
    Method, Response, StatusCode,
    header::{ALLOW, AUTHORIZATION},
    http::request::Parts,
};
use tokio::time::sleep;

use super::{
    Document, Fault, Kind, Request, bearer,
    body::{Body, Cut, Source},
    file::File,
    reply::Reply,
    request::seen,
    shared::Shared,
    signature::{self, Form},
    target::{Site, Target},
};
use crate::server::lock;

/// The query of every request to the resource in the form of the preview.
const PREVIEW_QUERY: &str = "api-version=2021-04-15-preview1";

/// The error that closes a connection without an answer.
#[derive(Debug)]
pub(super) struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("closed on purpose")
    }
}

impl std::error::Error for Closed {}

/// Records a request and answers it, with the fault injected for it.
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
                let asked = Asked {
                    shared: &shared,
                    site,
                    target: &target,
                    head: &head,
                    request: &request,
                };
                let ignored = matches!(fault, Some(Fault::IgnoreRange | Fault::EndlessBody));
                let range = request.range.as_deref().filter(|_| !ignored);
                asked.reply(range).with(fault)
            }
        }
    } else {
        let message = format!("{} is not served here", request.host);
        Reply::error(421, "Misdirected", &message, &request)
    };

    // The latency follows the choice of the fault, so that faults apply in the order of arrival.
    sleep(shared.settings.latency).await;
    shared.answered(entry, reply.status.as_u16());
    Ok(reply.response(Arc::clone(&shared.rate_limit), cut))
}

/// A request and the server that it came to.
struct Asked<'a> {
    shared: &'a Shared,
    site: Site,
    target: &'a Target,
    head: &'a Parts,
    request: &'a Request,
}

impl Asked<'_> {
    /// The reply of ACS to a request with this `Range`, or without.
    fn reply(&self, range: Option<&str>) -> Reply {
        let form = self.form();
        // Checked first, so that an unauthorized request learns nothing about documents.
        if let Err((status, message)) = self.authorized(form) {
            return self.error(status, "Denied", &message);
        }
        let Some(document) = self.document(form) else {
            return self.error(404, "NotFound", "there is no such document here");
        };
        if form == Form::Preview && self.head.uri.query() != Some(PREVIEW_QUERY) {
            let message = format!("the query is not {PREVIEW_QUERY}");
            return self.error(400, "UnsupportedApiVersion", &message);
        }
        let allowed = if self.target.kind == Kind::Delete {
            Method::DELETE
        } else {
            Method::GET
        };
        if self.head.method != allowed {
            let message = format!("{} is not allowed", self.head.method);
            let reply = self.error(405, "MethodNotAllowed", &message);
            return reply.header(ALLOW, allowed.as_str());
        }
        match self.target.kind {
            Kind::Delete => {
                self.shared.delete(&document.id);
                Reply::new(StatusCode::OK, Source::Bytes(Bytes::new()), 0..0)
            }
            Kind::Metadata => File::metadata(&document).reply(range),
            Kind::Media | Kind::Other => {
                let sent = self.shared.sent(&document.id);
                File::content(&document, sent).reply(range)
            }
        }
    }

    /// The form that the path wants; a path of neither form may be signed in either.
    fn form(&self) -> Form {
        self.target.form.unwrap_or_else(|| {
            if self.head.headers.contains_key("x-ms-host") {
                Form::Current
            } else {
                Form::Preview
            }
        })
    }

    /// Checks the request's credential; an error is the status and the reason.
    fn authorized(&self, form: Form) -> Result<(), (u16, String)> {
        let authorization = self.head.headers.get(AUTHORIZATION);
        if authorization.is_some_and(|value| value.as_bytes().starts_with(b"Bearer ")) {
            return bearer::check(self.shared, form, self.head);
        }
        if lock(&self.shared.rules).without_keys {
            return Err((401, "access keys are disabled here".to_owned()));
        }
        signature::check(self.shared, form, self.head).map_err(|message| (401, message))
    }

    /// The document that the path names, if this host serves it under this form.
    fn document(&self, form: Form) -> Option<Arc<Document>> {
        let document = self.shared.document(self.target.id.as_deref()?)?;
        (self.target.form.is_some() && self.site.serves(form)).then_some(document)
    }

    fn error(&self, status: u16, code: &str, message: &str) -> Reply {
        Reply::error(status, code, message, self.request)
    }
}
