//! The values of `-bin` fields against the base64 crate, and a schema on arbitrary fields.

#![no_main]

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use libfuzzer_sys::fuzz_target;
use tower_plugin_validate::metadata::{Rule, Schema, Unknown, decode};

fuzz_target!(|input: &[u8]| {
    let ours = decode(input, MAX);
    let padding = input.len() - input.trim_suffix_of(b'=').len();
    let plain = !input.iter().any(|b| b == &b',' || b.is_ascii_whitespace());
    // Padding is complete or absent.
    if plain && (padding == 0 || input.len() % 4 == 0) {
        let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
        let theirs = GeneralPurpose::new(&alphabet::STANDARD, config).decode(input);
        assert_eq!(ours.clone().ok(), theirs.ok().filter(|decoded| decoded.len() <= MAX));
    }

    let schema = Schema::builder()
        .key("a-bin", Rule::binary(MAX).custom("SEEN", "must be decoded", |_| true))
        .any_binary(Rule::binary(4).repeated(3))
        .prefix("x-", Rule::integer(-1..=1).list(3).max_names(2))
        .unknown(Unknown::Reject);
    let schema = schema.build().expect("a schema");
    let mut found = 0;
    let mut scan = schema.scan();
    scan.field(b"a-bin", input, &mut |_| found += 1);
    if plain {
        assert_eq!(found == 0, ours.is_ok());
    }
    for field in input.split(|&b| b == b'\n') {
        let name = field.split(|&b| b == b':').next().unwrap_or_default();
        scan.field(name, field.get(name.len()..).unwrap_or_default(), &mut |_| ());
    }
    scan.finish(&|_| None, &mut |_| ());
});

trait TrimSuffix {
    fn trim_suffix_of(&self, octet: u8) -> &Self;
}

impl TrimSuffix for [u8] {
    fn trim_suffix_of(&self, octet: u8) -> &Self {
        let end = self.iter().rposition(|&b| b != octet).map_or(0, |last| last + 1);
        &self[..end]
    }
}

const MAX: usize = 64;
