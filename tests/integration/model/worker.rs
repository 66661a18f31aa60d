//! A worker of the model: `src/transfer` at one object, as a state machine whose steps are
//! requests.
//!
//! | file of `src/transfer` | steps |
//! |---|---|
//! | `rounds.rs`, `object.rs` | `ReadRecord`, `Find`, `Settle`, `UnlessThere` |
//! | `begin.rs`, for small objects | `Open`, `PutWhole`, `LookForWhole` |
//! | `begin.rs`, for large objects | `Create`, `WriteRecord`, `ReadBack`, `AbortOurs` |
//! | `begin.rs`, after the record | `AbortOld`, `LookAgain` |
//! | `ranges.rs`, `upload.rs` | `List`, `Fetch`, `Put` |
//! | `stream.rs` | `Stream`, `ListForStream`, `MarkStreamed`, `PutStreamed`, `MarkWhole` |
//! | `complete.rs` | `ListAll`, `ReadMark`, `Complete`, `LookAfter` |
//! | `complete.rs`, after Complete | `AbortReplaced`, `DeleteRecord`, `FindMade` |
//! | `transfer.rs`, `object.rs` | `ReadLeft`, `AbortKnown`, `DeleteKnown` |
//!
//! The pause between two uploads of one object is left out: it delays a run and changes no request.

use acs_recording_archiver::plan::{ListedParts, PartNumber};

use super::s3::{Content, Id, Outage, Record, Refusal, Shared, Source, Version};

/// The rounds of a run: `Limits::uploads` and one.
pub const ROUNDS: u8 = 4;
/// The attempts at Complete, at a stream and at filling an upload: fewer than `Limits::attempts`,
/// which would repeat the same steps and multiply the states.
const ATTEMPTS: u8 = 2;

/// An upload to be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stale {
    pub upload: Id,
    /// Set if the upload is aborted at once. Otherwise it is kept until the object is there.
    pub useless: bool,
}

/// An upload that a worker fills.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Filling {
    pub ours: Record,
    /// The number of failed attempts to fill it.
    pub fills: u8,
    /// The parts that this attempt uploaded by ranges.
    pub own: Vec<PartNumber>,
}

impl Filling {
    fn new(ours: Record, fills: u8) -> Self {
        let own = vec![];
        Self { ours, fills, own }
    }
}

/// A stream of the complete source into an upload.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Streaming {
    pub filling: Filling,
    pub tries: u8,
    /// Set until a listed part is found to have other bytes.
    pub trusted: bool,
    pub version: Version,
    /// The last part that S3 held when the stream began.
    pub last: PartNumber,
}

/// An upload with all parts, to be completed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Completing {
    pub filling: Filling,
    pub tries: u8,
    /// The bytes of the stream; `None` if each part had its own reply.
    pub checked: Option<Content>,
}

