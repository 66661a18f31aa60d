//! A listener that answers every request by one function and records the requests: for hosts that
//! must receive nothing, and for servers with unusual answers.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, BufReader};
use tokio::io::{AsyncWriteExt as _, copy, sink};
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

/// Ends, with its connections, when it is dropped.
pub struct Listener {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    accepting: AbortHandle,
}

#[derive(Default)]
struct Seen {
    connections: usize,
    heads: Vec<String>,
}

type Answer = Arc<dyn Fn(&str) -> String + Send + Sync>;

impl Listener {
    /// Listens on a free port of 127.0.0.1, with TLS if there is an acceptor. `answer` makes a
    /// complete answer from the head of a request; the connection is closed after it.
    pub async fn start(
        tls: Option<TlsAcceptor>,
        answer: impl Fn(&str) -> String + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::<Mutex<Seen>>::default();
        let accepting = tokio::spawn(accept(listener, tls, Arc::new(answer), Arc::clone(&seen)));
        Self {
            address,
            seen,
            accepting: accepting.abort_handle(),
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The number of connections, including those without a request.
    pub fn connections(&self) -> usize {
        lock(&self.seen).connections
    }

    /// The heads of the requests so far.
    pub fn heads(&self) -> Vec<String> {
        lock(&self.seen).heads.clone()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    answer: Answer,
    seen: Arc<Mutex<Seen>>,
) {
    // Owned by this task, so that the connections end with it.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        lock(&seen).connections += 1;
        let (tls, answer, seen) = (tls.clone(), Arc::clone(&answer), Arc::clone(&seen));
        connections.spawn(async move {
            // An error means that the client broke off.
            match tls {
                Some(tls) => serve(tls.accept(stream).await?, answer, seen).await,
                None => serve(stream, answer, seen).await,
            }
        });
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    answer: Answer,
    seen: Arc<Mutex<Seen>>,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).await? == 0 {
            return Ok(());
        }
    }
    lock(&seen).heads.push(head.clone());
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.trim().parse::<u64>().ok())?
    });
    // A client that is still sending would see a reset instead of the answer.
    let mut body = (&mut stream).take(length.unwrap_or(0));
    copy(&mut body, &mut sink()).await?;
    stream.write_all(answer(&head).as_bytes()).await?;
    stream.shutdown().await
}

/// A complete answer.
pub fn answer(status: u16, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status} Scripted\r\n\
         connection: close\r\n\
         content-length: {length}\r\n\
         {headers}\r\n{body}"
    )
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
