//! The sources of settings, which are read at the start and again while the function runs.

use std::ffi::OsString;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_config::SdkConfig;
use tokio::task::JoinSet;
use tracing::Instrument as _;

use super::secret::{Malformed, Members, Secret};
use super::values::list;
use super::{Config, Faults, SETTINGS, variable};
use crate::access::{AccessKey, Resource, Secrets};
use crate::cached::BoxError;

type Lookup = dyn Fn(&str) -> Option<OsString> + Send + Sync;

const SECRET_ID: &str = "SECRET_ID";
const WEBHOOK_SECRETS: &str = "WEBHOOK_SECRETS";
const CONNECTION_STRING: &str = "COMMUNICATION_SERVICES_CONNECTION_STRING";

/// The environment, and the secrets that its `SECRET_ID` names.
#[derive(Clone)]
pub struct Settings {
    environment: Arc<Lookup>,
    secrets: Arc<[Secret]>,
    positions: Arc<Positions>,
}

/// The positions of the secrets that had the credentials when these were last read. A refresh reads
/// that secret first, so that a fault of another secret does not stop it.
#[derive(Default)]
struct Positions {
    webhook_secrets: AtomicUsize,
    connection_string: AtomicUsize,
}

/// The failure to read the settings.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// The settings are invalid.
    #[error(transparent)]
    Faults(#[from] Faults),
    /// A secret could not be read, which may pass.
    #[error("secret {number} of {of} could not be read from Secrets Manager")]
    Unread {
        /// The secret's position in `SECRET_ID`, from 1.
        number: usize,
        /// The number of secrets in `SECRET_ID`.
        of: usize,
        /// The cause.
        #[source]
        source: BoxError,
    },
}

impl Settings {
    /// Returns the settings of the process.
    #[must_use]
    pub fn from_env(sdk: &SdkConfig) -> Self {
        Self::new(sdk, variable)
    }

    /// Returns the settings of `environment` and of the secrets that it names, which are read by
    /// the SDK's configuration.
    #[must_use]
    pub fn new(
        sdk: &SdkConfig,
        environment: impl Fn(&str) -> Option<OsString> + Send + Sync + 'static,
    ) -> Self {
        let ids = environment(SECRET_ID).and_then(|ids| ids.into_string().ok());
        let ids = ids.unwrap_or_default();
        let secrets = list(&ids).map(|id| Secret::new(sdk, id.to_owned()));
        Self {
            environment: Arc::new(environment),
            secrets: secrets.collect(),
            positions: Arc::default(),
        }
    }

    /// Returns `true` if the settings cannot change while the function runs.
    pub(crate) fn are_fixed(&self) -> bool {
        self.secrets.is_empty()
    }

    /// Reads the current settings.
    pub(crate) async fn read(&self) -> Result<Config, Unusable> {
        let secrets = self.read_all().await?;
        let find = |name: &str| {
            let mut secrets = secrets.iter();
            secrets.position(|members| members.member(name).is_some())
        };
        // Of a setting in two secrets, a new value in one of them could have no effect.
        let of_many = |name: &&str| {
            let having = secrets
                .iter()
                .filter(|members| members.member(name).is_some());
            having.count() > 1
        };
        let mut faults = Faults::default();
        for name in SETTINGS.into_iter().filter(of_many) {
            faults.push(name, "is in more than one of the secrets of SECRET_ID");
        }
        if !faults.is_empty() {
            return Err(faults.into());
        }
        // Remembered for the refreshes, which read one secret instead of all.
        for (name, position) in [
            (WEBHOOK_SECRETS, &self.positions.webhook_secrets),
            (CONNECTION_STRING, &self.positions.connection_string),
        ] {
            position.store(find(name).unwrap_or_default(), Ordering::Relaxed);
        }
        Ok(Config::read(|name| {
            let member = secrets.iter().find_map(|members| members.member(name));
            member.map_or_else(|| (self.environment)(name), |text| Some(text.into()))
        })?)
    }

    /// Reads the current ACS resource and access key. Faults of other settings do not matter.
    pub(crate) async fn read_connection(&self) -> Result<(Resource, AccessKey), Unusable> {
        let text = self.read_member(CONNECTION_STRING, &self.positions.connection_string);
        let text = text.await?;
        Ok(Config::read_connection(|_| text.clone())?)
    }

    /// Reads the current webhook secrets. To have none is a fault if they are `needed`. Faults of
    /// other settings do not matter.
    pub(crate) async fn read_secrets(&self, needed: bool) -> Result<Option<Secrets>, Unusable> {
        let text = self.read_member(WEBHOOK_SECRETS, &self.positions.webhook_secrets);
        let text = text.await?;
        let secrets = Config::read_secrets(|_| text.clone())?;
        if secrets.is_none() && needed {
            let missing = "is required: without a webhook secret, no delivery can be verified";
            return Err(Faults::one(WEBHOOK_SECRETS, missing).into());
        }
        Ok(secrets)
    }

    /// Reads one setting: from the secret that had it last, else from another that has it now, else
    /// from the environment.
    async fn read_member(
        &self,
        name: &str,
        position: &AtomicUsize,
    ) -> Result<Option<OsString>, Unusable> {
        let last = position.load(Ordering::Relaxed);
        let others = (0..self.secrets.len()).filter(|place| *place != last);
        for place in [last].into_iter().chain(others) {
            let Some(secret) = self.secrets.get(place) else {
                continue;
            };
            let members = self.checked(place, secret.read().await)?;
            if let Some(text) = members.member(name) {
                position.store(place, Ordering::Relaxed);
                return Ok(Some(text.into()));
            }
        }
        Ok((self.environment)(name))
    }

    /// Reads all secrets concurrently.
    async fn read_all(&self) -> Result<Vec<Members>, Unusable> {
        let mut reading = JoinSet::new();
        for (place, secret) in self.secrets.iter().cloned().enumerate() {
            let read = async move { (place, secret.read().await) };
            reading.spawn(read.in_current_span());
        }
        let mut all = vec![];
        while let Some(read) = reading.join_next().await {
            let (place, read) = read.map_err(|error| self.unread(0, error.into()))?;
            all.push((place, self.checked(place, read)?));
        }
        all.sort_by_key(|(place, _)| *place);
        Ok(all.into_iter().map(|(_, members)| members).collect())
    }

    /// Returns the members of the secret at `place`, or its failure with the secret's position.
    fn checked(
        &self,
        place: usize,
        read: Result<Result<Members, Malformed>, BoxError>,
    ) -> Result<Members, Unusable> {
        let members = read.map_err(|source| self.unread(place, source))?;
        members.map_err(|malformed| {
            let (number, of) = (place + 1, self.secrets.len());
            let fault = format!("{malformed} (secret {number} of {of})");
            Faults::one(SECRET_ID, fault).into()
        })
    }

    /// Returns the failure to read the secret at `place`.
    fn unread(&self, place: usize, source: BoxError) -> Unusable {
        Unusable::Unread {
            number: place + 1,
            of: self.secrets.len(),
            source,
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("secrets", &self.secrets)
            .finish_non_exhaustive()
    }
}
