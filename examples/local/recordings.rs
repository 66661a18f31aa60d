//! The documents of the emulated ACS: generated media for each document that an event names.

use std::collections::BTreeMap;
use std::iter::Cycle;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::vec;

use acs_recording_archiver::event_grid::{self, Event};
use acs_recording_archiver::keys::{Layout, Pending, Prefix};
use acs_recording_archiver::locations::AllowedLocations;
use acs_recording_archiver::recording::{Chunk, Format, Recording};
use bytes::Bytes;
use emulators::acs::{Acs, Document};
use emulators::media::{self, Media};
use indicatif::HumanBytes;
use serde_json::{Value, json};
use url::Url;

/// The prefix of all keys, which is the default of the function.
pub(crate) const PREFIX: &str = "recordings/";

/// A recording that an event named.
#[derive(Clone, Debug)]
pub(crate) struct Expected {
    /// The event, as JSON.
    pub(crate) event: Value,
    pub(crate) manifest_key: String,
    pub(crate) rejection_key: String,
    /// The chunks with valid locations.
    pub(crate) chunks: Vec<ExpectedChunk>,
}

/// The documents of a chunk and the keys of its objects.
#[derive(Clone, Debug)]
pub(crate) struct ExpectedChunk {
    pub(crate) index: u64,
    pub(crate) document_id: String,
    /// The document id in the content location.
    pub(crate) source_id: String,
    pub(crate) media_key: String,
    pub(crate) media: Media,
    pub(crate) metadata_key: String,
    pub(crate) metadata: Bytes,
}

/// The recordings of the emulated ACS.
#[derive(Debug)]
pub(crate) struct Recordings {
    acs: Acs,
    allowed: AllowedLocations,
    layout: Layout,
    held: Mutex<Held>,
}

#[derive(Debug)]
struct Held {
    /// The sizes of the next documents.
    sizes: Cycle<vec::IntoIter<u64>>,
    /// The bytes of memory left; unknown on some systems.
    memory: Option<u64>,
    documents: BTreeMap<String, Document>,
    /// By the key of the manifest.
    expected: BTreeMap<String, Expected>,
}

impl Recordings {
    /// Creates the empty set. Chunks will have these sizes in turn, and fill `memory` at most.
    pub(crate) fn new(acs: Acs, sizes: Vec<u64>, memory: Option<u64>) -> Result<Self, String> {
        let endpoint = Url::parse(&acs.endpoint()).map_err(|error| error.to_string())?;
        Ok(Self {
            allowed: allowed(&acs.endpoint())?,
            layout: Layout::new(Prefix::new(PREFIX)?, Pending::OwnBucket, &endpoint),
            acs,
            held: Mutex::new(Held {
                sizes: sizes.into_iter().cycle(),
                memory,
                documents: BTreeMap::new(),
                expected: BTreeMap::new(),
            }),
        })
    }

    /// Publishes the documents that the events of a body name on hosts of ACS. Fails if the media
    /// does not fit into memory, where S3 stores it.
    pub(crate) fn publish(&self, body: &[u8]) -> Result<Vec<Expected>, String> {
        let mut held = self.lock();
        let expected: Vec<Expected> = recordings(body)
            .iter()
            .map(|recording| self.expect(recording, &mut held))
            .collect::<Result<_, _>>()?;
        for recording in &expected {
            let key = recording.manifest_key.clone();
            // The first event wins, as it does in the bucket.
            held.expected
                .entry(key)
                .or_insert_with(|| recording.clone());
        }
        Ok(expected)
    }

    /// The recordings published so far.
    pub(crate) fn expected(&self) -> Vec<Expected> {
        self.lock().expected.values().cloned().collect()
    }

