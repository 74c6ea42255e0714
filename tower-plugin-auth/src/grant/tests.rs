use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tower_plugin_core::Principal;

use super::*;
use crate::{
    random::SystemRng,
    token::{KeyRing, Pepper, Rng, RngError},
};

mod chain;
mod narrowing;
mod vectors;

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn cache() -> Principal {
    Principal::new("runtime", "cache-7f3a")
}

fn keys() -> KeyRing {
    KeyRing::random(&SystemRng).unwrap()
}

/// For everything, by its owner, until the 1000th second.
fn record(minted: &MintedGrant) -> GrantRecord {
    GrantRecord::new(minted, cache(), "logger", at(0), at(1000))
        .with_permission("* /**".parse().unwrap())
}

fn asked<'a>(method: &'a str, path: &'a str, caller: &'a Principal) -> Asked<'a> {
    Asked::new("logger", method, path, at(999)).with_principal(Some(caller))
}

fn present(token: &GrantToken) -> PresentedGrant {
    PresentedGrant::parse(token.expose().as_bytes()).unwrap()
}

/// The verdict on a token with these caveats.
fn verdict(
    record: impl FnOnce(GrantRecord) -> GrantRecord,
    caveats: &[Caveat],
    asked: &Asked<'_>,
) -> Result<Accepted, DenialReason> {
    let keys = keys();
    let minted = mint(&keys, &SystemRng).unwrap();
    let record = record(self::record(&minted));
    let presented = caveats
        .iter()
        .fold(present(minted.token()), |presented, caveat| {
            presented.extended(caveat).unwrap()
        });
    check(&keys, &presented, Some(&record), asked)
}

fn refusal(
    record: impl FnOnce(GrantRecord) -> GrantRecord,
    caveats: &[Caveat],
    asked: &Asked<'_>,
) -> Option<DenialReason> {
    verdict(record, caveats, asked).err()
}

#[test]
fn a_grant_is_good_for_its_owner_at_its_capability_until_it_expires() {
    let (owner, other) = (cache(), Principal::new("runtime", "other"));
    let get = asked("GET", "/lines", &owner);
    assert_eq!(refusal(|r| r, &[], &get), None);

    let accepted = verdict(|r| r, &[], &get).unwrap();
    assert!(accepted.uses().are_unlimited());
    assert_eq!(accepted.expires_at(), at(1000));

    let denied = |asked: &Asked<'_>| refusal(|r| r, &[], asked);
    let by = |who| Asked::new("logger", "GET", "/lines", at(0)).with_principal(who);
    assert_eq!(denied(&by(Some(&other))), Some(DenialReason::NotHolder));
    assert_eq!(denied(&by(None)), Some(DenialReason::NotHolder));
    let same_name = Principal::new("mtls-cn", "cache-7f3a");
    assert_eq!(denied(&by(Some(&same_name))), Some(DenialReason::NotHolder));

    let elsewhere = Asked::new("secrets", "GET", "/lines", at(0)).with_principal(Some(&owner));
    assert_eq!(denied(&elsewhere), Some(DenialReason::OtherCapability));
    let late = Asked::new("logger", "GET", "/lines", at(1000)).with_principal(Some(&owner));
    assert_eq!(denied(&late), Some(DenialReason::Expired));
}

#[test]
fn a_grant_is_held_by_whom_its_record_says() {
    let own = Thumbprint::of_certificate(b"own");
    let with = |der| Asked::new("logger", "GET", "/", at(0)).with_certificate(der);
    let to_own = |record: GrantRecord| record.with_holder(Holder::Certificate(own));
    assert_eq!(refusal(to_own, &[], &with(Some(b"own"))), None);
    for other in [None, Some(&b"another"[..])] {
        let refused = refusal(to_own, &[], &with(other));
        assert_eq!(refused, Some(DenialReason::NotHolder));
    }
    let to_anybody = |record: GrantRecord| record.with_holder(Holder::Bearer);
    assert_eq!(refusal(to_anybody, &[], &with(None)), None);
}

