//! What the README says, held against the code, the template and the sample events.

use std::collections::BTreeSet;
use std::path::Path;

use acs_recording_archiver::config::SETTINGS;
use acs_recording_archiver::metrics::{Cause, Metric};
use lambda_http::http::StatusCode;
use serde_yaml_ng::Value;

const README: &str = include_str!("../../README.md");
const TEMPLATE: &str = include_str!("../../template.yaml");
const ANSWERS: &str = include_str!("../../src/webhook/answer.rs");

/// The cells of the first table under a heading, without its two head rows.
fn table(heading: &str) -> Vec<Vec<&'static str>> {
    let (_, section) = README
        .split_once(&format!("\n## {heading}\n"))
        .unwrap_or_else(|| panic!("README has no section {heading}"));
    section
        .lines()
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'))
        .skip(2)
        .map(|row| row.trim_matches('|').split('|').map(str::trim).collect())
        .collect()
}

/// The first column of such a table: a name in each row, in backticks.
fn names(heading: &str) -> BTreeSet<&'static str> {
    let name = |row: Vec<&'static str>| row[0].trim_matches('`');
    table(heading).into_iter().map(name).collect()
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
    assert_eq!(names("Settings"), BTreeSet::from(SETTINGS));
}

#[test]
fn the_answers_are_those_of_the_code() {
    // The constants are named by the statuses' reasons.
    let documented: BTreeSet<String> = table("Answers")
        .iter()
        .flat_map(|row| row[1].split(|other: char| !other.is_ascii_digit()))
        .filter_map(|status| StatusCode::from_bytes(status.as_bytes()).ok())
        .map(|status| status.canonical_reason().unwrap().to_uppercase())
        .map(|reason| reason.replace([' ', '-'], "_"))
        .collect();
    let given: BTreeSet<String> = ANSWERS
        .split("StatusCode::")
        .skip(1)
        .filter_map(|rest| {
            rest.split(|end: char| end != '_' && !end.is_alphanumeric())
                .next()
        })
        .map(str::to_owned)
        .collect();
    assert_eq!(documented, given);
}

#[test]
fn the_parameters_and_outputs_are_those_of_the_template() {
    let documented = names("Deploying").into_iter().map(str::to_owned);
    assert_eq!(
        documented.collect::<BTreeSet<_>>(),
        in_template("Parameters")
    );
    for output in in_template("Outputs") {
        assert!(README.contains(&format!("`{output}`")), "{output}");
    }
}

#[test]
fn the_metrics_are_those_of_the_code() {
    let documented: Vec<_> = table("Metrics and alarms")
        .iter()
        .map(|row| (row[0].trim_matches('`').to_owned(), row[1].to_owned()))
        .collect();
    let measured = Metric::ALL.map(|metric| (metric.to_string(), metric.unit().to_owned()));
    assert_eq!(documented, measured);
    for cause in Cause::ALL {
        let cause = serde_json::to_value(cause).unwrap();
        let cause = cause.as_str().unwrap();
        assert!(README.contains(&format!("`{cause}`")), "{cause}");
    }
}

#[test]
fn the_sample_events_are_there() {
    let named: BTreeSet<&str> = README
        .split(|other: char| !other.is_ascii_alphanumeric() && !"/.-".contains(other))
        .filter(|path| path.starts_with("events/") && *path != "events/")
        .collect();
    assert!(!named.is_empty(), "README names no sample event");
    for path in named {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        assert!(file.is_file(), "{path}");
    }
}
