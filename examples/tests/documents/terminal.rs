//! A shell in a folder of its own, in which a reader types what documents say.

use std::{fs, path::Path, process::Stdio, time::Duration};

use tempfile::TempDir;
use tokio::{process::Command, time::timeout};

/// What is typed, and where.
pub(crate) struct Terminal {
    folder: TempDir,
    meant: Vec<(String, String)>,
    script: String,
    hosts: usize,
}

impl Terminal {
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let cargo = folder.path().join("cargo");
        fs::write(&cargo, CARGO).unwrap();
        make_executable(&cargo);
        Self {
            folder,
            meant: Vec::new(),
            script: SHELL.to_owned(),
            hosts: 0,
        }
    }

    /// Where it is.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where a document says `text`, this reader types something else: a port that is free, or what was printed.
    pub(crate) fn meaning(mut self, text: &str, is: &str) -> Self {
        self.meant.push((text.to_owned(), is.to_owned()));
        self
    }

    /// Types what a document says. A host goes on in the background, and the next line is typed when it is ready.
    ///
    /// Its output is in `host-1.out`, that of the next one in `host-2.out`; `$URL`, `$ADMIN_URL` and `$SECRET` are what
    /// the last one has printed.
    pub(crate) fn types(&mut self, text: &str) -> &mut Self {
        for line in text.lines() {
            let mut line = line.to_owned();
            for (said, meant) in &self.meant {
                line = line.replace(said, meant);
            }
            if is_host(&line) {
                self.hosts += 1;
                let name = format!("host-{}", self.hosts);
                line += &format!(" > {name}.out 2> {name}.log & ready {name} $!");
            }
            self.adds(&line);
        }
        self
    }

    /// Types what documents leave to readers.
    pub(crate) fn adds(&mut self, lines: &str) -> &mut Self {
        self.script += lines;
        self.script.push('\n');
        self
    }

    /// What all of it prints, once every command has ended well; what serves is ended.
    pub(crate) async fn prints(&self) -> String {
        let folder = self.folder();
        let built = Path::new(env!("CARGO_BIN_EXE_plugin-host"));
        let built = built.parent().unwrap().to_str().unwrap();
        let path = std::env::var("PATH").unwrap();
        let mut shell = Command::new("sh");
        shell
            .args(["-eu", "-c", &self.script])
            .current_dir(folder)
            .env_clear()
            .env("BUILT", built)
            .env("PATH", format!("{}:{built}:{path}", folder.display()))
            .env("PLUGIN_HOST_LISTEN", "127.0.0.1:0")
            .env("no_proxy", "*")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Whatever it has started ends with it.
            .process_group(0);
        let shell = shell.spawn().unwrap();
        let group = format!("-{}", shell.id().unwrap());
        let output = timeout(WAIT, shell.wait_with_output()).await;
        let output = output.unwrap_or_else(|_| {
            let _ = std::process::Command::new("kill")
                .args(["-KILL", "--", &group])
                .status();
            panic!("it has not ended in time: {}", self.script)
        });
        let output = output.unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}\n{said}\n{errors}", self.script);
        said
    }
}

/// Whether its last command serves until it is told to end.
fn is_host(line: &str) -> bool {
    let last = line.rsplit("; ").next().unwrap_or_default();
    let words = last.split_whitespace();
    let words: Vec<_> = words.skip_while(|word| word.contains('=')).collect();
    let serves = match words.first() {
        Some(&"plugin-host") => true,
        Some(&"cargo") => words.contains(&"plugin-host"),
        _ => false,
    };
    serves && !last.contains("--print-config")
}

fn make_executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Long enough for a machine that does much else.
const WAIT: Duration = Duration::from_secs(120);

/// What was built for this test is what would be built.
const CARGO: &str = r#"#!/bin/sh
if [ "$1" = build ]; then
    mkdir -p target
    exec ln -s "$BUILT" target/release
fi
while [ "$1" != --bin ]; do shift; done
program=$2
shift 2
[ "${1-}" != -- ] || shift
exec "$BUILT/$program" "$@"
"#;

/// `ready NAME PROCESS` waits until a host has said all that it says when it is there; `paste NAME` does that.
const SHELL: &str = r#"
hosts=
trap 'trap - EXIT; for host in $hosts; do kill $host 2>/dev/null || :; done; wait' EXIT
ready() {
    hosts="$hosts $2"
    until grep -q '^for ' "$1.out" 2>/dev/null; do
        kill -0 "$2" 2>/dev/null || { cat "$1.log" >&2; exit 1; }
        sleep 0.05
    done
    URL=$(sed -n 's/^# plugin-host listens on //p' "$1.out")
    ADMIN_URL=$(sed -n 's/^# Status page.*: //p' "$1.out")
    SECRET=$(sed -n "s/^PLUGIN_HOST_BOOTSTRAP_SECRET='\(.*\)'/\1/p" "$1.out")
}
paste() { (. "./$1.out"); }
"#;