/// The next request of a worker, and the worker's knowledge.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    ReadRecord {
        stale: Option<Stale>,
    },
    Find {
        stale: Option<Stale>,
        record: Option<Record>,
    },
    Open {
        over: Option<Record>,
        useless: bool,
    },
    PutWhole {
        over: Option<Record>,
        version: Version,
    },
    LookForWhole {
        over: Option<Record>,
    },
    Create {
        over: Option<Record>,
        useless: bool,
        version: Version,
    },
    WriteRecord {
        over: Option<Record>,
        useless: bool,
        ours: Record,
    },
    ReadBack {
        ours: Record,
    },
    /// Aborts an upload without a record. Then the run fails, or begins another round.
    AbortOurs {
        ours: Record,
        fails: bool,
    },
    AbortOld {
        old: Id,
        ours: Record,
    },
    /// The first record of an object was written: the object may have been completed before.
    LookAgain {
        ours: Record,
    },
    List(Filling),
    Fetch {
        filling: Filling,
        missing: Vec<PartNumber>,
    },
    Put {
        filling: Filling,
        missing: Vec<PartNumber>,
        number: PartNumber,
        version: Version,
    },
    Stream(Streaming),
    ListForStream(Streaming),
    /// Before the first part is put that has others behind it.
    MarkStreamed {
        stream: Streaming,
        number: PartNumber,
        listed: Vec<Option<Content>>,
    },
    PutStreamed {
        stream: Streaming,
        number: PartNumber,
        listed: Vec<Option<Content>>,
    },
    /// Before Complete, if another run uploaded some of the parts.
    ReadMark {
        completing: Completing,
        /// The `ETag` and the bytes of each part.
        listed: Vec<(u64, Content)>,
    },
    /// After the end of a reply, if the parts may be of several replies.
    MarkWhole(Completing),
    ListAll(Completing),
    Complete {
        completing: Completing,
        etags: Vec<u64>,
    },
    /// Complete was refused.
    LookAfter {
        completing: Completing,
        /// Set if the reason was a condition.
        condition: bool,
    },
    AbortReplaced {
        ours: Record,
        next: usize,
    },
    DeleteRecord {
        ours: Record,
    },
    FindMade,
    Settle {
        ours: Record,
    },
    AbortKnown {
        known: Record,
        next: usize,
        outrun: bool,
    },
    DeleteKnown {
        known: Record,
        outrun: bool,
    },
    /// A failure: another worker may have made the object meanwhile.
    UnlessThere,
    /// Another worker made the object; a record may be left.
    ReadLeft,
    Done,
    Failed,
    Crashed,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Worker {
    pub step: Step,
    pub rounds: u8,
    pub from_back: bool,
    /// Set if the worker met a fault that may have caused its failure.
    pub hurt: bool,
}

impl Worker {
    /// A run that finds the event stored.
    pub fn new(from_back: bool) -> Self {
        Self {
            step: Step::ReadRecord { stale: None },
            rounds: 0,
            from_back,
            hurt: false,
        }
    }

    /// The run that stored the event itself: it reads nothing in its first round.
    pub fn first() -> Self {
        Self {
            step: open(None),
            ..Self::new(false)
        }
    }

    pub fn has_ended(&self) -> bool {
        matches!(self.step, Step::Done | Step::Failed | Step::Crashed)
    }

    /// Returns `true` if the next request goes to the source.
    pub fn asks_source(&self) -> bool {
        matches!(
            self.step,
            Step::Open { .. } | Step::Fetch { .. } | Step::Stream(_)
        )
    }

    /// Returns `true` if the next request stores something in S3.
    fn puts(&self) -> bool {
        matches!(
            self.step,
            Step::PutWhole { .. }
                | Step::Create { .. }
                | Step::WriteRecord { .. }
                | Step::Put { .. }
                | Step::MarkStreamed { .. }
                | Step::PutStreamed { .. }
                | Step::MarkWhole(_)
                | Step::Complete { .. }
        )
    }

    /// Returns `true` if the next request changes S3.
    pub fn writes(&self) -> bool {
        let deletes = matches!(
            self.step,
            Step::AbortOurs { .. }
                | Step::AbortOld { .. }
                | Step::AbortReplaced { .. }
                | Step::DeleteRecord { .. }
                | Step::AbortKnown { .. }
                | Step::DeleteKnown { .. }
        );
        deletes || self.puts()
    }

    /// The uploads that the worker fills or is about to abort.
    pub fn knows(&self) -> Vec<Id> {
        match &self.step {
            Step::WriteRecord { ours, .. }
            | Step::ReadBack { ours }
            | Step::AbortOurs { ours, .. }
            | Step::AbortOld { ours, .. }
            | Step::LookAgain { ours }
            | Step::AbortReplaced { ours, .. }
            | Step::Settle { ours }
            | Step::AbortKnown { known: ours, .. } => ours.uploads(),
            Step::List(filling) | Step::Fetch { filling, .. } | Step::Put { filling, .. } => {
                filling.ours.uploads()
            }
            Step::Stream(stream)
            | Step::ListForStream(stream)
            | Step::MarkStreamed { stream, .. }
            | Step::PutStreamed { stream, .. } => stream.filling.ours.uploads(),
            Step::ListAll(completing)
            | Step::MarkWhole(completing)
            | Step::ReadMark { completing, .. }
            | Step::Complete { completing, .. }
            | Step::LookAfter { completing, .. } => completing.filling.ours.uploads(),
            _ => vec![],
        }
    }

