//! The senders that may deliver.

use std::ffi::OsString;

use url::Url;

use super::reader::Reader;
use super::values::{audiences, guid};
use crate::access::Secrets;
use crate::authentication::{Require, Tenant};

/// The senders that may deliver.
#[derive(Debug)]
pub(crate) struct Senders {
    /// Senders with one of these secrets, which may change while the function runs.
    pub(crate) secrets: Option<Secrets>,
    /// Senders with an Entra ID token of this tenant.
    pub(crate) tenant: Option<Tenant>,
    /// The credentials that a sender needs: either of the two, or both.
    pub(crate) require: Require,
}

impl Senders {
    /// Returns `true` if no sender is admitted without a webhook secret.
    pub(crate) fn need_a_secret(&self) -> bool {
        self.tenant.is_none() || self.require == Require::Both
    }
}

/// Reads the webhook secrets.
pub(super) fn secrets<F>(reader: &mut Reader<F>) -> Option<Secrets>
where
    F: Fn(&str) -> Option<OsString>,
{
    reader.parsed("WEBHOOK_SECRETS", |text| {
        Secrets::parse(text).map_err(|error| error.to_string())
    })
}

/// Reads the senders that may deliver. To have no webhook secret is no fault: a function that
/// serves only the schedule needs none, and one that serves deliveries answers 503 until a secret
/// is set.
pub(super) fn senders<F>(reader: &mut Reader<F>, authority: Option<Url>) -> Senders
where
    F: Fn(&str) -> Option<OsString>,
{
    let secrets = secrets(reader);
    let id = reader.parsed("ENTRA_TENANT_ID", |text| guid(text, "the tenant's id"));
    let audiences = reader.parsed("ENTRA_AUDIENCE", audiences);
    let require = reader.parsed("REQUIRE", |text| match text {
        "any" => Ok(Require::Any),
        "both" => Ok(Require::Both),
        _ => Err("must be `any` or `both`".to_owned()),
    });
    // By what is set, not by what is valid: an invalid value has a fault of its own already.
    match (
        reader.is_set("ENTRA_TENANT_ID"),
        reader.is_set("ENTRA_AUDIENCE"),
    ) {
        (true, false) => reader.fault("ENTRA_AUDIENCE", "is required with ENTRA_TENANT_ID"),
        (false, true) => reader.fault("ENTRA_TENANT_ID", "is required with ENTRA_AUDIENCE"),
        (false, false) if require == Some(Require::Both) => {
            reader.fault("REQUIRE", "is `both`, which needs ENTRA_TENANT_ID as well");
        }
        (true, true) | (false, false) => {}
    }
    let tenant = id.zip(audiences).zip(authority);
    let tenant = tenant.map(|((id, audiences), authority)| Tenant {
        id,
        audiences,
        authority,
    });
    Senders {
        secrets,
        tenant,
        require: require.unwrap_or_default(),
    }
}
