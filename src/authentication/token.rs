//! The verification of Entra ID tokens that are issued to Event Grid. Pure, save that the JWT
//! library reads the clock.
//!
//! <https://learn.microsoft.com/azure/event-grid/secure-webhook-delivery>,
//! <https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference>

use jsonwebtoken::crypto::{CryptoProvider, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::signature::{Error as SignatureError, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind, Validation};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use serde::Deserialize;
use url::Url;

/// The ids of Event Grid's application, in the public cloud and in that of the US Government.
/// <https://learn.microsoft.com/azure/event-grid/secure-webhook-delivery>
const EVENT_GRID: [&str; 2] = [
    "4962773b-9cdb-44cf-a8bf-237846a00ab7",
    "54316b56-3481-47f9-8f30-0300f5542a7b",
];
/// The issuer of tokens of version 1, the same in every cloud.
const V1_ISSUER: &str = "https://sts.windows.net/";
/// The issuers of tokens of version 2, besides the tenant's own authority.
const V2_AUTHORITIES: [&str; 2] = [
    "https://login.microsoftonline.com",
    "https://login.microsoftonline.us",
];
/// The largest difference between the clocks of Entra and of this machine, in seconds.
const LEEWAY: u64 = 60;
/// The longest token that is parsed, in bytes; real ones have about 2 KiB.
const MAX_TOKEN: usize = 16 * 1024;

/// The tenant whose tokens admit a delivery, and the audiences that they must name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tenant {
    /// The tenant's id, a GUID in lower case.
    pub(crate) id: String,
    /// The audiences: the application's id in tokens of version 2, the id or the URI that was asked
    /// for in those of version 1.
    /// <https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference>
    pub(crate) audiences: Vec<String>,
    /// The authority that publishes the tenant's keys.
    pub(crate) authority: Url,
}

/// A token of the right form, not verified yet.
pub(super) struct Presented<'a> {
    token: &'a str,
    pub(super) key_id: String,
}

/// The claims that are compared here. The library verifies the issuer, the audience and the times.
#[derive(Deserialize)]
struct Claims {
    // Required to be strings: the standard allows lists, which Entra does not send.
    #[serde(rename = "iss")]
    _issuer: String,
    #[serde(rename = "aud")]
    _audience: String,
    tid: String,
    /// The caller in version 1.
    appid: Option<String>,
    /// The caller in version 2.
    azp: Option<String>,
}

impl Tenant {
    /// Returns the URL of the tenant's keys.
    pub(super) fn keys(&self) -> String {
        format!("{}/{}/discovery/v2.0/keys", self.base(), self.id)
    }

    /// Returns `true` if the token is valid now, signed with `key`, and issued by this tenant to
    /// Event Grid for one of the audiences.
    pub(super) fn admits(&self, presented: &Presented<'_>, key: &DecodingKey) -> bool {
        // Fails only if a provider is installed already.
        let _ = RING.install_default();
        let mut validation = Validation::new(Algorithm::RS256);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        validation.set_audience(&self.audiences);
        validation.set_issuer(&self.issuers());
        validation.validate_nbf = true;
        validation.leeway = LEEWAY;
        let decoded = jsonwebtoken::decode::<Claims>(presented.token, key, &validation);
        decoded.is_ok_and(|decoded| self.admits_claims(&decoded.claims))
    }

    /// Returns `true` if the claims name this tenant and Event Grid, and no other caller beside it.
    fn admits_claims(&self, claims: &Claims) -> bool {
        let mut callers = [&claims.appid, &claims.azp]
            .into_iter()
            .flatten()
            .peekable();
        claims.tid == self.id
            && callers.peek().is_some()
            && callers.all(|caller| EVENT_GRID.contains(&caller.as_str()))
    }

    /// Returns the authority without a slash at its end.
    fn base(&self) -> &str {
        self.authority.as_str().trim_end_matches('/')
    }

    fn issuers(&self) -> Vec<String> {
        let v2 = V2_AUTHORITIES.into_iter().chain([self.base()]);
        let v2 = v2.map(|authority| format!("{authority}/{}/v2.0", self.id));
        v2.chain([format!("{V1_ISSUER}{}/", self.id)]).collect()
    }
}

