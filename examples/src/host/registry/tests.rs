use std::time::Duration;

use super::*;

const LIMITS: RegistryLimits = RegistryLimits {
    registrations: 6,
    per_plugin: 3,
    per_service: 5,
    plugins: 4,
};

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn owner(runtime_id: &str) -> Owner<'_> {
    Owner {
        runtime_id,
        token_id: token(1),
        expires_at: at(100),
    }
}

fn token(number: u8) -> TokenId {
    TokenId::from_bytes([number; 16])
}

fn offer(service_type: &str, version: &str) -> Offer {
    Offer {
        service_type: service_type.into(),
        version: version.parse().unwrap(),
        endpoint_path: "/x/".into(),
        metadata: Vec::new(),
    }
}

fn names(mut services: Vec<Box<str>>) -> Vec<String> {
    services.sort();
    services.into_iter().map(String::from).collect()
}

fn registry(offers: &[(&str, &str, &str, &str)]) -> Registry {
    let mut registry = Registry::new(LIMITS);
    for (plugin, id, service, version) in offers {
        registry
            .register(owner(plugin), id, offer(service, version), at(0))
            .unwrap();
    }
    registry
}

fn found(registry: &mut Registry, service: &str, min: Option<&str>) -> Result<String, Refusal> {
    let min = min.map(|min| min.parse().unwrap());
    registry
        .discover(service, min.as_ref(), Selection::RoundRobin, at(1))
        .map(|found| found.runtime_id.as_ref().to_owned())
}

#[test]
fn round_robin_visits_every_provider_once_a_round() {
    let mut registry = registry(&[
        ("a", "1", "log", "1.0.0"),
        ("b", "2", "log", "1.0.0"),
        ("c", "3", "log", "1.0.0"),
    ]);
    let mut round: Vec<_> = (0..3)
        .map(|_| found(&mut registry, "log", None).unwrap())
        .collect();
    round.sort();
    assert_eq!(round, ["a", "b", "c"]);
}

#[test]
fn the_first_is_found_until_another_is_better_or_it_is_gone() {
    let mut registry = registry(&[
        ("a", "1", "log", "1.0.0"),
        ("b", "2", "log", "1.0.0"),
        ("c", "3", "log", "1.0.0"),
    ]);
    let first = |registry: &mut Registry| {
        let found = registry.discover("log", None, Selection::First, at(1));
        found.unwrap().runtime_id.to_string()
    };
    for _ in 0..3 {
        assert_eq!(first(&mut registry), "a");
        // Whoever takes turns takes none of its.
        found(&mut registry, "log", None).unwrap();
    }
    let report = |registry: &mut Registry, plugin, health| {
        registry
            .report_health(owner(plugin), health, at(1))
            .unwrap();
    };
    report(&mut registry, "c", Health::Healthy);
    assert_eq!(first(&mut registry), "c", "the others are silent");
    report(&mut registry, "b", Health::Healthy);
    assert_eq!(first(&mut registry), "b");
    report(&mut registry, "a", Health::Unhealthy);
    registry.unregister("b", "2").unwrap();
    assert_eq!(first(&mut registry), "c");
}

#[test]
fn a_random_number_reaches_every_provider() {
    let mut registry = registry(&[("a", "1", "log", "1.0.0"), ("b", "2", "log", "1.0.0")]);
    let mut pick = |number| {
        registry
            .discover("log", None, Selection::Random(number), at(1))
            .unwrap()
            .runtime_id
    };
    assert_ne!(pick(4), pick(5));
    assert_eq!(pick(4), pick(u64::MAX - 1));
}

// A string comparison puts 1.10.0 before 1.9.0.
#[test]
fn f62_versions_compare_as_numbers() {
    let mut registry = registry(&[("a", "1", "log", "1.10.0")]);
    assert_eq!(
        found(&mut registry, "log", Some("1.9.0")),
        Ok("a".to_owned())
    );
    assert_eq!(
        found(&mut registry, "log", Some("1.10.0-rc.1")),
        Ok("a".to_owned())
    );
    assert_eq!(
        found(&mut registry, "log", Some("1.11.0")),
        Err(Refusal::VersionTooLow)
    );
    assert_eq!(
        found(&mut registry, "other", None),
        Err(Refusal::UnknownService)
    );
}

#[test]
fn the_healthy_come_first_and_the_unhealthy_never() {
    let mut registry = registry(&[("a", "1", "log", "1.0.0"), ("b", "2", "log", "1.0.0")]);
    registry
        .report_health(owner("b"), Health::Healthy, at(0))
        .unwrap();
    for _ in 0..3 {
        assert_eq!(found(&mut registry, "log", None), Ok("b".to_owned()));
    }
    registry
        .report_health(owner("b"), Health::Unhealthy, at(0))
        .unwrap();
    assert_eq!(found(&mut registry, "log", None), Ok("a".to_owned()));
    registry
        .report_health(owner("a"), Health::Degraded, at(0))
        .unwrap();
    assert_eq!(found(&mut registry, "log", None), Ok("a".to_owned()));
    registry
        .report_health(owner("a"), Health::Unhealthy, at(0))
        .unwrap();
    assert_eq!(found(&mut registry, "log", None), Err(Refusal::NoneHealthy));
}

