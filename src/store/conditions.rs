//! The trial of conditional writes before the first work.
//!
//! The promise that nothing is replaced rests on conditional writes: a record of an upload, a claim
//! and an object are each written only if the key is free, or only over the version that was read.
//! Amazon S3 honours the conditions and is not tried. Some S3-compatible stores answer 200 and
//! ignore them. So if the SDK's endpoint is not Amazon's own, an instance writes one small object
//! twice on the condition that its key is free, and once more on an ETag that it does not have.
//!
//! The key is random, so that no other instance's write decides the verdict. The key has the form
//! of an attempt beside an event that is gone: if this process dies, a tick clears the object.

use std::sync::Arc;

use aws_config::SdkConfig;
use aws_types::service_config::ServiceConfigKey;
use tokio::sync::OnceCell;
use tracing::warn;

use super::{Error, JSON, Store, Written};
use crate::error_chain::error_chain;
use crate::keys::Key;

/// An ETag in the form of an MD5, which no object written here has.
const NO_ETAG: &str = "\"00000000000000000000000000000000\"";
const CONTENT: &[u8] = b"{}";

/// A condition that the store ignores; `None` if the store honours conditions.
type Verdict = Option<&'static str>;

/// The verdict on the store's conditional writes, once known.
#[derive(Clone, Debug)]
pub(super) struct Conditions(Arc<OnceCell<Verdict>>);

impl Conditions {
    /// A verdict without a trial for Amazon's own store; none yet for any other.
    pub(super) fn of(sdk: &SdkConfig) -> Self {
        let known = if has_other_endpoint(sdk) {
            OnceCell::new()
        } else {
            OnceCell::new_with(Some(None))
        };
        Self(Arc::new(known))
    }
}

/// Returns `true` if a setting of the SDK gives S3 another endpoint than Amazon's own.
fn has_other_endpoint(sdk: &SdkConfig) -> bool {
    // The SDK's S3 client reads it so: AWS_ENDPOINT_URL_S3, or `services` of a profile.
    let key = ServiceConfigKey::builder()
        .service_id("S3")
        .env("AWS_ENDPOINT_URL")
        .profile("endpoint_url")
        .build();
    let of_service = sdk.service_config().zip(key.ok());
    let of_service = of_service.and_then(|(config, key)| config.load_config(key));
    sdk.endpoint_url().is_some() || of_service.is_some()
}

impl Store {
    /// Checks that the store honours conditional writes, by a trial at the key that `trial` gives.
    /// The first verdict holds for all clones of this client.
    ///
    /// # Errors
    ///
    /// [`Error::Ignores`] if the store does not. With any other [`Error`] the trial itself has
    /// failed, and the next caller tries again.
    pub(crate) async fn verify(&self, trial: impl FnOnce() -> Key) -> Result<(), Error> {
        // Boxed, because the types of nested futures outgrow the compiler.
        let judge = || Box::pin(self.judge(trial()));
        match self.conditions.0.get_or_try_init(judge).await? {
            None => Ok(()),
            Some(condition) => Err(Error::Ignores(condition)),
        }
    }

    async fn judge(&self, key: Key) -> Result<Verdict, Error> {
        // If the answer is lost, the SDK's retry is refused because of the object just written,
        // which shows the same.
        let first = self.create(&key, CONTENT, JSON, None).await?;
        let verdict = self.try_conditions(&key, first).await;
        if let Err(error) = self.delete(&key).await {
            warn!(
                %key,
                error = error_chain(&error),
                "object of the conditional-write trial is left to a tick to delete"
            );
        }
        verdict
    }

    async fn try_conditions(&self, key: &Key, first: Written) -> Result<Verdict, Error> {
        if matches!(first, Written::Here(_))
            && let Written::Here(_) = self.create(key, CONTENT, JSON, None).await?
        {
            return Ok(Some("If-None-Match"));
        }
        let other = self.replace(key, CONTENT, NO_ETAG).await?;
        Ok(matches!(other, Written::Here(_)).then_some("If-Match"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;
    use crate::store::Buckets;
    use aws_config::{BehaviorVersion, Region};
    use aws_types::service_config::LoadServiceConfig;

    /// A profile, or an environment, with an endpoint for this service.
    #[derive(Debug)]
    struct EndpointOf(&'static str);

    impl LoadServiceConfig for EndpointOf {
        fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
            let asked = key.service_id() == self.0 && key.env() == "AWS_ENDPOINT_URL";
            asked.then(|| "https://s3.example.com".to_owned())
        }
    }

    fn sdk() -> aws_types::sdk_config::Builder {
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::from_static("eu-central-1"))
    }

    #[test]
    fn another_endpoint_is_one_of_s3_or_of_all_services() {
        for (sdk, other) in [
            (sdk(), false),
            (sdk().endpoint_url("https://s3.example.com"), true),
            (sdk().service_config(EndpointOf("S3")), true),
            (sdk().service_config(EndpointOf("Secrets Manager")), false),
        ] {
            assert_eq!(has_other_endpoint(&sdk.build()), other);
        }
    }

    #[tokio::test]
    async fn amazons_own_store_is_trusted_without_a_call() {
        let buckets = Buckets {
            recordings: "recordings".to_owned(),
            work: None,
        };
        let store = Store::new(&sdk().build(), buckets, false, &Limits::default());
        let verified = store.verify(|| panic!("a trial"));
        verified.await.expect("it is trusted");
    }
}
