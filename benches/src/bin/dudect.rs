//! Tries to learn something about tokens from how long a check takes: `just dudect`.
//!
//! A leak shows again and again; what a busy machine makes up does not. So a comparison holds if one of
//! three attempts finds nothing, and a control that leaks must be found out by each.

use std::{
    hint::black_box,
    process::ExitCode,
    sync::Arc,
    time::{Duration, SystemTime},
};

use clap::Parser;
use futures_util::FutureExt;
use tower_plugin_auth::{
    Answer, Clock, MemoryStore, Principal, SystemClock, SystemRng, TokenStore, Tokens,
    token::{KeyRing, Pepper, PresentedToken, Record, Rng, TOKEN_LEN, TokenKind, check, mint},
};
use tower_plugin_benches::dudect::{Class, Finding, Probe, compare};

/// Compares how long checks of tokens take that must not be told apart.
#[derive(Parser)]
struct Arguments {
    /// How often each comparison measures.
    #[arg(long, default_value_t = 500_000)]
    measurements: usize,
    /// Run only the comparisons whose name contains this.
    #[arg(long, value_name = "NAME", default_value = "")]
    filter: String,
}

struct Comparison {
    name: &'static str,
    /// What is expected of the largest |t|.
    bound: Bound,
    set_up: fn() -> Box<dyn Probe>,
}

enum Bound {
    Above(f64),
    Below(f64),
    /// The figure is of interest, and nothing that is secret hangs on it.
    None,
}

fn main() -> ExitCode {
    let Arguments {
        measurements,
        filter,
    } = Arguments::parse();
    let mut failed = false;
    for Comparison {
        name,
        bound,
        set_up,
    } in comparisons()
    {
        if !name.contains(&filter) {
            continue;
        }
        let attempts: Vec<_> = (0..ATTEMPTS)
            .map(|_| compare(&mut *set_up(), measurements))
            .collect();
        let least = attempts.iter().map(|found| found.t);
        let least = least.fold(f64::INFINITY, f64::min);
        let (held, wanted) = match bound {
            Bound::Above(bound) => (least > bound, format!("above {bound}")),
            Bound::Below(bound) => (least < bound, format!("below {bound}")),
            Bound::None => (true, "told, not judged".to_owned()),
        };
        failed |= !held;
        let verdict = if held { "held" } else { "FAILED" };
        let shown = |found: &Finding| format!("{:.2} ({:+.2} ns)", found.t, found.nanos);
        let shown: Vec<_> = attempts.iter().map(shown).collect();
        println!(
            "{name:<36} |t| {:<52} {wanted}: {verdict}",
            shown.join(", ")
        );
    }
    if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

fn comparisons() -> Vec<Comparison> {
    let alike = |name, set_up| Comparison {
        name,
        bound: Bound::Below(4.5),
        set_up,
    };
    let told = |name, set_up| Comparison {
        name,
        bound: Bound::None,
        set_up,
    };
    vec![
        Comparison {
            name: "control: a compare that stops early",
            bound: Bound::Above(10.0),
            set_up: || Box::new(Leaky::new()),
        },
        alike("control: twice the same", || {
            Engine::probe([Kind::WrongAt(LAST), Kind::WrongAt(LAST)])
        }),
        alike("check: right, or last byte wrong", || {
            Engine::probe([Kind::Right, Kind::WrongAt(LAST)])
        }),
        alike("check: first or last byte wrong", || {
            Engine::probe([Kind::WrongAt(FIRST), Kind::WrongAt(LAST)])
        }),
        alike("check: digest's first or last byte", || {
            Engine::probe([Kind::DigestWrongAt(0), Kind::DigestWrongAt(31)])
        }),
        alike("tokens: twice the same", || {
            InMemory::probe([Kind::WrongAt(LAST), Kind::WrongAt(LAST)])
        }),
        alike("tokens: first or last byte wrong", || {
            InMemory::probe([Kind::WrongAt(FIRST), Kind::WrongAt(LAST)])
        }),
        // The same work, on a record that lies somewhere else: which of the two is faster changes from
        // run to run, by a nanosecond or so. An id is no secret: it is shown, logged and revoked by.
        told("check: known or unknown id", || {
            Engine::probe([Kind::WrongAt(LAST), Kind::Unknown])
        }),
        told("tokens: known or unknown id", || {
            InMemory::probe([Kind::WrongAt(LAST), Kind::Unknown])
        }),
        // The answer says as much.
        told("tokens: right, or last byte wrong", || {
            InMemory::probe([Kind::Right, Kind::WrongAt(LAST)])
        }),
    ]
}

/// What an attacker sends, or what a store has kept of it.
#[derive(Clone, Copy)]
enum Kind {
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
    record: Option<Record>,
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
        let (mut random, mut record) = (self.random, Some(self.record.clone()));
        let [another, ..]: [u8; RANDOM] = crate::random();
        let another = another.max(1);
        match kind {
            Kind::Right => {}
            Kind::WrongAt(place) => random[place] ^= another,
            Kind::DigestWrongAt(place) => {
                let digest = self.record.verifier().as_bytes();
                let mut bytes = self.record.to_bytes();
                let starts = bytes.windows(32).position(|window| window == digest);
                bytes[starts.expect("kept as it is") + place] ^= another;
                record = Some(Record::from_bytes(&bytes).expect("a record"));
            }
            Kind::Unknown => {
                // Of the same shard and the same bucket: only the middle of the id is another.
                random[12] ^= another;
                record = None;
            }
        }
        let minted = mint(TokenKind::Runtime, &self.keys, &Fixed(random)).expect("bytes");
        let text = minted.token().expose().as_bytes();
        Sample {
            text: text.try_into().expect("of one length"),
            record,
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
struct Engine {
    base: Base,
    samples: Samples,
    text: [u8; TOKEN_LEN],
    record: Option<Record>,
}

impl Engine {
    fn probe(kinds: [Kind; 2]) -> Box<dyn Probe> {
        let base = Base::new();
        let first = base.sample(Kind::Right);
        Box::new(Self {
            samples: base.samples(kinds),
            text: first.text,
            record: first.record,
            base,
        })
    }
}

impl Probe for Engine {
    fn prepare(&mut self, class: Class) {
        let sample = self.samples.next(class);
        self.text = sample.text;
        self.record.clone_from(&sample.record);
    }

    fn run(&mut self) {
        let Base { keys, now, .. } = &self.base;
        let presented = PresentedToken::parse(&self.text).expect("well formed");
        let verdict = check(keys, &presented, self.record.as_ref(), *now);
        let _ = black_box(verdict);
    }
}

/// All of a check: the text taken apart, the record looked up among others, the clock read.
struct InMemory {
    tokens: Tokens<Arc<MemoryStore>>,
    store: Arc<MemoryStore>,
    base: Record,
    samples: Samples,
    text: [u8; TOKEN_LEN],
}

impl InMemory {
    fn probe(kinds: [Kind; 2]) -> Box<dyn Probe> {
        let base = Base::new();
        let store = Arc::new(MemoryStore::new(10_000).expect("not zero"));
        let keep = |record: &Record| {
            let kept = store.insert(record.clone(), base.now).now_or_never();
            kept.expect("no need to wait").expect("room");
        };
        keep(&base.record);
        for _ in 0..1000 {
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
struct Leaky {
    expected: [u8; 32],
    presented: [u8; 32],
}

impl Leaky {
    fn new() -> Self {
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
const FIRST: usize = 16;
const LAST: usize = 47;
/// Few enough to stay in the cache.
const SAMPLES: usize = 32;
const ATTEMPTS: usize = 3;