    /// Sets the next step after a request that finally got no answer.
    pub fn give_up(&mut self, shared: &Shared) {
        self.hurt = true;
        self.step = match self.step.clone() {
            Step::Complete { completing, .. } => Step::LookAfter {
                completing,
                condition: false,
            },
            // Only a warning: the new record names the old upload.
            Step::AbortOld { ours, .. } => first_put(ours, shared),
            // Only a later run would need it.
            Step::MarkWhole(completing) => Step::ListAll(completing),
            Step::UnlessThere | Step::ReadLeft => Step::Failed,
            _ => Step::UnlessThere,
        };
    }

    /// Sets the next step after a write that S3 finally refused.
    fn refused(&mut self, shared: &Shared) {
        let unrecorded = match &self.step {
            Step::WriteRecord { ours, .. } => Some(ours.clone()),
            _ => None,
        };
        self.give_up(shared);
        if let Some(ours) = unrecorded {
            self.step = Step::AbortOurs { ours, fails: true };
        }
    }

    /// Makes the next request.
    pub fn advance(&mut self, shared: &mut Shared) {
        let completes = matches!(self.step, Step::Complete { .. } | Step::PutWhole { .. });
        if self.asks_source() && shared.source != Source::Delivers {
            self.give_up(shared);
        } else if self.puts() && shared.refuses(completes) {
            self.refused(shared);
        } else {
            self.step = self.answered(shared);
        }
    }

