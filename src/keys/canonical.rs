//! The canonical form of any JSON: members sorted by name, no insignificant white space, numbers as
//! they are spelt. Pure.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// Levels that are put in order; what is deeper stands as it came.
const MAX_DEPTH: usize = 32;

/// The canonical form of `json`; `None` where it is no JSON.
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
        Some(b'"') => write_text(text, form),
        _ => None,
    };
    if written.is_none() {
        form.push_str(text);
    }
}

/// Writes nothing where the object cannot be read: a name with half a surrogate pair.
fn write_object(text: &str, depth: usize, form: &mut String) -> Option<()> {
    let Members(mut members) = serde_json::from_str(text).ok()?;
    // Stable: names that come twice keep their order.
    members.sort_by(|(a, _), (b, _)| a.cmp(b));
    form.push('{');
    for (place, (name, value)) in members.into_iter().enumerate() {
        if place > 0 {
            form.push(',');
        }
        // A text: serialising it cannot fail.
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

/// The members of an object, those of the same name too.
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

    #[test]
    fn members_are_sorted_and_white_space_is_dropped() {
        for (json, form) in [
            ("1", "1"),
            (" [ 1.0 , 1e3, -0 ] ", "[1.0,1e3,-0]"),
            (
                "{\"b\": {\"d\":1, \"c\" :2}, \"a\":[]}",
                r#"{"a":[],"b":{"c":2,"d":1}}"#,
            ),
            (r#"{"a":1,"A":2,"a":3}"#, r#"{"A":2,"a":1,"a":3}"#),
            (r#"{"\u0061": "\u0062 \n"}"#, r#"{"a":"b \n"}"#),
            (r#"["\ud800"]"#, r#"["\ud800"]"#),
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
            assert!(canonical(deep.as_bytes()).is_some());
        }
    }

    proptest! {
        #[test]
        fn a_canonical_form_is_its_own(json in r#"[\[\]{}:," a0-9.\\u]{0,40}"#) {
            if let Some(form) = canonical(json.as_bytes()) {
                prop_assert_eq!(canonical(form.as_bytes()), Some(form.clone()));
                let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
                prop_assert_eq!(value(&form), value(&json));
            }
        }
    }
}
