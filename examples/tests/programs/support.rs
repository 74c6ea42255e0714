//! Programs, and the commands that they print.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

/// A program that serves until this is dropped.
pub(crate) struct Server {
    child: Child,
    script: String,
}

impl Server {
    /// Starts it on a free port. After the first line it prints commands, `steps` of which `is_step` finds.
    pub(crate) fn start(program: &str, steps: usize, is_step: impl Fn(&str) -> bool) -> Self {
        let child = Command::new(program)
            .args(["--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut server = Self {
            child,
            script: String::new(),
        };
        let printed = BufReader::new(server.child.stdout.take().unwrap());
        let mut seen = 0;
        for line in printed.lines().skip(1) {
            let line = line.unwrap();
            seen += usize::from(is_step(&line));
            server.script.push_str(&line);
            server.script.push('\n');
            if seen == steps {
                return server;
            }
        }
        panic!("{program} has printed no more than\n{}", server.script);
    }

    /// Pastes the commands into a shell; what that prints, line by line.
    pub(crate) fn paste(&self) -> Vec<String> {
        let output = Command::new("sh")
            .args(["-c", &self.script])
            .output()
            .expect("sh and curl: apt-get install curl");
        eprint!("{}", String::from_utf8_lossy(&output.stderr));
        lines(output.stdout)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a program that ends by itself, and gives what it prints.
pub(crate) fn run(program: &str) -> Vec<String> {
    let output = Command::new(program).output().unwrap();
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    lines(output.stdout)
}

fn lines(output: Vec<u8>) -> Vec<String> {
    let output = String::from_utf8(output).unwrap();
    output.lines().map(|line| line.trim().to_owned()).collect()
}
