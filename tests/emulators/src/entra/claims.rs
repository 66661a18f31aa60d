//! The claims of the tokens that Entra ID issues to Event Grid, in both versions.
//!
//! <https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference>

use serde_json::{Value, json};

/// The application id of Event Grid in the public cloud.
pub(super) const EVENT_GRID: &str = "4962773b-9cdb-44cf-a8bf-237846a00ab7";

/// The object id of Event Grid's service principal in the tenant.
const PRINCIPAL: &str = "0b1c2d3e-4f50-4617-8293-a4b5c6d7e8f9";

/// The claims of a token of version 1.0, valid from `from` to `until`, in seconds since 1970.
pub fn v1(tenant: &str, audience: &str, from: i64, until: i64) -> Value {
    let issuer = format!("https://sts.windows.net/{tenant}/");
    json!({
        "aud": audience,
        "iss": issuer,
        "iat": from,
        "nbf": from,
        "exp": until,
        "aio": "k2RgYGjKnfxqwuS1",
        "appid": EVENT_GRID,
        "appidacr": "2",
        "idp": issuer,
        "oid": PRINCIPAL,
        "rh": "1.AAAA",
        "sub": PRINCIPAL,
        "tid": tenant,
        "uti": "Zm9yIHRlc3RzIG9ubHk",
        "ver": "1.0",
    })
}

/// The claims of a token of version 2.0, valid from `from` to `until`, in seconds since 1970.
pub fn v2(tenant: &str, audience: &str, from: i64, until: i64) -> Value {
    json!({
        "aud": audience,
        "iss": format!("https://login.microsoftonline.com/{tenant}/v2.0"),
        "iat": from,
        "nbf": from,
        "exp": until,
        "aio": "k2RgYGjKnfxqwuS1",
        "azp": EVENT_GRID,
        "azpacr": "2",
        "oid": PRINCIPAL,
        "rh": "1.AAAA",
        "sub": PRINCIPAL,
        "tid": tenant,
        "uti": "Zm9yIHRlc3RzIG9ubHk",
        "ver": "2.0",
    })
}
