//! The rate limiting examples.

use crate::support::{Server, run};

#[test]
fn the_axum_example_does_what_it_prints() {
    let program = env!("CARGO_BIN_EXE_axum-ratelimit");
    let lines = Server::start(program, 4, |line| line.starts_with("for ")).paste();
    assert_eq!(lines[0], "200 200 429 429", "alice's plan");
    assert_eq!(lines[1], "200 200 200 200", "bob's plan");
    let waited: Vec<_> = lines[2].split_whitespace().collect();
    let served = waited.iter().all(|answer| answer.starts_with("200:"));
    assert!(waited.len() == 4 && served, "nobody is refused: {waited:?}");
    assert_eq!(lines[3], "401 401 401 429 429", "guessing");
}

#[test]
fn the_tonic_example_does_what_it_says() {
    let expected = [
        "alice (2/m):    Ok Ok ResourceExhausted ResourceExhausted",
        "bob (100/m):    Ok Ok Ok Ok",
        "guessing (3/h): Unauthenticated Unauthenticated Unauthenticated ResourceExhausted \
         ResourceExhausted",
    ];
    assert_eq!(run(env!("CARGO_BIN_EXE_tonic-ratelimit"))[1..], expected);
}
