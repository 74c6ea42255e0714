//! The metrics that documents name are told by a crate, and those of validation are all named.

use std::{collections::BTreeSet, fs};

use tower_plugin_tests::documents::{documents, files, read, root};

#[test]
fn a_metric_that_a_document_names_is_one_that_is_told() {
    let told = told("tower-plugin-");
    let mut named = 0;
    for document in documents() {
        for name in words(&document.text, '`') {
            named += 1;
            // An underscore at its end: all that begin like this.
            let is_told = told.contains(name)
                || name.ends_with('_') && told.iter().any(|one| one.starts_with(name));
            assert!(is_told, "{}: {name}", document.path.display());
        }
    }
    assert!(named > 9, "{named}");
}

#[test]
fn the_guide_to_validation_names_every_metric_of_its_crate() {
    let told = told("tower-plugin-validate");
    let guide = read("docs/validation.md");
    let named: BTreeSet<_> = words(&guide, '`').map(str::to_owned).collect();
    assert_eq!(named, told);
    assert!(!told.is_empty());
}

/// Names that stand between these marks.
fn words(text: &str, mark: char) -> impl Iterator<Item = &str> {
    let parts = text.split(mark);
    parts.filter(|part| {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
        part.starts_with("tower_plugin_")
            && part.matches('_').count() > 2
            && part.bytes().all(plain)
    })
}

/// Names in the code of crates whose names begin like this.
fn told(crates: &str) -> BTreeSet<String> {
    let mut told = BTreeSet::new();
    for entry in fs::read_dir(root()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with(crates) {
            for file in files(&path.join("src"), "rs") {
                let text = fs::read_to_string(file).unwrap();
                told.extend(words(&text, '"').map(str::to_owned));
            }
        }
    }
    told
}
