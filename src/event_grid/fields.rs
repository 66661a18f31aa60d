//! Fields whose value counts as absent where it has another type than expected.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// A string; anything else counts as absent.
pub(super) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let raw = <&RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str(raw.get()).ok())
}

/// A whole number from 0, be it spelt as a float or in a string; anything else counts as absent.
pub(super) fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let raw = <&RawValue>::deserialize(deserializer)?;
    let in_string: Option<String> = serde_json::from_str(raw.get()).ok();
    Ok(whole_number(in_string.as_deref().unwrap_or(raw.get())))
}

fn whole_number(text: &str) -> Option<u64> {
    /// The floats up to here stand for one whole number each.
    const EXACT: f64 = 9_007_199_254_740_992.0;

    let text = text.trim();
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok();
    }
    let float: f64 = serde_json::from_str(text).ok()?;
    let whole = float.fract() == 0.0 && (0.0..=EXACT).contains(&float);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it has been found to be whole, not negative, and in range"
    )]
    whole.then_some(float as u64)
}
