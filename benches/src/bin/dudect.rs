//! Tries to learn something about tokens from how long a check takes: `just dudect`.
//!
//! A leak shows again and again; what a busy machine makes up does not. So a comparison holds if one of
//! three attempts finds nothing, and a control that leaks must be found out by each.
//!
//! Where code, stack and heap happen to lie makes some tenths of a nanosecond between two inputs, in favour of either,
//! for as long as a process lives. So each attempt is spread over many processes.

use std::{
    hint::black_box,
    process::{Command, ExitCode, Stdio},
    sync::Arc,
    time::{Duration, SystemTime},
};

use clap::Parser;
use futures_util::FutureExt;
use tower_plugin_auth::{
    Answer, Clock, MemoryStore, Principal, SystemClock, SystemRng, TokenStore, Tokens,
    token::{KeyRing, Pepper, PresentedToken, Record, Rng, TOKEN_LEN, TokenKind, check, mint},
};
use tower_plugin_benches::dudect::{Class, Finding, Probe, Taken, measure};

/// Compares how long checks of tokens take that must not be told apart.
#[derive(Parser)]
struct Arguments {
    /// How often each attempt measures.
    #[arg(long, default_value_t = 500_000)]
    measurements: usize,
    /// Over how many processes an attempt is spread.
    #[arg(long, default_value_t = 2_000)]
    processes: usize,
    /// Run only the comparisons whose name contains this.
    #[arg(long, value_name = "NAME", default_value = "")]
    filter: String,
    /// Print the measurements of the comparison of this place in the list, and no more.
    #[arg(long, hide = true)]
    measure: Option<usize>,
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
    let arguments = Arguments::parse();
    if let Some(at) = arguments.measure {
        let mut probe = (comparisons()[at].set_up)();
        for (class, took) in measure(&mut *probe, arguments.measurements) {
            println!("{class:?} {took}");
        }
        return ExitCode::SUCCESS;
    }
    let mut failed = false;
    for (at, Comparison { name, bound, .. }) in comparisons().into_iter().enumerate() {
        if !name.contains(&arguments.filter) {
            continue;
        }
        let attempt = |_| Finding::of(&in_many_processes(at, &arguments));
        let attempts: Vec<_> = (0..ATTEMPTS).map(attempt).collect();
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

fn in_many_processes(at: usize, arguments: &Arguments) -> Vec<Taken> {
    let this = std::env::current_exe().expect("a path");
    let measurements = (arguments.measurements / arguments.processes).max(1);
    let mut taken = Vec::new();
    for _ in 0..arguments.processes {
        let mut command = Command::new(&this);
        command.args(["--measure", &at.to_string()]);
        command.args(["--measurements", &measurements.to_string()]);
        let output = command.stderr(Stdio::inherit()).output().expect("started");
        assert!(output.status.success(), "{}", output.status);
        let lines = String::from_utf8(output.stdout).expect("text");
        taken.extend(lines.lines().map(|line| match line.split_once(' ') {
            Some(("A", took)) => (Class::A, took.parse().expect("a number")),
            Some(("B", took)) => (Class::B, took.parse().expect("a number")),
            _ => panic!("{line}"),
        }));
    }
    taken
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
        // There is no branch between the two, and yet a tenth of a nanosecond or two in favour of either, which
        // changes with every build. An id is no secret: it is shown, logged and revoked by.
        told("check: known or unknown id", || {
            Engine::probe([Kind::WrongAt(LAST), Kind::Unknown])
        }),
        // Whether a lookup finds something shows.
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
struct Engine {
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
    fn probe(kinds: [Kind; 2]) -> Box<dyn Probe> {
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
const PLACES: usize = 8;
const ATTEMPTS: usize = 3;
