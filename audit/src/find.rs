//! A search for recordings, without an index: by the key where that tells, else by the manifests of
//! the days. What is pending or set aside is searched as well.

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

/// A recording that was found.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Found {
    /// The recording.
    #[serde(flatten)]
    pub(crate) recording: Recording,
    /// Links to its media, by chunk, if they were asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) links: Vec<String>,
}

/// The result of a search.
#[derive(Debug, Default)]
pub struct Searched {
    /// The recordings that were found.
    pub found: u64,
    /// The entries that could not be read. If there are any, the search may have missed recordings.
    pub unread: Vec<Entry>,
}

/// Searches the archive in a bucket, whose unfinished work is in the bucket `work`. Each recording
/// that is found is given to `show`, in the order of the days, with links that are good for
/// `presign`; the search ends when `show` returns `false`.
///
/// # Errors
///
/// [`Failure`], where something cannot be listed.
pub async fn find(
    (bucket, work): (&Bucket, &Bucket),
    scope: &Scope,
    wanted: &Wanted,
    presign: Option<Duration>,
    (now, counters): (SystemTime, &Counters),
    show: &mut (dyn FnMut(Found) -> bool + Send),
) -> Result<Searched, Failure> {
    let layout = &scope.layout;
    let mut search = Search {
        context: Context {
            bucket: bucket.clone(),
            layout: layout.clone(),
            unfinished: Copies::default().into(),
            counters: counters.clone(),
            check_media: false,
        },
        wanted: wanted.clone(),
        presign,
        searched: Searched::default(),
        show,
    };

    let unfinished = Unfinished::read(work, layout, now).await;
    let unfinished = unfinished.map_err(|error| Failure::unlisted(work, error))?;
    let set_aside = set_aside::list(bucket, scope).await;
    let set_aside = set_aside.map_err(|error| Failure::unlisted(bucket, error))?;
    let set_aside = set_aside
        .into_iter()
        .filter_map(|observation| match observation {
            Observation::Recording(recording) => Some(*recording),
            Observation::Entry(_) => None,
        });
    for recording in unfinished.recordings.into_iter().chain(set_aside) {
        let started = recording.facts.started.map(Timestamp::instant);
        if scope.window.has(started) && !search.judge(recording).await {
            return Ok(search.searched);
        }
    }

    let days = days(bucket, scope)
        .await
        .map_err(|error| Failure::unlisted(bucket, error))?;
    search
        .days(days)
        .await
        .map_err(|error| Failure::unlisted(bucket, error))?;
    Ok(search.searched)
}

/// The prefixes of the days that have recordings.
async fn days(bucket: &Bucket, scope: &Scope) -> Result<Vec<String>, store::Error> {
    let mut prefixes = vec![scope.layout.prefix().to_string()];
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

struct Search<'a> {
    context: Context,
    wanted: Wanted,
    presign: Option<Duration>,
    searched: Searched,
    show: &'a mut (dyn FnMut(Found) -> bool + Send),
}

impl Search<'_> {
    /// Searches days, several at once.
    async fn days(&mut self, days: Vec<String>) -> Result<(), store::Error> {
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
            self.sort_out(folders.finish().await).await;
        }
        Ok(())
    }

    /// Begins to read folders. Returns `false` if nobody looks any more.
    async fn read(
        &mut self,
        folders: &mut Workers<Observation>,
        listed: Vec<Result<String, store::Error>>,
    ) -> Result<bool, store::Error> {
        for folder in listed {
            let (context, wanted) = (self.context.clone(), self.wanted.clone());
            folders.spawn(read(context, wanted, folder?)).await;
            if !self.sort_out(folders.take()).await {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Shows what was found. Returns `false` if nobody looks any more.
    async fn sort_out(&mut self, observations: Vec<Observation>) -> bool {
        for observation in observations {
            match observation {
                Observation::Recording(recording) => {
                    if !self.show(*recording).await {
                        return false;
                    }
                }
                Observation::Entry(entry) => self.searched.unread.push(entry),
            }
        }
        true
    }

    async fn judge(&mut self, recording: Recording) -> bool {
        // Metadata is archived with the media.
        if self.wanted.participant.is_some() || !self.wanted.fits(&recording) {
            return true;
        }
        self.show(recording).await
    }

    async fn show(&mut self, recording: Recording) -> bool {
        let mut links = Vec::new();
        if let Some(presign) = self.presign {
            for object in recording.objects.iter().filter(|object| object.is_media) {
                match self.context.bucket.link(&object.key, presign).await {
                    Ok(link) => links.push(link),
                    Err(why) => {
                        let entry = Entry::new(EntryKind::Unread, &object.key, why);
                        self.searched.unread.push(entry);
                    }
                }
            }
        }
        self.searched.found += 1;
        (self.show)(Found { recording, links })
    }
}

/// The folders of a day in which a recording that fits can be, by their keys.
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
                // A rejection may name a chunk of which nothing is there.
                (Some(_), kind) => matches!(kind, Kind::Rejection { .. }),
            };
            if fits {
                folders.insert(place.folder.to_owned());
            }
        }
    }
    folders.into_iter().map(Ok).collect()
}

/// The recordings of a folder that fit.
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
