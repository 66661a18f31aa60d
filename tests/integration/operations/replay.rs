//! `azure/replay-dead-letters.sh` with a stub container and function, which are files in a
//! folder.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// `az storage blob`: a container is a folder.
const AZ: &str = r#"#!/usr/bin/env bash
set -euo pipefail
verb=$3 name="" file=""
echo "$*" >> "$WORLD/az.log"
while (($#)); do
    case $1 in --name) name=$2 ;; --file) file=$2 ;; esac
    shift
done
case $verb in
list) cd "$WORLD/container" && find . -type f | sed 's|^\./||' | sort ;;
download) cp "$WORLD/container/$name" "$file" ;;
delete) rm "$WORLD/container/$name" ;;
esac
"#;

/// The function answers with the status that a file's content begins with.
const CURL: &str = r#"#!/usr/bin/env bash
set -euo pipefail
body="" output="" secret=""
echo "$*" >> "$WORLD/curl.log"
while (($#)); do
    case $1 in
    --config) secret=$(cat "$2") ;;
    --data-binary) body=${2#@} ;;
    --output) output=$2 ;;
    esac
    shift
done
[[ $secret == 'header = "x-webhook-secret: a-secret-for-the-test"' ]] || { printf 401; exit; }
cat "$body" >> "$WORLD/posted"
printf '{"events":[]}' > "$output"
head -c 3 "$body"
"#;

struct Cloud(TempDir);

impl Cloud {
    fn with(files: &[(&str, &str)]) -> Self {
        let cloud = Self(TempDir::new().unwrap());
        for (name, text) in [("az", AZ), ("curl", CURL)] {
            let path = cloud.write(&format!("bin/{name}"), text);
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        for (name, text) in files {
            cloud.write(&format!("container/{name}"), text);
        }
        cloud
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.path().join(name)).unwrap_or_default()
    }

    fn has(&self, name: &str) -> bool {
        self.0.path().join("container").join(name).exists()
    }

    fn replay(&self, options: &[&str], secret: &str) -> Output {
        self.replay_to("https://function.example/", options, secret)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the script needs the other programs of the machine"
    )]
    fn replay_to(&self, url: &str, options: &[&str], secret: &str) -> Output {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("azure/replay-dead-letters.sh");
        let path = std::env::var("PATH").unwrap_or_default();
        Command::new("bash")
            .arg(script)
            .args(["--url", url, "--account", "letters"])
            .args(options)
            .env("PATH", format!("{}/bin:{path}", self.0.path().display()))
            .env("WORLD", self.0.path())
            .env("WEBHOOK_SECRET", secret)
            .output()
            .unwrap()
    }
}

const SECRET: &str = "a-secret-for-the-test";
const FILES: [(&str, &str); 3] = [
    ("ARCHIVE/2026/11/23/15/a one.json", "200 [1]"),
    ("ARCHIVE/2026/11/23/16/b.json", "503 [2]"),
    ("ARCHIVE/2026/11/24/02/c.json", "202 [3]"),
];

#[test]
fn posts_each_file_and_prints_its_result() {
    let cloud = Cloud::with(&FILES);
    let output = cloud.replay(&[], SECRET);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(cloud.read("posted"), "200 [1]503 [2]202 [3]");
    for line in [
        "[1/3] ARCHIVE/2026/11/23/15/a one.json: 200 {\"events\":[]}",
        "[2/3] ARCHIVE/2026/11/23/16/b.json: 503 {\"events\":[]}",
        "2 of 3 taken",
    ] {
        assert!(said.contains(line), "{said}");
    }
    assert!(FILES.iter().all(|(name, _)| cloud.has(name)));
    let seen = cloud.read("az.log") + &cloud.read("curl.log");
    assert!(!seen.contains(SECRET), "the secret is visible: {seen}");
}

#[test]
fn deletes_only_accepted_files_and_only_if_asked() {
    let cloud = Cloud::with(&FILES);
    cloud.replay(&["--delete"], SECRET);
    let left = FILES.map(|(name, _)| cloud.has(name));
    assert_eq!(left, [false, true, false]);
}

#[test]
fn posts_nothing_on_a_dry_run() {
    let cloud = Cloud::with(&FILES);
    let output = cloud.replay(&["--dry-run", "--delete"], "");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(cloud.read("curl.log"), "");
    assert!(FILES.iter().all(|(name, _)| cloud.has(name)));
}

#[test]
fn stops_at_a_secret_that_the_function_refuses() {
    let cloud = Cloud::with(&FILES);
    let output = cloud.replay(&["--delete"], "another-secret");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(cloud.read("curl.log").lines().count(), 1);
    assert!(FILES.iter().all(|(name, _)| cloud.has(name)));
}

#[test]
fn sends_the_secret_over_https_alone() {
    let cloud = Cloud::with(&FILES);
    let output = cloud.replay_to("http://function.example/", &[], SECRET);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert_eq!(cloud.read("curl.log"), "");
}

#[test]
fn prints_no_control_characters_of_a_name() {
    let cloud = Cloud::with(&[("a\u{1b}[31m.json", "200 [1]")]);
    for options in [&["--dry-run"][..], &[]] {
        let output = cloud.replay(options, SECRET);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.contains("[1/1] a?[31m.json"), "{said}");
        assert!(!said.contains('\u{1b}'), "{said}");
    }
}

#[test]
fn an_empty_container_is_no_failure() {
    let cloud = Cloud::with(&[]);
    fs::create_dir(cloud.0.path().join("container")).unwrap();
    let output = cloud.replay(&[], SECRET);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}
