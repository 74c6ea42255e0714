//! Engine: whether Redis is worth asking.

/// Closed while Redis answers, open when it has not answered for too often.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    failures: u32,
    is_open: bool,
}

impl Breaker {
    pub(super) const fn is_open(&self) -> bool {
        self.is_open
    }

    pub(super) const fn answered_in_time(&mut self) {
        self.failures = 0;
    }

    /// A deadline has passed without an answer. Whether that opened it.
    pub(super) const fn missed(&mut self) -> bool {
        self.failed(false)
    }

    /// An error came instead of an answer. Whether that opened it; the loss of the connection does at
    /// once.
    pub(super) const fn failed(&mut self, is_lost: bool) -> bool {
        self.failures += if is_lost { FAILURES } else { 1 };
        let opens = !self.is_open && self.failures >= FAILURES;
        self.is_open |= opens;
        opens
    }

    pub(super) const fn close(&mut self) {
        *self = Self {
            failures: 0,
            is_open: false,
        };
    }
}

/// One miss is a hiccup; after three, callers have waited long enough.
const FAILURES: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_misses_in_a_row_open_it_and_an_answer_in_time_begins_anew() {
        let mut breaker = Breaker::default();
        assert!(!breaker.missed() && !breaker.missed());
        breaker.answered_in_time();
        assert!(!breaker.missed() && !breaker.failed(false));
        assert!(breaker.missed() && breaker.is_open());
        assert!(!breaker.missed(), "it opens once");
        breaker.close();
        assert!(!breaker.is_open() && !breaker.missed());
    }

    #[test]
    fn a_lost_connection_opens_it_at_once() {
        assert!(Breaker::default().failed(true));
    }
}
