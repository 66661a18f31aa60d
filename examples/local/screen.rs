//! The terminal: lines on the standard output, and below them bars on the error output.

use std::env;
use std::fmt::Display;
use std::io::{Error, ErrorKind, Write as _, stdout};
use std::sync::{LazyLock, OnceLock};

use console::Term;
use indicatif::{MultiProgress, ProgressDrawTarget};

static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);
static LOST: OnceLock<Error> = OnceLock::new();

/// The bars of all deliveries in progress, which are drawn only if the error output is a terminal.
pub(crate) fn bars() -> &'static MultiProgress {
    &BARS
}

/// Hides the bars from now on.
pub(crate) fn hide_bars() {
    BARS.set_draw_target(ProgressDrawTarget::hidden());
}

/// Prints a line above the bars. A failed write is returned by [`lost`], unless a pipe was closed:
/// its reader, such as `head`, has read enough.
pub(crate) fn print(line: impl Display) {
    let said = BARS.suspend(|| writeln!(stdout(), "{line}"));
    if let Err(error) = said
        && error.kind() != ErrorKind::BrokenPipe
    {
        // Only the first failure is reported.
        let _ = LOST.set(error);
    }
}

/// The error of the first line that could not be printed.
pub(crate) fn lost() -> Option<&'static Error> {
    LOST.get()
}

/// The columns of the output: the variable `COLUMNS`, or those of the terminal. `None`, no limit,
/// for a file or a pipe.
pub(crate) fn columns() -> Option<usize> {
    #[expect(clippy::disallowed_methods, reason = "no setting of the function")]
    let told = env::var("COLUMNS").ok();
    let told = told.and_then(|columns| columns.parse().ok());
    let of_terminal = || Some(Term::stdout().size_checked()?.1.into());
    told.filter(|columns| *columns > 0).or_else(of_terminal)
}

/// Shortens a text to at most `most` characters, in the middle: keys differ mostly at their ends.
pub(crate) fn shortened(text: &str, most: usize) -> String {
    let length = text.chars().count();
    if length <= most {
        return text.to_owned();
    }
    let kept = most.saturating_sub(1);
    let start = kept / 3;
    let end = length - (kept - start);
    let start = text.chars().take(start);
    let end = text.chars().skip(end);
    start.chain(['…']).chain(end).collect()
}

/// Breaks a line between words into lines of at most `most` characters and indents the later ones.
pub(crate) fn folded(line: &str, most: Option<usize>) -> String {
    let indent = line.len() - line.trim_start().len();
    let mut text = " ".repeat(indent);
    let mut used = indent;
    for word in line.trim_start().split_inclusive(' ') {
        let length = word.trim_end().chars().count();
        if used > indent && most.is_some_and(|most| used + length > most) {
            text.truncate(text.trim_end().len());
            text += "\n";
            text += &" ".repeat(indent + 2);
            used = indent + 2;
        }
        text += word;
        used += word.chars().count();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shortened_in_the_middle() {
        let name = "0000-0-eus-d12-a9db0801b561cf33-4c6f332c6af01bc5.mp4";
        for most in 1..60 {
            let short = shortened(name, most);
            assert_eq!(short.chars().count(), most.min(name.len()), "{short}");
        }
        assert_eq!(shortened(name, 20), "0000-0…c6af01bc5.mp4");
        assert_eq!(shortened(name, 52), name);
    }

    #[test]
    fn lines_are_folded_between_words() {
        let line = "    chunk 0: kept 4, fetched only the other 5, 72.00 MiB";
        assert_eq!(folded(line, None), line);
        assert_eq!(folded(line, Some(80)), line);
        assert_eq!(
            folded(line, Some(40)),
            "    chunk 0: kept 4, fetched only the\n      other 5, 72.00 MiB"
        );
        // A word that is too long is alone on a line.
        assert_eq!(
            folded("a http://127.0.0.1/", Some(9)),
            "a\n  http://127.0.0.1/"
        );
    }
}
