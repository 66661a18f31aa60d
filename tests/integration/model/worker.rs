//! A worker as a machine of single steps, each of them one request: what `src/transfer` does with one object.
//!
//! | steps | file of `src/transfer` |
//! |---|---|
//! | `ReadRecord`, `Find`, `LookForWhole`, `AbortKnown`, `DeleteKnown`, `UnlessThere` | `rounds.rs`, `object.rs` |
//! | `Open`, `PutWhole`, `AbortOld`, `Create`, `WriteRecord`, `ReadBack`, `AbortOurs` | `begin.rs` |
//! | `List`, `Fetch`, `Put` | `ranges.rs`, `upload.rs` |
//! | `ListAll`, `Complete`, `LookAfter`, `DeleteRecord`, `FindMade`, `Settle` | `complete.rs` |

use acs_recording_archiver::plan::{ListedParts, PartNumber};

use super::s3::{Id, Record, Refusal, Shared, Version};

/// Rounds of a run: `Limits::uploads` and one.
pub const ROUNDS: u8 = 4;
/// Attempts at Complete, and at filling an upload: `Limits::attempts`.
const ATTEMPTS: u8 = 5;

/// What a worker does next, and all that it knows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    ReadRecord {
        stale: Option<Id>,
    },
    Find {
        stale: Option<Id>,
        record: Option<Record>,
    },
    Open {
        over: Option<Record>,
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
        version: Version,
    },
    WriteRecord {
        over: Option<Record>,
        ours: Record,
    },
    ReadBack {
        ours: Record,
    },
    AbortOurs {
        ours: Record,
    },
    AbortOld {
        old: Record,
        version: Version,
    },
    List {
        ours: Record,
        fills: u8,
    },
    Fetch {
        ours: Record,
        fills: u8,
        missing: Vec<PartNumber>,
    },
    Put {
        ours: Record,
        fills: u8,
        missing: Vec<PartNumber>,
        number: PartNumber,
        version: Version,
    },
    ListAll {
        ours: Record,
        fills: u8,
        tries: u8,
    },
    Complete {
        ours: Record,
        fills: u8,
        tries: u8,
        etags: Vec<u8>,
    },
    LookAfter {
        ours: Record,
        fills: u8,
        tries: u8,
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
    },
    DeleteKnown {
        known: Record,
    },
    /// A failure: has another made the object meanwhile?
    UnlessThere,
    /// It has: what record is left? `Archive::conclude` looks, before the event is no longer pending.
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
    /// Whether a fault that it met may be why it fails.
    pub hurt: bool,
}

impl Worker {
    pub fn new(from_back: bool) -> Self {
        Self {
            step: Step::ReadRecord { stale: None },
            rounds: 0,
            from_back,
            hurt: false,
        }
    }

    pub fn has_ended(&self) -> bool {
        matches!(self.step, Step::Done | Step::Failed | Step::Crashed)
    }

    /// Whether the next request is one to the source.
    pub fn asks_source(&self) -> bool {
        matches!(self.step, Step::Open { .. } | Step::Fetch { .. })
    }

    /// Whether the next request changes S3.
    pub fn writes(&self) -> bool {
        matches!(
            self.step,
            Step::PutWhole { .. }
                | Step::Create { .. }
                | Step::WriteRecord { .. }
                | Step::AbortOurs { .. }
                | Step::AbortOld { .. }
                | Step::Put { .. }
                | Step::Complete { .. }
                | Step::DeleteRecord { .. }
                | Step::AbortKnown { .. }
                | Step::DeleteKnown { .. }
        )
    }

    /// The upload that it works on or is about to end.
    pub fn knows(&self) -> Option<Id> {
        match self.step {
            Step::WriteRecord { ours, .. }
            | Step::ReadBack { ours }
            | Step::AbortOurs { ours }
            | Step::List { ours, .. }
            | Step::Fetch { ours, .. }
            | Step::Put { ours, .. }
            | Step::ListAll { ours, .. }
            | Step::Complete { ours, .. }
            | Step::LookAfter { ours, .. }
            | Step::Settle { ours }
            | Step::AbortKnown { known: ours } => Some(ours.upload),
            _ => None,
        }
    }

    /// What the worker does where a request failed for good.
    pub fn give_up(&mut self) {
        self.hurt = true;
        self.step = match self.step {
            Step::Complete {
                ours, fills, tries, ..
            } => Step::LookAfter { ours, fills, tries },
            Step::UnlessThere | Step::ReadLeft => Step::Failed,
            _ => Step::UnlessThere,
        };
    }

