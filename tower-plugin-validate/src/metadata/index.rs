//! Engine: from a name to its place, in a few nanoseconds.

/// A table from names to places. A name is told from others by its length and by sixteen of its octets,
/// which is all of it unless it is longer.
#[derive(Clone, Debug)]
pub(super) struct Index {
    /// Place + 1 of a name by the hash of its mark; 0 where there is none.
    table: Box<[u16]>,
    entries: Box<[Entry]>,
    shift: u32,
}

#[derive(Clone, Debug)]
struct Entry {
    mark: Mark,
    /// The place + 1 of the next one with the same hash.
    next: u16,
    name: Box<str>,
}

impl Index {
    /// Names are at most 256 of 1 byte and more; later ones of a kind are not found.
    pub(super) fn new(names: Vec<Box<str>>) -> Self {
        let bits = (names.len() * 8)
            .next_power_of_two()
            .trailing_zeros()
            .max(4);
        let shift = u64::BITS - bits;
        let mut table = vec![0_u16; 1 << bits];
        let mut entries = Vec::with_capacity(names.len());
        for (place, name) in names.into_iter().enumerate() {
            let mark = Mark::of(name.as_bytes());
            let slot = table.get_mut(mark.hash(shift));
            let before = slot.map(|slot| core::mem::replace(slot, place as u16 + 1));
            entries.push(Entry {
                mark,
                next: before.unwrap_or(0),
                name,
            });
        }
        Self {
            table: table.into(),
            entries: entries.into(),
            shift,
        }
    }

    #[inline(always)]
    pub(super) fn find(&self, name: &[u8]) -> Option<usize> {
        let mark = Mark::of(name);
        let mut at = *self.table.get(mark.hash(self.shift))?;
        // Ends: a chain leads to ever earlier places.
        loop {
            let place = usize::from(at).checked_sub(1)?;
            let entry = self.entries.get(place)?;
            if entry.mark == mark && (name.len() <= 16 || entry.name.as_bytes() == name) {
                return Some(place);
            }
            at = entry.next;
        }
    }

    pub(super) fn name(&self, place: usize) -> Option<&str> {
        self.entries.get(place).map(|entry| &*entry.name)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| &*entry.name)
    }
}

/// The length of a name, its first and its last octets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Mark {
    start: u64,
    end: u64,
    length: usize,
}

impl Mark {
    #[inline]
    fn of(name: &[u8]) -> Self {
        let (start, end) = if let (Some(start), Some(end)) = (name.first_chunk(), name.last_chunk())
        {
            (u64::from_le_bytes(*start), u64::from_le_bytes(*end))
        } else if let (Some(start), Some(end)) = (name.first_chunk(), name.last_chunk()) {
            let (start, end) = (u32::from_le_bytes(*start), u32::from_le_bytes(*end));
            (start.into(), end.into())
        } else {
            let octets = name.iter().fold(0, |sum, &b| sum << 8 | u64::from(b));
            (octets, 0)
        };
        Self {
            start,
            end,
            length: name.len(),
        }
    }

    /// Not keyed: whoever sends names that collide makes each comparison fail once, no more.
    #[inline]
    const fn hash(self, shift: u32) -> usize {
        let mixed = self.start.rotate_left(29) ^ self.end ^ self.length as u64;
        (mixed.wrapping_mul(MULTIPLIER) >> shift) as usize
    }
}

/// 2^64 over the golden ratio, odd.
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_name_is_found_and_no_other(
            // Few letters and many lengths, so that names share their ends.
            names in prop::collection::btree_set("[ab]{1,40}|[a-z-]{1,24}", 1..60),
            other in "[ab]{0,40}",
        ) {
            let names: Vec<_> = names.into_iter().collect();
            let index = Index::new(names.iter().map(|name| name.as_str().into()).collect());
            for (place, name) in names.iter().enumerate() {
                prop_assert_eq!(index.find(name.as_bytes()), Some(place));
                prop_assert_eq!(index.name(place), Some(&**name));
            }
            let place = names.iter().position(|name| *name == other);
            prop_assert_eq!(index.find(other.as_bytes()), place);
        }
    }

    #[test]
    fn long_names_that_differ_in_the_middle_are_told_apart() {
        let names = ["x-plugin-a-metadata", "x-plugin-b-metadata"];
        let index = Index::new(names.map(Into::into).into());
        assert_eq!(
            names.map(|name| index.find(name.as_bytes())),
            [Some(0), Some(1)]
        );
        assert_eq!(index.find(b"x-plugin-c-metadata"), None);
    }
}
