use std::collections::BTreeMap;

use super::plan::Kind;

/// How requests were answered.
#[derive(Debug, Default)]
pub(super) struct Tally {
    by_status: BTreeMap<u16, u64>,
    broken: u64,
    unexpected: u64,
}

impl Tally {
    /// Counts an answer; none is a connection that broke.
    pub(super) fn record(&mut self, kind: Kind, status: Option<u16>) {
        match status {
            Some(status) => {
                *self.by_status.entry(status).or_default() += 1;
                self.unexpected += u64::from(!kind.expects(status));
            }
            None => self.broken += 1,
        }
    }

    pub(super) fn by_status(&self) -> impl Iterator<Item = (u16, u64)> {
        self.by_status
            .iter()
            .map(|(status, count)| (*status, *count))
    }

    /// Connections that broke, and answers that another request should have got.
    pub(super) fn errors(&self) -> (u64, u64) {
        (self.broken, self.unexpected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_an_error_only_where_none_was_meant() {
        let mut tally = Tally::default();
        tally.record(Kind::Good, Some(200));
        tally.record(Kind::Greedy, Some(429));
        tally.record(Kind::Anonymous, Some(401));
        tally.record(Kind::Forged, Some(401));
        tally.record(Kind::Climbing, Some(400));
        assert_eq!(tally.errors(), (0, 0));

        tally.record(Kind::Good, Some(401));
        tally.record(Kind::Forged, Some(200));
        tally.record(Kind::Climbing, Some(503));
        tally.record(Kind::Good, None);
        assert_eq!(tally.errors(), (1, 3));
    }
}
