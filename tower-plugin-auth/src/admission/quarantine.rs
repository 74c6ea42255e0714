//! Engine: who may not come back.

use std::collections::HashSet;

use tower_plugin_core::Principal;

use crate::token::SelfId;

/// Somebody who is suspected, and kept out.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Suspect {
    /// A plugin, by the name it calls itself: every run of it.
    Plugin(SelfId),
    /// A verified peer, whatever plugin it runs; or any other owner of tokens.
    Principal {
        /// The [kind](Principal::kind).
        kind: Box<str>,
        /// The [subject](Principal::subject).
        subject: Box<str>,
    },
}

impl Suspect {
    /// Who this is: of a run the plugin, as the next run would have another id.
    #[must_use]
    pub fn of(principal: &Principal) -> Self {
        match self_id_of(principal) {
            Some(self_id) => Self::Plugin(self_id),
            None => Self::principal(principal.kind(), principal.subject()),
        }
    }

    /// A principal by kind and subject: of a run the plugin, as with [`of`](Self::of).
    #[must_use]
    pub fn principal(kind: &str, subject: &str) -> Self {
        match plugin_of_run(kind, subject).and_then(|name| name.parse().ok()) {
            Some(self_id) => Self::Plugin(self_id),
            None => Self::Principal {
                kind: kind.into(),
                subject: subject.into(),
            },
        }
    }

    /// The one spelling of it: a run spelled out is its plugin.
    pub(super) fn canonical(&self) -> Self {
        match self {
            Self::Plugin(_) => self.clone(),
            Self::Principal { kind, subject } => Self::principal(kind, subject),
        }
    }

    /// Whether a token's owner is one: it, a run of it, or a run that was admitted as it.
    pub(super) fn owns_as(&self, owner: &Principal) -> bool {
        match self {
            Self::Plugin(name) => self_id_of(owner).is_some_and(|of_owner| of_owner == *name),
            Self::Principal { kind, subject } => {
                let is_same = |of_kind: &str, of_subject: &str| {
                    **kind == *of_kind && **subject == *of_subject
                };
                let by_peer = owner.attribute(PEER_KIND).zip(owner.attribute(PEER));
                is_same(owner.kind(), owner.subject())
                    || by_peer.is_some_and(|(kind, subject)| is_same(kind, subject))
            }
        }
    }

    /// As whom grants may know it.
    pub(super) fn as_principal(&self) -> Principal {
        match self {
            Self::Plugin(name) => Principal::new("plugin", name.as_str()),
            Self::Principal { kind, subject } => {
                Principal::new(kind.clone().into_string(), subject.clone())
            }
        }
    }
}

/// The plugin of which a principal is a run.
fn self_id_of(principal: &Principal) -> Option<SelfId> {
    if principal.kind() != RUNTIME {
        return None;
    }
    let of_subject = || plugin_of_run(principal.kind(), principal.subject());
    let name = principal.attribute("self_id").or_else(of_subject)?;
    name.parse().ok()
}

fn plugin_of_run<'a>(kind: &str, subject: &'a str) -> Option<&'a str> {
    let (name, random) = subject.rsplit_once('-')?;
    (kind == RUNTIME && random.len() == 32).then_some(name)
}

/// The kind of the owners of runtime tokens.
const RUNTIME: &str = "runtime";

/// All who are kept out: a set that never grows beyond its bound, and never makes room by letting one go.
#[derive(Debug)]
pub(super) struct Quarantine {
    suspects: HashSet<Suspect>,
    capacity: usize,
}

impl Quarantine {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            suspects: HashSet::new(),
            capacity,
        }
    }

    /// Whether it is in there now; `false` if there was no room.
    pub(super) fn put(&mut self, suspect: &Suspect) -> bool {
        let suspect = suspect.canonical();
        let fits = self.suspects.len() < self.capacity || self.suspects.contains(&suspect);
        if fits {
            self.suspects.insert(suspect);
        }
        fits
    }

    pub(super) fn release(&mut self, suspect: &Suspect) -> bool {
        self.suspects.remove(&suspect.canonical())
    }

    pub(super) fn holds(&self, suspect: &Suspect) -> bool {
        self.suspects.contains(&suspect.canonical())
    }

    /// Whether an applicant, or its peer, is in there.
    pub(super) fn keeps_out(&self, self_id: &SelfId, peer: Option<&Principal>) -> bool {
        self.holds(&Suspect::Plugin(self_id.clone()))
            || peer.is_some_and(|peer| self.holds(&Suspect::of(peer)))
    }

    /// Whether it [owns](Suspect::owns_as) as somebody who is in there.
    pub(super) fn holds_owner(&self, owner: &Principal) -> bool {
        let peer = owner.attribute(PEER_KIND).zip(owner.attribute(PEER));
        self.holds(&Suspect::of(owner))
            || self.holds(&Suspect::principal(owner.kind(), owner.subject()))
            || peer.is_some_and(|(kind, subject)| self.holds(&Suspect::principal(kind, subject)))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Suspect> {
        self.suspects.iter()
    }
}

