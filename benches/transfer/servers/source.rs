//! The source: documents of filler, by ranges.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderValue, RANGE};
use hyper::{Request, Response, StatusCode};

use super::{Body, json};

/// The bytes of one write.
const BLOCK: usize = 256 * 1024;

/// The behaviour of the source, from the environment.
#[derive(Clone, Copy)]
pub(super) struct Source {
    /// The rate limit of a connection in bytes a second; 0 for none.
    rate: u64,
    latency: Duration,
}

impl Source {
    /// Reads the behaviour from `BENCH_RATE` and `BENCH_LATENCY_MS`.
    pub(super) fn from_env() -> Self {
        let number = |name: &str| {
            let text = std::env::var(name).ok();
            text.and_then(|text| text.parse().ok()).unwrap_or(0)
        };
        Self {
            rate: number("BENCH_RATE"),
            latency: Duration::from_millis(number("BENCH_LATENCY_MS")),
        }
    }

    /// Answers with the document of the path, `…/{length}-{anything}`. A name that ends in
    /// `-unsaid` is answered without a length and without ranges.
    pub(super) async fn answer(self, request: &Request<Incoming>) -> Response<Body> {
        tokio::time::sleep(self.latency).await;
        let path = request.uri().path();
        if path.ends_with("/metadata") {
            return json("{\"chunk\":0}");
        }
        let name = path.rsplit('/').next().unwrap_or_default();
        let total: u64 = name
            .split('-')
            .next()
            .and_then(|length| length.parse().ok())
            .unwrap_or(0);
        if name.ends_with("-unsaid") {
            let mut response = Response::new(self.body(total));
            let mp4 = HeaderValue::from_static("video/mp4");
            response.headers_mut().insert(CONTENT_TYPE, mp4);
            return response;
        }
        let range = request
            .headers()
            .get(RANGE)
            .and_then(|range| range.to_str().ok()?.strip_prefix("bytes=")?.split_once('-'));
        let range = range.and_then(|(first, last)| {
            Some((first.parse::<u64>().ok()?, last.parse::<u64>().ok()?))
        });
        let (status, first, last) = match range {
            Some((first, last)) => (StatusCode::PARTIAL_CONTENT, first, last.min(total - 1)),
            None => (StatusCode::OK, 0, total - 1),
        };
        let mut response = Response::new(self.body(last + 1 - first));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("video/mp4"));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(last + 1 - first));
        let content_range = format!("bytes {first}-{last}/{total}");
        headers.insert(CONTENT_RANGE, content_range.parse().expect("it is ASCII"));
        response
    }

    fn body(self, length: u64) -> Body {
        static FILLER: [u8; BLOCK] = [0x5a; BLOCK];
        let pause = (self.rate > 0)
            .then(|| Duration::from_secs_f64(BLOCK as f64 / self.rate.max(1) as f64));
        let started = tokio::time::Instant::now();
        let blocks = stream::unfold((length, 0), move |(left, sent)| async move {
            if left == 0 {
                return None;
            }
            // By the time since the start, so that delays of single blocks do not add up.
            if let Some(pause) = pause {
                tokio::time::sleep_until(started + pause * sent).await;
            }
            let size = left.min(BLOCK as u64);
            let block = Bytes::from_static(&FILLER[..usize::try_from(size).unwrap_or(BLOCK)]);
            Some((Ok(Frame::data(block)), (left - size, sent + 1)))
        });
        StreamBody::new(blocks).boxed()
    }
}
