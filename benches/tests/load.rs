//! The load, small.

use std::process::Command;

#[test]
fn a_small_load_is_answered_as_planned() {
    let run = Command::new(env!("CARGO_BIN_EXE_load"))
        .args([
            "--seconds",
            "2",
            "--connections",
            "20",
            "--principals",
            "50",
        ])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{run:?}");
    // Fifty principals are soon over what they may: both are in it.
    for expected in [
        " 200: ",
        " 400: ",
        " 401: ",
        " 429: ",
        "broken connections: 0",
        ": flat",
    ] {
        assert!(told.contains(expected), "{told}");
    }
}

#[test]
fn a_load_without_connections_is_refused() {
    let run = Command::new(env!("CARGO_BIN_EXE_load"))
        .args(["--connections", "0"])
        .output()
        .unwrap();
    assert!(!run.status.success());
}
