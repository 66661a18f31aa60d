//! The backlog of a tick: the pending events that a listing shows, counted, and the due ones.

mod line;
mod sample;
mod troubled;

pub(super) use line::Candidate;
pub(super) use troubled::{InTrouble, Troubled};

use std::time::{Duration, SystemTime};

use crate::archive::attempt::{self, due};
use crate::finality::SETTLED;
use crate::keys::{Bucket, Key, Kind, Layout};
use crate::store::Listed;
use line::Line;
use sample::Sample;
use troubled::is_reported;

/// The most keys of ended runs that one tick clears.
const MOST_LEFT_OVER: usize = 100;
/// The most recordings in trouble that one tick reports.
const MOST_TROUBLED: usize = 100;
/// The age from which the upload of an event that is no longer pending counts as unfinished. An
/// operator can complete the upload until the bucket's lifecycle rule ends it after 30 days.
const UNFINISHED: Duration = Duration::from_hours(3 * 24);

/// The pending events of one listing, in memory that does not grow with their number.
#[derive(Debug)]
pub(super) struct Backlog {
    now: SystemTime,
    /// The events that are pending.
    pub(super) pending: usize,
    /// The events that have been pending for an hour or more.
    pub(super) in_trouble: usize,
    /// The uploads of events that are no longer pending, begun three days ago or more.
    pub(super) unfinished: usize,
    /// The time at which the oldest event was stored.
    pub(super) oldest: Option<SystemTime>,
    /// The age of the oldest event, by its own time or since it was stored: about the age of its
    /// recording in ACS.
    pub(super) oldest_source: Option<Duration>,
    /// The due events that were never tried, by the time at which they were stored.
    never: Line,
    /// The due events that were tried, by the time of the last attempt.
    tried: Line,
    /// `true` if the next event is to be one that was never tried.
    turn: bool,
    left_over: Sample<Key, MOST_LEFT_OVER>,
    /// A sample of the events in trouble that are due to be reported in this tick.
    troubled: Sample<Troubled, MOST_TROUBLED>,
    folder: Folder,
}

/// The folder of one event, of which the listing has shown some keys.
///
/// S3 lists keys in ascending order, so the keys of a folder come one after another, but
/// `attempt.json` before `event.json`, and records before both. Only the next folder shows that the
/// event of this one is absent:
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html>
#[derive(Debug, Default)]
struct Folder {
    name: String,
    event: Option<FolderEvent>,
    seen: bool,
    attempt: Option<attempt::Listed>,
    /// The records whose uploads count as unfinished if the event is absent.
    old_records: usize,
    /// The keys beside the event that are so old that their run has ended.
    beside: Vec<Key>,
}

/// The event of a folder.
#[derive(Debug)]
struct FolderEvent {
    key: Key,
    id: String,
    stored: SystemTime,
    /// The age by the event's own time.
    age: Option<Duration>,
}

impl Backlog {
    /// An empty backlog at `now`, which remembers at most `most` due events of each line.
    pub(super) fn new(now: SystemTime, most: usize) -> Self {
        Self {
            now,
            pending: 0,
            in_trouble: 0,
            unfinished: 0,
            oldest: None,
            oldest_source: None,
            never: Line::new(most),
            tried: Line::new(most),
            turn: true,
            left_over: Sample::default(),
            troubled: Sample::default(),
            folder: Folder::default(),
        }
    }

    /// Adds the next key of the listing. A key of no form of the layout is ignored; an event that
    /// this tick has `seen` is counted, and not due again.
    pub(super) fn add(&mut self, listed: Listed, layout: &Layout, seen: impl Fn(&Key) -> bool) {
        let Some(place) = layout.place(Bucket::Work, &listed.key) else {
            return;
        };
        if place.folder != self.folder.name {
            self.end_folder();
            place.folder.clone_into(&mut self.folder.name);
        }
        let Some(key) = layout.listed(Bucket::Work, &listed.key) else {
            return;
        };
        // S3 always gives a time. For a store that does not, the object counts as new.
        let written = listed.last_modified.unwrap_or(self.now);
        let age = self.now.duration_since(written).unwrap_or_default();
        match place.kind {
            Kind::PendingEvent { time, event_id, .. } => {
                self.folder.seen = seen(&key);
                self.folder.event = Some(FolderEvent {
                    key,
                    id: event_id.to_owned(),
                    stored: written,
                    age: time.map(|time| time.age(self.now)),
                });
                return;
            }
            Kind::Attempt => {
                self.folder.attempt = listed.etag.map(|etag| attempt::Listed {
                    etag,
                    written,
                    is_empty: listed.size == 0,
                });
            }
            Kind::Record(_) => self.folder.old_records += usize::from(age >= UNFINISHED),
            _ => return,
        }
        if age >= SETTLED && self.folder.beside.len() < MOST_LEFT_OVER {
            self.folder.beside.push(key);
        }
    }

