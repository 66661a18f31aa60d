//! Work on many things, several at a time, its results in the order in which it was begun.

use std::collections::BTreeMap;
use std::panic::resume_unwind;

use tokio::task::JoinSet;

/// Tasks at the same time. Their calls to S3 are bounded on their own.
const MOST: usize = 32;
/// Results that wait for one that was begun before them. More tasks are not begun then.
const WAITING: usize = 256;

/// Tasks, and what they have had to say so far.
#[derive(Debug)]
pub(crate) struct Crew<T> {
    running: JoinSet<(u64, Vec<T>)>,
    begun: u64,
    /// Results by the number of their task.
    ended: BTreeMap<u64, Vec<T>>,
    /// The task whose result is next.
    next: u64,
}

impl<T: Send + 'static> Crew<T> {
    pub(crate) fn new() -> Self {
        Self {
            running: JoinSet::new(),
            begun: 0,
            ended: BTreeMap::new(),
            next: 0,
        }
    }

    /// Begins another task, when others have ended if they are many.
    pub(crate) async fn begin(&mut self, work: impl Future<Output = Vec<T>> + Send + 'static) {
        while self.running.len() >= MOST || self.ended.len() >= WAITING && self.blocked() {
            self.join().await;
        }
        let number = self.begun;
        self.begun += 1;
        self.running.spawn(async move { (number, work.await) });
    }

    /// Takes what has been said since the last time, up to the first task that is still at work.
    pub(crate) fn take(&mut self) -> Vec<T> {
        let mut said = Vec::new();
        while let Some(next) = self.ended.remove(&self.next) {
            self.next += 1;
            said.extend(next);
        }
        said
    }

    /// Waits for all tasks, and takes what has been said.
    pub(crate) async fn finish(mut self) -> Vec<T> {
        while !self.running.is_empty() {
            self.join().await;
        }
        self.take()
    }

    /// Returns `true` if results wait for a task that is still at work.
    fn blocked(&self) -> bool {
        !self.running.is_empty() && !self.ended.contains_key(&self.next)
    }

    async fn join(&mut self) {
        match self.running.join_next().await {
            Some(Ok((number, said))) => {
                self.ended.insert(number, said);
            }
            Some(Err(error)) if error.is_panic() => resume_unwind(error.into_panic()),
            // Nobody cancels a task.
            Some(Err(_)) | None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn results_keep_the_order_of_their_tasks() {
        let mut crew = Crew::new();
        let (open, opened) = tokio::sync::oneshot::channel::<()>();
        crew.begin(async move {
            opened.await.unwrap();
            vec![0]
        })
        .await;
        for number in 1..100 {
            crew.begin(async move { vec![number] }).await;
        }
        assert!(crew.take().is_empty(), "the first is still at work");
        open.send(()).unwrap();
        let expected: Vec<u64> = (0..100).collect();
        assert_eq!(crew.finish().await, expected);
    }
}
