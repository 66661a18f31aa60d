//! The means of operation, compared with one another: metrics, alarms, dashboard, runbook, and the
//! files of `azure/`.

#[cfg(unix)]
mod replay;
#[cfg(unix)]
mod scripts;

use std::collections::BTreeSet;
use std::path::Path;

use acs_recording_archiver::finality::EXPIRY;
use acs_recording_archiver::metrics::{Cause, Metric, NAMESPACE};
use serde_json::{Value, json};

use crate::documentation::sources;
use crate::template::{fields, list, template};

const RUNBOOK: &str = include_str!("../../RUNBOOK.md");
const RUNBOOK_SCRIPT: &str = include_str!("../../deploy/runbook.sh");
const REFERENCE: &str = include_str!("../../docs/reference.md");
const BICEP: &str = include_str!("../../azure/subscription.bicep");
const BICEP_PARAMETERS: &str = include_str!("../../azure/subscription.bicepparam");
const EVENT_GRID: &str = include_str!("../../src/event_grid.rs");

/// The metrics of Lambda.
///
/// <https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html>
const OF_LAMBDA: [&str; 4] = ["ConcurrentExecutions", "Errors", "Throttles", "Url5xxCount"];

/// The resources of one type, by name.
fn resources(kind: &str) -> Vec<(String, Value)> {
    let resources = template()["Resources"].take();
    let of_kind = |(_, resource): &(&String, &Value)| resource["Type"] == kind;
    fields(&resources)
        .iter()
        .filter(of_kind)
        .map(|(name, resource)| (name.clone(), resource["Properties"].clone()))
        .collect()
}

fn alarms() -> Vec<(String, Value)> {
    resources("AWS::CloudWatch::Alarm")
}

fn is_known(namespace: &str, metric: &str) -> bool {
    match namespace {
        NAMESPACE => Metric::ALL.iter().any(|known| known.to_string() == metric),
        "AWS/Lambda" => OF_LAMBDA.contains(&metric),
        _ => false,
    }
}

/// A text without its line breaks.
fn unwrapped(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn text(value: Value) -> String {
    serde_json::from_value(value).expect("a text")
}

/// `ScheduleSilent` → `schedule-silent`.
fn anchor(name: &str) -> String {
    let mut anchor = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !anchor.is_empty() {
            anchor.push('-');
        }
        anchor.extend(letter.to_lowercase());
    }
    anchor
}

/// The headings of a Markdown text outside its code: level and anchor.
pub(crate) fn headings(text: &str) -> Vec<(usize, String)> {
    let mut in_code = false;
    let mut headings = vec![];
    for line in text.lines() {
        in_code ^= line.trim_start().starts_with("```");
        let level = line.bytes().take_while(|byte| *byte == b'#').count();
        if in_code || level == 0 {
            continue;
        }
        let kept = |letter: &char| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_');
        let title = line.trim_start_matches('#').trim().to_lowercase();
        let anchor = title.chars().filter(kept).collect::<String>();
        headings.push((level, anchor.replace(' ', "-")));
    }
    headings
}

#[test]
fn alarms_use_metrics_of_the_function_or_of_lambda() {
    for (name, alarm) in alarms() {
        let text = |field: &str| alarm[field].as_str().unwrap_or_default().to_owned();
        assert!(is_known(&text("Namespace"), &text("MetricName")), "{name}");
        // The function's own metrics are common to both functions; those of Lambda are by function.
        let function = if name.starts_with("Sweeper") {
            "Sweeper"
        } else {
            "Archiver"
        };
        let dimension = match alarm["Namespace"].as_str() {
            Some(NAMESPACE) => json!({"Name": "Installation", "Value": {"!Ref": "AWS::StackName"}}),
            _ => json!({"Name": "FunctionName", "Value": {"!Ref": function}}),
        };
        assert_eq!(alarm["Dimensions"], json!([dimension]), "{name}");
        // A metric with a further dimension has no series without its value.
        assert_ne!(alarm["MetricName"], "Retries", "{name}");
        assert_eq!(alarm["AlarmActions"], json!([{"!Ref": "Alarms"}]), "{name}");
        assert!(alarm["TreatMissingData"].is_string(), "{name}");
        assert_eq!(alarm["Period"].as_u64().map(|period| period % 60), Some(0));
        assert_eq!(
            alarm["AlarmName"],
            json!({"!Sub": format!("${{AWS::StackName}}-{}", anchor(&name))})
        );
    }
    // CloudWatch cannot use the AWS managed key of SNS.
    for (name, topic) in resources("AWS::SNS::Topic") {
        assert_eq!(topic.get("KmsMasterKeyId"), None, "{name}");
    }
}

