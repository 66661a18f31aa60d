//! The events that were set aside under `rejected/`.

use acs_recording_archiver::documents::{SetAside, from_json};
use acs_recording_archiver::error_chain::error_chain;
use acs_recording_archiver::keys::{Bucket as At, Kind};
use acs_recording_archiver::store::Error;

use super::Scope;
use super::bucket::{Bucket, Document};
use super::folder::Observation;
use super::recordings::{Facts, Recording, State};
use super::report::{Entry, EntryKind};
use super::workers::Workers;

/// Lists the events set aside, with their reasons.
pub(crate) async fn list(bucket: &Bucket, scope: &Scope) -> Result<Vec<Observation>, Error> {
    let layout = &scope.layout;
    let mut workers = Workers::new();
    let mut entries = Vec::new();
    let mut listing = bucket.objects(layout.rejected().as_str(), None);
    while let Some(page) = listing.page().await? {
        for object in page {
            let place = layout.place(At::Recordings, &object.key);
            let kind = place.map(|place| place.kind);
            if kind != Some(Kind::SetAside) {
                entries.push(Observation::Entry(Entry::foreign(object.key)));
            } else if scope.window.has(object.last_modified) {
                workers.spawn(set_aside(bucket.clone(), object.key)).await;
            }
        }
    }
    entries.extend(workers.finish().await);
    Ok(entries)
}

async fn set_aside(bucket: Bucket, key: String) -> Vec<Observation> {
    let mut observations = Vec::new();
    let (kind, detail) = match bucket.read(&key).await {
        Ok(Document::There(bytes)) => {
            let reason = match from_json::<SetAside<'_>>(&bytes) {
                Ok(set_aside) => {
                    let facts = Facts::of(set_aside.event.get().as_bytes());
                    let mut recording = Recording::new(&key, State::SetAside, facts);
                    recording.findings = 1;
                    recording.reason = Some(set_aside.reason.to_string());
                    observations.push(Observation::Recording(Box::new(recording)));
                    set_aside.reason.into_owned()
                }
                Err(unreadable) => {
                    format!(
                        "for a reason that cannot be read: {}",
                        error_chain(&unreadable)
                    )
                }
            };
            (EntryKind::SetAside, reason)
        }
        Ok(Document::TooLong) => (
            EntryKind::SetAside,
            "for a reason that is too long to read".to_owned(),
        ),
        Ok(Document::Gone) => return vec![],
        Err(error) => (EntryKind::Unread, error_chain(&error)),
    };
    observations.push(Observation::Entry(Entry::new(kind, key, detail)));
    observations
}
