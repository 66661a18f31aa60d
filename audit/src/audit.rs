//! The steps of an audit.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::SystemTime;

use acs_recording_archiver::keys::Bucket as At;
use acs_recording_archiver::store::Error;

use crate::bucket::Bucket;
use crate::counters::{Counted, Counters, Counts};
use crate::folder::{Context, Folder, Observation};
use crate::recordings::RecordingSink;
use crate::report::{Entry, EntryKind, Report};
use crate::unfinished::Unfinished;
use crate::workers::Workers;
use crate::{Failure, Scope, set_aside, uploads, window};

/// Audits the archive in `bucket` with the unfinished work in the bucket `work`, which may be the
/// same. Ages are relative to `now`. `counters` can be read meanwhile, and `sink` receives each
/// recording.
///
/// # Errors
///
/// [`Failure`] if the audit has no result.
pub async fn audit(
    bucket: &Bucket,
    work: &Bucket,
    scope: &Scope,
    now: SystemTime,
    counters: &Counters,
    sink: &mut dyn RecordingSink,
) -> Result<Report, Failure> {
    let mut audit = Audit {
        bucket,
        work,
        scope,
        now,
        counters,
        sink,
        report: empty_report(bucket, work, scope),
        suspects: BTreeSet::new(),
    };
    // The function archives while this audit runs, and an event moves in one direction: it leaves
    // `pending/` after its objects and its manifest are in the archive. So `pending/` is read
    // first, then the uploads, then the archive: an event that is archived in between is found
    // twice, never missed.
    let unfinished = audit.unfinished().await?;
    audit.uploads(&unfinished.uploads).await?;
    audit.set_aside().await?;
    let context = Context {
        bucket: bucket.clone(),
        layout: scope.layout.clone(),
        unfinished: Arc::new(unfinished.copies),
        counters: counters.clone(),
        check_media: scope.check_media,
    };
    audit.folders(&context).await?;
    audit.recheck(context).await?;
    audit.finish().await
}

/// An audit in progress.
struct Audit<'a> {
    bucket: &'a Bucket,
    work: &'a Bucket,
    scope: &'a Scope,
    now: SystemTime,
    counters: &'a Counters,
    sink: &'a mut dyn RecordingSink,
    report: Report,
    /// The folders with objects that no document and no pending event names.
    suspects: BTreeSet<String>,
}

