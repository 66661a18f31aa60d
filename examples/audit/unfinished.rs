//! What is under `pending/`: events, and the records of their uploads.

use std::collections::HashSet;
use std::time::SystemTime;

use acs_recording_archiver::chain::chain;
use acs_recording_archiver::event_grid;
use acs_recording_archiver::finality::EXPIRY;
use acs_recording_archiver::keys::{Kind, Prefix};
use acs_recording_archiver::store::{Error, Listed};
use serde::Deserialize;

use super::bucket::{Bucket, Document};
use super::crew::Crew;
use super::report::{Entry, Pending, What};

/// What is unfinished.
#[derive(Debug, Default)]
pub struct Unfinished {
    pub pending: Vec<Pending>,
    /// The keys of their media and metadata.
    pub copies: HashSet<String>,
    /// The uploads that records name.
    pub uploads: HashSet<String>,
    pub entries: Vec<Entry>,
}

/// What one object under `pending/` is.
enum Found {
    Event(Pending, Vec<String>),
    Upload(String),
    Entry(Entry),
}

/// What is needed of an upload's record.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    upload_id: String,
    #[serde(default)]
    replaced: Vec<String>,
}

impl Unfinished {
    /// Reads all of it.
    pub async fn read(bucket: &Bucket, prefix: &Prefix, now: SystemTime) -> Result<Self, Error> {
        let mut unfinished = Self::default();
        let (mut events, mut records) = (HashSet::new(), Vec::new());
        let mut crew = Crew::new();
        let mut listing = bucket.objects(prefix.pending().as_str(), None);
        while let Some(page) = listing.page().await? {
            for object in page {
                let key = object.key.clone();
                let (bucket, prefix) = (bucket.clone(), prefix.clone());
                match prefix.place(&key).map(|place| (place.kind, place.folder)) {
                    Some((Kind::PendingEvent { event_id, .. }, folder)) => {
                        events.insert(folder.to_owned());
                        let event_id = event_id.to_owned();
                        crew.begin(event(bucket, prefix, object, event_id, now))
                            .await;
                    }
                    Some((Kind::Record, folder)) => {
                        records.push((folder.to_owned(), object.key.clone()));
                        crew.begin(record(bucket, object.key)).await;
                    }
                    Some((Kind::Attempt, _)) => {}
                    _ => unfinished.entries.push(Entry::foreign(object.key)),
                }
            }
        }
        for found in crew.finish().await {
            match found {
                Found::Event(pending, copies) => {
                    unfinished.entries.extend(overdue(&pending));
                    unfinished.pending.push(pending);
                    unfinished.copies.extend(copies);
                }
                Found::Upload(upload_id) => {
                    unfinished.uploads.insert(upload_id);
                }
                Found::Entry(entry) => unfinished.entries.push(entry),
            }
        }
        let left_over = records.into_iter();
        let left_over = left_over.filter(|(folder, _)| !events.contains(folder));
        unfinished.entries.extend(left_over.map(|(_, key)| {
            let detail = "its event is no longer pending; the schedule clears it once its object is there or its upload is gone";
            Entry::new(What::LeftOver, key, detail)
        }));
        Ok(unfinished)
    }
}

async fn event(
    bucket: Bucket,
    prefix: Prefix,
    object: Listed,
    event_id: String,
    now: SystemTime,
) -> Vec<Found> {
    let key = object.key;
    let bytes = match bucket.read(&key).await {
        Ok(Document::There(bytes)) => bytes,
        Ok(Document::TooLong) => vec![],
        // Finished since it was listed.
        Ok(Document::Gone) => return vec![],
        Err(error) => return vec![unread(key, &error)],
    };
    let mut found = Vec::new();
    let (mut folder, mut time, mut copies) = (None, None, vec![]);
    match event_grid::recording(&bytes) {
        Ok(recording) => {
            let keys = prefix.keys(&recording);
            let manifest = keys.manifest();
            let place = prefix.place(manifest.as_str());
            folder = place.map(|place| place.folder.to_owned());
            time = recording.time();
            for chunk in &recording.chunks {
                let chunk = [keys.media(chunk), keys.metadata(chunk)];
                copies.extend(chunk.iter().map(ToString::to_string));
            }
        }
        Err(reason) => {
            let entry = Entry::new(What::NotUnderstood, &key, reason.to_string());
            found.push(Found::Entry(entry));
        }
    }
    let stored = object
        .last_modified
        .and_then(|at| now.duration_since(at).ok());
    let age = time.map_or(stored.unwrap_or_default(), |time| time.age(now));
    let pending = Pending {
        key,
        event_id,
        folder,
        age_seconds: age.as_secs(),
        seconds_left: EXPIRY.saturating_sub(age).as_secs(),
    };
    found.push(Found::Event(pending, copies));
    found
}

async fn record(bucket: Bucket, key: String) -> Vec<Found> {
    let bytes = match bucket.read(&key).await {
        Ok(Document::There(bytes)) => bytes,
        Ok(Document::TooLong) => vec![],
        Ok(Document::Gone) => return vec![],
        Err(error) => return vec![unread(key, &error)],
    };
    match serde_json::from_slice::<Record>(&bytes) {
        Ok(record) => {
            let uploads = record.replaced.into_iter().chain([record.upload_id]);
            uploads.map(Found::Upload).collect()
        }
        Err(error) => {
            let detail = format!("is no record of an upload: {error}");
            vec![Found::Entry(Entry::new(What::Unreadable, key, detail))]
        }
    }
}

fn unread(key: String, error: &Error) -> Found {
    Found::Entry(Entry::new(What::Unread, key, chain(error)))
}

fn overdue(pending: &Pending) -> Option<Entry> {
    let overdue = pending.age_seconds >= EXPIRY.as_secs();
    overdue.then(|| {
        let detail = "is pending past the 24 hours that ACS keeps the source";
        Entry::new(What::Overdue, &pending.key, detail)
    })
}
