//! How names and times are written down.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};

/// Names may be long, and none of Redis' business.
pub(in crate::store) fn digest(kind: &str, subject: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(kind.len().to_be_bytes());
    hash.update(kind);
    hash.update(subject);
    let half = hash.finalize().first_chunk().copied().unwrap_or_default();
    format!("{:032x}", u128::from_be_bytes(half))
}

/// Whole ones since 1970, rounded down.
pub(in crate::store) fn micros(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// What has ended by then has done so by the clock of every replica.
pub(in crate::store) fn long_ago(now: SystemTime) -> u64 {
    micros(now.checked_sub(SLACK).unwrap_or(now))
}

/// How long Redis keeps what may be forgotten: by that much clocks may differ.
pub(in crate::store) const SLACK: Duration = Duration::from_secs(60);
