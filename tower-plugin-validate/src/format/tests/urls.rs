//! URLs, against the `url` crate and against everything that is not public.

use std::net::IpAddr;

use super::*;

#[test]
fn only_urls_of_public_hosts_pass() {
    use InvalidUrl as Why;
    let cases: &[(&str, Result<(), Why>)] = &[
        ("https://api.example.com", Ok(())),
        ("HTTPS://API.EXAMPLE.COM:443/a/b?c=d/e?f", Ok(())),
        ("https://93.184.215.14/", Ok(())),
        (
            "https://[2606:2800:21f:cb07:6820:80da:af6b:8b2c]:8443",
            Ok(()),
        ),
        ("https://a.b?x", Ok(())),
        ("http://a.b/", Err(Why::Scheme)),
        ("ftp://a.b/", Err(Why::Scheme)),
        ("file:///etc/passwd", Err(Why::Scheme)),
        ("gopher://a.b/", Err(Why::Scheme)),
        ("//a.b/", Err(Why::Scheme)),
        ("https:a.b", Err(Why::Scheme)),
        ("https:/\\a.b", Err(Why::Scheme)),
        (" https://a.b", Err(Why::Scheme)),
        ("", Err(Why::Scheme)),
        ("https://", Err(Why::Host)),
        ("https:///a", Err(Why::Host)),
        ("https://user@a.b/", Err(Why::UserInformation)),
        ("https://a.b:80@127.0.0.1/", Err(Why::UserInformation)),
        ("https://a.b\\@127.0.0.1/", Err(Why::UserInformation)),
        ("https://a.b\\.evil/", Err(Why::Host)),
        ("https://a.b#@127.0.0.1/", Err(Why::Characters)),
        ("https://a.b/#f", Err(Why::Characters)),
        ("https://a.b /", Err(Why::Host)),
        ("https://a.b/\r\nHost: x", Err(Why::Characters)),
        ("https://a.b/x y", Err(Why::Characters)),
        ("https://a.b/%zz", Err(Why::Path)),
        ("https://a.b/?%zz", Err(Why::Characters)),
        ("https://a.b/../x", Err(Why::Path)),
        ("https://a.b/%2e%2e/x", Err(Why::Path)),
        ("https://a.b/%2fx", Err(Why::Path)),
        ("https://a.b//evil", Err(Why::Path)),
        ("https://a.b:/", Err(Why::Port)),
        ("https://a.b:0/", Err(Why::Port)),
        ("https://a.b:080/", Err(Why::Port)),
        ("https://a.b:65536/", Err(Why::Port)),
        ("https://a.b:+1/", Err(Why::Port)),
        ("https://a.b:8a/", Err(Why::Port)),
        // Addresses in the spellings that parsers take for them.
        ("https://2130706433/", Err(Why::Host)),
        ("https://0x7f000001/", Err(Why::Host)),
        ("https://0x7f.0.0.1/", Err(Why::Host)),
        ("https://0177.0.0.1/", Err(Why::Host)),
        ("https://127.1/", Err(Why::Host)),
        ("https://127.0.0.01/", Err(Why::Host)),
        ("https://127.0.0.1./", Err(Why::Host)),
        ("https://0/", Err(Why::Host)),
        ("https://a.0x1/", Err(Why::Host)),
        ("https://%31%32%37.0.0.1/", Err(Why::Host)),
        ("https://①②⑦.⓪.⓪.①/", Err(Why::Host)),
        ("https://127。0。0。1/", Err(Why::Host)),
        ("https://[::1%25lo]/", Err(Why::Host)),
        ("https://[::1/", Err(Why::Host)),
        ("https://[::1]x/", Err(Why::Host)),
        ("https://[127.0.0.1]/", Err(Why::Host)),
        ("https://a_b.example/", Err(Why::Host)),
        ("https://example.com./", Err(Why::Host)),
        // Names that are local, and the one that is everybody's.
        ("https://localhost/", Err(Why::NotPublic)),
        ("https://LOCALHOST/", Err(Why::NotPublic)),
        ("https://a.localhost/", Err(Why::NotPublic)),
        ("https://db/", Err(Why::NotPublic)),
        ("https://printer.local/", Err(Why::NotPublic)),
        ("https://x.svc.cluster.local/", Err(Why::NotPublic)),
        ("https://metadata.google.internal/", Err(Why::NotPublic)),
        ("https://router.home.arpa/", Err(Why::NotPublic)),
        ("https://notlocal.example/", Ok(())),
    ];
    for &(text, expected) in cases {
        assert_eq!(UrlRule::https().check(text), expected, "{text}");
    }
    let long = format!("https://a.b/{}", "a/".repeat(1018));
    assert_eq!(long.len(), 2048);
    assert_eq!(UrlRule::https().check(&long), Ok(()));
    assert_eq!(
        UrlRule::https().check(&format!("{long}a")),
        Err(Why::TooLong)
    );
}

