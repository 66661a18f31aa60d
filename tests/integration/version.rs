//! The version of the function, from the build script to the template.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use acs_recording_archiver::VERSION;
use tempfile::TempDir;

use crate::template::template;

/// The build script, compiled as cargo compiles it.
static SCRIPT: LazyLock<PathBuf> = LazyLock::new(|| {
    let script = Path::new(env!("CARGO_TARGET_TMPDIR")).join("build-script");
    let output = Command::new("rustc")
        .args(["--edition", "2024", "build.rs", "-o"])
        .arg(&script)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    script
});

/// A run of the build script for version 0.1.0 of the crate in a folder.
struct Build<'a> {
    root: &'a Path,
    profile: &'static str,
    /// `ARCHIVER_COMMIT`.
    commit: &'a str,
}

impl<'a> Build<'a> {
    fn of(root: &'a Path) -> Self {
        Self {
            root,
            profile: "release",
            commit: "",
        }
    }

    /// Returns the version that the script names, or its error.
    fn version(&self) -> Result<String, String> {
        let output = Command::new(&*SCRIPT)
            .env("CARGO_MANIFEST_DIR", self.root)
            .env("CARGO_PKG_VERSION", "0.1.0")
            .env("PROFILE", self.profile)
            .env("ARCHIVER_COMMIT", self.commit)
            .output()
            .unwrap();
        if !output.status.success() {
            return Err(String::from_utf8(output.stderr).unwrap());
        }
        let printed = String::from_utf8(output.stdout).unwrap();
        let version = printed
            .lines()
            .find_map(|line| line.strip_prefix("cargo::rustc-env=ARCHIVER_VERSION="));
        Ok(version.expect(&printed).to_owned())
    }

    /// Returns the commit in the version, if it has one.
    fn commit(root: &Path) -> Option<String> {
        let version = Build::of(root).version().unwrap();
        let commit = version.strip_prefix("0.1.0").expect(&version);
        commit.strip_prefix('+').map(str::to_owned)
    }
}

/// A checkout with the sources that the function is built from.
struct Checkout(TempDir);

impl Checkout {
    fn new() -> Self {
        let checkout = Self(TempDir::new().unwrap());
        for name in [
            "build.rs",
            "Cargo.toml",
            "Cargo.lock",
            "src/lib.rs",
            "README.md",
        ] {
            checkout.write(name, "first");
        }
        checkout.git(&["init", "--quiet"]);
        checkout.commit();
        checkout
    }

    fn root(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.root().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn git(&self, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .args(["-c", "user.name=a", "-c", "user.email=a@example.com"])
            .arg("-C")
            .arg(self.root())
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn commit(&self) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", "a"]);
    }

    fn head(&self) -> String {
        self.git(&["rev-parse", "HEAD"])[..12].to_owned()
    }
}

#[test]
fn the_commit_is_that_of_the_checkout() {
    let checkout = Checkout::new();
    let clean = checkout.head();
    let dirty = format!("{clean}-dirty");
    assert_eq!(Build::commit(checkout.root()), Some(clean.clone()));
    // Files that are not built into the function do not count.
    checkout.write("README.md", "second");
    checkout.write("notes", "new");
    assert_eq!(Build::commit(checkout.root()), Some(clean));
    for name in [
        "src/new.rs",
        "src/lib.rs",
        "Cargo.lock",
        "Cargo.toml",
        "build.rs",
    ] {
        checkout.git(&["stash", "--include-untracked", "--quiet"]);
        checkout.write(name, "second");
        assert_eq!(
            Build::commit(checkout.root()),
            Some(dirty.clone()),
            "{name}"
        );
    }
    checkout.git(&["add", "--all"]);
    assert_eq!(Build::commit(checkout.root()), Some(dirty.clone()));
    checkout.commit();
    assert_eq!(Build::commit(checkout.root()), Some(checkout.head()));
    assert!(!dirty.starts_with(&checkout.head()));
}

#[test]
fn a_worktree_has_its_own_commit() {
    let checkout = Checkout::new();
    let elsewhere = TempDir::new().unwrap();
    let worktree = elsewhere.path().join("worktree");
    checkout.git(&["worktree", "add", "--quiet", worktree.to_str().unwrap()]);
    let first = checkout.head();
    checkout.write("src/lib.rs", "second");
    checkout.commit();
    assert_eq!(Build::commit(&worktree), Some(first));
    assert_eq!(Build::commit(checkout.root()), Some(checkout.head()));
}

#[test]
fn without_a_checkout_of_its_own_there_is_no_commit() {
    let archive = TempDir::new().unwrap();
    fs::write(archive.path().join("build.rs"), "").unwrap();
    assert_eq!(Build::commit(archive.path()), None);
    // In the checkout of something else.
    let checkout = Checkout::new();
    checkout.write(".gitignore", "vendor");
    checkout.write("vendor/build.rs", "");
    assert_eq!(Build::commit(&checkout.root().join("vendor")), None);
}

#[test]
fn a_commit_that_is_told_has_to_be_one() {
    let archive = TempDir::new().unwrap();
    let version = |commit: &str| {
        let root = archive.path();
        Build {
            commit,
            ..Build::of(root)
        }
        .version()
    };
    for told in [
        "1398cdb",
        "1398cdb0c1d2-dirty",
        &"0123456789abcdef".repeat(2),
    ] {
        assert_eq!(version(told), Ok(format!("0.1.0+{told}")));
    }
    for told in [
        "main",
        "1398cd",
        "1398CDB",
        "1398cdb dirty",
        "-dirty",
        &"0".repeat(41),
    ] {
        let error = version(told).unwrap_err();
        assert!(error.contains("ARCHIVER_COMMIT is no commit"), "{error}");
    }
    assert_eq!(version(""), Ok("0.1.0".to_owned()));
}

#[test]
fn the_version_is_the_crates_with_the_commit() {
    let checkout = Checkout::new();
    let debug = Build {
        profile: "debug",
        ..Build::of(checkout.root())
    };
    assert_eq!(debug.version(), Ok("0.1.0".to_owned()));
    checkout.write("Cargo.toml", "second");
    let version = Build::of(checkout.root()).version();
    assert_eq!(version, Ok(format!("0.1.0+{}-dirty", checkout.head())));
    let plain = VERSION.split('+').next();
    assert_eq!(plain, Some(env!("CARGO_PKG_VERSION")));
}

#[test]
fn the_template_has_the_version_of_the_crate() {
    let output = template()["Outputs"]["Version"]["Value"].take();
    assert_eq!(output, env!("CARGO_PKG_VERSION"));
}