    /// The step after the next request and its answer.
    #[expect(
        clippy::too_many_lines,
        reason = "an arm or two a step, in the order of the steps"
    )]
    fn answered(&mut self, shared: &mut Shared) -> Step {
        match self.step.clone() {
            Step::ReadRecord { stale } => Step::Find {
                stale,
                record: shared.record.clone(),
            },
            Step::Find { stale, record } => found(stale, record, shared),
            Step::Open { over, .. } if shared.is_small(shared.version) => Step::PutWhole {
                over,
                version: shared.version,
            },
            Step::Open { over, useless } => Step::Create {
                over,
                useless,
                version: shared.version,
            },
            Step::PutWhole { over, version } => {
                shared.put_object(version);
                Step::LookForWhole { over }
            }
            Step::LookForWhole { over } if shared.object.is_some() => cleared(over),
            Step::Create {
                over,
                useless,
                version,
            } => {
                let ours = Record {
                    upload: shared.begin(version),
                    version,
                    replaced: over.as_ref().map(Record::uploads).unwrap_or_default(),
                    streamed: false,
                    whole: None,
                };
                Step::WriteRecord {
                    over,
                    useless,
                    ours,
                }
            }
            Step::WriteRecord {
                over,
                useless,
                ours,
            } => {
                if !shared.write_record(over.as_ref(), &ours) {
                    return Step::ReadBack { ours };
                }
                match over {
                    None => Step::LookAgain { ours },
                    // The record is written before the old upload is aborted.
                    Some(old) if useless => Step::AbortOld {
                        old: old.upload,
                        ours,
                    },
                    Some(_) => first_put(ours, shared),
                }
            }
            Step::ReadBack { ours } if shared.names(ours.upload) => first_put(ours, shared),
            Step::ReadBack { ours } => Step::AbortOurs { ours, fails: false },
            Step::AbortOurs { ours, fails } => {
                shared.end(ours.upload);
                if fails {
                    Step::UnlessThere
                } else {
                    self.next_round(None)
                }
            }
            Step::AbortOld { old, ours } => {
                shared.end(old);
                first_put(ours, shared)
            }
            Step::LookAgain { ours } if shared.object.is_some() => clearing(ours, true),
            Step::LookAgain { ours } => first_put(ours, shared),
            Step::List(filling) => match shared.list(filling.ours.upload) {
                None => Step::Settle { ours: filling.ours },
                Some(listed) if filling.ours.streamed => filled_before(filling, &listed, shared),
                Some(listed) => {
                    let missing = shared.plan(filling.ours.version).missing(&listed).collect();
                    fetched(filling, missing)
                }
            },
            Step::Fetch {
                filling,
                mut missing,
            } => {
                let (here, there) = (shared.version, filling.ours.version);
                if shared.lengths[here] != shared.lengths[there] {
                    return self.stale(&filling.ours, true);
                }
                // Another ETag or a complete reply: one reply without a range is consistent by
                // itself.
                if here != there || !shared.ranges {
                    return streamed(filling);
                }
                let next = if self.from_back { missing.len() - 1 } else { 0 };
                let number = missing.remove(next);
                Step::Put {
                    filling,
                    missing,
                    number,
                    version: here,
                }
            }
            Step::Put {
                mut filling,
                missing,
                number,
                version,
            } => {
                if shared.put_part(filling.ours.upload, number, version) {
                    filling.own.push(number);
                    filling.own.sort_unstable();
                    fetched(filling, missing)
                } else {
                    Step::Settle { ours: filling.ours }
                }
            }
            Step::Stream(stream) => {
                let (here, there) = (shared.version, stream.filling.ours.version);
                if shared.lengths[here] != shared.lengths[there] {
                    return self.stale(&stream.filling.ours, true);
                }
                Step::ListForStream(Streaming {
                    version: here,
                    ..stream
                })
            }
            Step::ListForStream(stream) => match shared.list(stream.filling.ours.upload) {
                None => Step::Settle {
                    ours: stream.filling.ours,
                },
                Some(listed) => {
                    let numbers = shared.plan(stream.version).numbers();
                    let last = listed.keys().next_back().copied().unwrap_or_default();
                    let stream = Streaming { last, ..stream };
                    let known = |number| {
                        let part = listed.get(&number).filter(|_| stream.trusted);
                        part.and_then(|part| part.crc64nvme)
                    };
                    let listed = numbers.map(known).collect();
                    self.passed(stream, 1, listed, shared)
                }
            },
            Step::MarkStreamed {
                mut stream,
                number,
                listed,
            } => {
                stream.filling.ours.streamed = true;
                if shared.rewrite_record(&stream.filling.ours) {
                    Step::PutStreamed {
                        stream,
                        number,
                        listed,
                    }
                } else {
                    Step::Settle {
                        ours: stream.filling.ours,
                    }
                }
            }
            Step::MarkWhole(completing) => {
                let whole = Record {
                    whole: completing.checked,
                    ..completing.filling.ours.clone()
                };
                shared.rewrite_record(&whole);
                Step::ListAll(completing)
            }
            Step::PutStreamed {
                stream,
                number,
                listed,
            } => {
                if shared.put_part(stream.filling.ours.upload, number, stream.version) {
                    self.passed(stream, number + 1, listed, shared)
                } else {
                    Step::Settle {
                        ours: stream.filling.ours,
                    }
                }
            }
            Step::ListAll(completing) => match shared.list(completing.filling.ours.upload) {
                None => Step::Settle {
                    ours: completing.filling.ours,
                },
                Some(listed) => self.listed(completing, &listed, shared),
            },
            Step::ReadMark {
                mut completing,
                listed,
            } => {
                let ours = &mut completing.filling.ours;
                let there = shared.record.as_ref();
                if there.is_some_and(|there| there.upload != ours.upload) {
                    return Step::Settle { ours: ours.clone() };
                }
                let marked = there.filter(|there| there.streamed);
                if let Some(marked) = marked {
                    ours.streamed = true;
                    let mut contents = listed.iter().map(|(_, content)| content);
                    if !contents.all(|content| Some(*content) == marked.whole) {
                        return self.fill_again(completing);
                    }
                }
                let etags = listed.into_iter().map(|(etag, _)| etag).collect();
                Step::Complete { completing, etags }
            }
            Step::Complete { completing, etags } => {
                let ours = completing.filling.ours.clone();
                match shared.complete(ours.upload, &etags) {
                    Ok(()) => replaced(ours, 0),
                    Err(Refusal::NoSuchUpload) => Step::Settle { ours },
                    Err(Refusal::InvalidPart) => self.again(completing, false),
                    Err(Refusal::Condition) => Step::LookAfter {
                        completing,
                        condition: true,
                    },
                }
            }
            Step::LookAfter { completing, .. } if shared.object.is_some() => Step::Settle {
                ours: completing.filling.ours,
            },
            Step::LookAfter {
                completing,
                condition,
            } => self.again(completing, condition),
            Step::AbortReplaced { ours, next } => {
                shared.end(ours.replaced[next]);
                replaced(ours, next + 1)
            }
            Step::DeleteRecord { ours } => {
                shared.delete_record(&ours);
                Step::FindMade
            }
            Step::FindMade if shared.object.is_some() => Step::Done,
            Step::LookForWhole { .. } | Step::FindMade => Step::UnlessThere,
            Step::Settle { ours } if shared.object.is_some() => clearing(ours, false),
            Step::Settle { ours } => self.stale(&ours, true),
            Step::AbortKnown {
                known,
                next,
                outrun,
            } => {
                let uploads = known.uploads();
                shared.end(uploads[next]);
                if next + 1 < uploads.len() {
                    let next = next + 1;
                    Step::AbortKnown {
                        known,
                        next,
                        outrun,
                    }
                } else {
                    Step::DeleteKnown { known, outrun }
                }
            }
            Step::DeleteKnown { known, outrun } => {
                shared.delete_record(&known);
                if outrun {
                    self.next_round(None)
                } else {
                    Step::Done
                }
            }
            Step::UnlessThere if shared.object.is_some() => Step::ReadLeft,
            Step::UnlessThere => Step::Failed,
            Step::ReadLeft => cleared(shared.record.clone()),
            ended @ (Step::Done | Step::Failed | Step::Crashed) => ended,
        }
    }

    /// Continues a stream at part `number`: parts in S3 with the same bytes are skipped.
    fn passed(
        &mut self,
        stream: Streaming,
        number: PartNumber,
        listed: Vec<Option<Content>>,
        shared: &Shared,
    ) -> Step {
        let content = shared.content(stream.version);
        let other = stream.version != stream.filling.ours.version;
        for number in number..=shared.plan(stream.version).count() {
            let marks = other || stream.last > number;
            match listed[number as usize - 1] {
                Some(known) if known == content => {}
                None if marks && !stream.filling.ours.streamed => {
                    return Step::MarkStreamed {
                        stream,
                        number,
                        listed,
                    };
                }
                None => {
                    return Step::PutStreamed {
                        stream,
                        number,
                        listed,
                    };
                }
                Some(_) if stream.tries + 1 < ATTEMPTS => {
                    return Step::Stream(Streaming {
                        tries: stream.tries + 1,
                        trusted: false,
                        ..stream
                    });
                }
                Some(_) => {
                    self.hurt = true;
                    return Step::UnlessThere;
                }
            }
        }
        let streamed = stream.filling.ours.streamed;
        let completing = Completing {
            filling: stream.filling,
            tries: 0,
            checked: Some(content),
        };
        if streamed {
            Step::MarkWhole(completing)
        } else {
            Step::ListAll(completing)
        }
    }

    fn listed(&mut self, completing: Completing, listed: &ListedParts, shared: &Shared) -> Step {
        let Filling { ours, own, .. } = &completing.filling;
        let plan = shared.plan(ours.version);
        let lacks = plan.missing(listed).next().is_some();
        let expected = |number| match completing.checked {
            None if own.contains(&number) => Some(shared.content(ours.version)),
            checked => checked,
        };
        let differs = listed.iter().any(|(number, part)| {
            expected(*number).is_some_and(|expected| part.crc64nvme != Some(expected))
        });
        if lacks || differs {
            return self.fill_again(completing);
        }
        if plan.numbers().all(|number| expected(number).is_some()) {
            let etags = etags(listed);
            return Step::Complete { completing, etags };
        }
        let contents = listed.values().filter_map(|part| part.crc64nvme);
        let listed = etags(listed).into_iter().zip(contents).collect();
        Step::ReadMark { completing, listed }
    }

    fn fill_again(&mut self, completing: Completing) -> Step {
        let Filling { ours, fills, .. } = completing.filling;
        if fills + 1 < ATTEMPTS {
            return Step::List(Filling::new(ours, fills + 1));
        }
        self.hurt = true;
        Step::UnlessThere
    }

    /// Repeats Complete; after the last attempt, begins another upload if there was a conflict.
    fn again(&mut self, completing: Completing, conflict: bool) -> Step {
        self.hurt = true;
        if completing.tries + 1 < ATTEMPTS {
            return Step::ListAll(Completing {
                tries: completing.tries + 1,
                ..completing
            });
        }
        if conflict {
            self.stale(&completing.filling.ours, false)
        } else {
            Step::UnlessThere
        }
    }

    fn stale(&mut self, ours: &Record, useless: bool) -> Step {
        let upload = ours.upload;
        self.next_round(Some(Stale { upload, useless }))
    }

    fn next_round(&mut self, stale: Option<Stale>) -> Step {
        self.rounds += 1;
        if self.rounds < ROUNDS {
            Step::ReadRecord { stale }
        } else {
            Step::Failed
        }
    }
}

