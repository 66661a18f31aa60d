//! The head of a reply, verified against the request. Pure.
//!
//! The verdict takes in all that a head says of the body: the status, Content-Range,
//! Content-Length, and the mark of the body's end. A head that contradicts itself is an error and
//! never data. RFC 9110 is the semantics of HTTP, RFC 9112 its framing in HTTP/1.1.

mod content_range;
mod fields;
mod framing;

use std::ops::Range;

use reqwest::header::{CONTENT_ENCODING, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap};
use reqwest::{StatusCode, Version};

use super::error::{Covered, Expected};
use super::{Document, Error};
use fields::{content_length, essence, is_etag, may_be, only, text};
use framing::Framing;

pub use content_range::ContentRange;
pub(crate) use content_range::unsatisfied;
pub(crate) use fields::retry_after;

/// The request that a reply is verified against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    /// The document that was requested.
    pub(crate) document: Document,
    /// The half-open range that was requested; `None` for the complete document.
    pub(crate) range: Option<&'a Range<u64>>,
    /// The document's length, in bytes, if an earlier reply has told it.
    pub(crate) length: Option<u64>,
}

/// The bytes that a verified reply covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// The requested range, cut at the document's end, or the beginning of that range.
    Range {
        /// Half-open.
        range: Range<u64>,
        /// The document's length, in bytes.
        total: u64,
    },
    /// The complete document: no range was requested, or the source ignored the range.
    Complete {
        /// The length, in bytes, if the head says.
        length: Option<u64>,
    },
}

/// The verified head of a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// The bytes that the body covers.
    pub(crate) extent: Extent,
    /// The source's ETag, if there is one.
    pub(crate) etag: Option<String>,
    /// The content type, if there is one.
    pub(crate) content_type: Option<String>,
}

impl Head {
    /// Verifies the head of a 200 or 206 that came over `version` of HTTP. Fails if the head
    /// differs from the request, contradicts itself, or does not mark the end of the body.
    pub(crate) fn verify(
        status: StatusCode,
        version: Version,
        headers: &HeaderMap,
        asked: Asked<'_>,
    ) -> Result<Self, Error> {
        let mut encodings = headers.get_all(CONTENT_ENCODING).iter();
        if !encodings.all(|encoding| encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
            return Err(Error::Encoded);
        }
        let content_type = text(headers, &CONTENT_TYPE);
        if let Some(content_type) =
            content_type.filter(|content_type| !may_be(asked.document, content_type))
        {
            return Err(Error::WrongType {
                content_type: essence(content_type),
                document: asked.document,
            });
        }
        Ok(Self {
            extent: Reply::extent(status, version, headers, asked)?,
            etag: text(headers, &ETAG)
                .filter(|etag| is_etag(etag))
                .map(str::to_owned),
            content_type: content_type.map(essence),
        })
    }

    /// The length of the body, in bytes, if the head says.
    pub(crate) fn body_length(&self) -> Option<u64> {
        match &self.extent {
            Extent::Range { range, .. } => Some(range.end - range.start),
            Extent::Complete { length } => *length,
        }
    }

    /// The length of the document, in bytes, if the head says.
    pub(crate) fn total(&self) -> Option<u64> {
        match self.extent {
            Extent::Range { total, .. } => Some(total),
            Extent::Complete { length } => length,
        }
    }
}

/// Returns `true` for the replies by which ACS says that a recording is not ready: a success
/// without a body, or a 416 because the document has no bytes.
pub(crate) fn is_empty(status: StatusCode, headers: &HeaderMap) -> bool {
    match status {
        StatusCode::NO_CONTENT => true,
        StatusCode::OK | StatusCode::PARTIAL_CONTENT => content_length(headers) == Some(0),
        StatusCode::RANGE_NOT_SATISFIABLE => unsatisfied(status, headers) == Some(0),
        _ => false,
    }
}

/// The status and framing of a reply, and its request.
struct Reply<'a> {
    status: StatusCode,
    framing: Framing,
    asked: Asked<'a>,
}

