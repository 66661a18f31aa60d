//! The parser of exports of the table `ACSCallRecordingSummary`. Pure.
//!
//! The formats: the array of `az monitor log-analytics query --output json`, the tables of the
//! query API, and the CSV of the portal.
//! <https://learn.microsoft.com/azure/azure-monitor/reference/tables/acscallrecordingsummary>

use std::collections::HashMap;

use acs_recording_archiver::recording::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::clock::Clock;

/// A row: a recording in ACS's log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    pub(crate) recording_id: Option<String>,
    pub(crate) started: Option<Timestamp>,
    pub(crate) length_ms: Option<u64>,
    /// The number of chunks.
    pub(crate) chunks: Option<u64>,
    /// The time at which ACS wrote the row.
    pub(crate) logged: Option<Timestamp>,
    /// The reason why the recording ended.
    pub(crate) end_reason: Option<String>,
    /// The id that joins ACS's tables.
    pub(crate) correlation_id: Option<String>,
}

/// The reason why an export cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// The file is empty, because the query failed.
    #[error("it is empty; an answer without rows is [] or a line of column names")]
    Empty,
    /// The JSON has another form.
    #[error("it is not an array of rows, and has no tables: {0}")]
    Json(String),
    /// The file is not CSV.
    #[error("it is not CSV with a line of column names: {0}")]
    Csv(String),
    /// The rows are of another table.
    #[error(
        "row {0} has neither RecordingId nor RecordingStartTime: is it of ACSCallRecordingSummary, \
         and are these columns projected?"
    )]
    Other(usize),
    /// The format of a time is unknown or ambiguous.
    #[error("row {row} has the {column} {text:?}: {why}")]
    Time {
        /// The number of the row, from 1.
        row: usize,
        /// The name of the column.
        column: &'static str,
        /// The text of the cell.
        text: String,
        /// The problem.
        why: &'static str,
    },
}

/// The texts of a row by the lower-case names of their columns, without empty cells.
type Cells = HashMap<String, String>;

/// Parses an export.
///
/// # Errors
///
/// [`Unreadable`] if the export has another form.
pub fn read(bytes: &[u8]) -> Result<Vec<Row>, Unreadable> {
    // The portal's CSV begins with a byte order mark.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    let cells = match first {
        None => return Err(Unreadable::Empty),
        Some(b'[' | b'{') => of_json(bytes)?,
        Some(_) => of_csv(bytes)?,
    };
    rows(&cells)
}

/// The answer of the query API.
#[derive(Deserialize)]
struct Tables {
    tables: Vec<Table>,
}

#[derive(Deserialize)]
struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Value>>,
}

#[derive(Deserialize)]
struct Column {
    name: String,
}

fn of_json(bytes: &[u8]) -> Result<Vec<Cells>, Unreadable> {
    let fault = |error: serde_json::Error| Unreadable::Json(error.to_string());
    let json: Value = serde_json::from_slice(bytes).map_err(fault)?;
    if json.is_array() {
        let rows: Vec<Map<String, Value>> = serde_json::from_value(json).map_err(fault)?;
        return Ok(rows.into_iter().map(cells).collect());
    }
    let Tables { tables } = serde_json::from_value(json).map_err(fault)?;
    let rows = tables.into_iter().flat_map(|table| {
        let names: Vec<String> = table.columns.into_iter().map(|it| it.name).collect();
        let rows = table.rows.into_iter();
        rows.map(move |row| cells(names.iter().cloned().zip(row)))
    });
    Ok(rows.collect())
}

fn cells(row: impl IntoIterator<Item = (String, Value)>) -> Cells {
    let cells = row.into_iter().filter_map(|(name, value)| {
        let text = match value {
            Value::String(text) => text,
            Value::Number(number) => number.to_string(),
            _ => return None,
        };
        cell(&name, &text)
    });
    cells.collect()
}

/// Returns a cell with its name, unless it is empty. `az` writes `None` for null.
fn cell(name: &str, text: &str) -> Option<(String, String)> {
    let text = text.trim();
    let absent = text.is_empty() || text == "None" || text == "null";
    (!absent).then(|| (name.trim().to_lowercase(), text.to_owned()))
}

