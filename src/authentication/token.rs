//! Event Grid's Entra ID tokens: which are its own. The JWT library looks at the clock for it.
//!
//! <https://learn.microsoft.com/azure/event-grid/secure-webhook-delivery>, and for the claims of either version
//! <https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference>.

use jsonwebtoken::crypto::{CryptoProvider, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::signature::{Error as SignatureError, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind, Validation};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use serde::Deserialize;
use url::Url;

/// Event Grid's application, in the public cloud and in that of the US Government:
/// <https://learn.microsoft.com/azure/event-grid/secure-webhook-delivery>.
const EVENT_GRID: [&str; 2] = [
    "4962773b-9cdb-44cf-a8bf-237846a00ab7",
    "54316b56-3481-47f9-8f30-0300f5542a7b",
];
/// Who issues tokens, whatever the authority: version 1 by one name in every cloud, version 2 by those.
const V1_ISSUER: &str = "https://sts.windows.net/";
const V2_AUTHORITIES: [&str; 2] = [
    "https://login.microsoftonline.com",
    "https://login.microsoftonline.us",
];
/// The clocks of two machines differ by less, in seconds.
const LEEWAY: u64 = 60;
/// The longest token that is looked at, in bytes; real ones have about 2 KiB.
const MAX_TOKEN: usize = 16 * 1024;

/// The tenant whose tokens let a delivery in, and for whom they must be made out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tenant {
    /// Its id, a GUID in lower case.
    pub(crate) id: String,
    /// The audiences: in tokens of version 2 always the application's id, in those of version 1 the
    /// id or the URI that was asked for.
    /// <https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference>
    pub(crate) audiences: Vec<String>,
    /// Where its keys are published.
    pub(crate) authority: Url,
}

/// A token that has the form of Event Grid's; who made it is still to be seen.
pub(super) struct Presented<'a> {
    token: &'a str,
    pub(super) key_id: String,
}

/// What of a token must be right besides its signature, audience, issuer and times.
#[derive(Deserialize)]
struct Claims {
    // Texts, where the standard would allow lists as well.
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
    /// Where its keys are published.
    pub(super) fn keys(&self) -> String {
        format!("{}/{}/discovery/v2.0/keys", self.base(), self.id)
    }

    /// Whether the token was made by this tenant, with `key`, for our audience and for Event Grid, and is valid now.
    pub(super) fn admits(&self, presented: &Presented<'_>, key: &DecodingKey) -> bool {
        // The error is that it is installed already.
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

    fn admits_claims(&self, claims: &Claims) -> bool {
        let mut callers = [&claims.appid, &claims.azp]
            .into_iter()
            .flatten()
            .peekable();
        claims.tid == self.id
            && callers.peek().is_some()
            && callers.all(|caller| EVENT_GRID.contains(&caller.as_str()))
    }

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
    /// Reads a token's header; `None` where it could not be Event Grid's whoever signed it, and nobody needs to be asked.
    pub(super) fn read(token: &'a str) -> Option<Self> {
        if token.len() > MAX_TOKEN {
            return None;
        }
        let header = jsonwebtoken::decode_header(token).ok()?;
        // RFC 7515, 4.1.11: what is critical and not understood makes a token invalid.
        let plain = header.alg == Algorithm::RS256 && header.crit.is_none();
        let key_id = header.kid.filter(|_| plain)?;
        Some(Self { token, key_id })
    }
}

/// The cryptography of `jsonwebtoken`: RS256 by ring, and nothing else.
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
    fn where_keys_are_and_who_issues() {
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
