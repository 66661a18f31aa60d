//! What is said of an answer.

use std::fmt::Display;
use std::io::{Write as _, stdout};

use indicatif::HumanBytes;
use serde_json::Value;

use crate::deliveries::Delivery;
use crate::grid::Answered;

/// Whether a handshake was answered as Event Grid wants it; `None` if it was none.
pub fn handshake(delivery: &Delivery, answered: &Answered) -> Option<Result<String, String>> {
    let good = |good: bool, what: &str| {
        if good && answered.status == 200 {
            Ok(format!("handshake: {what}"))
        } else {
            Err(format!("the answer should be: {what}"))
        }
    };
    if delivery.method == "OPTIONS" {
        let origin = delivery.header("webhook-request-origin")?;
        let allowed = answered.header("webhook-allowed-origin") == Some(origin)
            && answered.header("webhook-allowed-rate").is_some();
        return Some(good(allowed, &format!("{origin} may deliver")));
    }
    let events: Value = serde_json::from_slice(&delivery.body).ok()?;
    let code = events.pointer("/0/data/validationCode")?;
    let repeated = answered.body.get("validationResponse") == Some(code);
    Some(good(repeated, "the validation code is repeated"))
}

/// A line for a delivery that was answered.
pub fn report(delivery: &Delivery, answered: &Answered, summary: &str) {
    let bytes = match answered.bytes() {
        0 => String::new(),
        bytes => format!("  {}", HumanBytes(bytes)),
    };
    say(format_args!(
        "{:28}  {:4}  {summary}{bytes}  {:.1} s",
        delivery.name,
        answered.status,
        answered.took.as_secs_f64()
    ));
}

/// `1 part`, `2 parts`.
pub fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// Prints a line. Whoever no longer reads has seen enough.
pub fn say(line: impl Display) {
    let _ = writeln!(stdout(), "{line}");
}
