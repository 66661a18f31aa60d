//! Ctrl-C: it ends what is served, and otherwise the process.

use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::signal::ctrl_c;
use tokio::sync::Notify;

/// As a shell has it for a process that the signal ended.
const INTERRUPTED: i32 = 130;

/// The reaction to Ctrl-C.
#[derive(Debug, Default)]
pub struct CtrlC {
    /// Somebody waits for it.
    awaited: AtomicBool,
    asked: Notify,
}

impl CtrlC {
    /// Reacts to Ctrl-C from now on.
    pub fn watch() -> Arc<Self> {
        let ending = Arc::new(Self::default());
        let watching = Arc::clone(&ending);
        tokio::spawn(async move {
            while ctrl_c().await.is_ok() {
                if watching.awaited.swap(false, Ordering::Relaxed) {
                    watching.asked.notify_one();
                } else {
                    eprintln!(
                        "\nInterrupted: no archive was written; one of an earlier run is as it was."
                    );
                    process::exit(INTERRUPTED);
                }
            }
        });
        ending
    }

    /// Waits for Ctrl-C, which ends nothing else meanwhile.
    pub async fn asked(&self) {
        self.awaited.store(true, Ordering::Relaxed);
        self.asked.notified().await;
        eprintln!("\nEnded by Ctrl-C; what arrived is checked.");
    }
}
