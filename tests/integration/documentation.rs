//! The documents, held against the code, the template, the sample events and one another.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use acs_recording_archiver::config::SETTINGS;
use acs_recording_archiver::function::STATUSES;
use acs_recording_archiver::metrics::{Cause, Metric};
use lambda_http::http::StatusCode;
use serde_yaml_ng::Value;

use crate::operations::headings;

const CONTRIBUTING: &str = include_str!("../../CONTRIBUTING.md");
const DEPLOYING: &str = include_str!("../../docs/deploying.md");
const REFERENCE: &str = include_str!("../../docs/reference.md");
const TEMPLATE: &str = include_str!("../../template.yaml");
const STACK: &str = include_str!("../foreign/test_stack.py");
const CI: &str = include_str!("../../.ci/run");

/// The Markdown files of the repository, by their paths within it.
fn documents() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = vec![];
    for entry in std::fs::read_dir(root).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if name.starts_with('.') || name == "target" {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            let files = sources(&entry.path()).into_iter();
            found.extend(files.map(|file| Path::new(&name).join(file)));
        } else {
            found.push(PathBuf::from(name));
        }
    }
    found.retain(|file| file.extension().is_some_and(|kind| kind == "md"));
    found.sort();
    let text = |file: &PathBuf| std::fs::read_to_string(root.join(file)).unwrap();
    found
        .into_iter()
        .map(|file| (file.clone(), text(&file)))
        .collect()
}

/// The targets of a document's links and pictures, those in its code left out.
fn links(text: &str) -> Vec<String> {
    let mut in_code = false;
    let prose = text.lines().filter(|line| {
        let fence = line.trim_start().starts_with("```");
        in_code ^= fence;
        !in_code && !fence
    });
    let prose = prose.collect::<Vec<_>>().join("\n");
    let targets = prose.split("](").skip(1);
    targets
        .map(|rest| rest.split_once(')').unwrap().0.to_owned())
        .collect()
}

#[test]
fn each_link_leads_to_a_file_and_a_heading() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let documents = documents();
    let mut followed = 0;
    for (name, text) in &documents {
        let links = links(text);
        for link in links.iter().filter(|link| !link.contains("://")) {
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() {
                root.join(name)
            } else {
                root.join(name).parent().unwrap().join(path)
            };
            let place = format!("{}: {link}", name.display());
            assert!(target.exists(), "{place}");
            if !anchor.is_empty() {
                let target = std::fs::read_to_string(target).unwrap();
                let known = headings(&target)
                    .into_iter()
                    .any(|(_, known)| known == anchor);
                assert!(known, "{place}");
            }
            followed += 1;
        }
    }
    assert!(followed > 50, "{followed} links were found");
}

