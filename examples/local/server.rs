//! The local Function URL: an HTTP request in, a payload for the function, its answer out.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::SystemTime;

use acs_recording_archiver::function::{Answer, Function};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, HeaderMap};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use tokio::net::TcpListener;

use crate::embedded;
use crate::recordings::Recordings;

/// The longest body that Lambda hands to a function.
const MOST_BYTES: usize = 6 * 1024 * 1024;

/// Serves `function` on a free port of this machine; what events name is published in the emulated ACS.
pub async fn start(function: Function, recordings: Arc<Recordings>) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (function, recordings) = (function.clone(), Arc::clone(&recordings));
            let service = service_fn(move |request| {
                let (function, recordings) = (function.clone(), Arc::clone(&recordings));
                async move { Ok::<_, Infallible>(answer(&function, &recordings, request).await) }
            });
            // A caller that goes away has nothing to be told.
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    Ok(address)
}

async fn answer(
    function: &Function,
    recordings: &Recordings,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, MOST_BYTES).collect().await else {
        return plain(StatusCode::PAYLOAD_TOO_LARGE);
    };
    let body = body.to_bytes();
    recordings.publish(&body);
    let mut payload = embedded::payload(
        head.method.as_str(),
        head.uri.path(),
        head.uri.query().unwrap_or_default(),
        &joined(&head.headers),
        std::str::from_utf8(&body).unwrap_or_default(),
    );
    if let Some(payload) = payload.as_object_mut()
        && std::str::from_utf8(&body).is_err()
    {
        payload.insert("body".to_owned(), BASE64_STANDARD.encode(&body).into());
        payload.insert("isBase64Encoded".to_owned(), true.into());
    }
    let Ok(payload) = RawValue::from_string(payload.to_string()) else {
        return plain(StatusCode::BAD_GATEWAY);
    };
    // 1970: the function takes it for unknown.
    match function.invoke(&payload, SystemTime::UNIX_EPOCH).await {
        Ok(Answer::Http(answer)) => {
            let body = answer.body.as_deref().map(Bytes::copy_from_slice);
            let mut response = Response::new(Full::new(body.unwrap_or_default()));
            let status = u16::try_from(answer.status_code).ok();
            let status = status.and_then(|status| StatusCode::from_u16(status).ok());
            *response.status_mut() = status.unwrap_or(StatusCode::BAD_GATEWAY);
            *response.headers_mut() = answer.headers;
            // The server counts for itself.
            response.headers_mut().remove(CONTENT_LENGTH);
            response
        }
        // As Lambda answers where a function fails; no request makes a tick.
        Ok(Answer::Tick(_)) | Err(_) => plain(StatusCode::BAD_GATEWAY),
    }
}

fn plain(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

/// Headers as Lambda hands them over: names in lower case, repeated ones joined with commas.
fn joined(headers: &HeaderMap) -> Value {
    let text = |name| {
        let values = headers.get_all(name).iter();
        let values: Vec<_> = values
            .map(|value| String::from_utf8_lossy(value.as_bytes()))
            .collect();
        values.join(",")
    };
    let fields: Map<String, Value> = headers
        .keys()
        .map(|name| (name.as_str().to_owned(), text(name).into()))
        .collect();
    fields.into()
}
