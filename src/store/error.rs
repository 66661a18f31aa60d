//! What goes wrong between us and S3, told apart by status and code.

use std::error::Error as StdError;
use std::time::Duration;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

/// What went wrong between us and S3.
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
        /// S3's own words; without a code, why there is none.
        message: String,
    },
    /// The call could not be made: no credentials, above all.
    #[error("{operation} could not be sent to S3")]
    Unsent {
        /// The call.
        operation: &'static str,
        /// What the SDK says.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// No answer, or one that cannot be read: the call may or may not have taken effect.
    #[error("{operation} got no answer from S3")]
    Unanswered {
        /// The call.
        operation: &'static str,
        /// What the SDK says.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// An answer that lacks what it must have, or a listing that does not end.
    #[error("S3 answered {operation} without {missing}")]
    Incomplete {
        /// The call.
        operation: &'static str,
        /// What is not there.
        missing: &'static str,
    },
    /// The deadline passed before the call, or the pages of a listing, came to an end.
    #[error("out of time before S3 had answered {operation}")]
    OutOfTime {
        /// The call.
        operation: &'static str,
    },
    /// A part moved no byte for that long.
    #[error("S3 took no byte for {} s", .0.as_secs_f32())]
    Stalled(Duration),
    /// A key of the archive, where nothing is ever replaced or deleted. No call was made.
    #[error("object is of the archive, which is only ever added to")]
    Archive,
    /// An object under one of our keys that is not of this event, and that is left as it is.
    #[error("key holds a document of something else")]
    Foreign,
    /// The store took a write whose condition did not hold, so it keeps nothing from being replaced.
    #[error(
        "store ignores {0} of PutObject, so nothing is safe in it; \
         use one that honours conditional writes"
    )]
    Ignores(&'static str),
    /// Somebody else wrote the object at the same moment.
    #[error("another writer was at the same key")]
    Contended,
}

impl Error {
    /// What an error of the SDK's comes to: S3's own words only where they have the form of such.
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

    /// Returns `true` if a condition did not hold (412), or could not be judged because of another writer
    /// (409).
    #[must_use]
    pub fn is_condition(&self) -> bool {
        matches!(self.status(), Some(409 | 412))
    }

    /// Whether the upload is gone: completed, aborted, or ended by a lifecycle rule.
    #[must_use]
    pub fn is_no_such_upload(&self) -> bool {
        self.code() == Some("NoSuchUpload")
    }

    /// Returns `true` if Complete was refused because the parts can never be this object.
    pub(crate) fn is_useless_upload(&self) -> bool {
        let code = self.code().unwrap_or_default();
        matches!(code, "EntityTooSmall" | "InvalidPartOrder" | "BadDigest")
    }

    /// Whether S3 asked to be called less often.
    pub(crate) fn is_throttling(&self) -> bool {
        self.status() == Some(429) || self.code() == Some("SlowDown")
    }

    /// Whether the same call may well succeed a moment later.
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

/// The reason for an answer that gives neither code nor message. The answer to HEAD has no body at
/// all; a body without either is no S3 error, but that of something between us and S3.
fn unexplained(response: &HttpResponse) -> &'static str {
    let is_empty = response.body().bytes().is_some_and(<[u8]>::is_empty);
    if is_empty && !response.status().is_success() {
        "no reason given"
    } else {
        UNREADABLE
    }
}

/// Code and message, as far as there are any, to stand after a status.
fn told(code: &str, message: &str) -> String {
    match (code, message) {
        ("", message) => format!(", {message}"),
        (code, "") => format!(" {code}"),
        (code, message) => format!(" {code}: {message}"),
    }
}

/// An error code, if it is like one: a store that echoes what it was sent is not to be repeated.
fn code(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_');
    if text.len() <= 64 && text.bytes().all(plain) {
        text.to_owned()
    } else {
        "(a code that cannot be read)".to_owned()
    }
}

/// What S3 says, cut to a length and only if it has nothing of a signed request or a URL in it.
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
    fn what_is_like_no_code_or_no_message_is_not_repeated() {
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
    fn an_error_says_what_is_known_of_its_reason() {
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
    fn what_may_pass() {
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
