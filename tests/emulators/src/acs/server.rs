use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use hyper::{
    rt::{Read, ReadBufCursor, Write},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
};
use tokio_rustls::TlsAcceptor;

use super::{answer::answer, body::Cut, shared::Shared};

/// The running listeners; dropping them ends all their connections.
#[derive(Debug)]
pub(super) struct Servers {
    listeners: [AbortHandle; 2],
}

impl Servers {
    pub(super) fn start(
        shared: &Arc<Shared>,
        plain: TcpListener,
        tls: TcpListener,
        certificate: Arc<ServerConfig>,
    ) -> Self {
        let acceptor = TlsAcceptor::from(certificate);
        let plain = tokio::spawn(listen(Arc::clone(shared), plain, None));
        let tls = tokio::spawn(listen(Arc::clone(shared), tls, Some(acceptor)));
        Self {
            listeners: [plain.abort_handle(), tls.abort_handle()],
        }
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        for listener in &self.listeners {
            listener.abort();
        }
    }
}

async fn listen(shared: Arc<Shared>, listener: TcpListener, acceptor: Option<TlsAcceptor>) {
    // Owned by this task, so that aborting it also ends the connections.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    connections.spawn(connect(Arc::clone(&shared), stream, acceptor.clone()));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connect(shared: Arc<Shared>, stream: TcpStream, acceptor: Option<TlsAcceptor>) {
    // With Nagle's algorithm, small answers would wait for acknowledgements.
    let _ = stream.set_nodelay(true);
    match acceptor {
        None => serve(shared, false, stream).await,
        Some(acceptor) => {
            // Fails if a client refuses the certificate, which tests do on purpose.
            if let Ok(stream) = acceptor.accept(stream).await {
                serve(shared, true, stream).await;
            }
        }
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(shared: Arc<Shared>, tls: bool, stream: S) {
    let cut = Cut::default();
    let io = Cuttable {
        stream: TokioIo::new(stream),
        cut: cut.clone(),
        head: Vec::new(),
    };
    let service = service_fn(|request: hyper::Request<_>| {
        let (head, _) = request.into_parts();
        answer(Arc::clone(&shared), tls, cut.clone(), head)
    });
    // Fails whenever a client or a fault breaks the connection, which tests do on purpose.
    let _ = http1::Builder::new().serve_connection(io, service).await;
}

/// A stream that breaks when its cut is due and all bytes written before are sent.
struct Cuttable<S> {
    stream: TokioIo<S>,
    cut: Cut,
    /// The bytes of a disguised version that are not sent yet.
    head: Vec<u8>,
}

impl<S: AsyncRead + Unpin> Read for Cuttable<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> Write for Cuttable<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        const WRITTEN: &[u8] = b"HTTP/1.0";
        // hyper sends no HTTP/1.1 answer without a length and without chunks, so it writes HTTP/1.0
        // and the version is replaced here.
        if bytes.starts_with(WRITTEN) && self.cut.take_disguise() {
            self.head = b"HTTP/1.1".to_vec();
        }
        while !self.head.is_empty() {
            let head = self.head.clone();
            let sent = ready!(Pin::new(&mut self.stream).poll_write(context, &head))?;
            self.head.drain(..sent);
            if self.head.is_empty() {
                return Poll::Ready(Ok(WRITTEN.len()));
            }
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        if self.cut.is_due() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    /// Disables vectored writes, so that a write begins with the version of an answer.
    fn is_write_vectored(&self) -> bool {
        false
    }
}
