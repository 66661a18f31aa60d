//! The run: starts the emulators and the function, delivers, compares.

use std::sync::Arc;
use std::time::SystemTime;

use acs_recording_archiver::function::Answer;
use indicatif::HumanBytes;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::archive::Folder;
use crate::arguments::Arguments;
use crate::check::{Checked, check};
use crate::client::{Client, Reply};
use crate::deliveries::{Delivery, Input};
use crate::interrupt::Cut;
use crate::progress::watched;
use crate::recordings::{ExpectedChunk, Recordings};
use crate::report::{beside, handshake, padded, report};
use crate::screen::{columns, print};
use crate::serve;
use crate::server::{self, Served};
use crate::setup::{available_memory, setup, sizes};
use crate::table::table;
use harness::embedded::{Embedded, RESOURCE, SECRET};

/// A run in progress.
pub(crate) struct Run {
    pub(crate) embedded: Embedded,
    recordings: Arc<Recordings>,
    served: Arc<Served>,
    client: Client,
    url: String,
    part_size: u64,
    /// The differences so far.
    differences: Vec<String>,
}

impl Run {
    /// Starts the emulators, the function, and the Function URL.
    pub(crate) async fn start(arguments: &Arguments, inputs: &[Input]) -> Result<Self, String> {
        let setup = setup(arguments, inputs)?;
        let part_size = setup.limits.part_size;
        let embedded = Embedded::start(setup).await;
        let recordings = Arc::new(Recordings::new(
            embedded.acs.clone(),
            sizes(arguments),
            available_memory(),
        )?);
        let served = Served::new(&embedded, &recordings);
        let address = server::start(Arc::clone(&served), arguments.port).await;
        let origin = format!("http://{}", address?);
        Ok(Self {
            embedded,
            recordings,
            served,
            client: Client::new(origin.clone())?,
            url: format!("{origin}/?code={SECRET}"),
            part_size,
            differences: vec![],
        })
    }

    /// Prints the addresses.
    pub(crate) fn introduce(&self) {
        let (acs, s3) = (&self.embedded.acs, &self.embedded.s3);
        for (name, address) in [
            ("emulated ACS", RESOURCE),
            ("its media host", acs.media_host()),
            ("emulated S3", &s3.endpoint()),
            ("Function URL", &self.url),
        ] {
            print(beside(&format!("{name:16}"), address, columns()));
        }
        print("");
    }

    /// Delivers everything. With `must_archive`, any outcome but archived is a difference.
    pub(crate) async fn deliver_all(
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
                    let chunks = self.publish(&delivery)?;
                    let cut = Cut::of(&chunks, self.part_size);
                    if cut.is_empty() {
                        self.deliver(&delivery, &chunks, must_archive).await?;
                    } else if self.interrupt(&delivery, &chunks, cut).await? {
                        cuts += 1;
                    }
                }
                Input::Delivery(delivery) => {
                    let chunks = self.publish(&delivery)?;
                    self.deliver(&delivery, &chunks, must_archive).await?;
                }
            }
        }
        if interrupt && cuts == 0 {
            let part = HumanBytes(self.part_size);
            self.differences.push(format!(
                "nothing was interrupted: no fetched chunk is larger than a part, {part} \
                 (see --size)"
            ));
        }
        Ok(())
    }

    /// Prints the commands to deliver, list and audit, and reports deliveries until `end`.
    pub(crate) async fn serve(&self, end: impl Future<Output = ()>) -> Result<(), String> {
        let commands = serve::commands(&self.embedded, &self.url)?;
        print(format_args!("\n{commands}\n"));
        self.served.report_all();
        end.await;
        Ok(())
    }

    /// Compares the objects, lists them, writes them to `folder`, and returns all differences.
    pub(crate) fn conclude(&self, folder: &Folder) -> Result<Vec<String>, String> {
        let Checked {
            objects,
            differences,
        } = check(&self.embedded.s3, &self.recordings.expected());
        print(format_args!("\n{}", table(&objects, columns())));
        folder.write(&objects)?;
        print(format_args!("The archive is in {}", folder.shown()));
        Ok(self
            .differences
            .iter()
            .cloned()
            .chain(differences)
            .collect())
    }

    fn publish(&self, delivery: &Delivery) -> Result<Vec<ExpectedChunk>, String> {
        let recordings = self.recordings.publish(&delivery.body);
        let recordings = recordings.map_err(|fault| format!("{}: {fault}", delivery.name))?;
        let chunks = recordings
            .into_iter()
            .flat_map(|recording| recording.chunks);
        Ok(chunks.collect())
    }

    async fn deliver(
        &mut self,
        delivery: &Delivery,
        chunks: &[ExpectedChunk],
        must_archive: bool,
    ) -> Result<(), String> {
        let reply = self.send(delivery, chunks).await?;
        let handshake = handshake(delivery, &reply);
        let summary = match &handshake {
            Some(Ok(said) | Err(said)) => said.clone(),
            None => reply.summary(),
        };
        report(delivery, &reply, &summary, &self.embedded.s3);
        match handshake {
            Some(Err(why)) => self.differ(delivery, &why),
            None if must_archive => self.must_be_archived(delivery, &reply),
            Some(Ok(_)) | None => {}
        }
        Ok(())
    }

    /// Delivers and draws a bar for each chunk.
    pub(crate) async fn send(
        &self,
        delivery: &Delivery,
        chunks: &[ExpectedChunk],
    ) -> Result<Reply, String> {
        watched(chunks, &self.embedded.s3, self.client.deliver(delivery)).await
    }

    async fn tick(&self, name: &str, payload: &Value) -> Result<(), String> {
        let payload = RawValue::from_string(payload.to_string());
        let payload = payload.map_err(|error| error.to_string())?;
        let function = &self.embedded.function;
        let answer = function.invoke(&payload, SystemTime::UNIX_EPOCH).await;
        match answer.map_err(|error| format!("{name}: {error}"))? {
            Answer::Tick(swept) => {
                let (pending, finished) = (swept.pending, swept.finished);
                let oldest = swept.oldest_seconds;
                let told =
                    format!("tick  {pending} pending, {finished} finished, oldest {oldest} s");
                print(beside(&padded(name), &told, columns()));
            }
            Answer::Http(answer) => {
                let told = format!("{}  not a tick", answer.status_code);
                print(beside(&padded(name), &told, columns()));
            }
        }
        Ok(())
    }

    /// Adds a difference unless every event was archived.
    pub(crate) fn must_be_archived(&mut self, delivery: &Delivery, reply: &Reply) {
        let outcomes = reply.outcomes();
        let archived =
            !outcomes.is_empty() && outcomes.iter().all(|outcome| outcome.ends_with("rchived"));
        if reply.status != 200 || !archived {
            self.differ(delivery, "the answer is not 200 with every event archived");
        }
    }

    /// Adds a difference.
    pub(crate) fn differ(&mut self, delivery: &Delivery, difference: &str) {
        let name = &delivery.name;
        self.differences.push(format!("{name}: {difference}"));
    }
}
