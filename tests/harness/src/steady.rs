//! A clock that stands still while the process waits for a processor.
//!
//! The tests scale time down: a deadline or a stall limit is a second or two. On a busy machine the
//! process may not run for that long, and the limit would pass without any work. Therefore a task
//! of the test's runtime moves the clock of the test, its function and its emulators in small
//! steps, after all ready tasks have run. On an idle machine the clock keeps real time.

use std::cell::Cell;
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::{Handle, Id, RuntimeFlavor};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::{advance, pause};

/// The real time between two moves of the clock.
const BEAT: Duration = Duration::from_millis(1);
/// The longest move of the clock.
const MOST: Duration = Duration::from_millis(2);

thread_local! {
    static STEADY: Cell<Option<Id>> = const { Cell::new(None) };
}

/// Makes the clock of this runtime steady. A runtime of several threads keeps its clock.
pub fn steady() {
    let runtime = Handle::current();
    if runtime.runtime_flavor() != RuntimeFlavor::CurrentThread
        || STEADY.replace(Some(runtime.id())) == Some(runtime.id())
    {
        return;
    }
    pause();
    let (beat, mut beats) = mpsc::channel(1);
    // Tokio moves a paused clock by itself whenever no task is ready, even if bytes are on their
    // way between two sockets, but not while a blocking task runs.
    spawn_blocking(move || {
        while beat.blocking_send(()).is_ok() {
            thread::sleep(BEAT);
        }
    });
    tokio::spawn(async move {
        let mut moved = Instant::now();
        while beats.recv().await.is_some() {
            let now = Instant::now();
            advance((now - moved).min(MOST)).await;
            moved = now;
        }
    });
}

#[tokio::test]
async fn time_stops_while_the_process_does_not_run() {
    steady();
    let begun = tokio::time::Instant::now();
    thread::sleep(Duration::from_millis(300));
    tokio::task::yield_now().await;
    let passed = begun.elapsed();
    assert!(passed < Duration::from_millis(100), "{passed:?}");
}

#[tokio::test]
async fn time_passes_while_the_process_waits() {
    steady();
    steady();
    let (real, begun) = (Instant::now(), tokio::time::Instant::now());
    tokio::time::sleep(Duration::from_millis(50)).await;
    let (passed, real) = (begun.elapsed(), real.elapsed());
    assert!(passed >= Duration::from_millis(50), "{passed:?}");
    assert!(passed <= real + MOST, "{passed:?} in {real:?}");
}
