use http::HeaderValue;
use proptest::prelude::*;

use super::*;

struct Case {
    name: &'static str,
    peer: &'static str,
    header: ForwardedHeader,
    values: &'static [&'static str],
    expected: &'static str,
}

const XFF: ForwardedHeader = ForwardedHeader::XForwardedFor;
const RFC7239: ForwardedHeader = ForwardedHeader::Forwarded;

#[test]
fn the_client_is_the_nearest_address_that_is_not_a_trusted_proxy() {
    let cases = [
        Case {
            name: "an untrusted peer writes what it likes",
            peer: "203.0.113.1:9",
            header: XFF,
            values: &["8.8.8.8"],
            expected: "203.0.113.1",
        },
        Case {
            name: "the leftmost entry was written by the client",
            peer: "10.0.0.1:9",
            header: XFF,
            values: &["8.8.8.8, 203.0.113.5"],
            expected: "203.0.113.5",
        },
        Case {
            name: "trusted proxies are walked past",
            peer: "10.0.0.1:9",
            header: XFF,
            values: &["8.8.8.8, 203.0.113.5, 10.9.9.9,10.0.0.7"],
            expected: "203.0.113.5",
        },
        Case {
            name: "several fields are one list",
            peer: "10.0.0.1:9",
            header: XFF,
            values: &["8.8.8.8", "203.0.113.5", "10.0.0.7"],
            expected: "203.0.113.5",
        },
        Case {
            name: "only proxies: the furthest",
            peer: "10.0.0.1:9",
            header: XFF,
            values: &["10.1.1.1, 10.2.2.2"],
            expected: "10.1.1.1",
        },
        Case {
            name: "no header: the peer",
            peer: "10.0.0.1:9",
            header: XFF,
            values: &[],
            expected: "10.0.0.1",
        },
        Case {
            name: "garbage ends the walk",
            peer: "10.0.0.1:9",
            header: XFF,
            values: &["203.0.113.5, unknown, 10.0.0.7"],
            expected: "10.0.0.7",
        },
        Case {
            name: "the other header is not believed",
            peer: "10.0.0.1:9",
            header: RFC7239,
            values: &[],
            expected: "10.0.0.1",
        },
        Case {
            name: "ports and brackets are dropped",
            peer: "[::ffff:10.0.0.1]:9",
            header: XFF,
            values: &["203.0.113.5:1234, [::ffff:10.0.0.7]:1"],
            expected: "203.0.113.5",
        },
        Case {
            name: "forwarded elements",
            peer: "10.0.0.1:9",
            header: RFC7239,
            values: &[
                "for=8.8.8.8, For=\"[2001:db8::5]:99\";proto=https;by=10.0.0.2, by=x;for=10.0.0.7",
            ],
            expected: "2001:db8::5",
        },
        Case {
            name: "an obfuscated node ends the walk",
            peer: "10.0.0.1:9",
            header: RFC7239,
            values: &["for=8.8.8.8, for=_hidden, for=10.0.0.7"],
            expected: "10.0.0.7",
        },
    ];
    for case in cases {
        let client_ip = ClientIp::peer()
            .with_trusted_proxies(["10.0.0.0/8".parse().unwrap()])
            .with_header(case.header);
        let found = client_ip.of(&headers(case.header, case.values), &peer(case.peer));
        assert_eq!(found, Some(case.expected.parse().unwrap()), "{}", case.name);
    }
}

#[test]
fn a_network_of_ipv4_may_be_written_as_ipv6() {
    let client_ip = ClientIp::peer().with_trusted_proxies(["::ffff:10.0.0.0/104".parse().unwrap()]);
    for (from, client) in [("10.9.9.9:1", "203.0.113.5"), ("11.0.0.1:1", "11.0.0.1")] {
        let found = client_ip.of(&headers(XFF, &["203.0.113.5"]), &peer(from));
        assert_eq!(found, Some(client.parse().unwrap()));
    }
}

#[test]
fn without_a_peer_address_nobody_is_believed() {
    let everyone = ClientIp::peer().with_trusted_proxies(["0.0.0.0/0".parse().unwrap()]);
    assert_eq!(
        everyone.of(&headers(XFF, &["1.2.3.4"]), &Extensions::new()),
        None
    );
}

#[test]
fn f31_the_port_does_not_make_a_new_client() {
    let client_ip = ClientIp::peer();
    let none = HeaderMap::new();
    assert_eq!(
        client_ip.of(&none, &peer("10.0.0.1:50001")),
        client_ip.of(&none, &peer("10.0.0.1:50002"))
    );
}

#[test]
fn addresses_of_one_subscriber_are_one_group() {
    let by_64 = ClientIp::peer();
    let by_48 = ClientIp::peer().with_ipv6_prefix(48).unwrap();
    let cases = [
        (&by_64, "2001:db8:1:2:aaaa::1", "2001:db8:1:2::"),
        (&by_48, "2001:db8:1:2:aaaa::1", "2001:db8:1::"),
        (&by_64, "203.0.113.7", "203.0.113.7"),
        // Two IPv4 clients that reach a dual-stack socket share the first 96 bits.
        (&by_64, "::ffff:203.0.113.7", "203.0.113.7"),
    ];
    for (client_ip, ip, group) in cases {
        assert_eq!(
            client_ip.group(ip.parse().unwrap()),
            group.parse::<IpAddr>().unwrap()
        );
    }
}

#[test]
fn a_prefix_length_out_of_range_is_refused() {
    for bits in [0, 129, 255] {
        let refused = ClientIp::peer().with_ipv6_prefix(bits).unwrap_err();
        assert!(refused.to_string().contains("1 to 128"), "{refused}");
    }
    let whole = ClientIp::peer().with_ipv6_prefix(128).unwrap();
    let ip = "2001:db8::1".parse().unwrap();
    assert_eq!(whole.group(ip), ip);
}

proptest! {
    #[test]
    fn whatever_the_header_says_an_untrusted_peer_is_itself(value in "[ -~]{0,80}") {
        let mut map = HeaderMap::new();
        map.insert("x-forwarded-for", HeaderValue::from_str(&value).unwrap());
        let client_ip = ClientIp::peer().with_trusted_proxies(["10.0.0.0/8".parse().unwrap()]);
        prop_assert_eq!(client_ip.of(&map, &peer("203.0.113.1:1")), Some("203.0.113.1".parse().unwrap()));
        // And from a trusted one nothing panics.
        prop_assert!(client_ip.of(&map, &peer("10.0.0.1:1")).is_some());
    }
}

fn headers(header: ForwardedHeader, values: &[&'static str]) -> HeaderMap {
    let name = match header {
        ForwardedHeader::Forwarded => "forwarded",
        ForwardedHeader::XForwardedFor => "x-forwarded-for",
    };
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(name, HeaderValue::from_static(value));
    }
    if header == RFC7239 {
        headers.append("x-forwarded-for", HeaderValue::from_static("6.6.6.6"));
    }
    headers
}

fn peer(addr: &str) -> Extensions {
    let mut extensions = Extensions::new();
    extensions.insert(PeerAddr(addr.parse().unwrap()));
    extensions
}
