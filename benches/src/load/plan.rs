/// What a request is, and so how it should be answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// A principal's: served, or refused if it was chosen too often.
    Good,
    /// One principal's, which asks far more than it may.
    Greedy,
    /// Without a token.
    Anonymous,
    /// With a token of nobody.
    Forged,
    /// With a path that climbs.
    Climbing,
}

impl Kind {
    /// Whether this is how it should be answered.
    pub(super) fn expects(self, status: u16) -> bool {
        match self {
            Self::Good | Self::Greedy => matches!(status, 200 | 429),
            Self::Anonymous | Self::Forged => status == 401,
            Self::Climbing => status == 400,
        }
    }
}

/// The requests there are.
#[derive(Debug)]
pub(super) struct Plan {
    tokens: Vec<String>,
}

impl Plan {
    pub(super) fn new(tokens: Vec<String>) -> Self {
        Self { tokens }
    }

    /// A sequence of requests, another one for each seed.
    pub(super) fn requests(&self, seed: u64) -> Requests<'_> {
        Requests {
            tokens: &self.tokens,
            state: seed,
            text: Vec::with_capacity(512),
        }
    }
}

pub(super) struct Requests<'a> {
    tokens: &'a [String],
    state: u64,
    text: Vec<u8>,
}

impl Requests<'_> {
    pub(super) fn next_request(&mut self) -> (Kind, &[u8]) {
        let kind = match self.random(100) {
            0..90 => Kind::Good,
            90..92 => Kind::Greedy,
            92..95 => Kind::Anonymous,
            95..98 => Kind::Forged,
            _ => Kind::Climbing,
        };
        let any = self.random(self.tokens.len() as u64) as usize;
        let token = match kind {
            Kind::Good | Kind::Climbing => self.tokens.get(any),
            Kind::Greedy => self.tokens.first(),
            Kind::Anonymous | Kind::Forged => None,
        };
        let path = match kind {
            Kind::Climbing => "/hello/%2e%2e/hello",
            _ => "/hello",
        };
        self.text.clear();
        let mut push = |text: &str| self.text.extend_from_slice(text.as_bytes());
        push("GET ");
        push(path);
        push(" HTTP/1.1\r\nhost: localhost\r\naccept: */*\r\nuser-agent: load\r\n");
        if kind != Kind::Anonymous {
            push("authorization: Bearer ");
            push(token.map_or("tpr_nobodys", String::as_str));
            push("\r\n");
        }
        push("\r\n");
        (kind, &self.text)
    }

    /// SplitMix64: even enough, and the same in every run.
    fn random(&mut self, below: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_comes_and_most_are_good() {
        let plan = Plan::new(vec!["a".to_owned(), "b".to_owned()]);
        let mut requests = plan.requests(7);
        let kinds: Vec<_> = (0..1000).map(|_| requests.next_request().0).collect();
        let count = |kind| kinds.iter().filter(|other| **other == kind).count();
        assert!((850..950).contains(&count(Kind::Good)));
        for kind in [Kind::Greedy, Kind::Anonymous, Kind::Forged, Kind::Climbing] {
            assert!((5..60).contains(&count(kind)), "{kind:?}");
        }
    }

    #[test]
    fn only_an_anonymous_request_has_no_token() {
        let plan = Plan::new(vec!["a".to_owned()]);
        let mut requests = plan.requests(7);
        for _ in 0..1000 {
            let (kind, text) = requests.next_request();
            let has_token = text.windows(7).any(|window| window == b"Bearer ");
            assert_eq!(has_token, kind != Kind::Anonymous);
        }
    }
}
