//! The source and the sink of a transfer over TLS, in a process of their own and as cheap as
//! possible: a source that serves ranges, and a sink that is just enough of S3. The emulators check
//! requests; these servers do not.

pub(crate) mod process;
mod received;
mod sink;
mod source;

use std::convert::Infallible;
use std::io::Write as _;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use emulators::certificates::Authority;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use self::sink::Sink;
use self::source::Source;

type Body = BoxBody<Bytes, Infallible>;

/// Serves until the process is killed. Prints the port and the certificate first.
pub(crate) async fn serve(authority: &Authority) {
    let tls = authority.server(&["localhost"]);
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("loopback has a free port");
    let address = listener.local_addr().expect("a listener has an address");
    println!("{}", address.port());
    print!("{}", authority.pem());
    println!("END");
    std::io::stdout().flush().expect("the parent reads");
    let server = Server {
        tls: TlsAcceptor::from(tls),
        source: Source::from_env(),
        sink: Arc::new(Mutex::new(Sink::default())),
    };
    loop {
        let Ok((connection, _)) = listener.accept().await else {
            continue;
        };
        tokio::spawn(server.clone().serve(connection));
    }
}

#[derive(Clone)]
struct Server {
    tls: TlsAcceptor,
    source: Source,
    sink: Arc<Mutex<Sink>>,
}

impl Server {
    async fn serve(self, connection: TcpStream) {
        let _ = connection.set_nodelay(true);
        let Ok(connection) = self.tls.accept(connection).await else {
            return;
        };
        let (source, sink) = (self.source, self.sink);
        let service = service_fn(move |request: Request<Incoming>| {
            let sink = Arc::clone(&sink);
            async move {
                let path = request.uri().path();
                Ok::<_, Infallible>(
                    if path.starts_with("/recording/") || path.starts_with("/source/") {
                        source.answer(&request).await
                    } else {
                        sink::answer(request, &sink).await
                    },
                )
            }
        });
        let _ = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(connection), service)
            .await;
    }
}

fn json(body: &str) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::from(body.to_owned())).boxed());
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
