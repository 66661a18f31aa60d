//! `deploy/build.sh` with a stub compiler. The tests need `python3`.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use emulators::hashes::sha256_hex;
use serde_json::json;
use tempfile::TempDir;

use super::{ROOT, link_programs, script, text};
use crate::template::parsed;

/// A stub of `cargo` that records its flags.
const CARGO: &str = r#"#!/usr/bin/env bash
set -euo pipefail
case "$*" in
"lambda build"*)
    while [[ $1 != --lambda-dir ]]; do shift; done
    mkdir -p "$2/acs-recording-archiver"
    printf 'a binary' > "$2/acs-recording-archiver/bootstrap"
    printf '%s\n' "$CARGO_ENCODED_RUSTFLAGS" | tr '\037' '\n' > flags
    echo 'not json'
    echo '{"reason": "build-script-executed", "env": [["OTHER", "x"]]}'
    cat version.json
    ;;
"cyclonedx "*)
    for folder in . tests/emulators; do
        mkdir -p $folder
        printf '{"bom-ref": "path+file://%s#0.1.0"}\n' "${PWD// /%20}" > $folder/acs-recording-archiver-materials.json
    done
    ;;
*) exit 1 ;;
esac
"#;

/// A checkout in which `deploy/build.sh` finds its tools installed.
struct Checkout(TempDir);

impl Checkout {
    fn new() -> Self {
        let checkout = Self(TempDir::with_prefix("a folder ").unwrap());
        let root = checkout.0.path();
        for name in [
            "deploy/build.sh",
            "deploy/requirements.txt",
            "template.yaml",
        ] {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::copy(Path::new(ROOT).join(name), path).unwrap();
        }
        let nothing = "#!/usr/bin/env bash\n";
        for (name, text) in [
            ("bin/cargo", CARGO),
            ("bin/rustup", nothing),
            ("bin/rustc", "#!/usr/bin/env bash\necho /the/sysroot\n"),
            ("target/tools/venv/bin/pip", nothing),
            ("target/tools/venv/bin/cargo-lambda", nothing),
            (
                "target/tools/bin/cargo-cyclonedx",
                "#!/usr/bin/env bash\necho cargo-cyclonedx 0.5.9\n",
            ),
        ] {
            script(&root.join(name), text);
        }
        link_programs(&root.join("bin"));
        fs::create_dir(root.join(".cargo")).unwrap();
        checkout.says("0.1.0+1398cdb0c1d2");
        checkout
    }

    /// Sets the version that the build script names.
    fn says(&self, version: &str) {
        let message =
            json!({"reason": "build-script-executed", "env": [["ARCHIVER_VERSION", version]]});
        fs::write(self.0.path().join("version.json"), message.to_string()).unwrap();
    }

    fn build(&self, options: &[&str]) -> Output {
        Command::new(self.0.path().join("bin/bash"))
            .arg(self.0.path().join("deploy/build.sh"))
            .args(options)
            .env_clear()
            .env("PATH", self.0.path().join("bin"))
            .env("HOME", self.0.path())
            .output()
            .unwrap()
    }

    fn built(&self) -> Vec<(String, Vec<u8>)> {
        let mut built: Vec<_> = fs::read_dir(self.0.path().join("target/deploy"))
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| {
                (
                    entry.file_name().into_string().unwrap(),
                    fs::read(entry.path()).unwrap(),
                )
            })
            .collect();
        built.sort();
        built
    }
}

#[test]
fn builds_in_different_folders_have_the_same_bytes() {
    let (one, other) = (Checkout::new(), Checkout::new());
    for checkout in [&one, &other] {
        let output = checkout.build(&[]);
        assert!(output.status.success(), "{}", text(&output));
        // The other bills of materials are deleted.
        assert!(
            !checkout
                .0
                .path()
                .join("acs-recording-archiver-materials.json")
                .exists()
        );
        assert!(
            !checkout
                .0
                .path()
                .join("tests/emulators/acs-recording-archiver-materials.json")
                .exists()
        );
        let flags = fs::read_to_string(checkout.0.path().join("flags")).unwrap();
        let root = checkout.0.path().canonicalize().unwrap();
        for from in [root.join(".cargo"), root, "/the/sysroot".into()] {
            assert!(
                flags.contains(&format!("\n--remap-path-prefix={}=/", from.display())),
                "{flags}"
            );
        }
    }
    assert_eq!(one.built(), other.built());
    let built = one.built();
    let names: Vec<&str> = built.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "SHA256SUMS",
            "acs-recording-archiver-arm64.cdx.json",
            "acs-recording-archiver-arm64.zip",
            "acs-recording-archiver-x86_64.cdx.json",
            "acs-recording-archiver-x86_64.zip",
            "template-arm64.yaml",
            "template-x86_64.yaml",
            "version",
        ]
    );
    let sums = String::from_utf8(built[0].1.clone()).unwrap();
    for (name, bytes) in &built[1..7] {
        assert!(
            sums.contains(&format!("{}  {name}\n", sha256_hex(bytes))),
            "{sums}"
        );
    }
}

#[test]
fn the_template_of_a_build_deploys_its_zip_and_names_its_version() {
    let checkout = Checkout::new();
    assert!(checkout.build(&["--arch", "x86_64"]).status.success());
    let template = |(name, bytes): &(String, Vec<u8>)| {
        (name == "template-x86_64.yaml").then(|| String::from_utf8(bytes.clone()).unwrap())
    };
    let mut built = parsed(&checkout.built().iter().find_map(template).unwrap());
    assert_eq!(built["Outputs"]["Version"]["Value"], "0.1.0+1398cdb0c1d2");
    let function = &mut built["Globals"]["Function"];
    assert_eq!(function["CodeUri"], "acs-recording-archiver-x86_64.zip");
    assert_eq!(function["Architectures"], json!(["x86_64"]));
    // The rest is the template.
    let mut template = parsed(include_str!("../../../template.yaml"));
    for name in ["Archiver", "Sweeper"] {
        template["Resources"][name]
            .as_object_mut()
            .unwrap()
            .remove("Metadata")
            .unwrap();
    }
    for (section, name) in [("Globals", "Function"), ("Outputs", "Version")] {
        built[section].as_object_mut().unwrap().remove(name);
        let own = template[section].as_object_mut().unwrap().remove(name);
        assert!(own.is_some());
    }
    assert_eq!(built, template);
}

#[test]
fn a_build_without_a_commit_or_of_changed_sources_warns() {
    let checkout = Checkout::new();
    fs::write(checkout.0.path().join("version.json"), "{}").unwrap();
    let output = checkout.build(&[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output).contains("the build names no version"),
        "{}",
        text(&output)
    );
    for (version, said) in [
        ("0.1.0", "The version has no commit"),
        (
            "0.1.0+1398cdb0c1d2-dirty",
            "The sources differ from the commit",
        ),
    ] {
        checkout.says(version);
        let output = checkout.build(&[]);
        assert!(output.status.success(), "{}", text(&output));
        assert!(text(&output).contains(said), "{}", text(&output));
    }
    // An unknown form of template is not deployed.
    fs::write(checkout.0.path().join("template.yaml"), "Outputs: {}\n").unwrap();
    assert_eq!(checkout.build(&[]).status.code(), Some(1));
    assert_eq!(checkout.build(&["--arch", "mips"]).status.code(), Some(2));
    fs::remove_file(checkout.0.path().join("bin/rustup")).unwrap();
    let output = checkout.build(&[]);
    assert!(
        text(&output).contains("rustup is not installed"),
        "{}",
        text(&output)
    );
}
