//! The answers to requests, each with its status. Pure.
//!
//! The status tells Event Grid what to do next. 200 to 204: delivered. 400, 401, 403 and 413: never
//! try again. 503: try later. So one exhaustive match chooses each status.
//!
//! <https://learn.microsoft.com/azure/event-grid/delivery-and-retry>

use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpResponse;
use lambda_http::http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use lambda_http::http::{HeaderName, HeaderValue, StatusCode};
use serde_json::{Value, json};

use crate::access::Claims;
use crate::config::Acknowledge;
use crate::outcome::{Outcome, Report};

const ALLOWED_ORIGIN: HeaderName = HeaderName::from_static("webhook-allowed-origin");
const ALLOWED_RATE: HeaderName = HeaderName::from_static("webhook-allowed-rate");

const METHODS: HeaderValue = HeaderValue::from_static("POST, OPTIONS");
const ANY_RATE: HeaderValue = HeaderValue::from_static("*");
/// For other senders. Event Grid waits 30 s or longer after a 503, whatever the header says.
const RETRY_SECONDS: HeaderValue = HeaderValue::from_static("30");

/// The statuses of all answers. The documented table of answers is held against them.
pub const STATUSES: [StatusCode; 7] = [
    StatusCode::OK,
    StatusCode::ACCEPTED,
    StatusCode::BAD_REQUEST,
    StatusCode::UNAUTHORIZED,
    StatusCode::METHOD_NOT_ALLOWED,
    StatusCode::PAYLOAD_TOO_LARGE,
    StatusCode::SERVICE_UNAVAILABLE,
];

/// The verdict on a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The `CloudEvents` handshake is answered with consent.
    Allowed {
        /// The sender's `WebHook-Request-Origin`.
        origin: Option<HeaderValue>,
        /// The sender's `WebHook-Request-Rate`.
        rate: Option<HeaderValue>,
    },
    /// Event Grid's handshake is answered with its validation code.
    Validated {
        /// The validation code.
        code: String,
    },
    /// The method is neither POST nor OPTIONS.
    MethodNotAllowed,
    /// A secret or token that the request needs is missing or wrong.
    Unauthenticated,
    /// The secret or token could not be verified.
    Unverified,
    /// The request needs a webhook secret, and none is set.
    NoSecret,
    /// The body is longer than 1 MiB.
    TooLarge,
    /// The request has no body that is a JSON object or array.
    NotEvents,
    /// The outcome of each event.
    Judged(Vec<Report>),
    /// The work on the request panicked.
    Broken,
}

impl Verdict {
    /// Returns the outcomes of the events; none if the request was not a delivery of events.
    pub(super) fn reports(&self) -> &[Report] {
        match self {
            Self::Judged(reports) => reports,
            _ => &[],
        }
    }

    /// Returns the answer, which holds no URL.
    pub(super) fn answer(&self, acknowledge: Acknowledge) -> ApiGatewayV2httpResponse {
        match self {
            Self::Allowed { origin, rate } => {
                let mut response = response(StatusCode::OK, &json!({}));
                response.headers.insert(ALLOW, METHODS);
                if let Some(origin) = origin {
                    let rate = rate.clone().unwrap_or(ANY_RATE);
                    response.headers.insert(ALLOWED_ORIGIN, origin.clone());
                    response.headers.insert(ALLOWED_RATE, rate);
                }
                response
            }
            Self::Validated { code } => {
                response(StatusCode::OK, &json!({ "validationResponse": code }))
            }
            Self::MethodNotAllowed => {
                let why = "only POST and OPTIONS are answered";
                let mut response = fault(StatusCode::METHOD_NOT_ALLOWED, why);
                response.headers.insert(ALLOW, METHODS);
                response
            }
            Self::Unauthenticated => fault(
                StatusCode::UNAUTHORIZED,
                "the secret in the query parameter `code` or the header `x-webhook-secret`, or the \
                 bearer token, is missing or wrong",
            ),
            Self::Unverified => fault(
                StatusCode::SERVICE_UNAVAILABLE,
                "the credentials could not be verified; see the function's log",
            ),
            Self::NoSecret => fault(
                StatusCode::SERVICE_UNAVAILABLE,
                "no webhook secret is set, so nothing can be verified; see the function's log",
            ),
            Self::TooLarge => fault(StatusCode::PAYLOAD_TOO_LARGE, "the body is over 1 MiB"),
            Self::NotEvents => fault(
                StatusCode::BAD_REQUEST,
                "the body is neither a JSON object nor a JSON array of events",
            ),
            Self::Judged(reports) => {
                let statuses = reports
                    .iter()
                    .map(|report| status(report.outcome, acknowledge));
                // The greatest status is that of the worst outcome: 503, then 202, then 200.
                let worst = statuses.max().unwrap_or(StatusCode::OK);
                response(worst, &json!({ "events": reports }))
            }
            Self::Broken => {
                let why = "the function failed; see its log";
                fault(StatusCode::SERVICE_UNAVAILABLE, why)
            }
        }
    }
}

