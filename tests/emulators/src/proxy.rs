//! An HTTP proxy that connects every host name to one address, so that another process can call
//! emulated hosts by their real names.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{
    AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, copy_bidirectional_with_sizes,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

use crate::server::lock;

/// The bytes that a tunnel buffers in each direction.
const BUFFER: usize = 64 * 1024;

/// A proxy for `CONNECT` to any host. Dropping it stops it and breaks its connections.
///
/// <https://www.rfc-editor.org/rfc/rfc9110#name-connect>
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    asked: Asked,
    accepting: AbortHandle,
}

type Asked = Arc<Mutex<Vec<String>>>;

impl Proxy {
    /// Starts a proxy on loopback whose tunnels end at `target`.
    pub async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("loopback has a free port");
        let address = listener
            .local_addr()
            .expect("a bound listener has an address");
        let asked = Asked::default();
        let asked_here = Arc::clone(&asked);
        let accepting = tokio::spawn(async move {
            let mut tunnels = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                // Finished tunnels stay in the set until they are joined.
                while tunnels.try_join_next().is_some() {}
                tunnels.spawn(tunnel(client, target, Arc::clone(&asked_here)));
            }
        });
        Self {
            address,
            asked,
            accepting: accepting.abort_handle(),
        }
    }

    /// The URL of the proxy, for `HTTPS_PROXY`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The targets of all `CONNECT` requests so far, as `host:port`, in order.
    pub fn asked(&self) -> Vec<String> {
        lock(&self.asked).clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn tunnel(client: TcpStream, target: SocketAddr, asked: Asked) -> std::io::Result<()> {
    let mut client = BufReader::new(client);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if client.read_line(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let mut line = head.split(' ');
    let (Some("CONNECT"), Some(authority)) = (line.next(), line.next()) else {
        return client
            .write_all(b"HTTP/1.1 405 Method Not Allowed\r\ncontent-length: 0\r\n\r\n")
            .await;
    };
    lock(&asked).push(authority.to_owned());
    let mut server = TcpStream::connect(target).await?;
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    copy_bidirectional_with_sizes(&mut client, &mut server, BUFFER, BUFFER)
        .await
        .map(drop)
}