#[test]
fn a_grant_permits_what_both_its_permissions_and_its_scope_cover() {
    let owner = cache();
    let keys = keys();
    let minted = mint(&keys, &SystemRng).unwrap();
    let nothing = GrantRecord::new(&minted, cache(), "logger", at(0), at(1000));
    let read = |record: GrantRecord| record.with_permission("GET /v1/**".parse().unwrap());
    let lines = |record: GrantRecord| record.with_scope("* /v1/lines".parse().unwrap());
    let permits = |record: &GrantRecord, method, path| {
        let asked = asked(method, path, &owner);
        check(&keys, &present(minted.token()), Some(record), &asked).map(|_| ())
    };
    let not_permitted = Err(DenialReason::NotPermitted);

    assert_eq!(permits(&nothing, "GET", "/v1/lines"), not_permitted);
    let reading = read(nothing.clone());
    assert_eq!(permits(&reading, "GET", "/v1/lines"), Ok(()));
    assert_eq!(permits(&reading, "POST", "/v1/lines"), not_permitted);
    let reading_lines = lines(reading);
    assert_eq!(permits(&reading_lines, "GET", "/v1/lines"), Ok(()));
    assert_eq!(permits(&reading_lines, "GET", "/v1/others"), not_permitted);
    assert_eq!(permits(&reading_lines, "POST", "/v1/lines"), not_permitted);
    assert_eq!(permits(&lines(nothing), "GET", "/v1/lines"), not_permitted);
    assert_eq!(
        permits(&reading_lines, "GET", "/v1/../v1/lines"),
        Err(DenialReason::AmbiguousPath)
    );
}

#[test]
fn each_caveat_takes_away_what_it_says_and_nothing_else() {
    let owner = cache();
    let met = |caveat: Caveat, asked: Asked<'_>| match refusal(
        |r| r,
        std::slice::from_ref(&caveat),
        &asked,
    ) {
        None => true,
        Some(DenialReason::Caveat(kind)) if kind == caveat.kind() => false,
        Some(other) => panic!("{other}"),
    };
    let get = |path| asked("GET", path, &owner);
    let post = |path| asked("POST", path, &owner);

    let at_999 = |end| met(Caveat::not_after(at(end)).unwrap(), get("/"));
    assert!(at_999(1000) && !at_999(999) && !at_999(0));

    let below = |prefix, path| met(Caveat::path_prefix(prefix).unwrap(), get(path));
    for (prefix, path, is_below) in [
        ("/a", "/a", true),
        ("/a", "/a/", true),
        ("/a", "/a/b/c", true),
        ("/a", "/ab", false),
        ("/a", "/A", false),
        ("/a", "/a;x=1", false),
        ("/a", "/", false),
        ("/a/", "/a/", true),
        ("/a/", "/a/b", true),
        ("/a/", "/a", false),
        ("/", "/", true),
        ("/", "/a/b", true),
    ] {
        assert_eq!(below(prefix, path), is_below, "{prefix} {path}");
    }

    let methods = Caveat::methods(["HEAD", "GET", "GET"]).unwrap();
    assert!(met(methods.clone(), get("/")));
    assert!(!met(methods.clone(), post("/")));
    assert!(!met(methods, asked("get", "/", &owner)));

    let one = || Caveat::rpc("a.v1.A", "Get").unwrap();
    let all = || Caveat::rpc("a.v1.A", "*").unwrap();
    assert!(met(one(), post("/a.v1.A/Get")) && met(all(), post("/a.v1.A/Get")));
    assert!(!met(one(), post("/a.v1.A/Set")) && met(all(), post("/a.v1.A/Set")));
    for path in ["/a.v1.A", "/a.v1.A/", "/a.v1.A/Get/x", "/a.v1.AB/Get", "/"] {
        assert!(!met(one(), post(path)) && !met(all(), post(path)), "{path}");
    }
    assert!(!met(all(), get("/a.v1.A/Get")));

    let named = |name| get("/").with_audience(name);
    let audience = || Caveat::audience("b.example").unwrap();
    assert!(met(audience(), named(Some("b.example"))));
    assert!(!met(audience(), named(Some("B.example"))) && !met(audience(), named(None)));

    assert!(met(
        Caveat::holder("runtime", "cache-7f3a").unwrap(),
        get("/")
    ));
    assert!(!met(Caveat::holder("runtime", "cache").unwrap(), get("/")));
    assert!(!met(
        Caveat::holder("runtimec", "ache-7f3a").unwrap(),
        get("/")
    ));

    let own = Caveat::certificate(Thumbprint::of_certificate(b"own"));
    assert!(met(own.clone(), get("/").with_certificate(Some(b"own"))));
    assert!(!met(own, get("/")));
}

