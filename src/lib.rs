//! Archives recordings of Azure Communication Services (ACS) calls in Amazon S3, before ACS deletes them after 24 hours.
//!
//! An AWS Lambda function behind a Function URL. Azure Event Grid calls it when a call has been recorded; it copies every
//! chunk of the recording, media and metadata, into a bucket: streaming, in parallel, resumably. A schedule calls it as
//! well, to finish what is pending; as deployed, by a second function of the same artefact.
//!
//! # The story
//!
//! HTTP event → authenticated delivery → stored event → recording and its chunks → parts that S3
//! already has → missing parts → signed ranges → parts → object → check of its container → manifest
//! → HTTP answer.
//!
//! An event is stored under `pending/`, in a bucket of its own where there is one, before any work
//! on it and is deleted from there last, so a listing of `pending/` is the list of unfinished work.
//! A media object is an upload whose id stands in a *record* beside the pending event. Length and
//! part size alone decide which bytes are which part, so any number of runs, on any machines, can
//! fill the upload together without knowing of one another: each lists the parts that are there and
//! fetches the missing ones. The object appears by one step, Complete, with the checksum of the
//! whole and only if there is none; the manifest is written once every chunk is there. A run that
//! ends on the way, at any point, has left everything in S3 that the next one needs.
//!
//! **The schedule is the dispatcher.** A tick starts every minute and works until Lambda's deadline,
//! so ticks overlap. Each takes other events by *claiming* them: one conditional write of
//! `attempt.json` beside the event, repeated each minute. Which events are due is read off the
//! listing, by S3's own clock. A claim is advice: a run without one, or two runs with one, end in
//! the same bytes.
//!
//! # The promises
//!
//! 1. An object appears only when it is whole and is what its event names; nothing in the archive
//!    is ever replaced or deleted.
//! 2. Nothing acknowledged is lost: 200 means archived, or set aside in the bucket with a reason;
//!    202, which the operator has to choose, means stored for the schedule to finish. What was
//!    fetched is not thrown away while it could still be needed: no failure of S3, of KMS or of our
//!    own permissions, no age and no second event ends an upload that has parts.
//! 3. Every run leaves something. A source that delivers at least 20 KB/s in all gains at least a
//!    part in every run of the schedule, and a recording costs a small multiple of its size,
//!    whatever fails.
//! 4. Any number of deliveries and ticks, at the same time or after one another, end in the same
//!    bytes without a lock: what coordinates them is advice, never needed for correctness.
//! 5. Memory does not grow with the recording, its chunks, its events, or the backlog.
//! 6. Nobody unauthenticated makes the function read a body or call ACS or S3; a signature or token
//!    goes only to the ACS resource and its media hosts; an event can neither cancel nor hide nor stand in for
//!    another's recording.
//! 7. No secret, signature, token, query string or media URL reaches a log, at any level, or an answer.
//! 8. A delivery always gets an HTTP answer, and its status says what Event Grid should do next.
//!
//! # The rooms
//!
//! In reading order. Each imports only from those below it, except that everything may use the last six.
//!
//! | module | what lives there |
//! |---|---|
//! | `main` | start-up only |
//! | [`function`] | the function as Lambda calls it: HTTP requests and the schedule's ticks told apart |
//! | [`logging`] | the lines of the log, metrics among them |
//! | [`config`] | environment and Secrets Manager → settings, all faults at once; nothing else reads the environment |
//! | `webhook` | request → delivery → outcomes; its `answer` is the only place that chooses a status |
//! | [`sweep`] | a tick of the schedule: which pending events are due, and work on them |
//! | `authentication` | who may deliver: webhook secrets, Entra ID tokens |
//! | [`archive`] | one event, from stored and claimed to manifest or rejection; its chunks side by side |
//! | [`event_grid`] | pure: a body → events, or a reason why not |
//! | [`manifest`] | what was archived, or why not, as JSON |
//! | [`finality`] | pure: when a failure is final |
//! | [`transfer`] | one object: its record, its missing parts, its completion, each step a file; the time of a run and the slots that its parts share |
//! | [`store`] | the S3 client: conditional writes, uploads, listings |
//! | [`acs`] | the ACS client: signed requests or such with a token, replies verified against what was asked, bodies as they flow |
//! | [`plan`] | pure: length and part size → parts; minus what is listed → missing |
//! | [`media`] | pure: the container of an object: complete, and playable? by a few ranges of it |
//! | `access` | the current credentials: webhook secrets, and the ACS access key or Microsoft Entra tokens |
//! | [`keys`] | pure: the layout of the buckets; identities and locations |
//! | [`recording`] | pure: a recording and its chunks, ids and times |
//! | [`locations`] | pure: where an event may send us |
//! | [`cached`] | a cached value that is refreshed when it is stale or when a caller finds it wrong |
//! | [`metrics`] | what is measured: names, units, and the lines that CloudWatch takes them from |
//! | `outcome` | what can become of an event |
//! | [`limits`] | the numbers that all work by |
//! | [`error_chain`] | an error with its causes, on one line |
//! | `clock` | the time |
//!
//! # Identity
//!
//! An event is authenticated by a secret that all its senders share, so an event may be forged, and
//! nothing may be decided by a name that a forger can choose. Every key carries a hash of what the
//! thing *is*:
//!
//! - The *identity* of an event is a hash of its canonical form: a JSON array of the topic in lower
//!   case, the call, the start in UTC, the format, the class of the storage type, and the sorted
//!   chunks, each with index, documentId and the host and path of both locations. That is all that
//!   decides where a recording comes from, where it goes, and whether it may be fetched. A retry, a
//!   replayed dead letter and the other envelope have the same identity.
//! - The *location* of an object is a hash of the host and path that it is fetched from.
//!
//! No canonical form of one event can be forged into another's: JSON encodes an array injectively,
//! since texts are quoted and escaped, and `null` is no text; so equal forms mean equal fields. A
//! location with a scheme, userinfo or query of its own stands in the form as another type of value
//! than a plain one. What is left to a forger is to find a second event with the same 64 bits of
//! SHA-256, about 2^64 hashes; contents are compared by all 256.
//!
//! A name alone decides nothing. An object is ours if its own metadata names our documentId and
//! location; a record, if it names the object's key; a manifest, a rejection or a pending event, if
//! the event in it has the very keys that it was found under. What is something else is left as it
//! is, and the recording says so in its rejection. `Key` knows its bucket, and `Store` refuses to
//! replace or delete anything but unfinished work.
//!
//! # Decisions that a reader may wonder about
//!
//! - **The seam is the endpoint URL.** There is no trait with one implementor and no mock: the tests speak HTTP to an S3 and
//!   an ACS that are as strict as the real ones.
//! - **The record is read before the object is looked for.** A run that completes an object deletes its record
//!   afterwards, so a record that is no longer there means an object that already is. For the same reason the object is looked for once
//!   more when a record has been written, and then there is no third case: others were overtaken, or all was over. The run
//!   that has stored the event itself begins there, since nothing can have been left to it.
//! - **The first ranged reply is used.** It tells the length, and stays open until it is known what its bytes are: a small
//!   object, or part 1. The record carries the object's key as well, so that one that was left over can be ended.
//! - **A deadline ends the beginning of parts, not the parts.** A transfer that is only dropped has
//!   no lower bound on its progress: with parts that take longer than a run's share of time, a
//!   backlog is fetched for ever and nothing is kept. So each part's rate is measured; what cannot
//!   end in time is not begun, and of the parts in flight the furthest from their end are dropped
//!   until the rest can end. The process may still die at any point, and that is the interruption
//!   that the tests take everywhere.
//! - **Aborting is deletion.** Once ACS has deleted the source, the parts of an upload are the only
//!   copy. An upload is aborted in three cases: it lost the race to be recorded; a new record has
//!   replaced it because the source changed, the record first; its object is there and ours. After
//!   anything else it stays, and the bucket's lifecycle rule ends it after 30 days.
//! - **ETags that differ do not mean another source.** Nodes behind one address disagree for the
//!   same bytes, so a new upload would cost everything that was fetched. One reply without a range
//!   is consistent by itself: its bytes are held against the checksums of the parts that S3 has,
//!   and only parts that differ are put again. The object's `source-etag` is then that of the reply
//!   with which the upload was begun.
//! - **Parts of two replies are never one object.** A reply that is cut off while it replaces parts
//!   leaves those of two, and no number missing. So the record says `streamed` before the first of
//!   them is put, and such an upload is completed only with the checksum of a reply that was read to
//!   its end. A run that has not put all parts itself reads the record after it has listed them. The
//!   one case left is a source that gives one ETag to different bytes while two runs are at work.
//! - **A store is tried before it is trusted.** All promises rest on conditional writes, which some
//!   S3-compatible stores answer with 200 and ignore. Where the endpoint is not Amazon's own, an
//!   instance writes what must be refused before its first work, at a key that no other instance
//!   has, so that nobody else's write decides the verdict. The key is that of an attempt beside no
//!   event: what a process that dies leaves is cleared like any other. It is not tried at the start,
//!   since a stranger's request starts an instance too.
//! - **The container is the witness.** ACS gives neither a size nor a checksum, so "whole" is a
//!   header's word. Once every chunk is there, a few ranges of each are read back and parsed. The
//!   verdict is in the manifest and decides nothing: what ACS has sent is archived, and a check that
//!   fails is one that does not know.
//! - **A conflict at Complete replaces nothing at once.** AWS advises a new upload after a 409. The
//!   parts may be all that is left, so Complete is repeated first, and the old upload is kept beside
//!   the new one until there is an object.
//! - **A delivery makes no claim in its first minute**, so that the common case costs no call more.
//!   A pending event without `attempt.json` is left alone for two minutes instead.
//! - **Every tick may meet events that kill it.** A claim that ran out while at work was that of a
//!   process that died; an event with two such deaths is worked on with nothing beside it.
//! - **An outage of ours is the bucket's, not the event's.** After three failures of S3, KMS or
//!   permissions in a row a tick takes no more. The next tick of the same instance begins with one
//!   event; that this is remembered in memory alone only costs a few tries.
//! - **Lambda's payload is read here, not by `lambda_http`'s own conversion**, which decodes the body before anybody is
//!   authenticated and panics on one that is not base64, as on some paths and hosts. Its types of the payload are used.
//! - **A stalled source is timed in the body, not by the HTTP client**, whose timer also runs while S3 is slow to take
//!   what has come.
//! - **What a wrong credential shows is believed only after a look.** A secret or a key id that is not known is looked up
//!   again, within limits, and answered 401 only by what was just read: Event Grid does not try a 401 again, so one too many
//!   loses an event, where a 503 only delays it.
//! - **A handshake is held against the secret alone.** Event Grid sends the URL that was
//!   registered, with its query; it is not documented to send headers or tokens with a handshake.
//!   Which of the two decisions counts, on a delivery or on a handshake, is known once the body is
//!   read, which takes one of them to be favourable.
//! - **A token is not an access key.** It is refreshed ahead of its end, by one caller while the
//!   others go on with it, so that a slow issuer holds nobody up. The fault is ours where it cannot
//!   be obtained, and ACS's where it is refused: the first is never final. The assertion that it is
//!   exchanged for lives for a minute and is never kept.
//! - **Credentials that are not confirmed end.** A secret that was taken back must not live on
//!   because the reading that would tell fails, so webhook secrets last an hour. The access key
//!   lasts until ACS refuses it, which tells as well.
//! - **Ages are told by the wall clock**, within one process: Lambda freezes it between events, and
//!   other clocks stand still. Ages of what is in S3 begin with S3's own `LastModified`; a local clock
//!   that is wrong makes runs overlap or wait, and nothing else.
//! - **Two lines of events are served in turn**: those that were never tried, by the time that they
//!   were stored, and those that were, the longest ago first. No number of events that cannot be
//!   finished hides one that can. Of each line a thousand are remembered while listing.

/// The version of the crate and, in a release build, its commit: `0.1.0+1398cdb0c1d2`, with
/// `-dirty` where the sources differed from it.
pub const VERSION: &str = env!("ARCHIVER_VERSION");

mod access;
pub mod acs;
pub mod archive;
mod authentication;
pub mod cached;
mod clock;
pub mod config;
pub mod error_chain;
pub mod event_grid;
pub mod finality;
pub mod function;
pub mod keys;
pub mod limits;
pub mod locations;
pub mod logging;
pub mod manifest;
pub mod media;
pub mod metrics;
mod outcome;
pub mod plan;
pub mod recording;
pub mod store;
pub mod sweep;
pub mod transfer;
mod webhook;
