//! The validation examples.

use crate::support::{Server, run};

#[test]
fn the_tonic_example_tells_callers_what_is_wrong_and_no_more() {
    let expected = [
        "in order: 2 pieces",
        "two rules broken: InvalidArgument: the request is not valid",
        "customer: must be at least 1 and at most 64 long",
        "lines[0].quantity: must be at least 1 and at most 1000",
        "a message too large: ResourceExhausted: a message is too large",
        "body: a message is too large",
        "the third of a stream: InvalidArgument: the request is not valid",
        "lines[0].quantity: must be at least 1 and at most 1000",
        "too many in a stream: ResourceExhausted: there are too many messages",
        "body: there are too many messages",
        "broken inside: Internal: internal error",
    ];
    assert_eq!(run(env!("CARGO_BIN_EXE_tonic-validate"))[1..], expected);
}

#[test]
fn the_axum_example_does_what_it_prints() {
    let program = env!("CARGO_BIN_EXE_axum-validate");
    let lines = Server::start(program, 5, |line| line.ends_with("echo")).paste();
    let expected = [
        "200 308 400 400 400",
        "200 200 400 200",
        "200 400 400",
        "400",
        "200 400 400 400",
    ];
    assert_eq!(lines, expected);
}