fn found(stale: Option<Stale>, record: Option<Record>, shared: &Shared) -> Step {
    // Another worker may have replaced the stale upload meanwhile.
    let upload = record.as_ref().map(|record| record.upload);
    let stale = stale.filter(|stale| upload == Some(stale.upload));
    match record {
        record if shared.object.is_some() => cleared(record),
        Some(ours) if stale.is_none() => Step::List(Filling::new(ours, 0)),
        over => Step::Open {
            over,
            useless: stale.is_some_and(|stale| stale.useless),
        },
    }
}

fn open(over: Option<Record>) -> Step {
    Step::Open {
        over,
        useless: false,
    }
}

/// The object is there; a useless record may be there too.
fn cleared(record: Option<Record>) -> Step {
    record.map_or(Step::Done, |known| clearing(known, false))
}

fn clearing(known: Record, outrun: bool) -> Step {
    Step::AbortKnown {
        known,
        next: 0,
        outrun,
    }
}

/// The object was made: aborts the uploads that this one replaces, then deletes the record.
fn replaced(ours: Record, next: usize) -> Step {
    if next < ours.replaced.len() {
        Step::AbortReplaced { ours, next }
    } else {
        Step::DeleteRecord { ours }
    }
}

/// Part 1, from the reply that told the length.
fn first_put(ours: Record, shared: &Shared) -> Step {
    let version = ours.version;
    let filling = Filling::new(ours, 0);
    if !shared.ranges {
        return Step::ListForStream(Streaming {
            filling,
            tries: 0,
            trusted: true,
            version,
            last: 0,
        });
    }
    Step::Put {
        filling,
        missing: shared.plan(version).numbers().skip(1).collect(),
        number: 1,
        version,
    }
}

