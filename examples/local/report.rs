//! The lines about an answer.

use emulators::s3::S3;
use indicatif::HumanBytes;
use serde_json::Value;

use crate::client::Reply;
use crate::deliveries::Delivery;
use crate::recordings::PREFIX;
use crate::screen::{columns, folded, print};

/// The width of the column of names.
const NAME: usize = 27;

/// The result of a handshake: a summary, or the answer that Event Grid requires. `None` for any
/// other delivery.
///
/// <https://learn.microsoft.com/azure/event-grid/end-point-validation-event-grid-events-schema> and
/// <https://github.com/cloudevents/spec/blob/main/cloudevents/http-webhook.md>
pub(crate) fn handshake(delivery: &Delivery, reply: &Reply) -> Option<Result<String, String>> {
    let told = |good: bool, summary: String, wanted: &str| {
        if good && reply.status == 200 {
            Ok(format!("handshake: {summary}"))
        } else {
            Err(format!("the answer must be 200 and {wanted}"))
        }
    };
    if delivery.method == "OPTIONS" {
        let origin = delivery.header("webhook-request-origin")?;
        let allowed = reply.header("webhook-allowed-origin") == Some(origin)
            && reply.header("webhook-allowed-rate").is_some();
        let wanted = format!("allow {origin}");
        return Some(told(allowed, format!("{origin} allowed"), &wanted));
    }
    let events: Value = serde_json::from_slice(&delivery.body).ok()?;
    let code = events.pointer("/0/data/validationCode")?;
    let repeated = reply.body.get("validationResponse") == Some(code);
    let summary = "code repeated".to_owned();
    Some(told(repeated, summary, "repeat the validation code"))
}

/// Prints a line about an answer, and the reasons why events were not archived.
pub(crate) fn report(delivery: &Delivery, reply: &Reply, summary: &str, s3: &S3) {
    let bytes = match reply.bytes() {
        0 => String::new(),
        bytes => format!("  {}", HumanBytes(bytes)),
    };
    let (name, status) = (&delivery.name, reply.status);
    let seconds = reply.took.as_secs_f64();
    let answer = format!("{status}  {summary}{bytes}  {seconds:.1} s");
    print(beside(&padded(name), &answer, columns()));
    let without_reason = |outcome: &&str| outcome.ends_with("rchived") || *outcome == "suspended";
    if !reply.outcomes().iter().all(without_reason) {
        for reason in reasons(&delivery.body, s3) {
            detail(&reason);
        }
    }
}

/// A name and its text, which is on a line below if both do not fit into `most` columns.
pub(crate) fn beside(name: &str, text: &str, most: Option<usize>) -> String {
    let line = format!("{name}  {text}");
    if most.is_none_or(|most| line.chars().count() <= most) {
        return line;
    }
    let below = folded(&format!("    {text}"), most);
    format!("{}\n{below}", name.trim_end())
}

/// Prints a detail of the line above.
pub(crate) fn detail(text: &str) {
    print(folded(&format!("    {text}"), columns()));
}

/// The name of a delivery, padded to its column.
pub(crate) fn padded(name: &str) -> String {
    format!("{name:NAME$}")
}

/// The reasons why events of this body were rejected or set aside, from the documents in the
/// bucket.
fn reasons(body: &[u8], s3: &S3) -> Vec<String> {
    let events = match serde_json::from_slice(body) {
        Ok(Value::Array(events)) => events,
        Ok(event) => vec![event],
        Err(_) => return vec![],
    };
    let mut reasons = vec![];
    for (key, object) in s3.objects() {
        let set_aside = key.starts_with(&format!("{PREFIX}rejected/"));
        if !set_aside && !key.ends_with(".rejected.json") {
            continue;
        }
        let document: Value = serde_json::from_slice(&object.body).unwrap_or_default();
        let is_told = |event: &Value| Some(event) == document.get("event");
        if events.iter().any(is_told) {
            let outcome = if set_aside { "set aside" } else { "rejected" };
            let told = all_reasons(&document).into_iter();
            reasons.extend(told.map(|reason| format!("{outcome}: {reason}")));
        }
    }
    reasons
}

/// The reasons in a document: of the event, or of its chunks.
fn all_reasons(document: &Value) -> Vec<String> {
    let text = |value: &Value| Some(value.get("reason")?.as_str()?.to_owned());
    let mut reasons: Vec<_> = text(document).into_iter().collect();
    let chunks = document.get("chunks").and_then(Value::as_array);
    for chunk in chunks.into_iter().flatten() {
        for kind in ["media", "metadata"] {
            if let Some(reason) = chunk.get(kind).and_then(text) {
                let index = chunk.get("index").unwrap_or(&Value::Null);
                reasons.push(format!("chunk {index}, {kind}: {reason}"));
            }
        }
    }
    reasons
}

/// `1 part`, `2 parts`.
pub(crate) fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_reasons_of_a_document() {
        let set_aside = json!({"reason": "event is of another topic", "event": {}});
        assert_eq!(all_reasons(&set_aside), ["event is of another topic"]);
        let rejected = json!({"event": {}, "chunks": [
            {"index": 0, "media": {"outcome": "archived"}, "metadata": {"outcome": "archived"}},
            {"index": 1, "media": {"outcome": "rejected", "reason": "gone"},
                "metadata": {"outcome": "expired", "reason": "busy"}},
        ]});
        assert_eq!(
            all_reasons(&rejected),
            ["chunk 1, media: gone", "chunk 1, metadata: busy"]
        );
    }

    #[test]
    fn a_text_that_does_not_fit_beside_its_name_is_below() {
        assert_eq!(beside("one   ", "two", None), "one     two");
        assert_eq!(beside("one   ", "two", Some(11)), "one     two");
        assert_eq!(beside("one   ", "two", Some(10)), "one\n    two");
    }
}
