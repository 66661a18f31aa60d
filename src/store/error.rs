//! The errors of S3 calls, told apart by status and code.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>

use std::error::Error as StdError;
use std::time::Duration;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

/// An error of a call to S3.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// S3 answered with an error.
    #[error("S3 answered {operation} with {status}{}", told(code, message))]
    Refused {
        /// The call.
        operation: &'static str,
        /// The HTTP status.
        status: u16,
        /// S3's error code; empty for an answer without one.
        code: String,
        /// The message of S3; without a code, the reason why there is none.
        message: String,
    },
    /// The call could not be sent, most often for want of credentials.
    #[error("{operation} could not be sent to S3")]
    Unsent {
        /// The call.
        operation: &'static str,
        /// The error of the SDK.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// S3 gave no answer, or none that can be read. The call may have taken effect.
    #[error("{operation} got no answer from S3")]
    Unanswered {
        /// The call.
        operation: &'static str,
        /// The error of the SDK.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// An answer without a required member, or a listing that does not end.
    #[error("S3 answered {operation} without {missing}")]
    Incomplete {
        /// The call.
        operation: &'static str,
        /// The missing member.
        missing: &'static str,
    },
    /// The deadline passed before the call, or the pages of a listing, came to an end.
    #[error("out of time before S3 had completed its answer to {operation}")]
    OutOfTime {
        /// The call.
        operation: &'static str,
    },
    /// No byte of a part was sent for that long.
    #[error("S3 took no byte for {} s", .0.as_secs_f32())]
    Stalled(Duration),
    /// The key is in the archive, in which nothing is ever replaced or deleted. No call was made.
    #[error("object is in the archive, where nothing is replaced or deleted")]
    Archive,
    /// An object of another event, or of none, has the key. It is left as it is.
    #[error("key holds a document of something else")]
    Foreign,
    /// The store accepted a write whose condition did not hold.
    #[error(
        "store ignores {0} of PutObject, so nothing is safe in it; \
         use one that honours conditional writes"
    )]
    Ignores(&'static str),
    /// Another writer was at the same key at the same time.
    #[error("another writer was at the same key")]
    Contended,
}

impl Error {
    /// An error of the SDK. Code and message are taken over only if they have the form of S3's.
    pub fn from_sdk<E>(operation: &'static str, error: SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
    {
        match &error {
            SdkError::ServiceError(service) => {
                let code = code(service.err().code().unwrap_or_default());
                let message = message(service.err().message().unwrap_or_default());
                let reason = if code.is_empty() && message.is_empty() {
                    unexplained(service.raw()).to_owned()
                } else {
                    message
                };
                Self::Refused {
                    operation,
                    status: service.raw().status().as_u16(),
                    code,
                    message: reason,
                }
            }
            SdkError::ResponseError(response) => Self::Refused {
                operation,
                status: response.raw().status().as_u16(),
                code: String::new(),
                message: UNREADABLE.to_owned(),
            },
            SdkError::ConstructionFailure(_) => Self::Unsent {
                operation,
                source: Box::new(error),
            },
            _ => Self::Unanswered {
                operation,
                source: Box::new(error),
            },
        }
    }

    /// S3's error code, if it gave one.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => Some(code),
            _ => None,
        }
    }

    /// The HTTP status, if S3 answered.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Returns `true` if a condition did not hold (412), or if another writer kept S3 from judging
    /// the condition (409).
    #[must_use]
    pub fn is_condition(&self) -> bool {
        matches!(self.status(), Some(409 | 412))
    }

    /// Returns `true` if the upload is gone: completed, aborted, or ended by a lifecycle rule.
    #[must_use]
    pub fn is_no_such_upload(&self) -> bool {
        self.code() == Some("NoSuchUpload")
    }

    /// Returns `true` if S3 refuses to complete the upload because of its parts, and always will.
    pub(crate) fn is_useless_upload(&self) -> bool {
        let code = self.code().unwrap_or_default();
        matches!(code, "EntityTooSmall" | "InvalidPartOrder" | "BadDigest")
    }

    /// Returns `true` if S3 asks to be called less often.
    pub(crate) fn is_throttling(&self) -> bool {
        self.status() == Some(429) || self.code() == Some("SlowDown")
    }

    /// Returns `true` if the same call may succeed a moment later.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Refused { status, code, .. } => {
                *status >= 500
                    || *status == 429
                    || matches!(
                        code.as_str(),
                        "SlowDown" | "RequestTimeout" | "InternalError"
                    )
            }
            Self::Unsent { .. } | Self::Unanswered { .. } | Self::Stalled(_) | Self::Contended => {
                true
            }
            Self::Incomplete { .. }
            | Self::OutOfTime { .. }
            | Self::Archive
            | Self::Foreign
            | Self::Ignores(_) => false,
        }
    }
}

const UNREADABLE: &str = "the answer cannot be read";

