//! Measurements as log lines in CloudWatch's embedded metric format. A line costs no call, and is
//! no more likely to be lost than any other.
//!
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>

use std::io::{self, Write as _};
use std::sync::OnceLock;

use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Measured, NAMESPACE};
use crate::clock;

/// The dimension that tells installations apart.
const DIMENSION: &str = "Installation";
/// The second dimension of [`Metric::Retries`](super::Metric::Retries).
const CAUSE: &str = "Cause";

/// The installation that the lines name. While it is not set, no line is written.
static INSTALLATION: OnceLock<String> = OnceLock::new();

/// Lets measurements be written from now on, as those of `installation`. A second call does
/// nothing.
pub(crate) fn install(installation: String) {
    // Fails only if an installation is set already.
    let _ = INSTALLATION.set(installation);
}

impl Measured {
    /// Writes the measurement as a log line. Before [`install`], the measurement is dropped.
    pub(crate) fn emit(&self) {
        if self.values.is_empty() {
            return;
        }
        if let Some(installation) = INSTALLATION.get() {
            let line = format!("{}\n", self.line(installation));
            // If the log cannot be written, there is nowhere to report it.
            let _ = io::stdout().lock().write_all(line.as_bytes());
        }
    }

    /// Returns the line from which CloudWatch extracts the metrics.
    fn line(&self, installation: &str) -> Value {
        let now = OffsetDateTime::from(clock::now());
        let mut dimensions = vec![vec![DIMENSION]];
        let mut line = Map::new();
        // The members of all log lines. Lambda drops lines below the level that is set for its log.
        line.insert("timestamp".into(), now.format(&Rfc3339).ok().into());
        line.insert("level".into(), "INFO".into());
        line.insert("message".into(), "metrics".into());
        line.insert(DIMENSION.into(), installation.into());
        if let Some(cause) = self.cause {
            dimensions.push(vec![DIMENSION, CAUSE]);
            line.insert(CAUSE.into(), json!(cause));
        }
        let mut metrics = Vec::new();
        for (metric, value) in &self.values {
            metrics.push(json!({"Name": metric, "Unit": metric.unit()}));
            line.insert(metric.to_string(), json!(value));
        }
        let milliseconds = now.unix_timestamp() * 1000 + i64::from(now.millisecond());
        line.insert(
            "_aws".into(),
            json!({
                "Timestamp": milliseconds,
                "CloudWatchMetrics": [{
                    "Namespace": NAMESPACE,
                    "Dimensions": dimensions,
                    "Metrics": metrics,
                }],
            }),
        );
        Value::Object(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Cause, Metric};

    #[test]
    fn a_line_is_in_the_embedded_metric_format() {
        let measured = Measured::once(Metric::ChunksArchived).and_count(Metric::BytesFetched, 7);
        let line = measured.line("archiver");
        assert_eq!(line["Installation"], "archiver");
        assert_eq!(line["ChunksArchived"], 1.0);
        assert_eq!(line["BytesFetched"], 7.0);
        let directive = &line["_aws"]["CloudWatchMetrics"];
        assert_eq!(
            *directive,
            json!([{
                "Namespace": "AcsRecordingArchiver",
                "Dimensions": [["Installation"]],
                "Metrics": [
                    {"Name": "ChunksArchived", "Unit": "Count"},
                    {"Name": "BytesFetched", "Unit": "Bytes"},
                ],
            }])
        );
        let timestamp = line["_aws"]["Timestamp"].as_u64().unwrap();
        assert!(timestamp > 1_700_000_000_000, "milliseconds");
    }

    #[test]
    fn retries_are_counted_by_their_cause_and_in_all() {
        let line = Measured::retry(Cause::S3Throttled).line("archiver");
        assert_eq!(line["Cause"], "s3Throttled");
        assert_eq!(
            line["_aws"]["CloudWatchMetrics"][0]["Dimensions"],
            json!([["Installation"], ["Installation", "Cause"]])
        );
    }
}
