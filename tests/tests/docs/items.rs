//! What a document calls by its name in Rust, protobuf or a configuration is there.

use std::{collections::BTreeSet, fs, path::PathBuf};

use clap::CommandFactory;
use tower_plugin_auth::admission::AdmissionConfig;
use tower_plugin_examples::host::Options;
use tower_plugin_tests::documents::{documents, files, root};

/// Names of others: of Go's connect-plugin, of what readers come from, of axum, tonic, Limitador and Redis.
const OTHERS: [&str; 34] = [
    "APIKeyAuth",
    "AsyncRequireAuthorizationLayer",
    "AuthSession",
    "CachingSessionStore",
    "ClientCertVerifier",
    "ComposeAuthServer",
    "MTLSAuth",
    "NewTokenBucketLimiter",
    "NormalizePathLayer",
    "OnInactivity",
    "RateLimitHTTPHandler",
    "RateLimitInterceptor",
    "RequestBodyLimitLayer",
    "Router",
    "Server",
    "ServerCertVerifier",
    "ServerConfig",
    "SetAllowedServices",
    "SmartIpKeyExtractor",
    "TokenAuth",
    "ValidateServiceType",
    "alpn_protocols",
    "clock_skew",
    "cycle_id",
    "error_handler",
    "has_header_value",
    "histogram_quantile",
    "login_required",
    "permission_required",
    "redis_async",
    "redis_cached",
    "retain_recent",
    "usec_per_call",
    "validate_request",
];

/// A source, and what its code is made of.
struct Source {
    /// The folders it is in, and its name.
    modules: Vec<String>,
    /// Without comments. Of tests, their names: whatever else they call by a name needs not be there.
    code: String,
    words: BTreeSet<String>,
}

impl Source {
    fn all() -> Vec<Self> {
        let mut paths = files(&root(), "rs");
        paths.extend(files(&root(), "proto"));
        paths.iter().map(Self::of).collect()
    }

    fn of(path: &PathBuf) -> Self {
        let place = path.strip_prefix(root()).unwrap().with_extension("");
        let parts = place.iter().map(|part| part.to_str().unwrap());
        let modules: Vec<_> = parts.map(|part| part.replace('-', "_")).collect();
        let is_whole = modules.iter().any(|part| part == "src" || part == "proto");
        let is_code = |line: &&str| match is_whole {
            true => !line.trim_start().starts_with("//"),
            false => line.contains("fn "),
        };
        let text = fs::read_to_string(path).unwrap();
        let code: Vec<_> = text.lines().filter(is_code).collect();
        let code = code.join("\n");
        let words = code.split(|c| !is_part(c)).map(str::to_owned).collect();
        Self {
            modules,
            code,
            words,
        }
    }

    fn knows(&self, name: &str) -> bool {
        self.words.contains(name) || self.modules.iter().any(|module| module == name)
    }

    /// Whether it defines this function, constant or variant.
    fn defines(&self, name: &str) -> bool {
        let items = [
            format!("fn {name}("),
            format!("fn {name}<"),
            format!("const {name}:"),
        ];
        let is_variant = |line: &str| {
            let rest = line.trim_start().strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with([',', '(', ' ']))
        };
        self.words.contains(name)
            && (items.iter().any(|item| self.code.contains(item))
                || self.code.lines().any(is_variant))
    }
}

