//! The archive as a folder of files.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use crate::check::Row;

/// The parent of the default folder.
pub(crate) const TARGET: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target");
const NAME: &str = "local-archive";

/// The folder that the archive goes to.
#[derive(Debug)]
pub(crate) struct Folder {
    place: PathBuf,
    /// `true` for the default folder, whose archive is replaced.
    replaces: bool,
}

impl Folder {
    /// The folder `out`, which must be new or empty, or the default folder. A folder that cannot be
    /// written to fails here, before the run.
    pub(crate) fn new(out: Option<&Path>) -> Result<Self, String> {
        let Some(out) = out else {
            let target = Path::new(TARGET);
            probe(target)?;
            return Ok(Self {
                place: target.join(NAME),
                replaces: true,
            });
        };
        let taken = match fs::read_dir(out) {
            Ok(mut entries) => entries.next().is_some(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(named(out)(error)),
        };
        if taken {
            let out = out.display();
            return Err(format!(
                "{out} is not empty; --out takes a new or empty folder"
            ));
        }
        probe(out)?;
        Ok(Self {
            place: out.to_owned(),
            replaces: false,
        })
    }

    /// Writes each object to a file named by its key. The archive of an earlier run stays until the
    /// new one is complete.
    pub(crate) fn write(&self, rows: &[Row]) -> Result<(), String> {
        if !self.replaces {
            return write(&self.place, rows);
        }
        let target = Path::new(TARGET);
        // Written to another folder and renamed, so that a failure leaves the earlier archive
        // complete.
        let aside = tempfile::Builder::new().prefix(NAME).tempdir_in(target);
        let aside = aside.map_err(named(target))?;
        let written = aside.path().join(NAME);
        write(&written, rows)?;
        match fs::remove_dir_all(&self.place) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(named(&self.place)(error));
            }
            _ => {}
        }
        fs::rename(&written, &self.place).map_err(named(&self.place))
    }

    /// The folder for display, relative to the current directory if it is below.
    pub(crate) fn shown(&self) -> String {
        shown(&self.place)
    }
}

/// A path for display, relative to the current directory if it is below.
pub(crate) fn shown(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here)
        .unwrap_or(path)
        .display()
        .to_string()
}

/// Creates a folder and checks that a file can be written to it.
fn probe(folder: &Path) -> Result<(), String> {
    let unusable = |error: io::Error| format!("{} cannot be written to: {error}", folder.display());
    fs::create_dir_all(folder).map_err(unusable)?;
    tempfile::tempfile_in(folder).map(drop).map_err(unusable)
}

fn write(folder: &Path, rows: &[Row]) -> Result<(), String> {
    fs::create_dir_all(folder).map_err(named(folder))?;
    for row in rows {
        let key = Path::new(&row.key);
        let inside = |part| matches!(part, Component::Normal(_));
        if !key.components().all(inside) {
            return Err(format!("{} is not a valid file name", row.key));
        }
        let file = folder.join(key);
        let parent = file.parent().unwrap_or(folder);
        fs::create_dir_all(parent).map_err(named(parent))?;
        fs::write(&file, &row.object.body).map_err(named(&file))?;
    }
    Ok(())
}

fn named(path: &Path) -> impl Fn(io::Error) -> String {
    move |error| format!("{}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use emulators::s3::Object;

    use super::*;

    fn row(key: &str) -> Row {
        Row {
            key: key.to_owned(),
            object: Object::new("bytes"),
            verdict: "verified",
        }
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_refused_before_the_run() {
        let here = tempfile::tempdir().unwrap();
        let file = here.path().join("file");
        fs::write(&file, "").unwrap();
        for (out, said) in [
            (here.path().to_owned(), "is not empty"),
            (file.clone(), "file: "),
            (file.join("below"), "file/below: "),
            (PathBuf::from("/proc/below"), "cannot be written to"),
        ] {
            let fault = Folder::new(Some(&out)).unwrap_err();
            assert!(fault.contains(said), "{fault}");
        }
    }

    #[test]
    fn objects_are_written_to_files_named_by_their_keys() {
        let here = tempfile::tempdir().unwrap();
        let out = here.path().join("new/folder");
        let folder = Folder::new(Some(&out)).unwrap();
        folder.write(&[row("a/b/c.mp4")]).unwrap();
        assert_eq!(fs::read(out.join("a/b/c.mp4")).unwrap(), b"bytes");
        assert!(folder.write(&[row("../d")]).is_err());
    }
}
