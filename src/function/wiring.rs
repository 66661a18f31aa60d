//! The handlers of invocations, wired from one read of the settings.

use std::sync::Arc;

use aws_config::SdkConfig;

use crate::access::{AccessKey, Credential, Resource, Secrets, Tokens};
use crate::acs::Client;
use crate::archive::Archive;
use crate::authentication::Authentication;
use crate::cached::Cached;
use crate::config::{Config, CredentialSource, Senders, Settings, Unusable};
use crate::keys::Layout;
use crate::limits::Limits;
use crate::metrics::Metric;
use crate::store::Store;
use crate::sweep::Sweep;
use crate::transfer::Transfers;
use crate::webhook::Webhook;

// The names of the cached values in the log.
const CONNECTION_STRING: &str = "connection string";
const WEBHOOK_SECRETS: &str = "webhook secrets";
const ENTRA_TOKEN: &str = "Microsoft Entra token for ACS";

/// The handlers of invocations.
#[derive(Debug)]
pub(super) struct Handlers {
    webhook: Webhook,
    pub(super) sweep: Sweep,
    pub(super) archive: Arc<Archive>,
    /// The source of tokens for downloads; `None` if the access key signs them.
    pub(super) tokens: Option<Tokens>,
}

impl AsRef<Webhook> for Handlers {
    fn as_ref(&self) -> &Webhook {
        &self.webhook
    }
}

/// The settings and clients that [`Handlers`] are made from.
#[derive(Clone)]
pub(super) struct Wiring {
    pub(super) settings: Settings,
    pub(super) sdk: SdkConfig,
    pub(super) http: reqwest::Client,
    pub(super) limits: Arc<Limits>,
}

impl Wiring {
    /// Reads the settings and makes the handlers.
    pub(super) async fn handlers(self) -> Result<Handlers, Unusable> {
        let config = self.settings.read().await?;
        Ok(self.wire(config))
    }

    /// Makes the handlers that `config` asks for.
    fn wire(self, config: Config) -> Handlers {
        let limits = &self.limits;
        let resource = config.resource;
        let need_a_secret = config.senders.need_a_secret();
        let Senders {
            secrets,
            tenant,
            require,
        } = config.senders;
        let (credential, tokens) = match config.credential {
            CredentialSource::AccessKey(first) => (self.access_key(&resource, first), None),
            CredentialSource::Entra(application) => {
                let tokens = Tokens::new(&self.sdk, self.http.clone(), application);
                (self.token(tokens.clone()), Some(tokens))
            }
        };
        let secrets = Arc::new(self.secrets(secrets, need_a_secret));
        let authentication = Authentication::new(secrets, tenant, require, &self.http, limits);
        let layout = Layout::new(config.prefix, config.buckets.pending(), resource.endpoint());
        // One store, one ACS client and one set of slots, which deliveries and ticks share: their
        // limits hold for the whole process.
        let store = Store::new(&self.sdk, config.buckets, config.force_path_style, limits);
        let acs = Client::new(
            self.http.clone(),
            Arc::new(credential),
            resource,
            config.allowed,
            limits,
        );
        let transfers = Transfers::new(
            store.clone(),
            acs.clone(),
            config.transfer_concurrency,
            Arc::clone(limits),
        );
        let archive = Arc::new(Archive::new(
            store,
            acs,
            transfers,
            layout,
            config.topics,
            Arc::clone(limits),
        ));
        let webhook = Webhook::new(
            Arc::clone(&archive),
            authentication,
            config.acknowledge,
            Arc::clone(limits),
        );
        Handlers {
            webhook,
            sweep: Sweep::new(Arc::clone(&archive), Arc::clone(limits)),
            archive,
            tokens,
        }
    }

    /// Returns the cached token for downloads. The first download reads it, so that a request that
    /// is turned away causes no call.
    fn token(&self, tokens: Tokens) -> Cached<Credential> {
        let read = move || {
            let tokens = tokens.clone();
            Box::pin(async move { Ok(Credential::Token(tokens.obtain().await?)) }) as _
        };
        Cached::new(ENTRA_TOKEN, None, self.limits.entra_token, read)
            .with_lifetime(Credential::lifetime)
            .counting_failures(Metric::TokensUnavailable)
    }

    /// Returns the cached access key. A refresh that finds the key of another resource fails: the
    /// recordings of `resource` are not there.
    fn access_key(&self, resource: &Resource, first: AccessKey) -> Cached<Credential> {
        let first = Credential::AccessKey(first);
        if self.settings.are_fixed() {
            return Cached::fixed(CONNECTION_STRING, first);
        }
        let (settings, known) = (self.settings.clone(), resource.clone());
        let read = move || {
            let (settings, known) = (settings.clone(), known.clone());
            Box::pin(async move {
                let (resource, access_key) = settings.read_connection().await?;
                if resource == known {
                    return Ok(Credential::AccessKey(access_key));
                }
                let fault = "the connection string is for another ACS resource, which this stack \
                             does not archive";
                Err(fault.into())
            }) as _
        };
        Cached::new(CONNECTION_STRING, Some(first), self.limits.secret, read)
            .counting_failures(Metric::SecretsUnreadable)
    }

    /// Returns the cached webhook secrets. If a delivery needs a secret and none is set, the next
    /// delivery reads them again.
    fn secrets(&self, first: Option<Secrets>, needed: bool) -> Cached<Option<Secrets>> {
        if self.settings.are_fixed() {
            return Cached::fixed(WEBHOOK_SECRETS, first);
        }
        let settings = self.settings.clone();
        let read = move || {
            let settings = settings.clone();
            Box::pin(async move { Ok(settings.read_secrets(needed).await?) }) as _
        };
        // `None` is a missing value, which the next use reads; `Some(None)` is the known absence of
        // secrets.
        let first = Some(first).filter(|first| first.is_some() || !needed);
        Cached::new(WEBHOOK_SECRETS, first, self.limits.secret, read)
            .valid_for(self.limits.webhook_secrets)
            .counting_failures(Metric::SecretsUnreadable)
    }
}
