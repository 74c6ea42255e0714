//! Inputs on which matchers that go back take for ever: how often they are read, and how many instructions it takes.

use std::{env, fs, hint::black_box, process::Command, rc::Rc};

use super::super::{scan::STEPS, *};
use crate::path::{NonCanonical, PathRules, canonical};

type Check = fn(&[u8]) -> bool;

/// At any length, without the limits.
fn texts(n: usize) -> Vec<String> {
    vec![
        "a".repeat(n),
        "a-".repeat(n / 2),
        format!("{}0", "1.".repeat(n / 2)),
        format!("1.0.0-{}", "0.".repeat(n / 2)),
        format!("1.0.0-{}", "00.".repeat(n / 3)),
        "a.".repeat(n / 2),
        format!("a@{}", "a.".repeat(n / 2)),
        format!("{}@", "a.".repeat(n / 2)),
        format!("urn:ab:{}", "%20".repeat(n / 3)),
        format!("urn:ab:a?+{}", "?=".repeat(n / 2)),
        "/a".repeat(n / 2),
        "a/".repeat(n / 2),
        "/".repeat(n),
        ".".repeat(n),
        "é".repeat(n / 2),
        format!("https://a.b/{}", "%41/".repeat(n / 4)),
        format!("https://{}", "a:".repeat(n / 2)),
        format!("https://{}", "[".repeat(n)),
        format!("https://{}", "1.".repeat(n / 2)),
        format!("https://[{}", ":".repeat(n)),
        format!("{}!", "a".repeat(n)),
        format!("{}@", "a".repeat(n)),
        "x".repeat(n),
    ]
}

fn checks() -> Vec<(&'static str, Check)> {
    vec![
        ("display name", text::is_display_name),
        ("email", email::is_email),
        ("endpoint", path::is_endpoint),
        ("file", path::is_file),
        ("domain", host::is_domain),
        ("name", word::is_name),
        ("semver", semver::is_exact),
        ("lenient", semver::is_lenient),
        ("urn", urn::is_urn),
        ("uuid", uuid::is_uuid),
        ("url", |text| {
            UrlRule::https().with_max(usize::MAX).check(text).is_ok()
        }),
        ("path", |text| {
            let rules = PathRules::http().with_non_canonical(NonCanonical::Rewrite);
            canonical(text, &rules).is_ok()
        }),
    ]
}

/// What is counted is what the code says it looks at: it finds passes that are one too many, in no time. That the
/// code says the truth, the test below finds out.
#[test]
fn hostile_inputs_are_read_a_fixed_number_of_times() {
    for n in [1000, 64_000] {
        for text in texts(n) {
            for (name, check) in &checks() {
                STEPS.set(0);
                check(text.as_bytes());
                let steps = STEPS.get();
                let start = text.get(..16).unwrap_or(&text);
                assert!(
                    steps <= 8 * text.len() + 64,
                    "{name} of {start}...: {steps} steps"
                );
            }
        }
    }
    // The counter counts.
    STEPS.set(0);
    word::is_name(b"abcd");
    assert_eq!(STEPS.get(), 8);
}

/// Instructions, counted by callgrind: nothing that the code does is left out.
#[test]
#[ignore = "takes valgrind and a minute or two: `just instructions`"]
fn hostile_inputs_take_instructions_in_proportion_to_their_length() {
    let inputs = inputs();
    if env::var_os(INSIDE).is_some() {
        for (_, check, few, many) in &inputs {
            measured(&**check, few);
            measured(&**check, many);
        }
        return;
    }
    let counts = counted();
    // A program without symbols would have nothing to count.
    assert_eq!(counts.len(), 2 * inputs.len(), "calls");
    let mut wrong = Vec::new();
    for ((name, _, few, _), counts) in inputs.iter().zip(counts.chunks(2)) {
        let start: String = few.chars().take(16).collect();
        assert!(counts[0] > 0, "{name}");
        // Those who refuse at once take what they take; a tenth more than in proportion is the margin.
        if counts[1] * 10 > counts[0] * (TIMES as u64) * 11 {
            wrong.push(format!("{name} of {start}...: {counts:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let most = counts.chunks(2).map(|pair| pair[1] as f64 / pair[0] as f64);
    let most = most.fold(0.0, f64::max);
    println!(
        "{} inputs, {TIMES} times as long: {most:.1} times at most",
        inputs.len()
    );
}

type Input = (&'static str, AnyCheck, String, String);
type AnyCheck = Rc<dyn Fn(&[u8]) -> bool>;

/// Every text for every check, in both lengths.
fn inputs() -> Vec<Input> {
    let mut all: Vec<(&str, AnyCheck)> = Vec::new();
    for (name, check) in checks() {
        all.push((name, Rc::new(check)));
    }
    #[cfg(feature = "pattern")]
    for expression in EXPRESSIONS {
        let pattern = crate::metadata::Pattern::new(expression, "must match").unwrap();
        all.push((expression, Rc::new(move |text| pattern.is_match(text))));
    }
    let mut inputs = Vec::new();
    for (name, check) in all {
        for (few, many) in texts(LENGTH).into_iter().zip(texts(TIMES * LENGTH)) {
            inputs.push((name, Rc::clone(&check), few, many));
        }
    }
    inputs
}

/// By its name callgrind knows what to count.
#[inline(never)]
fn measured(check: &dyn Fn(&[u8]) -> bool, text: &str) {
    black_box(check(black_box(text.as_bytes())));
}

/// Runs this test under callgrind: how many instructions each call took.
fn counted() -> Vec<u64> {
    let directory = env::temp_dir().join(format!("tower-plugin-callgrind-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    let out = directory.join("out");
    let test =
        "format::tests::hostile::hostile_inputs_take_instructions_in_proportion_to_their_length";
    let run = Command::new("valgrind")
        .args(["--tool=callgrind", "--combine-dumps=yes", "--dump-line=no"])
        // In two spellings: of one pattern, callgrind keeps one option.
        .arg("--toggle-collect=*hostile::measured")
        .arg(concat!("--dump-after=", module_path!(), "::measured"))
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--test-threads=1"])
        .env(INSIDE, "1")
        .output()
        .expect("valgrind; apt-get install valgrind");
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{said}");
    let profile = fs::read_to_string(out).unwrap();
    fs::remove_dir_all(directory).unwrap();
    // One part for each call, and one for the end of the program.
    let parts = profile.split("desc: Trigger: ").skip(1);
    let calls = parts.filter(|part| part.starts_with("--dump-after="));
    let total = |part: &str| {
        let line = part.lines().find_map(|line| line.strip_prefix("summary: "));
        line.unwrap().trim().parse().unwrap()
    };
    calls.map(total).collect()
}

const INSIDE: &str = "TOWER_PLUGIN_INSIDE_CALLGRIND";
/// Short enough that what is not in proportion is found in minutes, and not in days.
const LENGTH: usize = 200;
const TIMES: usize = 64;

/// Such as make a regular expression that goes back take time without end, on one of the texts.
#[cfg(feature = "pattern")]
const EXPRESSIONS: &[&str] = &[
    "(a+)+",
    "(a|aa)+",
    "(a|a)*b",
    "(.*)*x",
    "(x+x+)+y",
    "([a-z]+)*-",
    r"(\w+\.?)+@",
    r"(/|[a-z]/?)*#",
    "a*a*a*a*a*a*b",
];
