//! The prefix of the keys of recordings. Pure.

use std::fmt;

/// The longest prefix. With it, the longest key has less than the 1,024 bytes that S3 allows:
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html>
const MAX_PREFIX: usize = 512;

/// The prefix of every key in the recordings bucket: empty, or ending with a slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix(String);

impl Prefix {
    /// Checks a prefix, and adds a missing final slash.
    ///
    /// # Errors
    ///
    /// The rule that the prefix breaks.
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
    fn a_prefix_is_completed_or_refused() {
        for (text, prefix) in [("", ""), ("a", "a/"), ("a/", "a/"), ("a/b", "a/b/")] {
            assert_eq!(Prefix::new(text).unwrap().to_string(), prefix);
        }
        for text in ["/a", "/", "a//b", "a/../b", "./a", "a\nb", &"a".repeat(513)] {
            assert!(Prefix::new(text).is_err(), "{text:?}");
        }
    }
}
