//! The bodies that the sink receives.

use bytes::{Buf as _, Bytes};
use http_body_util::{BodyExt as _, Collected};
use hyper::body::Incoming;

/// A received body. Only objects have bytes; of a part, the size and the trailer are enough.
#[derive(Default)]
pub(super) struct Received {
    pub(super) size: u64,
    pub(super) bytes: Bytes,
    /// The bytes behind the last block, which contain the trailer of the checksum.
    tail: Vec<u8>,
}

impl Received {
    pub(super) fn crc64nvme(&self) -> String {
        let tail = String::from_utf8_lossy(&self.tail);
        let trailer = tail
            .rsplit_once("x-amz-checksum-crc64nvme:")
            .map(|(_, value)| value.trim());
        trailer.unwrap_or_default().to_owned()
    }

    /// Reads a body and counts its bytes.
    pub(super) async fn count(mut body: Incoming) -> Self {
        let mut received = Self::default();
        while let Some(Ok(frame)) = body.frame().await {
            received.size += frame.into_data().map_or(0, |bytes| bytes.len() as u64);
        }
        received
    }

    /// Reads the body of a part. It is sent in blocks, each preceded by a line with its size, and
    /// followed by a trailer.
    ///
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html>
    pub(super) async fn part(mut body: Incoming) -> Self {
        let mut received = Self::default();
        let mut line = Vec::new();
        // The bytes left of the block and its line end.
        let mut block = 0_usize;
        let mut ended = false;
        while let Some(Ok(frame)) = body.frame().await {
            let Ok(mut bytes) = frame.into_data() else {
                continue;
            };
            while !bytes.is_empty() {
                if ended {
                    received.tail.extend_from_slice(&bytes);
                    break;
                }
                if block > 0 {
                    let taken = block.min(bytes.len());
                    block -= taken;
                    bytes.advance(taken);
                    continue;
                }
                let end = bytes.iter().position(|byte| *byte == b'\n');
                line.extend_from_slice(&bytes[..end.unwrap_or(bytes.len())]);
                bytes.advance(end.map_or(bytes.len(), |end| end + 1));
                if end.is_some() {
                    let digits: Vec<u8> =
                        line.drain(..).take_while(u8::is_ascii_hexdigit).collect();
                    let size =
                        usize::from_str_radix(&String::from_utf8_lossy(&digits), 16).unwrap_or(0);
                    received.size += size as u64;
                    ended = size == 0;
                    block = size + 2;
                }
            }
        }
        received
    }

    /// Reads the body of an object.
    pub(super) async fn object(body: Incoming) -> Self {
        let bytes = body
            .collect()
            .await
            .map(Collected::to_bytes)
            .unwrap_or_default();
        // A small body with a checksum is sent as one block: its content follows the first line.
        let content = match bytes.iter().position(|byte| *byte == b'\n') {
            Some(end)
                if bytes
                    .windows(16)
                    .any(|window| window == b"x-amz-checksum-c") =>
            {
                let head: Vec<u8> = bytes
                    .iter()
                    .copied()
                    .take_while(u8::is_ascii_hexdigit)
                    .collect();
                let size = usize::from_str_radix(&String::from_utf8_lossy(&head), 16).unwrap_or(0);
                bytes.slice(end + 1..(end + 1 + size).min(bytes.len()))
            }
            _ => bytes,
        };
        Self {
            size: content.len() as u64,
            bytes: content,
            tail: vec![],
        }
    }
}
