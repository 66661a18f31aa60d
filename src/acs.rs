//! The ACS client: authorized GETs of a recording's media and metadata. Each reply is verified
//! against its request.
//!
//! The HTTP client follows no redirect and decodes nothing. This module follows redirects, only to
//! allowed locations, and authorizes each request anew.

mod continuation;
mod counter;
pub(crate) mod download;
mod error;
mod flow;
pub(crate) mod reply;
mod signature;
mod source;

pub(crate) use counter::Counter;
pub use error::{Covered, Error, Expected, InvalidSource};
pub use reply::ContentRange;
pub use source::Document;
pub(crate) use source::Source;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue, LOCATION, RANGE, RETRY_AFTER};
use tokio::time::timeout;
use tracing::warn;
use url::Url;

use crate::access::{Credential, Resource};
use crate::cached::{Cached, Refresh};
use crate::clock;
use crate::limits::Limits;
use crate::locations::AllowedLocations;
use crate::metrics::{Cause, Measured};
use continuation::Continuation;
use download::Download;
use flow::Flow;
use reply::{Asked, Head};
use signature::{Form, authorized_get};

/// The largest number of redirects that one request follows.
const MAX_HOPS: usize = 3;
/// The bytes of an error's body that are searched for a trace id.
const ERROR_BODY: usize = 16 * 1024;

/// The ACS client.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    credential: Arc<Cached<Credential>>,
    resource: Resource,
    allowed: AllowedLocations,
    stall: Duration,
}

/// A GET of a document, or of a half-open range of it, at one of the URLs that lead to it.
#[derive(Clone, Copy)]
struct Request<'a> {
    url: &'a Url,
    form: Form,
    range: Option<&'a Range<u64>>,
}

/// The settings of the HTTP client for `Client::new`. Tests add a private CA and names.
pub fn http_client() -> reqwest::ClientBuilder {
    // Fails only if a provider is already installed, which is fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!(
            env!("CARGO_PKG_NAME"),
            "/",
            env!("CARGO_PKG_VERSION")
        ))
        .connect_timeout(Duration::from_secs(10))
        .tcp_nodelay(true)
}

impl Client {
    /// A client of an ACS resource. Each request uses the credential that is current then.
    pub(crate) fn new(
        http: reqwest::Client,
        credential: Arc<Cached<Credential>>,
        resource: Resource,
        allowed: AllowedLocations,
        limits: &Limits,
    ) -> Self {
        Self {
            http,
            credential,
            resource,
            allowed,
            stall: limits.source_stall,
        }
    }

    /// Refreshes an access key that is too old, and reads a first token if there is none. Without
    /// this, a revoked key would stay in use as long as ACS accepts it.
    pub(crate) async fn renew(&self) {
        self.credential.fresh().await;
    }

    /// Requests a document, or a half-open range of it, and opens the reply once its head has been
    /// verified. `length` is the document's length, in bytes, if an earlier reply has told it. If a
    /// reply covers less than the range, the download requests the rest itself. The bytes of the
    /// body are counted in `counter` as they come.
    pub(crate) async fn open(
        &self,
        source: &Source,
        range: Option<&Range<u64>>,
        length: Option<u64>,
        counter: &Counter,
    ) -> Result<Download, Error> {
        let asked = Asked {
            document: source.document,
            range,
            length,
        };
        let (head, response) = self.reply(source, asked).await?;
        let rest = Continuation::after(&head, range, self, source);
        Ok(Download::new(head, response, rest, self.stall, counter))
    }

