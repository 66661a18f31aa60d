//! Gives the crate its version with the commit that it is built from: `ARCHIVER_VERSION`.

use std::path::Path;
use std::process::Command;

/// The files that the function is built from.
const SOURCES: [&str; 4] = ["src", "build.rs", "Cargo.toml", "Cargo.lock"];

/// Names the commit where there is no checkout, as in a source archive.
const COMMIT: &str = "ARCHIVER_COMMIT";

#[expect(
    clippy::disallowed_methods,
    reason = "cargo tells a build script everything by the environment"
)]
fn main() -> Result<(), String> {
    let variable = |name| std::env::var(name).unwrap_or_default();
    let root = variable("CARGO_MANIFEST_DIR");
    println!("cargo::rerun-if-env-changed={COMMIT}");
    println!("cargo::rerun-if-changed=build.rs");
    // Other profiles are not deployed. Without a commit, they are not built anew for each.
    let commit = if variable("PROFILE") == "release" {
        watch(Path::new(&root));
        match variable(COMMIT) {
            told if told.is_empty() => commit(Path::new(&root)),
            told if is_commit(&told) => Some(told),
            told => return Err(format!("{COMMIT} is no commit: {told}")),
        }
    } else {
        None
    };
    let version = variable("CARGO_PKG_VERSION");
    let version = version_at(&version, commit.as_deref());
    println!("cargo::rustc-env=ARCHIVER_VERSION={version}");
    Ok(())
}

/// The version in the form of Semantic Versioning, with the commit as its build metadata.
fn version_at(version: &str, commit: Option<&str>) -> String {
    match commit {
        Some(commit) => format!("{version}+{commit}"),
        None => version.to_owned(),
    }
}

/// Returns `true` for 7 to 40 hexadecimal digits, with or without `-dirty`.
fn is_commit(text: &str) -> bool {
    let digits = text.strip_suffix("-dirty").unwrap_or(text);
    (7..=40).contains(&digits.len())
        && digits
            .bytes()
            .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// Returns the commit that is checked out at `root`, with `-dirty` where a source of the function
/// differs from it; `None` where `root` is no checkout of this project.
fn commit(root: &Path) -> Option<String> {
    // A source archive may lie in the checkout of something else.
    git(root, &["ls-files", "--error-unmatch", "build.rs"])?;
    let commit = git(root, &["rev-parse", "--short=12", "HEAD"])?;
    let status = ["status", "--porcelain", "--untracked-files=all", "--"];
    let changed = git(root, &[&status[..], &SOURCES].concat())?;
    let dirty = if changed.is_empty() { "" } else { "-dirty" };
    Some(format!("{commit}{dirty}"))
}

/// Tells cargo to run the build script again after another commit, and after a change that makes
/// the present commit dirty.
fn watch(root: &Path) {
    for source in SOURCES {
        println!("cargo::rerun-if-changed={source}");
    }
    // In a worktree they are elsewhere. Each commit and checkout is a line of the log.
    for name in ["HEAD", "logs/HEAD"] {
        let path = git(root, &["rev-parse", "--git-path", name]);
        if let Some(path) = path.filter(|path| root.join(path).exists()) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
}

/// Returns what git prints; `None` if it fails or is not there.
fn git(root: &Path, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new("git");
    let output = command.arg("-C").arg(root).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
