//! Bytes in, a token or a reason out: nothing panics, what is shown is no secret, and a token has one text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tower_plugin_auth::token::{PresentedToken, SelfId, TOKEN_LEN, TokenId};

fuzz_target!(|input: &[u8]| {
    if let Ok(token) = PresentedToken::parse(input) {
        let text = str::from_utf8(input).expect("a token is ASCII");
        assert_eq!(text.len(), TOKEN_LEN);
        assert!(text.starts_with(token.kind().prefix()));
        // The prefix and 21 characters hold nothing but the kind and the id.
        assert!(!format!("{token:?}").contains(&text[26..36]));
        // Changing any character makes it another token or none.
        for at in 0..input.len() {
            let mut other = input.to_vec();
            other[at] ^= 1;
            assert!(PresentedToken::parse(&other).is_err());
        }
    }
    let Ok(text) = str::from_utf8(input) else {
        return;
    };
    if let Ok(id) = text.parse::<TokenId>() {
        assert_eq!(id.to_string(), text);
    }
    if let Ok(name) = text.parse::<SelfId>() {
        let id = name.runtime_id(TokenId::from_bytes([0; 16]));
        assert!(!id.contains(['/', '\\', '%', '?', '#', ' ']) && !id.contains(".."));
    }
});