#[test]
fn alarms_are_raised_by_the_intended_metrics() {
    let alarms = alarms();
    let watched: BTreeSet<String> = alarms
        .iter()
        .map(|(_, alarm)| format!("{} {}", alarm["MetricName"], alarm["Dimensions"]))
        .collect();
    assert_eq!(watched.len(), alarms.len(), "each metric has one alarm");
    // A throttled tick is one of many; the alarm on Ticks covers the loss of all.
    let errors = alarms
        .iter()
        .filter(|(_, alarm)| alarm["MetricName"] == "Errors");
    assert_eq!(errors.count(), 2, "each function has one");
    for (metric, statistic, comparison, threshold, missing) in [
        ("RecordingsRejected", "Sum", ">=", 1, "notBreaching"),
        ("RecordingsExpired", "Sum", ">=", 1, "notBreaching"),
        ("MediaDoubtful", "Sum", ">=", 1, "notBreaching"),
        ("EventsSetAside", "Sum", ">=", 1, "notBreaching"),
        (
            "HoursUntilSourceExpires",
            "Minimum",
            "<",
            12,
            "notBreaching",
        ),
        ("Ticks", "Sum", "<", 1, "breaching"),
        ("Errors", "Sum", ">=", 1, "notBreaching"),
        ("Throttles", "Sum", ">=", 1, "notBreaching"),
        ("Url5xxCount", "Sum", ">=", 3, "notBreaching"),
        ("RecordingsInTrouble", "Maximum", ">=", 1, "notBreaching"),
        ("DeliveriesRefused", "Sum", ">=", 1, "notBreaching"),
        ("DeliveriesUnverified", "Sum", ">=", 3, "notBreaching"),
        ("SecretsUnreadable", "Sum", ">=", 1, "notBreaching"),
        ("TokensUnavailable", "Sum", ">=", 1, "notBreaching"),
        ("EventsUnstored", "Sum", ">=", 3, "notBreaching"),
    ] {
        let on = |(_, alarm): &&(String, Value)| alarm["MetricName"] == metric;
        let (_, alarm) = alarms.iter().find(on).expect(metric);
        let comparison = match comparison {
            ">=" => "GreaterThanOrEqualToThreshold",
            _ => "LessThanThreshold",
        };
        let given = alarm.get("Statistic").or(alarm.get("ExtendedStatistic"));
        assert_eq!(given, Some(&json!(statistic)), "{metric}");
        assert_eq!(alarm["ComparisonOperator"], comparison, "{metric}");
        assert_eq!(alarm["Threshold"], threshold, "{metric}");
        assert_eq!(alarm["TreatMissingData"], missing, "{metric}");
    }
}

#[test]
fn each_alarm_has_its_section_in_the_runbook() {
    let headings = headings(RUNBOOK);
    let mut sections = BTreeSet::new();
    let mut under_alarms = false;
    for (level, anchor) in headings {
        match level {
            ..=2 => under_alarms = anchor == "alarms",
            3 if under_alarms => assert!(sections.insert(anchor)),
            _ => {}
        }
    }
    let alarms = alarms();
    let links: BTreeSet<String> = alarms
        .iter()
        .map(|(name, alarm)| {
            let description = alarm["AlarmDescription"]["!Sub"].as_str().unwrap();
            let (_, link) = description.split_once(" See ${RunbookUrl}#").expect(name);
            assert_eq!(link, anchor(name));
            link.to_owned()
        })
        .collect();
    assert_eq!(links, sections);
    let default = template()["Parameters"]["RunbookUrl"]["Default"].take();
    assert_eq!(default, "RUNBOOK.md");
}