impl Audit<'_> {
    /// Reads the pending events, and adds them to the report.
    async fn unfinished(&mut self) -> Result<Unfinished, Failure> {
        let mut unfinished = self.read_unfinished().await?;
        unfinished
            .recordings
            .sort_by(|a, b| a.document.cmp(&b.document));
        for recording in &unfinished.recordings {
            self.report.count(recording);
            self.sink.add(recording);
        }
        self.report.pending = std::mem::take(&mut unfinished.pending);
        self.add(std::mem::take(&mut unfinished.entries))?;
        Ok(unfinished)
    }

    async fn read_unfinished(&self) -> Result<Unfinished, Failure> {
        let unfinished = Unfinished::read(self.work, &self.scope.layout, self.now).await;
        unfinished.map_err(|error| Failure::unlisted(self.work, error))
    }

    async fn uploads(&mut self, recorded: &HashSet<String>) -> Result<(), Failure> {
        let (scope, now, counters) = (self.scope, self.now, self.counters);
        uploads::check(
            self.bucket,
            scope,
            now,
            recorded,
            counters,
            &mut self.report,
        )
        .await
        .map_err(|error| self.unlisted(error))
    }

    async fn set_aside(&mut self) -> Result<(), Failure> {
        let observations = set_aside::list(self.bucket, self.scope).await;
        let observations = observations.map_err(|error| self.unlisted(error))?;
        let entries = self.add_recordings(observations);
        self.add(entries)
    }

    /// Compares the folders of all recordings with their documents.
    async fn folders(&mut self, context: &Context) -> Result<(), Failure> {
        let layout = &self.scope.layout;
        let mut elsewhere = vec![layout.rejected()];
        if !self.has_work_bucket() {
            elsewhere.push(layout.pending());
        }
        let mut workers = Workers::new();
        let mut open: Option<Folder> = None;
        let start = self.scope.window.start(layout);
        let mut listing = self.bucket.objects(&layout.prefix().to_string(), start);
        'pages: while let Some(page) = listing.page().await.map_err(|e| self.unlisted(e))? {
            for object in page {
                let key = object.key.clone();
                if self.scope.window.is_over(layout, &key) {
                    break 'pages;
                }
                self.counters.count(Counted::Object);
                if elsewhere
                    .iter()
                    .any(|other| key.starts_with(other.as_str()))
                {
                    continue;
                }
                let Some(place) = layout.place(At::Recordings, &key) else {
                    self.report.add(Entry::foreign(object.key));
                    continue;
                };
                if open.as_ref().map(Folder::name) != Some(place.folder) {
                    // S3 lists keys in ascending order, so the keys of a folder are adjacent: the
                    // first key of another folder completes the one before. Only the open folder
                    // and those that workers compare are in memory.
                    if let Some(folder) = open.replace(Folder::new(place.folder)) {
                        workers.spawn(folder.judge(context.clone())).await;
                    }
                }
                if let Some(folder) = &mut open {
                    folder.add(object.key, place.kind);
                }
            }
            self.add_observations(context, workers.take())?;
        }
        if let Some(folder) = open {
            workers.spawn(folder.judge(context.clone())).await;
        }
        self.add_observations(context, workers.finish().await)
    }

    /// Adds the observations of folders, except objects that no document names: their folders are
    /// read again at the end.
    fn add_observations(
        &mut self,
        context: &Context,
        observations: Vec<Observation>,
    ) -> Result<(), Failure> {
        let entries = self.add_recordings(observations);
        let suspect = |entry: &Entry| entry.kind == EntryKind::WithoutManifest;
        let (unnamed, others): (Vec<_>, Vec<_>) = entries.into_iter().partition(suspect);
        self.suspects.extend(unnamed.iter().filter_map(|entry| {
            let place = context.layout.place(At::Recordings, &entry.key)?;
            Some(place.folder.to_owned())
        }));
        self.add(others)
    }

    /// Reads the folders of unnamed objects again: since `pending/` was read, their event may have
    /// arrived, and may even have been archived.
    async fn recheck(&mut self, context: Context) -> Result<(), Failure> {
        if self.suspects.is_empty() {
            return Ok(());
        }
        let unfinished = self.read_unfinished().await?;
        let new_unread = unfinished
            .entries
            .into_iter()
            .filter(|entry| entry.kind == EntryKind::Unread && !self.report.unread.contains(entry));
        let new_unread = new_unread.collect();
        self.add(new_unread)?;
        let context = Context {
            unfinished: Arc::new(unfinished.copies),
            // The objects of these folders are counted already.
            counters: Counters::default(),
            ..context
        };
        let mut workers = Workers::new();
        for folder in std::mem::take(&mut self.suspects) {
            let folder = Folder::recheck(context.clone(), folder);
            workers.spawn(folder).await;
            self.add(workers.take())?;
        }
        self.add(workers.finish().await)
    }

    async fn finish(mut self) -> Result<Report, Failure> {
        self.report.conclude(self.counters.counts());
        let is_bare = self.report.is_empty() && self.is_bare().await?;
        if is_bare {
            return Err(Failure::Nothing {
                bucket: self.report.bucket,
                prefix: self.report.prefix,
            });
        }
        Ok(self.report)
    }

    /// Returns `true` if no object is under the prefix, on any day.
    async fn is_bare(&self) -> Result<bool, Failure> {
        let prefix = self.scope.layout.prefix().to_string();
        let mut listing = self.bucket.objects(&prefix, None);
        let page = listing.page().await.map_err(|error| self.unlisted(error))?;
        Ok(page.is_none_or(|page| page.is_empty()))
    }

    /// Counts the recordings and gives them to the sink, and returns the entries.
    fn add_recordings(&mut self, observations: Vec<Observation>) -> Vec<Entry> {
        let mut entries = Vec::new();
        for observation in observations {
            match observation {
                Observation::Entry(entry) => entries.push(entry),
                Observation::Recording(recording) => {
                    self.report.count(&recording);
                    self.sink.add(&recording);
                }
            }
        }
        entries
    }

    fn add(&mut self, entries: Vec<Entry>) -> Result<(), Failure> {
        for entry in entries {
            self.report.add(entry);
        }
        Failure::if_many_unread(&self.report.unread)
    }

    fn has_work_bucket(&self) -> bool {
        self.work.name() != self.bucket.name()
    }

    fn unlisted(&self, error: Error) -> Failure {
        Failure::unlisted(self.bucket, error)
    }
}

fn empty_report(bucket: &Bucket, work: &Bucket, scope: &Scope) -> Report {
    let day = |day: &Option<window::Day>| day.as_ref().map(|day| day.as_str().to_owned());
    Report {
        version: 1,
        bucket: bucket.name().to_owned(),
        work_bucket: (work.name() != bucket.name()).then(|| work.name().to_owned()),
        prefix: scope.layout.prefix().to_string(),
        from: day(&scope.window.from),
        to: day(&scope.window.to),
        in_order: false,
        counts: Counts::default(),
        days: BTreeMap::new(),
        against: None,
        findings: vec![],
        pending: vec![],
        notes: BTreeMap::new(),
        doubtful: vec![],
        unread: vec![],
    }
}
