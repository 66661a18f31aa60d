//! A plain HTTP listener on loopback, for the emulators whose answers are small.

use std::convert::Infallible;
use std::error::Error;
use std::iter::repeat_with;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Body as HttpBody, Frame, Incoming};
use hyper::http::request::Parts;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet};

type StdError = Box<dyn Error + Send + Sync>;

pub(crate) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// The answer to a request; `None` closes the connection.
pub(crate) type Answer = Option<Response<Body>>;

/// A listening socket and its connections, all closed when it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    accepting: AbortHandle,
}

impl Server {
    /// Listens on a free port of 127.0.0.1 and answers each request, whose body is read first, with
    /// `answer`.
    pub(crate) async fn start<F>(
        answer: impl Fn(Parts, Bytes) -> F + Clone + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        Self::serve(move |request| read(answer.clone(), request)).await
    }

    /// Listens on a free port of 127.0.0.1 and answers each request with `respond`, whose errors
    /// close the connection.
    pub(crate) async fn serve<B, F>(
        respond: impl Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    ) -> Self
    where
        B: HttpBody<Data: Send, Error: Into<StdError>> + Send + 'static,
        F: Future<Output = Result<Response<B>, StdError>> + Send + 'static,
    {
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .expect("127.0.0.1 has a free port");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        let accepting = tokio::spawn(accept(listener, respond)).abort_handle();
        Self { address, accepting }
    }

    /// The address of the listener.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address as a URL without a trailing slash.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept<B, F>(
    listener: TcpListener,
    respond: impl Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
) where
    B: HttpBody<Data: Send, Error: Into<StdError>> + Send + 'static,
    F: Future<Output = Result<Response<B>, StdError>> + Send + 'static,
{
    // Owned by this task, so that aborting it also ends the connections.
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        let Ok((stream, _)) = accepted else { continue };
        // With Nagle's algorithm, small answers would wait for acknowledgements.
        let _ = stream.set_nodelay(true);
        let respond = respond.clone();
        connections.spawn(async move {
            // Fails whenever a fault or the client breaks the connection, which tests do on
            // purpose.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service_fn(respond))
                .await;
        });
    }
}

async fn read<F>(
    answer: impl Fn(Parts, Bytes) -> F,
    request: Request<Incoming>,
) -> Result<Response<Body>, StdError>
where
    F: Future<Output = Answer>,
{
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    answer(head, body)
        .await
        .ok_or_else(|| "closed on purpose".into())
}

/// A body of known length.
pub(crate) fn whole(body: impl Into<Bytes>) -> Body {
    Full::new(body.into()).boxed_unsync()
}

/// A body without an end.
pub(crate) fn endless() -> Body {
    let spaces = Bytes::from_static(&[b' '; 16 * 1024]);
    let frames = repeat_with(move || Ok(Frame::data(spaces.clone())));
    StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync()
}

/// Locks a mutex, poisoned or not: a test that panicked while it held the lock has failed already.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
