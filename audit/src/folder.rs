//! The folder of a recording: its media and metadata, and the documents that name them.

use std::collections::HashSet;
use std::sync::Arc;

use acs_recording_archiver::error_chain::error_chain;
use acs_recording_archiver::keys::{Bucket as At, Kind, Layout};
use acs_recording_archiver::store::{Error, Object};
use tokio::task::JoinSet;

use super::bucket::Bucket;
use super::compare::compare;
use super::contents::{Contents, NamedObject};
use super::counters::{Counted, Counters};
use super::documents::{DocumentKey, Documents};
use super::examine;
use super::recordings::Recording;
use super::report::{Entry, EntryKind};
use super::unfinished::Copies;

/// The context of all folders of an audit.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    pub(crate) bucket: Bucket,
    pub(crate) layout: Layout,
    /// The media and metadata of pending events.
    pub(crate) unfinished: Arc<Copies>,
    pub(crate) counters: Counters,
    pub(crate) check_media: bool,
}

/// A result of reading a folder or an event.
#[derive(Debug)]
pub(crate) enum Observation {
    /// A finding or a note.
    Entry(Entry),
    /// A recording.
    Recording(Box<Recording>),
}

/// The folder of a recording.
#[derive(Debug)]
pub(crate) struct Folder {
    name: String,
    manifests: Vec<DocumentKey>,
    rejections: Vec<DocumentKey>,
    /// Media and metadata.
    copies: Vec<String>,
}

impl Folder {
    /// Creates a folder without objects.
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            manifests: vec![],
            rejections: vec![],
            copies: vec![],
        }
    }

    /// Returns the prefix of the folder's keys, with the slash at the end.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Adds a listed object.
    pub(crate) fn add(&mut self, key: String, kind: Kind<'_>) {
        let document = |event_id: &str, identity: &str, key| DocumentKey {
            key,
            event: format!("{event_id}-{identity}"),
        };
        match kind {
            Kind::Manifest { event_id, identity } => {
                self.manifests.push(document(event_id, identity, key));
            }
            Kind::Rejection { event_id, identity } => {
                self.rejections.push(document(event_id, identity, key));
            }
            Kind::Media(_) | Kind::Metadata(_) => self.copies.push(key),
            // Their folders are elsewhere.
            Kind::PendingEvent { .. } | Kind::Attempt | Kind::Record(_) | Kind::SetAside => {}
        }
    }

    /// Lists the current objects of a folder.
    pub(crate) async fn list(context: &Context, name: &str) -> Result<Self, Error> {
        let mut folder = Self::new(name);
        let mut listing = context.bucket.objects(name, None);
        while let Some(page) = listing.page().await? {
            for object in page {
                let key = object.key.clone();
                match context.layout.place(At::Recordings, &key) {
                    Some(place) if place.folder == name => folder.add(object.key, place.kind),
                    _ => {}
                }
            }
        }
        Ok(folder)
    }

    /// Compares the objects with the documents.
    pub(crate) async fn judge(self, context: Context) -> Vec<Observation> {
        let read = self.read(&context).await;
        let contents = self.contents(&context, &read);
        let counters = &context.counters;
        for _ in &self.manifests {
            counters.count(Counted::Manifest);
        }
        for _ in &self.rejections {
            counters.count(Counted::Rejection);
        }
        let compared = compared(&context, &contents.named).await;
        let mut examined = examine::doubts(&context, &contents.media).await;
        let unnamed = self.unnamed(&context, &contents);
        let mut entries = contents.entries;
        entries.extend(compared);
        entries.extend(examined.entries);
        entries.extend(unnamed);
        let recordings = contents.recordings.into_iter().map(|mut recording| {
            let about = |entry: &&Entry| entry.is_about(&recording.document);
            recording.findings = entries.iter().filter(about).count();
            // A new verdict replaces that of the manifest.
            let verdict = examined.verdicts.remove(&recording.document);
            recording.media = verdict.or(recording.media);
            Observation::Recording(Box::new(recording))
        });
        let recordings: Vec<_> = recordings.collect();
        let entries = entries.into_iter().map(Observation::Entry);
        entries.chain(recordings).collect()
    }

    /// Lists the folder again, and returns the objects that no document and no pending event names.
    pub(crate) async fn recheck(context: Context, name: String) -> Vec<Entry> {
        let folder = match Self::list(&context, &name).await {
            Ok(folder) => folder,
            Err(error) => return vec![Entry::new(EntryKind::Unread, name, error_chain(&error))],
        };
        let read = folder.read(&context).await;
        folder.unnamed(&context, &folder.contents(&context, &read))
    }

    /// Returns the recordings of the documents, without a look at the objects.
    pub(crate) async fn recordings(&self, context: &Context) -> (Vec<Recording>, Vec<Entry>) {
        let read = self.read(context).await;
        let contents = self.contents(context, &read);
        (contents.recordings, contents.entries)
    }

    async fn read(&self, context: &Context) -> Documents {
        let documents = self.manifests.iter().chain(&self.rejections);
        Documents::read(&context.bucket, documents).await
    }

    fn contents<'a>(&'a self, context: &Context, read: &'a Documents) -> Contents<'a> {
        let (manifests, rejections) = (&self.manifests, &self.rejections);
        Contents::parse(&context.layout, &self.name, manifests, rejections, read)
    }

    fn unnamed(&self, context: &Context, contents: &Contents<'_>) -> Vec<Entry> {
        // An unreadable document may name any of the objects.
        if !contents.complete {
            return vec![];
        }
        let named: HashSet<&str> = contents
            .named
            .iter()
            .map(|named| named.key.as_str())
            .collect();
        let mut entries = Vec::new();
        let copies = self.copies.iter();
        for key in copies.filter(|key| !named.contains(key.as_str())) {
            if context.unfinished.contain(&context.layout, key) {
                context.counters.count(Counted::Unfinished);
            } else {
                let detail = "no manifest, rejection or pending event names it";
                entries.push(Entry::new(EntryKind::WithoutManifest, key, detail));
            }
        }
        entries
    }
}

/// Compares the named objects with their descriptions, several at a time.
async fn compared(context: &Context, named: &[NamedObject<'_>]) -> Vec<Entry> {
    let mut finds = JoinSet::new();
    for (place, named) in named
        .iter()
        .enumerate()
        .filter(|(_, named)| named.is_compared)
    {
        let (bucket, key) = (context.bucket.clone(), named.key.clone());
        finds.spawn(async move { (place, bucket.find(&key).await) });
    }
    let mut entries = Vec::new();
    for (place, found) in finds.join_all().await {
        if let Some(named) = named.get(place) {
            entries.extend(judged(context, named, found));
        }
    }
    entries
}

fn judged(
    context: &Context,
    named: &NamedObject<'_>,
    found: Result<Option<Object>, Error>,
) -> Option<Entry> {
    let (kind, detail) = match found {
        Ok(Some(there)) => {
            let place = context.layout.place(At::Recordings, named.key.as_str());
            let (Kind::Media(name) | Kind::Metadata(name)) = place?.kind else {
                return None;
            };
            let compared = compare(&named.object, name, &there);
            context.counters.count(Counted::Compared {
                by_checksum: compared.by_checksum,
            });
            compared.difference?
        }
        Ok(None) => (EntryKind::Missing, "is not there".to_owned()),
        Err(error) => (EntryKind::Unread, error_chain(&error)),
    };
    let entry = Entry::new(kind, named.key.as_str(), detail);
    Some(entry.named_by(named.document))
}
