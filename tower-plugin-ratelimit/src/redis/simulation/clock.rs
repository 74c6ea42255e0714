//! Clocks that run on their own.

/// A monotonic clock that agrees with nobody's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    pub(super) offset: u64,
    /// Millionths by which it runs fast.
    pub(super) drift: i64,
}

impl Clock {
    /// What it shows at a nanosecond of true time.
    pub(super) fn at(self, now: u64) -> u64 {
        let gained = now as i128 * i128::from(self.drift) / 1_000_000;
        (i128::from(self.offset) + i128::from(now) + gained) as u64
    }

    /// The last nanosecond of true time at which it shows less than `local`.
    pub(super) fn last_before(self, local: u64) -> u64 {
        let elapsed = u128::from(local.saturating_sub(self.offset));
        let per_million = (1_000_000 + i128::from(self.drift)) as u128;
        let mut now = (elapsed * 1_000_000 / per_million) as u64 + 2;
        while now > 0 && self.at(now) >= local {
            now -= 1;
        }
        now
    }
}
