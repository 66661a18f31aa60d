//! Headers that a signature covers.

use hyper::HeaderMap;

/// Returns the only value of a header; the error says why there is none.
pub(crate) fn one<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, String> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value
            .to_str()
            .map_err(|_| format!("{name} is not plain text")),
        (None, _) => Err(format!("{name} is missing")),
        (Some(_), Some(_)) => Err(format!("{name} is repeated")),
    }
}
