use std::{sync::LazyLock, time::Duration};

use proptest::prelude::*;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, DnValue, IsCa, KeyPair, KeyUsagePurpose, SanType,
    date_time_ymd, string::Ia5String,
};

use super::*;

/// 2030-01-01.
const NOW: Duration = Duration::from_secs(1_893_456_000);

fn certificate(change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
    static KEY: LazyLock<KeyPair> = LazyLock::new(|| KeyPair::generate().unwrap());
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.not_before = date_time_ymd(2029, 1, 1);
    params.not_after = date_time_ymd(2031, 1, 1);
    change(&mut params);
    params.self_signed(&*KEY).unwrap().der().to_vec()
}

fn uri(uri: &str) -> SanType {
    SanType::URI(Ia5String::try_from(uri).unwrap())
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(Ia5String::try_from(name).unwrap())
}

fn named(names: Vec<SanType>, common_name: Option<&str>) -> Vec<u8> {
    certificate(|params| {
        params.subject_alt_names = names;
        if let Some(name) = common_name {
            params.distinguished_name.push(DnType::CommonName, name);
        }
    })
}

fn identify_now(der: &[u8]) -> Result<Identity, CredentialProblem> {
    identify(der, SystemTime::UNIX_EPOCH + NOW)
}

#[test]
fn a_certificate_names_its_holder_by_uri_then_dns_then_common_name() {
    use CredentialProblem::{AmbiguousIdentity, MalformedCertificate, NoIdentity};
    use IdentitySource::{CommonName, Dns, Uri};
    const SPIFFE: &str = "spiffe://prod.example/ns/cache";
    let long = "n".repeat(257);
    let ip = || SanType::IpAddress("10.0.0.1".parse().unwrap());
    let mail = || SanType::Rfc822Name(Ia5String::try_from("a@b.example").unwrap());
    let cases = [
        (vec![uri(SPIFFE)], None, Ok((Uri, SPIFFE))),
        (
            vec![dns("a.example"), uri(SPIFFE)],
            Some("cn"),
            Ok((Uri, SPIFFE)),
        ),
        (
            vec![uri("urn:plugin:cache")],
            None,
            Ok((Uri, "urn:plugin:cache")),
        ),
        (
            vec![dns("Cache.Internal"), dns("b")],
            Some("cn"),
            Ok((Dns, "cache.internal")),
        ),
        (
            vec![ip(), dns("a_b.example")],
            None,
            Ok((Dns, "a_b.example")),
        ),
        (
            vec![],
            Some("Cache Plugin"),
            Ok((CommonName, "Cache Plugin")),
        ),
        (vec![ip(), mail()], Some("cache"), Ok((CommonName, "cache"))),
        (
            vec![],
            Some("spiffe://prod.example/admin"),
            Ok((CommonName, "spiffe://prod.example/admin")),
        ),
        (vec![], Some("Käse"), Ok((CommonName, "Käse"))),
        (vec![uri(SPIFFE), uri(SPIFFE)], None, Err(AmbiguousIdentity)),
        (
            vec![uri(SPIFFE), uri("urn:other")],
            None,
            Err(AmbiguousIdentity),
        ),
        (vec![dns("*.internal")], Some("cn"), Err(AmbiguousIdentity)),
        (vec![], None, Err(NoIdentity)),
        (vec![], Some(""), Err(NoIdentity)),
        (vec![], Some("  "), Err(NoIdentity)),
        (vec![ip()], None, Err(NoIdentity)),
        (vec![], Some("a\nb"), Err(MalformedCertificate)),
        (vec![], Some(" a"), Err(MalformedCertificate)),
        (vec![], Some(&*long), Err(MalformedCertificate)),
        (vec![dns("a b")], Some("cn"), Err(MalformedCertificate)),
        (vec![dns("")], Some("cn"), Err(MalformedCertificate)),
        (vec![dns("a..b")], None, Err(MalformedCertificate)),
        (vec![dns("a/b")], None, Err(MalformedCertificate)),
        (vec![dns(&long)], None, Err(MalformedCertificate)),
        (vec![uri("")], Some("cn"), Err(MalformedCertificate)),
        (vec![uri("cache")], Some("cn"), Err(MalformedCertificate)),
        (vec![uri("/cache")], None, Err(MalformedCertificate)),
        (vec![uri("urn:a b")], None, Err(MalformedCertificate)),
        (vec![uri("urn:a\nb")], None, Err(MalformedCertificate)),
        (vec![uri("1urn:a")], None, Err(MalformedCertificate)),
        (
            vec![uri(&format!("urn:{}", "x".repeat(2045)))],
            None,
            Err(MalformedCertificate),
        ),
    ];
    for (names, common_name, expected) in cases {
        let case = format!("{names:?} {common_name:?}");
        let found = identify_now(&named(names, common_name));
        let found = found
            .as_ref()
            .map(|id| (id.source(), id.name()))
            .map_err(|problem| *problem);
        assert_eq!(found, expected, "{case}");
    }
}

