//! The `aws-chunked` encoding of streamed bodies, with their CRC64NVME as a trailer.
//!
//! The SDK's encoding cuts a body into blocks of 64 KiB and copies each byte two and a half times
//! on the way. One block of the complete length is legal as well: a line with the length, the bytes
//! as they come, and the trailer. The payload is not signed: over https the SDK does not sign it
//! either, but over plain http the SDK would sign each block.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html>

use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use aws_runtime::auth::PayloadSigningOverride;
use aws_sdk_s3::config::interceptors::BeforeTransmitInterceptorContextMut;
use aws_sdk_s3::config::{Builder, ConfigBag, Intercept};
use aws_sdk_s3::config::{RequestChecksumCalculation, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_sdk_s3::primitives::SdkBody;
use bytes::Bytes;
use crc_fast::{CrcAlgorithm, Digest};
use http_body::{Body, Frame, SizeHint};

use super::uploads::crc_to_base64;

const TRAILER: &str = "x-amz-checksum-crc64nvme";

/// Makes a client encode each streamed body here instead of in the SDK.
pub(super) fn encoded(config: Builder) -> Builder {
    config
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .interceptor(Encoding)
}

/// Encodes the body of a request and sets the headers of the encoding, before they are signed.
#[derive(Debug)]
struct Encoding;

impl Intercept for Encoding {
    fn name(&self) -> &'static str {
        "Encoding"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request_mut();
        let length = request.body().content_length();
        let length = length.ok_or("a streamed body has no length")?;
        let plain = mem::replace(request.body_mut(), SdkBody::taken());
        let encoded = Encoded::new(plain, length);
        let headers = request.headers_mut();
        headers.insert("x-amz-trailer", TRAILER);
        headers.insert("x-amz-decoded-content-length", length.to_string());
        headers.insert("content-length", encoded.remaining().to_string());
        headers.append("content-encoding", "aws-chunked");
        *request.body_mut() = SdkBody::from_body_1_x(encoded);
        let signed = PayloadSigningOverride::StreamingUnsignedPayloadTrailer;
        config.interceptor_state().store_put(signed);
        Ok(())
    }
}

/// A body in `aws-chunked` encoding: exactly `length` bytes of `content`, or an error.
struct Encoded<B> {
    content: B,
    length: u64,
    /// The bytes of the content still to come.
    left: u64,
    crc64nvme: Digest,
    next: Next,
}

/// The next frame of an encoded body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// The line before the block.
    Line,
    /// Bytes of the block.
    Content,
    /// The trailer.
    Trailer,
    /// No frame: the body has ended.
    End,
}

/// The content does not have the length that was announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum WrongLength {
    #[error("content ended {0} bytes early")]
    Early(u64),
    #[error("content is longer than announced")]
    Late,
}

impl<B> Encoded<B> {
    fn new(content: B, length: u64) -> Self {
        Self {
            content,
            length,
            left: length,
            crc64nvme: Digest::new(CrcAlgorithm::Crc64Nvme),
            // A block of no bytes would end the body before the trailer.
            next: if length == 0 {
                Next::Content
            } else {
                Next::Line
            },
        }
    }

    fn line(&self) -> String {
        format!("{:X}\r\n", self.length)
    }

    /// The end of the block, the last block (which is empty), and the trailer with this checksum.
    fn trailer(&self, crc64nvme: u64) -> String {
        let block = if self.length == 0 { "" } else { "\r\n" };
        let checksum = crc_to_base64(crc64nvme);
        format!("{block}0\r\n{TRAILER}:{checksum}\r\n\r\n")
    }

    /// The bytes of the encoded body still to come.
    fn remaining(&self) -> u64 {
        // All checksums have one length.
        let trailer = self.trailer(0).len() as u64;
        match self.next {
            Next::Line => self.line().len() as u64 + self.left + trailer,
            Next::Content => self.left + trailer,
            Next::Trailer => trailer,
            Next::End => 0,
        }
    }
}

