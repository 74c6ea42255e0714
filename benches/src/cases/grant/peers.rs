//! The same conditions in the words of the others.

use std::{hint::black_box, time::Duration};

use biscuit_auth::{
    AuthorizerBuilder, AuthorizerLimits, Biscuit, KeyPair,
    builder::{BlockBuilder, date, fact, string},
};
use macaroon::{ByteString, Format, Macaroon, MacaroonKey, Verifier};

use super::{END, NOW, PATH, PREFIX, TOKENS, at};
use crate::runner::{Contender, now};

/// The rights are facts of the first block, each caveat a block with a check. The policy is parsed once; the facts
/// of the request are added to a copy of it.
pub(super) fn biscuit(caveats: usize) -> Contender {
    let root = KeyPair::new();
    let public = root.public();
    let checks = [
        format!("check if path($path), $path.starts_with(\"{PREFIX}\");"),
        "check if method(\"GET\");".to_owned(),
        "check if time($time), $time < 2030-03-17T18:46:40Z;".to_owned(),
    ];
    let texts: Vec<String> = (0..TOKENS)
        .map(|_| {
            let authority = Biscuit::builder().code(AUTHORITY).expect("facts");
            let mut token = authority.build(&root).expect("a token");
            for check in checks.iter().take(caveats) {
                let block = BlockBuilder::new().code(check).expect("a check");
                token = token.append(block).expect("a block");
            }
            token.to_base64().expect("a text")
        })
        .collect();
    // The default is a thousandth of a second, which a busy machine exceeds.
    let limits = AuthorizerLimits {
        max_time: Duration::from_secs(1),
        ..AuthorizerLimits::default()
    };
    let policy = AuthorizerBuilder::new().code(POLICY).expect("a policy");
    let policy = policy.set_limits(limits);
    checked(texts, move |text| {
        let token = Biscuit::from_base64(text, public).expect("genuine");
        let facts = [
            fact("method", &[string(black_box("GET"))]),
            fact("path", &[string(black_box(PATH))]),
            fact("time", &[date(&at(NOW))]),
            fact("user", &[string("cache-7f3a")]),
        ];
        let asked = facts.into_iter().fold(policy.clone(), |asked, fact| {
            asked.fact(fact).expect("a fact")
        });
        let mut authorizer = asked.build(&token).expect("an authorizer");
        black_box(authorizer.authorize().expect("it is good for this"));
    })
}

/// The rights are not in the token and not checked; each caveat is a predicate.
pub(super) fn macaroon(caveats: usize) -> Contender {
    macaroon::initialize().expect("libsodium");
    let key = MacaroonKey::generate(b"a key that only the server has");
    let all = [
        format!("path = {PREFIX}"),
        "method = GET".to_owned(),
        format!("time < {END}"),
    ];
    let texts: Vec<String> = (0..TOKENS)
        .map(|number| {
            let id = format!("cache-7f3a {number}");
            let token = Macaroon::create(None, &key, id.as_str().into());
            let mut token = token.expect("a token");
            for caveat in all.iter().take(caveats) {
                token.add_first_party_caveat(caveat.as_str().into());
            }
            token.serialize(Format::V2).expect("a text")
        })
        .collect();
    checked(texts, move |text| {
        let token = Macaroon::deserialize(text).expect("well formed");
        let mut verifier = Verifier::default();
        verifier.satisfy_exact(black_box("method = GET").into());
        verifier.satisfy_general(is_below);
        verifier.satisfy_general(is_in_time);
        let verdict = verifier.verify(&token, &key, Vec::new());
        verdict.expect("it is good for this");
    })
}

/// What is asked for has to be a constant: verifiers are plain functions.
fn is_below(predicate: &ByteString) -> bool {
    let text = std::str::from_utf8(&predicate.0).unwrap_or_default();
    let prefix = text.strip_prefix("path = ");
    prefix.is_some_and(|prefix| black_box(PATH).starts_with(prefix))
}

fn is_in_time(predicate: &ByteString) -> bool {
    let text = std::str::from_utf8(&predicate.0).unwrap_or_default();
    let end = text
        .strip_prefix("time < ")
        .and_then(|end| end.parse().ok());
    end.is_some_and(|end: u64| black_box(NOW) < end)
}

fn checked(texts: Vec<String>, mut check: impl FnMut(&str) + 'static) -> Contender {
    Contender::paced(move |iterations| {
        let mut texts = texts.iter().cycle();
        let start = now();
        for _ in 0..iterations {
            check(black_box(texts.next().expect("a cycle")));
        }
        start.elapsed()
    })
}

const AUTHORITY: &str = r#"
    user("cache-7f3a");
    right("logger", "GET");
    right("logger", "POST");
    check if time($time), $time < 2030-03-17T18:46:40Z;
"#;

/// In the authority's facts: who it is for, and what he may do.
const POLICY: &str = r#"
    allow if user("cache-7f3a"), method($method), right("logger", $method), path($path), $path.starts_with("/v1/");
"#;
