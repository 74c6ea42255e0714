//! Which keys are asked for, in which order: half a million draws, the same for a seed.

/// Each key as likely as the other.
pub(super) fn uniform(seed: u64) -> Vec<u128> {
    let mut draws = Draws::new(seed);
    let key = |_| spread(u128::from(draws.next()) % MILLION);
    (0..DRAWS).map(key).collect()
}

/// The second most frequent key half as often as the first, the third a third: Zipf, exponent 1.
pub(super) fn zipf(seed: u64) -> Vec<u128> {
    let mut sum = 0.0;
    let up_to: Vec<f64> = (1..=MILLION as u32)
        .map(|rank| {
            sum += 1.0 / f64::from(rank);
            sum
        })
        .collect();
    let mut draws = Draws::new(seed);
    let key = |_| {
        let drawn = draws.next() as f64 / u64::MAX as f64 * sum;
        let rank = up_to.partition_point(|&up_to| up_to < drawn);
        spread((rank as u128).min(MILLION - 1))
    };
    (0..DRAWS).map(key).collect()
}

/// One key, whatever the seed.
pub(super) fn hot(_: u64) -> Vec<u128> {
    vec![spread(7); 1 << 10]
}

/// Sixteen bytes that look like an address or an id rather than a counter.
pub(super) fn spread(key: u128) -> u128 {
    key.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
}

/// xorshift64: only the spread matters.
struct Draws(u64);

impl Draws {
    fn new(seed: u64) -> Self {
        Self(0x2545_f491_4f6c_dd1d ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

pub(super) const MILLION: u128 = 1_000_000;
const DRAWS: usize = 1 << 19;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zipf_draws_a_rank_as_often_as_its_number_says() {
        let keys = zipf(0);
        let share = |rank| {
            let key = spread(rank);
            keys.iter().filter(|&&drawn| drawn == key).count() as f64 / DRAWS as f64
        };
        // 1 / (1 + 1/2 + ... + 1/10^6).
        let first = 1.0 / 14.392_727;
        for rank in [0, 1, 4, 9] {
            let (drawn, expected) = (share(rank), first / (rank + 1) as f64);
            assert!((drawn / expected - 1.0).abs() < 0.1, "{rank}: {drawn}");
        }
    }

    #[test]
    fn threads_draw_different_sequences_of_the_known_keys() {
        let known: std::collections::HashSet<_> = (0..MILLION).map(spread).collect();
        for draw in [uniform, zipf] {
            let [first, second] = [0, 1].map(draw);
            assert_ne!(first, second);
            assert!(first.iter().chain(&second).all(|key| known.contains(key)));
        }
    }
}
