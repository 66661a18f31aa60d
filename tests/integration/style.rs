//! The rules of the prose that a machine can check, over every file of the repository.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// The widest line of prose, in characters.
const COLUMNS: usize = 100;
/// The words that stand for a thing instead of naming it.
const NAMELESS: [&str; 9] = [
    "As", "How", "Its", "What", "Whatever", "Where", "Whether", "Who", "Whoever",
];

/// The files of these extensions, without those that a build or a tool makes.
fn files(extensions: &[&str]) -> Vec<PathBuf> {
    let mut found = vec![];
    let mut folders = vec![PathBuf::from(ROOT)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let path = entry.path();
            let name = entry.file_name();
            if entry.file_type().unwrap().is_dir() {
                let made = [".git", "target", "node_modules", "__pycache__"];
                if !made.iter().any(|made| name == OsStr::new(made)) {
                    folders.push(path);
                }
            } else if path
                .extension()
                .is_some_and(|extension| extensions.iter().any(|known| extension == *known))
            {
                found.push(path);
            }
        }
    }
    assert!(found.len() > 5, "{found:?}");
    found
}

/// The name of a line in a failure.
fn place(file: &Path, index: usize) -> String {
    let file = file.strip_prefix(ROOT).unwrap_or(file);
    format!("{}:{}", file.display(), index + 1)
}

fn is_too_wide(line: &str) -> bool {
    // A URL cannot be broken.
    line.chars().count() > COLUMNS && !line.contains("://")
}

#[test]
fn comments_fit_the_columns() {
    let mut wide = vec![];
    for file in files(&["rs", "sh", "py", "yaml", "toml", "bicep"]) {
        let text = std::fs::read_to_string(&file).unwrap();
        for (index, line) in text.lines().enumerate() {
            let start = line.trim_start();
            if (start.starts_with("//") || start.starts_with("# ")) && is_too_wide(line) {
                wide.push(place(&file, index));
            }
        }
    }
    assert!(wide.is_empty(), "wider than {COLUMNS} columns: {wide:#?}");
}

#[test]
fn documents_fit_the_columns() {
    let mut wide = vec![];
    for file in files(&["md"]) {
        let text = std::fs::read_to_string(&file).unwrap();
        let mut is_code = false;
        for (index, line) in text.lines().enumerate() {
            if line.trim_start().starts_with("```") {
                is_code = !is_code;
            }
            // The row of a table, a picture and a heading cannot be broken.
            let is_fixed = line.starts_with(['|', '#']) || line.starts_with("![");
            if !is_code && !is_fixed && is_too_wide(line) {
                wide.push(place(&file, index));
            }
        }
    }
    assert!(wide.is_empty(), "wider than {COLUMNS} columns: {wide:#?}");
}

#[test]
fn documentation_opens_with_its_noun() {
    let mut nameless = vec![];
    for file in files(&["rs"]) {
        let text = std::fs::read_to_string(&file).unwrap();
        let mut was_doc = false;
        for (index, line) in text.lines().enumerate() {
            let line = line.trim_start();
            let doc = line
                .strip_prefix("/// ")
                .or_else(|| line.strip_prefix("//! "));
            let first = doc.and_then(|doc| doc.split(' ').next());
            if !was_doc && first.is_some_and(|first| NAMELESS.contains(&first)) {
                nameless.push(format!("{} {line}", place(&file, index)));
            }
            was_doc = line.starts_with("///") || line.starts_with("//!");
        }
    }
    assert!(
        nameless.is_empty(),
        "opens without a noun or a verb: {nameless:#?}"
    );
}
