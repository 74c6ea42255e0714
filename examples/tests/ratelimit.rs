//! Runs the rate limiting examples as a user would.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

#[test]
fn the_axum_example_does_what_it_prints() {
    let mut server = Server(
        Command::new(env!("CARGO_BIN_EXE_axum-ratelimit"))
            .args(["--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let printed = BufReader::new(server.0.stdout.take().unwrap());
    let mut script = String::new();
    let mut commands = 0;
    for line in printed.lines().skip(1) {
        let line = line.unwrap();
        commands += usize::from(line.starts_with("for "));
        script.push_str(&line);
        script.push('\n');
        if commands == 4 {
            break;
        }
    }
    let output = Command::new("sh")
        .args(["-c", &script])
        .output()
        .expect("sh and curl: apt-get install curl");
    let output = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = output.lines().collect();
    assert_eq!(lines[0].trim(), "200 200 429 429", "alice's plan");
    assert_eq!(lines[1].trim(), "200 200 200 200", "bob's plan");
    let waited: Vec<_> = lines[2].split_whitespace().collect();
    let served = waited.iter().all(|answer| answer.starts_with("200:"));
    assert!(waited.len() == 4 && served, "nobody is refused: {waited:?}");
    assert_eq!(lines[3].trim(), "401 401 401 429 429", "guessing");
}

#[test]
fn the_tonic_example_does_what_it_says() {
    let output = Command::new(env!("CARGO_BIN_EXE_tonic-ratelimit"))
        .output()
        .unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = output.lines().skip(1).collect();
    let expected = [
        "alice (2/m):    Ok Ok ResourceExhausted ResourceExhausted",
        "bob (100/m):    Ok Ok Ok Ok",
        "guessing (3/h): Unauthenticated Unauthenticated Unauthenticated ResourceExhausted \
         ResourceExhausted",
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
