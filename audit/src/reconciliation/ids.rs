//! A recording's id. Pure.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// An id, in forms that can be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Id {
    /// The id without padding and in the URL-safe alphabet.
    plain: String,
    /// The names and values that the id encodes, in lower case and sorted.
    decoded: Option<String>,
}

impl Id {
    /// Parses an id. ACS's ids are a JSON object of two GUIDs in base64url without padding; `None`
    /// if the text is empty.
    pub(crate) fn new(text: &str) -> Option<Self> {
        let plain = text.trim().trim_end_matches('=');
        let plain = plain.replace('+', "-").replace('/', "_");
        (!plain.is_empty()).then(|| Self {
            decoded: decoded(&plain),
            plain,
        })
    }

    /// Returns the forms of the id. Two ids are the same if they have a form in common.
    pub(crate) fn forms(&self) -> impl Iterator<Item = &str> {
        [Some(&*self.plain), self.decoded.as_deref()]
            .into_iter()
            .flatten()
    }

    /// Returns `true` if a text is this id, or a value that the id encodes.
    pub(crate) fn is_named_by(&self, text: &str) -> bool {
        let same = Self::new(text).is_some_and(|other| {
            let mut forms = self.forms();
            forms.any(|form| other.forms().any(|it| it == form))
        });
        let text = text.trim().to_lowercase();
        same || self.parts().any(|part| part == text)
    }

    /// Returns the values that the id encodes, in lower case.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &str> {
        let fields = self.decoded.iter().flat_map(|fields| fields.split('&'));
        fields.filter_map(|field| field.split_once('=').map(|(_, value)| value))
    }

    /// Returns `true` if both ids can be decoded. Then a difference is certain, not one of
    /// spelling.
    pub(crate) fn can_be_told_from(&self, other: &Self) -> bool {
        self.decoded.is_some() && other.decoded.is_some()
    }
}

fn decoded(plain: &str) -> Option<String> {
    let bytes = URL_SAFE_NO_PAD.decode(plain).ok()?;
    let fields: BTreeMap<String, String> = serde_json::from_slice(&bytes).ok()?;
    let fields = fields.into_iter().map(|(name, value)| {
        let (name, value) = (name.to_lowercase(), value.to_lowercase());
        format!("{name}={value}")
    });
    let mut fields: Vec<String> = fields.collect();
    fields.sort();
    // An empty object identifies nothing.
    (!fields.is_empty()).then(|| fields.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(json: &str) -> Id {
        Id::new(&URL_SAFE_NO_PAD.encode(json)).unwrap()
    }

    #[test]
    fn the_same_id_in_other_spellings() {
        let one = id(r#"{"PlatformEndpointId":"A","ResourceSpecificId":"B"}"#);
        let other = id(r#"{ "resourceSpecificId": "b", "platformEndpointId": "a" }"#);
        let common = one.forms().any(|form| other.forms().any(|it| it == form));
        assert!(common, "{one:?} {other:?}");
        let third = id(r#"{"PlatformEndpointId":"A","ResourceSpecificId":"C"}"#);
        assert!(one.forms().all(|form| third.forms().all(|it| it != form)));
        assert!(one.can_be_told_from(&third));

        let padded = Id::new(" a+/b== ").unwrap();
        assert_eq!(padded.forms().collect::<Vec<_>>(), ["a-_b"]);
        assert!(!padded.can_be_told_from(&one));
        assert_eq!(Id::new(" == "), None);
    }
}
