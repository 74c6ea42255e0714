//! Signed tokens that say the same, checked by jsonwebtoken on aws-lc, the faster of its two providers.

use std::{hint::black_box, time::Duration};

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};
use tower_plugin_auth::{Clock, SystemClock, SystemRng, token::Rng};

use super::COUNT;
use crate::runner::now;

pub(super) struct Signed {
    key: DecodingKey,
    validation: Validation,
    texts: Vec<String>,
}

#[derive(Deserialize, Serialize)]
struct Claims {
    sub: String,
    kind: String,
    jti: String,
    exp: u64,
}

impl Signed {
    pub(super) fn hs256() -> Self {
        let mut secret = [0; 32];
        SystemRng.fill(&mut secret).expect("randomness");
        Self::new(
            Algorithm::HS256,
            &EncodingKey::from_secret(&secret),
            DecodingKey::from_secret(&secret),
        )
    }

    pub(super) fn eddsa() -> Self {
        let signs = EncodingKey::from_ed_pem(PRIVATE.as_bytes()).expect("a key");
        let verifies = DecodingKey::from_ed_pem(PUBLIC.as_bytes()).expect("a key");
        Self::new(Algorithm::EdDSA, &signs, verifies)
    }

    fn new(algorithm: Algorithm, signs: &EncodingKey, key: DecodingKey) -> Self {
        let today = SystemClock::new().wall();
        let since = today.duration_since(std::time::UNIX_EPOCH);
        let exp = since.expect("after 1970").as_secs() + 24 * 3600;
        let text = |number| {
            let claims = Claims {
                sub: format!("cache-plugin-{number:032x}"),
                kind: "runtime".to_owned(),
                jti: format!("{number:032x}"),
                exp,
            };
            encode(&Header::new(algorithm), &claims, signs).expect("signed")
        };
        Self {
            key,
            validation: Validation::new(algorithm),
            texts: (0..COUNT).map(text).collect(),
        }
    }

    pub(super) fn check(&self, iterations: u64) -> Duration {
        let start = now();
        for text in self.texts.iter().cycle().take(iterations as usize) {
            let decoded = decode::<Claims>(black_box(text), &self.key, &self.validation);
            assert!(black_box(decoded).is_ok());
        }
        start.elapsed()
    }
}

// The example keys of RFC 8410, section 10.
const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
-----END PRIVATE KEY-----";
const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----";
