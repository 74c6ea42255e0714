//! Names that a document spells out exist: variables, metrics, addresses, versions and features.

use clap::CommandFactory;
use tower_plugin_examples::host::Options;

use tower_plugin_tests::documents::{blocks, documents, files, read, root};

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
    let table = |text: &str| text.parse::<toml::Table>().unwrap();
    let workspace = table(&read("Cargo.toml"));
    let [manifest] = blocks("README.md", "In front of your service");
    let manifest = table(&manifest.text);
    let asked = manifest["dependencies"].as_table().unwrap();
    assert_eq!((manifest.len(), asked.len()), (1, 7), "{manifest:?}");
    for (name, asked) in asked {
        // A version, alone or beside features; of ours, which are not published, a path beside the clone.
        let part = |of: &toml::Value, part: &str| Some(of.get(part)?.as_str()?.to_owned());
        let version = |of: &toml::Value| {
            let alone = of.as_str().map(str::to_owned);
            alone.or_else(|| part(of, "version"))
        };
        let known = &workspace["workspace"]["dependencies"][name];
        let Some(path) = part(asked, "path") else {
            let (asked, known) = (version(asked).unwrap(), version(known).unwrap());
            assert!(known.starts_with(&asked), "{name}: {asked}, {known}");
            continue;
        };
        let known = part(known, "path").unwrap();
        assert_eq!(path, format!("../tower-plugin/{known}"));
        let features = &table(&read(&format!("{known}/Cargo.toml")))["features"];
        let asked = asked.get("features").and_then(toml::Value::as_array);
        for feature in asked.into_iter().flatten() {
            let is_there = features.get(feature.as_str().unwrap()).is_some();
            assert!(is_there, "{name} has no feature {feature:?}");
        }
    }
}
