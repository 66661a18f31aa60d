//! Ctrl-C, which ends `--serve` and otherwise the process.

use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::signal;
use tokio::sync::Notify;

/// The exit status by which shells report a process that SIGINT ended.
///
/// <https://www.gnu.org/software/bash/manual/html_node/Exit-Status.html>
const INTERRUPTED: i32 = 130;

/// The reaction to Ctrl-C.
#[derive(Debug, Default)]
pub(crate) struct CtrlC {
    /// `true` while [`Self::pressed`] is awaited.
    awaited: AtomicBool,
    pressed: Notify,
}

impl CtrlC {
    /// Reacts to Ctrl-C from now on.
    pub(crate) fn watch() -> Arc<Self> {
        let ctrl_c = Arc::new(Self::default());
        let watching = Arc::clone(&ctrl_c);
        tokio::spawn(async move {
            while signal::ctrl_c().await.is_ok() {
                if watching.awaited.swap(false, Ordering::Relaxed) {
                    watching.pressed.notify_one();
                } else {
                    eprintln!(
                        "\nInterrupted: no archive is written; that of an earlier run is unchanged."
                    );
                    process::exit(INTERRUPTED);
                }
            }
        });
        ctrl_c
    }

    /// Waits for Ctrl-C, which does not end the process meanwhile.
    pub(crate) async fn pressed(&self) {
        self.awaited.store(true, Ordering::Relaxed);
        self.pressed.notified().await;
        eprintln!("\nCtrl-C: no more deliveries. The objects are compared.");
    }
}
