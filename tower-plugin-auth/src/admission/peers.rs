//! Engine: admission by who was verified to be calling.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use tower_plugin_core::Principal;

use super::RefusalReason;
use crate::{config::InvalidConfig, token::SelfId};

/// The peers that may join: by name, or by the thumbprint of their certificate.
///
/// Names are those `MtlsAuthenticator` gives (feature `mtls`): a kind, such as `mtls-dns`, and a subject within it.
///
/// ```
/// use tower_plugin_auth::admission::Peers;
///
/// let peers = Peers::new()
///     .with_peer("mtls-uri", "spiffe://prod.example/cache")
///     .with_peer_as("mtls-dns", "logger.plugins.example", &"logger".parse()?)
///     .with_thumbprint([7; 32]);
/// # let _ = peers;
/// # Ok::<_, tower_plugin_auth::token::InvalidSelfId>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Peers {
    names: Vec<Name>,
    thumbprints: Vec<Box<str>>,
}

#[derive(Clone, Debug)]
struct Name {
    kind: Box<str>,
    subject: Box<str>,
    only_as: Option<SelfId>,
}

impl Peers {
    /// Nobody.
    pub fn new() -> Self {
        Self::default()
    }

    /// A peer that may call itself what it likes.
    pub fn with_peer(self, kind: &str, subject: &str) -> Self {
        self.with_name(kind, subject, None)
    }

    /// A peer that may join under this name and no other; repeat it for each of several.
    pub fn with_peer_as(self, kind: &str, subject: &str, self_id: &SelfId) -> Self {
        self.with_name(kind, subject, Some(self_id.clone()))
    }

    /// Whoever holds the certificate of which this is the SHA-256 (of its DER; RFC 8705, section 3.1).
    pub fn with_thumbprint(mut self, sha256: [u8; 32]) -> Self {
        self.thumbprints
            .push(URL_SAFE_NO_PAD.encode(sha256).into_boxed_str());
        self
    }

    fn with_name(mut self, kind: &str, subject: &str, only_as: Option<SelfId>) -> Self {
        self.names.push(Name {
            kind: kind.into(),
            subject: subject.into(),
            only_as,
        });
        self
    }

    pub(super) fn validate(&self) -> Result<(), InvalidConfig> {
        let is_named = |name: &Name| !name.kind.is_empty() && !name.subject.is_empty();
        let count = self.names.len() + self.thumbprints.len();
        if !(1..=MAX_PEERS).contains(&count) || !self.names.iter().all(is_named) {
            return Err(InvalidConfig::new(
                "peers",
                "1 to 1000 peers, each with a kind and a subject",
            ));
        }
        // What a token says of its owner is not what TLS has verified.
        if self.names.iter().any(|name| &*name.kind == "runtime") {
            return Err(InvalidConfig::new("peers", "of another kind than runtime"));
        }
        Ok(())
    }

    pub(super) fn decide(
        &self,
        peer: Option<&Principal>,
        self_id: &SelfId,
    ) -> Result<(), RefusalReason> {
        let peer = peer.ok_or(RefusalReason::PeerMissing)?;
        let by_name = self.names.iter().any(|name| {
            *name.kind == *peer.kind()
                && *name.subject == *peer.subject()
                && name.only_as.as_ref().is_none_or(|only| only == self_id)
        });
        let by_thumbprint = || {
            // The attribute means something where a certificate was looked at.
            let thumbprint = peer.attribute(THUMBPRINT);
            peer.kind().starts_with("mtls-")
                && thumbprint.is_some_and(|it| self.thumbprints.iter().any(|known| **known == *it))
        };
        match by_name || by_thumbprint() {
            true => Ok(()),
            false => Err(RefusalReason::PeerNotAllowed),
        }
    }
}

/// The attribute of a principal that says which certificate it has shown.
const THUMBPRINT: &str = "x5t#S256";
const MAX_PEERS: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> SelfId {
        name.parse().unwrap()
    }

    #[test]
    fn a_peer_is_allowed_by_kind_subject_and_the_name_it_joins_under() {
        let peers = Peers::new()
            .with_peer("mtls-dns", "any.example")
            .with_peer_as("mtls-dns", "cache.example", &id("cache"))
            .with_peer_as("mtls-dns", "cache.example", &id("cache2"));
        for (kind, subject, name, allowed) in [
            ("mtls-dns", "any.example", "whatever", true),
            ("mtls-dns", "cache.example", "cache", true),
            ("mtls-dns", "cache.example", "cache2", true),
            ("mtls-dns", "cache.example", "logger", false),
            ("mtls-cn", "any.example", "whatever", false),
            ("mtls-dns", "any.example.evil", "whatever", false),
            ("mtls-dns", "ANY.example", "whatever", false),
        ] {
            let peer = Principal::new(kind, subject);
            let verdict = peers.decide(Some(&peer), &id(name));
            assert_eq!(verdict.is_ok(), allowed, "{kind} {subject} {name}");
        }
        assert_eq!(
            peers.decide(None, &id("cache")),
            Err(RefusalReason::PeerMissing)
        );
    }

    #[test]
    fn a_thumbprint_counts_only_where_a_certificate_was_verified() {
        let peers = Peers::new().with_thumbprint([7; 32]);
        let seven = URL_SAFE_NO_PAD.encode([7; 32]);
        let of = |kind: &'static str, thumbprint: &str| {
            Principal::new(kind, "x").with_attribute("x5t#S256", thumbprint)
        };
        for (peer, allowed) in [
            (of("mtls-cn", &seven), true),
            (of("mtls-cn", &URL_SAFE_NO_PAD.encode([8; 32])), false),
            (of("runtime", &seven), false),
            (Principal::new("mtls-cn", "x"), false),
        ] {
            assert_eq!(
                peers.decide(Some(&peer), &id("cache")).is_ok(),
                allowed,
                "{peer:?}"
            );
        }
    }

    #[test]
    fn a_list_of_peers_names_some_and_no_tokens() {
        for peers in [
            Peers::new(),
            Peers::new().with_peer("", "x"),
            Peers::new().with_peer("mtls-dns", ""),
            Peers::new().with_peer("runtime", "cache-1"),
            (0..1001u32).fold(Peers::new(), |peers, n| {
                peers.with_peer("mtls-dns", &n.to_string())
            }),
        ] {
            assert_eq!(peers.validate().unwrap_err().field(), "peers");
        }
        assert!(Peers::new().with_thumbprint([0; 32]).validate().is_ok());
    }
}
