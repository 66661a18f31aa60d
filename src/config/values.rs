//! The parsers of single settings: a value, or the fault of the text. Pure.

use url::Url;

use super::Acknowledge;
use crate::keys::Prefix;
use crate::locations::is_private;

const MAX_CONCURRENCY: usize = 64;

/// Returns the entries of a comma-separated list, without the empty ones.
pub(super) fn list(text: &str) -> impl Iterator<Item = &str> {
    let entries = text.split(',').map(str::trim);
    entries.filter(|entry| !entry.is_empty())
}

/// Parses the audiences of Entra ID tokens: any text may be one.
pub(super) fn audiences(text: &str) -> Result<Vec<String>, String> {
    let audiences: Vec<_> = list(text).map(str::to_owned).collect();
    if audiences.is_empty() {
        return Err("must name the application's id, its URI, or both".to_owned());
    }
    Ok(audiences)
}

/// Parses a GUID into lower case. `what` names it in the fault.
pub(super) fn guid(text: &str, what: &str) -> Result<String, String> {
    let groups = [8, 4, 4, 4, 12];
    let hex = |group: &str| group.bytes().all(|byte| byte.is_ascii_hexdigit());
    let lengths = text.split('-').map(str::len);
    if lengths.eq(groups) && text.split('-').all(hex) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(format!(
            "must be {what}, a GUID (01234567-89ab-cdef-0123-456789abcdef)"
        ))
    }
}

/// Parses the authority of tokens. Requests to it carry credentials, so it must be private.
pub(super) fn authority(text: &str) -> Result<Url, String> {
    let usable = |url: &Url| {
        let userinfo = !url.username().is_empty() || url.password().is_some();
        let bare = url.query().is_none() && url.fragment().is_none();
        is_private(url) && bare && !userinfo
    };
    let url = Url::parse(text).ok().filter(usable);
    url.ok_or_else(|| {
        let form = "must be a URL with a scheme (https, or http to a loopback address) and a host";
        format!("{form}, such as https://login.microsoftonline.us")
    })
}

/// Parses the name of a bucket or the ARN of an access point.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>
pub(super) fn bucket(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let name = (3..=255).contains(&text.len()) && text.bytes().all(plain);
    let access_point = text.starts_with("arn:")
        && text
            .bytes()
            .all(|byte| plain(byte) || matches!(byte, b':' | b'/'));
    if name || access_point {
        Ok(text.to_owned())
    } else {
        Err("must be the bucket's name alone, without `s3://` or a path".to_owned())
    }
}

/// Parses suffixes of media hosts. A suffix of one label, such as `.com`, would allow anybody's
/// hosts.
pub(super) fn host_suffixes(text: &str) -> Result<Vec<String>, String> {
    let suffix = |text: &str| {
        let text = text.to_ascii_lowercase();
        let labels = text.strip_prefix('.')?;
        let label = |label: &str| {
            !label.is_empty()
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        (labels.contains('.') && labels.split('.').all(label)).then_some(text)
    };
    let suffixes: Option<_> = list(text).map(suffix).collect();
    suffixes.ok_or_else(|| {
        "must be host suffixes of two or more labels, each with a dot before it \
         (`.example.com`), separated by commas"
            .to_owned()
    })
}

pub(super) fn prefix(text: &str) -> Result<Prefix, String> {
    Prefix::new(text).map_err(str::to_owned)
}

pub(super) fn acknowledge(text: &str) -> Result<Acknowledge, String> {
    match text {
        "archived" => Ok(Acknowledge::Archived),
        "stored" => Ok(Acknowledge::Stored),
        _ => Err("must be `archived` or `stored`".to_owned()),
    }
}

pub(super) fn concurrency(text: &str) -> Result<usize, String> {
    let number = text.parse().ok();
    let number = number.filter(|number| (1..=MAX_CONCURRENCY).contains(number));
    number.ok_or_else(|| format!("must be a whole number from 1 to {MAX_CONCURRENCY}"))
}

pub(super) fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("must be `true` or `false`".to_owned()),
    }
}