fn is_part(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn is_type(name: &str) -> bool {
    let is_upper = |c: char| c.is_ascii_uppercase();
    name.starts_with(is_upper) && name.contains(|c: char| c.is_ascii_lowercase())
}

/// Whether it can only be a name: words with an underscore between them, or with a capital within.
fn is_name(word: &str) -> bool {
    let has_capital = |word: &str| word.contains(|c: char| c.is_ascii_uppercase());
    let is_camel = is_type(word) && has_capital(&word[1..]);
    let is_snake = word.trim_matches('_').contains('_') && !has_capital(word);
    (is_camel || is_snake) && !word.ends_with('_')
}

/// What is not there of a name, of `Type::function` or of `module::item`.
fn missing(sources: &[Source], path: &str) -> Option<String> {
    let parts: Vec<_> = path.split("::").collect();
    let is_unknown = |part: &&&str| {
        is_name(part) && !OTHERS.contains(part) && !sources.iter().any(|source| source.knows(part))
    };
    if let Some(unknown) = parts.iter().find(is_unknown) {
        return Some(format!("there is no {unknown}"));
    }
    let is_without = |pair: &&[&str]| {
        let (owner, name) = (pair[0], pair[1]);
        let mut owners = sources.iter().filter(|source| match is_type(owner) {
            true => source.words.contains(owner),
            false => source.modules.iter().any(|module| module == owner),
        });
        let has_it = |source: &Source| match is_type(owner) {
            true => source.defines(name),
            false => source.knows(name),
        };
        let mut owners = owners.by_ref().peekable();
        owners.peek().is_some() && !OTHERS.contains(&owner) && !owners.any(has_it)
    };
    let pair = parts.windows(2).find(is_without)?;
    Some(format!("{} has no {}", pair[0], pair[1]))
}

#[test]
fn every_item_that_the_documents_name_exists() {
    let sources = Source::all();
    let (mut count, mut faults) = (0, Vec::new());
    for document in documents() {
        for (line, span) in document.spans() {
            for path in span.split(|c| !is_part(c) && c != ':') {
                let path = path.trim_matches(':');
                let last = path.rsplit("::").next().unwrap_or_default();
                // A test, as others are held to.
                if last.matches('_').count() >= 3 {
                    continue;
                }
                count += usize::from(path.contains("::") || is_name(path));
                if let Some(fault) = missing(&sources, path) {
                    faults.push(format!("{}: `{span}`: {fault}", document.at(line)));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(count > 400, "{count} names were found");
}

#[test]
fn an_item_that_is_not_there_is_missed() {
    let sources = Source::all();
    for path in [
        "AuthLayer",
        "Cost::ONE",
        "Mode::Observe",
        "RateLimitLayer::with_on_missing_key",
        "Server::nothing",
        "http::Extensions",
        "key::Principal",
        "magic_cookie_value",
        "with_trusted_proxies",
    ] {
        assert_eq!(missing(&sources, path), None, "{path}");
    }
    for (path, fault) in [
        ("AuthLayers", "there is no AuthLayers"),
        ("Cost::TWELVE", "Cost has no TWELVE"),
        ("Mode::Observed", "Mode has no Observed"),
        (
            "Quota::with_on_missing_key",
            "Quota has no with_on_missing_key",
        ),
        ("key::Principals", "key has no Principals"),
        ("with_trusted_proxys", "there is no with_trusted_proxys"),
    ] {
        assert_eq!(missing(&sources, path).as_deref(), Some(fault));
    }
}

/// Whether a file for `plugin-host --config`, or one for `--admission-file`, may say so.
fn is_setting(text: &str) -> bool {
    let command = Options::command();
    let is_flag = |key: &String| {
        let mut flags = command.get_arguments();
        flags.any(|arg| arg.get_long() == Some(key))
    };
    let of_host = text.parse::<toml::Table>();
    of_host.is_ok_and(|table| table.keys().all(is_flag))
        || toml::from_str::<AdmissionConfig>(text).is_ok()
}

#[test]
fn every_setting_to_which_the_documents_give_a_value_is_taken() {
    let is_key = |key: &str| {
        let is_part = |c: char| c.is_ascii_lowercase() || "-_".contains(c);
        !key.is_empty() && key.chars().all(is_part)
    };
    let mut count = 0;
    for document in documents() {
        for (line, span) in document.spans() {
            if span.split_once(" = ").is_some_and(|(key, _)| is_key(key)) {
                count += 1;
                assert!(is_setting(span), "{}: `{span}`", document.at(line));
            }
        }
    }
    assert!(count > 0, "none was found");
    assert!(is_setting("token-ttl = \"1h\"") && !is_setting("token-tll = \"1h\""));
    assert!(!is_setting("rule = \"pear\"") && !is_setting("rules = \"peer\""));
}
