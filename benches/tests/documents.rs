//! The commands of the documents, as they stand there, with less to do.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
};

use tower_plugin_tests::documents::{Block, blocks};

const PACKAGE: &str = "cargo run --release -p tower-plugin-benches --bin ";

/// Runs what a block says, in a folder of its own; `less` is what its program is told besides.
fn run(block: &Block, less: &str) -> (PathBuf, Output) {
    let line = block.text.trim_end();
    let rest = line
        .strip_prefix(PACKAGE)
        .unwrap_or_else(|| panic!("{line}"));
    let (name, said) = rest.split_once(" -- ").unwrap_or((rest, ""));
    let program = match name {
        "compare" => env!("CARGO_BIN_EXE_compare"),
        "dudect" => env!("CARGO_BIN_EXE_dudect"),
        "load" => env!("CARGO_BIN_EXE_load"),
        _ => panic!("{line}"),
    };
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("documents-{name}"));
    fs::create_dir_all(&folder).unwrap();
    let output = Command::new(program)
        .args(said.split_whitespace().chain(less.split_whitespace()))
        .current_dir(&folder)
        .output()
        .unwrap();
    (folder, output)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn the_comparison_is_run_and_drawn() {
    let [block] = blocks("docs/performance.md", "Performance");
    let (folder, output) = run(&block, "--quick --filter layer-admit-allocs");
    assert!(output.status.success(), "{output:?}");
    assert!(text(&output.stdout).starts_with("layer-admit-allocs "));
    assert!(folder.join("docs/performance/ratios-layer.svg").exists());
}

#[test]
fn what_a_check_tells_by_its_time_is_measured() {
    let [block] = blocks("docs/performance.md", "Tokens");
    // Of so few nothing follows: whatever it finds, it says which comparisons there are.
    let (_, output) = run(&block, "--measurements 400 --processes 2");
    let said = text(&output.stdout);
    let names: Vec<_> = said
        .lines()
        .filter_map(|line| line.split_once(" |t| "))
        .collect();
    assert_eq!(names.len(), 10, "{output:?}");
    let judged = names
        .iter()
        .filter(|(_, rest)| !rest.contains("told, not judged"));
    assert_eq!(judged.count(), 8, "{said}");
}

#[test]
fn a_load_is_answered() {
    let [block] = blocks("docs/performance.md", "A minute of load");
    let (_, output) = run(&block, "--seconds 1 --connections 20 --principals 50");
    let said = text(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    for answer in [" 200: ", " 400: ", " 401: ", " 429: "] {
        assert!(said.contains(answer), "{said}");
    }
    // "1,000 connections for 60 seconds", "100,000 principals"
    let (_, output) = run(&block, "--help");
    let said = text(&output.stdout);
    for default in ["60", "1000", "100000"] {
        assert!(said.contains(&format!("[default: {default}]")), "{said}");
    }
}
