//! The limits that a test may set lower than they are deployed, to run the same code on less.
//!
//! A bound of one format, document or protocol stands beside the code that holds it.

use std::time::Duration;

/// A kibibyte, in bytes.
pub(crate) const KIB: u64 = 1024;
/// A mebibyte, in bytes.
pub(crate) const MIB: u64 = 1024 * KIB;

/// The rules by which a cached value is read again.
#[derive(Clone, Copy, Debug)]
pub struct RefreshPolicy {
    /// The age from which the next use refreshes the value; `None` if age does not matter.
    pub max_age: Option<Duration>,
    /// The shortest time between two reads.
    pub min_interval: Duration,
    /// The longest time that one read may take.
    pub timeout: Duration,
}

/// The sizes, counts and times that bound the work. [`Limits::default`] is what is deployed.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of a part, unless 10,000 parts of this size would not hold the object.
    pub part_size: u64,
    /// Attempts at one part, or at one small object, within a run.
    pub attempts: u32,
    /// The first pause between two attempts; each later one doubles, with jitter.
    pub backoff: Duration,
    /// The longest `Retry-After` that is waited for; a longer one suspends the transfer.
    pub retry_after: Duration,
    /// Attempts while ACS answers with an empty body, which means "not ready yet".
    pub not_ready_attempts: u32,
    /// The pause between two attempts at a recording that is not ready.
    pub not_ready_pause: Duration,
    /// A source that sends no byte for this long has stalled.
    pub source_stall: Duration,
    /// A part that has moved no byte into S3 for this long has stalled; longer than
    /// [`source_stall`](Self::source_stall), so that a stalled source is not blamed on S3.
    pub store_stall: Duration,
    /// Time that one S3 call with a small body may take, each of the SDK's own attempts.
    pub store_call: Duration,
    /// Time that Complete may take: S3 documents minutes for objects of many parts.
    pub complete_call: Duration,
    /// The time after which the rate of a part in flight is known.
    pub rate_known: Duration,
    /// The parts of an upload are listed again, to see what another delivery has put, at most this often.
    pub relist: Duration,
    /// The longest pause between two such listings, where each has shown that nobody else is at work.
    pub relist_alone: Duration,
    /// Rounds that one run makes at one object (a source that changes, an upload that vanishes).
    pub uploads: u32,
    /// The time after which an upload that one reply has to fill is begun anew by ranges.
    pub stream_patience: Duration,
    /// The pause after the second upload that was begun for one object; it doubles with each.
    pub upload_pause: Duration,
    /// Bytes of a metadata document; a longer one is not archived.
    pub metadata: u64,
    /// Bytes of a delivery's body.
    pub body: usize,
    /// Events that one delivery stores at the same time.
    pub events_stored_at_once: usize,
    /// Events that one delivery, or one tick, works on at the same time.
    pub events_at_once: usize,
    /// Chunks that one event works on at the same time; their parts share the slots of all.
    pub chunks_at_once: usize,
    /// Media objects that are examined at the same time, over all events; each holds up to 1 MiB.
    pub media_checks: usize,
    /// The longest time that the examination of one media object may take.
    pub media_check: Duration,
    /// How often the settings are read again from Secrets Manager.
    pub secret: RefreshPolicy,
    /// The longest time that webhook secrets are good after they were read, if they cannot be read
    /// again or are unusable then.
    pub webhook_secrets: Duration,
    /// How often a tenant's keys are fetched again.
    pub token_keys: RefreshPolicy,
    /// How often a Microsoft Entra token for ACS is asked for; its own lifetime says when.
    pub entra_token: RefreshPolicy,
    /// Time between the answer and Lambda's deadline.
    pub margin: Duration,
    /// Of the margin, the time to write down how a run ended.
    pub conclusion: Duration,
    /// Of the margin, the time after that to release the event to the next run.
    pub release: Duration,
    /// The time after which a run writes its claim on an event again; a delivery writes its first
    /// one only then.
    pub heartbeat: Duration,
    /// The longest run where Lambda gave no usable deadline.
    pub unknown_deadline: Duration,
    /// With `ACKNOWLEDGE=stored`, the time until the answer: Event Grid waits 30 s.
    pub stored_answer: Duration,
    /// Events of each kind, never tried and tried before, that a tick remembers of a listing. When
    /// they are used up it lists again.
    pub remembered: usize,
    /// Failures of ours in a row, after which a tick takes no more events.
    pub outage: usize,
    /// The time from one look at what ended runs have left over to the next.
    pub housekeeping: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            part_size: 16 * MIB,
            attempts: 5,
            backoff: Duration::from_millis(250),
            retry_after: Duration::from_mins(1),
            not_ready_attempts: 3,
            not_ready_pause: Duration::from_millis(2_500),
            source_stall: Duration::from_secs(15),
            store_stall: Duration::from_secs(30),
            store_call: Duration::from_secs(20),
            complete_call: Duration::from_mins(5),
            rate_known: Duration::from_secs(3),
            relist: Duration::from_secs(1),
            relist_alone: Duration::from_secs(4),
            uploads: 3,
            stream_patience: Duration::from_hours(1),
            upload_pause: Duration::from_mins(1),
            metadata: 8 * MIB,
            body: 1024 * 1024,
            events_stored_at_once: 16,
            events_at_once: 8,
            chunks_at_once: 16,
            media_checks: 8,
            media_check: Duration::from_secs(10),
            secret: RefreshPolicy {
                max_age: Some(Duration::from_mins(5)),
                min_interval: Duration::from_secs(10),
                timeout: Duration::from_secs(5),
            },
            webhook_secrets: Duration::from_hours(1),
            token_keys: RefreshPolicy {
                max_age: Some(Duration::from_hours(24)),
                min_interval: Duration::from_secs(10),
                timeout: Duration::from_secs(5),
            },
            entra_token: RefreshPolicy {
                max_age: None,
                min_interval: Duration::from_secs(10),
                timeout: Duration::from_secs(8),
            },
            margin: Duration::from_secs(2),
            conclusion: Duration::from_millis(1_300),
            release: Duration::from_millis(400),
            heartbeat: Duration::from_mins(1),
            unknown_deadline: Duration::from_mins(15),
            stored_answer: Duration::from_secs(25),
            remembered: 1_000,
            outage: 3,
            housekeeping: Duration::from_hours(1),
        }
    }
}
