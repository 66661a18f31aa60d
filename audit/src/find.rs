//! The search for recordings. There is no index: calls and documents are in the keys, and for other
//! criteria the search reads the manifests of the selected days. It reads pending events and events
//! set aside first.

mod wanted;

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use acs_recording_archiver::error_chain::error_chain;
use acs_recording_archiver::keys::{Bucket as At, Kind};
use acs_recording_archiver::recording::{Timestamp, safe_id};
use acs_recording_archiver::store;
use serde::Serialize;

use crate::bucket::Bucket;
use crate::counters::{Counted, Counters};
use crate::folder::{Context, Folder, Observation};
use crate::recordings::Recording;
use crate::report::{Entry, EntryKind};
use crate::unfinished::{Copies, Unfinished};
use crate::workers::Workers;
use crate::{Failure, Scope, set_aside};

pub use wanted::Wanted;

/// The parameters of a search.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// The layout and the selected days.
    pub scope: &'a Scope,
    /// The criteria.
    pub wanted: &'a Wanted,
    /// The time for which links to the media are valid, if links are created.
    pub presign: Option<Duration>,
    /// The time that ages are relative to.
    pub now: SystemTime,
}

/// A recording that was found.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Found {
    #[serde(flatten)]
    pub(crate) recording: Recording,
    /// The links to the media, by chunk, if links are created.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) links: Vec<String>,
}

/// The result of a search.
#[derive(Debug, Default)]
pub struct Searched {
    /// The number of recordings that were found.
    pub found: u64,
    /// The objects that could not be read. With any, the search may have missed recordings.
    pub unread: Vec<Entry>,
}

/// Searches the archive in `bucket` with the unfinished work in the bucket `work`, which may be the
/// same. `show` receives each recording, in the order of the days. The search ends when `show`
/// returns `false`.
///
/// # Errors
///
/// [`Failure`] if a bucket cannot be listed, or too many objects cannot be read.
pub async fn find(
    bucket: &Bucket,
    work: &Bucket,
    query: Query<'_>,
    counters: &Counters,
    show: &mut (dyn FnMut(Found) -> bool + Send),
) -> Result<Searched, Failure> {
    let mut search = Search {
        context: Context {
            bucket: bucket.clone(),
            layout: query.scope.layout.clone(),
            unfinished: Copies::default().into(),
            counters: counters.clone(),
            check_media: false,
        },
        wanted: query.wanted.clone(),
        presign: query.presign,
        searched: Searched::default(),
        show,
    };
    if search.unfinished(work, query).await? {
        let days = days(bucket, query.scope).await;
        let days = days.map_err(|error| Failure::unlisted(bucket, error))?;
        search.days(days).await?;
    }
    Ok(search.searched)
}

/// Returns the prefixes of the selected days that have recordings.
async fn days(bucket: &Bucket, scope: &Scope) -> Result<Vec<String>, store::Error> {
    let mut prefixes = vec![scope.layout.prefix().to_string()];
    // The widths of year, month and day in a key.
    for width in [4, 2, 2] {
        let mut deeper = Vec::new();
        for prefix in prefixes {
            let folders = bucket.folders(&prefix).await?;
            deeper.extend(folders.into_iter().filter(|folder| {
                let name = folder.get(prefix.len()..).unwrap_or_default();
                let name = name.trim_end_matches('/');
                let number = name.len() == width && name.bytes().all(|it| it.is_ascii_digit());
                number && scope.window.overlaps(&scope.layout, folder)
            }));
        }
        prefixes = deeper;
    }
    Ok(prefixes)
}

/// A search in progress. Its methods return `false` once `show` has ended the search.
struct Search<'a> {
    context: Context,
    wanted: Wanted,
    presign: Option<Duration>,
    searched: Searched,
    show: &'a mut (dyn FnMut(Found) -> bool + Send),
}

