//! The canonical form of any JSON: members sorted by name, no insignificant white space, one
//! spelling for each text and each number. Pure.
//!
//! Tools that copy JSON respell it: `jq .event` indents, and writes `1.0` for `1.00`. Numbers are
//! written by their decimal value, not as floating point, so that no two numbers share a spelling.

mod number;

use std::fmt;

use number::write_number;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// The levels whose members are sorted. Members of deeper levels keep their order.
const MAX_DEPTH: usize = 32;

/// The canonical form of `json`; `None` if it is no JSON.
pub(super) fn canonical(json: &[u8]) -> Option<String> {
    let raw: &RawValue = serde_json::from_slice(json).ok()?;
    let mut form = String::with_capacity(json.len());
    write(raw, 0, &mut form);
    Some(form)
}

fn write(raw: &RawValue, depth: usize, form: &mut String) {
    let text = raw.get();
    let written = match text.as_bytes().first() {
        Some(b'{') if depth < MAX_DEPTH => write_object(text, depth, form),
        Some(b'[') if depth < MAX_DEPTH => write_array(text, depth, form),
        _ => None,
    };
    if written.is_none() {
        write_tokens(text, form);
    }
}

/// Writes the tokens of JSON without white space, each in its one spelling.
fn write_tokens(text: &str, form: &mut String) {
    let mut rest = text;
    while let Some(first) = rest.bytes().next() {
        let token = match first {
            b'"' => text_length(rest),
            b'-' | b'0'..=b'9' => {
                let of_number = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
                rest.bytes().take_while(of_number).count()
            }
            // Outside texts, JSON is ASCII: punctuation, white space, and three words.
            _ => 1,
        };
        let Some((token, tail)) = rest.split_at_checked(token) else {
            form.push_str(rest);
            return;
        };
        let written = match first {
            b'"' => write_text(token, form),
            b'-' | b'0'..=b'9' => write_number(token, form),
            b' ' | b'\t' | b'\n' | b'\r' => Some(()),
            _ => None,
        };
        if written.is_none() {
            form.push_str(token);
        }
        rest = tail;
    }
}

/// The length of the text at the beginning of `json`, quotes included.
fn text_length(json: &str) -> usize {
    let mut escaped = false;
    let end = json.bytes().skip(1).position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    });
    end.map_or(json.len(), |end| end + 2)
}

/// Writes an object; writes nothing and returns `None` if it cannot be read, as with half a
/// surrogate pair in a name.
fn write_object(text: &str, depth: usize, form: &mut String) -> Option<()> {
    let Members(mut members) = serde_json::from_str(text).ok()?;
    // The sort is stable, so equal names keep their order.
    members.sort_by(|(a, _), (b, _)| a.cmp(b));
    form.push('{');
    for (place, (name, value)) in members.into_iter().enumerate() {
        if place > 0 {
            form.push(',');
        }
        // Serialising a text cannot fail.
        form.push_str(&serde_json::to_string(&name).unwrap_or_default());
        form.push(':');
        write(value, depth + 1, form);
    }
    form.push('}');
    Some(())
}

fn write_array(text: &str, depth: usize, form: &mut String) -> Option<()> {
    let elements: Vec<&RawValue> = serde_json::from_str(text).ok()?;
    form.push('[');
    for (place, element) in elements.into_iter().enumerate() {
        if place > 0 {
            form.push(',');
        }
        write(element, depth + 1, form);
    }
    form.push(']');
    Some(())
}

/// Writes a text with the fewest escapes.
fn write_text(text: &str, form: &mut String) -> Option<()> {
    let text: String = serde_json::from_str(text).ok()?;
    form.push_str(&serde_json::to_string(&text).ok()?);
    Some(())
}

/// The members of an object, also those of equal names.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;

        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Collect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    #[test]
    fn members_are_sorted_and_white_space_is_dropped() {
        for (json, form) in [
            ("1", "1"),
            (" [ 1.0 , 1e3, -0 ] ", "[1,1000,0]"),
            ("[true , null,\t-1.50]", "[true,null,-15e-1]"),
            (
                "{\"b\": {\"d\":1, \"c\" :2}, \"a\":[]}",
                r#"{"a":[],"b":{"c":2,"d":1}}"#,
            ),
            (r#"{"a":1,"A":2,"a":3}"#, r#"{"A":2,"a":1,"a":3}"#),
            (r#"{"\u0061": "\u0062 \n"}"#, r#"{"a":"b \n"}"#),
            (r#"["\ud800"]"#, r#"["\ud800"]"#),
            (
                r#"{"\ud800": [1.0, "a\u0062\\\"" ], "a" : 1}"#,
                r#"{"\ud800":[1,"ab\\\""],"a":1}"#,
            ),
        ] {
            assert_eq!(canonical(json.as_bytes()).as_deref(), Some(form), "{json}");
        }
        for text in ["", "{", "nonsense", "1 2"] {
            assert_eq!(canonical(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn deep_nesting_is_not_followed() {
        for (open, close) in [("[", "]"), ("{\"a\": ", "}")] {
            let deep = format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
            let form = canonical(deep.as_bytes()).unwrap();
            assert!(!form.contains(' '));
        }
    }

    /// Equal if the values are: `serde_json` tells whole numbers from others.
    fn is_same(one: &Value, other: &Value) -> bool {
        match (one, other) {
            (Value::Number(one), Value::Number(other)) => {
                let (one, other) = (one.as_f64().unwrap(), other.as_f64().unwrap());
                (one - other).abs() <= 1e-12 * one.abs()
            }
            (Value::Array(one), Value::Array(other)) => {
                one.len() == other.len() && one.iter().zip(other).all(|(a, b)| is_same(a, b))
            }
            (Value::Object(one), Value::Object(other)) => {
                let same = |(name, value)| other.get(name).is_some_and(|b| is_same(value, b));
                one.len() == other.len() && one.iter().all(same)
            }
            (one, other) => one == other,
        }
    }

    proptest! {
        #[test]
        fn a_canonical_form_is_its_own(json in r#"[\[\]{}:," a0-9.\\u]{0,40}"#) {
            if let Some(form) = canonical(json.as_bytes()) {
                prop_assert_eq!(canonical(form.as_bytes()), Some(form.clone()));
                let value = |text: &str| serde_json::from_str::<Value>(text).ok();
                let same = match (value(&form), value(&json)) {
                    (Some(one), Some(other)) => is_same(&one, &other),
                    (one, other) => one.is_none() && other.is_none(),
                };
                prop_assert!(same, "{json} became {form}");
            }
        }

        #[test]
        fn indentation_changes_nothing(json in r#"[\[\]{}:," a0-9.\\u]{0,40}"#) {
            if let Ok(value) = serde_json::from_str::<Value>(&json) {
                let indented = serde_json::to_string_pretty(&value).unwrap();
                let compact = value.to_string();
                prop_assert_eq!(canonical(indented.as_bytes()), canonical(compact.as_bytes()));
            }
        }
    }
}
