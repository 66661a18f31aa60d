//! An HTTP client for the emulators' own tests.

use std::fmt::Write as _;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The bytes of an answer that are read at most.
const LIMIT: u64 = 1024 * 1024;

/// An answer.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

/// Sends a request with these headers and those of its framing, and reads the answer until the
/// connection ends or [`LIMIT`] is reached. `None` if the server closes it without an answer.
pub(crate) async fn ask(
    origin: &str,
    request_line: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Option<Reply> {
    let mut request = format!("{request_line} HTTP/1.1\r\n");
    for (name, value) in headers {
        let _ = write!(request, "{name}: {value}\r\n");
    }
    let length = body.len();
    let _ = write!(
        request,
        "content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
    let address = origin.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A connection that breaks off is not an error: the bytes so far are the answer.
    let _ = stream.take(LIMIT).read_to_end(&mut answer).await;
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some(Reply {
        status: head.split(' ').nth(1)?.parse().ok()?,
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    })
}
