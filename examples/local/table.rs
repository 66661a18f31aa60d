//! The objects as a table: a folder, and the names in it.

use std::fmt::Write as _;

use indicatif::HumanBytes;

use crate::check::Row;
use crate::report::counted;

/// The table's text.
pub fn table(rows: &[Row]) -> String {
    let names = rows.iter().map(|row| split(&row.key).1.len() + 2);
    let width = names.max().unwrap_or_default().max(3);
    let mut text = format!(
        "{:width$}  {:>13}  {:12}  compared\n",
        "key", "bytes", "CRC64NVME"
    );
    let mut current = None;
    for row in rows {
        let (folder, name) = split(&row.key);
        if current.replace(folder) != Some(folder) {
            let _ = writeln!(text, "{folder}");
        }
        let size = grouped(row.object.size);
        let checksum = row.object.crc64nvme.as_deref().unwrap_or("-");
        let _ = writeln!(
            text,
            "{:width$}  {size:>13}  {checksum:12}  {}",
            format!("  {name}"),
            row.verdict
        );
    }
    let total: u64 = rows.iter().map(|row| row.object.size).sum();
    let _ = write!(
        text,
        "{}, {}",
        counted(rows.len(), "object"),
        HumanBytes(total)
    );
    text
}

fn split(key: &str) -> (&str, &str) {
    key.split_at(key.rfind('/').map_or(0, |slash| slash + 1))
}

/// A number with a comma at every third digit.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}
