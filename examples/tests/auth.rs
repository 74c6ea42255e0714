//! Runs the authentication examples as a user would.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

#[test]
fn the_tokens_example_does_what_it_prints() {
    let mut server = Server(
        Command::new(env!("CARGO_BIN_EXE_axum-tokens"))
            .args(["--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let printed = BufReader::new(server.0.stdout.take().unwrap());
    let mut script = String::new();
    for line in printed.lines().skip(1) {
        let line = line.unwrap();
        script.push_str(&line);
        script.push('\n');
        if line.ends_with("echo") {
            break;
        }
    }
    let output = Command::new("sh")
        .args(["-c", &script])
        .output()
        .expect("sh and curl: apt-get install curl");
    let output = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = output.lines().collect();
    assert_eq!(lines[0], "401", "issued to anybody");
    assert!(lines[1].starts_with("cache-"), "{output}");
    assert_eq!(lines[2], "403", "{output}");
    // Replaced, by the same one, and once.
    assert_eq!(lines[3..6], [lines[1], lines[1], "409"], "{output}");
    assert_eq!(lines[6..8], ["204", "401"], "{output}");
    assert!(lines[8].contains("invalid token"), "{output}");
}

#[test]
fn the_mtls_example_does_what_it_says() {
    let output = Command::new(env!("CARGO_BIN_EXE_tonic-mtls"))
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = printed.lines().skip(1).collect();
    let expected = [
        "cache:     Ok Ok",
        "host:      Ok PermissionDenied",
        "other:     PermissionDenied PermissionDenied",
        "nobody:    Unauthenticated Unauthenticated",
        "replaced:  Ok Ok",
        "still on:  Ok Ok",
    ];
    assert_eq!(
        lines,
        expected,
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// F21: the address that came with a grant led nowhere. Here it is followed, by another service than the one it was
/// given to.
#[test]
fn f21_a_grant_is_good_at_the_address_it_came_with_and_for_what_is_left_of_it() {
    let output = Command::new(env!("CARGO_BIN_EXE_grant-attenuation"))
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = printed.lines().map(str::trim_end).collect();
    let expected = [
        "granted:   files 1.0.0 to backup",
        "narrowed:  by backup, the host was asked 0 times",
        "           PathPrefix(\"/public\")",
        "           Methods(\"GET\")",
        "viewer:    GET /public/a 200 /public/a, granted to backup",
        "viewer:    GET /secret 401",
        "viewer:    PUT /public/a 401",
        "viewer:    GET /public/%2e%2e/secret 401",
        "viewer:    GET /public/b 200 /public/b, granted to backup",
        "revoked:   what backup had handed on",
        "viewer:    GET /public/a 401",
        "backup:    GET /secret 200 /secret, granted to backup",
    ];
    assert_eq!(
        lines,
        expected,
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
