//! Work on many things, several at a time.

use std::panic::resume_unwind;

use tokio::task::JoinSet;

/// Tasks at the same time. Their calls to S3 are bounded on their own.
const MOST: usize = 32;

/// Tasks, and what they have had to say so far.
#[derive(Debug)]
pub(crate) struct Crew<T> {
    running: JoinSet<Vec<T>>,
    said: Vec<T>,
}

impl<T: Send + 'static> Crew<T> {
    pub(crate) fn new() -> Self {
        Self {
            running: JoinSet::new(),
            said: vec![],
        }
    }

    /// Begins another task, when one of the others has ended if they are many.
    pub(crate) async fn begin(&mut self, work: impl Future<Output = Vec<T>> + Send + 'static) {
        while self.running.len() >= MOST {
            self.join().await;
        }
        self.running.spawn(work);
    }

    /// Takes what has been said since the last time.
    pub(crate) fn take(&mut self) -> Vec<T> {
        std::mem::take(&mut self.said)
    }

    /// Waits for all tasks, and takes what has been said.
    pub(crate) async fn finish(mut self) -> Vec<T> {
        while !self.running.is_empty() {
            self.join().await;
        }
        self.said
    }

    async fn join(&mut self) {
        match self.running.join_next().await {
            Some(Ok(said)) => self.said.extend(said),
            Some(Err(error)) if error.is_panic() => resume_unwind(error.into_panic()),
            // Nobody cancels a task.
            Some(Err(_)) | None => {}
        }
    }
}
