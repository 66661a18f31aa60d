//! Headers that a signature is made of.

use hyper::HeaderMap;

/// The header's only value; if there is none such, why.
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
