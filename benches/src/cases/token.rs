//! A token being checked, against what else could be: a signed one, and a map behind one lock.
//!
//! 1,000 tokens, in turn. What is timed is the whole of [`Tokens::verify`]: the text taken apart, the
//! record looked up, the secret's digest compared, the clock read.

mod compare;
mod global_map;
mod jwt;
mod layer;

use std::{hint::black_box, sync::Arc, time::Duration};

use futures_util::FutureExt;
use tokio::runtime::Runtime;
use tower_plugin_auth::{
    Answer, MemoryStore, NewToken, SystemRng, TokenStore, Tokens,
    store::{CachedStore, RedisStore},
    token::{KeyRing, PresentedToken, TokenId, TokenKind},
};

use self::{global_map::GlobalMap, jwt::Signed};
use super::server::Server;
use crate::runner::{Against, Case, Contender, Contest, now, on_each_thread};

pub(super) fn cases() -> Vec<Case> {
    let versus = |id, name, times, contest| Case {
        id,
        unit: "ns",
        against: Against::Peer {
            name,
            times,
            contest,
        },
    };
    let limit = |id, at_most, ours| Case {
        id,
        unit: "ns",
        against: Against::Limit { at_most, ours },
    };
    vec![
        versus("token-check-vs-hs256", "jsonwebtoken", 12.0, || Contest {
            ours: checks(1),
            peer: signed(Signed::hs256),
            baseline: None,
        }),
        versus("token-check-vs-eddsa", "jsonwebtoken", 150.0, || Contest {
            ours: checks(1),
            peer: signed(Signed::eddsa),
            baseline: None,
        }),
        versus(
            "token-check-contention-2t",
            "a map behind one lock",
            4.0,
            || Contest {
                ours: checks(2),
                peer: global_map(2),
                baseline: None,
            },
        ),
        // The lookup by itself: the map behind one lock holds tokens in clear, and digests nothing.
        versus(
            "token-lookup-contention-2t",
            "a map behind one lock",
            4.0,
            || Contest {
                ours: lookups(2),
                peer: global_map(2),
                baseline: None,
            },
        ),
        versus("token-check-cached-redis", "uncached", 20.0, in_redis),
        limit("token-issue", 10_000.0, issues),
        // Of all garbage, what has a wrong checksum alone takes longest to be told from a token.
        limit("token-reject-garbage", 60.0, || refusals(wrong_checksum)),
        limit("token-reject-garbage-length", 60.0, || {
            refusals(|text| text.truncate(text.len() - 1))
        }),
        limit("token-reject-garbage-prefix", 60.0, || {
            refusals(|text| text.replace_range(..4, "ghp_"))
        }),
    ]
    .into_iter()
    .chain(compare::cases())
    .chain(layer::cases())
    .collect()
}

/// Tokens, and the texts of 1,000 that are live.
struct Known<S> {
    tokens: Tokens<S>,
    texts: Vec<String>,
}

impl<S: TokenStore> Known<S> {
    async fn issue(store: S) -> Self {
        let tokens = tokens(store);
        let mut texts = Vec::new();
        for _ in 0..COUNT {
            let issued = tokens.issue(new()).await.expect("room");
            texts.push(issued.token().expose().to_owned());
        }
        Self { tokens, texts }
    }

    /// Checks one after another; what is not there at once is waited for.
    fn check(&self, runtime: Option<&Runtime>, iterations: u64) -> Duration {
        self.check_from(0, runtime, iterations)
    }

    fn check_from(&self, first: usize, runtime: Option<&Runtime>, iterations: u64) -> Duration {
        let texts = self.texts.iter().cycle().skip(first);
        let start = now();
        for text in texts.take(iterations as usize) {
            let text = black_box(text.as_bytes());
            let verified = match self.tokens.verify(TokenKind::Runtime, text) {
                Answer::Ready(verified) => verified,
                Answer::Pending(verifying) => runtime.expect("a runtime").block_on(verifying),
            };
            assert!(black_box(verified).is_ok());
        }
        start.elapsed()
    }
}

impl Known<MemoryStore> {
    fn in_memory() -> Self {
        let known = Self::issue(memory()).now_or_never();
        known.expect("no need to wait")
    }
}

