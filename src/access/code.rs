//! The code of an error that AWS or Entra answered. Pure.

use std::fmt;

use serde::Deserialize;
use serde_json::Value;

/// An error's code, if the answer had one that is safe to log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Code(Option<String>);

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|code| write!(f, " {code}"))
    }
}

impl Code {
    /// Takes a code if it is a word of letters and underscores, as AWS's and OAuth's are. Any other
    /// text could be a part of the credential that was sent.
    pub(super) fn word(code: Option<&str>) -> Self {
        let is_letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
        let usable = |code: &&str| (1..=64).contains(&code.len()) && code.bytes().all(is_letter);
        Self(code.filter(usable).map(str::to_owned))
    }

    /// Reads the code of an error that Entra answered, but not its description, which repeats parts
    /// of the request.
    /// <https://learn.microsoft.com/entra/identity-platform/reference-error-codes>
    pub(super) fn of_entra(answer: &[u8]) -> Self {
        #[derive(Default, Deserialize)]
        struct Refusal {
            // Values, so that a member of another type does not hide the other one.
            error: Option<Value>,
            error_codes: Option<Vec<Value>>,
        }
        let refusal: Refusal = serde_json::from_slice(answer).unwrap_or_default();
        let numbers = refusal.error_codes.unwrap_or_default();
        match numbers.first().and_then(Value::as_u64) {
            Some(number) => Self(Some(format!("AADSTS{number}"))),
            None => Self::word(refusal.error.as_ref().and_then(Value::as_str)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_code_is_taken_of_an_error() {
        for (answer, expected) in [
            (
                r#"{"error": "invalid_client", "error_codes": [700213], "error_description": "AADSTS700213: eyJ"}"#,
                Some("AADSTS700213"),
            ),
            (r#"{"error": "invalid_client"}"#, Some("invalid_client")),
            (
                r#"{"error": "invalid_client", "error_codes": []}"#,
                Some("invalid_client"),
            ),
            (
                r#"{"error": "invalid_client", "error_codes": ["eyJ a"]}"#,
                Some("invalid_client"),
            ),
            (r#"{"error": "eyJ.a b", "error_codes": [-1]}"#, None),
            (r#"{"error": {"code": "x"}}"#, None),
            (r#"{"error_codes": 7}"#, None),
            ("{}", None),
            ("<html>", None),
            ("", None),
        ] {
            let code = Code::of_entra(answer.as_bytes());
            assert_eq!(code.0.as_deref(), expected, "{answer}");
        }
        let long = format!(r#"{{"error": "{}"}}"#, "a".repeat(65));
        assert_eq!(Code::of_entra(long.as_bytes()), Code(None));
    }
}