    /// Follows the redirects of a request for a document, and verifies the reply at their end.
    async fn reply(
        &self,
        source: &Source,
        asked: Asked<'_>,
    ) -> Result<(Head, reqwest::Response), Error> {
        let mut url = source.url.clone();
        let mut form = source.form;
        for _ in 0..=MAX_HOPS {
            let request = Request {
                url: &url,
                form,
                range: asked.range,
            };
            let response = self.get(request).await?;
            let status = response.status();
            if status.is_redirection() {
                url = self.next_hop(&url, response.headers())?;
                form = Form::Current;
                continue;
            }
            // Checked first, since ACS may answer for a recording that is not ready with a 416 as
            // well.
            if reply::is_empty(status, response.headers()) {
                return Err(Error::NotReady);
            }
            if let Some(total) = reply::unsatisfied(status, response.headers()) {
                return Err(Error::BeyondEnd { total });
            }
            if !matches!(status, StatusCode::OK | StatusCode::PARTIAL_CONTENT) {
                return Err(self.refusal(response).await);
            }
            let head = Head::verify(status, response.version(), response.headers(), asked)?;
            return Ok((head, response));
        }
        Err(Error::RedirectLoop)
    }

    /// Sends a request. If ACS refuses the credential with 401, refreshes it, and sends the request
    /// once more with a newer one.
    async fn get(&self, request: Request<'_>) -> Result<reqwest::Response, Error> {
        let credential = self.credential.valid().await.ok_or(Error::NoToken)?;
        let response = self.send(&credential, request).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        let is_token = matches!(*credential, Credential::Token(_));
        match self.credential.refresh(&credential).await {
            Refresh::Refreshed(newer) if newer != credential => {
                let what = if is_token { "token" } else { "access key" };
                warn!("ACS refused the {what}; trying again with the {what} that was just read");
                Measured::retry(Cause::AcsUnauthorized).emit();
                self.send(&newer, request).await
            }
            // A newer token might have been accepted: the fault is in obtaining tokens.
            Refresh::Failed if is_token => Err(Error::NoToken),
            Refresh::Refreshed(_) | Refresh::TooRecent | Refresh::Failed => Ok(response),
        }
    }

    /// Sends one request, authorized now: a signature is only valid for minutes.
    async fn send(
        &self,
        credential: &Credential,
        request: Request<'_>,
    ) -> Result<reqwest::Response, Error> {
        let Request { url, form, range } = request;
        let host = self.resource.host();
        let authorized = authorized_get(credential, form, url, host, clock::now());
        let mut headers = authorized.map_err(|_| Error::Unsignable)?;
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if let Some(range) = range {
            // Half-open here, inclusive in the header:
            // https://www.rfc-editor.org/rfc/rfc9110#section-14.1.2
            let bytes = format!("bytes={}-{}", range.start, range.end.saturating_sub(1));
            headers.insert(
                RANGE,
                HeaderValue::from_str(&bytes).map_err(|_| Error::Unsignable)?,
            );
        }
        let sent = self.http.get(url.clone()).headers(headers).send();
        timeout(self.stall, sent)
            .await
            .map_err(|_| Error::Stalled(self.stall))?
            .map_err(Error::http)
    }

    /// The target of a redirect, if it is an allowed location.
    fn next_hop(&self, from: &Url, headers: &HeaderMap) -> Result<Url, Error> {
        let location = headers
            .get(LOCATION)
            .and_then(|location| location.to_str().ok());
        let target = location
            .and_then(|location| from.join(location).ok())
            .ok_or(Error::RedirectLoop)?;
        Ok(self
            .allowed
            .admit_url(target)
            .map_err(Error::Redirect)?
            .url()
            .clone())
    }

    /// The error of a reply with any other status than 200 and 206.
    async fn refusal(&self, response: reqwest::Response) -> Error {
        let status = response.status();
        let retry_after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(reply::retry_after);
        // The body is searched for a trace id only, since its text may echo the request.
        let flow = Flow::new(response, None, None, self.stall, <[Counter; 2]>::default());
        let body = flow.hold(ERROR_BODY).await;
        let trace_id = body.ok().and_then(|body| error::trace_id(&body));
        Error::Refused {
            status,
            trace_id,
            retry_after,
        }
    }
}
