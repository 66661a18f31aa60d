//! Archives recordings of Azure Communication Services (ACS) calls in Amazon S3, before ACS deletes
//! them after 24 hours.
//!
//! An AWS Lambda function behind a Function URL. Azure Event Grid calls it when a call has been
//! recorded. It copies every chunk of the recording, media and metadata, into a bucket: streaming,
//! in parallel, resumably. A schedule also calls it, to finish pending events; as deployed, through
//! a second function of the same artefact.
//!
//! # Flow
//!
//! HTTP event → authenticated delivery → stored event → recording and its chunks → parts that S3
//! already has → missing parts → signed ranges → parts → object → check of its container → manifest
//! → HTTP answer.
//!
//! `docs/architecture.md` describes the steps, the promises, the identity of an event, and the
//! decisions.
//!
//! # Modules
//!
//! In reading order. Each imports only from those below it, except that all may use the last six.
//!
//! | module | content |
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
//! | `cached` | a cached value that is refreshed when it is stale or when a caller finds it wrong |
//! | [`metrics`] | what is measured: names, units, and the lines that CloudWatch takes them from |
//! | `outcome` | what can become of an event |
//! | [`limits`] | the numbers that all work by |
//! | [`error_chain`] | an error with its causes, on one line |
//! | `clock` | the time |

/// The version of the crate and, in a release build, its commit: `0.1.0+1398cdb0c1d2`, with
/// `-dirty` where the sources differed from it.
pub const VERSION: &str = env!("ARCHIVER_VERSION");

mod access;
pub mod acs;
pub mod archive;
mod authentication;
mod cached;
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
