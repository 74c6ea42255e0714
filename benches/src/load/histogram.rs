use std::time::Duration;

/// How long things took, to within three percent, in a fixed amount of memory.
#[derive(Debug)]
pub(super) struct Histogram {
    counts: Box<[u64]>,
    total: u64,
    longest: Duration,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: vec![0; BUCKETS].into(),
            total: 0,
            longest: Duration::ZERO,
        }
    }
}

impl Histogram {
    pub(super) fn record(&mut self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.counts[bucket(nanos)] += 1;
        self.total += 1;
        self.longest = self.longest.max(took);
    }

    pub(super) fn total(&self) -> u64 {
        self.total
    }

    pub(super) fn longest(&self) -> Duration {
        self.longest
    }

    /// What so many of a thousand stayed within.
    pub(super) fn per_mille(&self, per_mille: u64) -> Duration {
        let rank = (self.total * per_mille).div_ceil(1000);
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return Duration::from_nanos(end(bucket)).min(self.longest);
            }
        }
        self.longest
    }
}

/// Each power of two in as many even parts.
const PARTS: u64 = 32;
const BUCKETS: usize = (PARTS as usize) * 60;

fn bucket(nanos: u64) -> usize {
    let shift = (nanos | PARTS).ilog2() - PARTS.ilog2();
    (u64::from(shift) * PARTS + (nanos >> shift)) as usize
}

/// The largest that is in it.
fn end(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let shift = (bucket / PARTS).saturating_sub(1);
    let part = bucket - shift * PARTS;
    (part << shift) | ((1 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_what_is_alike() {
        for nanos in [
            0,
            1,
            31,
            32,
            33,
            63,
            64,
            65,
            1000,
            123_456_789,
            u64::MAX / 2,
            u64::MAX,
        ] {
            let bucket = bucket(nanos);
            assert!(bucket < BUCKETS, "{nanos}");
            let end = end(bucket);
            assert!(
                end >= nanos && end - nanos <= nanos / PARTS,
                "{nanos} {end}"
            );
        }
    }

    #[test]
    fn percentiles_are_those_of_what_was_recorded() {
        let mut histogram = Histogram::default();
        for micros in 1..=1000 {
            histogram.record(Duration::from_micros(micros));
        }
        for (per_mille, micros) in [(500, 500.0), (990, 990.0), (999, 999.0), (1000, 1000.0)] {
            let found = histogram.per_mille(per_mille).as_secs_f64() * 1e6;
            assert!((found / micros - 1.0).abs() < 0.04, "{per_mille}: {found}");
        }
        assert_eq!(histogram.longest(), Duration::from_millis(1));
        assert_eq!(histogram.total(), 1000);
    }
}