    /// Counts the event of the folder, or else the keys that it left behind.
    fn end_folder(&mut self) {
        let folder = std::mem::take(&mut self.folder);
        let Some(FolderEvent {
            key: event,
            id,
            stored,
            age: own_age,
        }) = folder.event
        else {
            self.unfinished += folder.old_records;
            for key in folder.beside {
                self.left_over.add(key);
            }
            return;
        };
        let age = self.now.duration_since(stored).unwrap_or_default();
        self.pending += 1;
        self.in_trouble += usize::from(age >= SETTLED);
        self.oldest = self.oldest.into_iter().chain([stored]).min();
        let source = own_age.map_or(age, |own| own.max(age));
        self.oldest_source = self.oldest_source.max(Some(source));
        if is_reported(age) {
            self.troubled.add(Troubled {
                event: event.clone(),
                id,
                age,
                source,
                has_attempt: folder
                    .attempt
                    .as_ref()
                    .is_some_and(|listed| !listed.is_empty),
            });
        }
        if folder.seen || due(stored, folder.attempt.as_ref()) > self.now {
            return;
        }
        let (line, since) = match &folder.attempt {
            None => (&mut self.never, stored),
            Some(attempt) => (&mut self.tried, attempt.written),
        };
        line.push(Candidate {
            event,
            attempt: folder.attempt,
            since,
            lot: fastrand::u64(..),
        });
    }

    /// Ends the listing.
    pub(super) fn end(&mut self) {
        self.end_folder();
        self.never.sort();
        self.tried.sort();
    }

    /// The next due event, from both lines in turn: no number of events that fail again and again
    /// can keep new events waiting.
    pub(super) fn next(&mut self) -> Option<Candidate> {
        let (first, second) = if self.turn {
            (&mut self.never, &mut self.tried)
        } else {
            (&mut self.tried, &mut self.never)
        };
        self.turn = !self.turn;
        first.sorted.pop().or_else(|| second.sorted.pop())
    }

    /// Returns `true` if more events are due than are remembered.
    pub(super) fn overflows(&self) -> bool {
        self.never.overflows || self.tried.overflows
    }

    /// A random sample of the keys that ended runs have left beside no event.
    pub(super) fn take_left_over(&mut self) -> Vec<Key> {
        std::mem::take(&mut self.left_over.kept)
    }

