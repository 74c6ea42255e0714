//! Each code block of a document is compiled, tried by a test, or listed with the reason why it is not.

use std::{collections::BTreeSet, fs};

use tower_plugin_tests::documents::{NOT_TRIED, documents, files, root};

/// The documents and headings that tests ask for, by `blocks("document", "heading")`.
fn tried() -> BTreeSet<(String, String)> {
    let folders = ["benches/tests", "examples/tests", "tests/tests"];
    let sources = folders.iter().flat_map(|of| files(&root().join(of), "rs"));
    let mut found = BTreeSet::new();
    for source in sources {
        let text = fs::read_to_string(source).unwrap();
        found.extend(text.split("blocks(").skip(1).filter_map(asked_for));
    }
    found
}

/// The two texts that come first.
fn asked_for(arguments: &str) -> Option<(String, String)> {
    let (document, rest) = arguments.trim_start().strip_prefix('"')?.split_once('"')?;
    let heading = rest.strip_prefix(',')?.trim_start().strip_prefix('"')?;
    let (heading, _) = heading.split_once('"')?;
    Some((document.to_owned(), heading.to_owned()))
}

/// The documents that are compiled as somebody's documentation.
fn compiled() -> BTreeSet<String> {
    let packages = ["auth", "core", "ratelimit", "validate"].map(|of| format!("tower-plugin-{of}"));
    let mut found = BTreeSet::new();
    for package in packages.into_iter().chain(["tests".to_owned()]) {
        let source = root().join(&package).join("src/lib.rs");
        let text = fs::read_to_string(source).unwrap();
        for included in text.split("#[doc = include_str!(\"").skip(1) {
            let (path, _) = included.split_once('"').unwrap();
            found.insert(match path.strip_prefix("../../") {
                Some(path) => path.to_owned(),
                None => format!("{package}/{}", path.trim_start_matches("../")),
            });
        }
    }
    found
}

#[test]
fn every_block_is_compiled_or_tried_or_listed_as_neither() {
    let (compiled, tried) = (compiled(), tried());
    let mut listed = BTreeSet::new();
    let mut count = 0;
    for block in documents().iter().flat_map(|document| document.blocks()) {
        count += 1;
        let at = format!("{}:{}", block.document, block.line);
        if block.is_rust() {
            assert!(compiled.contains(&block.document), "{at}: is not compiled");
            assert!(!block.language.contains("ignore"), "{at}: is not compiled");
        } else if let Some(entry) = NOT_TRIED.iter().find(|entry| block.is(entry)) {
            listed.insert(entry.1);
        } else {
            let key = (block.document, block.heading);
            let is_tried = tried.contains(&key);
            assert!(is_tried, "{at}: no test asks for the blocks of {key:?}");
        }
    }
    assert!(count > 45, "{count} blocks were found");
    for (document, first, _) in NOT_TRIED {
        assert!(listed.contains(first), "{document} has no {first:?}");
    }
}

#[test]
fn what_a_test_asks_for_is_found_however_it_is_laid_out() {
    let key = Some(("a.md".to_owned(), "B c".to_owned()));
    assert_eq!(asked_for("\"a.md\", \"B c\");"), key);
    assert_eq!(asked_for("\n    \"a.md\",\n    \"B c\",\n)"), key);
    assert_eq!(asked_for("document, \"B c\")"), None);
}
