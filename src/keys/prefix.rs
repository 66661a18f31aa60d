//! The prefix of the keys of recordings. Pure.

use std::fmt;

/// The longest prefix: with it, the longest key stays below S3's 1,024 bytes.
const MAX_PREFIX: usize = 512;

/// The prefix of every key in the recordings bucket: empty, or with a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix(String);

impl Prefix {
    /// A prefix; a final slash that is missing is added.
    ///
    /// # Errors
    ///
    /// Says what is wrong with one that S3 or a reader would trip over.
    pub fn new(text: &str) -> Result<Self, &'static str> {
        if text.len() > MAX_PREFIX {
            return Err("must be at most 512 bytes");
        }
        if text.starts_with('/')
            || text.contains("//")
            || text.split('/').any(|name| matches!(name, "." | ".."))
        {
            return Err("must not start with a slash, nor have an empty, `.` or `..` segment");
        }
        if text.chars().any(char::is_control) {
            return Err("must not have control characters");
        }
        let slash = if text.is_empty() || text.ends_with('/') {
            ""
        } else {
            "/"
        };
        Ok(Self(format!("{text}{slash}")))
    }

    /// The prefix as text.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes() {
        for (text, prefix) in [("", ""), ("a", "a/"), ("a/", "a/"), ("a/b", "a/b/")] {
            assert_eq!(Prefix::new(text).unwrap().to_string(), prefix);
        }
        for text in ["/a", "/", "a//b", "a/../b", "./a", "a\nb", &"a".repeat(513)] {
            assert!(Prefix::new(text).is_err(), "{text:?}");
        }
    }
}