#[test]
fn what_counts_is_named_by_the_link_that_has_set_the_limit() {
    let owner = cache();
    let keys = keys();
    let minted = mint(&keys, &SystemRng).unwrap();
    let five = minted.token().attenuate(&Caveat::max_uses(5).unwrap());
    let five = five.unwrap();
    let soon = Caveat::not_after(at(1000)).unwrap();
    let two = five.attenuate(&soon).unwrap();
    let two = two.attenuate(&Caveat::max_uses(2).unwrap()).unwrap();
    let last = two.attenuate(&Caveat::path_prefix("/").unwrap()).unwrap();

    let record = record(&minted).with_max_uses(9.try_into().unwrap());
    let accepted = check(
        &keys,
        &present(&last),
        Some(&record),
        &asked("GET", "/", &owner),
    );
    let accepted = accepted.unwrap();
    let uses = accepted.uses();
    assert_eq!(uses.of_grant(), Some(9.try_into().unwrap()));
    let limits = [(five.link(), 5), (two.link(), 2)].map(|(l, n)| (l, n.try_into().unwrap()));
    assert_eq!(uses.of_links(), limits);
    assert_eq!(accepted.link(), last.link());
}

#[test]
fn debug_shows_no_secret() {
    let minted = mint(&keys(), &SystemRng).unwrap();
    let token = minted.token().attenuate(&Caveat::max_uses(1).unwrap());
    let token = token.unwrap();
    let shown = format!(
        "{minted:?} {token:?} {:?} {:?}",
        present(&token),
        record(&minted)
    );
    // The prefix and 24 characters hold nothing but version and id.
    for text in [minted.token().expose(), token.expose()] {
        for part in text.as_bytes()[28..].windows(8) {
            assert!(!shown.contains(str::from_utf8(part).unwrap()), "{shown}");
        }
    }
    let salt: Vec<String> = record(&minted).root().1.iter().map(u8::to_string).collect();
    assert!(!shown.contains(&salt.join(", ")), "{shown}");
    assert!(shown.contains(&token.id().to_string()) && shown.contains("MaxUses(1)"));
}

#[test]
fn without_randomness_nothing_is_minted() {
    struct Broken(usize);
    impl Rng for Broken {
        fn fill(&self, buffer: &mut [u8]) -> Result<(), RngError> {
            match buffer.len() == self.0 {
                true => Err(RngError::new("no entropy")),
                false => Ok(()),
            }
        }
    }
    for broken in [16, 32].map(Broken) {
        assert!(mint(&keys(), &broken).is_err());
    }
}

/// What a record says is believed, and the documentation says so. Only the hosts may write to the store.
#[test]
fn who_can_write_to_the_store_widens_what_he_holds_and_makes_nothing() {
    let keys = keys();
    let (his, of_other) = (
        mint(&keys, &SystemRng).unwrap(),
        mint(&keys, &SystemRng).unwrap(),
    );
    let (holder, victim) = (cache(), Principal::new("runtime", "victim"));
    let wanted = Asked::new("secrets", "GET", "/all", at(5000)).with_principal(Some(&victim));
    let written = |minted: &MintedGrant| {
        GrantRecord::new(minted, victim.clone(), "secrets", at(0), at(9999))
            .with_permission("* /**".parse().unwrap())
    };
    let token = present(his.token());
    assert!(check(&keys, &token, Some(&written(&his)), &wanted).is_ok());
    let narrowed = token
        .extended(&Caveat::holder(holder.kind(), holder.subject()).unwrap())
        .unwrap();
    assert_eq!(
        check(&keys, &narrowed, Some(&written(&his)), &wanted).err(),
        Some(DenialReason::Caveat(CaveatKind::Holder)),
        "a caveat stays"
    );
    // A record of a grant whose token he does not hold is of no use to him, and neither is one he has made up.
    let other = check(&keys, &token, Some(&written(&of_other)), &wanted);
    assert_eq!(other.err(), Some(DenialReason::Unknown));
    let own_keys = self::keys();
    let made_up = mint(&own_keys, &SystemRng).unwrap();
    let token = present(made_up.token());
    let forged = check(&keys, &token, Some(&written(&made_up)), &wanted);
    assert_eq!(forged.err(), Some(DenialReason::Mismatch));
}
