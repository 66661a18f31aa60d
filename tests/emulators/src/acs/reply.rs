use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use hyper::{
    HeaderMap, Response, StatusCode, Version,
    header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, TRANSFER_ENCODING},
};
use serde_json::json;

use super::{
    Fault, Request,
    body::{self, Body, Cut, RateLimit, Source, Step},
};

/// An answer that is not sent yet.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    headers: HeaderMap,
    steps: Vec<Step>,
    /// `true` if the end of the connection ends the body.
    unframed: bool,
}

impl Reply {
    pub(super) fn new(status: StatusCode, source: Source, range: Range<u64>) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_LENGTH, HeaderValue::from(range.end - range.start));
        Self {
            status,
            headers,
            steps: vec![Step::Send { source, range }],
            unframed: false,
        }
    }

    fn of_bytes(status: StatusCode, bytes: Bytes) -> Self {
        let range = 0..bytes.len() as u64;
        Self::new(status, Source::Bytes(bytes), range)
    }

    pub(super) fn error(status: u16, code: &str, message: &str, request: &Request) -> Self {
        let body = json!({
            "error": {"code": code, "message": message},
            "traceId": format!("{:032x}", request.number + 1),
        });
        Self::of_bytes(self::status(status), body.to_string().into())
            .header(CONTENT_TYPE, "application/json; charset=utf-8")
    }

    pub(super) fn html(status: StatusCode) -> Self {
        let body = format!(
            "<!DOCTYPE HTML><html><head><title>{status}</title></head>\
             <body><h2>{status}</h2></body></html>"
        );
        Self::of_bytes(status, body.into()).header(CONTENT_TYPE, "text/html; charset=us-ascii")
    }

    pub(super) fn scripted(status: u16, headers: Vec<(&'static str, String)>, body: Bytes) -> Self {
        let status = self::status(status);
        let reply = Self::of_bytes(status, body);
        let frames = [CONTENT_LENGTH, TRANSFER_ENCODING];
        let is_framed = headers
            .iter()
            .any(|(name, _)| frames.iter().any(|frame| frame == name));
        // <https://www.rfc-editor.org/rfc/rfc9110#section-6.4.1>
        let bodiless = status.is_informational()
            || status == StatusCode::NO_CONTENT
            || status == StatusCode::NOT_MODIFIED;
        let reply = if is_framed || bodiless {
            reply.without(&CONTENT_LENGTH)
        } else {
            reply
        };
        headers.into_iter().fold(reply, |mut reply, (name, value)| {
            // Appended, so that a test can repeat a header.
            reply
                .headers
                .append(header_name(name), header_value(&value));
            reply
        })
    }

    pub(super) fn header(mut self, name: HeaderName, value: &str) -> Self {
        self.headers.insert(name, header_value(value));
        self
    }

    pub(super) fn without(mut self, name: &HeaderName) -> Self {
        self.headers.remove(name);
        self
    }

    pub(super) fn with(mut self, fault: Option<Fault>) -> Self {
        match fault {
            Some(Fault::CutBody { after }) => body::insert(&mut self.steps, after, Step::Cut),
            Some(Fault::StallBody { after, stall }) => {
                body::insert(&mut self.steps, after, Step::Pause(stall));
            }
            Some(Fault::CloseBody { after }) => {
                self.headers.remove(CONTENT_LENGTH);
                body::truncate(&mut self.steps, after);
                self.unframed = true;
            }
            Some(Fault::LongerBody { extra }) => self.lengthen(extra),
            Some(Fault::EndlessBody) => self.lengthen(u64::MAX),
            Some(Fault::Headers(headers)) => {
                for (name, value) in headers {
                    match value {
                        Some(value) => self.headers.insert(header_name(name), header_value(&value)),
                        None => self.headers.remove(header_name(name)),
                    };
                }
            }
            // The other faults act before there is a reply.
            Some(Fault::Answer { .. } | Fault::Close | Fault::Hang(_) | Fault::IgnoreRange)
            | None => {}
        }
        self
    }

    fn lengthen(&mut self, extra: u64) {
        self.headers.remove(CONTENT_LENGTH);
        self.steps.push(Step::Send {
            source: Source::Spaces,
            range: 0..extra,
        });
    }

    pub(super) fn response(mut self, rate_limit: Arc<RateLimit>, cut: Cut) -> Response<Body> {
        let declared: Option<u64> = self
            .headers
            .get(CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse().ok());
        // hyper would close the connection without sending the bytes that there are.
        if declared.is_some_and(|declared| declared > body::length(&self.steps)) {
            self.steps.push(Step::Cut);
        }
        if self.unframed {
            cut.disguise();
        }
        let mut response = Response::new(body::body(self.steps, rate_limit, cut));
        if self.unframed {
            // In HTTP/1.1, hyper would send a body without a length in chunked encoding.
            *response.version_mut() = Version::HTTP_10;
        }
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}

fn status(status: u16) -> StatusCode {
    StatusCode::from_u16(status).expect("a status has three digits")
}

fn header_name(name: &str) -> HeaderName {
    HeaderName::from_bytes(name.as_bytes()).expect("a header's name is a token")
}

fn header_value(value: &str) -> HeaderValue {
    HeaderValue::from_str(value).expect("a header is visible ASCII")
}
