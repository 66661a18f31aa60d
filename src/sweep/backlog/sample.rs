//! A random sample of bounded size.

/// A uniform sample of at most `MOST` of the things that were added: reservoir sampling, algorithm
/// R,
/// <https://doi.org/10.1145/3147.3165>.
#[derive(Debug)]
pub(super) struct Sample<T, const MOST: usize> {
    pub(super) kept: Vec<T>,
    pub(super) seen: usize,
}

impl<T, const MOST: usize> Default for Sample<T, MOST> {
    fn default() -> Self {
        Self {
            kept: Vec::new(),
            seen: 0,
        }
    }
}

impl<T, const MOST: usize> Sample<T, MOST> {
    pub(super) fn add(&mut self, thing: T) {
        self.seen += 1;
        if self.kept.len() < MOST {
            self.kept.push(thing);
        } else if let Some(place) = self.kept.get_mut(fastrand::usize(..self.seen)) {
            *place = thing;
        }
    }
}