fn tokens<S: TokenStore>(store: S) -> Tokens<S> {
    let keys = KeyRing::random(&SystemRng).expect("randomness");
    Tokens::builder(store, keys).build().expect("fair settings")
}

fn memory() -> MemoryStore {
    MemoryStore::new(100_000).expect("not zero")
}

fn new() -> NewToken {
    NewToken::runtime(&"cache-plugin".parse().expect("a name"))
}

fn checks(threads: usize) -> Contender {
    let known = Known::in_memory();
    Contender::paced(move |iterations| match threads {
        1 => known.check(None, iterations),
        _ => on_each_thread(threads, |thread| {
            known.check_from(thread * 500, None, iterations)
        }),
    })
}

fn lookups(threads: usize) -> Contender {
    let known = Known::in_memory();
    let ids: Vec<_> = known.texts.iter().map(|text| id(text)).collect();
    Contender::paced(move |iterations| {
        on_each_thread(threads, |thread| {
            let start = now();
            for id in ids
                .iter()
                .cycle()
                .skip(thread * 500)
                .take(iterations as usize)
            {
                match known.tokens.store().get(black_box(id)) {
                    Answer::Ready(found) => assert!(matches!(black_box(found), Ok(Some(_)))),
                    Answer::Pending(_) => panic!("in memory"),
                }
            }
            start.elapsed()
        })
    })
}

fn id(text: &str) -> TokenId {
    PresentedToken::parse(text.as_bytes())
        .expect("a token")
        .id()
}

fn signed(make: fn() -> Signed) -> Contender {
    let signed = make();
    Contender::paced(move |iterations| signed.check(iterations))
}

fn global_map(threads: usize) -> Contender {
    let map = GlobalMap::new(COUNT);
    Contender::paced(move |iterations| {
        on_each_thread(threads, |thread| map.check(thread, iterations))
    })
}

/// One request after another, each with a token that the cache knows, or that Redis is asked for.
fn in_redis() -> Contest {
    let server = Server::start("tokens");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build();
    let runtime = runtime.expect("a runtime");
    let store = || {
        let store = RedisStore::builder(&server.url()).with_deadline(Duration::from_secs(10));
        store.build().expect("a store")
    };
    let uncached = runtime.block_on(Known::issue(store()));
    let cached = {
        let _guard = runtime.enter();
        store().cached(CachedStore::builder()).expect("a cache")
    };
    let cached = runtime.block_on(Known::issue(cached));
    while !cached.tokens.store().is_live() {
        std::thread::yield_now();
    }
    let shared = Arc::new((runtime, server));
    let peers = Arc::clone(&shared);
    Contest {
        ours: Contender::paced(move |iterations| cached.check(Some(&shared.0), iterations)),
        peer: Contender::paced(move |iterations| uncached.check(Some(&peers.0), iterations)),
        baseline: None,
    }
}

/// Randomness, the digest, the text and the record kept; a store that is full is replaced while the
/// clock stands still.
fn issues() -> Contender {
    Contender::paced(move |iterations| {
        let (mut left, mut took) = (iterations, Duration::ZERO);
        while left > 0 {
            let batch = left.min(50_000);
            left -= batch;
            let tokens = tokens(memory());
            let start = now();
            for _ in 0..batch {
                let issued = tokens.issue(new()).now_or_never();
                assert!(black_box(issued.expect("no need to wait")).is_ok());
            }
            took += start.elapsed();
        }
        took
    })
}

fn refusals(spoil: fn(&mut String)) -> Contender {
    let mut known = Known::in_memory();
    known.texts.iter_mut().for_each(spoil);
    Contender::paced(move |iterations| {
        let start = now();
        for text in known.texts.iter().cycle().take(iterations as usize) {
            let text = black_box(text.as_bytes());
            match known.tokens.verify(TokenKind::Runtime, text) {
                Answer::Ready(verified) => assert!(black_box(verified).is_err()),
                Answer::Pending(_) => panic!("the store was asked"),
            }
        }
        start.elapsed()
    })
}

/// A character in the middle of the secret is another.
fn wrong_checksum(text: &mut String) {
    let other = match &text[40..41] {
        "A" => "B",
        _ => "A",
    };
    text.replace_range(40..41, other);
}

const COUNT: u64 = 1000;
