//! Ids in a form that is fit for keys and logs, and the hash that this form uses. Pure.

use std::borrow::Cow;
use std::fmt;

use ring::digest::{SHA256, digest};

/// The id of an event: the text that Event Grid gave, or a hash of a recording's event without an
/// id.
///
/// `Display` writes the id as it stands in keys, logs and answers, see [`safe_id`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventId(String);

impl From<String> for EventId {
    fn from(id: String) -> Self {
        Self(id)
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&safe_id(&self.0))
    }
}

/// An id as it stands in keys, logs and answers: the id itself if it is plain, else `x-` and half
/// its SHA-256. So no id can change the form of a key, or lose a recording.
#[must_use]
pub fn safe_id(id: &str) -> Cow<'_, str> {
    key_id(id, true)
}

/// The id itself if it is plain and `may_stand` as it is, else its hash.
pub(super) fn key_id(id: &str, may_stand: bool) -> Cow<'_, str> {
    if may_stand && is_plain_id(id) {
        return Cow::Borrowed(id);
    }
    let mut hash = sha256_hex(id.as_bytes());
    hash.truncate(32);
    Cow::Owned(format!("x-{hash}"))
}

/// Returns `true` if `id` matches `[A-Za-z0-9][A-Za-z0-9._-]{0,127}`.
pub(crate) fn is_plain_id(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    id.len() <= 128
        && id.bytes().all(plain)
        && id
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_alphanumeric())
}

/// The SHA-256 of `bytes` in lower-case hexadecimal.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    use fmt::Write as _;

    let mut hex = String::with_capacity(64);
    for byte in digest(&SHA256, bytes).as_ref() {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_event_id_is_shown_fit_for_a_key() {
        for (id, shown) in [
            ("831e-1", "831e-1"),
            ("../é", "x-9cd7743f15ff1ad697dab792eff576a6"),
        ] {
            assert_eq!(EventId::from(id.to_owned()).to_string(), shown);
        }
    }

    proptest! {
        #[test]
        fn every_id_is_fit_for_a_key(id in any::<String>()) {
            let safe = safe_id(&id);
            prop_assert!(is_plain_id(&safe));
            prop_assert!(safe == id || safe.starts_with("x-"));
        }
    }
}