#[test]
fn only_a_lone_provider_is_single() {
    let mut registry = registry(&[("a", "1", "log", "1.0.0"), ("b", "2", "log", "1.0.0")]);
    let single = |registry: &mut Registry| {
        registry
            .discover("log", None, Selection::RoundRobin, at(1))
            .unwrap()
            .single
    };
    registry
        .report_health(owner("a"), Health::Healthy, at(0))
        .unwrap();
    assert!(!single(&mut registry));
    registry.unregister("b", "2").unwrap();
    assert!(single(&mut registry));
}

#[test]
fn f64_an_offer_is_taken_back_by_its_owner_alone() {
    let mut registry = registry(&[("a", "1", "log", "1.0.0")]);
    assert_eq!(
        registry.unregister("b", "1"),
        Err(Refusal::UnknownRegistration)
    );
    assert_eq!(found(&mut registry, "log", None), Ok("a".to_owned()));
    assert_eq!(registry.unregister("a", "1"), Ok("log".into()));
    assert_eq!(
        registry.unregister("a", "1"),
        Err(Refusal::UnknownRegistration)
    );
    assert_eq!(
        found(&mut registry, "log", None),
        Err(Refusal::UnknownService)
    );
}

#[test]
fn a_taken_id_changes_nothing() {
    let mut registry = registry(&[("a", "1", "log", "1.0.0")]);
    assert_eq!(
        registry.register(owner("b"), "1", offer("log", "2.0.0"), at(0)),
        Err(Refusal::Taken)
    );
    assert_eq!(
        found(&mut registry, "log", Some("2.0.0")),
        Err(Refusal::VersionTooLow)
    );
}

#[test]
fn every_limit_holds() {
    let mut full = registry(&[
        ("a", "1", "x", "1.0.0"),
        ("a", "2", "y", "1.0.0"),
        ("a", "3", "z", "1.0.0"),
    ]);
    assert_eq!(
        full.register(owner("a"), "4", offer("w", "1.0.0"), at(0)),
        Err(Refusal::Full),
        "per plugin"
    );
    full.unregister("a", "2").unwrap();
    assert_eq!(
        full.register(owner("a"), "4", offer("w", "1.0.0"), at(0)),
        Ok(()),
        "given back"
    );

    let mut full = Registry::new(LIMITS);
    for id in ["1", "2", "3", "4", "5"] {
        full.register(
            owner(if id < "3" { "a" } else { "b" }),
            id,
            offer("x", "1.0.0"),
            at(0),
        )
        .unwrap();
    }
    assert_eq!(
        full.register(owner("c"), "6", offer("x", "1.0.0"), at(0)),
        Err(Refusal::Full),
        "per service"
    );
    full.register(owner("c"), "6", offer("y", "1.0.0"), at(0))
        .unwrap();
    assert_eq!(
        full.register(owner("d"), "7", offer("z", "1.0.0"), at(0)),
        Err(Refusal::Full),
        "in all"
    );

    let mut full = Registry::new(LIMITS);
    for plugin in ["a", "b", "c", "d"] {
        full.report_health(owner(plugin), Health::Healthy, at(0))
            .unwrap();
    }
    assert_eq!(
        full.report_health(owner("e"), Health::Healthy, at(0)),
        Err(Refusal::Full),
        "plugins"
    );
    assert_eq!(
        full.register(owner("e"), "1", offer("x", "1.0.0"), at(0)),
        Err(Refusal::Full),
        "plugins"
    );
    assert!(full.is_empty());
}

#[test]
fn what_expired_is_not_found_and_makes_room() {
    let mut registry = Registry::new(LIMITS);
    for id in ["1", "2", "3", "4", "5", "6"] {
        let plugin = if id < "4" { "a" } else { "b" };
        let expires_at = at(if plugin == "a" { 10 } else { 100 });
        registry
            .register(
                Owner {
                    runtime_id: plugin,
                    token_id: token(1),
                    expires_at,
                },
                id,
                offer(id.repeat(2).as_str(), "1.0.0"),
                at(0),
            )
            .unwrap();
    }
    let mut discover = |now| {
        registry
            .discover("11", None, Selection::RoundRobin, now)
            .map(|found| found.single)
    };
    assert_eq!(discover(at(9)), Ok(true));
    assert_eq!(discover(at(10)), Err(Refusal::UnknownService));

    assert_eq!(
        registry.register(owner("c"), "7", offer("x", "1.0.0"), at(9)),
        Err(Refusal::Full)
    );
    assert_eq!(
        registry.register(owner("c"), "7", offer("x", "1.0.0"), at(10)),
        Ok(())
    );
    assert_eq!(registry.len(), 4);
}

