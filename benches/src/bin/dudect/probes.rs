//! What is measured.

use std::{
    hint::black_box,
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::FutureExt;
use tower_plugin_auth::{
    Answer, Clock, MemoryStore, Principal, SystemClock, SystemRng, TokenStore, Tokens,
    token::{KeyRing, Pepper, PresentedToken, Record, Rng, TOKEN_LEN, TokenKind, check, mint},
};
use tower_plugin_benches::dudect::{Class, Probe};

/// What an attacker sends, or what a store has kept of it.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Right,
    /// A byte of the secret is another.
    WrongAt(usize),
    /// The secret is right, and a byte of the digest kept of it is another.
    DigestWrongAt(usize),
    /// Nothing is kept under the id.
    Unknown,
}

/// A token, and how to make others that are like it.
struct Base {
    keys: KeyRing,
    random: [u8; RANDOM],
    record: Record,
    now: SystemTime,
}

/// One input of a check. All of them lie in their cache lines alike.
#[repr(align(128))]
struct Sample {
    text: [u8; TOKEN_LEN],
    record: Arc<Record>,
    is_known: bool,
}

impl Base {
    fn new() -> Self {
        let keys = keys();
        let random = random();
        let now = SystemClock::new().wall();
        let minted = mint(TokenKind::Runtime, &keys, &Fixed(random)).expect("bytes");
        let owner = Principal::new("runtime", "cache-plugin");
        let record = Record::new(&minted, owner, now, now + Duration::from_secs(24 * 3600));
        Self {
            keys,
            random,
            record,
            now,
        }
    }

    fn sample(&self, kind: Kind) -> Sample {
        let (mut random, mut record) = (self.random, self.record.clone());
        let is_known = !matches!(kind, Kind::Unknown);
        let [another, ..]: [u8; RANDOM] = self::random();
        let another = another.max(1);
        match kind {
            Kind::Right => {}
            Kind::WrongAt(place) => random[place] ^= another,
            Kind::DigestWrongAt(place) => {
                let digest = self.record.verifier().as_bytes();
                let mut bytes = self.record.to_bytes();
                let starts = bytes.windows(32).position(|window| window == digest);
                bytes[starts.expect("kept as it is") + place] ^= another;
                record = Record::from_bytes(&bytes).expect("a record");
            }
            Kind::Unknown => {
                // Of the same shard and the same bucket: only the middle of the id is another.
                random[12] ^= another;
            }
        }
        let minted = mint(TokenKind::Runtime, &self.keys, &Fixed(random)).expect("bytes");
        let text = minted.token().expose().as_bytes();
        Sample {
            text: text.try_into().expect("of one length"),
            record: Arc::new(record),
            is_known,
        }
    }

    fn samples(&self, kinds: [Kind; 2]) -> Samples {
        let pair = |_| Pair {
            samples: kinds.map(|kind| self.sample(kind)),
            swapped: false,
        };
        let mut pairs: Vec<_> = (0..SAMPLES).map(pair).collect();
        // Where in memory a sample lies must say nothing about its class.
        for (pair, random) in pairs.iter_mut().zip(random()) {
            if random % 2 == 0 {
                pair.samples.swap(0, 1);
                pair.swapped = true;
            }
        }
        Samples { pairs, turn: 0 }
    }
}

/// Pairs of samples, one of each class.
struct Samples {
    pairs: Vec<Pair>,
    turn: usize,
}

struct Pair {
    samples: [Sample; 2],
    swapped: bool,
}

impl Samples {
    fn next(&mut self, class: Class) -> &Sample {
        self.turn = (self.turn + 1) % self.pairs.len();
        let pair = &self.pairs[self.turn];
        // Both are touched, whichever is asked for.
        for sample in &pair.samples {
            black_box(sample.text);
        }
        &pair.samples[class as usize ^ usize::from(pair.swapped)]
    }
}

/// The engine's verdict on a token and a record.
///
/// Asked of several, so that where a record lies in its cache lines, and what stands in for one, is any place.
pub(super) struct Engine {
    places: Vec<Place>,
    turn: usize,
}

struct Place {
    base: Box<Base>,
    samples: Samples,
    text: [u8; TOKEN_LEN],
    record: Arc<Record>,
    is_known: bool,
    /// What lies between the others.
    _gaps: [Vec<u8>; 2],
}

