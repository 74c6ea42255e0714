//! Runs the validation examples as a user would.

use std::process::Command;

#[test]
fn the_tonic_example_tells_callers_what_is_wrong_and_no_more() {
    let output = Command::new(env!("CARGO_BIN_EXE_tonic-validate"))
        .output()
        .unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = output.lines().skip(1).collect();
    let expected = [
        "in order: 2 pieces",
        "two rules broken: InvalidArgument: the request is not valid",
        "  customer: must be at least 1 and at most 64 long",
        "  lines[0].quantity: must be at least 1 and at most 1000",
        "a message too large: ResourceExhausted: a message is too large",
        "  body: a message is too large",
        "the third of a stream: InvalidArgument: the request is not valid",
        "  lines[0].quantity: must be at least 1 and at most 1000",
        "too many in a stream: ResourceExhausted: there are too many messages",
        "  body: there are too many messages",
        "broken inside: Internal: internal error",
    ];
    assert_eq!(lines, expected);
}