fn of_csv(bytes: &[u8]) -> Result<Vec<Cells>, Unreadable> {
    let fault = |error: csv::Error| Unreadable::Csv(error.to_string());
    let mut reader = csv::Reader::from_reader(bytes);
    let names = reader.headers().map_err(fault)?.clone();
    let known = |name: &str| column(name, "recordingid") || column(name, "recordingstarttime");
    if !names.iter().any(known) {
        let names = names.iter().collect::<Vec<_>>().join(", ");
        let names: String = names.chars().take(200).collect();
        let fault = format!("there is no RecordingId or RecordingStartTime in {names:?}");
        return Err(Unreadable::Csv(fault));
    }
    let rows = reader.records().map(|record| {
        let record = record.map_err(fault)?;
        let cells = names.iter().zip(&record);
        let cells = cells.filter_map(|(name, text)| cell(name, text));
        Ok(cells.collect())
    });
    rows.collect()
}

/// Returns `true` if a column has the name `wanted`, with or without a time zone after it.
fn column(name: &str, wanted: &str) -> bool {
    let name = name.trim().to_lowercase();
    let bare = name.split_once(" [").map_or(&*name, |(bare, _)| bare);
    bare == wanted
}

fn rows(cells: &[Cells]) -> Result<Vec<Row>, Unreadable> {
    let clock = Clock::of(cells.iter().flat_map(|cells| {
        {
            let times = ["recordingstarttime", "timegenerated"];
            times.map(|name| time_cell(cells, name)).into_iter()
        }
        .flatten()
        .map(|(text, _)| text)
    }));
    let rows = cells.iter().enumerate().map(|(place, cells)| {
        let row = place + 1;
        let text = |name: &str| cells.get(name).cloned();
        let time = |name: &str, column: &'static str| {
            let Some((text, zone)) = time_cell(cells, name) else {
                return Ok(None);
            };
            let read = match zone {
                Some(zone) if zone != "utc" => {
                    Err("its column is not in UTC: choose UTC as the time zone of the query")
                }
                _ => clock.read(text),
            };
            let fault = |why| Unreadable::Time {
                row,
                column,
                text: text.to_owned(),
                why,
            };
            read.map(Some).map_err(fault)
        };
        let read = Row {
            recording_id: text("recordingid"),
            started: time("recordingstarttime", "RecordingStartTime")?,
            length_ms: cells.get("recordinglength").and_then(|text| millis(text)),
            chunks: cells.get("chunkcount").and_then(|text| whole(text)),
            logged: time("timegenerated", "TimeGenerated")?,
            end_reason: text("recordingendreason"),
            correlation_id: text("correlationid"),
        };
        let is_known = read.recording_id.is_some() || read.started.is_some();
        if is_known {
            Ok(read)
        } else {
            Err(Unreadable::Other(row))
        }
    });
    rows.collect()
}

/// Returns the text of a time, and the time zone that the portal appends to the column's name.
fn time_cell<'a>(cells: &'a Cells, name: &str) -> Option<(&'a str, Option<&'a str>)> {
    if let Some(text) = cells.get(name) {
        return Some((text, None));
    }
    let mut zoned = cells.iter().filter_map(|(column, text)| {
        let (bare, zone) = column.split_once(" [")?;
        (bare == name).then_some((&**text, Some(zone.trim_end_matches(']'))))
    });
    zoned.next()
}

/// Parses seconds with any number of fractional digits into milliseconds.
fn millis(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = fraction.bytes().all(|digit| digit.is_ascii_digit());
    let thousandths: String = fraction.chars().chain("000".chars()).take(3).collect();
    let thousandths: u64 = thousandths.parse().ok().filter(|_| digits)?;
    whole
        .parse::<u64>()
        .ok()?
        .checked_mul(1000)?
        .checked_add(thousandths)
}

