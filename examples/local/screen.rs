//! The terminal: lines on the standard output, and bars on the error output below them.

use std::env;
use std::fmt::Display;
use std::io::{Error, ErrorKind, Write as _, stdout};
use std::sync::{LazyLock, OnceLock};

use console::Term;
use indicatif::{MultiProgress, ProgressDrawTarget};

static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);
static LOST: OnceLock<Error> = OnceLock::new();

/// The bars of all deliveries that are under way; nothing where the error output is no terminal.
pub fn bars() -> &'static MultiProgress {
    &BARS
}

/// Draws no bars from now on.
pub fn hide_bars() {
    BARS.set_draw_target(ProgressDrawTarget::hidden());
}

/// Prints a line, above the bars. A reader that has gone away has seen enough; what else fails is
/// kept for [`lost`].
pub fn print(line: impl Display) {
    let said = BARS.suspend(|| writeln!(stdout(), "{line}"));
    if let Err(error) = said
        && error.kind() != ErrorKind::BrokenPipe
    {
        // The first failure is the one to tell of.
        let _ = LOST.set(error);
    }
}

/// The failure that lines were lost by, if any were.
pub fn lost() -> Option<&'static Error> {
    LOST.get()
}

/// Columns that a line of the output may have: those of `COLUMNS` or of the terminal; `None` for a
/// file or a pipe, where lines may have any length.
pub fn columns() -> Option<usize> {
    #[expect(clippy::disallowed_methods, reason = "no setting of the function")]
    let told = env::var("COLUMNS").ok();
    let told = told.and_then(|columns| columns.parse().ok());
    let of_terminal = || Some(Term::stdout().size_checked()?.1.into());
    told.filter(|columns| *columns > 0).or_else(of_terminal)
}

/// A text of at most so many characters, shortened in the middle: names differ at their ends most.
pub fn shortened(text: &str, most: usize) -> String {
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

/// A line of words as lines of at most so many characters, the later ones further to the right.
pub fn folded(line: &str, most: Option<usize>) -> String {
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
        // A word that is too long has a line of its own.
        assert_eq!(
            folded("a http://127.0.0.1/", Some(9)),
            "a\n  http://127.0.0.1/"
        );
    }
}
