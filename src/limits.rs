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
    /// The part size in bytes, unless 10,000 parts of this size would not hold the object.
    pub part_size: u64,
    /// Attempts at one part, or at one small object, within a run.
    pub attempts: u32,
    /// The first pause between two attempts; each later one doubles, with jitter.
    pub backoff: Duration,
    /// The longest `Retry-After` that a run waits for; a longer one suspends the transfer.
    pub retry_after: Duration,
    /// Attempts while ACS answers with an empty body, which means "not ready yet".
    pub not_ready_attempts: u32,
    /// The pause between two attempts at a recording that is not ready.
    pub not_ready_pause: Duration,
    /// The time without a byte from the source, after which the source has stalled.
    pub source_stall: Duration,
    /// The time without a byte into S3, after which S3 has stalled; longer than
    /// [`source_stall`](Self::source_stall), so that S3 is not blamed for a stalled source.
    pub store_stall: Duration,
    /// The longest time for an S3 call with a small body, for each of the SDK's own attempts.
    pub store_call: Duration,
    /// The longest time for Complete, which may take several minutes.
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html>
    pub complete_call: Duration,
    /// The time after which the rate of a part in flight is known.
    pub rate_known: Duration,
    /// The shortest time between two listings of an upload's parts, which show the parts of other
    /// runs.
    pub relist: Duration,
    /// The longest time between two such listings, while they show no other run at work.
    pub relist_alone: Duration,
    /// Rounds that one run makes at one object: the source may change, or the upload vanish.
    pub uploads: u32,
    /// The time after which an upload that one reply has to fill is begun again by ranges.
    pub stream_timeout: Duration,
    /// The pause after the second upload for one object; it doubles with each upload.
    pub upload_pause: Duration,
    /// The longest metadata document that is archived, in bytes.
    pub metadata: u64,
    /// The longest body of a delivery, in bytes.
    pub body: usize,
    /// Events that one delivery stores at the same time.
    pub events_stored_at_once: usize,
    /// Events that one delivery, or one tick, works on at the same time.
    pub events_at_once: usize,
    /// Chunks of one event that are worked on at the same time; their parts share the slots of all.
    pub chunks_at_once: usize,
    /// Media objects that are checked at the same time, over all events; each check holds up to
    /// 1 MiB.
    pub media_checks: usize,
    /// The longest time for the check of one media object.
    pub media_check: Duration,
    /// The refresh of settings from Secrets Manager.
    pub secret: RefreshPolicy,
    /// The longest time that webhook secrets are valid after they were read, if each refresh fails.
    pub webhook_secrets: Duration,
    /// The refresh of a tenant's keys.
    pub token_keys: RefreshPolicy,
    /// The refresh of a Microsoft Entra token for ACS, which is due by the token's own lifetime.
    pub entra_token: RefreshPolicy,
    /// The time between the answer and Lambda's deadline.
    pub margin: Duration,
    /// The part of the margin in which a run writes how it ended.
    pub conclusion: Duration,
    /// The part of the margin after that, in which a run releases the event to the next one.
    pub release: Duration,
    /// The time after which a run writes its claim on an event again, and a delivery writes its
    /// first.
    pub heartbeat: Duration,
    /// The longest run if Lambda gave no usable deadline.
    pub unknown_deadline: Duration,
    /// The time until the answer with `ACKNOWLEDGE=stored`: Event Grid waits 30 s.
    /// <https://learn.microsoft.com/azure/event-grid/delivery-and-retry>
    pub stored_answer: Duration,
    /// Events that a tick remembers of a listing, of each kind: never tried, and tried before. When
    /// they are used up, the tick lists again.
    pub remembered: usize,
    /// Failures of S3, KMS, permissions or credentials in a row, after which a tick takes no more
    /// events.
    pub outage: usize,
    /// The time between two searches for objects that ended runs have left over.
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
            stream_timeout: Duration::from_hours(1),
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
