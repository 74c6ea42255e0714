//! Engine: from a name to its place, in a few nanoseconds.

/// A table from names to places. Most names of a request are in no schema: they fall through by
/// their length, or with one look at a few octets.
#[derive(Clone, Debug)]
pub(super) struct Index {
    /// Place + 1 of a name by the hash of its mark; 0 where there is none.
    table: Box<[u16]>,
    /// Of each name, the place + 1 of the next one with the same hash.
    next: Box<[u16]>,
    names: Box<[Box<str>]>,
    shift: u32,
    /// The lengths that occur, of 63 octets and more as one.
    lengths: u64,
}

impl Index {
    /// Names are at most 256 of 1 byte and more; later ones of a kind are not found.
    pub(super) fn new(names: Vec<Box<str>>) -> Self {
        let bits = (names.len() * 8)
            .next_power_of_two()
            .trailing_zeros()
            .max(4);
        let shift = u64::BITS - bits;
        let lengths = names
            .iter()
            .fold(0, |set, name| set | length(name.as_bytes()));
        let mut table = vec![0_u16; 1 << bits];
        let mut next = vec![0; names.len()];
        for (place, name) in names.iter().enumerate() {
            let slot = table.get_mut(hash(name.as_bytes(), shift));
            if let (Some(slot), Some(next)) = (slot, next.get_mut(place)) {
                *next = *slot;
                *slot = place as u16 + 1;
            }
        }
        Self {
            table: table.into(),
            next: next.into(),
            names: names.into(),
            shift,
            lengths,
        }
    }

    #[inline]
    pub(super) fn find(&self, name: &[u8]) -> Option<usize> {
        if self.lengths & length(name) == 0 {
            return None;
        }
        let mut at = *self.table.get(hash(name, self.shift))?;
        // Ends: a chain leads to ever earlier places.
        loop {
            let place = usize::from(at).checked_sub(1)?;
            if self.names.get(place)?.as_bytes() == name {
                return Some(place);
            }
            at = *self.next.get(place)?;
        }
    }

    pub(super) fn name(&self, place: usize) -> Option<&str> {
        self.names.get(place).map(|name| &**name)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }
}

#[inline]
fn length(name: &[u8]) -> u64 {
    1 << name.len().min(63)
}

/// Of the length, the last four octets and one from the middle. Not keyed: whoever sends names that
/// collide makes each comparison fail once, no more.
#[inline]
fn hash(name: &[u8], shift: u32) -> usize {
    let tail = match name.last_chunk::<4>() {
        Some(tail) => u32::from_le_bytes(*tail),
        None => name.iter().fold(0, |sum, &b| sum << 8 | u32::from(b)),
    };
    let middle = name.get(name.len() / 2).copied().unwrap_or(0);
    let mark = u64::from(tail) | u64::from(middle) << 32 | (name.len() as u64) << 40;
    (mark.wrapping_mul(MULTIPLIER) >> shift) as usize
}

/// 2^64 over the golden ratio, odd.
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
