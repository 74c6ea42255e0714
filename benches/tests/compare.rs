//! The program as people and scripts run it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::{Value, json};

#[test]
fn a_quick_run_of_one_case_leaves_a_row_and_a_plot() {
    let folder = folder("one");
    let run = compare(
        &folder,
        "--quick --filter layer-admit-allocs --plot plots --strict",
    );
    assert!(run.status.success(), "{run:?}");
    let line = String::from_utf8(run.stdout).unwrap();
    assert!(line.starts_with("layer-admit-allocs "), "{line}");

    let report = fs::read(folder.join("target/compare.json")).unwrap();
    let rows: Vec<Value> = serde_json::from_slice(&report).unwrap();
    let [row] = &rows[..] else {
        panic!("{rows:?}");
    };
    let expected = json!({
        "id": "layer-admit-allocs", "ours": 0.0, "peer": 0.0, "unit": "allocs", "ratio": 1.0,
        "target": 0.0, "met": true, "absolute": true, "peer_name": "target", "spread": [1.0, 1.0],
    });
    assert_eq!(row, &expected);
    let plot = fs::read_to_string(folder.join("plots/ratios-layer.svg")).unwrap();
    assert!(plot.starts_with("<svg") && plot.contains("layer-admit-allocs"));
}

#[test]
fn a_strict_run_lists_the_targets_that_were_missed() {
    // Whether it is met depends on the machine; the exit has to say what the row does.
    let run = compare(
        &folder("strict"),
        "--quick --filter layer-refuse-vs-admit --strict",
    );
    let line = String::from_utf8(run.stdout).unwrap();
    let complaint = String::from_utf8(run.stderr).unwrap();
    let missed = line.contains("MISSED");
    assert_eq!(run.status.success(), !missed, "{line}");
    assert_eq!(
        complaint.contains("1 of 1 targets missed"),
        missed,
        "{complaint}"
    );
    assert_eq!(complaint.contains(line.trim()), missed, "{complaint}");
}

#[test]
fn a_filter_that_fits_nothing_is_an_error() {
    let run = compare(&folder("none"), "--quick --filter no-such-case");
    assert!(!run.status.success());
    let complaint = String::from_utf8(run.stderr).unwrap();
    assert!(complaint.contains("no-such-case"), "{complaint}");
}

fn compare(folder: &Path, arguments: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_compare"))
        .args(arguments.split(' '))
        .current_dir(folder)
        .output()
        .unwrap()
}

/// Reports go into the current folder; each test has its own.
fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&folder).unwrap();
    folder
}
