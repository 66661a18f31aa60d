//! The judgement on a request, and the line of the log that tells of it.

use std::borrow::Cow;
use std::net::IpAddr;

use lambda_http::aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use tokio::time::Instant;
use tracing::{error, info};

use super::answer::Verdict;
use super::request::{attempt, presents_any, text};
use crate::authentication::{Credential, Decision};
use crate::clock;
use crate::config::Acknowledge;
use crate::metrics::{Measured, Metric};
use crate::recording::safe_id;

const SUBSCRIPTION_NAME: &str = "aeg-subscription-name";

/// The verdict on a request, and the credentials that let it in.
#[derive(Debug)]
pub(super) struct Judgement {
    /// The verdict.
    pub(super) verdict: Verdict,
    /// The credentials, if it was let in by any.
    pub(super) credential: Option<Credential>,
}

impl Judgement {
    pub(super) fn of(verdict: Verdict, credential: Credential) -> Self {
        let admitted = !matches!(verdict, Verdict::Unauthenticated | Verdict::Unverified);
        Self {
            verdict,
            credential: admitted.then_some(credential),
        }
    }
}

impl From<Verdict> for Judgement {
    fn from(verdict: Verdict) -> Self {
        Self {
            verdict,
            credential: None,
        }
    }
}

/// The verdict on a request that is not let in.
pub(super) fn refusal(decision: Decision) -> Verdict {
    match decision {
        Decision::Admitted(_) | Decision::Refused => Verdict::Unauthenticated,
        Decision::Unverified => Verdict::Unverified,
        Decision::NoSecret => Verdict::NoSecret,
    }
}

/// A request as the log tells of it.
#[derive(Debug)]
pub(super) struct Delivery {
    started: Instant,
    attempt: Option<u64>,
    subscription: Option<String>,
    /// The sender's address, as Lambda saw it.
    source: Option<IpAddr>,
    /// Set if it presents a credential, right or wrong.
    presents: bool,
}

impl Delivery {
    /// The facts that are told of `request`, which came at `started`.
    pub(super) fn of(request: &ApiGatewayV2httpRequest, started: Instant) -> Self {
        let subscription = text(&request.headers, SUBSCRIPTION_NAME).map(safe_id);
        Self {
            started,
            attempt: attempt(request),
            subscription: subscription.map(Cow::into_owned),
            source: (request.request_context.http.source_ip.as_deref())
                .and_then(|address| address.parse().ok()),
            presents: presents_any(request),
        }
    }

    /// The answer to it. The one place that logs a request, and counts what was not let in.
    pub(super) fn answered(
        &self,
        judgement: &Judgement,
        acknowledge: Acknowledge,
    ) -> ApiGatewayV2httpResponse {
        let verdict = &judgement.verdict;
        let response = verdict.answer(acknowledge);
        let reports = verdict.reports();
        info!(
            status = response.status_code,
            attempt = self.attempt,
            subscription = self.subscription,
            source = self.source.map(|address| address.to_string()),
            credential = judgement
                .credential
                .map(|credential| credential.to_string()),
            events = reports.len(),
            bytes = reports.iter().map(|report| report.bytes).sum::<u64>(),
            milliseconds = clock::milliseconds(self.started),
            "delivery"
        );
        match verdict {
            // A request without a credential is a stranger's.
            Verdict::Unauthenticated if self.presents => {
                Measured::once(Metric::DeliveriesRefused).emit();
            }
            Verdict::NoSecret => {
                error!("no webhook secret is set, so no delivery can be verified");
                Measured::once(Metric::DeliveriesUnverified).emit();
            }
            Verdict::Unverified => Measured::once(Metric::DeliveriesUnverified).emit(),
            _ => {}
        }
        response
    }
}
