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
        expires_at: at(100),
    }
}

fn offer(service_type: &str, version: &str) -> Offer {
    Offer {
        service_type: service_type.into(),
        version: version.parse().unwrap(),
        endpoint_path: "/x/".into(),
        metadata: Vec::new(),
    }
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
fn versions_compare_as_numbers() {
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
fn an_offer_is_taken_back_by_its_owner_alone() {
    let mut registry = registry(&[("a", "1", "log", "1.0.0")]);
    assert_eq!(
        registry.unregister("b", "1"),
        Err(Refusal::UnknownRegistration)
    );
    assert_eq!(found(&mut registry, "log", None), Ok("a".to_owned()));
    assert_eq!(registry.unregister("a", "1"), Ok(()));
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
