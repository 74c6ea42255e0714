//! Engine: finding names that differ in nothing but `_` and `-`.

/// The different names of a request, as hashes that take `_` for `-`.
pub(super) struct Names {
    hashes: [u64; Self::MAX],
    len: usize,
}

impl Names {
    /// As many as [`Limits`](crate::limits::Limits) can let pass.
    const MAX: usize = 1024;

    /// Whether two different names fold to the same. Sorts rather than compares every pair, so that
    /// a head full of underscores costs no more than n log n, and keeps to the stack.
    ///
    /// The hash has no key: a caller can make two unlike names collide, and is then refused for it.
    /// So are more names than fit here.
    #[cold]
    pub(super) fn collide<'a>(names: impl IntoIterator<Item = &'a [u8]>) -> bool {
        let mut folded = Self {
            hashes: [0; Self::MAX],
            len: 0,
        };
        let mut previous: &[u8] = &[];
        for name in names {
            // One name's fields follow one another.
            if name == previous {
                continue;
            }
            previous = name;
            let Some(slot) = folded.hashes.get_mut(folded.len) else {
                return true;
            };
            *slot = fold(name);
            folded.len += 1;
        }
        let hashes = folded.hashes.get_mut(..folded.len).unwrap_or_default();
        hashes.sort_unstable();
        let mut next = hashes.iter().skip(1);
        hashes.iter().any(|hash| next.next() == Some(hash))
    }
}

/// Eight octets at a time, because names can fill the whole header list.
fn fold(name: &[u8]) -> u64 {
    let start = (name.len() as u64).wrapping_mul(MULTIPLIER);
    name.chunks(8).fold(start, |hash, chunk| {
        let mut word = [0; 8];
        for (to, from) in word.iter_mut().zip(chunk) {
            *to = if *from == b'_' { b'-' } else { *from };
        }
        let mixed = (hash ^ u64::from_le_bytes(word)).wrapping_mul(MULTIPLIER);
        mixed ^ (mixed >> 29)
    })
}

/// 2^64 over the golden ratio, odd.
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