/// The runbook sorts the alarms for a pager. An alarm in neither table would page nobody.
#[test]
fn each_alarm_is_in_one_table_of_the_runbook() {
    let (_, section) = RUNBOOK
        .split_once("\n## Which alarms wake somebody\n")
        .unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let (wake, wait) = section.split_once("| waits for the morning |").unwrap();
    let names = |table: &'static str| {
        let rows = table.lines().filter_map(|line| line.strip_prefix("| `"));
        rows.map(|row| row.split('`').next().unwrap())
    };
    let listed: Vec<&str> = names(wake).chain(names(wait)).collect();
    let azures = BICEP.split("\n    name: '").skip(1).take(3);
    let azures = azures.map(|rest| rest.split('\'').next().unwrap().to_owned());
    let all: BTreeSet<String> = alarms()
        .iter()
        .map(|(name, _)| anchor(name))
        .chain(azures)
        .collect();
    assert_eq!(listed.len(), all.len());
    assert_eq!(
        listed
            .iter()
            .map(ToString::to_string)
            .collect::<BTreeSet<_>>(),
        all
    );
    // The pager's filter lists the paging alarms of AWS.
    let filtered = section.split("\"suffix\": \"-").skip(1);
    let filtered: BTreeSet<&str> = filtered
        .map(|rest| rest.split('"').next().unwrap())
        .collect();
    let ours = |name: &&str| alarms().iter().any(|(alarm, _)| anchor(alarm) == *name);
    assert_eq!(filtered, names(wake).filter(ours).collect());
}

#[test]
fn the_runbook_names_existing_things() {
    let anchors: BTreeSet<String> = headings(RUNBOOK).into_iter().map(|(_, a)| a).collect();
    for link in RUNBOOK.split("](#").skip(1) {
        let (anchor, _) = link.split_once(')').expect("a link ends");
        assert!(anchors.contains(anchor), "#{anchor}");
    }
    // Pending events are in the work bucket.
    let lines = RUNBOOK.lines().chain(RUNBOOK_SCRIPT.lines());
    for line in lines.filter(|line| line.contains("aws s3")) {
        let pending = line.contains("pending/") || line.contains("attempt.json");
        assert!(!pending || line.contains("$WORK"), "{line}");
    }
    // With `--output text`, an empty listing is the word None.
    for command in RUNBOOK_SCRIPT.split("list-objects-v2").skip(1) {
        let (line, _) = command.split_once('\n').expect("a command ends");
        assert!(line.contains("--output json"), "{line}");
    }
    // An answer without a body does not name the missing permission.
    for section in RUNBOOK.split("\n### ") {
        let section = unwrapped(section);
        let of_s3 = section.contains("AccessDenied") && section.contains("NoSuchBucket")
            || section.contains("*S3 answered");
        let told = section.contains("*403, no reason given*");
        assert!(told || !of_s3, "{section}");
    }
    let runbook = unwrapped(RUNBOOK);
    assert!(runbook.contains("*the answer cannot be read*"));
    assert!(runbook.contains("could not be sent to S3*"));
    let scripts = RUNBOOK
        .split(|other: char| !other.is_ascii_alphanumeric() && !"/.-_".contains(other))
        .filter(|path| path.starts_with("azure/") || path.starts_with("deploy/"))
        .filter(|path| path.contains(".sh"));
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    for script in scripts {
        assert!(here.join(script).is_file(), "{script}");
    }
    let template = template();
    for (before, section) in [
        ("parameter `", "Parameters"),
        ("parameter\n`", "Parameters"),
        ("\nset_parameter ", "Parameters"),
        ("$(parameter ", "Parameters"),
        ("$(output ", "Outputs"),
        ("$(resource ", "Resources"),
    ] {
        let script = RUNBOOK_SCRIPT.split(before).skip(1);
        for name in RUNBOOK.split(before).skip(1).chain(script) {
            let end = |other: char| !other.is_ascii_alphanumeric();
            let name = name.split(end).next().unwrap_or_default();
            let there = template[section].get(name);
            assert!(there.is_some(), "{name} is not among {section}");
        }
    }
}