/// The cells of the first table under a document's heading, without its two head rows.
fn table(document: &'static str, heading: &str) -> Vec<Vec<&'static str>> {
    let (_, section) = document
        .split_once(&format!("\n## {heading}\n"))
        .unwrap_or_else(|| panic!("there is no section {heading}"));
    section
        .lines()
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'))
        .skip(2)
        .map(|row| row.trim_matches('|').split('|').map(str::trim).collect())
        .collect()
}

/// The first column of such a table: a name in each row, in backticks.
fn names(document: &'static str, heading: &str) -> BTreeSet<&'static str> {
    let name = |row: Vec<&'static str>| row[0].trim_matches('`');
    table(document, heading).into_iter().map(name).collect()
}

/// The names in one section of the template.
fn in_template(section: &str) -> BTreeSet<String> {
    let template: Value = serde_yaml_ng::from_str(TEMPLATE).unwrap();
    let names = template[section].as_mapping().unwrap().keys();
    names
        .map(|name| name.as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn the_settings_are_those_of_the_code() {
    assert_eq!(names(REFERENCE, "Settings"), BTreeSet::from(SETTINGS));
}

#[test]
fn the_answers_are_those_of_the_code() {
    let documented: BTreeSet<StatusCode> = table(REFERENCE, "Answers")
        .iter()
        .flat_map(|row| row[1].split(|other: char| !other.is_ascii_digit()))
        .filter_map(|status| StatusCode::from_bytes(status.as_bytes()).ok())
        .collect();
    assert_eq!(documented, BTreeSet::from(STATUSES));
}

#[test]
fn the_parameters_and_outputs_are_those_of_the_template() {
    let documented = names(DEPLOYING, "Parameters")
        .into_iter()
        .map(str::to_owned);
    assert_eq!(
        documented.collect::<BTreeSet<_>>(),
        in_template("Parameters")
    );
    for output in in_template("Outputs") {
        assert!(DEPLOYING.contains(&format!("`{output}`")), "{output}");
    }
}

#[test]
fn the_metrics_are_those_of_the_code() {
    let documented: Vec<_> = table(REFERENCE, "Metrics and alarms")
        .iter()
        .map(|row| (row[0].trim_matches('`').to_owned(), row[1].to_owned()))
        .collect();
    let measured = Metric::ALL.map(|metric| (metric.to_string(), metric.unit().to_owned()));
    assert_eq!(documented, measured);
    let places = Cause::ALL.map(|cause| {
        let cause = serde_json::to_value(cause).unwrap();
        let cause = format!("`{}`", cause.as_str().unwrap());
        REFERENCE.find(&cause).unwrap_or_else(|| panic!("{cause}"))
    });
    assert!(places.is_sorted(), "the causes are in another order");
}

/// The blocks of code in a document: language and text.
fn blocks(text: &str) -> Vec<(&str, String)> {
    let mut found = vec![];
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(language) = line.trim_start().strip_prefix("```") else {
            continue;
        };
        let block = lines.by_ref().take_while(|line| line.trim() != "```");
        found.push((language, block.collect::<Vec<_>>().join("\n")));
    }
    found
}

/// Returns `true` if a test of `tests/integration/` has this path.
fn is_test(path: &str) -> bool {
    let Some((module, name)) = path.split_once("::") else {
        return false;
    };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/integration");
    std::fs::read_to_string(folder.join(module).with_extension("rs")).is_ok_and(|text| {
        text.contains(&format!("\nfn {name}(")) || text.contains(&format!("\nasync fn {name}("))
    })
}

/// `tests/foreign/run` runs the blocks of shell, on a machine that can install its engine.
#[test]
fn each_block_of_commands_is_run_or_has_a_reason() {
    let (_, names) = STACK.split_once("\nMANUAL = (\n").unwrap();
    let (names, _) = names.split_once("\n# ").unwrap();
    let (_, reasons) = STACK.split_once("\nUNTRIED = {\n").unwrap();
    let (reasons, _) = reasons.split_once("\n}\n").unwrap();
    let texts = reasons.split('"').skip(1).step_by(2).collect::<Vec<_>>();
    let reasons: BTreeMap<&str, &str> = texts.chunks(2).map(|pair| (pair[0], pair[1])).collect();
    let mut used = BTreeSet::new();
    for (name, text) in documents() {
        for (language, block) in blocks(&text) {
            let place = format!("{}: {block}", name.display());
            match language {
                "sh" => {
                    assert!(
                        names.contains(&format!("\"{}\"", name.display())),
                        "{place}"
                    );
                    used.extend(reasons.keys().filter(|part| block.contains(**part)));
                }
                "console" => {
                    let command = block.lines().next().unwrap().strip_prefix("$ cargo run ");
                    assert!(CI.contains(command.unwrap()), "{place}");
                }
                "json" | "kusto" | "text" => {}
                _ => panic!("{place} has no language that is known"),
            }
        }
    }
    assert_eq!(used, reasons.keys().copied().collect());
    let runners = reasons
        .iter()
        .filter_map(|(part, reason)| Some((part, reason.strip_prefix("run by ")?)));
    for (part, runner) in runners {
        let arguments = part.strip_prefix("cargo run ").unwrap_or(part);
        let by_ci = runner == ".ci/run" && CI.contains(arguments);
        assert!(by_ci || is_test(runner), "{part} is not run by {runner}");
    }
}

#[test]
fn the_tests_that_contributing_names_exist() {
    let spans = CONTRIBUTING.split('`').skip(1).step_by(2);
    let modules = |path: &&str| path.contains("::") && !path.contains(' ') && !path.ends_with("::");
    let named: Vec<&str> = spans.filter(modules).collect();
    assert!(named.len() > 15, "{named:?}");
    for path in named {
        assert!(is_test(path), "{path}");
    }
}

#[test]
fn the_alarms_are_those_of_the_template() {
    let (_, table) = REFERENCE.split_once("\n| alarm | ").unwrap();
    let rows = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let documented: BTreeSet<&str> = rows.map(|row| row.split('`').nth(1).unwrap()).collect();
    let alarms = TEMPLATE.split("AlarmName: !Sub ${AWS::StackName}-").skip(1);
    let alarms = alarms.map(|rest| rest.lines().next().unwrap());
    assert_eq!(documented, alarms.collect());
}

/// The modules that lib.rs names in its table, in that order.
fn modules() -> Vec<&'static str> {
    let text = include_str!("../../src/lib.rs");
    let rows = text.lines().filter_map(|line| line.strip_prefix("//! | "));
    rows.filter_map(|row| row.split('`').nth(1)).collect()
}

/// The code of a source file, without the items under `#[cfg(test)]`.
fn without_tests(text: &str) -> String {
    let mut code = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim_start() != "#[cfg(test)]" {
            code.extend([line, "\n"]);
            continue;
        }
        // rustfmt ends an item at its own indentation.
        let indent = line.len() - line.trim_start().len();
        let ends = |line: &str| {
            let at = line.len() - line.trim_start().len();
            at == indent && (line.ends_with('}') || line.ends_with(';'))
        };
        lines.by_ref().find(|line| ends(line));
    }
    code
}

