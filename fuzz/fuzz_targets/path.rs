//! An accepted path means one thing, and its canonical spelling is a fixed point.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tower_plugin_validate::path::{EmptySegments, NonCanonical, PathRules, canonical};

fuzz_target!(|input: &[u8]| {
    let Some((&[options], path)) = input.split_first_chunk() else {
        return;
    };
    let preset = match options & 3 {
        0 => PathRules::grpc(),
        1 => PathRules::plugin(),
        _ => PathRules::http(),
    };
    let empty = if options & 4 == 0 { EmptySegments::Allow } else { EmptySegments::Reject };
    let rules = preset
        .with_empty_segments(empty)
        .with_double_dots(options & 8 == 0)
        .with_non_canonical(NonCanonical::Rewrite);
    let rejecting = rules.with_non_canonical(NonCanonical::Reject);
    let Ok(accepted) = canonical(path, &rules) else {
        assert!(canonical(path, &rejecting).is_err());
        return;
    };
    let text = accepted.as_str();
    assert_eq!(accepted.is_unchanged(), text.as_bytes() == path);
    let again = canonical(text, &rejecting).expect("a fixed point");
    assert!(again.is_unchanged());

    let once = decoded(text);
    assert_eq!(once, decoded_bytes(path), "what is rewritten means the same");
    let slashes = |octets: &[u8]| octets.iter().filter(|&&b| b == b'/').count();
    assert_eq!(slashes(&once), slashes(text.as_bytes()));
    assert!(!once.starts_with(b"//") && !once.contains(&b'\\'));
    assert!(!once.iter().any(|&b| b < 0x20 || b == 0x7f));
    for segment in once.split(|&b| b == b'/') {
        let name = segment.split(|&b| b == b';').next().unwrap_or_default();
        let name = name.trim_ascii();
        assert!(name.is_empty() || name.iter().any(|&b| b != b'.'), "a dot segment");
    }
    let once = String::from_utf8(once).expect("UTF-8");
    assert_eq!(decoded(&once), once.as_bytes(), "decoding twice is decoding once");
    // Another crate's parser leaves it as it is.
    if let Ok(url) = url::Url::parse(&format!("http://h{text}")) {
        assert_eq!(url.path(), text);
    }
});

fn decoded(path: &str) -> Vec<u8> {
    decoded_bytes(path.as_bytes())
}

fn decoded_bytes(path: &[u8]) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut rest = path;
    while let [first, tail @ ..] = rest {
        let digits = tail.get(..2).filter(|d| d.iter().all(u8::is_ascii_hexdigit));
        let digits = digits.and_then(|d| u8::from_str_radix(std::str::from_utf8(d).ok()?, 16).ok());
        match digits.filter(|_| *first == b'%') {
            Some(octet) => {
                octets.push(octet);
                rest = &tail[2..];
            }
            None => {
                octets.push(*first);
                rest = tail;
            }
        }
    }
    octets
}