/// A query for a message that the function does not log would find nothing, silently.
#[test]
fn the_queries_of_the_runbook_ask_for_messages_of_the_code() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let code: String = sources(&folder)
        .iter()
        .map(|file| std::fs::read_to_string(folder.join(file)).unwrap())
        .collect();
    let one = RUNBOOK.split("message = \"").skip(1);
    let one = one.map(|rest| rest.split('"').next().unwrap());
    let several = RUNBOOK.split("message in [").skip(1);
    let several = several.flat_map(|rest| {
        let list = rest.split(']').next().unwrap();
        list.split('"').skip(1).step_by(2)
    });
    let messages: BTreeSet<&str> = one.chain(several).collect();
    assert!(messages.len() > 5, "{messages:?}");
    for message in messages {
        assert!(code.contains(&format!("\"{message}\"")), "{message}");
    }
}

fn dashboard() -> Value {
    let dashboards = resources("AWS::CloudWatch::Dashboard");
    let [(_, dashboard)] = dashboards.as_slice() else {
        panic!("there is not one dashboard")
    };
    let body = dashboard["DashboardBody"]["!Sub"].as_str().unwrap();
    serde_json::from_str(body).expect("its body is JSON")
}

/// Namespace, name, dimensions and rendering of each metric of a widget.
fn metrics(widget: &Value) -> Vec<&Vec<Value>> {
    let metrics = widget["properties"].get("metrics");
    let metrics = metrics.map(list).unwrap_or_default();
    metrics.into_iter().filter_map(Value::as_array).collect()
}

#[test]
fn the_dashboard_shows_every_metric() {
    let dashboard = dashboard();
    let mut shown = BTreeSet::new();
    let mut causes = BTreeSet::new();
    let mut functions = BTreeSet::new();
    for widget in list(&dashboard["widgets"]) {
        for metric in metrics(widget) {
            let [
                Value::String(namespace),
                Value::String(name),
                dimensions @ ..,
                rendering,
            ] = metric.as_slice()
            else {
                panic!("{metric:?} has a namespace, a name and a rendering")
            };
            assert!(is_known(namespace, name), "{namespace} {name}");
            assert!(rendering["label"].is_string(), "{name}");
            let (source, more) = dimensions.split_at(2);
            if namespace == NAMESPACE {
                assert_eq!(source, ["Installation", "${AWS::StackName}"], "{name}");
            } else {
                assert_eq!(source[0], "FunctionName", "{name}");
                functions.insert((name.as_str(), source[1].as_str().unwrap()));
            }
            match more {
                [] => assert_ne!(name, "Retries"),
                [dimension, cause] => {
                    assert_eq!((name.as_str(), dimension), ("Retries", &json!("Cause")));
                    causes.insert(cause.as_str().unwrap());
                }
                _ => panic!("{name} has other dimensions"),
            }
            shown.insert(name.as_str());
        }
    }
    let all: BTreeSet<String> = Cause::ALL.iter().map(|cause| text(json!(cause))).collect();
    assert_eq!(causes, all.iter().map(String::as_str).collect());
    for metric in ["ConcurrentExecutions", "Errors", "Throttles"] {
        for function in ["${Archiver}", "${Sweeper}"] {
            assert!(functions.contains(&(metric, function)), "{metric}");
        }
    }
    for metric in Metric::ALL {
        assert!(shown.contains(metric.to_string().as_str()), "{metric}");
    }
}

#[test]
fn the_dashboard_shows_every_alarm_and_each_threshold() {
    let dashboard = dashboard();
    let widgets = list(&dashboard["widgets"]);
    let row = widgets.iter().find(|widget| widget["type"] == "alarm");
    let row = &row.expect("there is a row of alarms")["properties"]["alarms"];
    let all: BTreeSet<String> = alarms()
        .iter()
        .map(|(name, _)| format!("${{{name}.Arn}}"))
        .collect();
    let shown: BTreeSet<String> = list(row)
        .into_iter()
        .map(|alarm| alarm.as_str().unwrap().to_owned())
        .collect();
    assert_eq!(shown, all);
    for widget in widgets {
        let lines = &widget["properties"]["annotations"]["horizontal"];
        for line in lines.as_array().into_iter().flatten() {
            let names: BTreeSet<&str> = metrics(widget)
                .iter()
                .filter_map(|metric| metric[1].as_str())
                .collect();
            let alarm = alarms().into_iter().find(|(_, alarm)| {
                let metric = alarm["MetricName"].as_str().unwrap();
                alarm["Threshold"] == line["value"] && names.contains(metric)
            });
            assert!(alarm.is_some(), "{line}");
        }
    }
}