impl<'a> Reply<'a> {
    /// The bytes that a reply covers, by its status, Content-Range and framing.
    fn extent(
        status: StatusCode,
        version: Version,
        headers: &HeaderMap,
        asked: Asked<'a>,
    ) -> Result<Extent, Error> {
        let malformed = |flaw| mismatch(asked, None, Covered::Unknown(flaw));
        let reply = Self {
            status,
            framing: Framing::of(version, headers).map_err(malformed)?,
            asked,
        };
        match only(headers, &CONTENT_RANGE).map_err(malformed)? {
            None => reply.extent_of_body(),
            Some(text) => match ContentRange::parse(text) {
                Some(said) => reply.extent_of_range(said),
                None => Err(malformed("malformed Content-Range")),
            },
        }
    }

    fn is_partial(&self) -> bool {
        self.status == StatusCode::PARTIAL_CONTENT
    }

    /// The extent of a reply without Content-Range.
    fn extent_of_body(&self) -> Result<Extent, Error> {
        match self.framing {
            // A 206 without Content-Range has several ranges, or is malformed:
            // https://www.rfc-editor.org/rfc/rfc9110#section-15.3.7
            _ if self.is_partial() => {
                let flaw = Covered::Unknown("206 without Content-Range");
                Err(mismatch(self.asked, None, flaw))
            }
            Framing::Length(length) => Ok(Extent::Complete {
                length: Some(length),
            }),
            Framing::Marked => Ok(Extent::Complete { length: None }),
            Framing::Close => Err(Error::Unframed),
        }
    }

    /// The extent of a reply with this Content-Range.
    fn extent_of_range(&self, said: ContentRange) -> Result<Extent, Error> {
        let body = match self.framing {
            Framing::Length(length) => Some(length),
            Framing::Marked | Framing::Close => None,
        };
        // `*` means that the server does not know the length, which an earlier reply may have told:
        // https://www.rfc-editor.org/rfc/rfc9110#section-14.4
        let total = said.total.or(self.asked.length);
        let Some(total) = total.filter(|total| said.range.end <= *total) else {
            return Err(mismatch(self.asked, None, Covered::Range { said, body }));
        };
        if body.is_some_and(|body| body != said.range.end - said.range.start) {
            let actual = Covered::Range { said, body };
            return Err(mismatch(self.asked, Some(total), actual));
        }
        let range = &said.range;
        let is_complete = *range == (0..total);
        let expected = self
            .asked
            .range
            .map(|asked| asked.start..asked.end.min(total))
            .filter(|expected| range.start == expected.start && range.end <= expected.end);
        match expected {
            // A 206 may be shorter than the requested range, a 200 may not:
            // https://www.rfc-editor.org/rfc/rfc9110#section-15.3.7
            Some(expected) if self.is_partial() || (*range == expected && !is_complete) => {
                Ok(Extent::Range {
                    range: said.range,
                    total,
                })
            }
            _ if is_complete => Ok(Extent::Complete {
                length: Some(total),
            }),
            _ => {
                let actual = Covered::Range { said, body };
                Err(mismatch(self.asked, Some(total), actual))
            }
        }
    }
}

