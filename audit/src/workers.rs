//! Tasks that run at the same time and give their results in the order of their start.

use std::collections::BTreeMap;
use std::panic::resume_unwind;

use tokio::task::JoinSet;

/// The limit of running tasks. A semaphore of the bucket limits their calls to S3.
const MOST: usize = 32;
/// The limit of results that are held back until an earlier task ends.
const WAITING: usize = 256;

/// Running tasks, and the results that were not taken yet.
#[derive(Debug)]
pub(crate) struct Workers<T> {
    running: JoinSet<(u64, Vec<T>)>,
    spawned: u64,
    /// The results by the number of their task.
    ended: BTreeMap<u64, Vec<T>>,
    /// The number of the task whose result is taken next.
    next: u64,
}

impl<T: Send + 'static> Workers<T> {
    pub(crate) fn new() -> Self {
        Self {
            running: JoinSet::new(),
            spawned: 0,
            ended: BTreeMap::new(),
            next: 0,
        }
    }

    /// Starts a task, once the number of running tasks and of held results allows it.
    pub(crate) async fn spawn(&mut self, work: impl Future<Output = Vec<T>> + Send + 'static) {
        // The report and the page are written in the order of the listing, so one slow folder holds
        // back the results of all later folders. The second bound keeps that memory constant.
        while self.running.len() >= MOST || self.ended.len() >= WAITING && self.blocked() {
            self.join().await;
        }
        let number = self.spawned;
        self.spawned += 1;
        self.running.spawn(async move { (number, work.await) });
    }

    /// Takes the results that are new since the last call, up to the first task that still runs.
    pub(crate) fn take(&mut self) -> Vec<T> {
        let mut results = Vec::new();
        while let Some(next) = self.ended.remove(&self.next) {
            self.next += 1;
            results.extend(next);
        }
        results
    }

    /// Waits for all tasks, and takes the remaining results.
    pub(crate) async fn finish(mut self) -> Vec<T> {
        while !self.running.is_empty() {
            self.join().await;
        }
        self.take()
    }

    /// Returns `true` if a running task holds back the results of later tasks.
    fn blocked(&self) -> bool {
        !self.running.is_empty() && !self.ended.contains_key(&self.next)
    }

    async fn join(&mut self) {
        match self.running.join_next().await {
            Some(Ok((number, results))) => {
                self.ended.insert(number, results);
            }
            Some(Err(error)) if error.is_panic() => resume_unwind(error.into_panic()),
            // No task is ever cancelled.
            Some(Err(_)) | None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn results_keep_the_order_of_their_tasks() {
        let mut workers = Workers::new();
        let (open, opened) = tokio::sync::oneshot::channel::<()>();
        workers
            .spawn(async move {
                opened.await.unwrap();
                vec![0]
            })
            .await;
        for number in 1..100 {
            workers.spawn(async move { vec![number] }).await;
        }
        assert!(workers.take().is_empty(), "the first task still runs");
        open.send(()).unwrap();
        let expected: Vec<u64> = (0..100).collect();
        assert_eq!(workers.finish().await, expected);
    }
}
