//! A clock that stands still while the process waits for a processor.
//!
//! The tests scale time down: a deadline or a stall is a second or two. On a busy machine the
//! process may not run for that long, and then such a limit would pass with nothing done under it.
//! So the clock of a test's runtime, which is that of its function and of its emulators, is moved
//! by a task of the same runtime: a little at a time, and only after whatever was ready had its
//! turn. On an idle machine it keeps up with the time of day.

use std::cell::Cell;
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::{Handle, Id, RuntimeFlavor};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::{advance, pause};

/// The real time between two moves of the clock.
const BEAT: Duration = Duration::from_millis(1);
/// The furthest that one move takes the clock.
const MOST: Duration = Duration::from_millis(2);

thread_local! {
    static STEADY: Cell<Option<Id>> = const { Cell::new(None) };
}

/// Makes the clock of this runtime a steady one, unless it is, or the runtime has more threads than
/// this one.
pub fn steady() {
    let runtime = Handle::current();
    if runtime.runtime_flavor() != RuntimeFlavor::CurrentThread
        || STEADY.replace(Some(runtime.id())) == Some(runtime.id())
    {
        return;
    }
    pause();
    let (beat, mut beats) = mpsc::channel(1);
    // Tokio moves a paused clock by itself whenever nothing is ready, even if bytes are under way
    // between two sockets; but not while a blocking task runs.
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
async fn time_does_not_pass_while_the_process_does_not_run() {
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
