//! The metrics: names and units, and the log lines from which CloudWatch extracts them.

mod lines;

pub(crate) use lines::install;

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::limits::MIB;
use crate::outcome::Outcome;

/// The namespace of the metrics in CloudWatch.
pub const NAMESPACE: &str = "AcsRecordingArchiver";

/// Declares an enum with `ALL`, the list of its variants.
macro_rules! listed {
    (
        $(#[$attribute:meta])*
        pub enum $name:ident { $($(#[$doc:meta])* $variant:ident,)* }
    ) => {
        $(#[$attribute])*
        pub enum $name { $($(#[$doc])* $variant,)* }

        impl $name {
            /// All variants, in the order of `docs/reference.md`.
            pub const ALL: [Self; [$(stringify!($variant)),*].len()] = [$(Self::$variant),*];
        }
    };
}

/// Declares [`Metric`] as the table of all metrics, each with its unit.
macro_rules! metrics {
    ($($metric:ident: $unit:literal,)*) => {
        listed! {
            /// A metric, named in CloudWatch as its variant is here.
            #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
            #[expect(
                missing_docs,
                reason = "docs/reference.md says of each when it is measured"
            )]
            pub enum Metric { $($metric,)* }
        }

        impl Metric {
            /// The unit, as CloudWatch names it.
            #[must_use]
            pub fn unit(self) -> &'static str {
                match self { $(Self::$metric => $unit,)* }
            }
        }
    };
}

metrics! {
    RecordingsArchived: "Count",
    RecordingsAlreadyArchived: "Count",
    RecordingsSuspended: "Count",
    RecordingsRejected: "Count",
    RecordingsExpired: "Count",
    RecordingsInCustomerStorage: "Count",
    ChunksArchived: "Count",
    ChunksAlreadyArchived: "Count",
    ChunksSuspended: "Count",
    ChunksRejected: "Count",
    ChunksExpired: "Count",
    MediaDoubtful: "Count",
    EventsSetAside: "Count",
    EventsUnstored: "Count",
    Panics: "Count",
    DeliveriesRefused: "Count",
    DeliveriesUnverified: "Count",
    SecretsUnreadable: "Count",
    TokensUnavailable: "Count",
    BytesArchived: "Bytes",
    BytesFetched: "Bytes",
    BytesReused: "Bytes",
    RecordingDuration: "Milliseconds",
    Throughput: "Megabytes/Second",
    Retries: "Count",
    ArchiveLag: "Seconds",
    PendingRecordings: "Count",
    RecordingsInTrouble: "Count",
    UnfinishedUploads: "Count",
    HoursUntilSourceExpires: "None",
    Ticks: "Count",
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The variants are named as the metrics are.
        fmt::Debug::fmt(self, f)
    }
}

listed! {
    /// The cause of a retry: the values of the dimension `Cause`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
    #[serde(rename_all = "camelCase")]
    pub enum Cause {
        /// ACS answered 429, or sent `Retry-After`.
        AcsThrottled,
        /// ACS answered 408 or 5xx.
        AcsFailed,
        /// The recording is not ready yet.
        AcsNotReady,
        /// ACS sent no byte in time.
        AcsStalled,
        /// A connection to ACS, or the body of a reply, broke off.
        AcsBroken,
        /// A reply of ACS did not match the request.
        AcsMismatched,
        /// ACS refused the access key or the token, and a newer one was there.
        AcsUnauthorized,
        /// S3 asked to slow down.
        S3Throttled,
        /// S3 failed or did not answer.
        S3Failed,
        /// S3 accepted no byte in time.
        S3Stalled,
    }
}

/// A measurement: metrics with their values, which become one log line.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    values: Vec<(Metric, f64)>,
    cause: Option<Cause>,
}

impl Measured {
    /// Counts one occurrence.
    pub(crate) fn once(metric: Metric) -> Self {
        Self::default().and(metric, 1.0)
    }

    /// Counts one retry by its cause.
    pub(crate) fn retry(cause: Cause) -> Self {
        Self {
            cause: Some(cause),
            ..Self::once(Metric::Retries)
        }
    }

    /// Measures a run on a recording that took `time`, fetched `bytes` and ended in `outcome`.
    /// `lag` is the time since the event, if the event has a time.
    pub(crate) fn recording(
        outcome: Outcome,
        lag: Option<Duration>,
        time: Duration,
        bytes: u64,
    ) -> Self {
        let mut measured = match outcome {
            Outcome::Archived => Self::once(Metric::RecordingsArchived)
                .and(Metric::RecordingDuration, time.as_secs_f64() * 1000.0),
            Outcome::AlreadyArchived => Self::once(Metric::RecordingsAlreadyArchived),
            Outcome::Suspended => Self::once(Metric::RecordingsSuspended),
            // Measured by the code that knows the reason.
            Outcome::Ignored | Outcome::SetAside | Outcome::Unstored => Self::default(),
        };
        if let (Outcome::Archived, Some(lag)) = (outcome, lag) {
            measured = measured.and(Metric::ArchiveLag, lag.as_secs_f64());
        }
        // The rate of a small download would measure the latency.
        if bytes <= MIB || time.is_zero() {
            return measured;
        }
        let megabytes = number(bytes) / 1_000_000.0;
        measured.and(Metric::Throughput, megabytes / time.as_secs_f64())
    }

    /// Measures a tick that has listed the `pending` events, those of them that are `in_trouble`,
    /// and the `unfinished` uploads of no event. ACS deletes the oldest event's source in
    /// `hours_left`.
    pub(crate) fn tick(
        pending: usize,
        in_trouble: usize,
        unfinished: usize,
        hours_left: Option<f64>,
    ) -> Self {
        let measured = Self::tick_at_work()
            .and(Metric::PendingRecordings, number(pending as u64))
            .and(Metric::RecordingsInTrouble, number(in_trouble as u64))
            .and_count(Metric::UnfinishedUploads, unfinished as u64);
        match hours_left {
            Some(hours) => measured.and(Metric::HoursUntilSourceExpires, hours),
            None => measured,
        }
    }

    /// Measures a tick that is still at work.
    pub(crate) fn tick_at_work() -> Self {
        Self::once(Metric::Ticks)
    }

    /// Adds a count, or a size in bytes, unless it is zero.
    pub(crate) fn and_count(self, metric: Metric, count: u64) -> Self {
        if count == 0 {
            self
        } else {
            self.and(metric, number(count))
        }
    }

    /// Adds a metric.
    fn and(mut self, metric: Metric, value: f64) -> Self {
        self.values.push((metric, value));
        self
    }
}

/// Converts a count to floating point, which is exact up to 2^53.
#[expect(clippy::cast_precision_loss, reason = "metrics are floating point")]
fn number(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_measured_by_its_outcome() {
        let (hour, second) = (Duration::from_hours(1), Duration::from_secs(1));
        let values =
            |outcome, bytes| Measured::recording(outcome, Some(hour), second, bytes).values;
        assert_eq!(
            values(Outcome::Archived, 3_000_000),
            [
                (Metric::RecordingsArchived, 1.0),
                (Metric::RecordingDuration, 1000.0),
                (Metric::ArchiveLag, 3600.0),
                (Metric::Throughput, 3.0),
            ]
        );
        assert_eq!(
            values(Outcome::Suspended, 10),
            [(Metric::RecordingsSuspended, 1.0)]
        );
        assert_eq!(values(Outcome::SetAside, 0), []);
    }
}