/// The error of a reply that covers `actual` of a document of `total` bytes.
fn mismatch(asked: Asked<'_>, total: Option<u64>, actual: Covered) -> Error {
    let expected = match asked.range {
        None => Expected::Complete,
        Some(range) => Expected::Range(range.start..total.unwrap_or(range.end).min(range.end)),
    };
    Error::Mismatch { expected, actual }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use reqwest::header::{CONTENT_LENGTH, HeaderName, HeaderValue, TRANSFER_ENCODING};

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_str(value).unwrap(),
                )
            })
            .collect()
    }

    /// Verifies a head. Without a Content-Length, the body is chunked.
    fn verify(
        status: u16,
        pairs: &[(&'static str, &str)],
        range: Option<&Range<u64>>,
    ) -> Result<Head, Error> {
        let mut headers = headers(pairs);
        if !headers.contains_key(CONTENT_LENGTH) {
            headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        Head::verify(
            StatusCode::from_u16(status).unwrap(),
            Version::HTTP_11,
            &headers,
            Asked {
                document: Document::Media,
                range,
                length: None,
            },
        )
    }

    /// The verdict on a head.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Verdict {
        /// A half-open range of the 100 bytes.
        Part(u64, u64),
        /// All 100 bytes.
        Complete,
        /// All bytes, their number unknown until the end.
        CompleteUnmeasured,
        /// A contradiction, in itself or with the request.
        Contradiction,
        /// Nothing marks the end of the body.
        Unproven,
    }

    use Verdict::{Complete, CompleteUnmeasured, Contradiction, Part, Unproven};

    /// A Content-Range of a document of 100 bytes, and the verdict on each reply with it.
    struct Row {
        content_range: Option<&'static str>,
        /// The length of the range, which a consistent Content-Length has.
        length: u64,
        /// The verdicts on 206 and 200 to a request for bytes 0..16.
        ranged: [Verdict; 2],
        /// The verdicts on 206 and 200 to a request without a range.
        unranged: [Verdict; 2],
        reason: &'static str,
    }

    const ROWS: [Row; 12] = [
        Row {
            content_range: None,
            length: 100,
            ranged: [Contradiction, Complete],
            unranged: [Contradiction, Complete],
            reason: "15.3.7: a 206 says its range; 14.2: a Range may be ignored",
        },
        Row {
            content_range: Some("bytes 0-99/100"),
            length: 100,
            ranged: [Complete, Complete],
            unranged: [Complete, Complete],
            reason: "14.4: first to last byte is the complete document; ACS sends 200 so",
        },
        Row {
            content_range: Some("bytes 0-15/100"),
            length: 16,
            ranged: [Part(0, 16), Part(0, 16)],
            unranged: [Contradiction, Contradiction],
            reason: "15.3.7: the requested range; 15.3.1: a 200 with a range is not complete",
        },
        Row {
            content_range: Some("BYTES 0-15/100"),
            length: 16,
            ranged: [Part(0, 16), Part(0, 16)],
            unranged: [Contradiction, Contradiction],
            reason: "14.1: units are compared without case",
        },
        Row {
            content_range: Some("bytes 0-7/100"),
            length: 8,
            ranged: [Part(0, 8), Contradiction],
            unranged: [Contradiction, Contradiction],
            reason: "15.3.7: a 206 may be shorter; 15.3.1: a 200 may not",
        },
        Row {
            content_range: Some("bytes 0-16/100"),
            length: 17,
            ranged: [Contradiction, Contradiction],
            unranged: [Contradiction, Contradiction],
            reason: "14.2: no more than the requested range, except the complete document",
        },
        Row {
            content_range: Some("bytes 1-16/100"),
            length: 16,
            ranged: [Contradiction, Contradiction],
            unranged: [Contradiction, Contradiction],
            reason: "15.3.7: another range than the request's",
        },
        Row {
            content_range: Some("bytes 84-99/100"),
            length: 16,
            ranged: [Contradiction, Contradiction],
            unranged: [Contradiction, Contradiction],
            reason: "15.3.7: another range than the request's",
        },
        Row {
            content_range: Some("bytes 0-15/*"),
            length: 16,
            ranged: [Contradiction, Contradiction],
            unranged: [Contradiction, Contradiction],
            reason: "14.4: an unknown length makes no plan",
        },
        Row {
            content_range: Some("bytes */100"),
            length: 16,
            ranged: [Contradiction, Contradiction],
            unranged: [Contradiction, Contradiction],
            reason: "14.4: valid in a 416 only",
        },
        Row {
            content_range: Some("items 0-15/100"),
            length: 16,
            ranged: [Contradiction, Contradiction],
            unranged: [Contradiction, Contradiction],
            reason: "14.4: an unknown unit, so the bytes are unknown",
        },
        Row {
            content_range: Some("bytes 0-15/10"),
            length: 16,
            ranged: [Contradiction, Contradiction],
            unranged: [Contradiction, Contradiction],
            reason: "14.4: invalid: the last byte is beyond the length",
        },
    ];

    /// Headers that frame a body of `length` bytes, and the change of the row's verdict by them.
    type Framed = (Vec<(&'static str, String)>, fn(&Row, Verdict) -> Verdict);

    fn framings(length: u64) -> [Framed; 8] {
        let said = |length: u64| ("content-length", length.to_string());
        let coding = |coding: &str| ("transfer-encoding", coding.to_owned());
        let contradiction: fn(&Row, Verdict) -> Verdict = |_, _| Contradiction;
        [
            (vec![said(length)], |_, verdict| verdict),
            // 8.6: a length that disagrees with the range.
            (vec![said(length + 1)], |row, verdict| {
                match row.content_range {
                    None => verdict,
                    Some(_) => Contradiction,
                }
            }),
            (vec![coding("chunked")], |row, verdict| {
                match (row.content_range, verdict) {
                    (None, Complete) => CompleteUnmeasured,
                    (_, verdict) => verdict,
                }
            }),
            // RFC 9112, 6.3: both at once are an error, whether they agree or not.
            (vec![coding("chunked"), said(length)], contradiction),
            (vec![coding("chunked"), said(length + 1)], contradiction),
            (vec![coding("gzip, chunked")], contradiction),
            (vec![said(length), said(length)], contradiction),
            // RFC 9112, 8: a message that the end of the connection ends may be incomplete.
            (vec![], |row, verdict| match (row.content_range, verdict) {
                (None, Complete) => Unproven,
                (_, verdict) => verdict,
            }),
        ]
    }

    #[test]
    fn a_reply_is_judged_by_status_range_and_framing() {
        let range = 0..16;
        for row in &ROWS {
            for (framing, adjusted) in framings(row.length) {
                let mut pairs: Vec<(&'static str, &str)> = framing
                    .iter()
                    .map(|(name, value)| (*name, value.as_str()))
                    .collect();
                pairs.extend(row.content_range.map(|said| ("content-range", said)));
                for (range, verdicts) in [(Some(&range), row.ranged), (None, row.unranged)] {
                    for (status, verdict) in [206, 200].into_iter().zip(verdicts) {
                        let head = Head::verify(
                            StatusCode::from_u16(status).unwrap(),
                            Version::HTTP_11,
                            &headers(&pairs),
                            Asked {
                                document: Document::Media,
                                range,
                                length: None,
                            },
                        );
                        let given = match head.map(|head| head.extent) {
                            Ok(Extent::Range { range, total: 100 }) => Part(range.start, range.end),
                            Ok(Extent::Complete { length: None }) => CompleteUnmeasured,
                            Ok(Extent::Complete { .. }) => Complete,
                            Err(Error::Mismatch { .. }) => Contradiction,
                            Err(Error::Unframed) => Unproven,
                            other => panic!("{other:?}"),
                        };
                        let expected = adjusted(row, verdict);
                        let reason = row.reason;
                        assert_eq!(given, expected, "{status} {pairs:?} {range:?}: {reason}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_range_is_cut_at_the_end_of_the_document() {
        for (content_range, asked, range, total) in [
            ("bytes 0-15/100", 0..16, 0..16, 100),
            ("bytes 96-99/100", 96..112, 96..100, 100),
            ("bytes 0-0/1", 0..16, 0..1, 1),
        ] {
            let head = verify(
                206,
                &[("content-range", content_range), ("etag", "\"a\"")],
                Some(&asked),
            )
            .unwrap();
            assert_eq!(head.extent, Extent::Range { range, total });
            assert_eq!(head.etag.as_deref(), Some("\"a\""));
        }
    }

    #[test]
    fn an_unknown_total_is_the_known_length() {
        for (status, content_range, known, extent) in [
            (206, "bytes 16-31/*", Some(100), Some(16..32)),
            (200, "bytes 16-31/*", Some(100), Some(16..32)),
            (206, "bytes 16-31/*", Some(32), Some(16..32)),
            (206, "bytes 16-31/*", Some(31), None),
            (206, "bytes 16-31/*", None, None),
            (206, "bytes 17-32/*", Some(100), None),
            // The caller compares the total with the known length.
            (206, "bytes 16-31/99", Some(100), Some(16..32)),
        ] {
            let head = Head::verify(
                StatusCode::from_u16(status).unwrap(),
                Version::HTTP_11,
                &headers(&[("content-range", content_range), ("content-length", "16")]),
                Asked {
                    document: Document::Media,
                    range: Some(&(16..32)),
                    length: known,
                },
            );
            let given = head.ok().map(|head| match head.extent {
                Extent::Range { range, .. } => range,
                Extent::Complete { .. } => panic!("{content_range} is a part"),
            });
            assert_eq!(given, extent, "{status} {content_range} of {known:?}");
        }
    }

    #[test]
    fn each_version_of_http_has_its_mark_of_the_end() {
        for (version, pairs, proven) in [
            (Version::HTTP_10, vec![], false),
            (Version::HTTP_10, vec![("content-length", "7")], true),
            (Version::HTTP_11, vec![], false),
            (
                Version::HTTP_11,
                vec![("transfer-encoding", "Chunked")],
                true,
            ),
            // RFC 9113, 8.1: a frame ends the body.
            (Version::HTTP_2, vec![], true),
        ] {
            let asked = Asked {
                document: Document::Metadata,
                range: None,
                length: None,
            };
            let head = Head::verify(StatusCode::OK, version, &headers(&pairs), asked);
            assert_eq!(head.is_ok(), proven, "{version:?} {pairs:?}");
        }
    }

    #[test]
    fn a_malformed_head_is_a_mismatch() {
        let twice = "bytes 0-15/100";
        for pairs in [
            vec![("content-range", "bytes 15-0/100")],
            vec![("content-range", "bytes 0-15")],
            vec![("content-range", "0-15/100")],
            vec![("content-range", "bytes +0-15/100")],
            vec![("content-range", "bytes 0-15/99999999999999999999")],
            vec![("content-range", "bytes 0-18446744073709551615/*")],
            vec![("content-range", "bytes=0-15/100")],
            vec![("content-range", "")],
            vec![("content-range", twice), ("content-range", twice)],
            vec![
                ("content-range", twice),
                ("content-range", "bytes 0-99/100"),
            ],
            vec![("content-length", "16, 16")],
            vec![("content-length", "+16")],
            vec![("content-length", "-1")],
            vec![("content-length", "")],
        ] {
            for status in [200, 206] {
                let result = verify(status, &pairs, Some(&(0..16)));
                assert!(matches!(result, Err(Error::Mismatch { .. })), "{pairs:?}");
            }
        }
        let contradiction = [
            ("content-range", "bytes 0-15/100"),
            ("content-length", "17"),
        ];
        let error = verify(206, &contradiction, Some(&(0..16))).unwrap_err();
        assert_eq!(
            error.to_string(),
            "reply covers bytes 0..16 of 100 in 17 bytes instead of bytes 0..16"
        );
    }

    #[test]
    fn a_malformed_value_of_a_header_is_not_repeated() {
        let secret = "HMAC-SHA256 SignedHeaders=host&Signature=c2VjcmV0";
        let error = verify(206, &[("content-range", secret)], Some(&(0..16)));
        assert!(!error.unwrap_err().to_string().contains("c2VjcmV0"));
        for content_type in [
            secret,
            &format!("text/html; x={secret}"),
            &format!("text/{secret}"),
        ] {
            let head = verify(200, &[("content-type", content_type)], None);
            assert!(!format!("{head:?}").contains("c2VjcmV0"), "{head:?}");
        }
        for (etag, kept) in [
            ("\"0x8D4BCC2E4835CD0\"", true),
            ("W/\"a\"", true),
            ("0x8D4BCC2E4835CD0", true),
            ("\"half", false),
            ("\"HMAC-SHA256 Signature=c2VjcmV0\"", false),
            (&format!("\"{}\"", "a".repeat(129)), false),
        ] {
            let head = verify(200, &[("etag", etag)], None).unwrap();
            assert_eq!(head.etag.is_some(), kept, "{etag}");
        }
    }

    #[test]
    fn a_complete_reply_has_a_length_or_none() {
        assert_eq!(
            verify(200, &[("content-length", "7")], Some(&(0..16)))
                .unwrap()
                .total(),
            Some(7)
        );
        assert_eq!(verify(200, &[], Some(&(0..16))).unwrap().total(), None);
    }

    #[test]
    fn an_empty_reply_is_one_of_a_recording_that_is_not_ready() {
        for (status, pairs, empty) in [
            (200, vec![("content-length", "0")], true),
            (206, vec![("content-length", "0")], true),
            (204, vec![], true),
            (416, vec![("content-range", "bytes */0")], true),
            (416, vec![("content-range", "bytes */10")], false),
            (200, vec![("content-length", "1")], false),
            (200, vec![], false),
            (404, vec![("content-length", "0")], false),
        ] {
            assert_eq!(
                is_empty(StatusCode::from_u16(status).unwrap(), &headers(&pairs)),
                empty,
                "{status} {pairs:?}"
            );
        }
    }

    #[test]
    fn a_range_beyond_the_end_tells_the_length() {
        for (status, content_range, total) in [
            (416, "bytes */10", Some(10)),
            (416, "Bytes */10", Some(10)),
            (416, "bytes */*", None),
            (416, "", None),
            (404, "bytes */10", None),
        ] {
            let headers = headers(&[("content-range", content_range)]);
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(
                unsatisfied(status, &headers),
                total,
                "{status} {content_range}"
            );
        }
    }

    #[test]
    fn error_pages_are_not_documents() {
        for (content_type, media, metadata) in [
            ("video/mp4", true, true),
            ("application/octet-stream", true, true),
            ("text/html; charset=utf-8", false, false),
            ("TEXT/HTML", false, false),
            ("text/html charset=utf-8", false, false),
            ("text/html, text/html", false, false),
            ("text/", false, true),
            ("", true, true),
            ("application/json", false, true),
            ("application/problem+json", false, true),
            ("text/plain", false, true),
        ] {
            assert_eq!(
                (
                    may_be(Document::Media, content_type),
                    may_be(Document::Metadata, content_type)
                ),
                (media, metadata),
                "{content_type}"
            );
        }
        assert!(matches!(
            verify(200, &[("content-type", "text/html")], None),
            Err(Error::WrongType { .. })
        ));
        assert!(matches!(
            verify(200, &[("content-encoding", "gzip")], None),
            Err(Error::Encoded)
        ));
        assert!(verify(200, &[("content-encoding", "Identity")], None).is_ok());
    }

    /// A text that is nearly the value of a header.
    fn header_text() -> impl Strategy<Value = String> {
        prop_oneof![
            4 => "[Bb][Yy]tes [0-9*]{0,21}-[0-9]{0,21}/[0-9*]{0,21}",
            2 => "[0-9]{0,22}",
            1 => prop::sample::select(vec!["chunked", "gzip", "identity", "text/html", "\"a\""])
                .prop_map(str::to_owned),
            1 => "[ -~]{0,40}",
        ]
    }

    proptest! {
        #[test]
        fn no_head_panics_and_a_range_is_within_the_request(
            partial in any::<bool>(),
            texts in prop::collection::vec((0_usize..6, header_text()), 0..6),
            asked in prop::option::of((any::<u64>(), 1..u64::MAX)),
            length in prop::option::of(any::<u64>()),
            version in prop::sample::select(vec![
                Version::HTTP_10, Version::HTTP_11, Version::HTTP_2,
            ]),
        ) {
            let names = [
                CONTENT_RANGE, CONTENT_LENGTH, TRANSFER_ENCODING, CONTENT_ENCODING, CONTENT_TYPE,
                ETAG,
            ];
            let mut headers = HeaderMap::new();
            for (name, text) in texts {
                headers.append(names[name].clone(), HeaderValue::from_str(&text).unwrap());
            }
            let status = if partial { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
            let range = asked.map(|(start, length)| start..start.saturating_add(length));
            let asked = Asked { document: Document::Media, range: range.as_ref(), length };
            let _ = (is_empty(status, &headers), unsatisfied(status, &headers));
            if let Ok(head) = Head::verify(status, version, &headers, asked) {
                let _ = (head.body_length(), head.total());
                if let Extent::Range { range: given, total } = &head.extent {
                    prop_assert!(given.start < given.end && given.end <= *total);
                    let asked = range.expect("a part is taken only where one was asked for");
                    prop_assert!(given.start == asked.start && given.end <= asked.end);
                }
            }
        }
    }
}
