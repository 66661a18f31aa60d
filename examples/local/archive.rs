//! The archive as a folder to look at.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use crate::check::Row;

/// Where the archive goes unless told otherwise.
const DEFAULT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/local-archive");

/// The folder that will be written to: the default one emptied, any other only if nothing is in it.
pub fn folder(out: Option<&Path>) -> Result<PathBuf, String> {
    let Some(out) = out else {
        let default = PathBuf::from(DEFAULT);
        return match fs::remove_dir_all(&default) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(named(&default)(error)),
            _ => Ok(default),
        };
    };
    let entries = match fs::read_dir(out) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(named(out)(error)),
    };
    if entries {
        let out = out.display();
        return Err(format!(
            "{out} is not empty; --out wants a new or an empty folder"
        ));
    }
    Ok(out.to_owned())
}

/// Writes every object, by its key.
pub fn write(folder: &Path, rows: &[Row]) -> Result<(), String> {
    fs::create_dir_all(folder).map_err(named(folder))?;
    for row in rows {
        let key = Path::new(&row.key);
        let inside = |part| matches!(part, Component::Normal(_));
        if !key.components().all(inside) {
            return Err(format!("{} cannot be a file's name", row.key));
        }
        let file = folder.join(key);
        let parent = file.parent().unwrap_or(folder);
        fs::create_dir_all(parent).map_err(named(parent))?;
        fs::write(&file, &row.object.body).map_err(named(&file))?;
    }
    Ok(())
}

/// A folder as it is shown: from here, if it is below.
pub fn shown(folder: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    let shown = folder.strip_prefix(here).unwrap_or(folder);
    shown.display().to_string()
}

fn named(path: &Path) -> impl Fn(io::Error) -> String {
    move |error| format!("{}: {error}", path.display())
}