fn fetched(filling: Filling, missing: Vec<PartNumber>) -> Step {
    if missing.is_empty() {
        Step::ListAll(Completing {
            filling,
            tries: 0,
            checked: None,
        })
    } else {
        Step::Fetch { filling, missing }
    }
}

fn streamed(filling: Filling) -> Step {
    Step::Stream(Streaming {
        version: filling.ours.version,
        filling,
        tries: 0,
        trusted: true,
        last: 0,
    })
}

/// An upload whose parts may be of several replies: completed if all are of one reply that was read
/// to its end, else filled by another reply.
fn filled_before(filling: Filling, listed: &ListedParts, shared: &Shared) -> Step {
    let whole = filling.ours.whole;
    let missing = shared.plan(filling.ours.version).missing(listed).next();
    let fit = listed.values().all(|part| part.crc64nvme == whole);
    if whole.is_some() && missing.is_none() && fit {
        return Step::ListAll(Completing {
            filling,
            tries: 0,
            checked: whole,
        });
    }
    streamed(filling)
}

fn etags(listed: &ListedParts) -> Vec<u64> {
    listed
        .values()
        .map(|part| part.etag.parse().expect("the model's own ETag"))
        .collect()
}

impl Outage {
    /// Every kind of outage.
    pub const ALL: [Self; 3] = [Self::Writes, Self::Complete, Self::Conflict];
}
