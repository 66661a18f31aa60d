//! One run: both ends and the function up, everything delivered, what arrived looked at.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use acs_recording_archiver::function::Answer;
use indicatif::HumanBytes;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::arguments::Arguments;
use crate::check::{Checked, check};
use crate::deliveries::{Delivery, Input};
use crate::embedded::{Embedded, RESOURCE, SECRET};
use crate::grid::{Answered, Grid};
use crate::interrupt::Cut;
use crate::progress::watched;
use crate::recordings::{ExpectedChunk, Recordings};
use crate::report::{handshake, report, say};
use crate::setup::{setup, sizes};
use crate::table::table;
use crate::{archive, server};

/// A run in its course.
pub struct Run {
    pub embedded: Embedded,
    recordings: Arc<Recordings>,
    grid: Grid,
    url: String,
    part_size: u64,
    /// What was not as it must be, so far.
    differences: Vec<String>,
}

impl Run {
    /// Starts both ends, the function, and its URL.
    pub async fn start(arguments: &Arguments, inputs: &[Input]) -> Result<Self, String> {
        let setup = setup(arguments, inputs)?;
        let part_size = setup.limits.part_size;
        let embedded = Embedded::start(setup).await;
        let recordings = Arc::new(Recordings::new(embedded.acs.clone(), sizes(arguments))?);
        let address = server::start(embedded.function.clone(), Arc::clone(&recordings)).await;
        let origin = format!("http://{}", address.map_err(|error| error.to_string())?);
        Ok(Self {
            embedded,
            recordings,
            grid: Grid::new(origin.clone())?,
            url: format!("{origin}/?code={SECRET}"),
            part_size,
            differences: vec![],
        })
    }

    /// Says what is up.
    pub fn introduce(&self) {
        let (acs, s3) = (&self.embedded.acs, &self.embedded.s3);
        say(format_args!(
            "ACS is emulated as {RESOURCE} and {}, S3 is embedded at {}.",
            acs.media_host(),
            s3.endpoint()
        ));
        say(format_args!("The function is at {}\n", self.url));
    }

    /// Delivers everything; `must_archive` where nothing else will do.
    pub async fn deliver_all(
        &mut self,
        inputs: Vec<Input>,
        interrupt: bool,
        must_archive: bool,
    ) -> Result<(), String> {
        let mut cuts = 0;
        for input in inputs {
            match input {
                Input::Tick { name, payload } => self.tick(&name, &payload).await?,
                Input::Delivery(delivery) if interrupt => {
                    let delivery = delivery.of_now();
                    let chunks = self.publish(&delivery);
                    let cut = Cut::of(&chunks, self.part_size);
                    if cut.is_empty() {
                        self.deliver(&delivery, &chunks, must_archive).await?;
                    } else if self.interrupt(&delivery, &chunks, cut).await? {
                        cuts += 1;
                    }
                }
                Input::Delivery(delivery) => {
                    let chunks = self.publish(&delivery);
                    self.deliver(&delivery, &chunks, must_archive).await?;
                }
            }
        }
        if interrupt && cuts == 0 {
            let part = HumanBytes(self.part_size);
            self.differences.push(format!(
                "nothing was interrupted: no chunk that was fetched is larger than a part, {part} (see --size)"
            ));
        }
        Ok(())
    }

    /// Waits for Ctrl-C; others may deliver meanwhile.
    pub async fn serve(&self) -> Result<(), String> {
        say(format_args!(
            "\nServing until Ctrl-C. Deliver an event, or an array of them, from a file:"
        ));
        say(format_args!(
            "  curl -X POST '{}' -H 'content-type: application/json' -d @body.json",
            self.url
        ));
        say(format_args!("or what a sample file holds:"));
        say(format_args!(
            "  jq -r 'if .isBase64Encoded then .body | @base64d else .body end' events/recording-current.json |\n    curl -X POST '{}' -H 'content-type: application/json' -d @-\n",
            self.url
        ));
        let interrupted = tokio::signal::ctrl_c().await;
        interrupted.map_err(|error| error.to_string())
    }

    /// Checks what arrived, shows it, writes it to `folder`; what differs is the answer.
    pub fn conclude(&self, folder: &Path) -> Result<Vec<String>, String> {
        let Checked {
            objects,
            differences,
        } = check(&self.embedded.s3, &self.recordings.expected());
        say(format_args!("\n{}", table(&objects)));
        archive::write(folder, &objects)?;
        say(format_args!("The archive is in {}", archive::shown(folder)));
        Ok(self
            .differences
            .iter()
            .cloned()
            .chain(differences)
            .collect())
    }

    fn publish(&self, delivery: &Delivery) -> Vec<ExpectedChunk> {
        let recordings = self.recordings.publish(&delivery.body).into_iter();
        recordings.flat_map(|recording| recording.chunks).collect()
    }

    async fn deliver(
        &mut self,
        delivery: &Delivery,
        chunks: &[ExpectedChunk],
        must_archive: bool,
    ) -> Result<(), String> {
        let answered = self.send(delivery, chunks).await?;
        let handshake = handshake(delivery, &answered);
        if let Some(handshake) = &handshake {
            report(
                delivery,
                &answered,
                handshake.as_ref().unwrap_or_else(|why| why),
            );
        } else {
            report(delivery, &answered, &answered.summary());
        }
        match handshake {
            Some(Err(why)) => self.differ(delivery, &why),
            None if must_archive => self.must_be_archived(delivery, &answered),
            Some(Ok(_)) | None => {}
        }
        Ok(())
    }

    /// Delivers, with a bar for each chunk.
    pub async fn send(
        &self,
        delivery: &Delivery,
        chunks: &[ExpectedChunk],
    ) -> Result<Answered, String> {
        watched(chunks, &self.embedded.s3, self.grid.deliver(delivery)).await
    }

    async fn tick(&self, name: &str, payload: &Value) -> Result<(), String> {
        let payload = RawValue::from_string(payload.to_string());
        let payload = payload.map_err(|error| error.to_string())?;
        let function = &self.embedded.function;
        let answer = function.invoke(&payload, SystemTime::UNIX_EPOCH).await;
        match answer.map_err(|error| format!("{name}: {error}"))? {
            Answer::Tick(swept) => say(format_args!(
                "{name:28}  tick  {} pending, {} finished, the oldest {} s old",
                swept.pending, swept.finished, swept.oldest_seconds
            )),
            Answer::Http(answer) => say(format_args!(
                "{name:28}  {:4}  not a tick",
                answer.status_code
            )),
        }
        Ok(())
    }

    /// Notes a difference unless every event was archived.
    pub fn must_be_archived(&mut self, delivery: &Delivery, answered: &Answered) {
        let outcomes = answered.outcomes();
        let archived =
            !outcomes.is_empty() && outcomes.iter().all(|outcome| outcome.ends_with("rchived"));
        if answered.status != 200 || !archived {
            self.differ(
                delivery,
                "was not answered 200 with all its events archived",
            );
        }
    }

    /// Notes a difference.
    pub fn differ(&mut self, delivery: &Delivery, difference: &str) {
        let name = &delivery.name;
        self.differences.push(format!("{name}: {difference}"));
    }
}