fn whole(text: &str) -> Option<u64> {
    millis(text)
        .filter(|millis| millis % 1000 == 0)
        .map(|millis| millis / 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        Row {
            recording_id: Some("r".into()),
            started: Timestamp::parse("2022-08-17T23:55:43.33Z"),
            length_ms: Some(3_340),
            chunks: Some(1),
            logged: Timestamp::parse("2022-08-17T23:55:46.63Z"),
            end_reason: Some("CallEnded".into()),
            correlation_id: None,
        }
    }

    #[test]
    fn every_form_of_an_export_is_read() {
        let az = r#"[{"TableName": "PrimaryResult", "RecordingId": "r",
            "RecordingStartTime": "2022-08-17T23:55:43.33Z", "RecordingLength": "3.34",
            "ChunkCount": "1", "TimeGenerated": "2022-08-17T23:55:46.63Z",
            "RecordingEndReason": "CallEnded", "CorrelationId": "None"}]"#;
        let api = r#"{"tables": [{"name": "PrimaryResult", "columns": [
            {"name": "recordingID", "type": "string"},
            {"name": "RecordingStartTime", "type": "datetime"},
            {"name": "RecordingLength", "type": "real"}, {"name": "ChunkCount", "type": "int"},
            {"name": "TimeGenerated", "type": "datetime"},
            {"name": "RecordingEndReason", "type": "string"},
            {"name": "CorrelationId", "type": "string"}], "rows": [["r",
            "2022-08-17T23:55:43.33Z", 3.34, 1, "2022-08-17T23:55:46.63Z", "CallEnded", null]]}]}"#;
        let portal = "\u{feff}\"TimeGenerated [UTC]\",RecordingId,\"RecordingStartTime [UTC]\",\
            RecordingLength,ChunkCount,RecordingEndReason\r\n\
            \"8/17/2022, 11:55:46.630 PM\",r,\"8/17/2022, 11:55:43.330 PM\",\"3.34\",1,\
            CallEnded\r\n";
        let plain = "RecordingId,RecordingStartTime,RecordingLength,ChunkCount,TimeGenerated,\
            RecordingEndReason\n\
            r,2022-08-17T23:55:43.33Z,3.34,1,2022-08-17 23:55:46.63,CallEnded\n";
        for export in [az, api, portal, plain] {
            assert_eq!(read(export.as_bytes()), Ok(vec![row()]), "{export}");
        }
        for none in ["[]", "{\"tables\": []}", "RecordingId,ChunkCount\n"] {
            assert_eq!(read(none.as_bytes()), Ok(vec![]), "{none}");
        }
    }

    #[test]
    fn a_file_of_another_form_is_refused_with_the_reason() {
        for (text, why) in [
            ("", "it is empty"),
            (" \n", "it is empty"),
            ("{}", "it is not an array of rows"),
            ("[1]", "it is not an array of rows"),
            ("[{\"CallId\": \"c\"}]", "row 1 has neither"),
            ("ERROR: az login", "there is no RecordingId"),
            ("\u{0}\u{1}", "there is no RecordingId"),
            ("RecordingId,ChunkCount\nr,1,2\n", "it is not CSV"),
            (
                "RecordingId,RecordingStartTime [Local Time]\nr,2022-08-17T23:55:43Z\n",
                "not in UTC",
            ),
            (
                "[{\"RecordingId\": \"r\", \"RecordingStartTime\": \"yesterday\"}]",
                "row 1 has the RecordingStartTime",
            ),
        ] {
            let refused = read(text.as_bytes()).expect_err(text).to_string();
            assert!(refused.contains(why), "{text:?}: {refused}");
        }
    }

    #[test]
    fn lengths_and_counts() {
        for (text, expected) in [
            ("3.34", Some(3_340)),
            ("73872.94", Some(73_872_940)),
            ("0", Some(0)),
            ("2.7", Some(2_700)),
            ("0.0019", Some(1)),
            ("-1", None),
            ("1e3", None),
            ("99999999999999999999", None),
            ("", None),
            ("1.x", None),
        ] {
            assert_eq!(millis(text), expected, "{text}");
        }
        assert_eq!((whole("6.0"), whole("6.5")), (Some(6), None));
    }
}