/// SPIFFE-ID, section 2; the trust domain alone names an authority.
#[test]
fn a_spiffe_id_is_one_or_is_refused() {
    for (id, expected) in [
        ("spiffe://example.org/a", true),
        ("spiffe://example.org/a/b.c_d-E9", true),
        ("spiffe://10.0.0.1/a", true),
        ("spiffe://example.org", false),
        ("spiffe://example.org/", false),
        ("spiffe://example.org/a/", false),
        ("spiffe://example.org//a", false),
        ("spiffe://example.org/./a", false),
        ("spiffe://example.org/../a", false),
        ("spiffe://example.org/%61", false),
        ("spiffe://example.org/a?b", false),
        ("spiffe://example.org/a#b", false),
        ("spiffe://example.org:443/a", false),
        ("spiffe://user@example.org/a", false),
        ("spiffe://Example.org/a", false),
        ("spiffe:///a", false),
        ("spiffe:example.org/a", false),
        ("SPIFFE://example.org/a", false),
    ] {
        let found = identify_now(&named(vec![uri(id)], None));
        assert_eq!(found.is_ok(), expected, "{id}: {found:?}");
    }
}

/// F05: the reference indexed the first organisation of a certificate, which need not have one.
#[test]
fn f05_a_certificate_without_an_organisation_is_no_matter() {
    assert!(identify_now(&named(vec![], Some("cache"))).is_ok());
    let bare = named(vec![], None);
    assert_eq!(identify_now(&bare), Err(CredentialProblem::NoIdentity));
}

#[test]
fn several_common_names_are_ambiguous() {
    // rcgen keeps one attribute of a type; the second is put in by its OID.
    let twice = certificate(|params| {
        params.distinguished_name.push(DnType::CommonName, "a");
        let again = DnType::CustomDnType(vec![2, 5, 4, 3]);
        params
            .distinguished_name
            .push(again, DnValue::Utf8String("b".to_owned()));
    });
    assert_eq!(
        identify_now(&twice),
        Err(CredentialProblem::AmbiguousIdentity)
    );
}

#[test]
fn an_authority_does_not_call() {
    use IsCa::{Ca, ExplicitNoCa, NoCa};
    use KeyUsagePurpose::{CrlSign, DigitalSignature, KeyCertSign};
    for (is_ca, usages, expected) in [
        (Ca(BasicConstraints::Unconstrained), vec![], false),
        (NoCa, vec![KeyCertSign], false),
        (NoCa, vec![CrlSign, DigitalSignature], false),
        (ExplicitNoCa, vec![], true),
        (NoCa, vec![DigitalSignature], true),
    ] {
        let case = format!("{is_ca:?} {usages:?}");
        let der = certificate(|params| {
            params.subject_alt_names = vec![dns("a.example")];
            params.is_ca = is_ca;
            params.key_usages = usages;
        });
        let problem = identify_now(&der).err();
        let authority = CredentialProblem::AuthorityCertificate;
        assert_eq!(problem, (!expected).then_some(authority), "{case}");
    }
}

