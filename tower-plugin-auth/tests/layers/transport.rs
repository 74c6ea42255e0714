//! `RequireSecureTransportLayer`.

use std::{net::SocketAddr, process::Command, sync::atomic::Ordering};

use http::Request;
use tower::{Layer, ServiceExt};
use tower_plugin_auth::{
    Code, Rejection, RequireSecureTransportLayer, TlsInfo,
    transport::{ForwardedProto, LocalSocket, SecureTransport},
};
use tower_plugin_core::PeerAddr;

use crate::support::{Body, Whoami, request, warnings_in};

fn enforce() -> RequireSecureTransportLayer {
    RequireSecureTransportLayer::new(SecureTransport::Enforce)
}

async fn status(layer: &RequireSecureTransportLayer, request: Request<Body>) -> u16 {
    let whoami = Whoami::default();
    let calls = whoami.calls();
    let response = layer.layer(whoami).oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    assert_eq!(calls.load(Ordering::Relaxed), usize::from(status == 200));
    status
}

#[tokio::test]
async fn what_comes_in_clear_is_refused() {
    let response = enforce()
        .layer(Whoami::default())
        .oneshot(request(&[]))
        .await
        .unwrap();
    assert_eq!(response.status(), 403);
    let rejection = response.extensions().get::<Rejection>().unwrap();
    assert_eq!(rejection.code(), Code::FailedPrecondition);
    assert_eq!(rejection.reason(), "INSECURE_TRANSPORT");

    let grpc = request(&[("content-type", "application/grpc")]);
    let response = enforce()
        .layer(Whoami::default())
        .oneshot(grpc)
        .await
        .unwrap();
    assert_eq!(response.headers()["grpc-status"], "9");
}

#[tokio::test]
async fn only_the_server_says_that_a_connection_is_secure() {
    let https = [("x-forwarded-proto", "https"), ("forwarded", "proto=https")];
    let mut cases: Vec<(&str, Request<Body>, u16)> = vec![
        ("nothing", request(&[]), 403),
        ("headers", request(&https), 403),
    ];
    let mut with = |name, status, insert: &dyn Fn(&mut http::Extensions)| {
        let mut request = request(&https);
        insert(request.extensions_mut());
        cases.push((name, request, status));
    };
    let peer: SocketAddr = "127.0.0.1:1".parse().unwrap();
    with("a peer", 403, &|extensions| {
        extensions.insert(PeerAddr(peer));
    });
    with("tls", 200, &|extensions| {
        extensions.insert(TlsInfo::new());
    });
    with("a local socket", 200, &|extensions| {
        extensions.insert(LocalSocket);
    });
    #[cfg(feature = "axum")]
    {
        use axum::extract::ConnectInfo;
        with("axum in clear", 403, &|extensions| {
            extensions.insert(ConnectInfo(peer));
        });
        with("axum", 200, &|extensions| {
            extensions.insert(ConnectInfo(TlsInfo::new()));
        });
    }
    #[cfg(feature = "tonic")]
    with("tonic in clear", 403, &|extensions| {
        extensions.insert(tonic::transport::server::TcpConnectInfo {
            local_addr: None,
            remote_addr: Some(peer),
        });
    });
    for (name, request, expected) in cases {
        assert_eq!(status(&enforce(), request).await, expected, "{name}");
    }
    let off = RequireSecureTransportLayer::new(SecureTransport::Off);
    assert_eq!(status(&off, request(&[])).await, 200);
    let warn = RequireSecureTransportLayer::new(SecureTransport::Warn);
    assert_eq!(status(&warn, request(&[])).await, 200);
}

#[tokio::test]
async fn a_header_is_believed_of_a_trusted_proxy_alone() {
    let networks = || ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
    let x = enforce().with_trusted_proxies(networks(), ForwardedProto::XForwardedProto);
    let forwarded = enforce().with_trusted_proxies(networks(), ForwardedProto::Forwarded);
    for (peer, headers, by_x, by_forwarded) in [
        (
            Some("10.1.2.3:1"),
            vec![("x-forwarded-proto", "https")],
            200,
            403,
        ),
        (
            Some("[::ffff:10.1.2.3]:1"),
            vec![("x-forwarded-proto", "https")],
            200,
            403,
        ),
        (
            Some("[fd00::1]:1"),
            vec![("forwarded", "for=1.2.3.4;proto=https")],
            403,
            200,
        ),
        (
            Some("10.1.2.3:1"),
            vec![("x-forwarded-proto", "http")],
            403,
            403,
        ),
        (Some("10.1.2.3:1"), vec![], 403, 403),
        (
            Some("10.1.2.3:1"),
            vec![
                ("x-forwarded-proto", "https"),
                ("x-forwarded-proto", "http"),
            ],
            403,
            403,
        ),
        (
            Some("192.0.2.1:1"),
            vec![("x-forwarded-proto", "https")],
            403,
            403,
        ),
        (None, vec![("x-forwarded-proto", "https")], 403, 403),
    ] {
        for (layer, expected) in [(&x, by_x), (&forwarded, by_forwarded)] {
            let mut request = request(&headers);
            if let Some(peer) = peer {
                let peer = PeerAddr(peer.parse().unwrap());
                request.extensions_mut().insert(peer);
            }
            assert_eq!(
                status(layer, request).await,
                expected,
                "{peer:?} {headers:?}"
            );
        }
    }
}