    fn expect(&self, recording: &Recording, held: &mut Held) -> Result<Expected, String> {
        let keys = self.layout.keys(recording);
        let chunks = recording.chunks.iter().filter_map(|chunk| {
            let source_id = self.id(chunk.content_location.as_deref(), chunk)?;
            let metadata_id = self.id(chunk.metadata_location.as_deref(), chunk)?;
            let document = held.document(&source_id, recording, chunk);
            let described = held.document(&metadata_id, recording, chunk);
            let (document, described) = match (document, described) {
                (Ok(document), Ok(described)) => (document, described),
                (Err(fault), _) | (_, Err(fault)) => return Some(Err(fault)),
            };
            self.acs.add(document.clone());
            self.acs.add(described.clone());
            Some(Ok(ExpectedChunk {
                index: chunk.index,
                document_id: chunk.document_id.clone(),
                source_id,
                media_key: keys.media(chunk).to_string(),
                media: document.media,
                metadata_key: keys.metadata(chunk).to_string(),
                metadata: described.metadata,
            }))
        });
        let chunks = chunks.collect::<Result<_, _>>()?;
        Ok(Expected {
            event: serde_json::from_str(recording.event.get()).unwrap_or_default(),
            manifest_key: keys.manifest().to_string(),
            rejection_key: keys.rejection().to_string(),
            chunks,
        })
    }

    /// The document id in a location, or that of the chunk in the form of 2021, which has no
    /// locations. `None` if the location is not allowed.
    fn id(&self, location: Option<&str>, chunk: &Chunk) -> Option<String> {
        let Some(location) = location else {
            return Some(chunk.document_id.clone());
        };
        let location = self.allowed.admit(location).ok()?;
        let mut segments = location.url().path_segments()?.skip(2);
        segments.next().map(str::to_owned)
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// The document of this id, created on first use.
    fn document(
        &mut self,
        id: &str,
        recording: &Recording,
        chunk: &Chunk,
    ) -> Result<Document, String> {
        if let Some(document) = self.documents.get(id) {
            return Ok(document.clone());
        }
        let format = match recording.format {
            Format::Mp4 => media::Format::Mp4,
            Format::Mp3 => media::Format::Mp3,
            Format::Wav => media::Format::Wav,
        };
        // The seed follows from the id, so that every run generates the same bytes.
        let seed = id.bytes().fold(0, |seed: u64, byte| {
            seed.wrapping_mul(31).wrapping_add(byte.into())
        });
        let size = self.sizes.next().unwrap_or(1);
        if let Some(memory) = &mut self.memory {
            // S3 holds an object twice while it combines the parts.
            if size.saturating_mul(2) > *memory {
                return Err(no_room(size, *memory));
            }
            *memory -= size;
        }
        let metadata = json!({
            "resourceId": "acs-resource-of-the-local-run",
            "callId": recording.call_id(),
            "chunkDocumentId": chunk.document_id,
            "chunkIndex": chunk.index,
        });
        let document = Document {
            metadata: format!("{metadata:#}\n").into(),
            ..Document::new(id, Media::new(format, size, seed))
        };
        self.documents.insert(id.to_owned(), document.clone());
        Ok(document)
    }
}

fn no_room(size: u64, memory: u64) -> String {
    let (size, memory) = (HumanBytes(size), HumanBytes(memory));
    format!(
        "a chunk of {size} does not fit into memory: {memory} are left, and completing its upload \
         needs twice its size (see --size)"
    )
}

/// The media hosts that the events of a body name.
pub(crate) fn hosts(body: &[u8], endpoint: &str) -> Result<Vec<String>, String> {
    let allowed = allowed(endpoint)?;
    let hosts = recordings(body)
        .into_iter()
        .flat_map(|recording| recording.chunks)
        .flat_map(|chunk| [chunk.content_location, chunk.metadata_location])
        .flatten()
        .filter_map(|location| {
            let location = allowed.admit(&location).ok()?;
            location.url().host_str().map(str::to_owned)
        });
    Ok(hosts.collect())
}

fn recordings(body: &[u8]) -> Vec<Recording> {
    let events = event_grid::events(body).unwrap_or_default();
    let recordings = events.into_iter().filter_map(|event| match event {
        Event::Recording(recording) => Some(*recording),
        _ => None,
    });
    recordings.collect()
}

fn allowed(endpoint: &str) -> Result<AllowedLocations, String> {
    let endpoint = Url::parse(endpoint).map_err(|error| error.to_string())?;
    Ok(AllowedLocations::new(&endpoint, &[]))
}