#[test]
fn the_reference_names_each_widget() {
    let dashboard = dashboard();
    for widget in list(&dashboard["widgets"]) {
        let title = widget["properties"]["title"].as_str().unwrap();
        assert!(REFERENCE.contains(title), "{title}");
    }
}

#[test]
fn the_widgets_fill_the_dashboard_without_overlap() {
    let dashboard = dashboard();
    let mut taken = BTreeSet::new();
    for widget in list(&dashboard["widgets"]) {
        let number = |field: &str| widget[field].as_u64().expect(field);
        let (x, y) = (number("x"), number("y"));
        for column in x..x + number("width") {
            assert!(column < 24, "{widget}");
            for row in y..y + number("height") {
                assert!(taken.insert((column, row)), "{widget}");
            }
        }
    }
    let rows = taken.iter().map(|(_, row)| row + 1).max().unwrap();
    assert_eq!(taken.len() as u64, 24 * rows, "there are no gaps");
}

#[test]
fn the_subscription_fits_the_function() {
    let line = |name: &str| {
        let mut lines = BICEP.lines().map(str::trim);
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        value.unwrap_or_else(|| panic!("{name}"))
    };
    // The subscription has one event type, which the function archives.
    let (_, filter) = BICEP.split_once("includedEventTypes: [\n").unwrap();
    let (types, _) = filter.split_once(']').unwrap();
    let event_type = types.trim().trim_matches('\'');
    assert!(event_type.starts_with("Microsoft.Communication."));
    assert!(EVENT_GRID.contains(&format!("\"{event_type}\"")));
    // Retries last as long as ACS keeps the recording, and are as many as Event Grid allows.
    let minutes: u64 = line("eventTimeToLiveInMinutes").parse().unwrap();
    assert_eq!(minutes * 60, EXPIRY.as_secs());
    assert_eq!(line("maxDeliveryAttempts"), "30");
    assert_eq!(line("endpointType"), "'WebHook'");
    assert_eq!(line("minimumTlsVersion"), "'TLS1_2'");
    assert_eq!(line("allowBlobPublicAccess"), "false");
    assert_eq!(line("publicAccess"), "'None'");
    let (_, secure) = BICEP.split_once("@secure()\n").unwrap();
    let secure = secure.lines().find(|line| line.starts_with("param "));
    assert_eq!(secure, Some("param webhookEndpoint string"));
}

/// The metrics are those of `Microsoft.EventGrid/systemTopics`, which Azure Monitor documents.
/// Azure refuses an alert on another metric at the deployment.
#[test]
fn event_grid_alerts_on_failed_deliveries() {
    let (_, alerts) = BICEP.split_once("var alerts = [\n").unwrap();
    let (alerts, _) = alerts.split_once("\n]\n").unwrap();
    let values = |name: &str| {
        let lines = alerts.lines().map(str::trim);
        let name = format!("{name}: ");
        let values = lines.filter_map(move |line| line.strip_prefix(&name).map(str::to_owned));
        values.collect::<Vec<_>>()
    };
    assert_eq!(
        values("metric"),
        [
            "'DeadLetteredCount'",
            "'DroppedEventCount'",
            "'DeliveryAttemptFailCount'"
        ]
    );
    // A lost event raises the alarm at once; a failed delivery is retried.
    assert_eq!(values("threshold"), ["1", "1", "3"]);
    assert_eq!(values("window"), ["'PT5M'", "'PT5M'", "'PT15M'"]);
    for name in values("name") {
        let section = name.trim_matches('\'');
        assert!(RUNBOOK.contains(&format!("`{section}`")), "{section}");
    }
    for line in [
        "metricNamespace: 'Microsoft.EventGrid/systemTopics'",
        "topicType: 'Microsoft.Communication.CommunicationServices'",
        "operator: 'GreaterThanOrEqual'",
        "timeAggregation: 'Total'",
        "emailAddress: alarmEmail",
        "actionGroupId: onCall.id",
        "makesTopic ? systemTopic.id : systemTopicId",
    ] {
        let found = BICEP.lines().any(|found| found.trim() == line);
        assert!(found, "{line}");
    }
    let (_, group) = BICEP.split_once("groupShortName: '").unwrap();
    let (short, _) = group.split_once('\'').unwrap();
    assert!(short.len() <= 12, "Azure allows 12 characters: {short}");
}

