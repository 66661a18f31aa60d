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
//! In reading order. Each imports only from those below it.
//!
//! | module | content |
//! |---|---|
//! | `main` | start-up |
//! | [`function`] | tells HTTP requests from the schedule's ticks |
//! | [`logging`] | the log, metrics included |
//! | `webhook` | request → delivery → outcomes → answer; only its `answer` chooses a status |
//! | [`config`] | environment and Secrets Manager → settings, or all faults at once |
//! | [`sweep`] | a tick of the schedule: finds the pending events that are due, and works on them |
//! | `authentication` | decides who may deliver: webhook secrets, Entra ID tokens |
//! | [`archive`] | one event, from stored and claimed to manifest or rejection |
//! | [`event_grid`] | pure: a body → events, or the reason why it has none |
//! | [`finality`] | pure: the time at which a failure is final |
//! | [`transfer`] | one object: its record, its missing parts, its completion |
//! | [`store`] | the S3 client: conditional writes, uploads, listings |
//! | [`acs`] | the ACS client: signed requests, verified replies, streamed bodies |
//! | [`plan`] | pure: length and part size → parts; less the listed parts → missing parts |
//! | [`documents`] | pure: the JSON documents: manifests, rejections, events that are set aside |
//! | [`media`] | pure: examines the container of an object by a few ranges |
//! | `access` | the current credentials: webhook secrets, access key or Entra tokens |
//! | [`keys`] | pure: the layout of the buckets; identities and locations |
//! | [`recording`] | pure: a recording and its chunks, ids and times |
//! | [`locations`] | pure: the hosts that an event may send us to |
//! | `cached` | a value that is refreshed when it is stale or when a caller finds it wrong |
//! | [`metrics`] | the metrics: names, units, log lines |
//! | `outcome` | the outcomes of an event |
//! | [`limits`] | the sizes, counts and times that bound the work |
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
pub mod documents;
pub mod error_chain;
pub mod event_grid;
pub mod finality;
pub mod function;
pub mod keys;
pub mod limits;
pub mod locations;
pub mod logging;
pub mod media;
pub mod metrics;
mod outcome;
pub mod plan;
pub mod recording;
pub mod store;
pub mod sweep;
pub mod transfer;
mod webhook;
