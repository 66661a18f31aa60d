//! A random sample of bounded size.

/// So many of the things that it was shown, each as likely as any other to be among them.
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
