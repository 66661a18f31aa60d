//! The tests that `SECURITY.md` names.

use std::fs;
use std::path::{Path, PathBuf};

const SECURITY: &str = include_str!("../../SECURITY.md");

/// The paths of tests in `SECURITY.md`: words in backticks with `::`.
fn named() -> Vec<&'static str> {
    let quoted = SECURITY.split('`').skip(1).step_by(2);
    let is_path = |text: &&str| {
        let plain =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_:".contains(&byte);
        text.contains("::") && text.bytes().all(plain)
    };
    quoted
        .filter(is_path)
        .filter(|text| *text != "module::name")
        .collect()
}

/// The file of a test's module, in the integration tests of either package, or in `src/`.
fn file(modules: &[&str]) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = match modules {
        [source @ .., "tests"] => root.join("src").join(source.join("/")),
        [.., "tests", _] => root.join("src").join(modules.join("/")),
        ["against" | "audit" | "find" | "page", ..] => {
            root.join("audit/tests/integration").join(modules.join("/"))
        }
        _ => root.join("tests/integration").join(modules.join("/")),
    };
    path.with_extension("rs")
}

#[test]
fn each_named_test_exists() {
    let named = named();
    assert!(named.len() >= 30, "{named:?}");
    for path in named {
        let modules: Vec<&str> = path.split("::").collect();
        let (name, modules) = modules.split_last().unwrap();
        let text = fs::read_to_string(file(modules)).expect(path);
        let before = text.split_once(&format!("fn {name}(")).expect(path).0;
        let attributes: Vec<&str> = before.lines().rev().take(3).collect();
        let is_test = |line: &&str| line.contains("#[test]") || line.contains("#[tokio::test");
        assert!(attributes.iter().any(is_test), "{path} is no test");
    }
}