#[test]
fn f59_a_provider_is_found_by_type_and_id_together() {
    let registry = registry(&[
        ("a", "1", "log", "1.9.0"),
        ("a", "2", "log", "1.10.0"),
        ("a", "3", "kv", "3.0.0"),
        ("b", "4", "kv", "1.0.0"),
    ]);
    let version = |service: &str, plugin: &str| {
        registry
            .provider(service, plugin, at(1))
            .map(|offer| offer.version.to_string())
    };
    assert_eq!(version("log", "a"), Ok("1.10.0".to_owned()));
    assert_eq!(version("kv", "a"), Ok("3.0.0".to_owned()));
    assert_eq!(version("log", "b"), Err(Refusal::UnknownService));
    assert_eq!(version("other", "a"), Err(Refusal::UnknownService));
    assert_eq!(
        registry.provider("log", "a", at(100)).unwrap_err(),
        Refusal::UnknownService,
        "expired"
    );
}

#[test]
fn f63_whatever_changes_a_service_names_it() {
    let mut registry = registry(&[("a", "1", "log", "1.0.0"), ("a", "2", "kv", "1.0.0")]);
    let mut report = |health| names(registry.report_health(owner("a"), health, at(0)).unwrap());
    assert_eq!(report(Health::Degraded), ["kv", "log"]);
    assert!(report(Health::Degraded).is_empty(), "the same again");
    assert_eq!(registry.unregister("a", "2"), Ok("kv".into()));
    assert!(registry.sweep(at(99)).is_empty());
    assert_eq!(names(registry.sweep(at(100))), ["log"]);
    assert!(registry.is_empty());
}

#[test]
fn f65_nobody_takes_a_turn_by_looking() {
    let mut registry = registry(&[("a", "1", "log", "1.0.0"), ("b", "2", "log", "1.0.0")]);
    let first = |registry: &Registry| registry.overview("log", at(1)).provider.unwrap().0;
    assert_eq!(&*first(&registry), "a");
    let turn = found(&mut registry, "log", None).unwrap();
    for _ in 0..3 {
        assert_eq!(
            &*first(&registry),
            "a",
            "the same one while nothing changes"
        );
    }
    assert_ne!(found(&mut registry, "log", None).unwrap(), turn);
}

#[test]
fn a_service_is_as_well_as_the_best_of_its_providers() {
    let mut registry = registry(&[("a", "1", "log", "1.0.0"), ("b", "2", "log", "1.0.0")]);
    let overview = |registry: &Registry, now| {
        let overview = registry.overview("log", at(now));
        (overview.availability, overview.provider.map(|(id, _)| id))
    };
    let report = |registry: &mut Registry, plugin: &'static str, health| {
        registry
            .report_health(owner(plugin), health, at(0))
            .unwrap();
    };
    assert_eq!(
        overview(&registry, 1),
        (Availability::Available, Some("a".into()))
    );
    report(&mut registry, "b", Health::Healthy);
    assert_eq!(
        overview(&registry, 1),
        (Availability::Available, Some("b".into()))
    );
    report(&mut registry, "b", Health::Unhealthy);
    report(&mut registry, "a", Health::Degraded);
    assert_eq!(
        overview(&registry, 1),
        (Availability::Degraded, Some("a".into()))
    );
    report(&mut registry, "a", Health::Unhealthy);
    assert_eq!(overview(&registry, 1), (Availability::Degraded, None));
    assert_eq!(overview(&registry, 100), (Availability::Unavailable, None));
    assert_eq!(
        registry.overview("other", at(1)).availability,
        Availability::Unavailable
    );
}

#[test]
fn what_a_plugin_left_lives_as_long_as_its_newest_token() {
    let mut registry = registry(&[("a", "1", "log", "1.0.0")]);
    registry.renew("a", token(2), at(200));
    assert_eq!(registry.owners(), [("a".into(), token(2))]);
    // A call that was under way with the old one.
    registry
        .report_health(owner("a"), Health::Healthy, at(0))
        .unwrap();
    assert_eq!(registry.owners(), [("a".into(), token(2))]);
    let is_offered = |now| registry.provider("log", "a", at(now)).is_ok();
    assert!(is_offered(199) && !is_offered(200));
    registry.renew("nobody", token(3), at(200));
    assert_eq!(registry.owners().len(), 1);
}

#[test]
fn f63_who_is_removed_leaves_nothing_behind() {
    let mut registry = registry(&[
        ("a", "1", "log", "1.0.0"),
        ("a", "2", "kv", "1.0.0"),
        ("b", "3", "kv", "1.0.0"),
    ]);
    registry
        .report_health(owner("a"), Health::Unhealthy, at(0))
        .unwrap();
    assert_eq!(names(registry.remove("a")), ["kv", "log"]);
    assert!(registry.remove("a").is_empty());
    assert_eq!((registry.len(), registry.owners().len()), (1, 1));
    // Its health went, too.
    registry
        .register(owner("a"), "4", offer("log", "1.0.0"), at(0))
        .unwrap();
    assert!(registry.provider("log", "a", at(1)).is_ok());
}
