//! Whatever a document says is tested, is: each test it names is in the tree, where it says.
//!
//! Names of tests are sentences, so in backticks a word of four parts or more is one of them, alone or
//! behind the modules it is in. That it passes, the run that runs this shows.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use tower_plugin_tests::documents::{documents, files, root};

#[test]
fn every_test_that_the_documents_name_exists() {
    let tests = functions(&root());
    let mut count = 0;
    for document in documents() {
        for (number, line) in document.text.lines().enumerate() {
            for name in names(line) {
                count += 1;
                let at = document.at(number + 1);
                assert!(exists(&tests, name), "{at}: {name} is no test");
            }
        }
        let untested = untested(&document.text, |name| is_test(&tests, name));
        assert!(untested.is_empty(), "{}: {untested:?}", document.name());
    }
    assert!(count > 100, "{count} names were found");
}

#[test]
fn a_test_that_is_not_there_is_missed() {
    let tests = functions(Path::new(env!("CARGO_MANIFEST_DIR")));
    let here = "docs::every_test_that_the_documents_name_exists";
    assert!(exists(&tests, here) && exists(&tests, &here[6..]));
    assert!(!exists(&tests, &here.replace("docs::", "rejection::")));
    assert!(!exists(&tests, "a_test_that_nobody_wrote"));
    let line = "| with `with_insecure_loopback`, `a::b::a_test_of_that` and `tower_plugin_auth_x_y` | `a_b_c_d` |";
    assert_eq!(names(line), ["a::b::a_test_of_that", "a_b_c_d"]);
    let rows =
        "| this | `a_test_of_this` |\n| that | none yet |\n| those | `a_test_of_this`, `b` |\n";
    let table = format!("| threat | test |\n|---|---|\n{rows}");
    let found: Vec<_> = rows.lines().map(str::to_owned).zip(3..).skip(1).collect();
    assert_eq!(untested(&table, |name| name.len() > 1), found);
    assert!(is_test(&tests, "docs::names") && is_test(&tests, "tests/loom.rs"));
    assert!(!is_test(&tests, "docs::name") && !is_test(&tests, "tests/looms.rs"));
}

/// The tests a line names.
fn names(line: &str) -> Vec<&str> {
    let is_name = |name: &&str| {
        let last = name.rsplit("::").next().unwrap_or_default();
        let lower = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        last.split('_').filter(|part| !part.is_empty()).count() >= 4
            && name.bytes().all(|byte| lower(byte) || byte == b':')
            && !last.starts_with("tower_plugin_")
    };
    line.split('`').skip(1).step_by(2).filter(is_name).collect()
}

/// The rows of tables with a column named `test` that name none there, or what is none.
fn untested(text: &str, is_test: impl Fn(&str) -> bool) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    let mut column = None;
    for (line, number) in text.lines().zip(1..) {
        let Some(cells) = line.strip_prefix('|') else {
            column = None;
            continue;
        };
        let cells: Vec<_> = cells.split('|').map(str::trim).collect();
        match column {
            None => column = Some(cells.iter().position(|cell| *cell == "test")),
            Some(Some(place)) if !line.starts_with("|---") => {
                let cell = cells.get(place).unwrap_or(&"");
                let mut names = cell.split('`').skip(1).step_by(2).peekable();
                if names.peek().is_none() || !names.all(&is_test) {
                    found.push((line.to_owned(), number));
                }
            }
            Some(_) => {}
        }
    }
    found
}

/// Whether it is a test, or a module, file or folder of them.
fn is_test(tests: &BTreeMap<String, Vec<PathBuf>>, name: &str) -> bool {
    if name.contains('/') {
        let packages = ["", "tower-plugin-auth", "tower-plugin-ratelimit"];
        return packages
            .iter()
            .any(|package| root().join(package).join(name).exists());
    }
    exists(tests, name) || tests.values().flatten().any(|place| is_in(place, name))
}

/// Whether there is such a function in a file or folder of that name.
fn exists(tests: &BTreeMap<String, Vec<PathBuf>>, name: &str) -> bool {
    let (modules, last) = name.rsplit_once("::").unwrap_or(("tests", name));
    let places = tests.get(last).into_iter().flatten();
    places.into_iter().any(|place| is_in(place, modules))
}

/// Whether a file is or belongs to these modules.
fn is_in(place: &Path, modules: &str) -> bool {
    let place = place.with_extension("");
    modules
        .split("::")
        .filter(|module| *module != "tests")
        .all(|module| place.iter().any(|part| part == module))
}

/// Every function of the tree, and where it is.
fn functions(root: &Path) -> BTreeMap<String, Vec<PathBuf>> {
    let mut functions: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for file in files(root, "rs") {
        let text = fs::read_to_string(&file).unwrap();
        for (_, after) in text
            .match_indices("fn ")
            .map(|(at, _)| text.split_at(at + 3))
        {
            let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let name = after[..end.unwrap_or(0)].to_owned();
            let place = file.strip_prefix(self::root()).unwrap();
            functions.entry(name).or_default().push(place.to_owned());
        }
    }
    functions
}
