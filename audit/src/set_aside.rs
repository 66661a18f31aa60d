//! Events that were set aside under `rejected/`.

use acs_recording_archiver::chain::chain;
use acs_recording_archiver::keys::{Bucket as At, Kind};
use acs_recording_archiver::manifest::{SetAside, from_json};
use acs_recording_archiver::store::Error;

use super::Scope;
use super::bucket::{Bucket, Document};
use super::crew::Crew;
use super::report::{Entry, What};

/// Lists them, with the reasons.
pub(crate) async fn list(bucket: &Bucket, scope: &Scope) -> Result<Vec<Entry>, Error> {
    let layout = &scope.layout;
    let mut crew = Crew::new();
    let mut entries = Vec::new();
    let mut listing = bucket.objects(layout.rejected().as_str(), None);
    while let Some(page) = listing.page().await? {
        for object in page {
            let place = layout.place(At::Recordings, &object.key);
            let kind = place.map(|place| place.kind);
            if kind != Some(Kind::SetAside) {
                entries.push(Entry::foreign(object.key));
            } else if scope.window.has(object.last_modified) {
                crew.begin(set_aside(bucket.clone(), object.key)).await;
            }
        }
    }
    entries.extend(crew.finish().await);
    Ok(entries)
}

async fn set_aside(bucket: Bucket, key: String) -> Vec<Entry> {
    let (what, detail) = match bucket.read(&key).await {
        Ok(Document::There(bytes)) => {
            let reason = match from_json::<SetAside<'_>>(&bytes) {
                Ok(set_aside) => set_aside.reason.into_owned(),
                Err(unreadable) => format!("for a reason that is lost: {}", chain(&unreadable)),
            };
            (What::SetAside, reason)
        }
        Ok(Document::TooLong) => (What::SetAside, "for a reason that is too long".to_owned()),
        Ok(Document::Gone) => return vec![],
        Err(error) => (What::Unread, chain(&error)),
    };
    vec![Entry::new(what, key, detail)]
}
