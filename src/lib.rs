//! Archives recordings of Azure Communication Services (ACS) calls in Amazon S3, before ACS deletes them after 24 hours.
//!
//! One AWS Lambda function behind a Function URL. Azure Event Grid calls it when a call has been recorded; it copies every
//! chunk of the recording, media and metadata, into a bucket: streaming, in parallel, resumably.
//!
//! # The story
//!
//! HTTP event → authenticated delivery → recording and its chunks → what S3 already has → missing parts → signed ranges
//! → parts → object → manifest → HTTP answer.
//!
//! An event is stored under `pending/`, in a bucket of its own where there is one, before any work
//! on it and is deleted from there last, so a listing of `pending/` is the list of unfinished work.
//! A media object is an upload whose id stands in a *record* beside the pending event. Its parts
//! lie on a grid that is fixed by length and part size, so any number of deliveries, on any
//! machines, can fill it together without knowing of one another: each lists what is there and
//! fetches what is missing. The object appears by one step, Complete, with the checksum of the
//! whole and only if there is none; the manifest is written once every chunk is there. Whoever dies
//! on the way has left everything in S3 that the next one needs.
//!
//! # The promises
//!
//! 1. An object appears only when it is whole, and never replaces one that is there.
//! 2. Nothing acknowledged is lost: 200 means archived, or set aside in the bucket with a reason; 202, which the operator
//!    has to choose, means stored in the bucket for the schedule to finish.
//! 3. No work is done twice: after any interruption, at most the parts that were in flight are fetched again.
//! 4. Any number of deliveries of an event, at the same time or after one another, end in the same bytes, without a lock
//!    or a clock: S3 is the only state.
//! 5. Memory does not grow with the recording, its chunks or its events beyond a small constant per stream.
//! 6. Nobody unauthenticated makes the function read a body or call ACS or S3, and a signature goes only to the ACS resource
//!    and its media hosts.
//! 7. No secret, signature, query string or media URL reaches a log, at any level, or an answer.
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
//! | [`webhook`] | request → delivery → outcomes; its `answer` is the only place that chooses a status |
//! | [`sweep`] | the schedule's entry: pending events through the archive |
//! | [`authentication`] | who may deliver: webhook secrets, Entra ID tokens |
//! | [`archive`] | one event, from stored to manifest or rejection; its chunks side by side |
//! | [`event_grid`] | pure: a body → events, or a reason why not |
//! | [`manifest`] | what was archived, or why not, as JSON |
//! | [`finality`] | pure: when a failure is final |
//! | [`transfer`] | one object: its record, its missing parts, its completion; each step a file |
//! | [`store`] | the S3 client: conditional writes, uploads, listings |
//! | [`acs`] | the ACS client: signed requests, replies verified against what was asked, bodies as they flow |
//! | [`plan`] | pure: length and part size → parts; minus what is listed → missing |
//! | [`access`] | what lets in and what signs, the settings that are rotated |
//! | [`keys`] | pure: the layout of the buckets; identities and locations |
//! | [`recording`] | pure: a recording and its chunks, ids and times |
//! | [`locations`] | pure: where an event may send us |
//! | [`kept`] | a value that is read from elsewhere, kept, and read again |
//! | [`metrics`] | what is measured: names, units, and the lines that CloudWatch takes them from |
//! | [`outcome`] | what can become of an event |
//! | [`limits`] | the numbers that all work by |
//! | [`chain`] | an error with its causes, in one line |
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
//! - **The record is read before the object is looked for.** Whoever completes an object deletes its record afterwards, so
//!   a record that is no longer there means an object that already is. For the same reason the object is looked for once
//!   more when a record has been written, and then there is no third case: others were overtaken, or all was over. The run
//!   that has stored the event itself begins there, since nothing can have been left to it.
//! - **The first ranged reply is used.** It tells the length, and stays open until it is known what its bytes are: a small
//!   object, or part 1. The record carries the object's key as well, so that one that was left over can be ended.
//! - **A transfer is dropped, not stopped.** A deadline cancels it wherever it is, as the end of the process would; there is
//!   one way to be interrupted, and it is the one that the tests take at every point.
//! - **Lambda's payload is read here, not by `lambda_http`'s own conversion**, which decodes the body before anybody is
//!   authenticated and panics on one that is not base64, as on some paths and hosts. Its types of the payload are used.
//! - **A stalled source is timed in the body, not by the HTTP client**, whose timer also runs while S3 is slow to take
//!   what has come.
//! - **What a wrong credential shows is believed only after a look.** A secret or a key id that is not known is looked up
//!   again, within limits, and answered 401 only by what was just read: Event Grid does not try a 401 again, so one too many
//!   loses an event, where a 503 only delays it.
//! - **Ages are told by the wall clock**, within one process: Lambda freezes it between events, and other clocks stand still.
//! - **The schedule takes the oldest event and, every second turn, one at random.** Events that use up their shares to no
//!   end would otherwise keep the same ones waiting in every tick.

pub mod access;
pub mod acs;
pub mod archive;
pub mod authentication;
pub mod chain;
mod clock;
pub mod config;
pub mod event_grid;
pub mod finality;
pub mod function;
pub mod kept;
pub mod keys;
pub mod limits;
pub mod locations;
pub mod logging;
pub mod manifest;
pub mod metrics;
pub mod outcome;
pub mod plan;
pub mod recording;
pub mod store;
pub mod sweep;
pub mod transfer;
pub mod webhook;
