//! The examination of archived media, before the manifest. The manifest is written whatever the
//! examination finds, or however it fails: the archive keeps everything that ACS has sent.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{timeout, timeout_at};
use tracing::Instrument as _;

use super::copied::Chunks;
use super::work::Work;
use crate::error_chain::error_chain;
use crate::keys::Key;
use crate::media::Check;
use crate::recording::Format;
use crate::store::Store;

impl Work<'_> {
    /// Examines the media of a recording all of whose objects are archived, until the deadline of
    /// the run.
    pub(super) async fn check_media(self, chunks: &mut Chunks) {
        if chunks.failures().next().is_some() {
            return;
        }
        let (archive, deadline) = (self.archive, self.deadline());
        let mut checking = JoinSet::new();
        for (place, copied) in chunks.copied.iter_mut().enumerate() {
            let Ok(object) = &copied.media.result else {
                continue;
            };
            // The result if the examination panics: its task then ends without a result.
            copied.check = Some(Check::failed("examination ended without a result"));
            let one = MediaCheck {
                store: archive.store.clone(),
                key: copied.media.key.clone(),
                size: object.size,
                etag: object.etag.clone(),
                format: self.event.recorded.recording.format,
                at_once: Arc::clone(&archive.checks),
                timeout: archive.limits.media_check,
            };
            let check = async move {
                let check = timeout_at(deadline, one.run()).await;
                (
                    place,
                    check.unwrap_or_else(|_| Check::failed("out of time")),
                )
            };
            checking.spawn(check.in_current_span());
        }
        while let Some(checked) = checking.join_next().await {
            if let Ok((place, check)) = checked
                && let Some(copied) = chunks.copied.get_mut(place)
            {
                copied.check = Some(check);
            }
        }
    }
}

/// The examination of one media object in S3.
struct MediaCheck {
    store: Store,
    key: Key,
    size: u64,
    etag: String,
    format: Format,
    at_once: Arc<Semaphore>,
    timeout: Duration,
}

impl MediaCheck {
    async fn run(self) -> Check {
        // The semaphore is never closed.
        let _permit = self.at_once.acquire().await.ok();
        let examination = self
            .store
            .examine(&self.key, self.size, &self.etag, self.format);
        match timeout(self.timeout, examination).await {
            Ok(Ok(check)) => check,
            Ok(Err(error)) => Check::failed(error_chain(&error)),
            Err(_) => {
                let seconds = self.timeout.as_secs_f32();
                Check::failed(format!("examination took longer than {seconds} s"))
            }
        }
    }
}