#[test]
fn a_refusal_says_what_would_be_right_and_nothing_of_the_url() {
    let rule = UrlRule::https().with_hosts(Hosts::new(["a.b"]).unwrap());
    let public = UrlRule::https();
    let long = format!("https://a.b/s3cr3t{}", "a".repeat(2048));
    let cases = [
        (
            &rule,
            "https://a.b/#s3cr3t",
            "URL_CHARS",
            "a fragment or characters",
        ),
        (
            &rule,
            "https://s3cr3t_/",
            "URL_HOST",
            "a host name or a plain address",
        ),
        (
            &rule,
            "https://s3cr3t.b/",
            "URL_HOST_NOT_ALLOWED",
            "a host that is allowed",
        ),
        (
            &public,
            "https://s3cr3t.local/",
            "URL_HOST_NOT_PUBLIC",
            "a public host",
        ),
        (
            &rule,
            "https://a.b/s3cr3t/../c",
            "URL_PATH",
            "in canonical form",
        ),
        (
            &rule,
            "https://a.b:s3cr3t/",
            "URL_PORT",
            "a port from 1 to 65535",
        ),
        (&rule, "s3cr3t://a.b/", "URL_SCHEME", "an allowed scheme"),
        (&rule, &long, "URL_SIZE", "at most 2048 bytes"),
        (
            &rule,
            "https://s3cr3t@a.b/",
            "URL_USER_INFORMATION",
            "without user information",
        ),
    ];
    for (rule, url, reason, words) in cases {
        let invalid = rule.check(url).unwrap_err();
        assert_eq!(invalid.reason(), reason, "{url}");
        let told = invalid.to_string();
        assert!(
            told.starts_with("must be a URL ") && told.contains(words),
            "{told}"
        );
        assert!(!format!("{told}{invalid:?}").contains("s3cr3t"));
    }
}

#[test]
fn no_url_leads_to_an_address_that_is_not_public() {
    for text in NOT_PUBLIC {
        let address: IpAddr = text.parse().unwrap();
        assert!(!is_public(address), "{text}");
        let url = match address {
            IpAddr::V4(v4) => format!("http://{v4}/"),
            IpAddr::V6(v6) => format!("http://[{v6}]/"),
        };
        assert_eq!(
            UrlRule::http().check(&url),
            Err(InvalidUrl::NotPublic),
            "{url}"
        );
    }
    for text in [
        "1.1.1.1",
        "172.32.0.1",
        "100.128.0.1",
        "192.0.1.1",
        "2001:4860:4860::8888",
    ] {
        assert!(is_public(text.parse().unwrap()), "{text}");
    }
    // What a resolver on a dual stack returns for a public name.
    assert!(is_public("::ffff:1.1.1.1".parse().unwrap()));
}

const NOT_PUBLIC: &[&str] = &[
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.0.1",
    "169.254.169.254",
    "169.254.170.2",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:0:10.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::a00:1",
    "100::1",
    "2001::1",
    "2001:10::1",
    "2001:20::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::",
    "3fff::1",
    "fc00::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "fe80::1",
    "fe80::a9fe:a9fe",
    "fec0::1",
    "ff02::1",
    "4000::1",
];