/// The names that a source file takes from the root of the crate, `depth` modules above its items.
fn taken(code: &str, depth: usize) -> Vec<String> {
    let roots = [
        "crate::".to_owned(),
        "acs_recording_archiver::".to_owned(),
        "super::".repeat(depth),
    ];
    let is_name = |letter: char| letter.is_alphanumeric() || letter == '_';
    let mut names = vec![];
    for root in roots {
        for (place, _) in code.match_indices(&root) {
            // `super::` of a deeper path is found with the path.
            if code[..place].ends_with(|before: char| is_name(before) || before == ':') {
                continue;
            }
            let rest = &code[place + root.len()..];
            let Some(group) = rest.strip_prefix('{') else {
                names.push(rest.chars().take_while(|letter| is_name(*letter)).collect());
                continue;
            };
            let mut open = 0;
            let mut name = String::new();
            let mut complete = false;
            for letter in group.chars() {
                match letter {
                    '{' => open += 1,
                    '}' if open == 0 => break,
                    '}' => open -= 1,
                    ',' if open == 0 => {
                        names.push(std::mem::take(&mut name));
                        complete = false;
                    }
                    letter if is_name(letter) && !complete => name.push(letter),
                    _ => complete = !name.is_empty(),
                }
            }
            names.push(name);
        }
    }
    names
}

#[test]
fn imports_are_found_in_each_form() {
    let code = "
        use crate::store::Store;
        use crate::{keys::{Key, Place}, clock, plan::Part as P};
        use super::super::acs;
        use super::local;
        use acs_recording_archiver::config;
        fn f() { crate::limits::MIB }
    ";
    let names = BTreeSet::from(["store", "keys", "clock", "plan", "acs", "config", "limits"]);
    assert_eq!(
        taken(code, 2)
            .iter()
            .map(String::as_str)
            .collect::<BTreeSet<_>>(),
        names
    );
    let code = "use a;\n#[cfg(test)]\nmod tests;\nuse b;\n#[cfg(test)]\nmod more {\n    use c;\n}\nuse d;\n";
    assert_eq!(without_tests(code), "use a;\nuse b;\nuse d;\n");
}

#[test]
fn each_module_imports_only_from_those_below_it() {
    let modules = modules();
    let place = |name: &str| modules.iter().position(|known| *known == name);
    let source = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"));
    let mut seen = BTreeSet::new();
    for file in sources(source) {
        let module = file.with_extension("");
        let names: Vec<&str> = module.iter().map(|name| name.to_str().unwrap()).collect();
        if names[0] == "lib" {
            continue;
        }
        let here = place(names[0]).unwrap_or_else(|| panic!("{} is not in the table", names[0]));
        seen.insert(modules[here]);
        let code = without_tests(&std::fs::read_to_string(source.join(&file)).unwrap());
        for other in taken(&code, names.len()) {
            // The other names are of the root itself, as `VERSION`.
            if let Some(there) = place(&other) {
                assert!(there >= here, "{} imports from {other}", file.display());
            }
        }
    }
    assert_eq!(seen, modules.iter().copied().collect());
}

/// The source files under a folder, by their paths within it.
pub fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = vec![];
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = PathBuf::from(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            files.extend(
                sources(&entry.path())
                    .into_iter()
                    .map(|file| name.join(file)),
            );
        } else {
            files.push(name);
        }
    }
    files
}

#[test]
fn the_sample_events_are_there() {
    let documents = documents();
    let words = documents.iter().flat_map(|(_, text)| {
        text.split(|other: char| !other.is_ascii_alphanumeric() && !"/.-".contains(other))
    });
    let named: BTreeSet<&str> = words
        .filter(|path| path.starts_with("events/") && *path != "events/")
        .collect();
    assert!(!named.is_empty(), "no document names a sample event");
    for path in named {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        assert!(file.is_file(), "{path}");
    }
}

#[cfg(unix)]
#[test]
fn a_command_dates_a_sample_event_to_now() {
    use serde_json::{Value, from_slice, from_str};

    let command = CONTRIBUTING
        .lines()
        .find(|line| line.starts_with("jq '.body"));
    let (command, _) = command.unwrap().split_once(" > now.json").unwrap();
    let output = std::process::Command::new("bash")
        .args(["-c", command])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let event = |mut payload: Value| {
        let body: Value = from_str(payload["body"].as_str().unwrap()).unwrap();
        payload["body"] = Value::Null;
        (payload, body[0].clone())
    };
    let (payload, mut now) = event(from_slice(&output.stdout).unwrap());
    let sample = include_str!("../../events/recording-current.json");
    let (expected, sample) = event(from_str(sample).unwrap());
    assert_eq!(payload, expected);
    let time = now["eventTime"].take();
    now["eventTime"] = sample["eventTime"].clone();
    assert_eq!(now, sample);
    assert!(
        time.as_str().is_some_and(|time| time.ends_with('Z')),
        "{time}"
    );
}