impl<'a> Presented<'a> {
    /// Reads a token's header. `None` if no key could make it a token of Event Grid's, so that no
    /// key needs to be fetched.
    pub(super) fn read(token: &'a str) -> Option<Self> {
        if token.len() > MAX_TOKEN {
            return None;
        }
        let header = jsonwebtoken::decode_header(token).ok()?;
        // A critical extension that is not understood makes a token invalid:
        // <https://www.rfc-editor.org/rfc/rfc7515#section-4.1.11>
        let plain = header.alg == Algorithm::RS256 && header.crit.is_none();
        let key_id = header.kid.filter(|_| plain)?;
        Some(Self { token, key_id })
    }
}

/// The cryptography for `jsonwebtoken`: RS256 by ring, and nothing else.
static RING: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| Err(ErrorKind::UnsupportedAlgorithm.into()),
    verifier_factory: |algorithm, key| match (algorithm, key.kind()) {
        (Algorithm::RS256, DecodingKeyKind::RsaModulusExponent { n, e }) => Ok(Box::new(Rs256 {
            modulus: n.clone(),
            exponent: e.clone(),
        })),
        _ => Err(ErrorKind::UnsupportedAlgorithm.into()),
    },
    key_utils: KeyUtils::new_unimplemented(),
};

/// An RSA key that verifies signatures of RS256.
struct Rs256 {
    modulus: Vec<u8>,
    exponent: Vec<u8>,
}

impl Verifier<Vec<u8>> for Rs256 {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), SignatureError> {
        let (n, e) = (&self.modulus, &self.exponent);
        RsaPublicKeyComponents { n, e }
            .verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
            .map_err(|_| SignatureError::new())
    }
}

impl JwtVerifier for Rs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::RS256
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(authority: &str) -> Tenant {
        Tenant {
            id: "11111111-2222-3333-4444-555555555555".into(),
            audiences: vec!["api://archive".into()],
            authority: Url::parse(authority).unwrap(),
        }
    }

    #[test]
    fn the_urls_of_keys_and_the_names_of_issuers() {
        for (authority, keys) in [
            (
                "https://login.microsoftonline.com",
                "https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555/discovery/v2.0/keys",
            ),
            (
                "https://login.example/base/",
                "https://login.example/base/11111111-2222-3333-4444-555555555555/discovery/v2.0/keys",
            ),
        ] {
            assert_eq!(tenant(authority).keys(), keys);
        }
        let issuers = tenant("https://login.partner.microsoftonline.cn").issuers();
        for issuer in [
            "https://sts.windows.net/11111111-2222-3333-4444-555555555555/",
            "https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555/v2.0",
            "https://login.microsoftonline.us/11111111-2222-3333-4444-555555555555/v2.0",
            "https://login.partner.microsoftonline.cn/11111111-2222-3333-4444-555555555555/v2.0",
        ] {
            assert!(issuers.contains(&issuer.to_owned()), "{issuer}");
        }
        assert_eq!(issuers.len(), 4);
    }

    #[test]
    fn the_caller_is_event_grid_in_either_claim_and_in_both() {
        let [public, government] = EVENT_GRID.map(|id| Some(id.to_owned()));
        let other = Some("00000000-0000-0000-0000-000000000000".to_owned());
        let own = "11111111-2222-3333-4444-555555555555";
        for (appid, azp, tid, admitted) in [
            (&public, &None, own, true),
            (&None, &public, own, true),
            (&government, &None, own, true),
            (&public, &government, own, true),
            (&None, &None, own, false),
            (&other, &None, own, false),
            (&public, &other, own, false),
            (&other, &public, own, false),
            (
                &public,
                &None,
                "99999999-2222-3333-4444-555555555555",
                false,
            ),
            (&public, &None, "", false),
        ] {
            let claims = Claims {
                _issuer: String::new(),
                _audience: String::new(),
                tid: tid.into(),
                appid: appid.clone(),
                azp: azp.clone(),
            };
            let tenant = tenant("https://login.microsoftonline.com");
            assert_eq!(
                tenant.admits_claims(&claims),
                admitted,
                "{appid:?} {azp:?} {tid}"
            );
        }
    }
}