    /// The recordings in trouble that this tick reports.
    pub(super) fn take_in_trouble(&mut self) -> InTrouble {
        let sample = std::mem::take(&mut self.troubled);
        InTrouble {
            more: sample.seen - sample.kept.len(),
            reported: sample.kept,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{Pending, Prefix};

    /// Stands for an identity or a location.
    const HASH: &str = "0123456789abcdef";

    struct Scene {
        backlog: Backlog,
        layout: Layout,
        now: SystemTime,
    }

    impl Scene {
        fn new(most: usize) -> Self {
            let endpoint = url::Url::parse("https://contoso.example").unwrap();
            let now = SystemTime::UNIX_EPOCH + Duration::from_hours(500_000);
            Self {
                backlog: Backlog::new(now, most),
                layout: Layout::new(Prefix::new("").unwrap(), Pending::OwnBucket, &endpoint),
                now,
            }
        }

        fn list(&mut self, key: &str, minutes: u64, size: u64) {
            let listed = Listed {
                key: format!("pending/{key}"),
                last_modified: Some(self.now - Duration::from_mins(minutes)),
                etag: Some("e".into()),
                size,
            };
            self.backlog.add(listed, &self.layout, |_| false);
        }

        fn event(&mut self, number: usize, stored: u64, attempt: Option<(u64, u64)>) {
            let folder = format!("20261123T152034.{number:07}Z-{number}-{HASH}");
            if let Some((minutes, size)) = attempt {
                self.list(&format!("{folder}/attempt.json"), minutes, size);
            }
            self.list(&format!("{folder}/event.json"), stored, 9);
        }

        fn order(&mut self) -> Vec<String> {
            self.backlog.end();
            let mut order = vec![];
            while let Some(next) = self.backlog.next() {
                let folder = next.event.as_str().split('/').nth(1).unwrap();
                order.push(folder.split('-').nth(1).unwrap().to_owned());
            }
            order
        }
    }

    #[test]
    fn two_lines_are_served_in_turn() {
        let mut scene = Scene::new(10);
        scene.event(1, 10, None);
        scene.event(2, 200, Some((30, 9)));
        scene.event(3, 30, None);
        scene.event(4, 200, Some((90, 9)));
        scene.event(5, 20, None);
        scene.event(6, 500, Some((5, 0)));
        assert_eq!(scene.order(), ["3", "4", "5", "2", "1", "6"]);
        let backlog = &scene.backlog;
        assert_eq!((backlog.pending, backlog.in_trouble), (6, 3));
        assert_eq!(backlog.oldest, Some(scene.now - Duration::from_mins(500)));
    }

    #[test]
    fn a_recording_in_trouble_is_reported_after_an_hour_and_each_day() {
        let age = |minute| Duration::from_mins(minute) + Duration::from_secs(7);
        let reported: Vec<u64> = (0..3 * 24 * 60)
            .filter(|minute| is_reported(age(*minute)))
            .collect();
        assert_eq!(reported, [60, 61, 1440, 1441, 2880, 2881]);
        // Whatever the second at which ticks start, two of them report the event.
        for second in 0..60 {
            let ticks = (0..180).map(|minute| Duration::from_secs(60 * minute + second));
            assert_eq!(ticks.filter(|age| is_reported(*age)).count(), 2, "{second}");
        }
    }

    #[test]
    fn of_many_recordings_in_trouble_a_hundred_are_reported() {
        let mut scene = Scene::new(10);
        for number in 0..350 {
            scene.event(number, 61, Some((3, number as u64 % 2)));
        }
        scene.event(1_000, 59, None);
        scene.backlog.end();
        let InTrouble { reported, more } = scene.backlog.take_in_trouble();
        assert_eq!((reported.len(), more), (100, 250));
        assert!(
            reported
                .iter()
                .all(|one| one.age == Duration::from_mins(61))
        );
        assert!(reported.iter().any(|one| one.has_attempt));
        assert_eq!(scene.backlog.take_in_trouble(), InTrouble::default());
    }

    #[test]
    fn events_that_are_not_due_are_counted_and_left_alone() {
        let mut scene = Scene::new(10);
        scene.event(1, 1, None);
        scene.event(2, 100, Some((1, 9)));
        scene.event(3, 2, None);
        scene.event(4, 100, Some((0, 0)));
        assert_eq!(scene.order(), ["3", "4"]);
        assert_eq!(scene.backlog.pending, 4);
    }

    #[test]
    fn the_longest_waiting_are_remembered_and_all_are_counted() {
        let mut scene = Scene::new(3);
        for number in 0..1000 {
            scene.event(number, 10 + number as u64, None);
        }
        assert_eq!(scene.order(), ["999", "998", "997"]);
        assert!(scene.backlog.overflows());
        assert_eq!(scene.backlog.pending, 1000);
    }

    #[test]
    fn keys_that_the_layout_does_not_know_are_left_alone() {
        let mut scene = Scene::new(10);
        for key in [
            "notes.txt",
            "again/event.json",
            "20261123T152034.0000000Z-1-{}/event.json.hold",
            "20261123T152034.0000000Z-1-{}/notes.txt",
        ] {
            scene.list(&key.replace("{}", HASH), 600, 9);
        }
        assert!(scene.order().is_empty());
        assert_eq!(scene.backlog.pending, 0);
        assert!(scene.backlog.take_left_over().is_empty());
    }

    #[test]
    fn uploads_of_no_event_are_unfinished_after_three_days() {
        let mut scene = Scene::new(10);
        for (number, days, is_pending) in [(1, 3, false), (2, 2, false), (3, 4, true)] {
            let folder = format!("20261123T152034.000000{number}Z-{number}-{HASH}");
            for index in 0..2 {
                let record = format!("{folder}/000{index}-d-{HASH}.upload.json");
                scene.list(&record, days * 24 * 60, 9);
            }
            if is_pending {
                scene.list(&format!("{folder}/event.json"), days * 24 * 60, 9);
            }
        }
        scene.backlog.end();
        assert_eq!((scene.backlog.pending, scene.backlog.unfinished), (1, 2));
    }

    #[test]
    fn keys_beside_no_event_are_left_over_after_an_hour() {
        let mut scene = Scene::new(10);
        let folder = format!("20261123T152034.0000000Z-1-{HASH}");
        scene.list(&format!("{folder}/0000-d-{HASH}.upload.json"), 61, 9);
        scene.list(&format!("{folder}/attempt.json"), 59, 9);
        scene.event(2, 600, Some((61, 9)));
        for number in 10..300 {
            let key = format!("20261123T152034.{number:07}Z-{number}-{HASH}/attempt.json");
            scene.list(&key, 61, 0);
        }
        scene.backlog.end();
        assert_eq!(scene.backlog.pending, 1);
        let left_over = scene.backlog.take_left_over();
        assert_eq!(left_over.len(), MOST_LEFT_OVER);
        assert!(!left_over.iter().any(|key| key.as_str().contains("Z-2-")));
    }
}
