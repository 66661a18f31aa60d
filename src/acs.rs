//! The ACS client: authorized GETs of a recording's media and metadata, each reply verified against what was asked.
//!
//! The HTTP client under it follows no redirect and decodes nothing. A hop is taken here, by hand, only to where an
//! event may send us, and authorized afresh.

mod continuation;
mod counter;
pub(crate) mod download;
mod error;
mod flow;
pub(crate) mod reply;
pub mod signature;
mod source;

pub use counter::Counter;
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

/// The redirects that one request may take.
const MAX_HOPS: usize = 3;
/// Bytes of an error's body that are read in search of its trace id.
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

/// The settings of the HTTP client that `Client::new` wants; the tests add a private CA and names to them.
pub fn http_client() -> reqwest::ClientBuilder {
    // The error is that there is one already.
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
    /// A client of an ACS resource, with the credential that is current at the time.
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

    /// Reads the access key again if it is old, so that one that was taken back is not used for as long as ACS accepts it;
    /// and a first token where there is none.
    pub(crate) async fn renew(&self) {
        self.credential.fresh().await;
    }

    /// Asks for a document, or for a half-open range of it, and opens the reply once its head has
    /// been verified. `length` is the document's length, in bytes, where an earlier reply has told
    /// it. Where a reply covers less than the range, the download asks for the rest by itself. The
    /// bytes of the body are counted in `counter` as they come.
    ///
    /// # Errors
    ///
    /// [`Error`]; nothing of the body has been taken then.
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

    /// One reply to a request for a document, after the redirects that lead to it.
    async fn reply(
        &self,
        source: &Source,
        asked: Asked<'_>,
    ) -> Result<(Head, reqwest::Response), Error> {
        let mut url = source.url.clone();
        let mut form = source.form;
        for _ in 0..=MAX_HOPS {
            let response = self.get(&url, form, asked.range).await?;
            let status = response.status();
            if status.is_redirection() {
                url = self.next_hop(&url, response.headers())?;
                form = Form::Current;
                continue;
            }
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

    /// Sends a request; once more if ACS does not know the credential any longer and there is a
    /// newer one.
    async fn get(
        &self,
        url: &Url,
        form: Form,
        range: Option<&Range<u64>>,
    ) -> Result<reqwest::Response, Error> {
        let credential = self.credential.valid().await.ok_or(Error::NoToken)?;
        let response = self.send(&credential, url, form, range).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        let is_token = matches!(*credential, Credential::Token(_));
        match self.credential.refresh(&credential).await {
            Refresh::Refreshed(newer) if newer != credential => {
                let what = if is_token { "token" } else { "access key" };
                warn!("ACS refused the {what}; trying again with the one that was just read");
                Measured::retry(Cause::AcsUnauthorized).emit();
                self.send(&newer, url, form, range).await
            }
            // Another token might have done: the fault is where it comes from.
            Refresh::Failed if is_token => Err(Error::NoToken),
            Refresh::Refreshed(_) | Refresh::TooRecent | Refresh::Failed => Ok(response),
        }
    }

    async fn send(
        &self,
        credential: &Credential,
        url: &Url,
        form: Form,
        range: Option<&Range<u64>>,
    ) -> Result<reqwest::Response, Error> {
        let host = self.resource.host();
        let authorized = authorized_get(credential, form, url, host, clock::now());
        let mut headers = authorized.map_err(|_| Error::Unsignable)?;
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if let Some(range) = range {
            // Half-open here, inclusive on the wire: RFC 9110, 14.1.2.
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

    async fn refusal(&self, response: reqwest::Response) -> Error {
        let status = response.status();
        let retry_after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(reply::retry_after);
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
