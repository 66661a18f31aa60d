//! Fields whose value counts as absent if it has an unexpected type.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// Reads a string; any other value counts as absent.
pub(super) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let raw = <&RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str(raw.get()).ok())
}

/// Reads an integer from 0, also if it is spelt as a float or in a string; any other value counts
/// as absent.
pub(super) fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let raw = <&RawValue>::deserialize(deserializer)?;
    let in_string: Option<String> = serde_json::from_str(raw.get()).ok();
    Ok(integer(in_string.as_deref().unwrap_or(raw.get())))
}

fn integer(text: &str) -> Option<u64> {
    /// 2^53: up to here, each integral float stands for one integer.
    const EXACT: f64 = 9_007_199_254_740_992.0;

    let text = text.trim();
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok();
    }
    let float: f64 = serde_json::from_str(text).ok()?;
    let is_integer = float.fract() == 0.0 && (0.0..=EXACT).contains(&float);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the float is integral, not negative, and in range"
    )]
    is_integer.then_some(float as u64)
}
