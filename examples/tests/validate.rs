//! Runs the validation examples as a user would.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

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

#[test]
fn the_axum_example_does_what_it_prints() {
    let mut server = Server(
        Command::new(env!("CARGO_BIN_EXE_axum-validate"))
            .args(["--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let printed = BufReader::new(server.0.stdout.take().unwrap());
    let mut script = String::new();
    let mut steps = 0;
    for line in printed.lines().skip(1) {
        let line = line.unwrap();
        steps += usize::from(line.ends_with("echo"));
        script.push_str(&line);
        script.push('\n');
        if steps == 5 {
            break;
        }
    }
    let output = Command::new("sh")
        .args(["-c", &script])
        .output()
        .expect("sh and curl: apt-get install curl");
    let output = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = output.lines().map(str::trim).collect();
    let expected = [
        "200 308 400 400 400",
        "200 200 400 200",
        "200 400 400",
        "400",
        "200 400 400 400",
    ];
    assert_eq!(lines, expected);
}

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
