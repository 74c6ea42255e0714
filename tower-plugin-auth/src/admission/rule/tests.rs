use tower_plugin_core::Principal;

use super::*;
use crate::token::SelfId;

const VALUE: &str = "correct-horse-battery";

fn secret() -> Rule {
    Rule::Secret(BootstrapSecret::new(VALUE).unwrap())
}

fn peer() -> Rule {
    Rule::Peer(Peers::new().with_peer("mtls-dns", "cache.example"))
}

fn no_manifest(_: &Applicant<'_>) -> Result<(), RefusalReason> {
    Err(RefusalReason::ManifestMissing)
}

#[test]
fn a_rule_admits_exactly_who_meets_it() {
    let name: SelfId = "cache".parse().unwrap();
    let known = Principal::new("mtls-dns", "cache.example");
    let unknown = Principal::new("mtls-dns", "evil.example");
    let nobody = Applicant::new(&name);
    let knows = nobody.with_secret(BootstrapSecret::NAME, VALUE);
    let guesses = nobody.with_secret(BootstrapSecret::NAME, "wrong");
    let is_peer = nobody.with_peer(&known);
    let both = knows.with_peer(&known);
    let half = guesses.with_peer(&known);
    let stranger = knows.with_peer(&unknown);

    let all = Rule::AllOf(vec![secret(), peer()]);
    let any = Rule::AnyOf(vec![secret(), peer()]);
    for (rule, applicant, verdict) in [
        (&Rule::default(), both, Err(RefusalReason::Closed)),
        (&Rule::Open, nobody, Ok("open")),
        (&secret(), nobody, Err(RefusalReason::SecretMissing)),
        (&secret(), guesses, Err(RefusalReason::SecretWrong)),
        (&secret(), knows, Ok("secret")),
        (&peer(), knows, Err(RefusalReason::PeerMissing)),
        (&peer(), stranger, Err(RefusalReason::PeerNotAllowed)),
        (&peer(), is_peer, Ok("peer")),
        (&all, both, Ok("secret+peer")),
        (&all, knows, Err(RefusalReason::PeerMissing)),
        (&all, half, Err(RefusalReason::SecretWrong)),
        (&all, stranger, Err(RefusalReason::PeerNotAllowed)),
        (&any, knows, Ok("secret")),
        (&any, is_peer, Ok("peer")),
        (&any, half, Ok("peer")),
        (&any, nobody, Err(RefusalReason::PeerMissing)),
        (&any, guesses, Err(RefusalReason::SecretWrong)),
        (
            &any,
            nobody.with_peer(&unknown),
            Err(RefusalReason::PeerNotAllowed),
        ),
        (
            &Rule::AnyOf(vec![Rule::Closed, all.clone()]),
            both,
            Ok("secret+peer"),
        ),
    ] {
        let decided = rule.decide(&applicant, &no_manifest);
        let decided = decided.map(|grounds| grounds.to_string());
        assert_eq!(
            decided.as_deref().map_err(|reason| *reason),
            verdict,
            "{rule:?}"
        );
    }
}

#[test]
fn a_rule_that_means_nothing_is_not_built() {
    let deep = |levels| (0..levels).fold(secret(), |rule, _| Rule::AllOf(vec![rule]));
    for rule in [
        Rule::AllOf(vec![]),
        Rule::AnyOf(vec![]),
        Rule::AnyOf(vec![secret(), Rule::Open]),
        Rule::AllOf(vec![Rule::Open]),
        Rule::AllOf(vec![secret(); 17]),
        deep(5),
    ] {
        assert_eq!(rule.validate().unwrap_err().field(), "rule", "{rule:?}");
    }
    assert_eq!(
        Rule::AnyOf(vec![Rule::Peer(Peers::new())])
            .validate()
            .unwrap_err()
            .field(),
        "peers"
    );
    for rule in [
        Rule::Closed,
        Rule::Open,
        deep(4),
        Rule::AnyOf(vec![secret(); 16]),
    ] {
        assert!(rule.validate().is_ok(), "{rule:?}");
    }
}

#[cfg(feature = "manifest")]
#[test]
fn only_a_secret_or_a_peer_that_nobody_gets_around_is_proof() {
    let manifest = || Rule::Manifest;
    for (rule, proof) in [
        (manifest(), false),
        (secret(), true),
        (peer(), true),
        (Rule::AllOf(vec![manifest(), secret()]), true),
        (Rule::AnyOf(vec![manifest(), secret()]), false),
        (
            Rule::AllOf(vec![manifest(), Rule::AnyOf(vec![secret(), peer()])]),
            true,
        ),
        (
            Rule::AllOf(vec![manifest(), Rule::AnyOf(vec![secret(), manifest()])]),
            false,
        ),
        (Rule::AnyOf(vec![Rule::Closed, peer()]), true),
    ] {
        assert_eq!(rule.takes_proof(), proof, "{rule:?}");
    }
}
