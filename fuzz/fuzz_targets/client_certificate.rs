//! Any bytes for a certificate: nothing panics, and a name that comes out is fit to be logged.
#![no_main]

use std::time::{Duration, UNIX_EPOCH};

use libfuzzer_sys::fuzz_target;
use tower_plugin_auth::authenticate::identify;

fuzz_target!(|der: &[u8]| {
    // Within the validity of the seeds.
    let now = UNIX_EPOCH + Duration::from_secs(1_893_456_000);
    if let Ok(identity) = identify(der, now) {
        assert!(!identity.name().is_empty());
        assert!(!identity.name().chars().any(char::is_control));
    }
});
