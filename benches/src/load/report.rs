use std::{fmt, thread, time::Duration};

use super::{Load, histogram::Histogram, memory::Memory, tally::Tally};

/// What a load came to.
#[derive(Debug)]
pub struct Report {
    pub(super) load: Load,
    /// Before and after.
    pub(super) load_average: [String; 2],
    pub(super) latency: Histogram,
    pub(super) tally: Tally,
    pub(super) memory: Memory,
}

impl Report {
    /// Whether every request was answered as it should be, and memory stayed what it was.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.latency.total() > 0 && self.tally.errors() == (0, 0) && self.memory.is_flat()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Load {
            duration,
            connections,
            principals,
        } = self.load;
        let processors = thread::available_parallelism().map_or(0, usize::from);
        let [before, after] = &self.load_average;
        let (total, seconds) = (self.latency.total(), duration.as_secs_f64());
        writeln!(
            f,
            "{seconds} s, {connections} connections, {principals} principals; {processors} processors for \
             client and server, load average {before} before and {after} after"
        )?;
        writeln!(
            f,
            "requests   {total} ({:.0} a second)",
            total as f64 / seconds
        )?;
        let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
        let within = |per_mille| ms(self.latency.per_mille(per_mille));
        writeln!(
            f,
            "latency    p50 {:.1} ms, p90 {:.1}, p99 {:.1}, p99.9 {:.1}, longest {:.1}",
            within(500),
            within(900),
            within(990),
            within(999),
            ms(self.latency.longest())
        )?;
        f.write_str("answers   ")?;
        for (status, count) in self.tally.by_status() {
            write!(f, " {status}: {count},")?;
        }
        let (broken, unexpected) = self.tally.errors();
        writeln!(
            f,
            " broken connections: {broken}, not as planned: {unexpected}"
        )?;
        let mib = |bytes: Option<u64>| bytes.unwrap_or(0) as f64 / f64::from(1 << 20);
        write!(
            f,
            "memory     {:.1} MiB once warm, {:.1} at most, {:.1} at the end: {}",
            mib(self.memory.warm()),
            mib(self.memory.peak()),
            mib(self.memory.end()),
            if self.memory.is_flat() {
                "flat"
            } else {
                "GREW"
            }
        )
    }
}
