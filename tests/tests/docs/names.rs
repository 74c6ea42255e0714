//! Whatever a document says is tested, is: each test it names is in the tree, where it says, and is run.
//!
//! Names of tests are sentences, so in backticks a word of four parts or more is one of them, alone or
//! behind the modules it is in; of three, where a table says so. That it passes, the run that runs this shows. One that
//! is not run with all others may be named in a line that says so, by the word "long".

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use crate::support::{documents, files, root};

#[test]
fn every_test_that_the_documents_name_is_one_and_is_run() {
    let tests = functions(&root());
    let (mut count, mut faults) = (0, Vec::new());
    for document in documents() {
        let at = document.path.strip_prefix(root()).unwrap();
        let name = at.file_name().unwrap_or_default();
        let is_read = name == "README.md" || name == "CONTRIBUTING.md" || at.starts_with("docs");
        if !is_read {
            continue;
        }
        let lines: Vec<_> = document.text.lines().collect();
        // The README points at whole files where a promise takes all of their tests.
        let untested = untested(&document.text, name == "README.md");
        for (number, cell) in untested {
            faults.push(format!("{}: {cell} is no test", document.at(number)));
        }
        let anywhere = (1..).zip(&lines).map(|(number, line)| (number, *line, 4));
        let promised = cells(&document.text).into_iter();
        let promised = promised.map(|(number, cell)| (number, cell, 3));
        for (number, text, parts) in anywhere.chain(promised) {
            for name in names(text, parts) {
                count += 1;
                // Elsewhere than under `test`, it may be a function to call.
                let is_api = parts == 4 && is_public(&tests, name);
                let fault = fault(&tests, name, is_about_long_ones(lines[number - 1]));
                if let Some(fault) = fault.filter(|_| !is_api) {
                    faults.push(format!("{}: {name} {fault}", document.at(number)));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    assert!(count > 100, "{count} names were found");
}

#[test]
fn a_test_that_is_not_there_or_not_run_is_missed() {
    let tests = functions(Path::new(env!("CARGO_MANIFEST_DIR")));
    let here = "docs::every_test_that_the_documents_name_is_one_and_is_run";
    let fault = |name: &str| fault(&tests, name, false);
    for name in [here, &here[6..], "token_stores::a_batch_is_revoked_whole"] {
        assert_eq!(fault(name), None, "{name}");
    }
    for name in [
        &*here.replace("docs::", "rejection::"),
        "a_test_that_nobody_wrote",
    ] {
        assert_eq!(fault(name), Some("is not there"));
    }
    // Each is there, and is no test, or one that is left out.
    assert_eq!(fault("a_function_that_is_no_test"), Some("is no test"));
    let ignored = "changes_until_it_is_killed";
    assert_eq!(fault(ignored), Some("is not run"));
    assert_eq!(super::names::fault(&tests, ignored, true), None);
    assert!(is_about_long_ones("| the long run: `a_b_c_d` |"));
    assert!(!is_about_long_ones("| belongs along with: `a_b_c_d` |"));

    let line = "| with `with_insecure_loopback`, `a::b::a_test_of_that` and `tower_plugin_auth_x_y` | `a_b_c_d` |";
    assert_eq!(names(line, 4), ["a::b::a_test_of_that", "a_b_c_d"]);
    assert_eq!(names("`a_short_name`, `a::with_x`", 3), ["a_short_name"]);
    let table = "| threat | test |\n|---|---|\n| this | `a_test_of_this` |\n| that | none yet |\n\
                 | both | `tests/tests/contract.rs` |\n| all | `tests/no.rs` |\n";
    let (none, file) = ((4, "none yet"), (5, "`tests/tests/contract.rs`"));
    let nowhere = (6, "`tests/no.rs`");
    assert_eq!(untested(table, true), [none, nowhere]);
    assert_eq!(untested(table, false), [none, file, nowhere]);
    assert_eq!(cells(table).len(), 4);
}

#[expect(dead_code, reason = "it is looked for above")]
fn a_function_that_is_no_test() {}

#[test]
fn what_stands_above_a_function_says_what_it_is() {
    for (above, expected) in [
        ("", Kind::NoTest),
        ("/// `#[test]`\n", Kind::NoTest),
        ("#[test]\nfn other() {}\n\n", Kind::NoTest),
        ("#[test]\n", Kind::Run),
        (
            "#[test]\n// So that.\n#[should_panic]\npub(crate) async ",
            Kind::Run,
        ),
        (
            "#[tokio::test(flavor = \"multi_thread\")]\nasync ",
            Kind::Run,
        ),
        (
            "    /// It is.\n    #[test]\n    #[cfg(unix)]\n    ",
            Kind::Run,
        ),
        ("#[test]\n#[ignore = \"hours\"]\n", Kind::Ignored),
        ("#[ignore]\n", Kind::NoTest),
        (
            "    /// Sets it.\n    #[must_use]\n    pub const ",
            Kind::Public,
        ),
        ("#[test]\nfn a() {}\npub ", Kind::Public),
    ] {
        assert_eq!(Kind::of(above), expected, "{above}");
    }
}

/// The tests that a text names by so many parts or more.
fn names(text: &str, parts: usize) -> Vec<&str> {
    let is_name = |name: &&str| {
        let last = name.rsplit("::").next().unwrap_or_default();
        let lower = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        last.split('_').filter(|part| !part.is_empty()).count() >= parts
            && name.bytes().all(|byte| lower(byte) || byte == b':')
            && !last.starts_with("tower_plugin_")
    };
    text.split('`').skip(1).step_by(2).filter(is_name).collect()
}

/// The cells of each column named `test`, and in which line.
fn cells(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut column = None;
    for (number, line) in text.lines().enumerate() {
        let Some(cells) = line.strip_prefix('|') else {
            column = None;
            continue;
        };
        let cells: Vec<_> = cells.split('|').map(str::trim).collect();
        match column {
            None => column = Some(cells.iter().position(|cell| *cell == "test")),
            Some(Some(place)) if !line.starts_with("|---") => {
                let cell = cells.get(place).copied();
                found.push((number + 1, cell.unwrap_or_default()));
            }
            Some(_) => {}
        }
    }
    found
}

/// Those that name no test, nor, where that will do, a file of them.
fn untested(text: &str, files_will_do: bool) -> Vec<(usize, &str)> {
    let is_file = |span: &str| span.contains('/') && root().join(span).exists();
    let has_file = |cell: &str| cell.split('`').skip(1).step_by(2).any(is_file);
    let is_untested = |cell: &str| names(cell, 3).is_empty() && !(files_will_do && has_file(cell));
    let mut cells = cells(text);
    cells.retain(|(_, cell)| is_untested(cell));
    cells
}

/// Whether a line speaks of tests that are not run with the others.
fn is_about_long_ones(line: &str) -> bool {
    let mut words = line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.any(|word| word == "long")
}

/// What is wrong with naming this as a test.
fn fault(
    functions: &BTreeMap<String, Vec<Function>>,
    name: &str,
    may_be_ignored: bool,
) -> Option<&'static str> {
    let mut modules: Vec<_> = name.split("::").collect();
    let found = modules.pop().and_then(|last| functions.get(last));
    let there = found.into_iter().flatten().filter(|function| {
        let place = function.file.with_extension("");
        let is_part = |module: &&str| place.iter().any(|part| part == *module);
        modules
            .iter()
            .filter(|module| **module != "tests")
            .all(is_part)
    });
    let kinds: Vec<_> = there.map(|function| function.kind).collect();
    if kinds.contains(&Kind::Run) || (may_be_ignored && kinds.contains(&Kind::Ignored)) {
        return None;
    }
    Some(match (kinds.is_empty(), kinds.contains(&Kind::Ignored)) {
        (true, _) => "is not there",
        (_, true) => "is not run",
        (_, false) => "is no test",
    })
}

/// Whether a function of this name is there for users.
fn is_public(functions: &BTreeMap<String, Vec<Function>>, name: &str) -> bool {
    let found = functions.get(name).into_iter().flatten();
    found
        .into_iter()
        .any(|function| function.kind == Kind::Public)
}

/// A function of the tree.
struct Function {
    file: PathBuf,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Ignored,
    NoTest,
    /// One that users call.
    Public,
    Run,
}

impl Kind {
    /// By what stands before `fn`.
    fn of(before: &str) -> Self {
        let lines = before.lines().rev().map(str::trim);
        // On its own line there may be `pub(crate) async`.
        let own = usize::from(!before.ends_with('\n'));
        let attributes: Vec<_> = lines
            .skip(own)
            .take_while(|line| line.starts_with("#[") || line.starts_with("//"))
            .filter(|line| line.starts_with("#["))
            .collect();
        let is_test = |line: &&str| line.starts_with("#[test]") || line.contains("::test");
        let start = before.rsplit('\n').next().unwrap_or_default().trim_start();
        match attributes.iter().any(is_test) {
            false if start.starts_with("pub ") => Self::Public,
            false => Self::NoTest,
            true if attributes.iter().any(|line| line.starts_with("#[ignore")) => Self::Ignored,
            true => Self::Run,
        }
    }
}

/// Every function of the tree by its name.
fn functions(root: &Path) -> BTreeMap<String, Vec<Function>> {
    let mut functions: BTreeMap<String, Vec<Function>> = BTreeMap::new();
    for file in files(root, "rs") {
        let text = fs::read_to_string(&file).unwrap();
        // A suite names its checks in a list, and makes a test of each.
        let makes_tests = text.contains("async fn $check()");
        for (at, _) in text.match_indices("fn ") {
            let (before, after) = text.split_at(at);
            let after = after.get(3..).unwrap_or_default();
            let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let name = after.get(..end.unwrap_or(0)).unwrap_or_default();
            let is_listed = || text.lines().any(|line| line.trim() == format!("{name},"));
            let kind = match Kind::of(before) {
                Kind::NoTest if makes_tests && is_listed() => Kind::Run,
                kind => kind,
            };
            let file = file.clone();
            functions
                .entry(name.to_owned())
                .or_default()
                .push(Function { file, kind });
        }
    }
    functions
}
