//! Whatever a document has typed into a shell is there: the programs, their flags, the packages, the recipes.

use std::fs;

use clap::CommandFactory;
use tower_plugin_examples::host::Options;

use tower_plugin_tests::documents::{documents, files, read, root};

/// Not ours, and taken for granted.
const OTHERS: [&str; 11] = [
    "cat", "chmod", "command", "cp", "curl", "curl()", "echo", "mkdir", "openssl", "printf", "tr",
];

/// A program of ours, and what its command line is made of.
struct Program {
    name: String,
    source: String,
}

impl Program {
    fn all() -> Vec<Self> {
        let mut found = Vec::new();
        for package in ["examples", "benches"] {
            for entry in fs::read_dir(root().join(package).join("src/bin")).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
                let files = match path.is_dir() {
                    true => files(&path, "rs"),
                    false => vec![path],
                };
                let texts = files.iter().map(|file| fs::read_to_string(file).unwrap());
                found.push(Self {
                    name,
                    source: texts.collect(),
                });
            }
        }
        found
    }

    /// Whether it takes this flag.
    fn takes(&self, flag: &str) -> bool {
        let name = flag.trim_start_matches("--");
        if self.name == "plugin-host" {
            let command = Options::command();
            return command
                .get_arguments()
                .any(|arg| arg.get_long() == Some(name));
        }
        let field = format!("\n    {}: ", name.replace('-', "_"));
        let deeper = format!("\n        {}: ", name.replace('-', "_"));
        let named = format!("long = \"{name}\"");
        let is_there = |text: &String| self.source.contains(text);
        self.source.contains("#[arg(") && [field, deeper, named].iter().any(is_there)
    }
}

/// What is wrong with a line of a shell block.
fn faults(programs: &[Program], line: &str) -> Vec<String> {
    let line = line.split(" # ").next().unwrap_or_default();
    // What is in quotes or in parentheses is somebody else's.
    let line = without(without(line, '\'', '\''), '"', '"');
    let mut found = Vec::new();
    for command in line.split([';', '|', '&', '{', '}']) {
        let mut words = command
            .split_whitespace()
            .skip_while(|word| word.contains('='))
            .peekable();
        let Some(first) = words.next() else { continue };
        let rest: Vec<_> = words.collect();
        match first {
            "cargo" => found.extend(faults_of_cargo(programs, &rest)),
            "just" => found.extend(
                rest.first()
                    .filter(|name| !is_recipe(name))
                    .map(|name| format!("there is no recipe {name}")),
            ),
            "redis-server" | "#" => {}
            _ if OTHERS.contains(&first) => {}
            _ if first.starts_with("./") || first.starts_with(".ci/") => {
                if !root().join(first).exists() {
                    found.push(format!("{first} is not there"));
                }
            }
            _ => match programs.iter().find(|program| program.name == first) {
                Some(program) => found.extend(faults_of_flags(program, &rest)),
                None => found.push(format!("{first} is no program")),
            },
        }
    }
    found
}

fn faults_of_cargo(programs: &[Program], words: &[&str]) -> Vec<String> {
    let end = words.iter().position(|word| *word == "--");
    let (own, theirs) = words.split_at(end.unwrap_or(words.len()));
    let after = |flag: &str| {
        let at = own.iter().position(|word| *word == flag)?;
        own.get(at + 1).copied()
    };
    let mut found = Vec::new();
    if let Some(package) = after("-p").or_else(|| after("--package")) {
        let is_there = read("Cargo.toml").lines().any(|line| {
            line.trim() == format!("\"{package}\",")
                || line.trim() == format!("\"{}\",", package.trim_start_matches("tower-plugin-"))
        });
        found.extend((!is_there).then(|| format!("there is no package {package}")));
    }
    if let Some(name) = after("--bin") {
        match programs.iter().find(|program| program.name == name) {
            Some(program) => found.extend(faults_of_flags(program, theirs)),
            None => found.push(format!("{name} is no program")),
        }
    }
    found
}

fn faults_of_flags(program: &Program, words: &[&str]) -> Vec<String> {
    let flags = words
        .iter()
        .filter(|word| word.len() > 2 && word.starts_with("--"));
    flags
        .filter(|flag| !program.takes(flag))
        .map(|flag| format!("{} does not take {flag}", program.name))
        .collect()
}

pub(crate) fn is_recipe(name: &str) -> bool {
    read("justfile").lines().any(|line| {
        let head = line.strip_suffix(':').unwrap_or_default();
        head.split(' ').next() == Some(name)
    })
}

fn without(line: impl AsRef<str>, begin: char, end: char) -> String {
    let mut kept = String::new();
    let mut rest = line.as_ref();
    while let Some((before, after)) = rest.split_once(begin) {
        kept.push_str(before);
        rest = after.split_once(end).map_or("", |(_, after)| after);
    }
    kept + rest
}

#[test]
fn every_command_of_the_documents_can_be_typed() {
    let programs = Program::all();
    let mut count = 0;
    for document in documents() {
        let blocks = document.blocks().into_iter();
        for block in blocks.filter(|block| block.language == "sh") {
            for line in block.lines() {
                count += 1;
                let faults = faults(&programs, line);
                assert!(
                    faults.is_empty(),
                    "{}: {line}: {faults:?}",
                    document.at(block.line)
                );
            }
        }
    }
    assert!(count > 30, "{count} lines were found");
}

#[test]
fn every_flag_and_recipe_that_the_documents_name_exists() {
    let programs = Program::all();
    let is_flag = |word: &&str| word.len() > 2 && word.starts_with("--");
    // Of cargo's, and of whatever has a command line.
    let known = ["--bin", "--features", "--help", "--release"];
    let mut count = 0;
    for document in documents() {
        for (line, span) in document.spans() {
            let at = document.at(line);
            let words: Vec<_> = span.split_whitespace().collect();
            for flag in words.iter().filter(|word| is_flag(word)) {
                count += 1;
                let is_there = known.contains(flag) || programs.iter().any(|of| of.takes(flag));
                assert!(is_there, "{at}: nothing takes {flag}");
            }
            if let ["just", recipe, ..] = words[..] {
                count += 1;
                assert!(is_recipe(recipe), "{at}: there is no recipe {recipe}");
            }
        }
    }
    assert!(count > 80, "{count} flags and recipes were found");
}

#[test]
fn a_command_that_is_not_there_is_missed() {
    let programs = Program::all();
    let of = |line: &str| faults(&programs, line);
    for line in [
        "cargo run --release --bin plugin-host -- --redis redis://127.0.0.1 --token-key-file keys",
        "A=1 plugin-host --token-ttl 1h; audit verify log --keys keys",
        "cargo run -p tower-plugin-benches --bin compare -- --plot docs # --nothing",
        "printf '%s --x' | cat > file; just package",
        "./test",
    ] {
        assert_eq!(of(line), [""; 0], "{line}");
    }
    for (line, fault) in [
        (
            "plugin-host --token-tll 1h",
            "plugin-host does not take --token-tll",
        ),
        (
            "A=1 manifest sign --keys key",
            "manifest does not take --keys",
        ),
        ("cargo run --bin plugin-hots", "plugin-hots is no program"),
        ("cargo run --bin audit -- --x", "audit does not take --x"),
        (
            "cargo test -p tower-plugin-rust",
            "there is no package tower-plugin-rust",
        ),
        ("echo a && just nothing", "there is no recipe nothing"),
        ("./tests.sh", "./tests.sh is not there"),
        ("plugin-hosts", "plugin-hosts is no program"),
    ] {
        assert_eq!(of(line), [fault], "{line}");
    }
}
