//! The check that is written first: tokens as texts in a map behind one lock, which every check takes to
//! write. connect-plugin-go's is described like that; this is a port of the description.

use std::{
    collections::HashMap,
    fmt::Write as _,
    hint::black_box,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use subtle::ConstantTimeEq;
use tower_plugin_auth::{SystemRng, token::Rng};

use crate::runner::now;

pub(super) struct GlobalMap {
    entries: Mutex<HashMap<String, Entry>>,
    presented: Vec<(String, String)>,
}

struct Entry {
    token: String,
    expires_at: Instant,
}

impl GlobalMap {
    pub(super) fn new(count: u64) -> Self {
        let presented: Vec<_> = (0..count)
            .map(|number| (format!("cache-plugin-{number:04x}"), random()))
            .collect();
        let expires_at = now() + Duration::from_secs(24 * 3600);
        let entry = |(id, token): &(String, String)| {
            let token = token.clone();
            (id.clone(), Entry { token, expires_at })
        };
        let entries = presented.iter().map(entry).collect();
        Self {
            entries: Mutex::new(entries),
            presented,
        }
    }

    fn validate(&self, id: &str, token: &str) -> bool {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(entry) = entries.get(id) else {
            return false;
        };
        if entry.expires_at < now() {
            entries.remove(id);
            return false;
        }
        entry.token.as_bytes().ct_eq(token.as_bytes()).into()
    }

    /// Each thread begins somewhere else.
    pub(super) fn check(&self, thread: usize, iterations: u64) -> Duration {
        let presented = self.presented.iter().cycle().skip(thread * 500);
        let start = now();
        for (id, token) in presented.take(iterations as usize) {
            assert!(self.validate(black_box(id), black_box(token)));
        }
        start.elapsed()
    }
}

/// 32 random bytes, as text.
fn random() -> String {
    let mut bytes = [0; 32];
    SystemRng.fill(&mut bytes).expect("randomness");
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_knows_its_tokens_and_no_others() {
        let map = GlobalMap::new(2);
        let [(id, token), (other, _)] = &map.presented[..] else {
            panic!("two");
        };
        assert!(map.validate(id, token));
        assert!(!map.validate(other, token) && !map.validate("unknown", token));
        map.entries.lock().unwrap().get_mut(id).unwrap().expires_at = now();
        std::thread::yield_now();
        assert!(!map.validate(id, token), "expired");
        assert_eq!(map.entries.lock().unwrap().len(), 1);
    }
}