    /// Makes the next request.
    #[expect(
        clippy::too_many_lines,
        reason = "an arm or two a step, in the order of the steps"
    )]
    pub fn advance(&mut self, shared: &mut Shared) {
        self.step = match self.step.clone() {
            Step::ReadRecord { stale } => Step::Find {
                stale,
                record: shared.record,
            },
            Step::Find { stale, record } => found(stale, record, shared),
            Step::Open { over } if shared.is_small(shared.source) => Step::PutWhole {
                over,
                version: shared.source,
            },
            Step::Open { over: Some(old) } => Step::AbortOld {
                old,
                version: shared.source,
            },
            Step::Open { over } => Step::Create {
                over,
                version: shared.source,
            },
            Step::PutWhole { over, version } => {
                shared.put_object(version);
                Step::LookForWhole { over }
            }
            Step::LookForWhole { over } if shared.object.is_some() => cleared(over),
            Step::Create { over, version } => {
                let upload = shared.begin(version);
                let ours = Record { upload, version };
                Step::WriteRecord { over, ours }
            }
            Step::WriteRecord { over, ours } if shared.write_record(over, ours) => {
                first_put(ours, shared)
            }
            Step::WriteRecord { ours, .. } => Step::ReadBack { ours },
            Step::ReadBack { ours } if shared.record == Some(ours) => first_put(ours, shared),
            Step::ReadBack { ours } => Step::AbortOurs { ours },
            Step::AbortOurs { ours } => {
                shared.end(ours.upload);
                self.next_round(None)
            }
            // Before the new record: should this be the last that is done, the record still tells of the old upload.
            Step::AbortOld { old, version } => {
                shared.end(old.upload);
                Step::Create {
                    over: Some(old),
                    version,
                }
            }
            Step::List { ours, fills } => match shared.list(ours.upload) {
                None => Step::Settle { ours },
                Some(listed) => {
                    let missing = shared.plan(ours.version).missing(&listed).collect();
                    fetched(ours, fills, missing)
                }
            },
            // Another length or `ETag` than the record's: the source has changed.
            Step::Fetch { ours, .. } if shared.source != ours.version => {
                self.next_round(Some(ours.upload))
            }
            Step::Fetch {
                ours,
                fills,
                mut missing,
            } => {
                let next = if self.from_back { missing.len() - 1 } else { 0 };
                let number = missing.remove(next);
                Step::Put {
                    ours,
                    fills,
                    missing,
                    number,
                    version: shared.source,
                }
            }
            Step::Put {
                ours,
                fills,
                missing,
                number,
                version,
            } => {
                if shared.put_part(ours.upload, number, version) {
                    fetched(ours, fills, missing)
                } else {
                    Step::Settle { ours }
                }
            }
            Step::ListAll { ours, fills, tries } => match shared.list(ours.upload) {
                None => Step::Settle { ours },
                Some(listed) if shared.plan(ours.version).missing(&listed).next().is_some() => {
                    if fills + 1 < ATTEMPTS {
                        let fills = fills + 1;
                        Step::List { ours, fills }
                    } else {
                        self.next_round(Some(ours.upload))
                    }
                }
                Some(listed) => Step::Complete {
                    ours,
                    fills,
                    tries,
                    etags: etags(&listed),
                },
            },
            Step::Complete {
                ours,
                fills,
                tries,
                etags,
            } => match shared.complete(ours.upload, &etags) {
                Ok(()) => Step::DeleteRecord { ours },
                Err(Refusal::InvalidPart) if tries + 1 < ATTEMPTS => Step::ListAll {
                    ours,
                    fills,
                    tries: tries + 1,
                },
                Err(Refusal::InvalidPart) => {
                    self.hurt = true;
                    Step::UnlessThere
                }
                Err(Refusal::NoSuchUpload | Refusal::PreconditionFailed) => Step::Settle { ours },
            },
            Step::LookAfter { ours, .. } if shared.object.is_some() => Step::Settle { ours },
            Step::LookAfter { ours, fills, tries } if tries + 1 < ATTEMPTS => Step::ListAll {
                ours,
                fills,
                tries: tries + 1,
            },
            Step::DeleteRecord { ours } => {
                shared.delete_record(ours);
                Step::FindMade
            }
            Step::FindMade if shared.object.is_some() => Step::Done,
            Step::LookForWhole { .. } | Step::LookAfter { .. } | Step::FindMade => {
                Step::UnlessThere
            }
            Step::Settle { ours } if shared.object.is_some() => Step::AbortKnown { known: ours },
            Step::Settle { ours } => self.next_round(Some(ours.upload)),
            Step::AbortKnown { known } => {
                shared.end(known.upload);
                Step::DeleteKnown { known }
            }
            Step::DeleteKnown { known } => {
                shared.delete_record(known);
                Step::Done
            }
            Step::UnlessThere if shared.object.is_some() => Step::ReadLeft,
            Step::UnlessThere => Step::Failed,
            Step::ReadLeft => cleared(shared.record),
            ended @ (Step::Done | Step::Failed | Step::Crashed) => ended,
        };
    }

    fn next_round(&mut self, stale: Option<Id>) -> Step {
        self.rounds += 1;
        if self.rounds < ROUNDS {
            Step::ReadRecord { stale }
        } else {
            Step::Failed
        }
    }
}

fn found(stale: Option<Id>, record: Option<Record>, shared: &Shared) -> Step {
    match record {
        record if shared.object.is_some() => cleared(record),
        Some(ours) if stale != Some(ours.upload) => Step::List { ours, fills: 0 },
        over => Step::Open { over },
    }
}

/// The object is there; so may be a record of no more use.
fn cleared(record: Option<Record>) -> Step {
    record.map_or(Step::Done, |known| Step::AbortKnown { known })
}

/// Part 1, out of the reply that told the length.
fn first_put(ours: Record, shared: &Shared) -> Step {
    Step::Put {
        ours,
        fills: 0,
        missing: shared.plan(ours.version).numbers().skip(1).collect(),
        number: 1,
        version: ours.version,
    }
}

fn fetched(ours: Record, fills: u8, missing: Vec<PartNumber>) -> Step {
    if missing.is_empty() {
        let tries = 0;
        Step::ListAll { ours, fills, tries }
    } else {
        Step::Fetch {
            ours,
            fills,
            missing,
        }
    }
}

fn etags(listed: &ListedParts) -> Vec<u8> {
    listed
        .values()
        .map(|part| part.etag.parse().expect("the model's own ETag"))
        .collect()
}