/// The attribute of a token's owner that says by what it was [admitted](super::Grounds).
pub const ADMITTED_BY: &str = "admitted_by";
/// The attribute of a token's owner that says which peer it was when it was admitted.
pub const PEER: &str = "peer";
/// The attribute of a token's owner that says of which kind that peer was.
pub const PEER_KIND: &str = "peer_kind";

#[cfg(test)]
mod tests {
    use super::*;

    fn plugin(name: &str) -> Suspect {
        Suspect::Plugin(name.parse().unwrap())
    }

    #[test]
    fn a_full_quarantine_lets_nobody_go() {
        let mut quarantine = Quarantine::new(2);
        assert!(quarantine.put(&plugin("a")));
        assert!(quarantine.put(&plugin("b")));
        assert!(!quarantine.put(&plugin("c")));
        assert!(quarantine.put(&plugin("a")), "it is in there already");
        assert!(quarantine.holds(&plugin("a")) && quarantine.holds(&plugin("b")));
        assert_eq!(quarantine.iter().count(), 2);

        assert!(quarantine.release(&plugin("a")));
        assert!(!quarantine.release(&plugin("a")));
        assert!(quarantine.put(&plugin("c")));
    }

    #[test]
    fn a_run_stands_for_its_plugin_and_nobody_else_does() {
        let random = "0f".repeat(16);
        for (principal, suspect) in [
            (
                Principal::new("runtime", format!("cache-{random}")),
                plugin("cache"),
            ),
            (
                Principal::new("runtime", format!("cache-eu-{random}")),
                plugin("cache-eu"),
            ),
            (
                Principal::new("runtime", "x").with_attribute("self_id", "cache"),
                plugin("cache"),
            ),
            (
                Principal::new("mtls-dns", format!("cache-{random}")),
                Suspect::principal("mtls-dns", &format!("cache-{random}")),
            ),
            (
                Principal::new("runtime", "made-up"),
                Suspect::principal("runtime", "made-up"),
            ),
        ] {
            assert_eq!(Suspect::of(&principal), suspect, "{principal:?}");
            assert!(suspect.owns_as(&principal));
        }
        let other = Principal::new("runtime", format!("cache-eu-{random}"));
        assert!(!plugin("cache").owns_as(&other));
        let run = other
            .with_attribute(PEER_KIND, "mtls-dns")
            .with_attribute(PEER, "a.example");
        assert!(Suspect::principal("mtls-dns", "a.example").owns_as(&run));
        assert!(!Suspect::principal("mtls-cn", "a.example").owns_as(&run));
    }

    #[test]
    fn a_run_by_kind_and_subject_is_its_plugin_however_it_is_spelled() {
        let run = format!("cache-{}", "0f".repeat(16));
        assert_eq!(Suspect::principal("runtime", &run), plugin("cache"));
        let spelled_out = Suspect::Principal {
            kind: "runtime".into(),
            subject: run.clone().into(),
        };
        let mut quarantine = Quarantine::new(1);
        assert!(quarantine.put(&spelled_out));
        assert!(quarantine.holds(&plugin("cache")) && quarantine.holds(&spelled_out));
        assert!(quarantine.put(&plugin("cache")), "there is one of them");
        assert!(quarantine.release(&spelled_out));
        assert!(!quarantine.holds(&plugin("cache")));
    }

    #[test]
    fn an_owner_is_held_as_a_run_by_its_name_and_by_its_peer() {
        let run = Principal::new("runtime", format!("cache-{}", "0f".repeat(16)))
            .with_attribute(PEER_KIND, "mtls-dns")
            .with_attribute(PEER, "a.example");
        for (suspect, is_held) in [
            (plugin("cache"), true),
            (Suspect::principal("mtls-dns", "a.example"), true),
            (Suspect::principal("mtls-dns", "b.example"), false),
            (plugin("cache-eu"), false),
        ] {
            let mut quarantine = Quarantine::new(1);
            quarantine.put(&suspect);
            assert_eq!(quarantine.holds_owner(&run), is_held, "{suspect:?}");
            assert_eq!(suspect.owns_as(&run), is_held);
        }
        let named = Principal::new("runtime", "x").with_attribute("self_id", "cache");
        let mut quarantine = Quarantine::new(1);
        quarantine.put(&Suspect::principal("runtime", "x"));
        assert!(quarantine.holds_owner(&named));
    }
}
