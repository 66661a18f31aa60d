//! The judgement on a request, and its log line.

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

/// The verdict on a request, and the credential that admitted it.
#[derive(Debug)]
pub(super) struct Judgement {
    /// The verdict.
    pub(super) verdict: Verdict,
    /// The credential; `None` if the request was not admitted by one.
    pub(super) credential: Option<Credential>,
}

impl Judgement {
    /// Judges a request that presents a good `credential`. A verdict may refuse it even so: the
    /// credential of a delivery need not admit a handshake.
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

/// Returns the verdict on a request that is not admitted.
pub(super) fn refusal(decision: Decision) -> Verdict {
    match decision {
        Decision::Admitted(_) | Decision::Refused => Verdict::Unauthenticated,
        Decision::Unverified => Verdict::Unverified,
        Decision::NoSecret => Verdict::NoSecret,
    }
}

/// The facts of a request that its log line tells.
#[derive(Debug)]
pub(super) struct Delivery {
    started: Instant,
    attempt: Option<u64>,
    subscription: Option<String>,
    /// The sender's address, as Lambda reports it.
    source: Option<IpAddr>,
    /// Set if the request presents a credential, right or wrong.
    presents: bool,
}

impl Delivery {
    /// Reads the facts of `request`, which arrived at `started`.
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

    /// Returns the answer. This is the one place that logs a request and counts refusals.
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
            "delivery answered"
        );
        match verdict {
            // Without a credential, the request is a stranger's: nothing that an operator can fix.
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
