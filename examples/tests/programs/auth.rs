//! The authentication examples.

use crate::support::{Server, run};

#[test]
fn the_tokens_example_does_what_it_prints() {
    let program = env!("CARGO_BIN_EXE_axum-tokens");
    let lines = Server::start(program, 1, |line| line.ends_with("echo")).paste();
    assert_eq!(lines[0], "401", "issued to anybody");
    assert!(lines[1].starts_with("cache-"), "{lines:?}");
    assert_eq!(lines[2], "403", "{lines:?}");
    // Replaced, by the same one, and once.
    assert_eq!(lines[3..6], [&*lines[1], &*lines[1], "409"], "{lines:?}");
    assert_eq!(lines[6..8], ["204", "401"], "{lines:?}");
    assert!(lines[8].contains("invalid token"), "{lines:?}");
}

#[test]
fn the_mtls_example_does_what_it_says() {
    let expected = [
        "cache:     Ok Ok",
        "host:      Ok PermissionDenied",
        "other:     PermissionDenied PermissionDenied",
        "nobody:    Unauthenticated Unauthenticated",
        "replaced:  Ok Ok",
        "still on:  Ok Ok",
    ];
    assert_eq!(run(env!("CARGO_BIN_EXE_tonic-mtls"))[1..], expected);
}

/// F21: the address that came with a grant led nowhere. Here it is followed, by another service than the one it was
/// given to.
#[test]
fn f21_a_grant_is_good_at_the_address_it_came_with_and_for_what_is_left_of_it() {
    let expected = [
        "granted:   files 1.0.0 to backup",
        "narrowed:  by backup, the host was asked 0 times",
        "PathPrefix(\"/public\")",
        "Methods(\"GET\")",
        "viewer:    GET /public/a 200 /public/a, granted to backup",
        "viewer:    GET /secret 401",
        "viewer:    PUT /public/a 401",
        "viewer:    GET /public/%2e%2e/secret 401",
        "viewer:    GET /public/b 200 /public/b, granted to backup",
        "revoked:   what backup had handed on",
        "viewer:    GET /public/a 401",
        "backup:    GET /secret 200 /secret, granted to backup",
    ];
    assert_eq!(run(env!("CARGO_BIN_EXE_grant-attenuation")), expected);
}