impl<B> Body for Encoded<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if this.next == Next::Line {
            this.next = Next::Content;
            return Poll::Ready(Some(Ok(Frame::data(this.line().into()))));
        }
        while this.next == Next::Content {
            // The content is polled after its last byte too: S3 must reject a longer content, so
            // that must not get the trailer with the checksum.
            let frame = ready!(Pin::new(&mut this.content).poll_frame(cx));
            let Some(frame) = frame.transpose().map_err(Into::into)? else {
                if this.left > 0 {
                    return Poll::Ready(Some(Err(WrongLength::Early(this.left).into())));
                }
                this.next = Next::Trailer;
                break;
            };
            let Ok(bytes) = frame.into_data() else {
                continue;
            };
            let left = this.left.checked_sub(bytes.len() as u64);
            this.left = left.ok_or(WrongLength::Late)?;
            if !bytes.is_empty() {
                this.crc64nvme.update(&bytes);
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
        }
        if this.next == Next::End {
            return Poll::Ready(None);
        }
        this.next = Next::End;
        let trailer = this.trailer(this.crc64nvme.finalize());
        Poll::Ready(Some(Ok(Frame::data(trailer.into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.next == Next::End
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::convert::Infallible;

    use aws_runtime::content_encoding::{AwsChunkedBody, AwsChunkedBodyOptions};
    use aws_smithy_checksums::body::calculate::ChecksumBody;
    use aws_smithy_checksums::{ChecksumAlgorithm, http::HttpChecksum};
    use http_body_util::{BodyExt as _, StreamBody};
    use proptest::prelude::*;

    use super::*;

    /// The frames of a source that gives no length.
    #[derive(Clone)]
    struct Frames(VecDeque<Bytes>);

    impl Frames {
        /// `content` in frames of these sizes, repeated.
        fn of(content: &Bytes, sizes: &[usize]) -> Self {
            let (mut rest, mut frames) = (content.clone(), VecDeque::new());
            for size in sizes.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                frames.push_back(rest.split_to(rest.len().min(*size)));
            }
            Self(frames)
        }
    }

    impl Body for Frames {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Ready(self.0.pop_front().map(|bytes| Ok(Frame::data(bytes))))
        }
    }

    fn content(length: usize) -> Bytes {
        let mut noise = fastrand::Rng::with_seed(7);
        std::iter::repeat_with(|| noise.u8(..))
            .take(length)
            .collect()
    }

    async fn all<B>(body: B) -> Bytes
    where
        B: Body<Data = Bytes, Error = BoxError>,
    {
        body.collect().await.unwrap().to_bytes()
    }

    /// The content as the SDK encodes it, with its own checksum, in blocks of `block` bytes.
    async fn by_the_sdk(frames: Frames, length: u64, block: usize) -> Bytes {
        let checksum = ChecksumAlgorithm::Crc64Nvme.into_impl();
        let options = AwsChunkedBodyOptions::new(length, vec![HttpChecksum::size(&*checksum)]);
        let content = ChecksumBody::new(SdkBody::from_body_1_x(frames), checksum);
        all(AwsChunkedBody::new(content, options.with_chunk_size(block))).await
    }

    /// Encodes `frames`, and asserts that each size hint is exact.
    async fn by_us(frames: Frames, length: u64) -> Bytes {
        let mut body = Encoded::new(frames, length);
        let announced = body.size_hint().exact().unwrap();
        let mut bytes = vec![];
        while let Some(frame) = body.frame().await {
            bytes.extend_from_slice(&frame.unwrap().into_data().unwrap());
            assert_eq!(
                bytes.len() as u64 + body.size_hint().exact().unwrap(),
                announced
            );
        }
        assert!(body.is_end_stream());
        assert_eq!(bytes.len() as u64, announced);
        bytes.into()
    }

    #[tokio::test]
    async fn each_byte_is_as_the_sdk_encodes_the_same_block() {
        let sizes: [&[usize]; 4] = [&[16 * 1024], &[1], &[12_345, 1, 65_537], &[usize::MAX]];
        for length in [0, 1, 2, 15, 16, 17, 65_535, 65_536, 65_537, 16 << 20] {
            let content = content(length);
            for sizes in sizes {
                if length > 1 << 20 && sizes == [1] {
                    continue;
                }
                let frames = Frames::of(&content, sizes);
                let ours = by_us(frames.clone(), length as u64).await;
                let theirs = by_the_sdk(frames, length as u64, length.max(1)).await;
                assert!(ours == theirs, "{length} bytes in frames of {sizes:?}");
            }
        }
    }

    #[tokio::test]
    async fn the_trailer_is_the_one_that_the_sdk_sends_after_smaller_blocks() {
        let content = content(200_001);
        let frames = Frames::of(&content, &[10_007]);
        let ours = by_us(frames.clone(), 200_001).await;
        let theirs = by_the_sdk(frames, 200_001, 64 * 1024).await;
        let trailer = "\r\n0\r\nx-amz-checksum-crc64nvme:".len() + 12 + 4;
        assert_eq!(
            ours[ours.len() - trailer..],
            theirs[theirs.len() - trailer..]
        );
    }

    /// The bytes that a failing body has handed on, and its error.
    async fn failing<B>(content: B, length: u64) -> (Bytes, BoxError)
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: Into<BoxError>,
    {
        let mut body = Encoded::new(content, length);
        let mut bytes = vec![];
        loop {
            match body.frame().await.expect("it fails before it ends") {
                Ok(frame) => bytes.extend_from_slice(&frame.into_data().unwrap()),
                Err(error) => return (bytes.into(), error),
            }
            assert!(!body.is_end_stream());
        }
    }

    #[tokio::test]
    async fn a_content_of_another_length_gets_no_trailer() {
        for (said, is) in [(0, 1), (1, 0), (1, 2), (100, 99), (100, 101), (100, 200)] {
            for size in [1, 7, 1000] {
                let frames = Frames::of(&content(is), &[size]);
                let (sent, error) = failing(frames, said as u64).await;
                let expected = if is < said {
                    WrongLength::Early((said - is) as u64)
                } else {
                    WrongLength::Late
                };
                assert_eq!(error.downcast_ref(), Some(&expected), "{said} {is} {size}");
                let line = format!("{said:X}\r\n");
                assert!(sent.len() <= line.len() + said);
                assert!(sent.is_empty() || sent.starts_with(line.as_bytes()));
            }
        }
    }

    #[tokio::test]
    async fn the_error_of_a_content_is_passed_on() {
        #[derive(Debug, PartialEq, thiserror::Error)]
        #[error("broken")]
        struct Broken;

        let frames = [Ok(Frame::data(content(5))), Err(Broken)];
        let content = StreamBody::new(futures_util::stream::iter(frames));
        let (sent, error) = failing(content, 10).await;
        assert_eq!(sent.len(), "A\r\n".len() + 5);
        assert_eq!(error.downcast_ref(), Some(&Broken));
    }

    proptest! {
        #[test]
        fn any_frames_make_the_same_block(
            length in 0_usize..5_000,
            sizes in prop::collection::vec(1_usize..700, 1..20),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let content = content(length);
            let length = length as u64;
            let ours = runtime.block_on(by_us(Frames::of(&content, &sizes), length));
            let whole = Frames::of(&content, &[usize::MAX]);
            let block = usize::try_from(length.max(1)).unwrap();
            prop_assert_eq!(ours, runtime.block_on(by_the_sdk(whole, length, block)));
        }
    }
}