#[test]
fn a_list_of_hosts_is_the_whole_of_what_may_be_called() {
    let hosts = Hosts::new([
        "*.plugins.example",
        "10.0.0.7",
        "[fd00::7]",
        "db",
        "api.example.com",
    ]);
    let rule = UrlRule::http().with_hosts(hosts.unwrap());
    for text in [
        "http://a.plugins.example/",
        "http://a.b.PLUGINS.example:8080/x",
        "http://10.0.0.7:8082",
        "http://[fd00:0::7]/",
        "http://DB/",
        "https://api.example.com/",
    ] {
        assert_eq!(rule.check(text), Ok(()), "{text}");
    }
    for text in [
        "http://plugins.example/",
        "http://evilplugins.example/",
        "http://a.plugins.example.evil.com/",
        "http://10.0.0.8/",
        "http://1.1.1.1/",
        "http://sub.api.example.com/",
    ] {
        assert_eq!(rule.check(text), Err(InvalidUrl::NotAllowed), "{text}");
    }
    for bad in [
        "",
        "*",
        "*.",
        "*.10.0.0.1",
        "a b",
        "a.b:80",
        "a/b",
        "*.*.a",
        "1.2",
    ] {
        let error = Hosts::new(["a.example", bad]).unwrap_err();
        assert_eq!(error.index(), Some(1), "{bad}");
        assert!(error.to_string().starts_with("hosts[1] must be a name"));
    }
    assert_eq!(Hosts::new([""; 0]).unwrap_err().index(), None);
    let many = (0..1025).map(|i| format!("h{i}.example"));
    assert_eq!(Hosts::new(many).unwrap_err().index(), Some(1024));
}

#[test]
fn private_hosts_can_be_allowed_and_metadata_services_cannot() {
    let private = UrlRule::http().with_insecure_private(true);
    for text in [
        "http://127.0.0.1:1",
        "http://db/",
        "http://localhost:9/",
        "http://[::1]/",
    ] {
        assert_eq!(private.check(text), Ok(()), "{text}");
    }
    let listed = Hosts::new(["169.254.169.254", "metadata.google.internal"]).unwrap();
    for rule in [private, UrlRule::http().with_hosts(listed)] {
        for text in [
            "http://169.254.169.254/",
            "http://[::ffff:169.254.169.254]/",
            "http://[64:ff9b::a9fe:a9fe]/",
            "http://[fd00:ec2::254]/",
            "http://100.100.100.200/",
            "http://METADATA.google.internal/",
        ] {
            assert_eq!(rule.check(text), Err(InvalidUrl::NotPublic), "{text}");
        }
    }
}

fn hostile_url() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "a.b",
        "example.com",
        "127",
        "0",
        "1",
        "0x7f",
        "0177",
        "10",
        "169.254",
        ".",
        ".",
        ":",
        ":80",
        "@",
        "/",
        "/",
        "\\",
        "?",
        "#",
        "[",
        "]",
        "::1",
        "::ffff:",
        "%2e",
        "%00",
        "..",
        "localhost",
        ".local",
        "-",
        "_",
        "\t",
        "。",
        "①",
        "xn--",
        ";",
        "&",
    ]);
    let scheme = prop::sample::select(vec![
        "http://",
        "https://",
        "http:/",
        "http:\\\\",
        "HTTP://",
        "",
    ]);
    (scheme, prop::collection::vec(pieces, 0..8)).prop_map(|(s, p)| format!("{s}{}", p.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn the_url_crate_reads_the_same_host_in_what_passes(
        text in hostile_url(),
        private: bool,
    ) {
        let rule = UrlRule::http().with_insecure_private(private);
        let Ok(()) = rule.check(&text) else { return Ok(()) };
        let theirs = ::url::Url::parse(&text);
        // A label that is not punycode is no host to them; nothing is called.
        let Ok(theirs) = theirs else {
            prop_assert!(text.contains("xn--"), "{}", text);
            return Ok(());
        };
        prop_assert!(theirs.username().is_empty() && theirs.password().is_none());
        prop_assert_eq!(theirs.fragment(), None);
        let authority = text.split("//").nth(1).unwrap();
        let authority = authority.split(['/', '?']).next().unwrap().to_ascii_lowercase();
        match theirs.host().unwrap() {
            ::url::Host::Domain(name) => {
                prop_assert_eq!(authority.split(':').next().unwrap(), name);
                prop_assert!(private || name.contains('.') && !name.ends_with(".localhost"));
            }
            ::url::Host::Ipv4(address) => {
                prop_assert!(authority.starts_with(&address.to_string()));
                prop_assert!(private || is_public(address.into()), "{}", text);
            }
            ::url::Host::Ipv6(address) => {
                prop_assert!(private || is_public(address.into()), "{}", text);
            }
        }
        let rest = text.split("//").nth(1).unwrap();
        let path = rest.find(['/', '?']).map_or("", |start| &rest[start..]);
        let path = path.split('?').next().unwrap();
        prop_assert_eq!(theirs.path(), if path.is_empty() { "/" } else { path });
    }
}
