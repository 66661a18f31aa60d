//! The objects under `pending/`: pending events, and the records of their uploads.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use acs_recording_archiver::error_chain::error_chain;
use acs_recording_archiver::event_grid;
use acs_recording_archiver::finality::EXPIRY;
use acs_recording_archiver::keys::{Bucket as At, Kind, Layout, RecordingKeys};
use acs_recording_archiver::recording::Chunk;
use acs_recording_archiver::store::{Error, Listed};
use serde::Deserialize;

use super::bucket::{Bucket, Document};
use super::recordings::{Facts, Recording, State};
use super::report::{Entry, EntryKind, Pending};
use super::workers::Workers;

/// The tolerance for clocks that differ: an event's time is from ACS's clock, `now` from this
/// machine's.
const SKEW: Duration = Duration::from_mins(5);

/// The unfinished work of the function.
#[derive(Debug, Default)]
pub(crate) struct Unfinished {
    pub(crate) pending: Vec<Pending>,
    pub(crate) copies: Copies,
    /// The ids of the uploads that records name.
    pub(crate) uploads: HashSet<String>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) recordings: Vec<Recording>,
}

/// The keys of the media and metadata of pending events.
#[derive(Debug, Default)]
pub(crate) struct Copies {
    keys: HashSet<String>,
    /// The beginnings of keys up to the location. An event without a location takes it from the ACS
    /// resource, which the audit does not know.
    stems: HashSet<String>,
}

impl Copies {
    /// Adds the keys of a chunk in a recording's `folder`.
    fn add(&mut self, keys: &RecordingKeys, folder: &str, chunk: &Chunk) {
        for (location, key) in [
            (&chunk.content_location, keys.media(chunk)),
            (&chunk.metadata_location, keys.metadata(chunk)),
        ] {
            if location.is_some() {
                self.keys.insert(key.to_string());
            } else {
                self.stems
                    .insert(stem(folder, chunk.index, &chunk.key_id()));
            }
        }
    }

    /// Returns `true` if a key is of a pending event.
    pub(crate) fn contain(&self, layout: &Layout, key: &str) -> bool {
        let stem = || {
            let place = layout.place(At::Recordings, key)?;
            match place.kind {
                Kind::Media(name) | Kind::Metadata(name) => {
                    Some(stem(place.folder, name.index, name.document_id))
                }
                _ => None,
            }
        };
        self.keys.contains(key) || stem().is_some_and(|stem| self.stems.contains(&stem))
    }

    fn extend(&mut self, other: Self) {
        self.keys.extend(other.keys);
        self.stems.extend(other.stems);
    }
}

fn stem(folder: &str, index: u64, document_id: &str) -> String {
    format!("{folder}{index:04}-{document_id}-")
}

/// A result of reading an object under `pending/`.
enum Found {
    Event(Pending, Copies, Box<Recording>),
    Upload(String),
    Entry(Entry),
}

/// The members of a record that the audit needs.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    upload_id: String,
    #[serde(default)]
    replaced: Vec<String>,
}

impl Unfinished {
    /// Reads all objects under `pending/`.
    pub(crate) async fn read(
        bucket: &Bucket,
        layout: &Layout,
        now: SystemTime,
    ) -> Result<Self, Error> {
        let mut unfinished = Self::default();
        let (mut events, mut records) = (HashSet::new(), Vec::new());
        let mut workers = Workers::new();
        let mut listing = bucket.objects(layout.pending().as_str(), None);
        while let Some(page) = listing.page().await? {
            for object in page {
                let key = object.key.clone();
                let (bucket, layout) = (bucket.clone(), layout.clone());
                let place = layout.place(At::Work, &key);
                match place.map(|place| (place.kind, place.folder)) {
                    Some((Kind::PendingEvent { event_id, .. }, folder)) => {
                        events.insert(folder.to_owned());
                        let event_id = event_id.to_owned();
                        workers
                            .spawn(event(bucket, layout, object, event_id, now))
                            .await;
                    }
                    Some((Kind::Record(_), folder)) => {
                        records.push((folder.to_owned(), object.key.clone()));
                        workers.spawn(record(bucket, object.key)).await;
                    }
                    Some((Kind::Attempt, _)) => {}
                    _ => unfinished.entries.push(Entry::foreign(object.key)),
                }
            }
        }
        for found in workers.finish().await {
            match found {
                Found::Event(pending, copies, recording) => {
                    unfinished.recordings.push(*recording);
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
            let detail = "its event is no longer pending; the schedule deletes the record once the \
                          object exists or the upload is gone";
            Entry::new(EntryKind::LeftOver, key, detail)
        }));
        Ok(unfinished)
    }
}

async fn event(
    bucket: Bucket,
    layout: Layout,
    object: Listed,
    event_id: String,
    now: SystemTime,
) -> Vec<Found> {
    let key = object.key;
    let bytes = match bucket.read(&key).await {
        Ok(Document::There(bytes)) => bytes,
        Ok(Document::TooLong) => vec![],
        // The event was finished after the listing.
        Ok(Document::Gone) => return vec![],
        Err(error) => return vec![unread(key, &error)],
    };
    let mut found = Vec::new();
    let (mut folder, mut time, mut copies) = (None, None, Copies::default());
    match event_grid::recording(&bytes) {
        Ok(recording) => {
            let keys = layout.keys(&recording);
            let archive = keys.manifest().beside("").to_string();
            time = recording.time();
            for chunk in &recording.chunks {
                copies.add(&keys, &archive, chunk);
            }
            folder = Some(archive);
        }
        Err(reason) => {
            let entry = Entry::new(EntryKind::NotUnderstood, &key, reason.to_string());
            found.push(Found::Entry(entry));
        }
    }
    let stored = object
        .last_modified
        .and_then(|at| now.duration_since(at).ok());
    // The age of an event of the future begins when it was stored, as in the function: a forged
    // time must not keep the event from becoming overdue.
    let told = time.map(|time| time.age(now)).filter(|age| !age.is_zero());
    let age = told.or(stored).unwrap_or_default();
    if let Some(ahead) = time.and_then(|time| time.until(now + SKEW).is_none().then_some(time)) {
        let detail = format!("is dated {}, which is in the future", ahead.compact());
        let entry = Entry::new(EntryKind::Postdated, &key, detail);
        found.push(Found::Entry(entry));
    }
    let mut recording = Recording::new(&key, State::Pending, Facts::of(&bytes));
    recording.seconds_left = Some(EXPIRY.saturating_sub(age).as_secs());
    let pending = Pending {
        key,
        event_id,
        folder,
        age_seconds: age.as_secs(),
        seconds_left: EXPIRY.saturating_sub(age).as_secs(),
    };
    found.push(Found::Event(pending, copies, Box::new(recording)));
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
            let detail = format!("is not a record of an upload: {error}");
            vec![Found::Entry(Entry::new(EntryKind::Unreadable, key, detail))]
        }
    }
}

fn unread(key: String, error: &Error) -> Found {
    Found::Entry(Entry::new(EntryKind::Unread, key, error_chain(error)))
}

fn overdue(pending: &Pending) -> Option<Entry> {
    let overdue = pending.age_seconds >= EXPIRY.as_secs();
    overdue.then(|| {
        let detail = "is pending for longer than the 24 hours that ACS keeps the source";
        Entry::new(EntryKind::Overdue, &pending.key, detail)
    })
}
