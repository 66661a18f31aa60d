//! The steps of an audit.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use acs_recording_archiver::keys::{Bucket as At, Key};
use acs_recording_archiver::store::Error;

use crate::bucket::Bucket;
use crate::counters::{Counted, Counters, Counts};
use crate::folder::{Context, Folder, Observation};
use crate::recordings::RecordingSink;
use crate::report::{Entry, EntryKind, Report};
use crate::unfinished::Unfinished;
use crate::workers::Workers;
use crate::{Failure, MOST_UNREAD, Scope, set_aside, uploads, window};

/// Audits the archive in a bucket, whose unfinished work is in the bucket `work`: the same one, or
/// another. `now` is what ages are counted to; `counters` can be watched meanwhile. `sink` takes
/// each recording.
///
/// # Errors
///
/// [`Failure`], where there is no result to show.
pub async fn audit(
    bucket: &Bucket,
    work: &Bucket,
    scope: &Scope,
    now: SystemTime,
    counters: &Counters,
    sink: &mut dyn RecordingSink,
) -> Result<Report, Failure> {
    let unlisted = |source| Failure::Unlisted {
        bucket: bucket.name().to_owned(),
        source,
    };
    let work_unlisted = |source| Failure::Unlisted {
        bucket: work.name().to_owned(),
        source,
    };
    let own_work = work.name() != bucket.name();
    let day = |day: &Option<window::Day>| day.as_ref().map(|day| day.as_str().to_owned());
    let mut report = Report {
        version: 1,
        bucket: bucket.name().to_owned(),
        work_bucket: own_work.then(|| work.name().to_owned()),
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
    };

    let unfinished = Unfinished::read(work, &scope.layout, now).await;
    let mut unfinished = unfinished.map_err(work_unlisted)?;
    unfinished
        .recordings
        .sort_by(|a, b| a.document.cmp(&b.document));
    for recording in &unfinished.recordings {
        report.count(recording);
        sink.add(recording);
    }
    report.pending = unfinished.pending;
    take(&mut report, unfinished.entries)?;
    uploads::check(
        bucket,
        scope,
        now,
        &unfinished.uploads,
        counters,
        &mut report,
    )
    .await
    .map_err(unlisted)?;
    let set_aside = set_aside::list(bucket, scope).await.map_err(unlisted)?;
    let set_aside = enter(set_aside, &mut report, sink);
    take(&mut report, set_aside)?;

    let context = Context {
        bucket: bucket.clone(),
        layout: scope.layout.clone(),
        unfinished: Arc::new(unfinished.copies),
        counters: counters.clone(),
        check_media: scope.check_media,
    };
    let mut elsewhere = vec![scope.layout.rejected()];
    if !own_work {
        elsewhere.push(scope.layout.pending());
    }
    let mut findings = Findings {
        report: &mut report,
        suspects: BTreeSet::new(),
        sink,
    };
    folders(&context, scope, &elsewhere, &mut findings, unlisted).await?;
    let suspects = findings.suspects;
    if !suspects.is_empty() {
        let unfinished = Unfinished::read(work, &scope.layout, now).await;
        let unfinished = unfinished.map_err(work_unlisted)?;
        let unread = unfinished.entries.into_iter();
        let unread = unread.filter(|entry| entry.kind == EntryKind::Unread);
        let unread: Vec<_> = unread
            .filter(|entry| !report.unread.contains(entry))
            .collect();
        take(&mut report, unread)?;
        let context = Context {
            unfinished: Arc::new(unfinished.copies),
            counters: Counters::default(),
            ..context
        };
        again(&context, suspects, &mut report).await?;
    }
    report.conclude(counters.counts());
    if report.is_of_nothing() && is_bare(bucket, scope).await.map_err(unlisted)? {
        return Err(Failure::Nothing {
            bucket: report.bucket,
            prefix: report.prefix,
        });
    }
    Ok(report)
}

