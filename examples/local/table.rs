//! The table of the objects, grouped by folder.
//!
//! The table fits the terminal: names are shortened in the middle, to 24 characters at least; if
//! that is not enough, columns are dropped.

use std::fmt::Write as _;

use indicatif::HumanBytes;

use crate::check::Row;
use crate::report::counted;
use crate::screen::shortened;

/// A column to the right of the names.
struct Column {
    title: &'static str,
    cell: fn(&Row) -> String,
    /// The position in the order in which columns are dropped; `None` for never.
    dropped: Option<u8>,
    to_the_right: bool,
}

/// The columns from left to right.
static COLUMNS: [Column; 3] = [
    Column {
        title: "bytes",
        cell: |row| grouped(row.object.size),
        dropped: Some(2),
        to_the_right: true,
    },
    Column {
        title: "CRC64NVME",
        cell: |row| row.object.crc64nvme.as_deref().unwrap_or("-").to_owned(),
        dropped: Some(1),
        to_the_right: false,
    },
    Column {
        title: "compared",
        cell: |row| row.verdict.to_owned(),
        dropped: None,
        to_the_right: false,
    },
];
const NAME: &str = "key";
/// The width of names below which columns are dropped.
const SHORTEST: usize = 24;
/// The spaces between two columns, and before a name.
const GAP: usize = 2;

/// The text of the table, in lines of at most `most` characters.
pub(crate) fn table(rows: &[Row], most: Option<usize>) -> String {
    let mut columns: Vec<_> = COLUMNS.iter().map(|column| column.cells(rows)).collect();
    let names = rows.iter().map(|row| split(&row.key).1.chars().count());
    let longest = GAP + names.max().unwrap_or_default();
    let mut width = longest.max(NAME.len());
    if let Some(most) = most {
        let left = |columns: &[Cells]| {
            most.saturating_sub(columns.iter().map(|cells| GAP + cells.width).sum())
        };
        // Names matter most: columns go before names are shorter than `SHORTEST`.
        while left(&columns) < width.min(SHORTEST)
            && let Some(dropped) = columns
                .iter()
                .filter_map(|cells| cells.column.dropped)
                .min()
        {
            columns.retain(|cells| cells.column.dropped != Some(dropped));
        }
        width = width.min(left(&columns)).max(NAME.len());
    }
    let line = |name: &str, number: Option<usize>| {
        let cells = columns.iter().map(|cells| cells.cell(number));
        let line = format!("{name:width$}{}", cells.collect::<String>());
        line.trim_end().to_owned() + "\n"
    };
    let mut text = line(NAME, None);
    let mut current = None;
    for (number, row) in rows.iter().enumerate() {
        let (folder, name) = split(&row.key);
        if current.replace(folder) != Some(folder) {
            let _ = writeln!(text, "{}", shortened(folder, most.unwrap_or(usize::MAX)));
        }
        let name = shortened(name, width.saturating_sub(GAP));
        text += &line(&format!("  {name}"), Some(number));
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

/// The cells of a column, and the width of the widest.
struct Cells {
    column: &'static Column,
    texts: Vec<String>,
    width: usize,
}

impl Column {
    fn cells(&'static self, rows: &[Row]) -> Cells {
        let texts: Vec<_> = rows.iter().map(self.cell).collect();
        let widths = texts.iter().map(|text| text.chars().count());
        let width = widths.chain([self.title.len()]).max().unwrap_or_default();
        Cells {
            column: self,
            texts,
            width,
        }
    }
}

impl Cells {
    /// The cell of a row, or the title, preceded by the gap.
    fn cell(&self, row: Option<usize>) -> String {
        let cell = row.and_then(|row| self.texts.get(row));
        let cell = cell.map_or(self.column.title, String::as_str);
        let width = self.width;
        if self.column.to_the_right {
            format!("  {cell:>width$}")
        } else {
            format!("  {cell:width$}")
        }
    }
}

fn split(key: &str) -> (&str, &str) {
    key.split_at(key.rfind('/').map_or(0, |slash| slash + 1))
}

/// A number with commas between groups of three digits.
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

#[cfg(test)]
mod tests {
    use emulators::s3::Object;

    use super::*;

    const KEYS: [&str; 3] = [
        "recordings/2026/11/23/608014fb-5d89-4e2f-a5f6-a55158f6f470/150211Z/\
            0000-0-eus-d12-a9db0801b561cf33b205c6bcc595f37f-68f4dfba0b4172c0.mp4",
        "recordings/2026/11/23/608014fb-5d89-4e2f-a5f6-a55158f6f470/150211Z/\
            0000-0-eus-d12-a9db0801b561cf33b205c6bcc595f37f-4c6f332c6af01bc5.metadata.json",
        "recordings/2026/11/23/608014fb-5d89-4e2f-a5f6-a55158f6f470/150211Z/\
            451ca273-6493-444b-a8d6-e9581a92059f-863e212cf497f017.manifest.json",
    ];

    fn of(columns: Option<usize>) -> String {
        let rows = KEYS.map(|key| Row {
            key: key.to_owned(),
            object: Object::new("twelve bytes"),
            verdict: "verified",
        });
        table(&rows, columns)
    }

    #[test]
    fn the_table_fits_any_terminal() {
        for columns in 30..=140 {
            let table = of(Some(columns));
            for line in table.lines() {
                assert!(line.chars().count() <= columns, "{columns}: {line}");
            }
            for end in ["2c0.mp4", "data.json", "fest.json"] {
                assert!(table.contains(end), "{columns}: {table}");
            }
        }
    }

    #[test]
    fn columns_are_dropped_in_order_and_only_if_the_table_does_not_fit() {
        let has = |columns, title| of(Some(columns)).lines().next().unwrap().contains(title);
        for columns in 30..=140 {
            assert!(has(columns, "compared"), "{columns}");
            assert!(
                has(columns, "bytes") || !has(columns, "CRC64NVME"),
                "{columns}"
            );
        }
        assert!(has(80, "CRC64NVME"));
        assert!(has(50, "bytes") && !has(50, "CRC64NVME"));
        assert!(!has(38, "bytes"));
    }

    #[test]
    fn the_table_of_a_file_is_complete() {
        let table = of(None);
        for key in KEYS {
            let (folder, name) = split(key);
            assert!(table.contains(folder) && table.contains(name), "{table}");
        }
        assert!(table.contains("CRC64NVME") && !table.contains('…'));
    }
}