/// The server says where a peer is as it says everything else.
#[cfg(any(feature = "axum", feature = "tonic"))]
#[tokio::test]
async fn a_proxy_is_known_by_the_server_s_own_connect_info() {
    let layer = enforce().with_trusted_proxies(
        ["10.0.0.0/8".parse().unwrap()],
        ForwardedProto::XForwardedProto,
    );
    for (peer, expected) in [("10.0.0.1:1", 200), ("192.0.2.1:1", 403)] {
        let peer: SocketAddr = peer.parse().unwrap();
        let sent = || request(&[("x-forwarded-proto", "https")]);
        #[cfg(feature = "axum")]
        {
            let mut sent = sent();
            sent.extensions_mut()
                .insert(axum::extract::ConnectInfo(peer));
            assert_eq!(status(&layer, sent).await, expected, "axum {peer}");
        }
        #[cfg(feature = "tonic")]
        {
            let mut sent = sent();
            let info = tonic::transport::server::TcpConnectInfo {
                local_addr: None,
                remote_addr: Some(peer),
            };
            sent.extensions_mut().insert(info);
            assert_eq!(status(&layer, sent).await, expected, "tonic {peer}");
        }
    }
}

#[tokio::test]
async fn loopback_is_secure_only_when_that_is_said() {
    for (peer, expected) in [
        ("127.0.0.1:1", 200),
        ("127.8.9.10:1", 200),
        ("[::1]:1", 200),
        ("[::ffff:127.0.0.1]:1", 200),
        ("192.168.0.1:1", 403),
    ] {
        let mut request = request(&[]);
        request
            .extensions_mut()
            .insert(PeerAddr(peer.parse().unwrap()));
        let layer = enforce().with_insecure_loopback();
        assert_eq!(status(&layer, request).await, expected, "{peer}");
    }
}

#[test]
fn the_mode_is_read_from_its_name() {
    for (text, mode) in [
        ("enforce", SecureTransport::Enforce),
        ("off", SecureTransport::Off),
        ("warn", SecureTransport::Warn),
    ] {
        assert_eq!(text.parse(), Ok(mode));
    }
    let error = "Enforce".parse::<SecureTransport>().unwrap_err();
    assert_eq!(
        error.to_string(),
        "secure transport must be `enforce`, `off` or `warn`"
    );
}

fn warnings(requests: impl Fn(&RequireSecureTransportLayer, &tokio::runtime::Runtime)) -> usize {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    warnings_in(|| {
        let layer = RequireSecureTransportLayer::new(SecureTransport::Warn);
        requests(&layer, &runtime);
    })
}

#[test]
fn a_layer_warns_once_and_of_nothing_that_was_secure() {
    let secure = || {
        let mut request = request(&[]);
        request.extensions_mut().insert(TlsInfo::new());
        request
    };
    let count = warnings(|layer, runtime| {
        for _ in 0..3 {
            assert_eq!(runtime.block_on(status(layer, secure())), 200);
        }
    });
    assert_eq!(count, 0);
    let count = warnings(|layer, runtime| {
        assert_eq!(runtime.block_on(status(layer, secure())), 200);
        for layer in [layer, &layer.clone()] {
            assert_eq!(runtime.block_on(status(layer, request(&[]))), 200);
            assert_eq!(runtime.block_on(status(layer, request(&[]))), 200);
        }
    });
    assert_eq!(count, 1);
}

/// Run by the next test, in a process with the variable set.
#[test]
#[ignore = "wants a variable in its environment"]
fn silenced() {
    let count = warnings(|layer, runtime| {
        assert_eq!(runtime.block_on(status(layer, request(&[]))), 200);
    });
    assert_eq!(count, 0);
    // It silences, and allows nothing.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    assert_eq!(runtime.block_on(status(&enforce(), request(&[]))), 403);
}

#[test]
fn the_variable_silences_the_warning_and_allows_nothing() {
    for (value, expected) in [("1", true), ("YES", true), ("0", false), ("", false)] {
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "transport::silenced", "--ignored"])
            .env(tower_plugin_auth::transport::DISABLE_TLS_WARNING, value)
            .output()
            .unwrap()
            .status;
        assert_eq!(status.success(), expected, "{value:?}");
    }
}
