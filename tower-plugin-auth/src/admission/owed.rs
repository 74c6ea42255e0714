//! Engine: whose grants are still to be revoked.

use std::collections::HashSet;

use super::Suspect;

/// Owners whose tokens are gone, so that nothing else says that their grants are still to be revoked. Bounded: who
/// finds no room must not lose its tokens first.
#[derive(Debug, Default)]
pub(super) struct Owed(HashSet<(Suspect, Owner)>);

/// The kind and the subject of an owner of tokens.
pub(super) type Owner = (Box<str>, Box<str>);

impl Owed {
    /// Whether it is noted down now; `false` if there was no room.
    pub(super) fn note(&mut self, suspect: &Suspect, owner: Owner) -> bool {
        let entry = (suspect.clone(), owner);
        let fits = self.0.len() < MAX_OWED || self.0.contains(&entry);
        if fits {
            self.0.insert(entry);
        }
        fits
    }

    pub(super) fn settle(&mut self, suspect: &Suspect, owner: Owner) {
        self.0.remove(&(suspect.clone(), owner));
    }

    pub(super) fn of(&self, suspect: &Suspect) -> Vec<Owner> {
        let of_suspect = self.0.iter().filter(|(of, _)| of == suspect);
        of_suspect.map(|(_, owner)| owner.clone()).collect()
    }
}

/// More runs than are revoked while a store of grants is down.
const MAX_OWED: usize = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_owed_is_kept_until_it_is_settled_and_bounded() {
        let mut owed = Owed::default();
        let (a, b) = (Suspect::principal("x", "a"), Suspect::principal("x", "b"));
        let owner = |n: usize| ("runtime".into(), n.to_string().into());
        for n in 0..MAX_OWED {
            assert!(owed.note(&a, owner(n)));
        }
        assert!(!owed.note(&a, owner(MAX_OWED)));
        assert!(owed.note(&a, owner(7)), "it is there already");
        assert!(owed.of(&b).is_empty());
        owed.settle(&a, owner(7));
        assert!(owed.note(&b, owner(7)));
        assert_eq!(owed.of(&b), [owner(7)]);
        assert!(!owed.of(&a).contains(&owner(7)));
    }
}
