//! Where settings are read, and read again.

use std::ffi::OsString;
use std::fmt;
use std::sync::Arc;

use aws_config::SdkConfig;

use super::secret::Secret;
use super::{Config, Faults, variable};
use crate::access::Access;
use crate::kept::BoxError;

type Lookup = dyn Fn(&str) -> Option<OsString> + Send + Sync;

/// The environment, and the Secrets Manager secret that it names, if it names one.
#[derive(Clone)]
pub struct Settings {
    environment: Arc<Lookup>,
    secret: Option<Secret>,
}

/// Why there are no settings to work by.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// They were read, and are wrong.
    #[error(transparent)]
    Faults(#[from] Faults),
    /// The secret could not be read. That may pass.
    #[error("the secret could not be read from Secrets Manager")]
    Unread(#[source] BoxError),
}

impl Settings {
    /// Those of the process.
    #[must_use]
    pub fn from_env(sdk: &SdkConfig) -> Self {
        Self::new(sdk, variable)
    }

    /// Those that `environment` gives, and those in the secret that it names, read as `sdk` says.
    #[must_use]
    pub fn new(
        sdk: &SdkConfig,
        environment: impl Fn(&str) -> Option<OsString> + Send + Sync + 'static,
    ) -> Self {
        let id = environment("SECRET_ID").and_then(|id| id.into_string().ok());
        let id = id.map(|id| id.trim().to_owned());
        let secret = id
            .filter(|id| !id.is_empty())
            .map(|id| Secret::new(sdk, id));
        Self {
            environment: Arc::new(environment),
            secret,
        }
    }

    /// Whether they are the same whenever they are read.
    #[must_use]
    pub fn are_fixed(&self) -> bool {
        self.secret.is_none()
    }

    /// Reads them as they are now.
    ///
    /// # Errors
    ///
    /// [`Unusable`].
    pub async fn read(&self) -> Result<Config, Unusable> {
        self.read_with(|lookup| Config::read(lookup)).await
    }

    /// Reads those of them that may change while the function runs; whatever is wrong with others does not matter.
    ///
    /// # Errors
    ///
    /// [`Unusable`].
    pub async fn read_access(&self) -> Result<Access, Unusable> {
        self.read_with(|lookup| Config::read_access(lookup)).await
    }

    async fn read_with<T>(
        &self,
        read: impl Fn(&dyn Fn(&str) -> Option<OsString>) -> Result<T, Faults>,
    ) -> Result<T, Unusable> {
        let Some(secret) = &self.secret else {
            return Ok(read(&*self.environment)?);
        };
        let members = secret.read().await.map_err(Unusable::Unread)?;
        let members =
            members.map_err(|malformed| Faults::one("SECRET_ID", malformed.to_string()))?;
        Ok(read(&|name| match members.member(name) {
            Some(text) => Some(text.into()),
            None => (self.environment)(name),
        })?)
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("secret", &self.secret)
            .finish_non_exhaustive()
    }
}
