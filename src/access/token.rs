//! A Microsoft Entra token for ACS. Pure.

use std::fmt;
use std::time::{Duration, SystemTime};

use reqwest::header::HeaderValue;

use crate::cached::Lifetime;

/// The longest token that is accepted, in bytes; real ones have about 2 KiB.
const MAX_TOKEN: usize = 16 * 1024;
/// The longest life of a token, whatever Entra states.
const LONGEST: Duration = Duration::from_hours(24);
/// The time before its end at which a token is refreshed, or half of its life if that is less.
/// It leaves time for many attempts.
const AHEAD: Duration = Duration::from_mins(5);

/// A Microsoft Entra token, which authorizes any call to the ACS resource until its end. `Debug`
/// does not print it.
#[derive(Clone)]
pub(crate) struct Token {
    authorization: HeaderValue,
    lifetime: Lifetime,
}

impl Token {
    /// Accepts a token that Entra issued to a request made at `asked`. Its life begins there, by
    /// this machine's clock, so that a difference between the clocks does not matter. `None` if the
    /// text cannot be a token.
    pub(crate) fn new(text: &str, expires_in: Duration, asked: SystemTime) -> Option<Self> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
        let usable = (1..=MAX_TOKEN).contains(&text.len()) && text.bytes().all(plain);
        if !usable || expires_in.is_zero() {
            return None;
        }
        let life = expires_in.min(LONGEST);
        let end = asked + life;
        let mut authorization = HeaderValue::from_str(&format!("Bearer {text}")).ok()?;
        authorization.set_sensitive(true);
        Some(Self {
            authorization,
            lifetime: Lifetime {
                refresh: end - AHEAD.min(life / 2),
                end,
            },
        })
    }

    /// Returns the value of the header `Authorization`.
    pub(crate) fn authorization(&self) -> &HeaderValue {
        &self.authorization
    }

    /// Returns the token's text.
    pub(super) fn text(&self) -> &str {
        let text = self.authorization.to_str().unwrap_or_default();
        text.strip_prefix("Bearer ").unwrap_or_default()
    }

    /// Returns the lifetime.
    pub(crate) fn lifetime(&self) -> Lifetime {
        self.lifetime
    }
}

impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        self.authorization == other.authorization
    }
}

impl Eq for Token {}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    #[test]
    fn a_life_begins_with_the_request_and_the_refresh_comes_before_its_end() {
        let asked = SystemTime::UNIX_EPOCH + 100 * HOUR;
        let a_day_but_five_minutes = Duration::from_mins(24 * 60 - 5);
        for (expires_in, refresh, end) in [
            (HOUR, Duration::from_mins(55), HOUR),
            (
                Duration::from_mins(10),
                Duration::from_mins(5),
                Duration::from_mins(10),
            ),
            (
                Duration::from_secs(4),
                Duration::from_secs(2),
                Duration::from_secs(4),
            ),
            (1000 * HOUR, a_day_but_five_minutes, LONGEST),
            (Duration::MAX, a_day_but_five_minutes, LONGEST),
        ] {
            let lifetime = Token::new("abc", expires_in, asked).unwrap().lifetime();
            assert_eq!(lifetime.refresh, asked + refresh, "{expires_in:?}");
            assert_eq!(lifetime.end, asked + end, "{expires_in:?}");
        }
    }

    #[test]
    fn a_text_that_cannot_be_a_token_is_refused_and_a_token_does_not_print() {
        let now = SystemTime::UNIX_EPOCH;
        let long = "a".repeat(MAX_TOKEN + 1);
        for text in ["", "a b", "a\r\nb: c", "a\"b", "ä", "<html>", &long] {
            assert!(Token::new(text, HOUR, now).is_none(), "{text}");
        }
        assert!(Token::new("abc", Duration::ZERO, now).is_none());
        let token = Token::new("secret.a-b_c", HOUR, now).unwrap();
        assert_eq!(format!("{token:?}"), "Token(…)");
        assert!(!format!("{:?}", token.authorization()).contains("secret"));
        assert!(token != Token::new("other", HOUR, now).unwrap());
    }
}
