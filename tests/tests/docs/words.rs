//! Names that a document spells out exist: variables, metrics, addresses, versions and features.

use clap::CommandFactory;
use tower_plugin_examples::host::Options;

use crate::support::{documents, files, read, root};

/// Runs of these characters that begin like this.
fn words<'a>(text: &'a str, begin: &str, is_part: fn(char) -> bool) -> Vec<&'a str> {
    let found = text.match_indices(begin).map(|(at, _)| {
        let rest = text.get(at..).unwrap_or_default();
        let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        rest.get(..end).unwrap_or_default()
    });
    found.collect()
}

fn sources(folders: &[&str]) -> String {
    let files = folders
        .iter()
        .flat_map(|folder| files(&root().join(folder), "rs"));
    files
        .map(|file| std::fs::read_to_string(file).unwrap())
        .collect()
}

#[test]
fn every_variable_that_the_documents_name_is_read() {
    let secrets = [
        "ADMIN_TOKEN",
        "AUDIT_KEYS",
        "BOOTSTRAP_SECRET",
        "REDIS_URL",
        "TOKEN_KEYS",
    ];
    let command = Options::command();
    let settings: Vec<_> = command
        .get_arguments()
        .filter_map(|arg| Some(arg.get_long()?.replace('-', "_").to_uppercase()))
        .collect();
    let mut count = 0;
    for document in documents() {
        let is_part = |c: char| c.is_ascii_uppercase() || c == '_';
        for name in words(&document.text, "PLUGIN_HOST_", is_part) {
            count += 1;
            let name = &name["PLUGIN_HOST_".len()..];
            let is_read = name.is_empty()
                || secrets.contains(&name)
                || settings.iter().any(|own| own == name);
            assert!(is_read, "{}: PLUGIN_HOST_{name}", document.path.display());
        }
    }
    assert!(count > 10, "{count} variables were found");
}

#[test]
fn every_metric_that_the_documents_name_is_counted() {
    let crates = ["auth", "core", "ratelimit", "validate"];
    let folders = crates.map(|name| format!("tower-plugin-{name}/src"));
    let folders: Vec<_> = folders.iter().map(String::as_str).collect();
    let source = sources(&folders);
    let mut count = 0;
    for document in documents() {
        for (line, span) in document.spans() {
            // Paths in Rust begin with the name of a crate, too.
            let name = span.split('{').next().unwrap_or_default();
            let (name, is_prefix) = match name.strip_suffix('*') {
                Some(prefix) => (prefix, true),
                None => (name, false),
            };
            let is_metric = name.starts_with("tower_plugin_")
                && name.chars().all(|c| c.is_ascii_lowercase() || c == '_')
                && name.matches('_').count() > 2;
            if !is_metric {
                continue;
            }
            count += 1;
            let quoted = match is_prefix {
                true => format!("\"{name}"),
                false => format!("\"{name}\""),
            };
            assert!(source.contains(&quoted), "{}: {name}", document.at(line));
        }
    }
    assert!(count >= 8, "{count} metrics were found");
}

#[test]
fn every_address_of_the_administration_that_the_documents_name_is_served() {
    let source = read("examples/src/host/admin/mod.rs");
    let routes: Vec<_> = source
        .split('"')
        .filter(|text| text.starts_with("/admin/"))
        .map(|route| route.split('/').collect::<Vec<_>>())
        .collect();
    assert!(routes.len() >= 7, "{routes:?}");
    let is_served = |path: &str| {
        let path: Vec<_> = path.split('/').collect();
        routes.iter().any(|route| {
            let is_it = |(own, said): (&&str, &&str)| own == said || own.starts_with('{');
            route.len() == path.len() && route.iter().zip(&path).all(is_it)
        })
    };
    let mut count = 0;
    for name in ["docs/runbook.md", "examples/README.md"] {
        for line in read(name).lines() {
            // What stands for a name may have spaces in it.
            let (before, rest) = line.split_once('{').unwrap_or((line, ""));
            let parts = rest.split('{').filter_map(|part| part.split_once('}'));
            let kept = parts.fold(before.to_owned(), |kept, (_, after)| kept + "WHO" + after);
            let is_part = |c: char| c.is_ascii_alphanumeric() || "/-_.".contains(c);
            for path in words(&kept, "/admin/", is_part) {
                count += 1;
                assert!(is_served(path), "{name}: {path}");
            }
        }
    }
    assert!(count >= 10, "{count} addresses were found");
    assert!(!is_served("/admin/token") && !is_served("/admin/tokens/a/delete"));
}

#[test]
fn the_manifest_of_the_readme_asks_for_what_there_is() {
    let workspace = read("Cargo.toml");
    let readme = documents()
        .into_iter()
        .find(|document| document.path.ends_with("../README.md"))
        .unwrap();
    let blocks = readme.blocks("toml");
    let mut count = 0;
    for line in blocks.iter().flat_map(|(_, block)| block.lines()) {
        let Some((name, asked)) = line.split_once(" = ") else {
            continue;
        };
        count += 1;
        let quoted: Vec<_> = asked.split('"').skip(1).step_by(2).collect();
        let (version, features) = quoted.split_first().unwrap();
        let own = format!("\n{name} = ");
        let (_, entry) = workspace
            .split_once(&own)
            .unwrap_or_else(|| panic!("{name}"));
        let entry = entry.lines().next().unwrap();
        // Ours are not published: a path, from a project beside the clone.
        let is_own = name.starts_with("tower-plugin-");
        let said = match is_own {
            true => version.strip_prefix("../tower-plugin/").unwrap_or("?"),
            false => version,
        };
        assert!(
            entry.contains(&format!("\"{said}")),
            "{name}: {said}, {entry}"
        );
        if is_own {
            let manifest = read(&format!("{name}/Cargo.toml"));
            for feature in features {
                let is_there = manifest.contains(&format!("\n{feature} = ["));
                assert!(is_there, "{name} has no feature {feature}");
            }
        }
    }
    assert_eq!(count, 7, "{blocks:?}");
}
