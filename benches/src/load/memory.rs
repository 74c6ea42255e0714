use std::{fs, io, time::Duration};

/// The resident memory of a process, in bytes.
#[derive(Debug, Default)]
pub(super) struct Memory {
    samples: Vec<(Duration, u64)>,
}

impl Memory {
    pub(super) fn sample(&mut self, process: u32, at: Duration) -> io::Result<()> {
        self.samples.push((at, resident(process)?));
        Ok(())
    }

    /// Once all connections and tables were used: after a fifth of the time.
    pub(super) fn warm(&self) -> Option<u64> {
        let (end, _) = self.samples.last()?;
        let warm = self.samples.iter().find(|(at, _)| *at * 5 >= *end);
        warm.map(|(_, bytes)| *bytes)
    }

    pub(super) fn peak(&self) -> Option<u64> {
        self.samples.iter().map(|(_, bytes)| *bytes).max()
    }

    pub(super) fn end(&self) -> Option<u64> {
        self.samples.last().map(|(_, bytes)| *bytes)
    }

    /// Whether no more than a twentieth and 4 MiB was added once it was warm: an allocator's leeway, and
    /// far less than a leak of a byte for each request.
    pub(super) fn is_flat(&self) -> bool {
        let most = |warm: u64| warm + warm / 20 + (4 << 20);
        matches!((self.warm(), self.peak()), (Some(warm), Some(peak)) if peak <= most(warm))
    }
}

fn resident(process: u32) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.map(|kib| kib * 1024)
        .ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// How many processes wanted a processor in the last minute, as the system says it.
pub(super) fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("?").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(samples: &[u64]) -> Memory {
        let samples = samples.iter().zip(1..);
        Memory {
            samples: samples
                .map(|(mib, second)| (Duration::from_secs(second), mib << 20))
                .collect(),
        }
    }

    #[test]
    fn what_was_added_while_it_warmed_up_counts_for_nothing() {
        assert!(of(&[10, 100, 100, 101, 100, 102, 100, 101, 100, 100]).is_flat());
    }

    #[test]
    fn memory_that_grew_is_not_flat_even_if_it_was_given_back() {
        assert!(!of(&[10, 100, 100, 101, 100, 130, 100, 101, 100, 100]).is_flat());
        assert!(!of(&[]).is_flat());
    }

    #[test]
    fn this_process_has_memory() {
        assert!(resident(std::process::id()).unwrap() > 1 << 20);
    }
}