impl Search<'_> {
    /// Searches the pending events and the events set aside.
    async fn unfinished(&mut self, work: &Bucket, query: Query<'_>) -> Result<bool, Failure> {
        let unfinished = Unfinished::read(work, &self.context.layout, query.now).await;
        let unfinished = unfinished.map_err(|error| Failure::unlisted(work, error))?;
        let set_aside = set_aside::list(&self.context.bucket, query.scope).await;
        let set_aside = set_aside.map_err(|error| self.unlisted(error))?;
        let mut recordings = unfinished.recordings;
        let mut entries = unfinished.entries;
        for observation in set_aside {
            match observation {
                Observation::Recording(recording) => recordings.push(*recording),
                Observation::Entry(entry) => entries.push(entry),
            }
        }
        for entry in entries {
            if entry.kind == EntryKind::Unread {
                self.add_unread(entry)?;
            }
        }
        for recording in recordings {
            let started = recording.facts.started.map(Timestamp::instant);
            // Only archived recordings have metadata, which names the participants.
            let fits = query.scope.window.has(started)
                && self.wanted.participant.is_none()
                && self.wanted.fits(&recording);
            if fits && !self.show(recording).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Searches days, several at the same time.
    async fn days(&mut self, days: Vec<String>) -> Result<(), Failure> {
        let mut listings = Workers::new();
        let mut folders = Workers::new();
        for day in days {
            let listing = list(self.context.clone(), self.wanted.clone(), day);
            listings.spawn(listing).await;
            if !self.read(&mut folders, listings.take()).await? {
                return Ok(());
            }
        }
        if self.read(&mut folders, listings.finish().await).await? {
            self.add(folders.finish().await).await?;
        }
        Ok(())
    }

    /// Starts to read folders.
    async fn read(
        &mut self,
        folders: &mut Workers<Observation>,
        listed: Vec<Result<String, store::Error>>,
    ) -> Result<bool, Failure> {
        for folder in listed {
            let folder = folder.map_err(|error| self.unlisted(error))?;
            let (context, wanted) = (self.context.clone(), self.wanted.clone());
            folders.spawn(read(context, wanted, folder)).await;
            if !self.add(folders.take()).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn add(&mut self, observations: Vec<Observation>) -> Result<bool, Failure> {
        for observation in observations {
            match observation {
                Observation::Recording(recording) => {
                    if !self.show(*recording).await? {
                        return Ok(false);
                    }
                }
                Observation::Entry(entry) => self.add_unread(entry)?,
            }
        }
        Ok(true)
    }

    async fn show(&mut self, recording: Recording) -> Result<bool, Failure> {
        let mut links = Vec::new();
        if let Some(presign) = self.presign {
            for object in recording.objects.iter().filter(|object| object.is_media) {
                match self.context.bucket.link(&object.key, presign).await {
                    Ok(link) => links.push(link),
                    Err(why) => {
                        self.add_unread(Entry::new(EntryKind::Unread, &object.key, why))?;
                    }
                }
            }
        }
        self.searched.found += 1;
        Ok((self.show)(Found { recording, links }))
    }

    fn add_unread(&mut self, entry: Entry) -> Result<(), Failure> {
        self.searched.unread.push(entry);
        Failure::if_many_unread(&self.searched.unread)
    }

    fn unlisted(&self, error: store::Error) -> Failure {
        Failure::unlisted(&self.context.bucket, error)
    }
}

/// Lists the folders of a day that may have a matching recording, by their keys.
async fn list(context: Context, wanted: Wanted, day: String) -> Vec<Result<String, store::Error>> {
    let call = wanted.call.as_deref().map(safe_id);
    let prefix = match call {
        Some(call) => format!("{day}{call}/"),
        None => day,
    };
    let mut folders = BTreeSet::new();
    let mut listing = context.bucket.objects(&prefix, None);
    loop {
        let page = match listing.page().await {
            Ok(Some(page)) => page,
            Ok(None) => break,
            Err(error) => return vec![Err(error)],
        };
        for object in page {
            context.counters.count(Counted::Object);
            let Some(place) = context.layout.place(At::Recordings, &object.key) else {
                continue;
            };
            let fits = match (&wanted.document, place.kind) {
                (None, _) => true,
                (Some(id), Kind::Media(name) | Kind::Metadata(name)) => {
                    name.document_id == safe_id(id)
                }
                // A rejection may name a chunk without any object.
                (Some(_), kind) => matches!(kind, Kind::Rejection { .. }),
            };
            if fits {
                folders.insert(place.folder.to_owned());
            }
        }
    }
    folders.into_iter().map(Ok).collect()
}

/// Reads the matching recordings of a folder.
async fn read(context: Context, wanted: Wanted, folder: String) -> Vec<Observation> {
    let listed = match Folder::list(&context, &folder).await {
        Ok(listed) => listed,
        Err(error) => {
            return vec![Observation::Entry(Entry::new(
                EntryKind::Unread,
                folder,
                error_chain(&error),
            ))];
        }
    };
    let (recordings, entries) = listed.recordings(&context).await;
    context.counters.count(Counted::Manifest);
    let unread = entries
        .into_iter()
        .filter(|entry| entry.kind == EntryKind::Unread);
    let mut observations: Vec<Observation> = unread.map(Observation::Entry).collect();
    for recording in recordings {
        if !wanted.fits(&recording) {
            continue;
        }
        match wanted.has_participant(&context.bucket, &recording).await {
            Ok(true) => observations.push(Observation::Recording(Box::new(recording))),
            Ok(false) => {}
            Err(entry) => observations.push(Observation::Entry(entry)),
        }
    }
    observations
}
