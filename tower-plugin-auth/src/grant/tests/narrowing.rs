//! Whatever is derived allows nothing that it was not derived from.

use proptest::{prelude::*, sample::select};

use super::*;
use crate::authorize::Permission;

proptest! {
    #[test]
    fn attenuation_never_widens(
        permissions in prop::collection::vec(permission(), 1..3),
        scope in prop::collection::vec(permission(), 0..3),
        holder in holder(),
        max_uses in prop::option::of(1..9_u32),
        caveats in prop::collection::vec(caveat(), 0..6),
        requests in prop::collection::vec(request(), 1..12),
    ) {
        let keys = KeyRing::new(Pepper::new(1, &[1; 32]).unwrap(), []).unwrap();
        let minted = mint(&keys, &SystemRng).unwrap();
        let record = GrantRecord::new(&minted, cache(), "logger", at(0), at(1000)).with_holder(holder);
        let record = permissions.into_iter().fold(record, GrantRecord::with_permission);
        let record = scope.into_iter().fold(record, GrantRecord::with_scope);
        let record = match max_uses {
            Some(count) => record.with_max_uses(count.try_into().unwrap()),
            None => record,
        };
        let mut chain = vec![present(minted.token())];
        for caveat in &caveats {
            let next = chain.last().unwrap().extended(caveat).unwrap();
            chain.push(next);
        }
        for request in &requests {
            let asked = request.asked();
            let verdicts: Vec<_> = chain.iter()
                .map(|token| check(&keys, token, Some(&record), &asked))
                .collect();
            for pair in verdicts.windows(2) {
                let [parent, derived] = pair else { unreachable!("two of them") };
                let Ok(derived) = derived else { continue };
                let Ok(parent) = parent else {
                    panic!("{request:?} is allowed by what was derived, and not before");
                };
                prop_assert!(derived.expires_at() <= parent.expires_at());
                prop_assert_eq!(derived.uses().of_grant(), parent.uses().of_grant());
                prop_assert!(derived.uses().of_links().starts_with(parent.uses().of_links()));
            }
        }
    }
}

/// Few words of each kind, so that they meet.
fn path() -> impl Strategy<Value = &'static str> {
    select(vec![
        "/",
        "/a",
        "/a/",
        "/a/b",
        "/a/b/c",
        "/ab",
        "/s.v1.S/Get",
        "/s.v1.S/Set",
        "/a/../b",
    ])
}

fn method() -> impl Strategy<Value = &'static str> {
    select(vec!["GET", "HEAD", "POST"])
}

fn name() -> impl Strategy<Value = &'static str> {
    select(vec!["cache-7f3a", "other"])
}

fn permission() -> impl Strategy<Value = Permission> {
    let texts = [
        "* /**",
        "GET /**",
        "* /a/**",
        "GET|POST /a/*",
        "POST /s.v1.S/*",
        "* /a",
        "* /",
    ];
    select(texts.to_vec()).prop_map(|text| text.parse().unwrap())
}

fn holder() -> impl Strategy<Value = Holder> {
    let certificate = Holder::Certificate(Thumbprint::of_certificate(b"cache-7f3a"));
    select(vec![Holder::Bearer, Holder::Principal, certificate])
}

fn caveat() -> impl Strategy<Value = Caveat> {
    prop_oneof![
        (0..1200_u64).prop_map(|end| Caveat::not_after(at(end)).unwrap()),
        path().prop_filter_map("not canonical", |path| Caveat::path_prefix(path).ok()),
        prop::collection::vec(method(), 1..3).prop_map(|all| Caveat::methods(all).unwrap()),
        select(vec!["Get", "Set", "*"]).prop_map(|name| Caveat::rpc("s.v1.S", name).unwrap()),
        name().prop_map(|name| Caveat::audience(name).unwrap()),
        (1..9_u32).prop_map(|count| Caveat::max_uses(count).unwrap()),
        name().prop_map(|name| Caveat::holder("runtime", name).unwrap()),
        name().prop_map(|name| Caveat::certificate(Thumbprint::of_certificate(name.as_bytes()))),
    ]
}

#[derive(Debug)]
struct Request {
    capability: &'static str,
    method: &'static str,
    path: &'static str,
    principal: Option<Principal>,
    certificate: Option<&'static str>,
    audience: Option<&'static str>,
    now: SystemTime,
}

impl Request {
    fn asked(&self) -> Asked<'_> {
        Asked::new(self.capability, self.method, self.path, self.now)
            .with_principal(self.principal.as_ref())
            .with_certificate(self.certificate.map(str::as_bytes))
            .with_audience(self.audience)
    }
}

fn request() -> impl Strategy<Value = Request> {
    let who = prop::option::weighted(0.9, name());
    let maybe = || prop::option::of(name());
    let capability = prop_oneof![9 => Just("logger"), 1 => Just("secrets")];
    (
        capability,
        method(),
        path(),
        who,
        maybe(),
        maybe(),
        0..1100_u64,
    )
        .prop_map(
            |(capability, method, path, who, certificate, audience, now)| Request {
                capability,
                method,
                path,
                principal: who.map(|name| Principal::new("runtime", name)),
                certificate,
                audience,
                now: at(now),
            },
        )
}