/// Returns `true` if nothing is under the prefix, whatever days are asked for.
async fn is_bare(bucket: &Bucket, scope: &Scope) -> Result<bool, Error> {
    let mut listing = bucket.objects(&scope.layout.prefix().to_string(), None);
    let first = listing.page().await?;
    Ok(first.is_none_or(|objects| objects.is_empty()))
}

/// Where the results of folders go.
struct Findings<'a> {
    report: &'a mut Report,
    /// The folders in which something seems to belong to nothing.
    suspects: BTreeSet<String>,
    sink: &'a mut dyn RecordingSink,
}

/// Judges the folders of all recordings.
async fn folders(
    context: &Context,
    scope: &Scope,
    elsewhere: &[Key],
    findings: &mut Findings<'_>,
    unlisted: impl Fn(Error) -> Failure,
) -> Result<(), Failure> {
    let layout = &scope.layout;
    let mut workers = Workers::new();
    let mut open: Option<Folder> = None;
    let mut listing = context
        .bucket
        .objects(&layout.prefix().to_string(), scope.window.start(layout));
    'pages: while let Some(page) = listing.page().await.map_err(&unlisted)? {
        for object in page {
            let key = object.key.clone();
            if scope.window.is_over(layout, &key) {
                break 'pages;
            }
            context.counters.count(Counted::Object);
            if elsewhere
                .iter()
                .any(|other| key.starts_with(other.as_str()))
            {
                continue;
            }
            let Some(place) = layout.place(At::Recordings, &key) else {
                findings.report.add(Entry::foreign(object.key));
                continue;
            };
            if open.as_ref().map(Folder::name) != Some(place.folder) {
                // The listing is in order: nothing more comes of the one before.
                if let Some(folder) = open.replace(Folder::new(place.folder)) {
                    workers.spawn(folder.judge(context.clone())).await;
                }
            }
            if let Some(folder) = &mut open {
                folder.add(object.key, place.kind);
            }
        }
        findings.sort_out(context, workers.take())?;
    }
    if let Some(folder) = open {
        workers.spawn(folder.judge(context.clone())).await;
    }
    findings.sort_out(context, workers.finish().await)
}

impl Findings<'_> {
    /// Keeps what is said, and the folders that need a second look.
    fn sort_out(
        &mut self,
        context: &Context,
        observations: Vec<Observation>,
    ) -> Result<(), Failure> {
        let entries = enter(observations, self.report, self.sink);
        let suspected = |entry: &Entry| entry.kind == EntryKind::WithoutManifest;
        let (unnamed, said): (Vec<_>, Vec<_>) = entries.into_iter().partition(suspected);
        self.suspects.extend(unnamed.iter().filter_map(|entry| {
            let place = context.layout.place(At::Recordings, &entry.key)?;
            Some(place.folder.to_owned())
        }));
        take(self.report, said)
    }
}

/// Enters the recordings into the sink, and returns the entries.
fn enter(
    observations: Vec<Observation>,
    report: &mut Report,
    sink: &mut dyn RecordingSink,
) -> Vec<Entry> {
    let mut entries = Vec::new();
    for observation in observations {
        match observation {
            Observation::Entry(entry) => entries.push(entry),
            Observation::Recording(recording) => {
                report.count(&recording);
                sink.add(&recording);
            }
        }
    }
    entries
}

/// Looks once more where something belongs to nothing: its event may have come, and even have been finished, since.
async fn again(
    context: &Context,
    suspects: BTreeSet<String>,
    report: &mut Report,
) -> Result<(), Failure> {
    let mut workers = Workers::new();
    for folder in suspects {
        workers
            .spawn(Folder::judge_again(context.clone(), folder))
            .await;
        take(report, workers.take())?;
    }
    take(report, workers.finish().await)
}

fn take(report: &mut Report, entries: Vec<Entry>) -> Result<(), Failure> {
    for entry in entries {
        report.add(entry);
    }
    match report.unread.first() {
        Some(first) if report.unread.len() >= MOST_UNREAD => Err(Failure::Unread {
            key: first.key.clone(),
            why: first.detail.clone(),
        }),
        _ => Ok(()),
    }
}