impl Engine {
    pub(super) fn probe(kinds: [Kind; 2]) -> Box<dyn Probe> {
        let place = |_| {
            let gap = |random| vec![0; 16 * usize::from(random)];
            let [one, other, ..] = random();
            let before = gap(one);
            let base = Box::new(Base::new());
            let between = gap(other);
            let first = base.sample(Kind::Right);
            Place {
                samples: base.samples(kinds),
                text: first.text,
                record: first.record,
                is_known: true,
                base,
                _gaps: [before, between],
            }
        };
        Box::new(Self {
            places: (0..PLACES).map(place).collect(),
            turn: 0,
        })
    }
}

impl Probe for Engine {
    fn prepare(&mut self, class: Class) {
        self.turn = (self.turn + 1) % self.places.len();
        self.places[self.turn].prepare(class);
    }

    fn run(&mut self) {
        let place = &self.places[self.turn];
        place.check(place.is_known);
    }
}

impl Place {
    fn prepare(&mut self, class: Class) {
        let sample = self.samples.next(class);
        self.text = sample.text;
        self.record = Arc::clone(&sample.record);
        self.is_known = sample.is_known;
        // All that either class reads is in the cache: an attacker who asks again and again sees to that.
        self.check(false);
        self.check(true);
    }

    fn check(&self, is_known: bool) {
        let Base { keys, now, .. } = &*self.base;
        let presented = PresentedToken::parse(&self.text).expect("well formed");
        let record = is_known.then_some(&*self.record);
        let _ = black_box(check(keys, &presented, record, *now));
    }
}

/// All of a check: the text taken apart, the record looked up among others, the clock read.
pub(super) struct InMemory {
    tokens: Tokens<Arc<MemoryStore>>,
    store: Arc<MemoryStore>,
    base: Record,
    samples: Samples,
    text: [u8; TOKEN_LEN],
}

impl InMemory {
    pub(super) fn probe(kinds: [Kind; 2]) -> Box<dyn Probe> {
        let base = Base::new();
        let store = Arc::new(MemoryStore::new(10_000).expect("not zero"));
        let keep = |record: &Record| {
            let kept = store.insert(record.clone(), base.now).now_or_never();
            kept.expect("no need to wait").expect("room");
        };
        keep(&base.record);
        for _ in 0..100 {
            keep(&Base::new().record);
        }
        let samples = base.samples(kinds);
        let text = base.sample(Kind::Right).text;
        let Base { keys, record, .. } = base;
        let tokens = Tokens::builder(Arc::clone(&store), keys).build();
        Box::new(Self {
            tokens: tokens.expect("fair settings"),
            store,
            base: record,
            samples,
            text,
        })
    }
}

impl Probe for InMemory {
    fn prepare(&mut self, class: Class) {
        self.text = self.samples.next(class).text;
        // The record is in the cache, whichever the class: an attacker who asks again and again
        // sees to that.
        let kept = matches!(self.store.get(&self.base.id()), Answer::Ready(Ok(Some(_))));
        assert!(black_box(kept));
    }

    fn run(&mut self) {
        let verified = self.tokens.verify(TokenKind::Runtime, &self.text);
        drop(black_box(verified));
    }
}

/// What a check would be if it compared as `==` may.
pub(super) struct Leaky {
    expected: [u8; 32],
    presented: [u8; 32],
}

impl Leaky {
    pub(super) fn new() -> Self {
        Self {
            expected: [7; 32],
            presented: [7; 32],
        }
    }
}

impl Probe for Leaky {
    fn prepare(&mut self, class: Class) {
        self.presented = self.expected;
        match class {
            Class::A => self.presented[0] ^= 1,
            Class::B => self.presented[31] ^= 1,
        }
    }

    fn run(&mut self) {
        for (presented, expected) in self.presented.iter().zip(&self.expected) {
            if black_box(presented) != expected {
                break;
            }
        }
    }
}

/// Gives a token this id and this secret.
struct Fixed([u8; RANDOM]);

impl Rng for Fixed {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), tower_plugin_auth::token::RngError> {
        buffer.copy_from_slice(&self.0);
        Ok(())
    }
}

fn random() -> [u8; RANDOM] {
    let mut random = [0; RANDOM];
    SystemRng.fill(&mut random).expect("randomness");
    random
}

fn keys() -> KeyRing {
    let pepper = Pepper::new(1, &random()).expect("long enough");
    KeyRing::new(pepper, []).expect("one key")
}

/// Id and secret.
const RANDOM: usize = 16 + 32;
pub(super) const FIRST: usize = 16;
pub(super) const LAST: usize = 47;
/// Few enough to stay in the cache.
const SAMPLES: usize = 32;
const PLACES: usize = 8;