/// The reason for an answer without code and message. An answer to HEAD has no body. A body without
/// code and message is not from S3, but from something in between, such as a proxy.
fn unexplained(response: &HttpResponse) -> &'static str {
    let is_empty = response.body().bytes().is_some_and(<[u8]>::is_empty);
    if is_empty && !response.status().is_success() {
        "no reason given"
    } else {
        UNREADABLE
    }
}

/// Code and message, if any, to follow a status.
fn told(code: &str, message: &str) -> String {
    match (code, message) {
        ("", message) => format!(", {message}"),
        (code, "") => format!(" {code}"),
        (code, message) => format!(" {code}: {message}"),
    }
}

/// An error code, if it has the form of a code. A store may echo the request, which is not logged.
fn code(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_');
    if text.len() <= 64 && text.bytes().all(plain) {
        text.to_owned()
    } else {
        "(a code that cannot be read)".to_owned()
    }
}

/// The message of S3, cut to a length. A message with parts of a signed request or a URL is not
/// logged.
fn message(text: &str) -> String {
    const MOST: usize = 300;
    let told = ["Signature=", "AWS4-HMAC", "://", "uthorization:"];
    if told.iter().any(|part| text.contains(part)) {
        "(a message with parts of a request is not shown)".to_owned()
    } else {
        let printable = |letter: char| if letter.is_control() { ' ' } else { letter };
        text.chars().take(MOST).map(printable).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_or_message_with_parts_of_a_request_is_not_repeated() {
        assert_eq!(code("SlowDown"), "SlowDown");
        assert_eq!(code("x-amz: c2VjcmV0"), "(a code that cannot be read)");
        assert_eq!(message("Access Denied"), "Access Denied");
        for text in [
            "authorization: AWS4-HMAC-SHA256 Credential=c2VjcmV0",
            "Signature=c2VjcmV0",
            "https://x/?sig=c2VjcmV0",
        ] {
            assert!(!message(text).contains("c2VjcmV0"), "{text}");
        }
        assert_eq!(message(&"a\n".repeat(1000)).len(), 300);
    }

    #[test]
    fn an_error_gives_the_reason_as_far_as_known() {
        use aws_sdk_s3::config::http::HttpResponse;
        use aws_sdk_s3::error::ErrorMetadata;
        use aws_sdk_s3::operation::head_object::HeadObjectError;

        let answered =
            |status: u16, code: Option<&str>, message: Option<&str>, body: &'static str| {
                let mut metadata = ErrorMetadata::builder();
                if let Some(code) = code {
                    metadata = metadata.code(code);
                }
                if let Some(message) = message {
                    metadata = metadata.message(message);
                }
                let error = HeadObjectError::generic(metadata.build());
                let response = HttpResponse::new(status.try_into().unwrap(), body.into());
                let error = SdkError::service_error(error, response);
                Error::from_sdk("HeadObject", error).to_string()
            };
        for (answer, expected) in [
            (answered(403, None, None, ""), "403, no reason given"),
            (
                answered(413, None, None, "<html>"),
                "413, the answer cannot be read",
            ),
            (
                answered(200, None, None, "<html>"),
                "200, the answer cannot be read",
            ),
            (
                answered(200, None, None, ""),
                "200, the answer cannot be read",
            ),
            (
                answered(503, Some("SlowDown"), None, "<Error/>"),
                "503 SlowDown",
            ),
            (
                answered(400, None, Some("Because"), "<Error/>"),
                "400, Because",
            ),
            (
                answered(403, Some("AccessDenied"), Some("Access Denied"), "<Error/>"),
                "403 AccessDenied: Access Denied",
            ),
        ] {
            assert_eq!(answer, format!("S3 answered HeadObject with {expected}"));
        }
        let unread: SdkError<HeadObjectError, _> = SdkError::response_error(
            "no XML",
            HttpResponse::new(200.try_into().unwrap(), "<html>".into()),
        );
        let unread = Error::from_sdk("HeadObject", unread).to_string();
        assert_eq!(
            unread,
            "S3 answered HeadObject with 200, the answer cannot be read"
        );
        let unsent: SdkError<HeadObjectError, _> = SdkError::construction_failure("no region");
        let unsent = Error::from_sdk("HeadObject", unsent).to_string();
        assert_eq!(unsent, "HeadObject could not be sent to S3");
    }

    #[test]
    fn a_passing_error_is_told_by_status_and_code() {
        let refused = |status, code: &str| Error::Refused {
            operation: "PutObject",
            status,
            code: code.into(),
            message: String::new(),
        };
        for (error, may_pass) in [
            (refused(503, "SlowDown"), true),
            (refused(500, ""), true),
            (refused(400, "RequestTimeout"), true),
            (refused(403, "AccessDenied"), false),
            (refused(404, "NoSuchBucket"), false),
            (Error::Stalled(Duration::ZERO), true),
            (
                Error::Incomplete {
                    operation: "HeadObject",
                    missing: "an ETag",
                },
                false,
            ),
        ] {
            assert_eq!(error.may_pass(), may_pass, "{error}");
        }
    }
}