/// Answers an operator's check of the tokens for downloads: with their claims, or with the reason
/// why there are none.
pub(crate) fn checked(claims: Result<Claims, String>) -> ApiGatewayV2httpResponse {
    match claims {
        Ok(claims) => response(StatusCode::OK, &json!(claims)),
        Err(why) => fault(StatusCode::SERVICE_UNAVAILABLE, &why),
    }
}

/// Returns the status for one event.
fn status(outcome: Outcome, acknowledge: Acknowledge) -> StatusCode {
    match (outcome, acknowledge) {
        (
            Outcome::Archived | Outcome::AlreadyArchived | Outcome::Ignored | Outcome::SetAside,
            Acknowledge::Archived | Acknowledge::Stored,
        ) => StatusCode::OK,
        (Outcome::Suspended, Acknowledge::Stored) => StatusCode::ACCEPTED,
        (Outcome::Suspended, Acknowledge::Archived)
        | (Outcome::Unstored, Acknowledge::Archived | Acknowledge::Stored) => {
            StatusCode::SERVICE_UNAVAILABLE
        }
    }
}

fn fault(status: StatusCode, why: &str) -> ApiGatewayV2httpResponse {
    response(status, &json!({ "error": why }))
}

fn response(status: StatusCode, body: &Value) -> ApiGatewayV2httpResponse {
    let body = body.to_string();
    let mut response = ApiGatewayV2httpResponse::default();
    response.status_code = status.as_u16().into();
    let headers = &mut response.headers;
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, RETRY_SECONDS);
    }
    response.body = Some(body.into());
    response
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn judged(outcomes: &[Outcome]) -> Verdict {
        let report = |outcome: &Outcome| Report {
            id: "e".into(),
            outcome: *outcome,
            bytes: 0,
        };
        Verdict::Judged(outcomes.iter().map(report).collect())
    }

    /// Returns each verdict at least once.
    fn verdicts() -> Vec<Verdict> {
        use Outcome::{AlreadyArchived, Archived, Ignored, SetAside, Suspended, Unstored};
        use Verdict::{
            Allowed, Broken, Judged, MethodNotAllowed, NoSecret, NotEvents, TooLarge,
            Unauthenticated, Unverified, Validated,
        };

        let outcomes = [
            AlreadyArchived,
            Archived,
            Ignored,
            SetAside,
            Suspended,
            Unstored,
        ];
        let mut verdicts = vec![
            Allowed {
                origin: None,
                rate: None,
            },
            Validated { code: "1".into() },
            MethodNotAllowed,
            Unauthenticated,
            Unverified,
            NoSecret,
            TooLarge,
            NotEvents,
            Broken,
        ];
        verdicts.extend(outcomes.map(|outcome| judged(&[outcome])));
        for verdict in &verdicts {
            // Does not compile with a new verdict or outcome, until it is named here and above.
            match verdict {
                Allowed { .. }
                | Validated { .. }
                | MethodNotAllowed
                | Unauthenticated
                | Unverified
                | NoSecret
                | TooLarge
                | NotEvents
                | Broken => {}
                Judged(reports) => match reports[0].outcome {
                    AlreadyArchived | Archived | Ignored | SetAside | Suspended | Unstored => {}
                },
            }
        }
        verdicts
    }

    #[test]
    fn the_answers_have_the_listed_statuses() {
        let verdicts = verdicts();
        let answers = verdicts.iter().flat_map(|verdict| {
            [Acknowledge::Archived, Acknowledge::Stored].map(|when| verdict.answer(when))
        });
        let statuses: BTreeSet<i64> = answers.map(|answer| answer.status_code).collect();
        let listed = STATUSES.map(|status| i64::from(status.as_u16()));
        assert_eq!(statuses, BTreeSet::from(listed));
    }

    #[test]
    fn the_worst_outcome_counts() {
        use Outcome::{AlreadyArchived, Archived, Ignored, SetAside, Suspended, Unstored};

        for (outcomes, archived, stored) in [
            (vec![], 200, 200),
            (vec![Archived, AlreadyArchived, Ignored, SetAside], 200, 200),
            (vec![Archived, Suspended, SetAside], 503, 202),
            (vec![Suspended, Unstored, Archived], 503, 503),
            (vec![Unstored], 503, 503),
        ] {
            let verdict = judged(&outcomes);
            for (acknowledge, expected) in [
                (Acknowledge::Archived, archived),
                (Acknowledge::Stored, stored),
            ] {
                let answer = verdict.answer(acknowledge);
                assert_eq!(answer.status_code, expected, "{outcomes:?}");
                assert_eq!(answer.headers.contains_key(RETRY_AFTER), expected == 503);
            }
        }
    }
}
