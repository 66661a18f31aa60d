//! The variables that Lambda sets for every function and its runtime needs to start.

use std::ffi::OsString;

use lambda_http::http::Uri;

/// A variable of Lambda's, and the check of its value that the runtime makes.
type Variable = (&'static str, fn(&str) -> bool);

/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html>
const VARIABLES: [Variable; 4] = [
    ("AWS_LAMBDA_RUNTIME_API", |text| text.parse::<Uri>().is_ok()),
    ("AWS_LAMBDA_FUNCTION_NAME", |_| true),
    ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", |text| {
        text.parse::<i32>().is_ok()
    }),
    ("AWS_LAMBDA_FUNCTION_VERSION", |_| true),
];

/// Returns the names of the variables that are missing or that the runtime cannot read; none on
/// Lambda.
#[must_use]
pub fn lacking_of_lambda() -> Vec<&'static str> {
    lacking(super::variable)
}

fn lacking(lookup: impl Fn(&str) -> Option<OsString>) -> Vec<&'static str> {
    let lacks = |(name, is_good): Variable| {
        let text = lookup(name).and_then(|text| text.into_string().ok());
        (!text.is_some_and(|text| is_good(&text))).then_some(name)
    };
    VARIABLES.into_iter().filter_map(lacks).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_that_is_missing_or_unreadable_is_named() {
        let set = [
            ("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001"),
            ("AWS_LAMBDA_FUNCTION_NAME", "f"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ];
        let with = |changed: &str, value: Option<&'static str>| {
            lacking(|name| {
                let (_, text) = set.iter().find(|(set, _)| *set == name)?;
                let text = if name == changed { value? } else { text };
                Some(text.into())
            })
        };
        assert_eq!(with("", None), Vec::<&str>::new());
        for (name, _) in set {
            assert_eq!(with(name, None), [name]);
        }
        for (name, value) in [
            ("AWS_LAMBDA_RUNTIME_API", "not an address"),
            ("AWS_LAMBDA_RUNTIME_API", ""),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "much"),
        ] {
            assert_eq!(with(name, Some(value)), [name]);
        }
    }
}