/// Brackets are balanced, and each symbol is declared and used.
#[test]
fn the_bicep_file_is_well_formed() {
    let mut open = vec![];
    let mut in_text = false;
    for line in BICEP.lines() {
        let line = if line.trim_start().starts_with("//") {
            ""
        } else {
            line
        };
        let mut before = ' ';
        for letter in line.chars() {
            match letter {
                '\'' if before != '\\' => in_text = !in_text,
                _ if in_text => {}
                '{' | '[' | '(' => open.push(letter),
                '}' => assert_eq!(open.pop(), Some('{'), "{line}"),
                ']' => assert_eq!(open.pop(), Some('['), "{line}"),
                ')' => assert_eq!(open.pop(), Some('('), "{line}"),
                _ => {}
            }
            before = letter;
        }
        assert!(!in_text, "a text ends on its line: {line}");
    }
    assert!(open.is_empty(), "{open:?}");
    for word in ["param ", "var ", "resource "] {
        for name in declared(BICEP, word) {
            let used = BICEP
                .split(|other: char| !other.is_ascii_alphanumeric())
                .filter(|word| *word == name);
            // Two resources are not referred to.
            let last = ["eventSubscription", "deliveryAlerts"].contains(&name);
            assert!(last || used.count() > 1, "{name} is not used");
        }
    }
}

/// The names that begin a line after a word.
fn declared<'t>(text: &'t str, word: &'t str) -> BTreeSet<&'t str> {
    let name = |line: &'t str| line.strip_prefix(word)?.split_whitespace().next();
    text.lines().filter_map(name).collect()
}

#[test]
fn the_parameters_of_the_subscription_are_those_of_its_script() {
    let parameters = declared(BICEP, "param ");
    let given = declared(BICEP_PARAMETERS, "param ");
    // The default location is that of the resource group.
    assert_eq!(
        parameters.difference(&given).collect::<Vec<_>>(),
        [&"location"]
    );
    assert!(given.is_subset(&parameters), "{given:?}");
    let script = include_str!("../../azure/subscribe.sh");
    for variable in BICEP_PARAMETERS.split("readEnvironmentVariable('").skip(1) {
        let (variable, default) = variable.split_once('\'').unwrap();
        assert!(script.contains(variable), "{variable}");
        let required = default.starts_with(')');
        let set = script.contains(&format!("{variable}=$"))
            || script.contains(&format!("{variable}=\"$"));
        // Parameters that the script finds if they are not set.
        let found = script.contains(&format!("if [[ ! ${{{variable}:-}} ]]"));
        assert_eq!(required, set && !found, "{variable}");
    }
}

#[test]
fn the_commands_of_the_outputs_can_be_run() {
    let outputs = template()["Outputs"].take();
    let mut scripts = 0;
    for (name, output) in fields(&outputs) {
        let Some(command) = output["Value"]["!Sub"].as_str() else {
            continue;
        };
        if !name.ends_with("Command") {
            continue;
        }
        for word in command.split_whitespace() {
            if word.starts_with("azure/") {
                let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(word);
                let script = std::fs::read_to_string(script).expect(word);
                let options = command
                    .split_whitespace()
                    .filter(|word| word.starts_with("--"));
                for option in options {
                    assert!(script.contains(&format!("  {option} ")), "{name}: {option}");
                }
                scripts += 1;
            }
        }
    }
    assert_eq!(scripts, 5);
}
