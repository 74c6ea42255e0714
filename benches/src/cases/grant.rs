//! A grant from its text to a verdict, as it was issued and with three caveats that holders have added.
//!
//! Ours looks its record up among ten thousand in memory, for that is where its authority is: owner, capability,
//! permissions and end are checked, too. The peers carry what they know in the token. Keys, rules and verifiers are
//! ready on all sides; what differs from request to request, each is told anew.

mod peers;

use std::{
    hint::black_box,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tower_plugin_auth::{
    Answer, Principal, SystemRng,
    grant::{Asked, Caveat, GrantRecord, MintedGrant, PresentedGrant, check, mint},
    store::{GrantStore, MemoryGrantStore},
    token::KeyRing,
};

use crate::runner::{Against, Case, Contender, Contest, now};

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
    vec![
        versus("grant-check-0", "biscuit-auth", 80.0, || Contest {
            ours: ours(0),
            peer: peers::biscuit(0),
            baseline: None,
        }),
        versus("grant-check-0-macaroon", "macaroon", 3.0, || Contest {
            ours: ours(0),
            peer: peers::macaroon(0),
            baseline: None,
        }),
        versus("grant-check-3", "biscuit-auth", 30.0, || Contest {
            ours: ours(3),
            peer: peers::biscuit(3),
            baseline: None,
        }),
        versus("grant-check-3-macaroon", "macaroon", 2.0, || Contest {
            ours: ours(3),
            peer: peers::macaroon(3),
            baseline: None,
        }),
    ]
}

fn ours(caveats: usize) -> Contender {
    let owner = Principal::new("runtime", "cache-7f3a");
    let keys = KeyRing::random(&SystemRng).expect("randomness");
    let store = MemoryGrantStore::new(GRANTS).expect("a capacity");
    let minted: Vec<MintedGrant> = (0..GRANTS)
        .map(|_| mint(&keys, &SystemRng).expect("randomness"))
        .collect();
    for minted in &minted {
        let record = GrantRecord::new(minted, owner.clone(), "logger", at(0), at(END))
            .with_permission("GET|POST /v1/**".parse().expect("a permission"));
        let inserted = store.insert(record, GRANTS, at(0));
        let inserted = futures_util::FutureExt::now_or_never(inserted);
        inserted.expect("at once").expect("room");
    }
    let texts: Vec<String> = minted
        .iter()
        .step_by(GRANTS / TOKENS)
        .map(|minted| narrowed(minted, caveats))
        .collect();
    Contender::paced(move |iterations| {
        let mut texts = texts.iter().cycle();
        let start = now();
        for _ in 0..iterations {
            let text = texts.next().expect("a cycle").as_bytes();
            let presented = PresentedGrant::parse(black_box(text)).expect("well formed");
            let Answer::Ready(Ok(record)) = store.get(&presented.id()) else {
                panic!("memory answers at once");
            };
            let asked = Asked::new("logger", black_box("GET"), black_box(PATH), at(NOW))
                .with_principal(Some(&owner));
            let accepted = check(&keys, &presented, record.as_deref(), &asked);
            let _accepted = black_box(accepted.expect("it is good for this"));
        }
        start.elapsed()
    })
}

fn narrowed(minted: &MintedGrant, caveats: usize) -> String {
    let all = [
        Caveat::path_prefix(PREFIX),
        Caveat::methods(["GET"]),
        Caveat::not_after(at(END)),
    ];
    let mut text = minted.token().expose().to_owned();
    for caveat in all.into_iter().take(caveats) {
        let token = tower_plugin_auth::grant::GrantToken::parse(&text).expect("a token");
        let token = token.attenuate(&caveat.expect("a caveat")).expect("room");
        text = token.expose().to_owned();
    }
    text
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

/// How many the store knows.
const GRANTS: usize = 10_000;
/// How many of them are presented in turn.
const TOKENS: usize = 64;
const NOW: u64 = 1_900_000_000;
const END: u64 = NOW + 3600;
const PREFIX: &str = "/v1/lines";
const PATH: &str = "/v1/lines/7";