/// A connection may outlive the certificate it was opened with.
#[test]
fn a_certificate_counts_from_its_first_to_its_last_second() {
    let der = certificate(|params| {
        params.subject_alt_names = vec![dns("a.example")];
        params.not_before = date_time_ymd(2030, 1, 1);
        params.not_after = date_time_ymd(2030, 1, 2);
    });
    let day = Duration::from_secs(24 * 60 * 60);
    let tick = Duration::from_nanos(1);
    let second = Duration::from_secs(1);
    for (at, expected) in [
        (Duration::ZERO, false),
        (NOW - tick, false),
        (NOW, true),
        (NOW + day, true),
        (NOW + day + second - tick, true),
        (NOW + day + second, false),
        (Duration::from_secs(u32::MAX.into()) * 1000, false),
    ] {
        let found = identify(&der, SystemTime::UNIX_EPOCH + at);
        assert_eq!(found.is_ok(), expected, "{at:?}");
    }
    let before_time = SystemTime::UNIX_EPOCH - second;
    assert_eq!(
        identify(&der, before_time),
        Err(CredentialProblem::ExpiredCertificate)
    );
}

#[test]
fn each_source_has_a_kind_of_its_own() {
    let principal = |names, common_name| {
        let identity = identify_now(&named(names, common_name)).unwrap();
        identity.into_principal()
    };
    let by_dns = principal(vec![dns("cache")], None);
    let by_name = principal(vec![], Some("cache"));
    assert_eq!((by_dns.kind(), by_dns.subject()), ("mtls-dns", "cache"));
    assert_eq!((by_name.kind(), by_name.subject()), ("mtls-cn", "cache"));
    assert_ne!(by_dns, by_name);
}

fn samples() -> &'static [Vec<u8>] {
    static SAMPLES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
        vec![
            named(
                vec![uri("spiffe://prod.example/cache"), dns("a.example")],
                Some("cn"),
            ),
            named(vec![dns("a.example")], None),
            named(vec![], Some("Cache Plugin")),
            certificate(|params| {
                params.is_ca = IsCa::ExplicitNoCa;
                params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
                params.subject_alt_names = vec![SanType::OtherName((
                    vec![1, 3, 6, 1, 4, 1, 311, 20, 2, 3],
                    "upn".into(),
                ))];
            }),
        ]
    });
    &SAMPLES
}

proptest! {
    #[test]
    fn no_certificate_panics(
        sample in 0..4_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        cut in any::<prop::sample::Index>(),
        is_cut in any::<bool>(),
        extra in prop::collection::vec(any::<u8>(), 0..4),
    ) {
        let mut der = samples()[sample].clone();
        for (at, byte) in changes {
            let at = at.index(der.len());
            der[at] = byte;
        }
        if is_cut {
            der.truncate(cut.index(der.len() + 1));
        }
        der.extend(extra);
        if let Ok(identity) = identify_now(&der) {
            // What passes is fit to be logged and compared, whatever was done to it.
            prop_assert!(!identity.name().is_empty());
            prop_assert!(!identity.name().chars().any(char::is_control));
        }
    }

    #[test]
    fn no_bytes_panic(der in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(identify_now(&der).is_err());
    }
}

/// Every byte replaced by each of a few that matter to DER, and every length it can be cut to.
#[test]
fn no_single_change_panics() {
    for sample in samples() {
        for at in 0..sample.len() {
            let _ = identify_now(&sample[..at]);
            for byte in [0x00, 0x01, 0x02, 0x30, 0x7f, 0x80, 0x81, 0x84, 0xa0, 0xff] {
                let mut der = sample.clone();
                der[at] = byte;
                let _ = identify_now(&der);
            }
        }
    }
}
